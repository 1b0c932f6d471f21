//! CloudEvents 1.0: structured, batched and binary, over HTTP and MQTT.
//!
//! The payload of each event is an object of its attributes, with the data under `data`. `source` and `id` identify
//! the event, not the alert: the mapping says what identifies that. Must not judge a type of event.
//! Source: cloudevents/spec `spec.md`, `bindings/http-protocol-binding.md`, `bindings/mqtt-protocol-binding.md`.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::Value;
use percent_encoding::percent_decode_str;

use crate::sources::mapping::value::{self, Budget, Form, is_missing};
use crate::sources::mapping::{Observer, Origin};
use crate::sources::{DecodeError, Message, Problem, body, json};

/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];
const HINT: &str = "set the Content-Type to application/cloudevents+json, or send the ce- headers";

/// Feeds every event of a message to the observer.
pub(super) fn observe(
    message: &Message<'_>,
    budget: &Arc<Budget>,
    observer: &mut Observer<'_>,
) -> Result<(), DecodeError> {
    if is_binary(message) {
        let event = binary(message, budget).and_then(|event| checked(&event, budget));
        return one(event, &Origin::default(), observer);
    }
    let whole = value::read(json::text(message.body)?, budget)?;
    match value::form(&whole) {
        Form::List => {
            for (index, event) in whole.try_iter().into_iter().flatten().enumerate() {
                let origin = Origin(format!("events[{index}]"));
                let taken = checked(&event, budget).and_then(|event| {
                    observer.payload(&event, &origin).map_err(|error| Problem {
                        path: String::new(),
                        problem: error.to_string(),
                    })
                });
                if let Err(problem) = taken {
                    observer.reject(below(&origin, problem), &event);
                }
            }
            Ok(())
        }
        Form::Map => one(checked(&whole, budget), &Origin::default(), observer),
        form @ (Form::Missing | Form::Flag | Form::Text) => Err(DecodeError::WrongShape {
            path: "body".to_owned(),
            problem: format!("is {}, not a CloudEvent", form.word()),
            hint: HINT,
        }),
    }
}

fn one(
    event: Result<Value, Problem>,
    origin: &Origin,
    observer: &mut Observer<'_>,
) -> Result<(), DecodeError> {
    match event {
        Ok(event) => observer.payload(&event, origin),
        Err(Problem { path, problem }) => Err(DecodeError::WrongShape {
            path,
            problem,
            hint: HINT,
        }),
    }
}

fn below(origin: &Origin, problem: Problem) -> Problem {
    let path = if problem.path.is_empty() {
        origin.0.clone()
    } else {
        format!("{}.{}", origin.0, problem.path)
    };
    Problem { path, ..problem }
}

/// Tested after the structured modes, as the binding asks.
pub(super) fn is_binary(message: &Message<'_>) -> bool {
    let label = message
        .content_type
        .unwrap_or_default()
        .to_ascii_lowercase();
    !label.starts_with("application/cloudevents")
        && message
            .envelope
            .header(&format!("{}specversion", prefix(message)))
            .is_some()
}

/// Over MQTT the attributes are user properties without a prefix.
fn prefix(message: &Message<'_>) -> &'static str {
    if message.envelope.topic.is_empty() {
        "ce-"
    } else {
        ""
    }
}

fn binary(message: &Message<'_>, budget: &Arc<Budget>) -> Result<Value, Problem> {
    let prefix = prefix(message);
    let mut entries = Vec::new();
    for (name, text) in &message.envelope.headers {
        if let Some(name) = name.strip_prefix(prefix) {
            if prefix.is_empty() {
                // User properties are UTF-8 as they are; nothing is quoted there.
                entries.push((Value::from(name), value::text(text)));
                continue;
            }
            let unquoted = text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
                .map_or_else(
                    || text.to_string(),
                    |text| text.replace("\\\"", "\"").replace("\\\\", "\\"),
                );
            let decoded = percent_decode_str(&unquoted)
                .decode_utf8()
                .map_err(|_| Problem {
                    path: format!("{prefix}{name}"),
                    problem: "is not UTF-8 after percent decoding".to_owned(),
                })?;
            entries.push((Value::from(name), value::text(&decoded)));
        }
    }
    let label = message.content_type.unwrap_or_default();
    if !label.is_empty() {
        entries.push((Value::from("datacontenttype"), value::text(label)));
    }
    if let Some(data) = data_of(message.body, label, budget)? {
        entries.push((Value::from("data"), data));
    }
    Ok(value::map(entries, Some(budget)))
}

/// Data is JSON unless its type says otherwise; `None` when there is none.
fn data_of(bytes: &[u8], label: &str, budget: &Arc<Budget>) -> Result<Option<Value>, Problem> {
    let wrong = |error: &DecodeError| Problem {
        path: "data".to_owned(),
        problem: error.to_string(),
    };
    let text = match json::text(bytes) {
        Err(DecodeError::Empty) => return Ok(None),
        text => text.map_err(|error| wrong(&error))?,
    };
    let is_json = label.is_empty() || label.to_ascii_lowercase().contains("json");
    if is_json || body::looks_like_json(text) {
        let data = value::read(text, budget).map_err(|error| wrong(&error))?;
        return Ok(Some(data));
    }
    Ok(Some(value::text(text)))
}

/// The event, if it has what every event has, with binary data decoded.
fn checked(event: &Value, budget: &Arc<Budget>) -> Result<Value, Problem> {
    let attribute = |name: &str| event.get_attr(name).unwrap_or_default();
    for name in REQUIRED {
        if attribute(name).as_str().is_none_or(str::is_empty) {
            return Err(Problem {
                path: name.to_owned(),
                problem: "is missing, and every CloudEvent has it as text".to_owned(),
            });
        }
    }
    let version = attribute("specversion");
    if version
        .as_str()
        .is_none_or(|version| !version.starts_with("1."))
    {
        return Err(Problem {
            path: "specversion".to_owned(),
            problem: format!("is {version}; only CloudEvents 1.0 is understood"),
        });
    }
    let encoded = attribute("data_base64");
    let Some(encoded) = encoded.as_str() else {
        return Ok(event.clone());
    };
    let wrong = || Problem {
        path: "data_base64".to_owned(),
        problem: "is not base64".to_owned(),
    };
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| wrong())?;
    let label = attribute("datacontenttype");
    let data = data_of(&bytes, label.as_str().unwrap_or_default(), budget)?;
    let names = event.try_iter().into_iter().flatten();
    let mut entries: Vec<(Value, Value)> = names
        .map(|name| (name.clone(), event.get_item(&name).unwrap_or_default()))
        .filter(|(_, value)| !is_missing(value))
        .collect();
    entries.push((Value::from("data"), data.unwrap_or_default()));
    Ok(value::map(entries, Some(budget)))
}
