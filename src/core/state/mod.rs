//! What is open now, with its indexes and deadlines; and [`State::apply`], the only way to change it.
//!
//! Deadlines are kept per page of records, not per record: a page remembers when one of its records is due first,
//! and is looked through when that time comes. A due time that moves later moves nothing; the look finds it. Must
//! not decide and cannot fail: a change carries the whole record as it is afterwards.

mod reminders;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashTable;
use smol_str::SmolStr;

use crate::core::alert::Alert;
use crate::core::answers::Answers;
pub use crate::core::answers::Remembered;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::{Difference, Graph};
use crate::core::correlate::cause::Cause;
use crate::core::correlate::forest::{Forest, RecentChange};
use crate::core::correlate::habit::Habit;
use crate::core::correlate::node::Node;
pub use crate::core::counts::Counts;
use crate::core::counts::count;
use crate::core::deadlines::{Deadlines, bring_forward};
use crate::core::decision::{Change, Decision};
pub use crate::core::due::{DeadlineKey, Due};
use crate::core::escalate::Escalations;
use crate::core::heartbeat::Heartbeat;
use crate::core::identity::KeyHash;
use crate::core::ids::{AlertId, IncidentId, SourceId};
use crate::core::incident::Incident;
use crate::core::input::IdempotencyKey;
use crate::core::members::Members;
use crate::core::mute::{self, Mutes, Tally};
use crate::core::oncall::OnCall;
use crate::core::pages::{Pages, page_of};
use crate::core::practice::Practice;
use crate::core::records::Records;
use crate::core::silence::{SilenceChange, Silences};
use crate::core::tell::Tells;
use crate::core::ticket::Tickets;
use crate::core::time::Timestamp;

/// Everything that decisions depend on besides rules and input.
#[derive(Clone, Debug, Default)]
pub struct State {
    alerts: Pages<Alert>,
    keys: HashTable<AlertId>,
    /// Pairs of an incident and one that continues it.
    continued: BTreeSet<(IncidentId, IncidentId)>,
    incidents: Pages<IncidentSlot>,
    sources: Vec<SmolStr>,
    deadlines: Deadlines,
    answers: Answers,
    silences: Silences,
    pub(super) on_call: OnCall,
    pub(super) escalations: Escalations,
    tickets: Tickets,
    practice: Practice,
    records: Records,
    tally: Tally,
    pub(super) mutes: Mutes,
    tells: Tells,
    graph: Graph,
    causes: BTreeMap<IncidentId, Arc<Cause>>,
    forest: Forest,
    started_at: Option<Timestamp>,
    heartbeats: BTreeMap<SmolStr, Heartbeat>,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct IncidentSlot {
    incident: Incident,
    members: Members,
}

impl State {
    /// The alert with that key.
    pub fn alert_by_key(&self, key: KeyHash) -> Option<&Alert> {
        let of_key = |&id: &AlertId| self.alert(id).is_some_and(|alert| alert.key == key);
        self.alert(*self.keys.find(short_hash(key), of_key)?)
    }

    /// The alert with that id.
    pub fn alert(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(id.get())
    }

    /// Every alert held, by id.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter()
    }

    /// How many alerts are held.
    pub fn alert_count(&self) -> usize {
        self.alerts.len()
    }

