//! Messages to targets that are no longer configured: nobody works them off, so they end, visibly.
//!
//! They are dead like any other that is given up: counted, told in the incident's history, and to be tried again by a
//! person once the target is back. Must not touch a message of a target that has a worker.

use std::collections::BTreeSet;

use crate::core::tell::event::Event;
use crate::core::tell::undelivered::Undelivered;
use crate::store::StoreError;
use crate::store::outbox::work::{Mark, OutboxStep, Standing, list_due};

use super::DeliverSetup;
use super::queue::LaneKey;
use super::rows::{claim, into_row};

/// Messages that end at once.
const ROWS_AT_ONCE: i64 = 1_000;
/// Incidents that hear of it each time; of a flood the outbox keeps the rest.
const REPORTS_MAX: usize = 100;
/// Why they are not sent, as a stable word.
const REASON: &str = "target_removed";
/// The same in words.
const WORDS: &str =
    "target removed: the configuration no longer names it; try again once it is back";

/// Which targets without a worker had messages at the last look.
#[derive(Debug, Default)]
pub struct Strays(BTreeSet<String>);

impl Strays {
    /// Those that were seen before too: what a reload is just about to give a worker is spared.
    pub fn settled(&mut self, seen: BTreeSet<String>) -> Vec<String> {
        let both = self.0.intersection(&seen).cloned().collect();
        self.0 = seen;
        both
    }
}

/// Ends everything that waits for a target that is gone.
///
/// # Errors
/// The store cannot be read or written.
pub async fn end(setup: &DeliverSetup, target: &str) -> Result<(), StoreError> {
    let mut lost = Vec::new();
    let mut count = 0_u64;
    let mut last = 0;
    loop {
        let mut reader = setup.db.reader().await?;
        let rows = list_due(reader.lend(), setup.partition, target, last, ROWS_AT_ONCE).await?;
        drop(reader);
        let Some(newest) = rows.last().map(|row| row.id) else {
            break;
        };
        last = newest;
        let now = setup.clock.now();
        let mut marks = Vec::with_capacity(rows.len());
        for row in rows {
            let Some((key, row)) = into_row(row)? else {
                continue;
            };
            lost.extend(word(&key, row.event, target).filter(|_| lost.len() < REPORTS_MAX));
            marks.push(Mark {
                standing: Standing::Dead,
                may_have_arrived: row.may_have_arrived,
                ended_at: Some(now),
                reason: Some(REASON),
                error: Some(WORDS.to_owned()),
                ..claim(&row)
            });
        }
        let dead = setup.metrics.deliveries(target, "dead");
        for _ in &marks {
            dead.inc();
            count = count.saturating_add(1);
        }
        let step = OutboxStep {
            marks,
            ..OutboxStep::default()
        };
        let written = setup.writer.outbox(step).await;
        written.map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
    }
    if count == 0 {
        return Ok(());
    }
    log::error!(target_name = target, messages = count; "{count} messages to {target} are given up: the configuration no longer names it");
    for one in lost {
        (setup.lost)(one).await;
    }
    Ok(())
}

fn word(key: &LaneKey, event: Event, target: &str) -> Option<Undelivered> {
    Some(Undelivered {
        incident: key.incident?,
        target: target.into(),
        event: event.word().into(),
        error: WORDS.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_that_was_just_named_is_spared() {
        let seen = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut strays = Strays::default();
        assert!(strays.settled(seen(&["new", "old"])).is_empty());
        assert_eq!(strays.settled(seen(&["old"])), ["old"]);
        assert!(strays.settled(seen(&["new"])).is_empty());
    }
}
