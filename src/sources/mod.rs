//! What a sender's bytes mean: one message in, observations out.
//!
//! A source knows one sender's format and nothing else. How the message came (HTTP, MQTT, replay, a test) is not
//! its business, and neither is what follows from it. A message is decoded as far as it can be: a bad item is set
//! aside with a reason, the good ones are kept; only a message that makes no sense as a whole is an error.
//! Must not do I/O, read a clock, log, or decide anything. Start at [`Source`]; a new one goes into [`SOURCES`].

pub mod alertmanager;
pub mod body;
pub mod cloudevents;
pub mod envelope;
pub mod flat;
pub mod heartbeat;
pub mod json;
pub mod mapped;
pub mod mapping;
pub mod opsgenie;
pub mod opsgenie_update;
pub mod pagerduty;
pub mod severity_words;
pub mod sns;
pub mod sparkplug;
pub mod status_words;
pub mod test_messages;
pub mod time_text;
pub mod topic;
pub mod tried;

use std::sync::Arc;

use thiserror::Error;

use crate::core::identity::AlertKey;
use crate::core::observation::Observation;
use crate::core::records::change::ChangeWanted;
use crate::core::time::Timestamp;
pub use crate::sources::envelope::Envelope;
use crate::sources::mapped::{Mapped, Shape};
use crate::sources::mapping::Mapping;
use crate::sources::tried::Tried;

/// Rejects and notes kept in full per message; more are only counted, so that a hostile body stays cheap.
pub const DETAILS_MAX: usize = 100;
/// Bytes of a rejected item's own text that are kept; the rest is cut at a character.
pub const RAW_BYTES_MAX: usize = 2 * 1024;

/// What a source delivered, with what a decoder may know about it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The configured name of the source; part of every alert key.
    pub source: &'a str,
    /// The body as sent, after transport compression was undone.
    pub body: &'a [u8],
    /// What the sender says the body is; often wrong, so a hint only.
    pub content_type: Option<&'a str>,
    /// When we received it.
    pub received_at: Timestamp,
    /// What came around the body; empty for sources that do not ask for it.
    pub envelope: &'a Envelope,
}

impl<'a> Message<'a> {
    /// A message with nothing around its body; set the rest by struct update.
    pub const fn new(source: &'a str, body: &'a [u8], received_at: Timestamp) -> Self {
        Self {
            source,
            body,
            content_type: None,
            received_at,
            envelope: envelope::NOTHING,
        }
    }
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The claims, in the order of the message; two about one alert stay two.
    pub observations: Vec<Observation>,
    /// The first [`DETAILS_MAX`] items that could not be used.
    pub rejects: Vec<Reject>,
    /// How many items could not be used, listed or not.
    pub reject_count: usize,
    /// The first [`DETAILS_MAX`] oddities of items that were used all the same.
    pub notes: Vec<Note>,
    /// How many oddities there were, listed or not.
    pub note_count: usize,
    /// Items that were understood and rightly say nothing about an alert; each has a note or a rule that left it out.
    pub skip_count: usize,
    /// The alerts of which somebody took notice, the first [`DETAILS_MAX`]; each also counts as one that says nothing
    /// about its alert.
    pub acknowledged: Vec<AlertKey>,
    /// Changes that it tells of, in its order; each also counts as one that says nothing about an alert.
    pub changes: Vec<ChangeWanted>,
    /// Items by which a person tested the connection: answered with success, shown, never an alert.
    pub test_count: usize,
}

/// An item that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Position of the item in the message, from 0.
    pub index: usize,
    /// Where in the message, like `alerts[3].labels.foo`.
    pub path: String,
    /// What is wrong and what is expected, for people.
    pub problem: String,
    /// The item as sent, cut to [`RAW_BYTES_MAX`].
    pub raw: String,
}

/// Something odd in an item that was used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where in the message, like `alerts[3].startsAt`.
    pub path: String,
    /// What is odd and what was made of it, for people.
    pub problem: String,
}

/// A place in a message and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the message, like `alerts[3].labels.foo`.
    pub path: String,
    /// What is wrong and what is expected, for people.
    pub problem: String,
}

impl Decoded {
    /// Sets an item aside. `raw` is the item as sent.
    pub fn reject(&mut self, index: usize, problem: Problem, raw: &str) {
        self.reject_count = self.reject_count.saturating_add(1);
        if self.rejects.len() < DETAILS_MAX {
            let end = raw.floor_char_boundary(RAW_BYTES_MAX);
            self.rejects.push(Reject {
                index,
                path: problem.path,
                problem: problem.problem,
                raw: raw.get(..end).unwrap_or_default().to_owned(),
            });
        }
    }

    /// Remembers an oddity; its texts are only made when they will be kept.
    pub fn note(&mut self, make: impl FnOnce() -> Note) {
        self.note_count = self.note_count.saturating_add(1);
        if self.notes.len() < DETAILS_MAX {
            self.notes.push(make());
        }
    }
}

