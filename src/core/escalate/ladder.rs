//! Ladders as configured, and as copied into a run.
//!
//! Names are not resolved here: who stands behind one is looked up when a step is due. Must not hold anything that
//! changes while a run climbs.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::time::Span;

/// Steps of one ladder; more are refused at load.
pub const STEPS_MAX: usize = 50;
/// How often a ladder may begin anew; more is refused at load.
pub const REPEAT_MAX: u32 = 100;

/// A ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Its name.
    pub name: SmolStr,
    /// In the order in which they are due.
    pub steps: Vec<Step>,
    /// How often it begins anew after its last step.
    pub repeat: u32,
    /// How long after its last step it begins anew, or gives up.
    pub repeat_after: Span,
    /// Who is told when a step reaches nobody, and when nobody answered to the end.
    pub fallback: Vec<Notify>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How long after the begin of the ladder it is due.
    pub after: Span,
    /// Who is told.
    pub notify: Vec<Notify>,
    /// The calendar in whose hours it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<SmolStr>,
    /// Whether it is passed over outside of those hours instead of waiting for them.
    #[serde(default)]
    pub skips: bool,
}

/// Who is told by a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// A person.
    Person(SmolStr),
    /// Whoever is on call.
    Schedule(SmolStr),
    /// Whoever of a team is on call; all of it when it has no schedule.
    Team(SmolStr),
    /// The team of the incident, likewise.
    OwnTeam,
    /// The person who has the incident.
    Assignee,
    /// A target.
    Target(SmolStr),
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "person {name}"),
            Self::Schedule(name) => write!(f, "schedule {name}"),
            Self::Team(name) => write!(f, "team {name}"),
            Self::OwnTeam => f.write_str("the incident's team"),
            Self::Assignee => f.write_str("the assignee"),
            Self::Target(name) => write!(f, "target {name}"),
        }
    }
}
