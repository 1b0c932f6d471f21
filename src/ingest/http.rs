//! `POST /ingest/{source}`, and GET where a query is a message: 202 after commit, 503 with `Retry-After` when it cannot be stored, 4xx for what never can.
//!
//! Never 429: Alertmanager drops a message for good on any 4xx (its `notify/util.go`). Every message that comes to a
//! known source is counted as received and then once more, as stored, duplicate or rejected, also when its sender
//! hangs up or a defect ends it. Must not answer 2xx without an [`Accepted`], which takes the receipt of a commit.

use std::any::Any;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, HeaderName, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::post;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::runtime::problem::Problem;
use crate::store::writer::WriteError;

use super::body::{self, BodyError, Held};
use super::door::Door;
use super::{Accepted, Incoming, Ingest, Refusal, proof};

/// Seconds after which a refused sender may try again.
pub(super) const RETRY_AFTER_S: u32 = 5;
const HANDSHAKE_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const HANDSHAKE_ALLOWED: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const HANDSHAKE_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// Characters of what a sender wrote that are repeated in an answer.
const SHOWN_CHARS: usize = 40;

/// The routes of the doors.
pub fn router(ingest: Ingest) -> Router {
    let gzip = RequestDecompressionLayer::new()
        .gzip(true)
        .pass_through_unaccepted(true);
    let door = || {
        post(receive)
            .put(receive)
            .get(receive)
            .options(handshake)
            .fallback(wrong_method)
    };
    Router::new()
        .route("/ingest/{source}", door())
        .route("/ingest/{source}/", door())
        .layer(gzip)
        .layer(from_fn_with_state(ingest.clone(), proof::begin))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(ingest)
}

async fn receive(
    State(ingest): State<Ingest>,
    Path(source): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let Some(door) = ingest.door(&source) else {
        body::drain(&mut body).await;
        return unknown(&ingest, &source).into_response();
    };
    if !door.is_posted_to() {
        body::drain(&mut body).await;
        return elsewhere(&door).into_response();
    }
    // Grafana can be told to PUT.
    let is_sent = parts.method == Method::POST || parts.method == Method::PUT;
    if !(is_sent || parts.method == Method::GET && door.takes_query()) {
        body::drain(&mut body).await;
        return not_allowed(&door.name, door.takes_query());
    }
    let tally = Tally::begin(&door);
    match accept(&ingest, &door, tally, &parts, &mut body).await {
        Ok(accepted) => (StatusCode::ACCEPTED, axum::Json(accepted)).into_response(),
        Err(problem) => {
            if let Some(more) = door.refusals.pass() {
                let and_more = match more {
                    0 => String::new(),
                    more => format!(" (and {more} more since the last such line)"),
                };
                log::info!(source = door.name.as_str(), status = problem.status; "refused a message to {}: {}{and_more}", door.name, problem.detail);
            }
            body::drain(&mut body).await;
            answer(problem)
        }
    }
}

/// One message in the figures: what is not taken when this is dropped was rejected.
pub(super) struct Tally<'a> {
    door: &'a Door,
    is_taken: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn begin(door: &'a Arc<Door>) -> Self {
        door.series.received.inc();
        Self {
            door,
            is_taken: false,
        }
    }

    /// Nothing is wrong with it, but it is one too many; it is rejected like others, and counted apart as well.
    pub(super) fn limited(self) {
        self.door.series.limited.inc();
    }

    pub(super) fn taken(mut self, is_duplicate: bool) {
        self.is_taken = true;
        if is_duplicate {
            self.door.series.duplicate.inc();
        } else {
            self.door.series.stored.inc();
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.door.series.rejected.inc();
        }
    }
}

/// A refusal with the header that goes with its status.
fn answer(problem: Problem) -> Response<Body> {
    let header: Option<(HeaderName, &'static str)> = match problem.status {
        401 => Some((WWW_AUTHENTICATE, "Bearer realm=\"watchbell\"")),
        415 => Some((ACCEPT_ENCODING, "gzip, identity")),
        _ => None,
    };
    let mut response = problem.into_response();
    if let Some((name, value)) = header {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    log::error!("a message met a defect; the message above this line says where");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong here",
        "the message met a defect of Watchbell and was not stored; the log of the daemon says more",
    )
    .into_response()
}

async fn accept(
    ingest: &Ingest,
    door: &Door,
    tally: Tally<'_>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Accepted, Problem> {
    if !door.opens(&parts.headers) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Not allowed to send here",
            "this source asks for a token; send it as the source's [[source]] entry says, for example in an Authorization header",
        ));
    }
    let bytes_max = ingest.0.body_max.load(Ordering::Relaxed);
    let held = read_body(ingest, parts, body, bytes_max).await?;
    ingest.prove(door, parts, &held.body).await?;
    let tally = ingest.within_rate(door, tally)?;
    let query = parts.uri.query();
    let message = Incoming::of_request(door.decoder(), &parts.headers, query, held.body.clone());
    if message.body.is_empty() && parts.method == Method::GET {
        let detail = "the request has neither a body nor a query; send the alert as query parameters, or with POST";
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "not-understood",
            "Message not understood",
            detail,
        ));
    }
    let taken = ingest.take(door, message).await;
    let accepted = taken.map_err(|refusal| refused(&refusal))?;
    tally.taken(accepted.is_duplicate);
    if door.kind() == "sns" {
        ingest.note_subscription(door, &held.body).await;
    }
    Ok(accepted)
}

