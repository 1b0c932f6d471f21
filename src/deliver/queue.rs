//! What waits for one target, in memory: a lane per incident and person, so that their messages keep their order.
//!
//! Only so many rows are held; the rest stays in the store until there is room. Must not send or read anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::IncidentId;
use crate::core::tell::event::Event;
use crate::core::time::Timestamp;

use super::plan::Waiting;

/// Rows held for one target.
const ROWS_MAX: usize = 10_000;

/// Who is told of what: messages of one lane are sent one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneKey {
    pub(super) incident: Option<IncidentId>,
    pub(super) recipient: String,
}

impl LaneKey {
    /// Who is told: one person by their address, or whoever the target reaches.
    pub(super) fn who<'a>(&'a self, target: &'a str) -> &'a str {
        let recipient = Some(self.recipient.as_str()).filter(|it| !it.is_empty());
        recipient.unwrap_or(target)
    }
}

/// A message that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) event: Event,
    pub(super) note: Option<String>,
    pub(super) urgency: i64,
    pub(super) created_at: Timestamp,
    pub(super) may_have_arrived: bool,
    pub(super) attempts: i64,
    pub(super) due_at: Timestamp,
    pub(super) tried_at: Option<Timestamp>,
}

impl Row {
    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            id: self.id,
            event: self.event,
            may_have_arrived: self.may_have_arrived,
        }
    }
}

#[derive(Debug, Default)]
struct Lane {
    rows: Vec<Row>,
    is_busy: bool,
    /// Where it stands in the order of what is ready or waits.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Ready(i64, i64),
    Later(Timestamp),
}

/// What waits for one target.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: BTreeMap<LaneKey, Lane>,
    /// The most urgent first, then the oldest.
    ready: BTreeSet<(i64, i64, LaneKey)>,
    later: BTreeSet<(Timestamp, LaneKey)>,
    rows: usize,
    /// The last row that was read from the store.
    pub(super) last: i64,
}

impl Queue {
    /// How many more rows there is room for.
    pub(super) fn room(&self) -> usize {
        ROWS_MAX.saturating_sub(self.rows)
    }

    /// Adds a row unless it is held.
    pub(super) fn add(&mut self, key: &LaneKey, row: Row, now: Timestamp) {
        self.last = self.last.max(row.id);
        let lane = self.lanes.entry(key.clone()).or_default();
        if lane.rows.iter().any(|held| held.id == row.id) {
            return;
        }
        lane.rows.push(row);
        self.rows = self.rows.saturating_add(1);
        self.place(key, now);
    }

    /// Takes the lane that is next, with its rows; it is busy until [`Queue::give_back`].
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(LaneKey, Vec<Row>)> {
        while let Some((at, _)) = self.later.first()
            && *at <= now
            && let Some((_, key)) = self.later.pop_first()
        {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.place = None;
            }
            self.place(&key, now);
        }
        let (_, _, key) = self.ready.pop_first()?;
        let lane = self.lanes.get_mut(&key)?;
        lane.place = None;
        lane.is_busy = true;
        Some((key, lane.rows.clone()))
    }

    /// Takes rows out that are done, puts the new standing of those that are not, and frees the lane.
    pub(super) fn give_back(
        &mut self,
        key: &LaneKey,
        done: &[i64],
        changed: Option<Row>,
        now: Timestamp,
    ) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let before = lane.rows.len();
        lane.rows.retain(|row| !done.contains(&row.id));
        self.rows = self
            .rows
            .saturating_sub(before.saturating_sub(lane.rows.len()));
        if let Some(changed) = changed
            && let Some(row) = lane.rows.iter_mut().find(|row| row.id == changed.id)
        {
            *row = changed;
        }
        lane.is_busy = false;
        if lane.rows.is_empty() {
            self.lanes.remove(key);
        } else {
            self.place(key, now);
        }
    }

    /// Takes rows out of a lane that stays busy.
    pub(super) fn drop_rows(&mut self, key: &LaneKey, done: &[i64]) {
        if let Some(lane) = self.lanes.get_mut(key) {
            let before = lane.rows.len();
            lane.rows.retain(|row| !done.contains(&row.id));
            self.rows = self
                .rows
                .saturating_sub(before.saturating_sub(lane.rows.len()));
        }
    }

    /// Lets everything be tried at once: the target works again.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        let keys: Vec<LaneKey> = std::mem::take(&mut self.later)
            .into_iter()
            .map(|(_, key)| key)
            .collect();
        for key in keys {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.place = None;
                for row in &mut lane.rows {
                    row.due_at = row.due_at.min(now);
                }
            }
            self.place(&key, now);
        }
    }

    /// When the next lane is due that is not ready yet.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Whether anything is ready.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn place(&mut self, key: &LaneKey, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        match lane.place.take() {
            Some(Place::Ready(urgency, id)) => drop(self.ready.remove(&(urgency, id, key.clone()))),
            Some(Place::Later(at)) => drop(self.later.remove(&(at, key.clone()))),
            None => {}
        }
        let (Some(first), false) = (lane.rows.first(), lane.is_busy) else {
            return;
        };
        // The first one holds up the others: order is kept.
        if first.due_at <= now {
            let urgency = lane.rows.iter().map(|row| row.urgency).min().unwrap_or(5);
            lane.place = Some(Place::Ready(urgency, first.id));
            self.ready.insert((urgency, first.id, key.clone()));
        } else {
            lane.place = Some(Place::Later(first.due_at));
            self.later.insert((first.due_at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Span;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn key(incident: i64) -> LaneKey {
        LaneKey {
            incident: IncidentId::new(incident),
            recipient: String::new(),
        }
    }

    fn row(id: i64, urgency: i64) -> Row {
        Row {
            id,
            event: Event::Opened,
            note: None,
            urgency,
            created_at: START,
            may_have_arrived: false,
            attempts: 0,
            due_at: START,
            tried_at: None,
        }
    }

    #[test]
    fn urgent_first_then_old_and_one_at_a_time_per_lane() {
        let mut queue = Queue::default();
        for (id, incident, urgency) in [(1, 7, 4), (2, 8, 1), (3, 7, 4), (4, 9, 4)] {
            queue.add(&key(incident), row(id, urgency), START);
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(START)).collect();
        let ids: Vec<Vec<i64>> = taken
            .iter()
            .map(|(_, rows)| rows.iter().map(|row| row.id).collect())
            .collect();
        assert_eq!(ids, [vec![2], vec![1, 3], vec![4]]);
        queue.give_back(&key(7), &[1], None, START);
        let (_, rows) = queue.take(START).unwrap();
        assert_eq!(rows[0].id, 3);
    }

    #[test]
    fn failed_row_waits_until_the_target_works_again() {
        let mut queue = Queue::default();
        queue.add(&key(1), row(1, 2), START);
        let (key, rows) = queue.take(START).unwrap();
        let later = Row {
            due_at: START.plus(Span::from_secs(60)),
            ..rows[0].clone()
        };
        queue.give_back(&key, &[], Some(later), START);
        assert!(queue.take(START).is_none());
        assert_eq!(queue.next_due(), Some(START.plus(Span::from_secs(60))));
        queue.hurry(START);
        assert!(queue.take(START).is_some());
    }
}
