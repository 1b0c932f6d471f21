//! Tickets: the record that an incident has in another system, and how both are kept in step.
//!
//! Level-triggered: a [`Link`] says what the ticket shall be ([`Face`]) and what it was brought to last, never a list of
//! things to send, so whatever is late or lost is made good by the next look. A program beside the core does the talking
//! and reports what it came to ([`report::TicketReport`]), as an input like any other. The other side's changes come the
//! same way and are carried out as commands in the name of whoever made them there.
//!
//! Must not know any platform, address or secret, and must not hold up an incident because of its ticket.

mod follow;
mod held;
pub mod order;
pub mod report;
pub mod rules;
mod seen;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::reason::Reason;
use crate::core::severity::Priority;
use crate::core::time::Timestamp;

pub use self::held::Tickets;
use self::report::Exchange;
use self::rules::Extras;

pub(super) use self::follow::{forget, look};
pub(super) use self::order::decide_order;
pub(super) use self::report::decide_report;

/// Tickets that one incident can have had with one connector; after that its last one stays as it is.
pub const GENERATIONS_MAX: u32 = 20;
/// Notes of the other side that are known again; older ones are told apart by their time.
pub const NOTES_KNOWN_MAX: usize = 200;
/// Bytes of a text of the other side; longer ones are cut at a character.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Letters of a key after its prefix.
const KEY_LETTERS: usize = 24;
/// What every key starts with.
pub const KEY_PREFIX: &str = "wbl-";

/// What is told as a note in the ticket.
pub const NOTES: [Reason; 6] = [
    Reason::NoteAdded,
    Reason::IncidentReopened,
    Reason::ReopenedByPerson,
    Reason::IncidentMerged,
    Reason::MergedByPerson,
    Reason::PriorityChanged,
];

/// What is told besides as a worklog.
pub const WORKLOGS: [Reason; 9] = [
    Reason::Acknowledged,
    Reason::AcknowledgeExpired,
    Reason::Assigned,
    Reason::WorkStarted,
    Reason::PutOnHold,
    Reason::Resumed,
    Reason::ResolvedByPerson,
    Reason::PrioritySetByPerson,
    Reason::PriorityHandedBack,
];

/// What is told besides of changes.
pub const CHANGES: [Reason; 2] = [Reason::ChangeSuspected, Reason::ChangeJudged];

/// Whether an entry of the timeline with this reason is told in the ticket.
pub fn is_told(reason: Reason, extras: Extras) -> bool {
    NOTES.contains(&reason)
        || (extras.worklogs && WORKLOGS.contains(&reason))
        || (extras.changes && CHANGES.contains(&reason))
}

/// What a ticket shall be; a field that is not ours to write is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// Where the incident stands.
    pub state: Option<StateWord>,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Who has it.
    pub assignee: Option<SmolStr>,
    /// Counts the changes of its title.
    pub title: u32,
}

/// A ticket as the other system shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The id by which its API knows it.
    pub id: SmolStr,
    /// The number that people say.
    pub number: SmolStr,
    /// Link for people.
    #[serde(default)]
    pub url: SmolStr,
    /// Its status in the platform's words or numbers.
    pub status: SmolStr,
    /// What that status means here; `None` when it is not in the table.
    pub state: Option<StateWord>,
    /// Its priority, if it can be told.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// Who has it.
    #[serde(default)]
    pub assignee: Option<SmolStr>,
    /// What was done, in words.
    #[serde(default)]
    pub resolution: Option<SmolStr>,
    /// Whether it was closed as something that is not going to be done.
    #[serde(default)]
    pub is_refused: bool,
    /// When it changed last, in the platform's own text.
    #[serde(default)]
    pub updated: SmolStr,
    /// Who changed it last.
    #[serde(default)]
    pub author: Option<SmolStr>,
}

/// Why nothing is written to a ticket any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", content = "text", rename_all = "snake_case")]
pub enum Block {
    /// The platform refused; tried again when the incident changes or a person asks.
    Failed(Arc<str>),
    /// It was deleted or merged there.
    Detached(Arc<str>),
    /// It is closed there and may not be opened again.
    Closed(Arc<str>),
}

impl Block {
    /// The cause in words.
    pub fn text(&self) -> &Arc<str> {
        match self {
            Self::Failed(text) | Self::Detached(text) | Self::Closed(text) => text,
        }
    }
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It is not there yet.
    Pending,
    /// Both sides agree.
    InSync,
    /// The incident has changed since.
    Behind,
    /// The platform refused.
    Failed,
    /// It was deleted or merged there.
    Detached,
    /// It is closed there while the incident goes on.
    Closed,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::InSync,
        Self::Behind,
        Self::Failed,
        Self::Detached,
        Self::Closed,
    ];

    /// The word used in API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InSync => "in_sync",
            Self::Behind => "behind",
            Self::Failed => "failed",
            Self::Detached => "detached",
            Self::Closed => "closed",
        }
    }
}

