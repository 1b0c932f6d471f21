//! What is open now, with its indexes and deadlines; and [`State::apply`], the only way to change it.
//!
//! Must not decide and cannot fail: a change carries the whole record as it is afterwards.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashTable;
use smol_str::SmolStr;

use crate::core::alert::Alert;
use crate::core::decision::{Change, Decision};
use crate::core::identity::KeyHash;
use crate::core::ids::{AlertId, IncidentId, SourceId};
use crate::core::incident::{Incident, StateWord};
use crate::core::input::IdempotencyKey;
use crate::core::limits;
use crate::core::pages::Pages;
use crate::core::reason::Reason;
use crate::core::severity::{Priority, Severity};
use crate::core::time::Timestamp;

/// Everything that decisions depend on besides rules and input.
#[derive(Clone, Debug, Default)]
pub struct State {
    alerts: Pages<Slot<Alert>>,
    keys: HashTable<(u64, AlertId)>,
    incidents: Pages<Slot<IncidentSlot>>,
    sources: Vec<SmolStr>,
    deadlines: BTreeSet<(Timestamp, DeadlineKey)>,
    remembered: BTreeMap<u64, Remembered>,
    remembered_by_age: BTreeSet<(Timestamp, u64)>,
    started_at: Option<Timestamp>,
    counts: Counts,
}

/// What a deadline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineKey {
    /// An alert expires, its parked firing is discarded, or it is forgotten.
    Alert(AlertId),
    /// An incident recovers, closes, or its acknowledgement or hold ends.
    Incident(IncidentId),
}

/// How many of each there are, kept while changes are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Firing alerts by severity.
    pub firing: BTreeMap<Severity, i64>,
    /// Incidents that are not closed, by priority and state.
    pub incidents: BTreeMap<(Priority, StateWord), i64>,
}

impl Counts {
    fn count_incident(&mut self, incident: &Incident, by: i64) {
        let word = incident.state.word();
        if word != StateWord::Closed {
            count(&mut self.incidents, (incident.priority, word), by);
        }
    }
}

/// The answer that was given to a command with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// When it was given.
    pub at: Timestamp,
    /// Digest of the command.
    pub command: u64,
    /// The incident of the answer.
    pub incident: IncidentId,
    /// The reason of the answer.
    pub reason: Reason,
    /// Whether it was a refusal.
    pub is_refused: bool,
}

/// A record with the earliest deadline that stands for it; repeats that only move the due time later leave the
/// deadline alone, and it is looked at again when it comes.
#[derive(Clone, Debug)]
struct Slot<T> {
    record: T,
    armed_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct IncidentSlot {
    incident: Incident,
    alerts: Vec<AlertId>,
}

impl State {
    /// The alert with that key.
    pub fn alert_by_key(&self, key: KeyHash) -> Option<&Alert> {
        let short = short_hash(key);
        let (_, id) = self.keys.find(short, |&(hash, id)| {
            hash == short && self.alert(id).is_some_and(|alert| alert.key == key)
        })?;
        self.alert(*id)
    }

    /// The alert with that id.
    pub fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(id.get()).map(|slot| &slot.record)
    }