/// Reads a body whole, if it could be stored now.
pub(super) async fn read_body(
    ingest: &Ingest,
    parts: &Parts,
    body: &mut Body,
    bytes_max: usize,
) -> Result<Held, Problem> {
    ingest.admit().map_err(|refusal| refused(&refusal))?;
    // The layer below has taken the header away if it could undo the compression.
    if let Some(encoding) = parts.headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        let encoding: String = encoding.chars().take(SHOWN_CHARS).collect();
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-encoding",
            "Unknown content encoding",
            format!(
                "Content-Encoding: {encoding} is not understood; send the body plain or with gzip"
            ),
        ));
    }
    body::read(body, bytes_max, &ingest.0.budget)
        .await
        .map_err(|error| not_read(&error))
}

fn not_read(error: &BodyError) -> Problem {
    let detail = error.to_string();
    match error {
        BodyError::TooLarge(_) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "Body too large",
            detail,
        ),
        BodyError::TooSlow(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "Body too slow",
            detail,
        ),
        BodyError::Broken(_) => Problem::new(
            StatusCode::BAD_REQUEST,
            "body-broken",
            "Body could not be read",
            detail,
        ),
        BodyError::Overloaded => overloaded(detail),
    }
}

pub(super) fn refused(refusal: &Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::NotUnderstood(_) | Refusal::NothingUsable { .. } => {
            let stop = if detail.ends_with('?') { "" } else { "." };
            let detail = format!("{detail}{stop} It was kept in the dead-letter list");
            Problem::new(
                StatusCode::BAD_REQUEST,
                "not-understood",
                "Message not understood",
                detail,
            )
        }
        Refusal::Overloaded(_) | Refusal::NotStored(WriteError::Overloaded) => overloaded(detail),
        Refusal::NotStored(WriteError::Stopping | WriteError::Store(_)) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-stored",
            "Not stored",
            format!("the message was not stored, send it again: {detail}"),
        )
        .retry_after(RETRY_AFTER_S),
    }
}

fn overloaded(detail: String) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Overloaded",
        detail,
    )
    .retry_after(RETRY_AFTER_S)
}

fn unknown(ingest: &Ingest, source: &str) -> Problem {
    let names: Vec<_> = ingest
        .doors()
        .iter()
        .map(|door| door.name.clone())
        .collect();
    let near = names
        .iter()
        .find(|name| strsim::damerau_levenshtein(name, source) <= 2);
    let hint = match near {
        Some(name) => format!("did you mean /ingest/{name}?"),
        None => "add a [[source]] with that name to the configuration".to_owned(),
    };
    let shown: String = source.chars().take(SHOWN_CHARS).collect();
    let detail = format!("there is no source {shown:?}; {hint}");
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-source",
        "Unknown source",
        detail,
    )
}

fn elsewhere(door: &Door) -> Problem {
    let (name, path) = (&door.name, &door.path);
    let how = if door.is_remote() {
        "by its broker, not over HTTP; publish there".to_owned()
    } else {
        format!("at {path}")
    };
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-source",
        "Unknown source",
        format!("source {name:?} is fed {how}"),
    )
}

/// A sender of CloudEvents asks whether its events are wanted before it sends any (CloudEvents "HTTP 1.1 Web Hooks",
/// section 4).
async fn handshake(
    State(ingest): State<Ingest>,
    Path(source): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let door = ingest.door(&source);
    let is_taken = door
        .as_ref()
        .is_some_and(|door| door.kind() == "cloudevents");
    let Some(origin) = headers.get(&HANDSHAKE_ORIGIN).filter(|_| is_taken) else {
        return not_allowed(&source, door.is_some_and(|door| door.takes_query()));
    };
    let allowed = [
        (ALLOW, HeaderValue::from_static("POST")),
        (HANDSHAKE_ALLOWED, origin.clone()),
        (HANDSHAKE_RATE, HeaderValue::from_static("*")),
    ];
    (StatusCode::OK, axum::response::AppendHeaders(allowed)).into_response()
}

async fn wrong_method(State(ingest): State<Ingest>, Path(source): Path<String>) -> Response<Body> {
    let takes_query = ingest.door(&source).is_some_and(|door| door.takes_query());
    not_allowed(&source, takes_query)
}

fn not_allowed(source: &str, takes_query: bool) -> Response<Body> {
    let source: String = source.chars().take(SHOWN_CHARS).collect();
    let detail = format!("send a POST request to /ingest/{source}");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        detail,
    );
    let allow = if takes_query {
        "GET, POST, PUT"
    } else {
        "POST, PUT"
    };
    let mut response = problem.into_response();
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}