/// An incident's ticket with one connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The incident.
    pub incident: IncidentId,
    /// The connector's name.
    pub connector: SmolStr,
    /// Which ticket of this incident it is, from 1.
    pub generation: u32,
    /// What the ticket is found by.
    pub key: SmolStr,
    /// When it was wanted.
    pub made_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// The ticket as it was seen last; `None` until it is there.
    pub record: Option<Record>,
    /// What it shall be.
    pub wanted: Face,
    /// What it was brought to.
    pub sent: Option<Face>,
    /// The last entry of the timeline that it shall hold as a note.
    pub notes_wanted: i64,
    /// The last one that it holds.
    pub notes_sent: i64,
    /// Notes of the other side that were taken over, oldest first.
    #[serde(default)]
    pub notes_known: Vec<SmolStr>,
    /// Numbers of the tickets before this one.
    #[serde(default)]
    pub former: Vec<SmolStr>,
    /// Why nothing is written any more.
    #[serde(default)]
    pub block: Option<Block>,
    /// What went wrong at the last attempt, which is made again.
    #[serde(default)]
    pub trouble: Option<Arc<str>>,
}

impl Link {
    /// A ticket that is wanted from now on.
    pub fn new(
        incident: IncidentId,
        opened_at: Timestamp,
        connector: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            incident,
            connector: SmolStr::new(connector),
            generation: 1,
            key: key(incident, opened_at, connector, 1),
            made_at: now,
            changed_at: now,
            record: None,
            wanted: Face::default(),
            sent: None,
            notes_wanted: 0,
            notes_sent: 0,
            notes_known: Vec::new(),
            former: Vec::new(),
            block: None,
            trouble: None,
        }
    }

    /// What is wrong with it, in words.
    pub fn error(&self) -> Option<&Arc<str>> {
        let block = self.block.as_ref().map(Block::text);
        block.or(self.trouble.as_ref())
    }

    /// Lets another ticket follow the one that is over.
    pub fn renew(&mut self, opened_at: Timestamp, now: Timestamp) {
        if let Some(record) = self.record.take() {
            self.former.push(record.number);
        }
        self.generation = self.generation.saturating_add(1);
        self.key = key(self.incident, opened_at, &self.connector, self.generation);
        self.made_at = now;
        self.sent = None;
        self.notes_known.clear();
        self.block = None;
        self.trouble = None;
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        match (&self.block, &self.record) {
            (Some(Block::Failed(_)), _) => Standing::Failed,
            (Some(Block::Detached(_)), _) => Standing::Detached,
            (Some(Block::Closed(_)), _) => Standing::Closed,
            (None, None) => Standing::Pending,
            (None, Some(_)) if self.is_behind() => Standing::Behind,
            (None, Some(_)) => Standing::InSync,
        }
    }

    /// Whether there is something to do at the other side.
    pub fn has_work(&self) -> bool {
        matches!(self.standing(), Standing::Pending | Standing::Behind)
    }

    fn is_behind(&self) -> bool {
        self.sent.as_ref() != Some(&self.wanted) || self.notes_wanted > self.notes_sent
    }

    /// Whether only its title differs, which can wait.
    pub fn is_only_retitled(&self) -> bool {
        let retitled = |sent: &Face| {
            let mut sent = sent.clone();
            sent.title = self.wanted.title;
            sent == self.wanted
        };
        self.notes_wanted <= self.notes_sent && self.sent.as_ref().is_some_and(retitled)
    }
}

/// Whether a ticket in one state is where the incident's state wants it: nothing is dragged back to new, and a platform
/// that closes what is resolved, or leaves what is closed resolved, is in step.
pub fn is_satisfied(want: StateWord, is: StateWord) -> bool {
    use StateWord::{Acknowledged, Closed, InProgress, New, OnHold, Resolved};
    match want {
        New => matches!(is, New | Acknowledged | InProgress),
        Acknowledged => matches!(is, Acknowledged | InProgress),
        InProgress => is == InProgress,
        OnHold => is == OnHold,
        Resolved | Closed => matches!(is, Resolved | Closed),
    }
}

/// The key of a ticket: the same for the same incident, so that what was made before a crash is found after it. Only
/// letters that every platform's queries take as they are.
fn key(incident: IncidentId, opened_at: Timestamp, connector: &str, generation: u32) -> SmolStr {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::new()
        .chain_update("watchbell ticket ")
        .chain_update(incident.get().to_be_bytes())
        .chain_update(opened_at.as_millis().to_be_bytes())
        .chain_update(generation.to_be_bytes())
        .chain_update(connector)
        .finalize();
    let mut text = String::from(KEY_PREFIX);
    for byte in digest.iter().take(KEY_LETTERS) {
        let letter = LETTERS.get(usize::from(byte & 31)).copied();
        text.push(char::from(letter.unwrap_or(b'a')));
    }
    SmolStr::new(text)
}

/// One change about tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketChange {
    /// A ticket was wanted, or something about it changed.
    Changed(Arc<Link>),
    /// What was said with the other system about a ticket.
    Exchanged {
        /// The incident.
        incident: IncidentId,
        /// The connector.
        connector: SmolStr,
        /// What was said, in order.
        exchanges: Vec<Exchange>,
    },
    /// A ticket is no longer held in memory.
    Forgotten(IncidentId, SmolStr),
    /// A connector was paused or goes on.
    Paused(SmolStr, bool),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_and_differ() {
        let id = IncidentId::new(1).unwrap();
        let at = Timestamp::from_millis(5);
        let one = key(id, at, "snow", 1);
        assert_eq!(one.len(), 28);
        assert!(
            one.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert_ne!(one, key(id, at, "snow", 2));
        assert_ne!(one, key(id, at, "jira", 1));
        assert_ne!(one, key(id, Timestamp::from_millis(6), "snow", 1));
        assert_eq!(one, key(id, at, "snow", 1));
    }
}
