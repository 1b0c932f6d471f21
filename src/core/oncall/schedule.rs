//! Who is on call by one schedule at any time, and when that changes.
//!
//! A schedule is a stack of layers: of those that have somebody on at a time, the last one counts. An override stands
//! above them all. Nothing is kept: every answer is computed from rules, overrides and the time asked about, also for
//! the past and the far future. Must not know people beyond their names.

use std::sync::Arc;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::oncall::hours::Hours;
use crate::core::oncall::overrides::{Override, OverrideId};
use crate::core::oncall::rotation::Rotation;
use crate::core::time::Timestamp;

/// Shifts computed for one question; what lies beyond is left out.
pub const SHIFTS_MAX: usize = 5_000;
/// Edges passed while looking for the begin or end of one shift.
const EDGES_MAX: usize = 400;

/// One schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: SmolStr,
    /// Where its people look at clocks.
    pub zone: TimeZone,
    /// From the lowest to the highest.
    pub layers: Vec<Layer>,
    /// Who stands in, as it was known beforehand; above the layers, below what is made while the daemon runs.
    pub stand_ins: Vec<StandIn>,
}

/// Somebody stands in for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Who is on call; nobody when only somebody is taken off.
    pub person: Option<SmolStr>,
    /// Only in the place of this person; else in the place of everybody.
    pub replaces: Option<SmolStr>,
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
}

/// What a stand-in of the configuration is called where it is said why somebody is on call.
const STAND_IN: SmolStr = SmolStr::new_static("override");

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: SmolStr,
    /// Who has which turn.
    pub plan: Plan,
    /// The hours in which it holds; always when not given.
    pub hours: Option<Hours>,
    /// Until when it holds.
    pub until: Option<Timestamp>,
}

/// Who has which turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Turns one after the other.
    Rotation(Rotation),
    /// Shifts that somebody wrote into a calendar, by begin.
    Events(Arc<[Event]>),
}

/// A shift from a calendar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// Who.
    pub person: SmolStr,
}

/// Why these people are on call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A layer says so.
    Layer(SmolStr),
    /// Somebody stands in.
    Override(OverrideId),
    /// No layer has anybody on.
    Nobody,
}

/// Who is on call for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// Who; nobody in a gap.
    pub people: Vec<SmolStr>,
    /// Why.
    pub ground: Ground,
}

/// Overrides of one schedule, in the order in which they were made.
pub type Overrides<'a> = [&'a Override];

impl Layer {
    fn people(&self, zone: &TimeZone, at: Timestamp) -> Vec<SmolStr> {
        let is_over = self.until.is_some_and(|until| until <= at);
        let is_closed = |hours: &Hours| !hours.contains(zone, at);
        if is_over || self.hours.as_ref().is_some_and(is_closed) {
            return Vec::new();
        }
        match &self.plan {
            Plan::Rotation(rotation) => rotation
                .at(zone, at)
                .map(|stint| stint.people.to_vec())
                .unwrap_or_default(),
            Plan::Events(events) => {
                let mut people: Vec<_> = events
                    .iter()
                    .filter(|event| event.from <= at && at < event.to)
                    .map(|event| event.person.clone())
                    .collect();
                people.sort();
                people.dedup();
                people
            }
        }
    }

    fn next_edge(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let turn = match &self.plan {
            Plan::Rotation(rotation) => Some(rotation.next_edge(zone, at)),
            Plan::Events(events) => {
                let edges = events.iter().flat_map(|event| [event.from, event.to]);
                edges.filter(|edge| *edge > at).min()
            }
        };
        let hours = self.hours.as_ref();
        let hours = hours.and_then(|hours| hours.next_edge(zone, at));
        let until = self.until.filter(|until| *until > at);
        [turn, hours, until].into_iter().flatten().min()
    }

    fn last_edge(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let turn = match &self.plan {
            Plan::Rotation(rotation) => rotation.at(zone, at).map(|stint| stint.from),
            Plan::Events(events) => {
                let edges = events.iter().flat_map(|event| [event.from, event.to]);
                edges.filter(|edge| *edge <= at).max()
            }
        };
        let hours = self.hours.as_ref();
        let hours = hours.and_then(|hours| hours.last_edge(zone, at));
        let until = self.until.filter(|until| *until <= at);
        [turn, hours, until].into_iter().flatten().max()
    }
}

