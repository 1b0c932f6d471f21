//! What the people served say of how an incident was handled: once each, and it stays.
//!
//! Must not know by which way they say it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::RecordGiven;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::outcome::{OutcomeChange, Rating};
use crate::core::reason::Reason;
use crate::core::severity::Priority;
use crate::core::time::Timestamp;

/// The best that can be said.
pub const SCORE_MAX: u8 = 5;

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingWanted {
    /// Who.
    pub who: SmolStr,
    /// From 1, bad, to 5, very good.
    pub score: u8,
    /// What else.
    pub comment: Box<str>,
    /// The incident's priority as the store holds it, for one that is closed for good.
    pub priority: SmolStr,
    /// Its team, likewise.
    pub team: SmolStr,
    /// Whether the store holds a rating of that person already.
    pub is_rated: bool,
}

/// Decides whether a rating counts.
pub(super) fn rate(
    world: World<'_>,
    given: &RecordGiven,
    (id, wanted): (IncidentId, &RatingWanted),
    (now, ids): (Timestamp, &mut IdFeed),
) -> Decision {
    let held = world.state.incident(id);
    if held.is_none() && !given.is_past_incident {
        return Decision::refused(Reason::UnknownIncident);
    }
    let outcomes = &world.state.practice().outcomes;
    if wanted.is_rated || outcomes.is_rated(id, &wanted.who) {
        return Decision::refused(Reason::AlreadyRated);
    }
    let team = held.and_then(|incident| incident.owner.as_deref()?.team.clone());
    let priority = held.map(|incident| incident.priority);
    let rating = Rating {
        incident: id,
        who: wanted.who.clone(),
        score: wanted.score.clamp(1, SCORE_MAX),
        comment: Arc::from(&*wanted.comment),
        priority: priority
            .or_else(|| Priority::from_word(&wanted.priority))
            .unwrap_or(Priority::P5),
        team: match held {
            Some(_) => team.unwrap_or_default(),
            None => wanted.team.clone(),
        },
        at: now,
        is_held: held.is_some(),
    };
    let mut note = format!("{} of {SCORE_MAX}", rating.score);
    if !rating.comment.is_empty() {
        note = format!("{note}: {}", rating.comment);
    }
    let mut draft = Draft::new(world, now, ids, Reason::IncidentRated);
    draft.tell(id, Reason::IncidentRated, &given.actor, &note);
    draft.decision.incident = Some(id);
    let change = OutcomeChange::Rated(Arc::new(rating));
    draft.decision.change(Change::Outcome(change));
    draft.finish()
}
