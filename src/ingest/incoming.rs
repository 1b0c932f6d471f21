//! A message on its way in, and what its sender is told once it is stored.
//!
//! Must not take or refuse it.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde::Serialize;

use crate::core::time::Timestamp;
use crate::sources::topic::Subscription;
use crate::sources::tried::Tried;
use crate::sources::{Envelope, Message, Reject, Source};
use crate::store::writer::Receipt;

use super::door::Around;

/// The type of a query that stands in for a body.
const FORM: &str = "application/x-www-form-urlencoded";

/// A message on its way in.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// The body, after transport compression was undone.
    pub body: Bytes,
    /// The declared type of the body.
    pub content_type: Option<String>,
    /// What came around the body, as far as the decoder reads it.
    pub envelope: Envelope,
}

impl Incoming {
    /// JSON that was made here out of a request of another service's API.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            content_type: Some("application/json".to_owned()),
            envelope: Envelope::EMPTY,
        }
    }

    /// The message of a request: its body, or its query where that is all there is.
    pub fn of_request(
        decoder: &dyn Source,
        headers: &HeaderMap,
        query: Option<&str>,
        body: Bytes,
    ) -> Self {
        let read = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .filter(|(name, _)| decoder.reads_header(name));
        let envelope = Envelope::of_request(read, query.filter(|_| decoder.reads_query()));
        let content_type = headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        if !body.is_empty() || !decoder.takes_query() {
            return Self {
                body,
                content_type: content_type.map(ToOwned::to_owned),
                envelope,
            };
        }
        let form = Envelope::query_as_form(query.unwrap_or_default());
        Self {
            content_type: (!form.is_empty()).then(|| FORM.to_owned()),
            body: form.into(),
            envelope,
        }
    }

    /// What a source makes of it, told to the person who sets the source up.
    pub fn tried(&self, decoder: &dyn Source, source: &str, at: Timestamp) -> Tried {
        let message = Message {
            content_type: self.content_type.as_deref(),
            envelope: &self.envelope,
            ..Message::new(source, &self.body, at)
        };
        Tried::of(decoder, &message)
    }

    /// Says to which topic it is published, with what the first filter that fits captures of it.
    pub fn published_to(&mut self, topic: &str, filters: &[Subscription]) {
        let mut captures = filters
            .iter()
            .filter_map(|subscription| subscription.filter.captures(topic));
        let captures = captures.next().unwrap_or_default();
        let envelope = Envelope::of_publish(topic, captures);
        self.envelope.topic = envelope.topic;
        self.envelope.captures = envelope.captures;
    }

    pub(super) fn around(&self) -> Around<'_> {
        Around {
            content_type: self.content_type.as_deref(),
            envelope: &self.envelope,
        }
    }
}

/// What the sender of a stored message is told.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted {
    /// Always `accepted`.
    pub status: &'static str,
    /// Position in the input log.
    pub seq: i64,
    /// Claims that were understood.
    pub observations: usize,
    /// Items that could not be used.
    pub rejected: usize,
    /// What is wrong with the first of those.
    pub problems: Vec<String>,
    /// Whether the very same bytes came a short while ago.
    #[serde(skip)]
    pub is_duplicate: bool,
}

impl Accepted {
    /// The one way to say yes: with a receipt of the commit in hand.
    pub(super) fn new(
        receipt: Receipt,
        observations: usize,
        decoded: &Rejects,
        is_duplicate: bool,
    ) -> Self {
        let problems = decoded.first.iter().take(10);
        Self {
            status: "accepted",
            seq: receipt.seq().get(),
            observations,
            rejected: decoded.count,
            problems: problems
                .map(|reject| format!("{}: {}", reject.path, reject.problem))
                .collect(),
            is_duplicate,
        }
    }
}

/// Items of a message that could not be used.
pub(super) struct Rejects {
    pub(super) first: Vec<Reject>,
    pub(super) count: usize,
}

impl Rejects {
    pub(super) fn detail(&self) -> String {
        let lines = self
            .first
            .iter()
            .map(|reject| format!("{}: {}", reject.path, reject.problem));
        format!(
            "{} items: {}",
            self.count,
            lines.collect::<Vec<_>>().join("; ")
        )
    }
}