impl Schedule {
    /// Who is on call at that time, and why.
    pub fn at(&self, overrides: &Overrides<'_>, at: Timestamp) -> (Vec<SmolStr>, Ground) {
        let mut people = Vec::new();
        let mut ground = Ground::Nobody;
        for layer in self.layers.iter().rev() {
            people = layer.people(&self.zone, at);
            if !people.is_empty() {
                ground = Ground::Layer(layer.name.clone());
                break;
            }
        }
        let held = |it: &&StandIn| it.from <= at && at < it.to;
        for it in self.stand_ins.iter().filter(held) {
            if stand_in(&mut people, it.person.as_ref(), it.replaces.as_ref()) {
                ground = Ground::Layer(STAND_IN);
            }
        }
        for it in overrides.iter().filter(|it| it.holds(at)) {
            if stand_in(&mut people, it.person.as_ref(), it.replaces.as_ref()) {
                ground = Ground::Override(it.id);
            }
        }
        (people, ground)
    }

    /// When stand-ins and overrides begin and end.
    fn edges(&self, overrides: &Overrides<'_>) -> impl Iterator<Item = Timestamp> {
        let known = self.stand_ins.iter().map(|it| [it.from, it.to]);
        let made = overrides.iter().map(|it| [it.from, it.to]);
        known.chain(made).flatten()
    }

    /// The next time after `at` at which something may change.
    pub fn next_edge(&self, overrides: &Overrides<'_>, at: Timestamp) -> Option<Timestamp> {
        let layers = self.layers.iter();
        let layers = layers.filter_map(|layer| layer.next_edge(&self.zone, at));
        let edges = self.edges(overrides);
        layers.chain(edges.filter(|edge| *edge > at)).min()
    }

    fn last_edge(&self, overrides: &Overrides<'_>, at: Timestamp) -> Option<Timestamp> {
        let layers = self.layers.iter();
        let layers = layers.filter_map(|layer| layer.last_edge(&self.zone, at));
        let edges = self.edges(overrides);
        layers.chain(edges.filter(|edge| *edge <= at)).max()
    }

    /// The shift of that time, with its begin and end as far as they lie near.
    pub fn shift(&self, overrides: &Overrides<'_>, at: Timestamp) -> Shift {
        let (people, ground) = self.at(overrides, at);
        let is_same = |at| self.at(overrides, at) == (people.clone(), ground.clone());
        let mut from = at;
        for _ in 0..EDGES_MAX {
            match self.last_edge(overrides, from) {
                Some(edge) => from = edge,
                None => break,
            }
            let before = from.minus(crate::core::time::Span::from_millis(1));
            if !is_same(before) {
                break;
            }
            from = before;
        }
        let mut to = at;
        for _ in 0..EDGES_MAX {
            match self.next_edge(overrides, to) {
                Some(edge) => to = edge,
                None => {
                    to = Timestamp::MAX;
                    break;
                }
            }
            if !is_same(to) {
                break;
            }
        }
        Shift {
            from,
            to,
            people,
            ground,
        }
    }

    /// Who is on call from one time until another, without holes: where nobody is, a shift says so.
    pub fn shifts(&self, overrides: &Overrides<'_>, from: Timestamp, to: Timestamp) -> Vec<Shift> {
        let mut shifts: Vec<Shift> = Vec::new();
        let mut at = from;
        while at < to && shifts.len() < SHIFTS_MAX {
            let next = self.next_edge(overrides, at);
            let next = next.map_or(to, |edge| edge.min(to));
            let (people, ground) = self.at(overrides, at);
            match shifts.last_mut() {
                Some(last) if last.people == people && last.ground == ground => last.to = next,
                Some(_) | None => shifts.push(Shift {
                    from: at,
                    to: next,
                    people,
                    ground,
                }),
            }
            at = next;
        }
        shifts
    }

    /// Every name that it may put on call.
    pub fn people(&self) -> Vec<SmolStr> {
        let mut people: Vec<SmolStr> = Vec::new();
        for layer in &self.layers {
            match &layer.plan {
                Plan::Rotation(rotation) => people.extend(rotation.turns.iter().flatten().cloned()),
                Plan::Events(events) => {
                    people.extend(events.iter().map(|event| event.person.clone()));
                }
            }
        }
        people.extend(self.stand_ins.iter().filter_map(|it| it.person.clone()));
        people.sort();
        people.dedup();
        people
    }
}

/// Puts somebody in the place of one or all; false when that one is not on call.
fn stand_in(
    people: &mut Vec<SmolStr>,
    person: Option<&SmolStr>,
    replaces: Option<&SmolStr>,
) -> bool {
    match replaces {
        None => people.clear(),
        Some(replaced) if people.contains(replaced) => {
            people.retain(|it| it != replaced && Some(it) != person);
        }
        Some(_) => return false,
    }
    people.extend(person.cloned());
    true
}
