//! What became of messages that were sent: marks, the breaker, and word to the incident of what is given up.
//!
//! Must not send anything.

use super::{Flight, REPORTS_MAX, Worker};
use crate::core::tell::event::Event;
use crate::core::tell::undelivered::Undelivered;
use crate::core::time::Timestamp;
use crate::deliver::queue::{LaneKey, Row};
use crate::deliver::rows::claim;
use crate::deliver::{Failure, Outcome, retry};
use crate::store::outbox::work::{Mark, Standing};

impl Worker {
    /// Takes in what has come back without waiting.
    pub(super) fn land_more(&mut self) {
        while let Some(flight) = self.flights.try_join_next() {
            self.land(flight);
        }
    }

    /// Notes what became of a message.
    pub(super) fn land(&mut self, flight: Result<Flight, tokio::task::JoinError>) {
        let flight = match flight {
            Ok(flight) => flight,
            Err(error) => {
                // Its lane stays busy until the next start, when it counts as one that may have arrived.
                log::error!(error:% = error; "a message failed by a defect: {error}");
                return;
            }
        };
        let Flight {
            key,
            row,
            attempt,
            opened_at,
        } = flight;
        let now = self.setup.clock.now();
        match attempt.outcome {
            Outcome::Arrived => {
                if row.event == Event::Opened
                    && let Some(opened_at) = opened_at
                {
                    let waited = now.since(opened_at).as_millis();
                    self.setup.metrics.notified(waited);
                }
                self.arrived(now);
                self.marks.push(Mark {
                    standing: Standing::Sent,
                    may_have_arrived: true,
                    ended_at: Some(now),
                    status: attempt.status,
                    ..claim(&row)
                });
                self.queue.give_back(&key, &[row.id], None, now);
            }
            Outcome::Failed(failure) => self.failed(&key, row, (failure, attempt.status), now),
        }
    }

    fn arrived(&mut self, now: Timestamp) {
        self.count("sent");
        let was_open = self.breaker.failures() > 0;
        self.breaker.succeeded();
        if was_open {
            self.queue.hurry(now);
        }
        self.post.change(|health| {
            health.sent = health.sent.saturating_add(1);
            health.failures = 0;
            health.last_sent_at = Some(now);
            health.closed_until = None;
        });
    }

    fn failed(
        &mut self,
        key: &LaneKey,
        row: Row,
        (failure, status): (Failure, Option<i64>),
        now: Timestamp,
    ) {
        let Failure {
            error,
            may_have_arrived,
            is_final,
            is_own_fault,
            asked,
        } = failure;
        if !is_own_fault {
            self.breaker.failed(now, asked);
        }
        let pause = retry::pause(row.id, row.attempts).max(asked.unwrap_or_default());
        let due_at = now.plus(pause);
        let is_late = due_at > row.created_at.plus(self.target.retry_for);
        let is_dead = is_final || is_late;
        let row = Row {
            may_have_arrived: row.may_have_arrived || may_have_arrived,
            due_at,
            ..row
        };
        self.marks.push(Mark {
            standing: if is_dead {
                Standing::Dead
            } else {
                Standing::Pending
            },
            may_have_arrived: row.may_have_arrived,
            ended_at: is_dead.then_some(now),
            status,
            reason: is_dead.then_some(if is_final { "rejected" } else { "gave_up" }),
            error: Some(error.clone()),
            ..claim(&row)
        });
        self.count(if is_dead { "dead" } else { "failed" });
        self.told_of_failure(&error, is_dead, now);
        if is_dead {
            self.report_lost(key, row.event, &error);
            self.queue.give_back(key, &[row.id], None, now);
        } else {
            self.queue.give_back(key, &[], Some(row), now);
        }
    }

    /// Lets the incident know what it cannot tell; of a flood the outbox keeps the rest.
    fn report_lost(&mut self, key: &LaneKey, event: Event, error: &str) {
        while self.reports.try_join_next().is_some() {}
        let Some(incident) = key.incident.filter(|_| self.reports.len() < REPORTS_MAX) else {
            return;
        };
        let lost = Undelivered {
            incident,
            target: self.target.name.as_str().into(),
            event: event.word().into(),
            error: error.into(),
        };
        self.reports.spawn((self.setup.lost)(lost));
    }

    fn told_of_failure(&self, error: &str, is_dead: bool, now: Timestamp) {
        let target = self.target.name.as_str();
        let failures = self.breaker.failures();
        if is_dead {
            log::error!(target_name = target, error = error; "a message to {target} is given up: {error}");
        } else if failures <= 1 {
            log::warn!(target_name = target, error = error; "a message to {target} failed and is tried again: {error}");
        }
        let closed_until = self.breaker.closed_until();
        self.post.change(|health| {
            health.failed = health.failed.saturating_add(1);
            health.failures = failures;
            health.last_failed_at = Some(now);
            health.last_error = Some(error.to_owned());
            health.closed_until = closed_until;
        });
    }

    pub(super) fn count(&self, outcome: &'static str) {
        self.setup
            .metrics
            .deliveries(&self.target.name, outcome)
            .inc();
    }
}
