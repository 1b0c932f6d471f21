//! The auditor: what happens next to each open incident, or why nothing has to.
//!
//! It looks at what is, not at what was decided, so it also finds what no decision foresaw. Must not change anything.

use crate::core::decide::World;
use crate::core::escalate::look::LATE;
use crate::core::escalate::run::{Phase, Run};
use crate::core::ids::IncidentId;
use crate::core::incident::{Incident, IncidentState};
use crate::core::mute;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::Timestamp;

/// Who cares for an open incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Care {
    /// A step of a ladder is due then.
    Step(Timestamp),
    /// Somebody has it, or has taken notice.
    Owner(String),
    /// Nothing has to happen now, and why.
    Reason(String),
    /// Nobody cares, and why that is so.
    Nobody(String),
}

impl Care {
    /// The word in API and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Step(_) => "step",
            Self::Owner(_) => "owner",
            Self::Reason(_) => "reason",
            Self::Nobody(_) => "nobody",
        }
    }
}

/// Looks at the open ones of at most `at_most` incidents from `from` on, or before it when the newest come first, and says
/// where to go on.
pub fn audit(
    world: World<'_>,
    now: Timestamp,
    (from, is_newest_first): (IncidentId, bool),
    at_most: usize,
) -> (Vec<(IncidentId, Care)>, Option<IncidentId>) {
    let (state, rules) = (world.state, world.rules);
    let mut left: Box<dyn Iterator<Item = &Incident>> = if is_newest_first {
        Box::new(state.incidents_before(from))
    } else {
        Box::new(state.incidents_from(from))
    };
    let mut last = from;
    let looked_at = left.by_ref().take(at_most).inspect(|it| last = it.id);
    let open = looked_at.filter(|it| it.state.is_open());
    let found = open
        .map(|it| (it.id, care(state, rules, it, now)))
        .collect();
    let next = left.next().map(|it| it.id);
    // Going back starts before a number, going on at it.
    let next = next.map(|next| if is_newest_first { last } else { next });
    (found, next)
}

/// How many of the next open incidents, at most `at_most` incidents from `from` on, nobody cares for, and where to go on.
pub fn count_unattended(
    world: World<'_>,
    now: Timestamp,
    from: IncidentId,
    at_most: usize,
) -> (usize, Option<IncidentId>) {
    let (state, rules) = (world.state, world.rules);
    let mut left = state.incidents_from(from);
    let unattended = left
        .by_ref()
        .take(at_most)
        .filter(|it| it.state.is_open() && matches!(care(state, rules, it, now), Care::Nobody(_)));
    (unattended.count(), left.next().map(|it| it.id))
}

/// Who cares for one open incident.
pub fn care(state: &State, rules: &Rules, incident: &Incident, now: Timestamp) -> Care {
    if let Some(at) = incident.recovers_at {
        return Care::Reason(if at.plus(LATE) < now {
            "all alerts have ended; it is about to be resolved".to_owned()
        } else {
            "all alerts have ended; it resolves when they stay so".to_owned()
        });
    }
    let owner = incident.owner.as_deref();
    let assignee = owner.and_then(|owner| owner.assignee.as_deref());
    match &incident.state {
        IncidentState::OnHold { reason, .. } => {
            return Care::Reason(format!("on hold: {reason}"));
        }
        IncidentState::Acknowledged { .. } | IncidentState::InProgress => {
            return Care::Owner(assignee.unwrap_or("acknowledged").to_owned());
        }
        IncidentState::New | IncidentState::Resolved { .. } | IncidentState::Closed { .. } => {}
    }
    if mute::is_held(state, incident.id) {
        return Care::Reason("everything that fires is suppressed".to_owned());
    }
    if incident.announced_at.is_none() {
        return settling(incident, now);
    }
    let runs: Vec<_> = state.escalations().of(incident.id).collect();
    let due = runs.iter().filter_map(|run| run.due_at()).min();
    if let Some(due) = due {
        return if due.plus(LATE) < now {
            Care::Nobody(format!("a step is overdue: {}", names(&runs)))
        } else {
            Care::Step(due)
        };
    }
    if let Some(assignee) = assignee {
        return Care::Owner(assignee.to_owned());
    }
    if runs.iter().any(|run| run.phase == Phase::Exhausted) {
        let names = names(&runs);
        return Care::Nobody(format!("nobody answered to the end of {names}"));
    }
    if rules.tell.targets.is_empty() {
        return Care::Reason("no [[target]] is configured".to_owned());
    }
    match state.tells().of(incident.id) {
        Some(told) if !told.audience.is_empty() => {
            Care::Reason("its targets were told; no ladder is configured for it".to_owned())
        }
        Some(_) | None => Care::Nobody("no route tells anybody of it".to_owned()),
    }
}

fn settling(incident: &Incident, now: Timestamp) -> Care {
    match incident.announce_at {
        Some(at) if at.plus(LATE) < now => {
            Care::Nobody("it should have been announced by now".to_owned())
        }
        Some(_) => Care::Reason("it settles before people are told".to_owned()),
        None => Care::Nobody("it is not announced, and nothing will announce it".to_owned()),
    }
}

fn names(runs: &[&std::sync::Arc<Run>]) -> String {
    let names: Vec<&str> = runs.iter().map(|run| run.ladder.name.as_str()).collect();
    names.join(", ")
}