/// Why a whole message could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// There is nothing to decode.
    #[error("the body is empty; the sender must put its message into the body")]
    Empty,
    /// The body is not text.
    #[error(
        "the body is not UTF-8 text at byte {offset}; send JSON in UTF-8, and name any compression in Content-Encoding"
    )]
    NotUtf8 {
        /// Offset of the first wrong byte, from 0.
        offset: usize,
    },
    /// Objects and lists are nested deeper than any real sender does.
    #[error(
        "the body nests objects and lists deeper than {} levels at byte {offset}; send a flatter one",
        json::DEPTH_MAX
    )]
    TooDeep {
        /// Offset of the bracket that goes too deep, from 0.
        offset: usize,
    },
    /// The text is not JSON.
    #[error(
        "the body is not valid JSON at line {line}, column {column}: {problem}; correct what the sender writes there"
    )]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What the parser met.
        problem: String,
    },
    /// The JSON is valid but not what this source sends.
    #[error("{path}: {problem}; {hint}")]
    WrongShape {
        /// Where in the message; `body` for the whole of it.
        path: String,
        /// What is wrong there.
        problem: String,
        /// What to look at next.
        hint: &'static str,
    },
}

/// A kind of source: a decoder of one sender's format.
pub trait Source: Send + Sync {
    /// The kind's name in the configuration, and the name of its fixture folder.
    fn kind(&self) -> &'static str;

    /// A complete message of this kind, shown to people and decoded by a test; empty where the operator wrote the
    /// mapping and nobody knows one.
    fn example(&self) -> &str;

    /// Whether [`Message::envelope`] matters: then it has to be kept with the body, to decode the same again later.
    fn reads_envelope(&self) -> bool {
        false
    }

    /// Whether a header matters, by its name in lower case; others need not be kept.
    fn reads_header(&self, _name: &str) -> bool {
        false
    }

    /// Whether the query of a request matters besides its body.
    fn reads_query(&self) -> bool {
        false
    }

    /// Whether a request without a body is a message too, with its query in place of the body.
    fn takes_query(&self) -> bool {
        false
    }

    /// What the message says.
    ///
    /// # Errors
    /// Fails only when nothing can be made of the message as a whole. The same bytes then fail for ever, so the
    /// sender must be told not to repeat them.
    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError>;

    /// The same for people who set a source up: what was made of each item, and from what.
    ///
    /// # Errors
    /// As [`Source::decode`].
    fn explain(&self, message: &Message<'_>) -> Result<Tried, DecodeError> {
        self.decode(message).map(Tried::from)
    }
}

/// Every kind of source.
pub const SOURCES: &[&dyn Source] = &[
    &alertmanager::Alertmanager,
    &pagerduty::PagerDuty,
    &opsgenie::Opsgenie,
    &heartbeat::Heartbeat,
];

/// The decoder of one configured source: the one place where kinds become decoders.
///
/// `None` when the kind has no decoder here, or needs a mapping and there is none.
pub fn decoder(kind: &str, mapping: Option<&Arc<Mapping>>) -> Option<Arc<dyn Source>> {
    let mapped = |shape| {
        let mapped: Arc<dyn Source> = Arc::new(Mapped::new(shape, Arc::clone(mapping?)));
        Some(mapped)
    };
    let wrapping = mapping.map_or("", |mapping| mapping.wrapping());
    match (kind, wrapping) {
        // A preset of a format with an envelope works under the general kinds as well.
        ("json", "cloudevents") => return mapped(Shape::CloudEvents),
        ("json", "sns") => return mapped(Shape::Sns),
        ("mqtt", "cloudevents") => return mapped(Shape::MqttEvents),
        _ => {}
    }
    match kind {
        "alertmanager" => Some(Arc::new(alertmanager::Alertmanager)),
        "json" => mapped(Shape::Json),
        "cloudevents" => mapped(Shape::CloudEvents),
        "pagerduty" => Some(Arc::new(pagerduty::PagerDuty)),
        "opsgenie" => Some(Arc::new(opsgenie::Opsgenie)),
        "sns" => mapped(Shape::Sns),
        "mqtt" => mapped(Shape::Mqtt),
        "sparkplug" => Some(Arc::new(sparkplug::Sparkplug::new(mapping.cloned()))),
        _ => None,
    }
}

/// The source of a kind that needs no configuration of its own, if there is one.
pub fn find(kind: &str) -> Option<&'static dyn Source> {
    SOURCES.iter().copied().find(|source| source.kind() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_bounded_and_the_rest_is_counted() {
        let mut decoded = Decoded::default();
        for index in 0..DETAILS_MAX + 5 {
            let problem = Problem {
                path: format!("alerts[{index}]"),
                problem: String::new(),
            };
            decoded.reject(index, problem, &"ä".repeat(RAW_BYTES_MAX));
        }
        assert_eq!(decoded.rejects.len(), DETAILS_MAX);
        assert_eq!(decoded.reject_count, DETAILS_MAX + 5);
        assert_eq!(decoded.rejects[0].raw.len(), RAW_BYTES_MAX);
    }

    #[test]
    fn kinds_are_found_by_name() {
        for source in SOURCES {
            assert_eq!(find(source.kind()).unwrap().kind(), source.kind());
        }
        assert!(find("no such kind").is_none());
    }
}
