//! The kinds `json`, `cloudevents`, `sns` and `mqtt`: a wrapping that is known, and inside it anything that a mapping fits.
//!
//! Must not know a product; what a product sends is in its preset.

use std::sync::Arc;

use minijinja::value::Value;

use crate::sources::body::{self, Body};
use crate::sources::mapping::value::{self, Budget};
use crate::sources::mapping::{Mapping, Observer, Origin};
use crate::sources::tried::{Tried, TriedItem};
use crate::sources::{DecodeError, Decoded, Message, Source, cloudevents, json, sns};

/// What is around the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing but the encodings of [`body`].
    Json,
    /// CloudEvents 1.0 in any mode; the payload is the event, with its data under `data`.
    CloudEvents,
    /// The envelope of Amazon SNS; the payload is the message in it.
    Sns,
    /// A publish: JSON or text. An empty one only clears what a broker kept, and says nothing.
    Mqtt,
    /// A publish that is a `CloudEvent`: structured, or binary with its attributes as user properties.
    MqttEvents,
}

/// A source that is understood by a mapping.
#[derive(Clone, Debug)]
pub struct Mapped {
    shape: Shape,
    mapping: Arc<Mapping>,
}

impl Mapped {
    /// A source of this shape and mapping.
    pub fn new(shape: Shape, mapping: Arc<Mapping>) -> Self {
        Self { shape, mapping }
    }

    fn run(
        &self,
        message: &Message<'_>,
        is_traced: bool,
    ) -> Result<(Decoded, Vec<TriedItem>), DecodeError> {
        let budget = Budget::of_body(message.body.len());
        let mut observer = Observer::new(&self.mapping, message, Arc::clone(&budget));
        if is_traced {
            observer = observer.with_trace();
        }
        match self.shape {
            Shape::Json => observer.payload(&payload(message, &budget)?, &Origin::default())?,
            Shape::CloudEvents => cloudevents::observe(message, &budget, &mut observer)?,
            Shape::Sns => sns::observe(message, &budget, &mut observer)?,
            Shape::MqttEvents if cloudevents::is_binary(message) => {
                cloudevents::observe(message, &budget, &mut observer)?;
            }
            Shape::Mqtt | Shape::MqttEvents if message.body.is_empty() => {
                observer.skip();
                observer.note(
                    "body",
                    "an empty publish says nothing about an alert".to_owned(),
                );
            }
            Shape::MqttEvents => cloudevents::observe(message, &budget, &mut observer)?,
            Shape::Mqtt => observer.payload(&payload(message, &budget)?, &Origin::default())?,
        }
        Ok(observer.finish())
    }
}

impl Source for Mapped {
    fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Json => "json",
            Shape::CloudEvents => "cloudevents",
            Shape::Sns => "sns",
            Shape::Mqtt | Shape::MqttEvents => "mqtt",
        }
    }

    fn example(&self) -> &str {
        self.mapping.example()
    }

    fn reads_envelope(&self) -> bool {
        true
    }

    fn reads_header(&self, name: &str) -> bool {
        let is_of_shape = match self.shape {
            Shape::Json | Shape::Mqtt => false,
            Shape::CloudEvents => name.starts_with("ce-"),
            // Attributes have no prefix here, and any may be an extension.
            Shape::MqttEvents => true,
            Shape::Sns => name == sns::TOPIC_HEADER,
        };
        is_of_shape || self.mapping.reads("headers")
    }

    fn reads_query(&self) -> bool {
        self.mapping.reads("query")
    }

    fn takes_query(&self) -> bool {
        match self.shape {
            Shape::Json => true,
            Shape::CloudEvents | Shape::Sns | Shape::Mqtt | Shape::MqttEvents => false,
        }
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        self.run(message, false).map(|(decoded, _)| decoded)
    }

    fn explain(&self, message: &Message<'_>) -> Result<Tried, DecodeError> {
        let (decoded, items) = self.run(message, true)?;
        let mut tried = Tried::new(&decoded, items);
        self.mapping.advise(&mut tried);
        Ok(tried)
    }
}

/// The payload of a body: JSON as it is, fields as an object (JSON in them as such), text as text.
pub(super) fn payload(message: &Message<'_>, budget: &Arc<Budget>) -> Result<Value, DecodeError> {
    Ok(match body::read(message)? {
        Body::Json(text) => value::read(json::text(text.as_bytes())?, budget)?,
        Body::Text(text) => value::text(&text),
        Body::Fields(fields) => {
            let entries = fields
                .iter()
                .map(|(name, field)| (Value::from(name.as_str()), field_value(field, budget)));
            value::map(entries.collect(), Some(budget))
        }
    })
}

fn field_value(field: &str, budget: &Arc<Budget>) -> Value {
    let parsed = if body::looks_like_json(field) {
        json::text(field.as_bytes())
            .and_then(|text| value::read(text, budget))
            .ok()
    } else {
        None
    };
    parsed.unwrap_or_else(|| value::text(field))
}
