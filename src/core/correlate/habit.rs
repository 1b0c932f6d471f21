//! What has fired together before: weak evidence where the CMDB knows no relation.
//!
//! Of every condition that nothing upstream explains it is noted which causes were there at the time. When most of its
//! occasions fell together with the same cause, and that cause seldom came without it, it may be hung there the next time.
//! The evidence is capped: it explains what nothing else does, and never makes one of two that are surely broken by
//! themselves. Must not note one occasion twice, and keeps at most [`HABITS_MAX`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::core::correlate::family::Family;
use crate::core::correlate::judge::is_apart;
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::time::{Span, Timestamp};

/// Conditions whose habits are remembered; of more those that were seen last.
pub const HABITS_MAX: usize = 10_000;
/// A habit that was not seen for so long is forgotten.
pub const HABIT_KEPT: Span = Span::from_days(90);
/// Causes that one condition is remembered with.
const WITH_MAX: usize = 8;
/// From so many occasions on the counts are halved, so that what was long ago fades.
const HALVED_AT: u16 = 32;
/// What comes again sooner is the same occasion.
const OCCASION: Span = Span::from_mins(30);
/// How long before a condition its cause may have begun, and how long after.
const BEFORE: Span = Span::from_mins(5);
const AFTER: Span = Span::from_mins(2);
/// Conditions looked at.
const SEEN_MAX: usize = 256;
/// So often both must have come together.
const TOGETHER_MIN: u16 = 3;
/// What that explains, in 1/10,000: anything else explains better.
pub(crate) const SCORE: u16 = 2_500;

/// How often a condition came that nothing upstream explained, and with which causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Habit {
    /// Stands for its CI, or for its alert when no CI is known.
    pub sign: u64,
    /// Occasions.
    pub seen: u16,
    /// The last one.
    pub at: Timestamp,
    /// The signs of causes that were there, most frequent first, each with how often.
    pub with: Vec<(u64, u16)>,
}

impl Habit {
    /// One that was never seen.
    fn new(sign: u64, at: Timestamp) -> Self {
        Self {
            sign,
            seen: 0,
            at,
            with: Vec::new(),
        }
    }

    /// How often both came together.
    pub fn together(&self, other: u64) -> u16 {
        let mut with = self.with.iter();
        with.find(|&&(sign, _)| sign == other)
            .map_or(0, |&(_, count)| count)
    }

    fn note(&mut self, causes: &BTreeSet<u64>, at: Timestamp) {
        self.at = at;
        self.seen = self.seen.saturating_add(1);
        for &cause in causes {
            match self.with.iter_mut().find(|(sign, _)| *sign == cause) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => self.with.push((cause, 1)),
            }
        }
        if self.seen >= HALVED_AT {
            self.seen /= 2;
            for (_, count) in &mut self.with {
                *count /= 2;
            }
        }
        self.with.retain(|&(_, count)| count > 0);
        // Of equal ones the latest stay: what came only once long ago makes room.
        let latest = |sign: &u64| causes.contains(sign);
        self.with
            .sort_by_key(|(sign, count)| (std::cmp::Reverse((*count, latest(sign))), *sign));
        self.with.truncate(WITH_MAX);
    }

    /// The same without the last occasion.
    fn before(mut self) -> Self {
        self.seen = self.seen.saturating_sub(1);
        for (_, count) in &mut self.with {
            *count = count.saturating_sub(1);
        }
        self
    }

    /// Whether it mostly came together with a cause that mostly came together with it.
    fn is_tied_to(&self, cause: u64, cause_seen: u16) -> bool {
        let together = self.together(cause);
        let share = together.saturating_mul(4) >= self.seen.saturating_mul(3);
        together >= TOGETHER_MIN && share && together.saturating_mul(2) >= cause_seen
    }
}

