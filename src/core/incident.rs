//! An incident as held in memory, and the table of what people may do to it in which state.
//!
//! `new -> acknowledged -> in_progress <-> on_hold -> resolved -> closed`. A person may move forward over skipped
//! states; their times are then set. Must not hold texts beyond what a state needs, nor the list of alerts (that
//! is the state's), so that a change never copies more than this record.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::ids::IncidentId;
use crate::core::input::Command;
use crate::core::reason::Reason;
use crate::core::severity::{Grade, Priority, Severity};
use crate::core::time::Timestamp;

/// Where an incident stands; each state holds only what is legal in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentState {
    /// Nobody has taken notice yet.
    New,
    /// Somebody has; if a time was given, it is new again after it.
    Acknowledged {
        /// Until when the acknowledgement holds.
        until: Option<Timestamp>,
    },
    /// Somebody works on it.
    InProgress,
    /// Work waits for something outside.
    OnHold {
        /// When work goes on by itself.
        until: Option<Timestamp>,
        /// What it waits for.
        reason: Arc<str>,
    },
    /// The disruption is over.
    Resolved {
        /// When it closes by itself.
        close_at: Timestamp,
    },
    /// Done.
    Closed {
        /// Until when it may still be reopened under its own number.
        reopenable_until: Timestamp,
    },
}

/// The name of a state without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateWord {
    /// `new`
    New,
    /// `acknowledged`
    Acknowledged,
    /// `in_progress`
    InProgress,
    /// `on_hold`
    OnHold,
    /// `resolved`
    Resolved,
    /// `closed`
    Closed,
}

impl StateWord {
    /// Every state, in the order of life.
    pub const ALL: [Self; 6] = [
        Self::New,
        Self::Acknowledged,
        Self::InProgress,
        Self::OnHold,
        Self::Resolved,
        Self::Closed,
    ];

    /// The word used in API, store and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::InProgress => "in_progress",
            Self::OnHold => "on_hold",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// Reads a state's word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl IncidentState {
    /// The name of the state.
    pub const fn word(&self) -> StateWord {
        match self {
            Self::New => StateWord::New,
            Self::Acknowledged { .. } => StateWord::Acknowledged,
            Self::InProgress => StateWord::InProgress,
            Self::OnHold { .. } => StateWord::OnHold,
            Self::Resolved { .. } => StateWord::Resolved,
            Self::Closed { .. } => StateWord::Closed,
        }
    }

    /// Whether the incident still needs people.
    pub const fn is_open(&self) -> bool {
        match self {
            Self::New | Self::Acknowledged { .. } | Self::InProgress | Self::OnHold { .. } => true,
            Self::Resolved { .. } | Self::Closed { .. } => false,
        }
    }
}

/// Who has the incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The person.
    pub assignee: Option<SmolStr>,
    /// The team.
    pub team: Option<SmolStr>,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// Where it stands.
    pub state: IncidentState,
    /// Worst severity since it was opened or reopened.
    pub severity: Severity,
    /// How soon people must act.
    pub priority: Priority,
    /// Alerts of it that fire now.
    pub firing: u32,
    /// Alerts that ever belonged to it.
    pub total: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When somebody took notice, since the last reopen.
    pub acknowledged_at: Option<Timestamp>,
    /// When it was resolved last.
    pub resolved_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When it resolves if no alert fires before.
    pub recovers_at: Option<Timestamp>,
    /// Since when it settles, until it is announced.
    pub settles_since: Option<Timestamp>,
    /// When it is announced unless it recovers or grows before.
    pub announce_at: Option<Timestamp>,
    /// Since when people may be told.
    pub announced_at: Option<Timestamp>,
    /// When an alert joined it last while it settled.
    pub joined_at: Option<Timestamp>,
    /// How often it was reopened.
    pub reopen_count: u32,
    /// The incident that it continues.
    pub previous: Option<IncidentId>,
    /// The incident that took over its alerts, if it was merged.
    pub merged_into: Option<IncidentId>,
    /// Who has it.
    pub owner: Option<Arc<Owner>>,
    /// Counts changes; a command may ask for the version it was based on.
    pub version: i64,
}

impl Incident {
    /// A new incident without alerts.
    pub fn open(id: IncidentId, severity: Severity, now: Timestamp) -> Self {
        Self {
            id,
            state: IncidentState::New,
            severity,
            priority: Priority::of(Grade::of_severity(severity)),
            firing: 0,
            total: 0,
            opened_at: now,
            acknowledged_at: None,
            resolved_at: None,
            closed_at: None,
            recovers_at: None,
            settles_since: None,
            announce_at: None,
            announced_at: None,
            joined_at: None,
            reopen_count: 0,
            previous: None,
            merged_into: None,
            owner: None,
            version: 0,
        }
    }

