//! Answers that people give elsewhere than on a page: a publish at a broker, a mail. Bytes in, a checked answer out.
//!
//! Who may answer: whoever holds the signed link of a message, for its one incident; a person whom the operator lets
//! name themselves; the address of a known person. Must not carry an answer out; that is the API's.

pub mod mail;
pub mod mailbox;
pub mod message;

use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::answer_link::{BadLink, LinkKey, PATH};
use crate::core::ids::IncidentId;
use crate::core::limits;
use crate::core::time::{Span, Timestamp};

/// What somebody wants of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To take notice.
    Acknowledge,
    /// To say that it is over.
    Resolve,
    /// To say something.
    Note,
}

impl Wish {
    /// Reads a wish's word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "acknowledge" | "acknowledged" | "ack" => Some(Self::Acknowledge),
            "resolve" | "resolved" => Some(Self::Resolve),
            "note" | "notes" | "comment" => Some(Self::Note),
            _ => None,
        }
    }
}

/// An answer: what, in whose name, with which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The incident.
    pub incident: IncidentId,
    /// Who.
    pub who: SmolStr,
    /// What.
    pub wish: Wish,
    /// The words.
    pub note: Option<Box<str>>,
    /// How long an acknowledgement holds.
    pub hold_for: Option<Span>,
    /// What the same answer, coming again, is known by; it is carried out once.
    pub key: Option<u64>,
}

/// Why an answer is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It cannot be read.
    #[error("{0}")]
    NotUnderstood(String),
    /// Its link does not work.
    #[error("{0}")]
    Link(#[from] BadLink),
    /// Whoever sends it may not.
    #[error("{0}")]
    NotAllowed(String),
}

impl Bad {
    /// Word of the dead-letter list.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotUnderstood(_) => "not_understood",
            Self::Link(_) => "bad_link",
            Self::NotAllowed(_) => "not_allowed",
        }
    }
}

/// Reads the token of a link: alone, or the whole link.
///
/// # Errors
/// It was not made here, or its time is over.
fn opened(
    links: &LinkKey,
    link: &str,
    now: Timestamp,
) -> Result<crate::answer_link::Answerable, BadLink> {
    let link = link.trim();
    let token = link.rsplit_once(PATH).map_or(link, |(_, token)| token);
    links.read(token.trim_end_matches('/'), now)
}

/// A note as it is kept: without NUL, cut at the limit; nothing when it is empty.
fn note(text: &str) -> Option<Box<str>> {
    let mut text = text.replace('\0', "");
    if text.len() > limits::NOTE_BYTES_MAX {
        let mut end = limits::NOTE_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

/// What an answer is known by when it comes again.
fn key(parts: &[&[u8]]) -> u64 {
    let mut whole = b"answer".to_vec();
    for part in parts {
        whole.push(0);
        whole.extend_from_slice(part);
    }
    xxh3_64(&whole)
}
