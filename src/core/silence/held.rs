//! The silences that are pending or active, and which firing alerts they silence.
//!
//! Held per alert only where there is a silence. Must not decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Silence, SilenceChange, SilenceState};
use crate::core::ids::{AlertId, SilenceId};
use crate::core::time::Timestamp;

/// The label by which silences are found first; nearly every one names it.
const ALERTNAME: &str = "alertname";

/// Silences by id, with their indexes.
#[derive(Clone, Debug, Default)]
pub struct Silences {
    by_id: BTreeMap<SilenceId, Arc<Silence>>,
    by_name: BTreeMap<SmolStr, BTreeSet<SilenceId>>,
    nameless: BTreeSet<SilenceId>,
    due: BTreeSet<(Timestamp, SilenceId)>,
    of_silence: BTreeSet<(SilenceId, AlertId)>,
    of_alert: BTreeSet<(AlertId, SilenceId)>,
}

/// Two are equal when they hold the same silences and alerts; the indexes follow from those.
impl PartialEq for Silences {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id && self.of_alert == other.of_alert
    }
}

impl Silences {
    /// The silence with that number, unless it is over.
    pub fn get(&self, id: SilenceId) -> Option<&Arc<Silence>> {
        self.by_id.get(&id)
    }

    /// Every silence that is not over, in order of making.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The silence that was made by an order with that key.
    pub fn made_once(&self, once: u64) -> Option<&Arc<Silence>> {
        self.iter().find(|silence| silence.once == Some(once))
    }

    /// The silences that keep people from being told of an alert, in order of making.
    pub fn of(&self, alert: AlertId) -> impl Iterator<Item = &Arc<Silence>> {
        let (first, last) = (SilenceId::FIRST, SilenceId::LAST);
        let range = self.of_alert.range((alert, first)..=(alert, last));
        range.filter_map(|(_, id)| self.get(*id))
    }

    /// Whether any silence does.
    pub fn is_silenced(&self, alert: AlertId) -> bool {
        self.of(alert).next().is_some()
    }

    /// Whether this silence does.
    pub fn has(&self, alert: AlertId, silence: SilenceId) -> bool {
        self.of_alert.contains(&(alert, silence))
    }

    /// The alerts that a silence keeps people from being told of.
    pub fn alerts_of(&self, silence: SilenceId) -> impl Iterator<Item = AlertId> {
        let (first, last) = (AlertId::FIRST, AlertId::LAST);
        let range = self.of_silence.range((silence, first)..=(silence, last));
        range.map(|(_, alert)| *alert)
    }

    /// The silences that are active and match these labels. Looks only at those without an exact `alertname` and those
    /// with the alert's own.
    pub fn matching<'a, 'l>(
        &'a self,
        now: Timestamp,
        label: impl Fn(&str) -> Option<&'l str>,
    ) -> Vec<SilenceId> {
        let named = label(ALERTNAME).and_then(|name| self.by_name.get(name));
        let candidates = named.into_iter().flatten().chain(&self.nameless);
        let silences = candidates.filter_map(|id| self.get(*id));
        silences
            .filter(|it| it.state(now) == SilenceState::Active && it.is_match(&label))
            .map(|silence| silence.id)
            .collect()
    }

    /// Whether any is active.
    pub fn is_any_active(&self, now: Timestamp) -> bool {
        self.iter().any(|it| it.state(now) == SilenceState::Active)
    }

    /// When the next begins or ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Those that began or ended by now, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Silence>> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.get(*id))
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &SilenceChange) {
        match change {
            SilenceChange::Changed(silence) => self.put(silence),
            SilenceChange::Over(id) => self.remove(*id),
            SilenceChange::Silenced(alert, silence) => {
                self.of_alert.insert((*alert, *silence));
                self.of_silence.insert((*silence, *alert));
            }
            SilenceChange::Unsilenced(alert, silence) => {
                self.of_alert.remove(&(*alert, *silence));
                self.of_silence.remove(&(*silence, *alert));
            }
            // The store keeps the list; a reader works it off.
            SilenceChange::Unchecked(_) | SilenceChange::Checked(_) => {}
        }
    }

    fn put(&mut self, silence: &Arc<Silence>) {
        if let Some(before) = self.by_id.insert(silence.id, Arc::clone(silence)) {
            self.due.remove(&(before.due_at(), before.id));
        }
        self.due.insert((silence.due_at(), silence.id));
        let place = match exact_name(silence) {
            Some(name) => self.by_name.entry(name.clone()).or_default(),
            None => &mut self.nameless,
        };
        place.insert(silence.id);
    }

    fn remove(&mut self, id: SilenceId) {
        let Some(silence) = self.by_id.remove(&id) else {
            return;
        };
        self.due.remove(&(silence.due_at(), id));
        self.nameless.remove(&id);
        if let Some(name) = exact_name(&silence)
            && let Some(ids) = self.by_name.get_mut(name)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_name.remove(name);
            }
        }
    }
}

fn exact_name(silence: &Silence) -> Option<&SmolStr> {
    let named = silence.matchers.iter().filter(|it| it.name() == ALERTNAME);
    // `alertname=""` also means alerts without that label, which are not found by their name.
    named
        .filter_map(|matcher| matcher.exactly())
        .find(|name| !name.is_empty())
}
