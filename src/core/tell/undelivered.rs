//! A message to people that was given up: the incident's own history says so.
//!
//! Must not tell anybody: what a target cannot take is not told by it again.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::decide::World;
use crate::core::decision::Decision;
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::reason::Reason;

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// What it was about.
    pub incident: IncidentId,
    /// The target's name.
    pub target: SmolStr,
    /// What it told, as its word.
    pub event: SmolStr,
    /// What went wrong last.
    pub error: SmolStr,
}

/// Notes it in the timeline of its incident, if that is still held.
pub(in crate::core) fn decide_undelivered(
    world: World<'_>,
    lost: &Undelivered,
    ids: &mut IdFeed,
) -> Decision {
    let mut decision = Decision::because(Reason::MessageUndelivered);
    // Whoever reports waits for the answer, also about an incident that is no longer held.
    decision.incident = Some(lost.incident);
    if let Some(incident) = world.state.incident(lost.incident) {
        let entry = decision.entry(ids, Some(incident), None, Reason::MessageUndelivered);
        let Undelivered {
            target,
            event,
            error,
            ..
        } = lost;
        entry.note = Some(format!("{event} to {target} is given up: {error}").into());
    }
    decision
}
