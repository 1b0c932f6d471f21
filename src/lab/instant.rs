//! What is said at one time, in an order of its own: who happened to be first on the wire must not matter.
//!
//! Changes come first, since they are evidence for what follows; alerts by when they began, then by who they are. Messages
//! of one alert keep their sense: an occurrence that only ends here had begun before, and everything begins before it
//! ends. Must not look at anything but the events.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::core::observation::Claim;
use crate::core::time::Timestamp;
use crate::lab::event::{AlertSaid, Event, Said};

/// Events of one time that are put in order at most; of more the next ones count as said after them.
pub const TOGETHER_MAX: usize = 100_000;

type Key = (SmolStr, SmolStr);
type OccurrenceKey = (SmolStr, SmolStr, SmolStr);

/// What is known of one occurrence from the messages of one time.
#[derive(Clone, Copy, Debug)]
struct Occurrence {
    is_only_end: bool,
    begins: Timestamp,
}

/// Puts the events of one time in the order in which they are to be heard, whatever order they come in.
pub fn put_in_order(events: &mut [Event]) {
    if events.len() < 2 {
        return;
    }
    let mut begins: BTreeMap<Key, Timestamp> = BTreeMap::new();
    let mut occurrences: BTreeMap<OccurrenceKey, Occurrence> = BTreeMap::new();
    for event in events.iter() {
        let Said::Alert(said) = &event.said else {
            continue;
        };
        let at = said.starts_at.unwrap_or(event.at);
        let first = begins.entry(key(said)).or_insert(at);
        *first = at.min(*first);
        let is_end = said.claim == Claim::Resolved;
        let occurrence = occurrences.entry(occurrence_key(said));
        let occurrence = occurrence.or_insert(Occurrence {
            is_only_end: is_end,
            begins: at,
        });
        occurrence.is_only_end &= is_end;
        occurrence.begins = at.min(occurrence.begins);
    }
    let begun = |said: &AlertSaid| begins.get(&key(said)).copied();
    let of = |said: &AlertSaid| occurrences.get(&occurrence_key(said)).copied();
    events.sort_by(|one, other| match (&one.said, &other.said) {
        (Said::Change(one), Said::Change(other)) => {
            (&one.ci, &one.id, &one.summary).cmp(&(&other.ci, &other.id, &other.summary))
        }
        (Said::Change(_), Said::Alert(_)) => Ordering::Less,
        (Said::Alert(_), Said::Change(_)) => Ordering::Greater,
        (Said::Alert(one), Said::Alert(other)) => begun(one)
            .cmp(&begun(other))
            .then_with(|| key(one).cmp(&key(other)))
            .then_with(|| {
                let rank = |said: &AlertSaid| of(said).map(|it| (!it.is_only_end, it.begins));
                rank(one).cmp(&rank(other))
            })
            .then_with(|| one.id.cmp(&other.id))
            .then_with(|| is_end(one).cmp(&is_end(other)))
            .then_with(|| content(one).cmp(&content(other))),
    });
}

fn key(said: &AlertSaid) -> Key {
    (said.source.clone(), said.key.clone())
}

fn occurrence_key(said: &AlertSaid) -> OccurrenceKey {
    (said.source.clone(), said.key.clone(), said.id.clone())
}

fn is_end(said: &AlertSaid) -> bool {
    said.claim == Claim::Resolved
}

/// Everything else, so that only messages which are the same in every respect may change places.
fn content(said: &AlertSaid) -> impl Ord {
    (
        (said.starts_at, said.ends_at, said.severity),
        (&said.summary, &said.labels, &said.ci),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::severity::Severity;

    fn said(key: &str, id: &str, claim: Claim, starts_at: Option<i64>) -> Event {
        Event {
            at: Timestamp::from_millis(10_000),
            said: Said::Alert(Box::new(AlertSaid {
                id: id.into(),
                source: "s".into(),
                key: key.into(),
                claim,
                severity: Severity::High,
                summary: "x".into(),
                labels: Vec::new(),
                starts_at: starts_at.map(Timestamp::from_millis),
                ends_at: None,
                ci: None,
            })),
        }
    }

    #[test]
    fn what_began_before_ends_before_it_begins_anew() {
        let old_end = said("k", "one", Claim::Resolved, None);
        let new = said("k", "two", Claim::Firing, Some(9_000));
        let new_end = said("k", "two", Claim::Resolved, Some(9_000));
        let earlier = said("a", "three", Claim::Firing, Some(8_000));
        let right = [earlier, old_end, new, new_end];
        for turn in 0..4 {
            let mut events = right.to_vec();
            events.rotate_left(turn);
            put_in_order(&mut events);
            assert_eq!(events, right);
            events.reverse();
            put_in_order(&mut events);
            assert_eq!(events, right);
        }
    }
}
