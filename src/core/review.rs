//! Other rules reach what is open: every open incident is looked at again, some at a time.
//!
//! The rules carry a digest; as long as it is not the one that was gone through, the rest is due. Also after a restart,
//! if rules changed while nobody listened; with the same rules nothing is looked at. An incident that the rules leave as it
//! is does not change. Must not tell anybody of what they know.

use crate::core::decide::World;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;

/// Incidents that one decision looks at; the rest follows at once.
const INCIDENTS_PER_DECISION: usize = 200;

/// How far the rules in force have reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// The digest of the rules that are gone through.
    pub digest: u64,
    /// The first incident that is left; `None` when none is.
    pub next: Option<IncidentId>,
}

/// Whether open incidents are left to which the rules have not been applied.
pub fn is_outdated(world: World<'_>) -> bool {
    let review = world.state.review();
    review.digest != world.rules.digest || review.next.is_some()
}

/// Touches the next open incidents; the end of the decision does the rest.
pub(super) fn decide_due(draft: &mut Draft<'_>) {
    if !is_outdated(draft.world) {
        return;
    }
    let (state, digest) = (draft.world.state, draft.world.rules.digest);
    let review = state.review();
    let from = review.next.filter(|_| review.digest == digest);
    let left = state.incidents_from(from.unwrap_or(IncidentId::FIRST));
    let open = left.filter(|it| it.state.is_open());
    let mut left = open.map(|incident| incident.id);
    let now: Vec<IncidentId> = left.by_ref().take(INCIDENTS_PER_DECISION).collect();
    let next = left.next();
    draft.is_review = true;
    for id in now {
        draft.touch(id);
    }
    draft
        .decision
        .change(Change::Review(Review { digest, next }));
}