    /// The incident with that number, unless it was closed for good.
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.incidents.get(id.get()).map(|slot| &slot.incident)
    }

    /// Every incident held, by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().map(|slot| &slot.incident)
    }

    /// The incidents held from that number on, by number.
    pub fn incidents_from(&self, id: IncidentId) -> impl Iterator<Item = &Incident> {
        let slots = self.incidents.iter_from(id.get());
        slots.map(|slot| &slot.incident)
    }

    /// The incidents held before that number, the newest first.
    pub fn incidents_before(&self, id: IncidentId) -> impl Iterator<Item = &Incident> {
        let slots = self.incidents.iter_back_from(id.get());
        slots.map(|slot| &slot.incident)
    }

    /// The incidents held that continue another one.
    pub fn continuations(&self, id: IncidentId) -> impl Iterator<Item = &Incident> {
        let of_it = (id, IncidentId::FIRST)..=(id, IncidentId::LAST);
        let found = self.continued.range(of_it);
        found.filter_map(|(_, next)| self.incident(*next))
    }

    /// The alerts of an incident, in order of joining.
    pub fn alerts_of(&self, id: IncidentId) -> &[AlertId] {
        self.incidents
            .get(id.get())
            .map_or(&[], |slot| slot.members.as_slice())
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
        self.answers.get(key.key)
    }

    /// What is silenced, and by what.
    pub fn silences(&self) -> &Silences {
        &self.silences
    }

    /// How many firing alerts of each incident are suppressed.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Changes what is silenced, as [`State::apply`] does; also used to load.
    pub fn put_silence(&mut self, change: &SilenceChange) {
        self.silences.apply(change, &self.graph);
        if let Some((alert, ..)) = change.pair() {
            self.note(alert);
        }
    }

    /// Counts an alert as suppressed in its incident, or no longer.
    fn note(&mut self, id: AlertId) {
        let alert = self.alert(id);
        let place =
            alert.and_then(|alert| mute::place_of(alert, self.silences.is_silenced(alert.id)));
        self.tally.note(id, place);
    }

    /// The tickets in other systems.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// The same, to load.
    pub fn tickets_mut(&mut self) -> &mut Tickets {
        &mut self.tickets
    }

    /// Where priorities come from, service level clocks, and what conditions look at.
    pub fn practice(&self) -> &Practice {
        &self.practice
    }

    /// The same, to load.
    pub fn practice_mut(&mut self) -> &mut Practice {
        &mut self.practice
    }

    /// Who was told of what.
    pub fn tells(&self) -> &Tells {
        &self.tells
    }

    /// The same, to load.
    pub fn tells_mut(&mut self) -> &mut Tells {
        &mut self.tells
    }

    /// The records beside incidents.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The same, to load.
    pub fn records_mut(&mut self) -> &mut Records {
        &mut self.records
    }

    /// The CMDB.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The active conditions.
    pub fn forest(&self) -> &Forest {
        &self.forest
    }

    /// What an incident is about; `None` when only its own alert is known about it.
    pub fn cause(&self, incident: IncidentId) -> Option<&Cause> {
        self.causes.get(&incident).map(|cause| &**cause)
    }

    /// Since when the daemon listens.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// A heartbeat that was heard of, or is waited for.
    pub fn heartbeat(&self, name: &str) -> Option<&Heartbeat> {
        self.heartbeats.get(name)
    }

    /// Every such heartbeat, by name.
    pub fn heartbeats(&self) -> impl Iterator<Item = &Heartbeat> {
        self.heartbeats.values()
    }

    /// How many of each there are.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn keep_links(&mut self, changes: &[Change]) {
        let incidents = &self.incidents;
        let is_held = |id: IncidentId| incidents.get(id.get()).is_some();
        self.records.keep_links(changes, is_held);
    }

    /// Makes the decision true.
    pub fn apply(&mut self, decision: &Decision) {
        let mut taken = Vec::new();
        for change in &decision.changes {
            match change {
                Change::SourceAdded { id, name } => self.add_source(*id, name.clone()),
                Change::AlertAdded { alert, .. }
                | Change::AlertChanged(alert)
                | Change::AlertRepeated(alert) => {
                    self.put_alert(alert.clone());
                }
                Change::Audited(_)
                | Change::AlertTextChanged { .. }
                | Change::AlertBound { .. }
                | Change::TitleChanged { .. }
                | Change::AlertLeft { .. } => {}
                Change::GraphChanged(difference) => self.change_graph(difference),
                Change::AlertForgotten(id) => self.forget_alert(*id),
                Change::IncidentChanged(incident) => self.put_incident(incident.clone()),
                Change::AlertJoined {
                    incident, alert, ..
                } => self.join(*incident, *alert),
                Change::AlertMoved { incident, alert } => self.leave(*incident, *alert),
                Change::NodeChanged(node) => self.put_node((**node).clone()),
                Change::HabitChanged(habit) => self.put_habit(habit.clone()),
                Change::NodeForgotten(id) => self.forest.forget(*id),
                Change::ChangeNoted { ci, change, .. } => self.put_change(*ci, change.clone()),
                Change::CauseChanged { incident, cause } => {
                    self.put_cause(*incident, Arc::clone(cause));
                }
                Change::LabelsKept { incident, labels } => {
                    self.practice.keep_labels(*incident, labels);
                }
                Change::IncidentForgotten(id) => self.forget_incident(*id),
                Change::DeadlinesTaken(pages) => taken = self.take_deadlines(*pages),
                Change::CommandRemembered { key, answer } => self.remember(*key, *answer),
                Change::OnCall(change) => self.on_call.apply(change),
                Change::Escalate(change) => self.escalations.apply(change),
                Change::Record(change) => self.records.apply(change),
                Change::Silence(change) => self.put_silence(change),
                Change::Window(change) => self.put_window(change),
                Change::Flap(change) => self.put_flap(change),
                Change::Variant(change) => self.put_variant(change),
                Change::Inhibit(change) => self.put_inhibition(change),
                Change::Fold(change) => self.put_fold(change),
                Change::Review(review) => self.put_review(*review),
                Change::Tell(change) => self.tells.apply(change),
                Change::Ticket(change) => self.tickets.apply(change),
                Change::Standing(change) => self.practice.standings.apply(change),
                Change::Sla(change) => self.practice.sla.apply(change),
                Change::Outcome(change) => self.practice.outcomes.apply(change),
                Change::HeartbeatChanged(heartbeat) => self.put_heartbeat(heartbeat.clone()),
                Change::HeartbeatForgotten(name) => drop(self.heartbeats.remove(name)),
                Change::Started(at) => self.started_at = Some(*at),
            }
        }
        self.keep_links(&decision.changes);
        for key in taken {
            self.remind_again(key);
        }
    }

    /// Puts an alert in place, as [`State::apply`] does; also used to load.
    pub fn put_alert(&mut self, alert: Alert) {
        let (id, due) = (alert.id, alert.due_at(self.started_at));
        if alert.is_firing() {
            count(&mut self.counts.firing, alert.severity, 1);
        }
        let reminder = match self.alerts.get_mut(id.get()) {
            Some((held, reminder)) => {
                if held.is_firing() {
                    count(&mut self.counts.firing, held.severity, -1);
                }
                *held = alert;
                reminder
            }
            None => {
                let alerts = &self.alerts;
                let hash = |&id: &AlertId| alerts.get(id.get()).map_or(0, |it| short_hash(it.key));
                self.keys.insert_unique(short_hash(alert.key), id, hash);
                self.alerts.insert(id.get(), alert)
            }
        };
        let key = DeadlineKey::Alerts(page_of(id.get()));
        bring_forward(&mut self.deadlines, reminder, (due, key));
        self.note(id);
    }

    /// Puts an incident in place, as [`State::apply`] does; also used to load.
    pub fn put_incident(&mut self, incident: Incident) {
        let (id, due) = (incident.id, incident.due_at());
        self.counts.count_incident(&incident, 1);
        self.continued.extend(incident.previous.map(|it| (it, id)));
        let reminder = match self.incidents.get_mut(id.get()) {
            Some((slot, reminder)) => {
                self.counts.count_incident(&slot.incident, -1);
                slot.incident = incident;
                reminder
            }
            None => {
                let members = Members::NONE;
                let slot = IncidentSlot { incident, members };
                self.incidents.insert(id.get(), slot)
            }
        };
        if let Some(due) = due {
            let key = DeadlineKey::Incidents(page_of(id.get()));
            bring_forward(&mut self.deadlines, reminder, (due, key));
        }
    }

    /// Adds an alert to an incident's list, as [`State::apply`] does; also used to load.
    pub fn join(&mut self, incident: IncidentId, alert: AlertId) {
        if let Some((slot, _)) = self.incidents.get_mut(incident.get()) {
            slot.members.add(alert);
        }
    }

    /// Notes a source's number, as [`State::apply`] does; also used to load, in order of number.
    pub fn add_source(&mut self, id: SourceId, name: SmolStr) {
        if usize::from(id.0) == self.sources.len() {
            self.sources.push(name);
        }
    }

    /// Puts in place what an incident is about, as [`State::apply`] does; also used to load.
    pub fn put_cause(&mut self, incident: IncidentId, cause: Arc<Cause>) {
        self.causes.insert(incident, cause);
    }

    /// Changes the CMDB, as [`State::apply`] does; also used to load.
    pub fn change_graph(&mut self, difference: &Difference) {
        self.graph.apply(difference);
        self.forest.regraph(&self.graph);
        self.silences.regraph(&self.graph);
    }

    /// Puts a condition in place, as [`State::apply`] does; also used to load, after the CMDB.
    pub fn put_node(&mut self, node: Node) {
        self.forest.put(&self.graph, node);
    }

    /// Notes a change of a CI, as [`State::apply`] does; also used to load, the oldest first.
    pub fn put_change(&mut self, ci: CiNumber, change: RecentChange) {
        self.forest.put_change(ci, change);
    }

    /// Notes with what a condition has come, as [`State::apply`] does; also used to load, the oldest first.
    pub fn put_habit(&mut self, habit: Habit) {
        self.forest.put_habit(habit);
    }

    fn leave(&mut self, incident: IncidentId, alert: AlertId) {
        if let Some((slot, _)) = self.incidents.get_mut(incident.get()) {
            slot.members.remove(alert);
        }
    }

    /// Notes the answer to a command, as [`State::apply`] does; also used to load.
    pub fn remember(&mut self, key: u64, remembered: Remembered) {
        self.answers.put(key, remembered);
    }

    /// Puts a heartbeat in place, as [`State::apply`] does; also used to load.
    pub fn put_heartbeat(&mut self, heartbeat: Heartbeat) {
        self.heartbeats.insert(heartbeat.name.clone(), heartbeat);
    }

    fn forget_alert(&mut self, id: AlertId) {
        let Some(key) = self.alert(id).map(|alert| alert.key) else {
            return;
        };
        if let Ok(entry) = self.keys.find_entry(short_hash(key), |&held| held == id) {
            entry.remove();
        }
        self.records.forget_alert(id);
        if let Some((alert, reminder)) = self.alerts.remove(id.get()) {
            if alert.is_firing() {
                count(&mut self.counts.firing, alert.severity, -1);
            }
            let key = DeadlineKey::Alerts(page_of(id.get()));
            self.drop_reminder(reminder, key);
        }
        self.note(id);
    }

    fn forget_incident(&mut self, id: IncidentId) {
        self.causes.remove(&id);
        self.tells.forget(id);
        self.records.forget_incident(id);
        self.practice.forget(id);
        if let Some((slot, reminder)) = self.incidents.remove(id.get()) {
            self.counts.count_incident(&slot.incident, -1);
            let previous = slot.incident.previous;
            previous.map(|previous| self.continued.remove(&(previous, id)));
            let key = DeadlineKey::Incidents(page_of(id.get()));
            self.drop_reminder(reminder, key);
        }
    }
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
            && self.answers == other.answers
            && self.silences == other.silences
            && self.on_call == other.on_call
            && self.escalations == other.escalations
            && self.tickets == other.tickets
            && self.practice == other.practice
            && self.records == other.records
            && self.tally == other.tally
            && self.mutes == other.mutes
            && self.tells == other.tells
            && self.heartbeats == other.heartbeats
            && self.graph == other.graph
            && self.causes == other.causes
            && self.forest == other.forest
    }
}

/// The part of a key's hash that places it in the table; it is uniform, being part of a SHA-256.
fn short_hash(key: KeyHash) -> u64 {
    u64::try_from(key.0 & u128::from(u64::MAX)).unwrap_or(0)
}
