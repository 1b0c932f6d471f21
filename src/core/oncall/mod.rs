//! Who is on call: people, teams and schedules, and who stands in for whom.
//!
//! Reading order: [`schedule`] (who is on at any time), [`rotation`] and [`hours`] (what its layers are made of),
//! [`zone`] (local time), [`overrides`] (the only part that changes while the daemon runs). Must not know how anybody
//! is reached beyond the names of targets, and must not read a zone database.

pub mod hours;
pub mod overrides;
pub mod rotation;
pub mod schedule;
pub mod zone;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::severity::Priority;
use crate::core::state::State;
use crate::core::tell::Listener;
use crate::core::time::Timestamp;

use self::hours::Hours;

pub use self::overrides::{Held, Override, OverrideGiven, OverrideId};
pub use self::schedule::{Ground, Layer, Plan, Schedule, Shift, StandIn};

/// People, teams and schedules as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnCallRules {
    /// By name.
    pub people: BTreeMap<SmolStr, Person>,
    /// By name.
    pub teams: BTreeMap<SmolStr, Team>,
    /// By name.
    pub schedules: BTreeMap<SmolStr, Schedule>,
}

/// Somebody who can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name, as schedules, teams and ladders write it.
    pub name: SmolStr,
    /// By which ways, in order.
    pub contacts: Vec<Contact>,
    /// When less urgent incidents come only by quiet ways.
    pub quiet: Option<Quiet>,
}

/// A way to tell somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The target, and the person's address there.
    pub way: Listener,
    /// Whether it disturbs nobody, so that it is used in quiet hours.
    pub is_quiet: bool,
    /// Used for this priority and more urgent ones.
    pub through: Priority,
}

/// Hours in which somebody is not to be disturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// When.
    pub hours: Hours,
    /// Where they look at clocks.
    pub zone: TimeZone,
    /// This priority and more urgent ones disturb all the same.
    pub through: Priority,
}

impl Contact {
    /// A way for everything.
    pub fn of(target: SmolStr, recipient: SmolStr) -> Self {
        Self {
            way: Listener { target, recipient },
            is_quiet: false,
            through: Priority::P5,
        }
    }
}

impl Person {
    /// Somebody of whom only the name is known.
    pub fn named(name: SmolStr) -> Self {
        Self {
            name,
            contacts: Vec::new(),
            quiet: None,
        }
    }

    /// Whether they are not to be disturbed by an incident of that priority now.
    pub fn is_quiet(&self, now: Timestamp, priority: Priority) -> bool {
        let quiet = self.quiet.as_ref();
        quiet.is_some_and(|it| priority > it.through && it.hours.contains(&it.zone, now))
    }
}

/// People who work together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    /// Its name.
    pub name: SmolStr,
    /// Who belongs to it.
    pub members: Vec<SmolStr>,
    /// Who of them is on call.
    pub schedule: Option<SmolStr>,
    /// The ladder of its incidents.
    pub escalation: Option<SmolStr>,
    /// Where the team as a whole is told.
    pub targets: Vec<SmolStr>,
}

/// What changes while the daemon runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnCall {
    overrides: Held,
}

impl OnCall {
    /// Who stands in for whom.
    pub fn overrides(&self) -> &Held {
        &self.overrides
    }

    /// The same, to load.
    pub fn overrides_mut(&mut self) -> &mut Held {
        &mut self.overrides
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &OnCallChange) {
        match change {
            OnCallChange::Override(it) => self.overrides.put(it),
            OnCallChange::OverrideOver(id) => self.overrides.forget(*id),
        }
    }
}

impl State {
    /// Who is on call beside what is configured.
    pub fn on_call(&self) -> &OnCall {
        &self.on_call
    }

    /// The same, to load.
    pub fn on_call_mut(&mut self) -> &mut OnCall {
        &mut self.on_call
    }
}

/// One change of who is on call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnCallChange {
    /// Somebody stands in, or no longer.
    Override(Arc<Override>),
    /// An override is over and no longer held in memory.
    OverrideOver(OverrideId),
}

#[cfg(test)]
mod tests;
