//! A record of any kind, with what all of them have. Must not decide anything.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{
    Action, ChangeState, HELD_AFTER_END, ItChange, KnownError, Major, Problem, RecordId, Request,
    major,
};
use crate::core::time::Timestamp;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A change.
    Change(ItChange),
    /// A request.
    Request(Request),
    /// A problem.
    Problem(Problem),
    /// A known error.
    KnownError(KnownError),
    /// What makes an incident a major one.
    Major(Major),
    /// Something to be done after an incident.
    Action(Action),
}

impl Record {
    /// Its id.
    pub fn id(&self) -> RecordId {
        match self {
            Self::Change(change) => change.id,
            Self::Request(request) => request.id,
            Self::Problem(problem) => problem.id,
            Self::KnownError(known) => known.id,
            Self::Major(major) => major.id,
            Self::Action(action) => action.id,
        }
    }

    /// Where it stands, as the word that is shown.
    pub fn state(&self) -> &str {
        match self {
            Self::Change(change) => change.state.word(),
            Self::Request(request) => request.state.word(),
            Self::Problem(problem) => problem.state.word(),
            Self::KnownError(known) if known.is_active => "active",
            Self::KnownError(_) => "retired",
            Self::Major(major) if major.is_active => "active",
            Self::Major(_) => "ended",
            Self::Action(action) => &action.state,
        }
    }

    /// By what it is found again.
    pub fn key(&self) -> Option<&SmolStr> {
        match self {
            Self::Change(change) => change.key.as_ref(),
            Self::Request(request) => request.key.as_ref(),
            Self::Problem(problem) => problem.signature.as_ref(),
            Self::KnownError(_) | Self::Major(_) | Self::Action(_) => None,
        }
    }

    /// What it is about.
    pub fn cis(&self) -> &[SmolStr] {
        match self {
            Self::Change(change) => &change.cis,
            Self::Request(request) => &request.cis,
            Self::Problem(problem) => &problem.cis,
            Self::KnownError(known) => &known.cis,
            Self::Major(_) | Self::Action(_) => &[],
        }
    }

    /// One line for people.
    pub fn title(&self) -> &str {
        match self {
            Self::Change(change) => &change.summary,
            Self::Request(request) => &request.title,
            Self::Problem(problem) => &problem.title,
            Self::KnownError(known) => &known.title,
            Self::Major(major) => &major.reason,
            Self::Action(action) => &action.title,
        }
    }

    /// When it was changed last.
    pub fn updated_at(&self) -> Timestamp {
        match self {
            Self::Change(change) => change.updated_at,
            Self::Request(request) => request.updated_at,
            Self::Problem(problem) => problem.updated_at,
            Self::KnownError(known) => known.updated_at,
            Self::Major(major) => major.updated_at,
            Self::Action(action) => action.updated_at,
        }
    }

    /// When time alone has something to do here.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Change(change) => change.due_at(),
            Self::Request(request) => request.next_at(),
            Self::Problem(problem) => problem.over_at.map(|at| at.plus(HELD_AFTER_END)),
            // What is known stays known.
            Self::KnownError(_) => None,
            Self::Major(major) => major.next_at(),
            Self::Action(action) => action.next_at(),
        }
    }

    /// Whether nothing more is to happen to it but that it is no longer held.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Change(change) => {
                change.state != ChangeState::Planned || change.noted_at.is_some()
            }
            Self::Request(request) => request.state.is_over(),
            Self::Problem(problem) => problem.state.is_over(),
            Self::KnownError(_) => false,
            Self::Major(major) => !major.is_active,
            Self::Action(action) => action.state != "open",
        }
    }

    /// What else of it an audit tells.
    pub fn more_values(&self) -> Vec<(SmolStr, SmolStr)> {
        let text = |text: &Option<SmolStr>| text.clone().unwrap_or_default();
        match self {
            Self::Change(change) => vec![
                ("type".into(), change.kind.clone()),
                ("approval".into(), text(&change.approval)),
                ("risk".into(), text(&change.risk)),
                ("by".into(), text(&change.by)),
            ],
            Self::Request(request) => vec![
                ("priority".into(), request.priority.clone()),
                ("assignee".into(), text(&request.assignee)),
                ("team".into(), text(&request.team)),
                ("note".into(), request.note.clone()),
            ],
            Self::Problem(problem) => vec![
                ("root_cause".into(), problem.root_cause.clone()),
                ("workaround".into(), problem.workaround.clone()),
                ("owner".into(), text(&problem.owner)),
            ],
            Self::KnownError(known) => vec![
                ("cause".into(), known.cause.clone()),
                ("workaround".into(), known.workaround.clone()),
                ("runbook_url".into(), known.runbook_url.clone()),
            ],
            Self::Major(major) => major::values(major),
            Self::Action(action) => vec![
                ("owner".into(), text(&action.owner)),
                ("note".into(), action.note.clone()),
            ],
        }
    }

    /// The change, if it is one.
    pub fn as_change(&self) -> Option<&ItChange> {
        if let Self::Change(change) = self {
            return Some(change);
        }
        None
    }

    /// The request, if it is one.
    pub fn as_request(&self) -> Option<&Request> {
        if let Self::Request(request) = self {
            return Some(request);
        }
        None
    }

    /// The problem, if it is one.
    pub fn as_problem(&self) -> Option<&Problem> {
        if let Self::Problem(problem) = self {
            return Some(problem);
        }
        None
    }

    /// The known error, if it is one.
    pub fn as_known_error(&self) -> Option<&KnownError> {
        if let Self::KnownError(known) = self {
            return Some(known);
        }
        None
    }

    /// The major incident, if it is one.
    pub fn as_major(&self) -> Option<&Major> {
        if let Self::Major(major) = self {
            return Some(major);
        }
        None
    }

    /// The action, if it is one.
    pub fn as_action(&self) -> Option<&Action> {
        if let Self::Action(action) = self {
            return Some(action);
        }
        None
    }
}