    /// When time alone has something to do here.
    pub fn due_at(&self) -> Option<Timestamp> {
        let dues = [self.due_but_for_announcing(), self.announce_at];
        dues.into_iter().flatten().min()
    }

    /// Whether it has settled and still is not announced: it is held, or recovers.
    pub(super) fn is_waiting(&self) -> bool {
        self.announced_at.is_none() && self.settles_since.is_some() && self.announce_at.is_none()
    }

    /// When time alone has something to do here besides announcing it.
    pub(super) fn due_but_for_announcing(&self) -> Option<Timestamp> {
        let by_state = match self.state {
            IncidentState::New | IncidentState::InProgress => None,
            IncidentState::Acknowledged { until } | IncidentState::OnHold { until, .. } => until,
            IncidentState::Resolved { close_at } => return Some(close_at),
            IncidentState::Closed { reopenable_until } => return Some(reopenable_until),
        };
        [by_state, self.recovers_at].into_iter().flatten().min()
    }

    /// Notes that an alert joins, for as long as that matters.
    pub(super) fn grow(&mut self, now: Timestamp) {
        self.total = self.total.saturating_add(1);
        if self.announced_at.is_none() {
            self.joined_at = Some(now);
        }
    }

    /// Sets the state and, for states passed over, their times.
    pub fn enter(&mut self, state: IncidentState, now: Timestamp) {
        match state.word() {
            StateWord::New => {
                self.acknowledged_at = None;
                self.resolved_at = None;
                self.closed_at = None;
            }
            StateWord::Acknowledged | StateWord::InProgress | StateWord::OnHold => {
                self.acknowledged_at.get_or_insert(now);
            }
            StateWord::Resolved => {
                self.resolved_at = Some(now);
                self.recovers_at = None;
                self.stop_settling();
            }
            StateWord::Closed => {
                self.acknowledged_at.get_or_insert(now);
                self.resolved_at.get_or_insert(now);
                self.closed_at = Some(now);
                self.recovers_at = None;
                self.stop_settling();
            }
        }
        self.state = state;
    }

    fn stop_settling(&mut self) {
        self.settles_since = None;
        self.announce_at = None;
        self.joined_at = None;
    }
}

/// Whether a person may do this now: the whole table, state by state.
///
/// # Errors
/// The reason of the refusal.
pub fn permit(state: &IncidentState, command: &Command) -> Result<(), Reason> {
    use IncidentState::{Acknowledged, Closed, InProgress, New, OnHold, Resolved};
    match (command, state) {
        (Command::Note { .. }, _) => Ok(()),
        (Command::Reopen { .. }, Resolved { .. } | Closed { .. }) => Ok(()),
        (Command::Reopen { .. }, New | Acknowledged { .. } | InProgress | OnHold { .. }) => {
            Err(Reason::NotResolvedYet)
        }
        (Command::Close, Closed { .. }) => Err(Reason::AlreadyClosed),
        (
            Command::Close,
            New | Acknowledged { .. } | InProgress | OnHold { .. } | Resolved { .. },
        ) => Ok(()),
        (_, Closed { .. }) => Err(Reason::AlreadyClosed),
        (_, Resolved { .. }) => Err(Reason::AlreadyResolved),
        (Command::Acknowledge { .. }, New) => Ok(()),
        (Command::Acknowledge { until: Some(_) }, Acknowledged { .. }) => Ok(()),
        (Command::Acknowledge { .. }, Acknowledged { .. } | InProgress | OnHold { .. }) => {
            Err(Reason::AlreadyAcknowledged)
        }
        (Command::Assign { .. }, New | Acknowledged { .. } | InProgress | OnHold { .. }) => Ok(()),
        (Command::Start, New | Acknowledged { .. } | OnHold { .. }) => Ok(()),
        (Command::Start, InProgress) => Err(Reason::AlreadyInProgress),
        (Command::Hold { .. }, New | Acknowledged { .. } | InProgress) => Ok(()),
        (Command::Hold { .. }, OnHold { .. }) => Err(Reason::AlreadyOnHold),
        (Command::Resume, OnHold { .. }) => Ok(()),
        (Command::Resume, New | Acknowledged { .. } | InProgress) => Err(Reason::NotOnHold),
        (
            Command::Resolve { .. }
            | Command::Merge { .. }
            | Command::Split { .. }
            | Command::Unlink { .. }
            | Command::Pin { .. }
            | Command::Root { .. }
            | Command::Priority { .. },
            New | Acknowledged { .. } | InProgress | OnHold { .. },
        ) => Ok(()),
    }
}
