//! What people and programs order about silences.
//!
//! As in Alertmanager (`silence/silence.go`): a silence keeps its id only while matchers and begin stay, since what
//! was hidden must stay explainable; else it ends and a new one begins. Must not know who may do what.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::matcher::Matcher;
use super::{SILENCES_MAX, Silence, SilenceChange, SilenceState, SilenceUuid};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::{IdFeed, SilenceId};
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

/// An order with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceGiven {
    /// What is wanted.
    pub order: SilenceOrder,
    /// Who wants it: the token's name.
    pub actor: SmolStr,
    /// Hash of actor, `Idempotency-Key` and order; the same order with the same key makes one silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<u64>,
}

/// What people can do about silences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum SilenceOrder {
    /// Make one, or change the one that it replaces.
    Put {
        /// What it shall be.
        wanted: SilenceWanted,
        /// The silence that is changed; one that is over is left as it is and a new one made.
        #[serde(default)]
        replaces: Option<SilenceId>,
    },
    /// End one, also before its begin.
    Expire {
        /// Which.
        silence: SilenceId,
    },
}

impl SilenceOrder {
    /// What it is called in the audit.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Put { replaces: None, .. } => "silence.make",
            Self::Put { .. } => "silence.change",
            Self::Expire { .. } => "silence.expire",
        }
    }

    /// Why, in the words of whoever orders it.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Put { wanted, .. } => Some(&wanted.comment),
            Self::Expire { .. } => None,
        }
    }
}

/// What a silence shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceWanted {
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// From then on; what has passed means now.
    pub starts_at: Timestamp,
    /// Until then.
    pub ends_at: Timestamp,
    /// Who wants it, in their own words.
    pub created_by: SmolStr,
    /// Why.
    pub comment: SmolStr,
}

/// Begins nearer than this are the same: clients write whole seconds.
const SAME_START: Span = Span::from_secs(1);

/// Decides an order.
pub(in crate::core) fn decide_given(
    world: World<'_>,
    given: &SilenceGiven,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    if let Some(silence) = given
        .once
        .and_then(|once| world.state.silences().made_once(once))
    {
        return Decision {
            silence: Some(silence.id),
            ..Decision::because(Reason::SilenceMade)
        };
    }
    match &given.order {
        SilenceOrder::Put { wanted, replaces } => {
            put(world.state, wanted, *replaces, given.once, (now, ids))
        }
        SilenceOrder::Expire { silence } => match world.state.silences().get(*silence) {
            Some(silence) => {
                let mut decision = Decision::because(Reason::SilenceExpired);
                decision.silence = Some(silence.id);
                decision.change(ended(silence, now));
                decision
            }
            None => Decision::refused(Reason::UnknownSilence),
        },
    }
}

fn put(
    state: &State,
    wanted: &SilenceWanted,
    replaces: Option<SilenceId>,
    once: Option<u64>,
    (now, ids): (Timestamp, &mut IdFeed),
) -> Decision {
    if wanted.ends_at <= wanted.starts_at || wanted.ends_at <= now {
        return Decision::refused(Reason::SilenceEndsTooEarly);
    }
    if wanted.matchers.iter().all(|matcher| matcher.is_match("")) {
        return Decision::refused(Reason::SilenceMatchesAll);
    }
    let before = replaces.and_then(|id| state.silences().get(id));
    let before = before.filter(|it| it.state(now) != SilenceState::Expired);
    if let Some(before) = before
        && keeps_id(before, wanted, now)
    {
        let mut silence = (**before).clone();
        // The begin of an active one has passed and stays.
        if !is_active(before, now) {
            silence.starts_at = wanted.starts_at;
        }
        silence.ends_at = wanted.ends_at;
        silence.created_by = wanted.created_by.clone();
        silence.comment = wanted.comment.clone();
        silence.updated_at = now;
        return made(Reason::SilenceChanged, silence);
    }
    if before.is_none() && state.silences().len() >= SILENCES_MAX {
        return Decision::refused(Reason::TooManySilences);
    }
    let id = ids.silence();
    let starts_at = wanted.starts_at.max(now);
    let mut decision = made(
        Reason::SilenceMade,
        Silence {
            id,
            uuid: SilenceUuid::derive(id, now),
            matchers: wanted.matchers.clone().into(),
            starts_at,
            ends_at: wanted.ends_at,
            created_by: wanted.created_by.clone(),
            comment: wanted.comment.clone(),
            updated_at: now,
            is_started: starts_at <= now,
            is_swept: false,
            once,
        },
    );
    if let Some(before) = before {
        decision.change(ended(before, now));
    }
    decision
}

fn made(reason: Reason, silence: Silence) -> Decision {
    let mut decision = Decision::because(reason);
    decision.silence = Some(silence.id);
    let change = SilenceChange::Changed(Arc::new(silence));
    decision.change(Change::Silence(change));
    decision
}

/// Ends a silence now; its alerts are let go of when that is noticed, at once.
fn ended(silence: &Silence, now: Timestamp) -> Change {
    let mut silence = silence.clone();
    silence.starts_at = silence.starts_at.min(now);
    silence.ends_at = silence.ends_at.min(now);
    silence.updated_at = now;
    Change::Silence(SilenceChange::Changed(Arc::new(silence)))
}

fn is_active(silence: &Silence, now: Timestamp) -> bool {
    silence.state(now) == SilenceState::Active
}

/// Whether the change is one of end, comment or name only.
fn keeps_id(before: &Silence, wanted: &SilenceWanted, now: Timestamp) -> bool {
    if *before.matchers != *wanted.matchers {
        return false;
    }
    if is_active(before, now) {
        before.starts_at.since(wanted.starts_at).abs() < SAME_START
    } else {
        wanted.starts_at >= now
    }
}
