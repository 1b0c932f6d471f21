//! When time alone has something to do: what is due, and the reminders of pages of records.
//!
//! Must not decide what becomes of it.

use crate::core::deadlines::bring_forward;
use crate::core::due::{DeadlineKey, Due};
use crate::core::time::Timestamp;

use super::State;

impl State {
    /// When to call with [`crate::core::input::Input::DeadlineReached`] next; it may find nothing to do then.
    pub fn next_deadline(&self) -> Option<(Timestamp, DeadlineKey)> {
        let silences = [self.silences.next_due(), self.mutes.next_due()];
        let heartbeats = self.heartbeats.values();
        let missed = heartbeats.map(|heartbeat| heartbeat.due(self.started_at));
        let timed = |due: Option<Timestamp>, key| due.map(|at| (at, key));
        [
            self.deadlines.first().copied(),
            timed(self.forest.next_due(), DeadlineKey::Conditions),
            timed(silences.into_iter().flatten().min(), DeadlineKey::Silences),
            timed(self.escalations.next_due(), DeadlineKey::Escalations),
            timed(missed.min(), DeadlineKey::Heartbeats),
            timed(self.records.next_due(), DeadlineKey::Records),
            timed(self.practice.next_due(), DeadlineKey::Practice),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is due by `now`, at most so many records.
    pub fn due(&self, now: Timestamp, at_most: usize) -> Due {
        let mut due = Due::default();
        for &(at, key) in &self.deadlines {
            let left = at_most.saturating_sub(due.alerts.len().saturating_add(due.incidents.len()));
            if at > now || left == 0 {
                break;
            }
            due.pages = due.pages.saturating_add(1);
            match key {
                DeadlineKey::Alerts(page) => {
                    let alerts = self.alerts.page(page);
                    let alerts = alerts.filter(|alert| alert.due_at(self.started_at) <= now);
                    due.alerts.extend(alerts.take(left).map(|alert| alert.id));
                }
                DeadlineKey::Heartbeats => {}
                DeadlineKey::Incidents(page) => {
                    let incidents = self.incidents.page(page).map(|slot| &slot.incident);
                    let incidents = incidents.filter(|it| it.due_at().is_some_and(|at| at <= now));
                    due.incidents
                        .extend(incidents.take(left).map(|incident| incident.id));
                }
                // They keep their own order of time.
                DeadlineKey::Silences
                | DeadlineKey::Conditions
                | DeadlineKey::Records
                | DeadlineKey::Escalations
                | DeadlineKey::Practice => {}
            }
        }
        due
    }

    pub(super) fn drop_reminder(&mut self, reminder: Option<Timestamp>, key: DeadlineKey) {
        if let Some(at) = reminder {
            self.deadlines.remove(&(at, key));
        }
    }

    pub(super) fn take_deadlines(&mut self, pages: usize) -> Vec<DeadlineKey> {
        let mut taken = Vec::new();
        while taken.len() < pages
            && let Some((_, key)) = self.deadlines.pop_first()
        {
            let reminder = match key {
                DeadlineKey::Alerts(page) => self.alerts.reminder(page),
                DeadlineKey::Incidents(page) => self.incidents.reminder(page),
                DeadlineKey::Silences
                | DeadlineKey::Heartbeats
                | DeadlineKey::Conditions
                | DeadlineKey::Records
                | DeadlineKey::Escalations
                | DeadlineKey::Practice => None,
            };
            if let Some(reminder) = reminder {
                *reminder = None;
            }
            taken.push(key);
        }
        taken
    }

    /// Sets the reminder of a page that was looked through.
    pub(super) fn remind_again(&mut self, key: DeadlineKey) {
        let (due, reminder) = match key {
            DeadlineKey::Alerts(page) => {
                let alerts = self.alerts.page(page);
                let due = alerts.map(|alert| alert.due_at(self.started_at)).min();
                (due, self.alerts.reminder(page))
            }
            DeadlineKey::Heartbeats => return,
            DeadlineKey::Incidents(page) => {
                let incidents = self.incidents.page(page);
                let due = incidents.filter_map(|slot| slot.incident.due_at()).min();
                (due, self.incidents.reminder(page))
            }
            DeadlineKey::Silences
            | DeadlineKey::Conditions
            | DeadlineKey::Records
            | DeadlineKey::Escalations
            | DeadlineKey::Practice => return,
        };
        if let (Some(due), Some(reminder)) = (due, reminder) {
            bring_forward(&mut self.deadlines, reminder, (due, key));
        }
    }
}
