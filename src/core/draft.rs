//! A decision in the making: the records it has touched so far, on top of the state.
//!
//! One input may touch an incident many times (a thousand expiries); the draft keeps one working copy of each, so
//! that the decision carries it once. Must not apply anything.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::{AlertId, IdFeed, IncidentId};
use crate::core::incident::{Incident, IncidentState};
use crate::core::reason::Reason;
use crate::core::severity::{Grade, Priority, Severity};
use crate::core::silence;
use crate::core::time::Timestamp;

/// A decision in the making.
pub(super) struct Draft<'a> {
    pub(super) world: World<'a>,
    pub(super) now: Timestamp,
    pub(super) ids: &'a mut IdFeed,
    pub(super) decision: Decision,
    touched: BTreeMap<IncidentId, Incident>,
    joins: Vec<Change>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        world: World<'a>,
        now: Timestamp,
        ids: &'a mut IdFeed,
        reason: Reason,
    ) -> Self {
        Self {
            world,
            now,
            ids,
            decision: Decision::because(reason),
            touched: BTreeMap::new(),
            joins: Vec::new(),
        }
    }

    /// The decision; every touched incident is one version further.
    pub(super) fn finish(mut self) -> Decision {
        for (_, mut incident) in self.touched {
            incident.version = incident.version.saturating_add(1);
            self.decision.change(Change::IncidentChanged(incident));
        }
        self.decision.changes.append(&mut self.joins);
        self.decision
    }

    /// The incident as it is now, without touching it.
    pub(super) fn peek(&self, id: IncidentId) -> Option<&Incident> {
        self.touched
            .get(&id)
            .or_else(|| self.world.state.incident(id))
    }

    /// The incident, to change.
    pub(super) fn touch(&mut self, id: IncidentId) -> Option<&mut Incident> {
        if !self.touched.contains_key(&id) {
            self.touched
                .insert(id, self.world.state.incident(id)?.clone());
        }
        self.touched.get_mut(&id)
    }

    /// Writes a timeline entry about an incident as it is in the draft.
    pub(super) fn say(
        &mut self,
        incident: Option<IncidentId>,
        alert: Option<AlertId>,
        reason: Reason,
    ) -> &mut crate::core::decision::Entry {
        let incident = incident.and_then(|id| {
            self.touched
                .get(&id)
                .or_else(|| self.world.state.incident(id))
        });
        self.decision.entry(self.ids, incident, alert, reason)
    }

    /// Whether an alert that fires again goes on in this incident: it is open, or inside its reopen window.
    pub(super) fn may_return_to(&self, id: IncidentId) -> bool {
        let reopen_window = self.world.rules.incident.reopen_window;
        self.peek(id).is_some_and(|incident| {
            let resolved_at = incident.resolved_at;
            incident.state.is_open()
                || resolved_at.is_some_and(|at| self.now < at.plus(reopen_window))
        })
    }

    /// Brings an alert that fires (again) to an incident: its own open one, its last one inside the reopen
    /// window, or a new one.
    pub(super) fn attach(&mut self, alert: &mut Alert, title: Option<&SmolStr>) {
        let (now, severity) = (self.now, alert.severity);
        let last = alert.incident.filter(|id| self.may_return_to(*id));
        let Some(incident) = last.and_then(|id| self.touch(id)) else {
            let previous = alert.incident;
            self.open(alert, previous, title);
            return;
        };
        let id = incident.id;
        incident.firing = incident.firing.saturating_add(1);
        let was_recovering = incident.recovers_at.take().is_some();
        if incident.state.is_open() {
            if was_recovering {
                self.say(Some(id), Some(alert.id), Reason::RecoveryInterrupted);
            }
            self.regrade(id, severity, alert.id);
        } else {
            incident.enter(IncidentState::New, now);
            incident.reopen_count = incident.reopen_count.saturating_add(1);
            incident.severity = severity;
            incident.priority = Priority::of(Grade::of_severity(severity));
            self.title(id, title);
            self.say(Some(id), Some(alert.id), Reason::IncidentReopened);
        }
        self.decision.incident = Some(id);
    }

    /// Opens a new incident for an alert.
    fn open(&mut self, alert: &mut Alert, previous: Option<IncidentId>, title: Option<&SmolStr>) {
        let id = self.ids.incident();
        let mut incident = Incident::open(id, alert.severity, self.now);
        incident.previous = previous;
        incident.firing = 1;
        self.insert(incident);
        self.title(id, title);
        let reason = match previous {
            Some(_) => Reason::LinkedIncidentOpened,
            None => Reason::IncidentOpened,
        };
        // The message being decided counts for the incident that it opens.
        let counted = alert.count.saturating_sub(1);
        self.move_to(alert, id, counted);
        let entry = self.say(Some(id), Some(alert.id), reason);
        entry.note = previous.map(|previous| format!("continues {previous}").into());
        self.decision.incident = Some(id);
    }

    /// Puts a new incident into the draft.
    pub(super) fn insert(&mut self, incident: Incident) {
        self.touched.insert(incident.id, incident);
    }

    /// Makes an alert a member of an incident, and no longer of its last one, to which `counted` of its messages
    /// in all belong.
    pub(super) fn move_to(&mut self, alert: &mut Alert, id: IncidentId, counted: i64) {
        if let Some(previous) = alert.incident {
            let events = counted.saturating_sub(alert.count_before);
            self.decision.change(Change::AlertLeft {
                incident: previous,
                alert: alert.id,
                events,
            });
        }
        alert.incident = Some(id);
        alert.count_before = counted;
        if let Some(incident) = self.touch(id) {
            incident.total = incident.total.saturating_add(1);
        }
        self.joins.push(Change::AlertJoined {
            incident: id,
            alert: alert.id,
            at: self.now,
        });
    }

    /// Ends the episode of a firing alert and lets its incident recover when it was the last.
    pub(super) fn end(
        &mut self,
        alert: &mut Alert,
        by: EndedBy,
        ends_at: Timestamp,
        reason: Reason,
    ) {
        let now = self.now;
        let recover_after = self.world.rules.incident.recover_after;
        alert.status = AlertStatus::Ended(by);
        alert.ends_at = Some(ends_at.max(alert.starts_at));
        alert.lease_at = now;
        alert.late = Late::None;
        alert.is_muted_upstream = false;
        silence::alert_ended(self, alert.id);
        self.say(alert.incident, Some(alert.id), reason);
        let Some(incident) = alert.incident.and_then(|id| self.touch(id)) else {
            return;
        };
        let id = incident.id;
        incident.firing = incident.firing.saturating_sub(1);
        if incident.firing == 0 && incident.state.is_open() {
            incident.recovers_at = Some(now.plus(recover_after));
            self.say(Some(id), None, Reason::RecoveryStarted);
        }
        self.decision.incident = Some(id);
    }

    /// Lets the incident's priority follow the severity of its alerts: up at once, down only when it has one alert.
    pub(super) fn regrade(&mut self, id: IncidentId, severity: Severity, alert: AlertId) {
        let Some(incident) = self.peek(id) else {
            return;
        };
        let is_worse = severity < incident.severity;
        let is_follower = incident.total == 1 && severity != incident.severity;
        if !is_worse && !is_follower {
            return;
        }
        let Some(incident) = self.touch(id) else {
            return;
        };
        incident.severity = severity;
        let before = incident.priority;
        incident.priority = Priority::of(Grade::of_severity(severity));
        let after = incident.priority;
        if before != after {
            let entry = self.say(Some(id), Some(alert), Reason::PriorityChanged);
            entry.note = Some(format!("{} to {}", before.word(), after.word()).into());
        }
    }

    fn title(&mut self, incident: IncidentId, title: Option<&SmolStr>) {
        if let Some(title) = title {
            self.decision.change(Change::TitleChanged {
                incident,
                title: title.clone(),
            });
        }
    }
}
