//! The Events API of PagerDuty, at `/pagerduty/...` and at the service's own paths for tools that only let the host
//! be changed.
//!
//! The routing key in the body says which source an event is for, so the body is read before anybody is known: its
//! cap is small. Answers are those of the service: exactly 202 with three fields, which clients check, and 400 with a
//! list of errors. Must not answer 2xx before the commit, and must not show a routing key.
//! Source: PagerDuty/api-schema `reference/events-v2`; PagerDuty/go-pagerduty `event_v2.go`; "Events API v1".

use axum::body::Body;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::core::identity::AlertKey;
use crate::core::input::Command;
use crate::engine::handle::SubmitError;
use crate::runtime::entropy::random_bytes;
use crate::runtime::problem::Problem;
use crate::sources::pagerduty::{Action, Call, receive};
use crate::sources::{DecodeError, Source as _, pagerduty};

use super::door::KeyDigest;
use super::http::{RETRY_AFTER_S, Tally, panicked, read_body, refused};
use super::{Incoming, Ingest, Refusal, body};

/// Bytes of an event; the service takes half of that.
const EVENT_BYTES_MAX: usize = 1 << 20;
const INVALID: &str = "Event object is invalid";

/// The routes of the Events API.
pub fn router(ingest: Ingest) -> Router {
    let gzip = RequestDecompressionLayer::new()
        .gzip(true)
        .pass_through_unaccepted(true);
    let routes = Router::new()
        .route("/v2/enqueue", post(enqueue))
        .route("/v2/enqueue/", post(enqueue))
        .route("/v2/change/enqueue", post(enqueue_change))
        .route("/generic/2010-04-15/create_event.json", post(create_event));
    Router::new()
        .nest("/pagerduty", routes.clone())
        .merge(routes)
        .layer(gzip)
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(ingest)
}

async fn enqueue(State(ingest): State<Ingest>, request: Request<Body>) -> Response<Body> {
    take(&ingest, Call::Enqueue, request).await
}

async fn enqueue_change(State(ingest): State<Ingest>, request: Request<Body>) -> Response<Body> {
    take(&ingest, Call::Change, request).await
}

async fn create_event(State(ingest): State<Ingest>, request: Request<Body>) -> Response<Body> {
    take(&ingest, Call::CreateEvent, request).await
}

async fn take(ingest: &Ingest, call: Call, request: Request<Body>) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    match accept(ingest, call, &parts, &mut body).await {
        Ok(dedup_key) => accepted(call, &dedup_key),
        Err(refused) => {
            log::info!(status = refused.status.as_u16(); "refused an event of the Events API: {}", refused.errors.join("; "));
            body::drain(&mut body).await;
            refused.into_response()
        }
    }
}

/// Takes one event; returns the key of its alert after the commit.
async fn accept(
    ingest: &Ingest,
    call: Call,
    parts: &Parts,
    body: &mut Body,
) -> Result<String, Refused> {
    let held = read_body(ingest, parts, body, EVENT_BYTES_MAX).await?;
    let new_key = random_bytes::<16>().map_err(|error| Refused::later(error.to_string()))?;
    let event = receive(call, &held.body, &hex::encode(new_key)).map_err(|e| Refused::event(&e))?;
    let kind = pagerduty::PagerDuty.kind();
    let Some(door) = ingest.door_by_key(kind, &KeyDigest::new(&event.routing_key)) else {
        return Err(Refused::invalid(
            "Invalid routing key",
            "Invalid routing key".to_owned(),
        ));
    };
    let tally = ingest.within_rate(&door, Tally::begin(&door))?;
    let stored = ingest.take(&door, Incoming::json(event.stored)).await?;
    tally.taken(stored.is_duplicate);
    if event.action == Some(Action::Acknowledge) {
        let key = AlertKey::new(&door.name, &event.dedup_key);
        let acknowledge = Command::Acknowledge { until: None };
        ingest.command_alert(&door, &key, acknowledge).await?;
    }
    Ok(event.dedup_key)
}

fn accepted(call: Call, dedup_key: &str) -> Response<Body> {
    let (status, answer) = match call {
        Call::Enqueue => (
            StatusCode::ACCEPTED,
            json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key}),
        ),
        Call::Change => (
            StatusCode::ACCEPTED,
            json!({"status": "success", "message": "Change event processed"}),
        ),
        Call::CreateEvent => (
            StatusCode::OK,
            json!({"status": "success", "message": "Event processed", "incident_key": dedup_key}),
        ),
    };
    (status, Json(answer)).into_response()
}

/// An event that was not taken.
struct Refused {
    status: StatusCode,
    message: &'static str,
    errors: Vec<String>,
}

impl Refused {
    fn invalid(message: &'static str, error: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message,
            errors: vec![error],
        }
    }

    fn event(error: &DecodeError) -> Self {
        let told = match error {
            DecodeError::WrongShape { path, problem, .. } => format!("'{path}' {problem}"),
            DecodeError::Empty
            | DecodeError::NotUtf8 { .. }
            | DecodeError::TooDeep { .. }
            | DecodeError::NotJson { .. } => error.to_string(),
        };
        Self::invalid(INVALID, told)
    }

    fn later(why: String) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "Not processed, send the event again",
            errors: vec![why],
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            status: StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST),
            message: INVALID,
            errors: vec![problem.detail],
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotUnderstood(error) => Self::event(&error),
            Refusal::NothingUsable { .. } | Refusal::Overloaded(_) | Refusal::NotStored(_) => {
                refused(&refusal).into()
            }
        }
    }
}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        Self::later(error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let is_later =
            self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS;
        let (status, message) = if is_later {
            ("error", "Not processed, send the event again")
        } else {
            ("invalid event", self.message)
        };
        let answer = json!({"status": status, "message": message, "errors": self.errors});
        let mut response = (self.status, Json(answer)).into_response();
        if is_later {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}
