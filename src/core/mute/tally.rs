//! How many firing alerts of each incident are suppressed, kept while changes are applied.
//!
//! So that it costs the same to ask of an incident with one alert and of one with a hundred thousand. Follows from
//! alerts and silences alone and is never stored. Must not decide what is suppressed by what.

use std::collections::BTreeMap;

use crate::core::alert::Alert;
use crate::core::decision::Change;
use crate::core::ids::{AlertId, IncidentId, SilenceId};
use crate::core::incident::Incident;
use crate::core::mute::inhibit::InhibitChange;
use crate::core::state::State;

/// The suppressed firing alerts, and how many there are of each incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counted: BTreeMap<AlertId, IncidentId>,
    counts: BTreeMap<IncidentId, u32>,
}

impl Tally {
    /// How many firing alerts of an incident are suppressed.
    pub fn count(&self, incident: IncidentId) -> u32 {
        self.counts.get(&incident).copied().unwrap_or(0)
    }

    /// Notes in which incident an alert fires and is suppressed, if it is.
    pub(in crate::core) fn note(&mut self, alert: AlertId, place: Option<IncidentId>) {
        // Nearly every alert was not suppressed before and is not now.
        let before = match place {
            Some(incident) => self.counted.insert(alert, incident),
            None if self.counted.is_empty() => None,
            None => self.counted.remove(&alert),
        };
        if before == place {
            return;
        }
        if let Some(incident) = place {
            let count = self.counts.entry(incident).or_default();
            *count = count.saturating_add(1);
        }
        if let Some(incident) = before
            && let Some(count) = self.counts.get_mut(&incident)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&incident);
            }
        }
    }

    /// Where an alert counts.
    fn place(&self, alert: AlertId) -> Option<IncidentId> {
        self.counted.get(&alert).copied()
    }
}

/// In which incident an alert counts as suppressed.
pub(in crate::core) fn place_of(alert: &Alert, is_silenced: bool) -> Option<IncidentId> {
    let is_suppressed = alert.is_firing() && (alert.is_muted_upstream || is_silenced);
    alert.incident.filter(|_| is_suppressed)
}

/// The tally as a decision in the making will leave it.
#[derive(Debug, Default)]
pub(in crate::core) struct View {
    moved: BTreeMap<IncidentId, i64>,
    /// The incidents that are held by another one from now on, or no longer.
    inhibited: BTreeMap<IncidentId, bool>,
    /// The silences that let go of an alert, by the incident that it belongs to.
    released: Vec<(IncidentId, SilenceId)>,
}

/// What a decision says about one alert.
#[derive(Default)]
struct Said<'a> {
    alert: Option<&'a Alert>,
    silences: BTreeMap<SilenceId, bool>,
}

impl View {
    /// Looks through the changes so far.
    pub(in crate::core) fn of(state: &State, changes: &[Change]) -> Self {
        let mut said: BTreeMap<AlertId, Said<'_>> = BTreeMap::new();
        let mut is_any = !state.tally().counted.is_empty();
        let mut inhibited = BTreeMap::new();
        for change in changes {
            if let Change::Inhibit(change) = change {
                let is_held = matches!(change, InhibitChange::Held(_));
                inhibited.insert(change.incident(), is_held);
            }
            if let Change::AlertAdded { alert, .. }
            | Change::AlertChanged(alert)
            | Change::AlertRepeated(alert) = change
            {
                is_any |= alert.is_muted_upstream;
                said.entry(alert.id).or_default().alert = Some(alert);
            }
            if let Change::Silence(silence) = change
                && let Some((alert, silence, is_new)) = silence.pair()
            {
                is_any |= is_new;
                let said = said.entry(alert).or_default();
                said.silences.insert(silence, is_new);
            }
        }
        let mut view = Self {
            inhibited,
            ..Self::default()
        };
        if is_any {
            for (id, said) in &said {
                view.add(state, *id, said);
            }
        }
        view
    }

    fn add(&mut self, state: &State, id: AlertId, said: &Said<'_>) {
        let silences = state.silences();
        let is_kept = |silence: SilenceId| said.silences.get(&silence) != Some(&false);
        let is_silenced = said.silences.values().any(|&is_new| is_new)
            || silences.of(id).any(|silence| is_kept(silence.id));
        let Some(alert) = said.alert.or_else(|| state.alert(id)) else {
            return;
        };
        let (before, after) = (state.tally().place(id), place_of(alert, is_silenced));
        if before != after {
            for (incident, by) in [(before, -1), (after, 1)] {
                if let Some(incident) = incident {
                    let moved = self.moved.entry(incident).or_default();
                    *moved = moved.saturating_add(by);
                }
            }
        }
        let let_go = said.silences.iter().filter(|(_, is_new)| !**is_new);
        if let Some(incident) = alert.incident {
            self.released
                .extend(let_go.map(|(silence, _)| (incident, *silence)));
        }
    }

    /// The incidents in which something is suppressed now, or no longer.
    pub(in crate::core) fn incidents(&self) -> impl Iterator<Item = IncidentId> {
        self.moved.keys().chain(self.inhibited.keys()).copied()
    }

    /// Whether an incident is held as the decision leaves it.
    pub(in crate::core) fn is_held(&self, state: &State, incident: &Incident) -> bool {
        let before = i64::from(state.tally().count(incident.id));
        let moved = self.moved.get(&incident.id).copied().unwrap_or(0);
        let count = u32::try_from(before.saturating_add(moved)).unwrap_or(0);
        let inhibited = self.inhibited.get(&incident.id).copied();
        let is_inhibited = || state.inhibitions().of(incident.id).is_some();
        super::is_all(count, incident) || inhibited.unwrap_or_else(is_inhibited)
    }

    /// The silences that let go of alerts of an incident, each once.
    pub(in crate::core) fn released(&self, incident: IncidentId) -> Vec<SilenceId> {
        let of_it = self.released.iter().filter(|(of, _)| *of == incident);
        let mut silences: Vec<SilenceId> = of_it.map(|(_, silence)| *silence).collect();
        silences.sort_unstable();
        silences.dedup();
        silences
    }
}
