//! Flapping: an alert that comes and goes.
//!
//! An alert that changed so many times within a while flaps. Its incident is told so once and then has to stay calm for
//! longer before it resolves, so that people read of one incident and not of every change. Every change is in the
//! timeline all the same. Only alerts that have come back are remembered. Must not end or hide anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::alert::{Alert, AlertStatus, EndedBy};
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

/// Alerts of an incident that are looked at to tell whether one flaps; of a crowd the first tell enough.
const LOOKED_AT_MAX: usize = 100;

/// When an alert flaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlapRules {
    /// So many changes ...
    pub changes: u32,
    /// ... within this time.
    pub window: Span,
    /// All alerts must stay resolved this long before an incident with a flapping one resolves; one that fires this
    /// long without a change flaps no more.
    pub recover_after: Span,
}

impl Default for FlapRules {
    fn default() -> Self {
        Self {
            changes: 4,
            window: Span::from_mins(15),
            recover_after: Span::from_mins(10),
        }
    }
}

/// What is remembered of an alert that has come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// Which.
    pub alert: AlertId,
    /// Its last changes, oldest first.
    pub changes: Vec<Timestamp>,
    /// Whether it flaps.
    pub is_flapping: bool,
    /// When it is forgotten, and flaps no more, unless it changes before.
    pub until: Timestamp,
}

/// One change of what is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlapChange {
    /// An alert changed again.
    Changed(Arc<Flap>),
    /// An alert has been calm.
    Calm(AlertId),
}

/// The alerts that came back not long ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flaps {
    by_alert: BTreeMap<AlertId, Arc<Flap>>,
    due: BTreeSet<(Timestamp, AlertId)>,
}

impl Flaps {
    /// Whether an alert flaps.
    pub fn is_flapping(&self, alert: AlertId) -> bool {
        self.by_alert.get(&alert).is_some_and(|it| it.is_flapping)
    }

    /// When one has been calm for long enough.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Makes a change true; also used to load.
    pub(in crate::core) fn apply(&mut self, change: &FlapChange) {
        match change {
            FlapChange::Changed(flap) => {
                self.remove(flap.alert);
                self.due.insert((flap.until, flap.alert));
                self.by_alert.insert(flap.alert, Arc::clone(flap));
            }
            FlapChange::Calm(alert) => self.remove(*alert),
        }
    }

    fn remove(&mut self, alert: AlertId) {
        if let Some(before) = self.by_alert.remove(&alert) {
            self.due.remove(&(before.until, alert));
        }
    }
}

/// Whether an incident has an alert that flaps.
pub fn is_flapping(state: &State, incident: IncidentId) -> bool {
    let flaps = state.flaps();
    let members = || state.alerts_of(incident).iter().take(LOOKED_AT_MAX);
    !flaps.by_alert.is_empty() && members().any(|alert| flaps.is_flapping(*alert))
}

/// The same as a decision in the making has it so far.
pub(in crate::core) fn is_flapping_in(draft: &Draft<'_>, incident: IncidentId) -> bool {
    let mut said: BTreeMap<AlertId, bool> = BTreeMap::new();
    for change in &draft.decision.changes {
        if let Change::Flap(change) = change {
            match change {
                FlapChange::Changed(flap) => said.insert(flap.alert, flap.is_flapping),
                FlapChange::Calm(alert) => said.insert(*alert, false),
            };
        }
    }
    let state = draft.world.state;
    if said.is_empty() {
        return is_flapping(state, incident);
    }
    let mut members = state.alerts_of(incident).iter().take(LOOKED_AT_MAX);
    members.any(|alert| {
        let said = said.get(alert).copied();
        said.unwrap_or_else(|| state.flaps().is_flapping(*alert))
    })
}

/// Notes which alerts a decision in the making begins or ends, at its end.
pub(in crate::core) fn look(draft: &mut Draft<'_>) {
    let state = draft.world.state;
    let mut changed: BTreeMap<AlertId, Alert> = BTreeMap::new();
    for change in &draft.decision.changes {
        if let Change::AlertChanged(alert) = change {
            let before = state.alert(alert.id);
            if before.is_some_and(|before| before.is_firing() != alert.is_firing()) {
                changed.insert(alert.id, alert.clone());
            }
        }
    }
    for alert in changed.values() {
        alert_changed(draft, alert);
    }
}