impl Draft<'_> {
    /// Notes with what a condition came that nothing upstream explains.
    pub(crate) fn note_habit(&mut self, id: NodeId) {
        let Some(node) = self.grove.node(id).filter(|_| self.learns()).cloned() else {
            return;
        };
        let is_explained = node.score() > u32::from(SCORE);
        let Some(sign) = self.sign(&node).filter(|_| !is_explained) else {
            return;
        };
        let held = self.habit(sign);
        if held.is_some_and(|held| self.now.since(held.at) < OCCASION) {
            return;
        }
        let mut habit = held.cloned().unwrap_or_else(|| Habit::new(sign, self.now));
        let causes = self.causes_around(&node);
        let causes: BTreeSet<u64> = causes.into_keys().collect();
        // Where everything happens at once, nothing is told apart.
        let causes = if causes.len() > WITH_MAX {
            BTreeSet::new()
        } else {
            causes
        };
        habit.note(&causes, self.now);
        self.grove.learn(habit);
    }

    /// Lets a condition without a cause join the one with which it has come before; says whether it did.
    pub(crate) fn join_habit(&mut self, id: NodeId) -> bool {
        let Some(node) = self.grove.node(id).filter(|_| self.learns()).cloned() else {
            return false;
        };
        let is_free = node.link.is_none() && !node.is_pinned && node.change.is_none();
        let habit = self.sign(&node).and_then(|sign| self.habit(sign));
        let Some(habit) = habit.filter(|_| is_free).cloned() else {
            return false;
        };
        // This occasion is no evidence for itself.
        let is_noted = habit.at >= node.heard_at;
        let habit = if is_noted { habit.before() } else { habit };
        let mut best: Option<(u16, NodeId)> = None;
        for (cause, root) in self.causes_around(&node) {
            let cause_seen = self.habit(cause).map_or(0, |habit| habit.seen);
            let Some(above) = self.grove.node(root) else {
                continue;
            };
            let may = above.incident != node.incident
                && self.is_open(above.incident)
                && !(self.is_strong(&node) && self.is_strong(above));
            let count = habit.together(cause);
            if may
                && habit.is_tied_to(cause, cause_seen)
                && best.is_none_or(|(most, _)| count > most)
            {
                best = Some((count, root));
            }
        }
        let Some((count, parent)) = best else {
            return false;
        };
        let graph = self.grove.graph();
        let why = format!(
            "{} has no known cause; it and {} have fired together {count} of {} times. Weak evidence: score {}.",
            words::of_node(graph, &node),
            words::of_id(&self.grove, parent),
            habit.seen,
            words::share(u32::from(SCORE)),
        );
        let why = Arc::from(why);
        let score = SCORE;
        self.hang_by(id, Link { parent, score, why });
        self.grove.node(id).is_some_and(|node| node.link.is_some())
    }

    fn habit(&self, sign: u64) -> Option<&Habit> {
        let held = self.grove.habit(sign);
        held.filter(|held| self.now.since(held.at) <= HABIT_KEPT)
    }

    fn learns(&self) -> bool {
        self.world.rules.correlation.learns && self.is_enabled()
    }

    /// The causes of what else began at the time of a condition, by sign.
    fn causes_around(&self, node: &Node) -> BTreeMap<u64, NodeId> {
        let (from, until) = (node.onset.minus(BEFORE), node.onset.plus(AFTER));
        let own = self.grove.root_of(node.id);
        let own = if node.score() > 0 { None } else { Some(own) };
        let mut causes = BTreeMap::new();
        for other in self.grove.begun(from, until, SEEN_MAX) {
            if is_apart(node, other) {
                continue;
            }
            let root = self.grove.root_of(other.id);
            let sign = self
                .grove
                .node(root)
                .filter(|_| root != node.id && Some(root) != own)
                .and_then(|root| self.sign(root));
            if let Some(sign) = sign.filter(|&sign| Some(sign) != self.sign(node)) {
                causes.entry(sign).or_insert(root);
            }
        }
        causes
    }

    /// What stands for a condition from one occasion to the next: its CI, or its alert when nobody knows the CI.
    fn sign(&self, node: &Node) -> Option<u64> {
        if node.family == Family::Config {
            return None;
        }
        if let Some(ci) = node.ci {
            let number = i64::from(ci.get()).to_be_bytes();
            return Some(xxh3_64(&[b"ci".as_slice(), number.as_slice()].concat()));
        }
        let alert = node.alerts.first().and_then(|&alert| self.held(alert))?;
        Some(xxh3_64(&alert.key.0.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    #[test]
    fn only_what_comes_together_both_ways_is_tied() {
        let mut habit = Habit::new(1, at(0));
        for turn in 0..3 {
            habit.note(&BTreeSet::from([7, 100 + turn]), at(60));
        }
        assert_eq!((habit.seen, habit.together(7)), (3, 3));
        assert!(habit.is_tied_to(7, 3));
        assert!(!habit.is_tied_to(7, 7), "a cause that is always there");
        assert!(!habit.is_tied_to(100, 1), "once is chance");
        habit.note(&BTreeSet::new(), at(120));
        habit.note(&BTreeSet::new(), at(180));
        assert!(!habit.is_tied_to(7, 3), "it comes without, too");
    }

    #[test]
    fn what_is_kept_is_bounded_and_fades() {
        let mut habit = Habit::new(1, at(0));
        for turn in 0..200 {
            habit.note(&BTreeSet::from([7, 1_000 + turn]), at(0));
            assert!(habit.with.len() <= WITH_MAX && habit.seen < HALVED_AT);
        }
        assert_eq!(habit.with.first().map(|&(sign, _)| sign), Some(7));
        for _ in 0..200 {
            habit.note(&BTreeSet::from([8]), at(0));
        }
        assert_eq!(habit.together(7), 0, "forgotten");
    }
}
