//! `POST|GET|HEAD /heartbeat/{name}`: a ping, answered after it is stored; below it what else a job may say of itself:
//! `start`, `fail`, `log`, or the status that it ended with.
//!
//! A ping is a message of the source `heartbeat` like any other: one small row of the input log, committed together
//! with what else waits. What it means, and when one is missing, the core decides. Must not answer 2xx for a heartbeat
//! that nobody waits for: who watches a typing error believes to be safe.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ALLOW, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse as _;
use axum::routing::get;
use bytes::Bytes;
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;

use crate::core::heartbeat::{SOURCE, Signal};
use crate::runtime::problem::Problem;
use crate::sources::heartbeat::Ping;
use crate::store::dead_letters::NewDeadLetter;
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::writer::{Receipt, WriteError};

use super::door::Credential;
use super::http::{Tally, panicked, refused};
use super::{Ingest, Refusal, body};

/// Characters of a name that nobody knows which are repeated in an answer.
const SHOWN_CHARS: usize = 64;
/// Bytes that are read of what a job says about its failure.
const SAID_BYTES: usize = 64 * 1024;
const JSON: &str = "application/json";

/// One heartbeat at the door.
#[derive(Clone, Debug)]
pub struct HeartbeatSetup {
    /// Its name, which is in the path.
    pub name: String,
    /// Who may ping; everybody when there is none.
    pub credential: Option<Credential>,
    /// Whether pings are taken over HTTP; else only an alert of a source feeds it.
    pub is_pinged: bool,
}

/// Why a ping was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// Nobody waits for it.
    #[error("there is no heartbeat {0:?}; add a [[heartbeat]] with that name to the configuration")]
    Unknown(String),
    /// It could not be stored.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The routes of heartbeats.
pub fn router(ingest: Ingest) -> Router {
    Router::new()
        .route(
            "/heartbeat/{name}",
            get(receive)
                .post(receive)
                .put(receive)
                .fallback(wrong_method),
        )
        .route(
            "/heartbeat/{name}/{signal}",
            get(receive_signal)
                .post(receive_signal)
                .put(receive_signal)
                .fallback(wrong_method),
        )
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(ingest)
}

async fn receive(
    State(ingest): State<Ingest>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    answer(&ingest, &name, Some((Signal::Done, None)), request).await
}

