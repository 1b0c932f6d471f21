//! The operator's policy about tickets as a value.
//!
//! Must not hold addresses, secrets or the words of a platform.

use smol_str::SmolStr;

use crate::core::condition::Condition;
use crate::core::incident::StateWord;

/// Policy of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorRule {
    /// Its name.
    pub name: SmolStr,
    /// Which incidents get a ticket.
    pub when: Condition,
    /// Whose word counts, by field.
    pub owners: Owners,
    /// What happens to the ticket of an incident that is open again.
    pub reopen: ReopenPolicy,
    /// What the platform allows.
    pub reopenable: Reopenable,
    /// What is told there besides.
    pub extras: Extras,
}

/// What of an incident's timeline is told in its ticket besides what always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// What people did: who took it, held it, gave it to whom.
    pub worklogs: bool,
    /// Changes that may be the cause, and what people said of them.
    pub changes: bool,
}

/// Whose word counts, by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owners {
    /// Of the state.
    pub state: Owner,
    /// Of the priority.
    pub priority: Owner,
    /// Of the assignee.
    pub assignee: Owner,
    /// Of the title.
    pub title: Owner,
    /// Of notes: from where they are taken over.
    pub notes: Owner,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            state: Owner::Both,
            priority: Owner::Both,
            assignee: Owner::Remote,
            title: Owner::Watchbell,
            notes: Owner::Both,
        }
    }
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The last one.
    Both,
    /// Ours.
    Watchbell,
    /// The ticket's.
    Remote,
    /// Nobody's: the field is left alone on both sides.
    Neither,
}

impl Owner {
    /// Whether the ticket is to follow the incident.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Both | Self::Watchbell)
    }

    /// Whether the incident is to follow the ticket.
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::Both | Self::Remote)
    }
}

/// What happens to the ticket of an incident that is open again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReopenPolicy {
    /// It is opened again where the platform allows it, else another one follows it.
    #[default]
    Reopen,
    /// Another one follows it.
    New,
    /// Nothing.
    Never,
}

/// From where a platform lets a ticket be opened again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reopenable {
    /// Not at all.
    #[default]
    No,
    /// While it is resolved.
    Resolved,
    /// Also when it is closed.
    Closed,
}

impl Reopenable {
    /// Whether a ticket in this state can be opened again.
    pub fn from(self, state: StateWord) -> bool {
        match self {
            Self::No => false,
            Self::Resolved => state == StateWord::Resolved,
            Self::Closed => matches!(state, StateWord::Resolved | StateWord::Closed),
        }
    }
}