    /// Every alert held, by id.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().map(|slot| &slot.record)
    }

    /// How many alerts are held.
    pub fn alert_count(&self) -> usize {
        self.alerts.len()
    }

    /// The incident with that number, unless it was closed for good.
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.incidents
            .get(id.get())
            .map(|slot| &slot.record.incident)
    }

    /// Every incident held, by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().map(|slot| &slot.record.incident)
    }

    /// The alerts of an incident, in order of joining.
    pub fn alerts_of(&self, id: IncidentId) -> &[AlertId] {
        self.incidents
            .get(id.get())
            .map_or(&[], |slot| slot.record.alerts.as_slice())
    }

    /// The number of a source that was heard of before.
    pub fn source(&self, name: &str) -> Option<SourceId> {
        let index = self.sources.iter().position(|source| source == name)?;
        u16::try_from(index).ok().map(SourceId)
    }

    /// The names of all sources, by number.
    pub fn sources(&self) -> &[SmolStr] {
        &self.sources
    }

    /// The name of a source.
    pub fn source_name(&self, id: SourceId) -> &str {
        self.sources
            .get(usize::from(id.0))
            .map_or("", SmolStr::as_str)
    }

    /// The answer given before to a command with that key.
    pub fn remembered(&self, key: IdempotencyKey) -> Option<Remembered> {
        self.remembered.get(&key.key).copied()
    }

    /// Since when the daemon listens.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// How many of each there are.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// When to call with [`crate::core::input::Input::DeadlineReached`] next.
    pub fn next_deadline(&self) -> Option<(Timestamp, DeadlineKey)> {
        self.deadlines.first().copied()
    }

    /// The earliest deadlines up to `now`, at most so many.
    pub fn due(&self, now: Timestamp, at_most: usize) -> impl Iterator<Item = DeadlineKey> {
        let up_to_now = self.deadlines.iter().take_while(move |(at, _)| *at <= now);
        up_to_now.take(at_most).map(|(_, key)| *key)
    }

    /// Makes the decision true.
    pub fn apply(&mut self, decision: &Decision) {
        let mut taken = Vec::new();
        for change in &decision.changes {
            match change {
                Change::SourceAdded { id, name } => self.add_source(*id, name.clone()),
                Change::AlertAdded { alert, .. } | Change::AlertChanged(alert) => {
                    self.put_alert(alert.clone());
                }
                Change::AlertTextChanged { .. }
                | Change::TitleChanged { .. }
                | Change::AlertLeft { .. } => {}
                Change::AlertForgotten(id) => self.forget_alert(*id),
                Change::IncidentChanged(incident) => self.put_incident(incident.clone()),
                Change::AlertJoined {
                    incident, alert, ..
                } => self.join(*incident, *alert),
                Change::IncidentForgotten(id) => self.forget_incident(*id),
                Change::DeadlinesTaken(count) => taken = self.take_deadlines(*count),
                Change::CommandRemembered {
                    key,
                    at,
                    incident,
                    reason,
                    is_refused,
                } => {
                    let remembered = Remembered {
                        at: *at,
                        command: key.command,
                        incident: *incident,
                        reason: *reason,
                        is_refused: *is_refused,
                    };
                    self.remember(key.key, remembered);
                }
                Change::Started(at) => self.started_at = Some(*at),
            }
        }
        for key in taken {
            self.arm(key);
        }
    }

    /// Puts an alert in place, as [`State::apply`] does; also used to load.
    pub fn put_alert(&mut self, alert: Alert) {
        let id = alert.id;
        if alert.is_firing() {
            count(&mut self.counts.firing, alert.severity, 1);
        }
        let (key, due) = (alert.key, alert.due_at(self.started_at));
        match self.alerts.get_mut(id.get()) {
            Some(slot) => {
                if slot.record.is_firing() {
                    count(&mut self.counts.firing, slot.record.severity, -1);
                }
                slot.record = alert;
                bring_forward(
                    &mut self.deadlines,
                    &mut slot.armed_at,
                    (due, DeadlineKey::Alert(id)),
                );
            }
            None => {
                let short = short_hash(key);
                self.keys
                    .insert_unique(short, (short, id), |&(hash, _)| hash);
                self.deadlines.insert((due, DeadlineKey::Alert(id)));
                self.alerts.insert(
                    id.get(),
                    Slot {
                        record: alert,
                        armed_at: Some(due),
                    },
                );
            }
        }
    }

    /// Puts an incident in place, as [`State::apply`] does; also used to load.
    pub fn put_incident(&mut self, incident: Incident) {
        let id = incident.id;
        self.counts.count_incident(&incident, 1);
        let due = incident.due_at();
        match self.incidents.get_mut(id.get()) {
            Some(slot) => {
                self.counts.count_incident(&slot.record.incident, -1);
                slot.record.incident = incident;
                if let Some(due) = due {
                    bring_forward(
                        &mut self.deadlines,
                        &mut slot.armed_at,
                        (due, DeadlineKey::Incident(id)),
                    );
                }
            }
            None => {
                if let Some(due) = due {
                    self.deadlines.insert((due, DeadlineKey::Incident(id)));
                }
                let record = IncidentSlot {
                    incident,
                    alerts: Vec::new(),
                };
                self.incidents.insert(
                    id.get(),
                    Slot {
                        record,
                        armed_at: due,
                    },
                );
            }
        }
    }

    /// Adds an alert to an incident's list, as [`State::apply`] does; also used to load.
    pub fn join(&mut self, incident: IncidentId, alert: AlertId) {
        if let Some(slot) = self.incidents.get_mut(incident.get())
            && !slot.record.alerts.contains(&alert)
        {
            slot.record.alerts.reserve_exact(1);
            slot.record.alerts.push(alert);
        }
    }

    /// Notes a source's number, as [`State::apply`] does; also used to load, in order of number.
    pub fn add_source(&mut self, id: SourceId, name: SmolStr) {
        if usize::from(id.0) == self.sources.len() {
            self.sources.push(name);
        }
    }

    /// Notes the answer to a command, as [`State::apply`] does; also used to load.
    pub fn remember(&mut self, key: u64, remembered: Remembered) {
        let now = remembered.at;
        if let Some(before) = self.remembered.insert(key, remembered) {
            self.remembered_by_age.remove(&(before.at, key));
        }
        self.remembered_by_age.insert((now, key));
        while let Some(&(at, oldest)) = self.remembered_by_age.first()
            && (self.remembered.len() > limits::IDEMPOTENCY_KEYS_MAX
                || at.plus(limits::IDEMPOTENCY_KEPT) < now)
        {
            self.remembered_by_age.remove(&(at, oldest));
            self.remembered.remove(&oldest);
        }
    }

    fn forget_alert(&mut self, id: AlertId) {
        let Some(slot) = self.alerts.remove(id.get()) else {
            return;
        };
        if slot.record.is_firing() {
            count(&mut self.counts.firing, slot.record.severity, -1);
        }
        if let Some(armed_at) = slot.armed_at {
            self.deadlines.remove(&(armed_at, DeadlineKey::Alert(id)));
        }
        let short = short_hash(slot.record.key);
        if let Ok(entry) = self
            .keys
            .find_entry(short, |&(_, candidate)| candidate == id)
        {
            entry.remove();
        }
    }

    fn forget_incident(&mut self, id: IncidentId) {
        let Some(slot) = self.incidents.remove(id.get()) else {
            return;
        };
        self.counts.count_incident(&slot.record.incident, -1);
        if let Some(armed_at) = slot.armed_at {
            self.deadlines
                .remove(&(armed_at, DeadlineKey::Incident(id)));
        }
    }

    fn take_deadlines(&mut self, count: usize) -> Vec<DeadlineKey> {
        let mut taken = Vec::with_capacity(count.min(limits::DEADLINES_PER_DECISION));
        for _ in 0..count {
            let Some((_, key)) = self.deadlines.pop_first() else {
                break;
            };
            match key {
                DeadlineKey::Alert(id) => {
                    if let Some(slot) = self.alerts.get_mut(id.get()) {
                        slot.armed_at = None;
                    }
                }
                DeadlineKey::Incident(id) => {
                    if let Some(slot) = self.incidents.get_mut(id.get()) {
                        slot.armed_at = None;
                    }
                }
            }
            taken.push(key);
        }
        taken
    }

    /// Sets the deadline of a record whose last one was taken.
    fn arm(&mut self, key: DeadlineKey) {
        let (due, armed_at) = match key {
            DeadlineKey::Alert(id) => {
                let Some(slot) = self.alerts.get_mut(id.get()) else {
                    return;
                };
                (
                    Some(slot.record.due_at(self.started_at)),
                    &mut slot.armed_at,
                )
            }
            DeadlineKey::Incident(id) => {
                let Some(slot) = self.incidents.get_mut(id.get()) else {
                    return;
                };
                (slot.record.incident.due_at(), &mut slot.armed_at)
            }
        };
        if let Some(due) = due {
            bring_forward(&mut self.deadlines, armed_at, (due, key));
        }
    }
}