async fn receive_signal(
    State(ingest): State<Ingest>,
    Path((name, word)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    answer(&ingest, &name, signal(&word), request).await
}

/// What a word of the path says: a signal, or the status of a process that ended.
fn signal(word: &str) -> Option<(Signal, Option<u8>)> {
    if let Ok(status) = word.parse::<u8>() {
        let signal = match status {
            0 => Signal::Done,
            _ => Signal::Failed,
        };
        return Some((signal, Some(status)));
    }
    let mut all = Signal::ALL.into_iter();
    all.find(|signal| signal.word() == word)
        .map(|signal| (signal, None))
}

async fn answer(
    ingest: &Ingest,
    name: &str,
    signal: Option<(Signal, Option<u8>)>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, mut sent) = request.into_parts();
    let said = match signal {
        Some((Signal::Failed, status)) => said(ingest, &mut sent, status).await,
        Some(_) | None => String::new(),
    };
    // An answer before the rest is read breaks some senders.
    body::drain(&mut sent).await;
    let taken = match signal {
        Some((signal, _)) => {
            let ping = Ping::signal(name, signal, &said);
            ingest.ping_from(&ping, &parts.headers).await
        }
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-signal",
            "Unknown signal",
            "after the name stands start, success, fail, log or the exit status of the job, 0 to 255",
        )),
    };
    match taken {
        Ok(receipt) => {
            let answer = json!({"status": "ok", "heartbeat": name, "seq": receipt.seq().get()});
            (StatusCode::OK, axum::Json(answer)).into_response()
        }
        Err(problem) => {
            log::info!(status = problem.status; "refused a ping: {}", problem.detail);
            let is_unauthorized = problem.status == 401;
            let mut response = problem.into_response();
            if is_unauthorized {
                let value = HeaderValue::from_static("Bearer realm=\"watchbell\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            response
        }
    }
}

/// What a job says about its failure, as far as an alert shows it.
async fn said(ingest: &Ingest, sent: &mut Body, status: Option<u8>) -> String {
    let read = body::read(sent, SAID_BYTES, &ingest.0.budget).await;
    // What is too long is told without it: that it failed is what counts.
    let body = read.map(|held| held.body).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    match (status, text.trim()) {
        (None, text) => text.to_owned(),
        (Some(status), "") => format!("exit status {status}"),
        (Some(status), text) => format!("exit status {status}: {text}"),
    }
}

impl Ingest {
    /// Takes a ping of a heartbeat whose sender was checked; returns after the commit.
    ///
    /// # Errors
    /// Nobody waits for it, or it could not be stored; then it may be sent again.
    pub async fn ping(&self, ping: &Ping) -> Result<Receipt, PingError> {
        let name = ping.heartbeat.as_str();
        let is_known = self.0.heartbeats.load().contains_key(name);
        let Some(door) = self.door(SOURCE).filter(|_| is_known) else {
            let shown = name.chars().take(SHOWN_CHARS).collect();
            return Err(PingError::Unknown(shown));
        };
        let tally = Tally::begin(&door);
        self.admit()?;
        let claims = vec![ping.claim()];
        door.seen
            .note_times(&claims, self.0.clock.now(), SOURCE, &door.series);
        let input = NewInput {
            kind: InputKind::Message,
            source: Some(SOURCE.to_owned()),
            content_type: Some(JSON.to_owned()),
            body: StoredBody::new(ping.stored().into()),
            envelope: None,
        };
        let writer = self.0.engine.writer();
        let receipt = writer
            .append(input, Some(claims), None)
            .await
            .map_err(Refusal::from)?;
        tally.taken(false);
        Ok(receipt)
    }

    async fn ping_from(&self, ping: &Ping, headers: &HeaderMap) -> Result<Receipt, Problem> {
        let name = ping.heartbeat.as_str();
        let setup = self.0.heartbeats.load().get(name).cloned();
        if let Some(setup) = setup {
            if !setup.is_pinged {
                let detail = format!(
                    "heartbeat {name:?} is fed by an alert; give it a token, or open = true, to ping it here too"
                );
                return Err(unknown(detail));
            }
            if !setup.credential.is_none_or(|known| known.opens(headers)) {
                return Err(Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "Not allowed to ping",
                    "this heartbeat asks for its token; send it as Authorization: Bearer TOKEN",
                ));
            }
        }
        self.ping(ping).await.map_err(|error| match error {
            PingError::Unknown(_) => unknown(error.to_string()),
            PingError::Refused(refusal) => refused(&refusal),
        })
    }

    /// Keeps a ping of a heartbeat that nobody waits for, where its sender must be told that all is well.
    pub(super) async fn put_ping_aside(&self, name: &str) -> Result<(), WriteError> {
        let name: String = name.chars().take(SHOWN_CHARS).collect();
        let letter = NewDeadLetter {
            source: SOURCE.to_owned(),
            reason: "unknown_heartbeat",
            detail: PingError::Unknown(name.clone()).to_string(),
            content_type: Some(JSON.to_owned()),
            body: Bytes::from(Ping::done(&name).stored()),
            envelope: None,
        };
        self.0.metrics.dead_letter(SOURCE, letter.reason);
        self.0.engine.writer().dead_letter(letter).await.map(drop)
    }
}

fn unknown(detail: String) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-heartbeat",
        "Unknown heartbeat",
        detail,
    )
}

async fn wrong_method(uri: Uri) -> Response<Body> {
    let shown: String = uri.path().chars().take(SHOWN_CHARS).collect();
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        format!("send a POST, GET or HEAD request to {shown}"),
    );
    let mut response = problem.into_response();
    let value = HeaderValue::from_static("GET, HEAD, POST, PUT");
    response.headers_mut().insert(ALLOW, value);
    response
}
