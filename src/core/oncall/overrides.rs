//! Overrides: somebody stands in on a schedule for a while.
//!
//! They are made and ended while the daemon runs, by inputs, and are durable. One that is over changes nothing any
//! more and leaves memory with the next order; the store keeps it, so that it is known who was on call. Must not know
//! how a schedule is laid out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::oncall::OnCallChange;
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// Overrides that are not over; beyond it new ones are refused.
pub const OVERRIDES_MAX: usize = 10_000;
/// Bytes of a comment; more are refused.
pub const COMMENT_BYTES_MAX: usize = 1024;

/// The number of an override, in order of making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OverrideId(i64);

impl OverrideId {
    /// Takes a number as stored.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for OverrideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OVR-{}", self.0)
    }
}

impl FromStr for OverrideId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("OVR-").unwrap_or(text);
        digits.parse().map(Self)
    }
}

/// Somebody stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Its number.
    pub id: OverrideId,
    /// The schedule.
    pub schedule: SmolStr,
    /// Who is on call; nobody when only somebody is taken off.
    pub person: Option<SmolStr>,
    /// Only in the place of this person, as long as they would be on call; else in the place of everybody.
    pub replaces: Option<SmolStr>,
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// Who made it.
    pub created_by: SmolStr,
    /// Why.
    pub comment: SmolStr,
    /// When.
    pub made_at: Timestamp,
}

impl Override {
    /// Whether it holds at that time.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// An order about overrides with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideGiven {
    /// What is wanted.
    pub order: OverrideOrder,
    /// Who wants it: the token's name.
    pub actor: SmolStr,
}

/// What people can do about overrides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum OverrideOrder {
    /// Make one.
    Make {
        /// The schedule.
        schedule: SmolStr,
        /// Who stands in.
        #[serde(default)]
        person: Option<SmolStr>,
        /// For whom.
        #[serde(default)]
        replaces: Option<SmolStr>,
        /// From then on.
        from: Timestamp,
        /// Until then.
        to: Timestamp,
        /// Why.
        #[serde(default)]
        comment: SmolStr,
    },
    /// End one now, or take it back before it begins.
    End {
        /// Which.
        id: OverrideId,
    },
}

impl OverrideOrder {
    /// What is wanted, as a stable word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Make { .. } => "override.make",
            Self::End { .. } => "override.end",
        }
    }

    /// Why, in the words of whoever wants it.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Make { comment, .. } => Some(comment),
            Self::End { .. } => None,
        }
    }
}

/// Overrides that are not over, with the number of the last one made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    by_id: BTreeMap<OverrideId, Arc<Override>>,
    last: i64,
}

impl Held {
    /// The override with that number, unless it is over.
    pub fn get(&self, id: OverrideId) -> Option<&Arc<Override>> {
        self.by_id.get(&id)
    }

    /// Those of one schedule, in the order in which they were made.
    pub fn of<'a>(&'a self, schedule: &str) -> Vec<&'a Override> {
        let of_schedule = self.by_id.values().filter(|it| it.schedule == schedule);
        of_schedule.map(|it| &**it).collect()
    }

    /// Makes a change true; also used to load.
    pub(super) fn put(&mut self, it: &Arc<Override>) {
        self.last = self.last.max(it.id.get());
        self.by_id.insert(it.id, Arc::clone(it));
    }

    pub(super) fn forget(&mut self, id: OverrideId) {
        self.by_id.remove(&id);
    }

    /// Goes on after the highest number used so far; to load.
    pub fn after(&mut self, last: i64) {
        self.last = self.last.max(last);
    }
}

/// Decides an order.
pub(in crate::core) fn decide_given(
    world: World<'_>,
    given: &OverrideGiven,
    now: Timestamp,
) -> Decision {
    let held = world.state.on_call().overrides();
    let mut decision = match &given.order {
        OverrideOrder::Make {
            schedule,
            person,
            replaces,
            from,
            to,
            comment,
        } => {
            if !world.rules.on_call.schedules.contains_key(schedule) {
                return Decision::refused(Reason::UnknownSchedule);
            }
            if to <= from || *to <= now {
                return Decision::refused(Reason::OverrideEndsTooEarly);
            }
            if held.by_id.len() >= OVERRIDES_MAX {
                return Decision::refused(Reason::TooManyOverrides);
            }
            let id = OverrideId(held.last.saturating_add(1));
            changed(
                Reason::OverrideMade,
                Override {
                    id,
                    schedule: schedule.clone(),
                    person: person.clone(),
                    replaces: replaces.clone(),
                    from: *from,
                    to: *to,
                    created_by: given.actor.clone(),
                    comment: comment.clone(),
                    made_at: now,
                },
            )
        }
        OverrideOrder::End { id } => {
            let Some(it) = held.get(*id).filter(|it| it.to > now) else {
                return Decision::refused(Reason::UnknownOverride);
            };
            let mut it = (**it).clone();
            it.from = it.from.min(now);
            it.to = now;
            changed(Reason::OverrideEnded, it)
        }
    };
    for it in held.by_id.values().filter(|it| it.to <= now) {
        decision.change(Change::OnCall(OnCallChange::OverrideOver(it.id)));
    }
    decision
}

fn changed(reason: Reason, it: Override) -> Decision {
    let mut decision = Decision::because(reason);
    decision.made = Some(it.id.get());
    decision.change(Change::OnCall(OnCallChange::Override(Arc::new(it))));
    decision
}