/// Moves a record's deadline earlier; a later one is found when the earlier one comes.
///
/// The old one is taken out: a record with two deadlines would be looked at twice in one decision.
fn bring_forward(
    deadlines: &mut BTreeSet<(Timestamp, DeadlineKey)>,
    armed_at: &mut Option<Timestamp>,
    (due, key): (Timestamp, DeadlineKey),
) {
    if let Some(before) = *armed_at {
        if before <= due {
            return;
        }
        deadlines.remove(&(before, key));
    }
    *armed_at = Some(due);
    deadlines.insert((due, key));
}

/// Two states are equal when they hold the same records; deadlines follow from those.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.alerts().eq(other.alerts())
            && self.incidents().eq(other.incidents())
            && self
                .incidents()
                .all(|incident| self.alerts_of(incident.id) == other.alerts_of(incident.id))
            && self.sources == other.sources
            && self.counts == other.counts
            && self.remembered == other.remembered
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, i64>, key: K, by: i64) {
    let entry = counts.entry(key);
    match entry {
        std::collections::btree_map::Entry::Occupied(mut held) => {
            *held.get_mut() = held.get().saturating_add(by);
            if *held.get() == 0 {
                held.remove();
            }
        }
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(by);
        }
    }
}

/// The part of a key's hash that places it in the table; it is uniform, being part of a SHA-256.
fn short_hash(key: KeyHash) -> u64 {
    u64::try_from(key.0 & u128::from(u64::MAX)).unwrap_or(0)
}
