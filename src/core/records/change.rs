//! A change: what somebody or something does to the estate, planned or done.
//!
//! Releases and deployments are changes of that type. Approvals stay in the platform that gives them; here they are a
//! word that is shown. Must not judge whether a change caused an incident; a person does.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{HELD_AFTER_END, RecordId};
use crate::core::time::Timestamp;

/// Where a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// It is to come.
    Planned,
    /// It is being made.
    InProgress,
    /// It was made.
    Successful,
    /// It did not succeed, or was taken back.
    Failed,
    /// It will not be made.
    Cancelled,
}

/// Words that platforms and pipelines have for the states.
const WORDS: [(ChangeState, &[&str]); 5] = [
    (
        ChangeState::Planned,
        &[
            "planned",
            "scheduled",
            "new",
            "draft",
            "requested",
            "assess",
            "authorize",
            "approved",
            "queued",
            "pending",
            "created",
            "waiting",
            "open",
            "todo",
            "to_do",
            "review_requested",
            "submitted",
            "outofsync",
        ],
    ),
    (
        ChangeState::InProgress,
        &[
            "in_progress",
            "implement",
            "implementing",
            "implementation",
            "running",
            "started",
            "active",
            "progressing",
            "deploying",
            "ongoing",
        ],
    ),
    (
        ChangeState::Successful,
        &[
            "successful",
            "success",
            "succeeded",
            "completed",
            "complete",
            "done",
            "closed",
            "implemented",
            "synced",
            "deployed",
            "finished",
            "review",
            "ok",
            "passed",
            "healthy",
            "resolved",
            "released",
        ],
    ),
    (
        ChangeState::Failed,
        &[
            "failed",
            "failure",
            "error",
            "degraded",
            "unsuccessful",
            "rolled_back",
            "rollback",
            "backed_out",
            "timed_out",
            "unhealthy",
            "broken",
        ],
    ),
    (
        ChangeState::Cancelled,
        &[
            "cancelled",
            "canceled",
            "rejected",
            "skipped",
            "aborted",
            "abandoned",
            "withdrawn",
            "neutral",
        ],
    ),
];

