//! What clients of Opsgenie's alert API are answered: ids, refusals, and an alert in its words.
//!
//! Every answer carries the time it took and the id of its request. Must not read the store.
//! Source: "Opsgenie Alert API"; opsgenie/opsgenie-go-sdk-v2 `client/`, `alert/result.go`.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::http::header::RETRY_AFTER;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::identity::{AlertKey, KeyHash};
use crate::core::ids::{IncidentId, Seq};
use crate::core::severity::Severity;
use crate::core::time::Timestamp;
use crate::engine::handle::SubmitError;
use crate::runtime::entropy::random_bytes;
use crate::runtime::problem::Problem;
use crate::sources::DecodeError;
use crate::store::StoreError;
use crate::store::query::alerts::AlertView;
use crate::store::writer::WriteError;

use super::Refusal;
use super::http::{RETRY_AFTER_S, refused};

/// An answer in the making.
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
    request_id: Option<String>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            request_id: None,
        }
    }

    /// Names the request; one that was not stored gets a random id.
    pub(super) fn about(mut self, request_id: String) -> Self {
        self.request_id = Some(request_id);
        self
    }

    pub(super) fn send(self, started: Instant) -> Response<Body> {
        let mut body = self.body;
        let ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        let random = || new_id().unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("took".to_owned(), json!(f64::from(ms) / 1000.0));
            let id = self.request_id.unwrap_or_else(random);
            fields.insert("requestId".to_owned(), id.into());
        }
        (self.status, Json(body)).into_response()
    }
}

/// A request that was not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
    errors: Option<Value>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            message: message.to_owned(),
            errors: None,
        }
    }

    pub(super) fn missing(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn later(why: &str) -> Self {
        let message = format!("Not processed, send it again: {why}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, &message)
    }

    pub(super) fn answer(self, started: Instant) -> Response<Body> {
        let mut body = json!({"message": self.message});
        if let (Some(fields), Some(errors)) = (body.as_object_mut(), self.errors) {
            fields.insert("errors".to_owned(), errors);
        }
        let mut response = Answer::new(self.status, body).send(started);
        if self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::WrongShape { path, problem, .. } => {
                let mut letters = path.chars();
                let first = letters.next().unwrap_or_default().to_uppercase();
                let told = format!("{first}{} {problem}", letters.as_str());
                let message = "Request body is not processable. Please check the errors.";
                Self {
                    errors: Some(json!({ path: told })),
                    ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
                }
            }
            DecodeError::Empty
            | DecodeError::NotUtf8 { .. }
            | DecodeError::TooDeep { .. }
            | DecodeError::NotJson { .. } => Self::new(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotUnderstood(error) => error.into(),
            Refusal::NothingUsable { .. } | Refusal::Overloaded(_) | Refusal::NotStored(_) => {
                refused(&refusal).into()
            }
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, &problem.detail)
    }
}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        Self::later(&error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::later(&error.to_string())
    }
}

impl From<WriteError> for Refused {
    fn from(error: WriteError) -> Self {
        Self::later(&error.to_string())
    }
}

/// A random id.
pub(super) fn new_id() -> Result<String, Refused> {
    let bytes = random_bytes::<16>().map_err(|error| Refused::later(&error.to_string()))?;
    Ok(uuid(u128::from_be_bytes(bytes)))
}

/// The id of the alert with this key.
pub(super) fn alert_id(key: KeyHash) -> String {
    uuid(key.0)
}

/// The key of the alert with this id, if it is one.
pub(super) fn key_hash(id: &str) -> Option<KeyHash> {
    number(id).map(KeyHash)
}

/// The id of a stored request: its source and its position.
pub(super) fn request_id(source: &str, seq: Seq) -> String {
    let position = u128::from(seq.get().cast_unsigned());
    uuid(u128::from(xxh3_64(source.as_bytes())) << 64 | position)
}

/// The position of a request of this source.
pub(super) fn request_seq(source: &str, id: &str) -> Option<Seq> {
    let number = number(id)?;
    let is_ours = number >> 64 == u128::from(xxh3_64(source.as_bytes()));
    let seq = i64::try_from(number & u128::from(u64::MAX)).ok()?;
    is_ours.then(|| Seq::new(seq))
}

fn uuid(number: u128) -> String {
    let digits = format!("{number:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

fn number(id: &str) -> Option<u128> {
    let digits = id.replace('-', "");
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(&digits, 16).ok())?
}

/// A time as the API writes it.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| at.as_millis().to_string(), |at| format!("{at:.3}"))
}

/// The alias of an alert.
pub(super) fn alias_of<'a>(source: &str, view: &'a AlertView) -> &'a str {
    let prefix = AlertKey::new(source, "");
    let alias = view.key.strip_prefix(prefix.text().as_str());
    alias.unwrap_or(&view.key)
}

/// An alert in the words of the API; what Watchbell does not keep is left out.
///
/// `acknowledged` are the incidents of which somebody has taken notice.
pub(super) fn shown(source: &str, view: &AlertView, acknowledged: &BTreeSet<IncidentId>) -> Value {
    let alert = &view.alert;
    let alias = alias_of(source, view);
    let label = |name: &str| view.labels.get(name).cloned().unwrap_or_default();
    let tags = label("tags");
    let tags: Vec<&str> = tags.split(", ").filter(|tag| !tag.is_empty()).collect();
    let priority = match alert.severity {
        Severity::Critical => "P1",
        Severity::High => "P2",
        Severity::Warning => "P3",
        Severity::Low => "P4",
        Severity::Info => "P5",
    };
    json!({
        "id": alert_id(alert.key),
        "tinyId": alert.id.get().to_string(),
        "alias": alias,
        "message": view.summary,
        "status": if alert.is_firing() { "open" } else { "closed" },
        "acknowledged": alert.incident.is_some_and(|incident| acknowledged.contains(&incident)),
        "isSeen": true,
        "snoozed": !view.suppressed_by.is_empty(),
        "count": alert.count,
        "createdAt": time(alert.first_seen_at),
        "updatedAt": time(alert.last_seen_at),
        "lastOccurredAt": time(alert.last_seen_at),
        "source": label("source"),
        "entity": label("entity"),
        "owner": "",
        "responders": [],
        "integration": {"id": source, "name": source, "type": "API"},
        "priority": priority,
        "tags": tags,
        "description": view.annotations.get("description").cloned().unwrap_or_default(),
        "details": view.labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_what_they_were_made_of() {
        let key = AlertKey::new("og", "db1-disk");
        let id = alert_id(key.hash());
        assert_eq!((id.len(), key_hash(&id)), (36, Some(key.hash())));
        let seq = Seq::new(4711);
        let id = request_id("og", seq);
        assert_eq!(request_seq("og", &id), Some(seq));
        assert_eq!(request_seq("other", &id), None);
        for text in ["", "db1-disk", "zz", &"-".repeat(36), &"f".repeat(32)] {
            assert_eq!(request_seq("og", text), None, "{text}");
        }
    }
}