fn alert_changed(draft: &mut Draft<'_>, alert: &Alert) {
    let (state, now, rules) = (draft.world.state, draft.now, draft.world.rules.flapping);
    let is_recent = |at: Timestamp| at.plus(rules.window) > now;
    let known = state.flaps().by_alert.get(&alert.id);
    let first = came_back(state, alert).filter(|at| is_recent(*at));
    let changes = match known {
        Some(known) => known.changes.clone(),
        None => first.into_iter().collect(),
    };
    if changes.is_empty() {
        longer_recovery(draft, alert, now);
        return;
    }
    let most = usize::try_from(rules.changes.max(1)).unwrap_or(usize::MAX);
    let mut changes: Vec<Timestamp> = changes.into_iter().filter(|at| is_recent(*at)).collect();
    changes.push(now);
    let surplus = changes.len().saturating_sub(most);
    changes.drain(..surplus);
    let was_flapping = known.is_some_and(|it| it.is_flapping);
    let is_flapping = was_flapping || changes.len() >= most;
    let calm_after = if is_flapping {
        rules.recover_after
    } else {
        rules.window
    };
    let flap = Flap {
        alert: alert.id,
        changes,
        is_flapping,
        until: now.plus(calm_after),
    };
    let change = FlapChange::Changed(Arc::new(flap));
    draft.decision.change(Change::Flap(change));
    if is_flapping && !was_flapping {
        if let Some(incident) = alert.incident {
            draft.touch(incident);
        }
        let minutes = rules.window.as_millis().div_euclid(60_000);
        let entry = draft.say(alert.incident, Some(alert.id), Reason::FlappingStarted);
        entry.note = Some(format!("{most} changes within {minutes} minutes").into());
    }
    if is_flapping {
        recover_later(draft, alert, now.plus(rules.recover_after));
    } else {
        longer_recovery(draft, alert, now);
    }
}

/// When an alert that fires again had ended, if the source itself had ended it.
fn came_back(state: &State, alert: &Alert) -> Option<Timestamp> {
    let before = state.alert(alert.id).filter(|_| alert.is_firing())?;
    match before.status {
        AlertStatus::Ended(EndedBy::Resolved | EndedBy::Reconciled) => Some(before.lease_at),
        AlertStatus::Ended(EndedBy::Expired | EndedBy::Person) | AlertStatus::Firing => None,
    }
}

/// The last alert of an incident ended; another one of it flaps.
fn longer_recovery(draft: &mut Draft<'_>, alert: &Alert, now: Timestamp) {
    let state = draft.world.state;
    let incident = alert.incident.filter(|_| !alert.is_firing());
    if incident.is_some_and(|incident| is_flapping(state, incident)) {
        let wait = draft.world.rules.flapping.recover_after;
        recover_later(draft, alert, now.plus(wait));
    }
}

/// Moves the recovery of an alert's incident, if that is under way.
fn recover_later(draft: &mut Draft<'_>, alert: &Alert, at: Timestamp) {
    let Some(id) = alert.incident.filter(|_| !alert.is_firing()) else {
        return;
    };
    let incident = draft.peek(id);
    let is_sooner = incident.is_some_and(|it| it.recovers_at.is_some_and(|due| due < at));
    if is_sooner && let Some(incident) = draft.touch(id) {
        incident.recovers_at = Some(at);
    }
}

/// Forgets what has been calm for long enough; at most so many in one decision.
pub(in crate::core) fn decide_due(draft: &mut Draft<'_>) {
    let (state, now) = (draft.world.state, draft.now);
    let due = state.flaps().due.iter().take_while(|(at, _)| *at <= now);
    let due: Vec<AlertId> = due
        .take(limits::DEADLINES_PER_DECISION)
        .map(|(_, alert)| *alert)
        .collect();
    for id in due {
        let change = FlapChange::Calm(id);
        draft.decision.change(Change::Flap(change));
        if !state.flaps().is_flapping(id) {
            continue;
        }
        let incident = state.alert(id).and_then(|alert| alert.incident);
        let incident = incident.filter(|incident| {
            let held = state.incident(*incident);
            held.is_some_and(|held| held.state.is_open())
        });
        if let Some(incident) = incident {
            draft.touch(incident);
        }
        // What stays ended is told by the end of its incident.
        if state.alert(id).is_some_and(Alert::is_firing) {
            draft.say(incident, Some(id), Reason::FlappingEnded);
        }
    }
}