impl ChangeState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Planned,
        Self::InProgress,
        Self::Successful,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::InProgress => "in_progress",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a state's own word, or what platforms and pipelines call it.
    pub fn from_any_word(word: &str) -> Option<Self> {
        let bare: String = word.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        let known = WORDS
            .iter()
            .find(|(_, words)| words.contains(&bare.as_str()));
        known.map(|&(state, _)| state)
    }

    /// Whether nothing more is to happen.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Planned | Self::InProgress => false,
            Self::Successful | Self::Failed | Self::Cancelled => true,
        }
    }

    /// Whether it has touched the estate.
    pub const fn has_begun(self) -> bool {
        match self {
            Self::InProgress | Self::Successful | Self::Failed => true,
            Self::Planned | Self::Cancelled => false,
        }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItChange {
    /// Its id.
    pub id: RecordId,
    /// By what it is found again: the source and its own id there.
    #[serde(default)]
    pub key: Option<SmolStr>,
    /// Its id where it comes from.
    #[serde(default)]
    pub external_id: Option<SmolStr>,
    /// Where it comes from: the name of a source or connector, or `api`.
    pub source: SmolStr,
    /// One line for people.
    pub summary: SmolStr,
    /// More of it.
    #[serde(default)]
    pub description: SmolStr,
    /// What kind: `normal`, `standard`, `emergency`, `deployment`, `release`, or another word.
    pub kind: SmolStr,
    /// Where it stands.
    pub state: ChangeState,
    /// How risky it is said to be.
    #[serde(default)]
    pub risk: Option<SmolStr>,
    /// What the platform says about its approval.
    #[serde(default)]
    pub approval: Option<SmolStr>,
    /// The CIs that it changes, by id where the CMDB knows them.
    #[serde(default)]
    pub cis: Vec<SmolStr>,
    /// Who makes it.
    #[serde(default)]
    pub by: Option<SmolStr>,
    /// Link to it.
    #[serde(default)]
    pub url: SmolStr,
    /// When it begins or began.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// When it ends or ended.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// When it was first heard of.
    pub recorded_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was taken as evidence.
    #[serde(default)]
    pub noted_at: Option<Timestamp>,
    /// Whether people shall not be told of alerts of its CIs while it is made.
    #[serde(default)]
    pub opens_maintenance: bool,
    /// The incidents that a person says it caused.
    #[serde(default)]
    pub caused: Vec<crate::core::ids::IncidentId>,
}

impl ItChange {
    /// When it began to touch the estate, if it has.
    pub fn began_at(&self) -> Option<Timestamp> {
        self.noted_at
    }

    /// Whether it was being made at that time.
    pub fn covers(&self, at: Timestamp) -> bool {
        let has_begun = self.noted_at.is_some_and(|began| began <= at);
        let has_ended = self.ends_at.is_some_and(|end| end < at);
        has_begun && !has_ended && (self.ends_at.is_some() || !self.state.is_over())
    }

    /// When time alone has something to do here: a planned one begins, or it is no longer held.
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.state == ChangeState::Planned && self.noted_at.is_none() {
            return self.starts_at.or(Some(self.forgotten_at()));
        }
        Some(self.forgotten_at())
    }

    /// When it is no longer held.
    pub fn forgotten_at(&self) -> Timestamp {
        let last = [self.starts_at, self.ends_at, Some(self.updated_at)];
        let last = last.into_iter().flatten().max();
        last.unwrap_or(self.updated_at).plus(HELD_AFTER_END)
    }

    /// Whether it counts as a success: made, and nobody says that it caused an incident. `None` while it is not over.
    pub fn is_success(&self) -> Option<bool> {
        match self.state {
            ChangeState::Planned | ChangeState::InProgress | ChangeState::Cancelled => {
                (!self.caused.is_empty()).then_some(false)
            }
            ChangeState::Successful => Some(self.caused.is_empty()),
            ChangeState::Failed => Some(false),
        }
    }
}

/// What a change shall be; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeWanted {
    /// The change, when it is named by our own id.
    pub id: Option<RecordId>,
    /// By what it is found again.
    pub key: Option<SmolStr>,
    /// Its id where it comes from.
    pub external_id: Option<SmolStr>,
    /// Where it comes from.
    pub source: SmolStr,
    /// One line for people.
    pub summary: Option<SmolStr>,
    /// More of it.
    pub description: Option<SmolStr>,
    /// What kind.
    pub kind: Option<SmolStr>,
    /// Where it stands.
    pub state: Option<ChangeState>,
    /// How risky it is.
    pub risk: Option<SmolStr>,
    /// What is said about its approval.
    pub approval: Option<SmolStr>,
    /// The CIs, as its source names them.
    pub cis: Option<Vec<SmolStr>>,
    /// Who makes it.
    pub by: Option<SmolStr>,
    /// Link to it.
    pub url: Option<SmolStr>,
    /// When it begins or began.
    pub starts_at: Option<Timestamp>,
    /// When it ends or ended.
    pub ends_at: Option<Timestamp>,
    /// Whether it opens a maintenance window.
    pub opens_maintenance: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_know_the_words_of_platforms_and_their_own() {
        for state in ChangeState::ALL {
            assert_eq!(ChangeState::from_any_word(state.word()), Some(state));
        }
        for (word, state) in [
            ("In Progress", ChangeState::InProgress),
            ("failure", ChangeState::Failed),
            ("rolled-back", ChangeState::Failed),
            ("Closed", ChangeState::Successful),
            ("canceled", ChangeState::Cancelled),
        ] {
            assert_eq!(ChangeState::from_any_word(word), Some(state), "{word}");
        }
        assert_eq!(ChangeState::from_any_word("purple"), None);
    }
}
