//! The heartbeats of Opsgenie's API, apart from their pings: shown, and left as the configuration says.
//!
//! A client that makes sure that its heartbeat exists is told so when it does; anything that would change one is
//! refused, with the place where it is changed. Must not answer success for a heartbeat that nobody waits for.
//! Source: "Opsgenie Heartbeat API"; opsgenie/opsgenie-go-sdk-v2 `heartbeat/`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::engine::pulses::{Pulse, Word};

use super::body;
use super::http::read_body;
use super::opsgenie::OpsgenieApi;
use super::opsgenie_answers::{Answer, Refused};

/// Bytes of a description of a heartbeat.
const BODY_MAX: usize = 64 * 1024;
const MS_PER_MINUTE: i64 = 60_000;

/// The routes below `/v2/heartbeats` that are no pings.
pub(super) fn routes() -> Router<OpsgenieApi> {
    Router::new()
        .route("/v2/heartbeats", get(list).post(create))
        .route(
            "/v2/heartbeats/{name}",
            get(one).patch(update).put(update).delete(refuse),
        )
        .route("/v2/heartbeats/{name}/enable", post(one).put(one))
        .route("/v2/heartbeats/{name}/disable", post(refuse).put(refuse))
}

async fn list(State(api): State<OpsgenieApi>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    match api.door(&parts) {
        Ok(_) => {
            let pulses = api.ingest.0.engine.pulses();
            let all: Vec<Value> = pulses.heartbeats.iter().map(shown).collect();
            let answer = json!({"data": {"heartbeats": all}});
            Answer::new(StatusCode::OK, answer).send(started)
        }
        Err(refused) => refused.answer(started),
    }
}

async fn one(
    State(api): State<OpsgenieApi>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    answer(api.heartbeat(&parts, &name), StatusCode::OK, started)
}

async fn update(
    State(api): State<OpsgenieApi>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, mut asked) = request.into_parts();
    // What it asks for is not compared: the configuration decides.
    body::drain(&mut asked).await;
    answer(api.heartbeat(&parts, &name), StatusCode::OK, started)
}

async fn create(State(api): State<OpsgenieApi>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let (parts, mut asked) = request.into_parts();
    let held = match read_body(&api.ingest, &parts, &mut asked, BODY_MAX).await {
        Ok(held) => held,
        Err(problem) => return Refused::from(problem).answer(started),
    };
    let asked: Value = serde_json::from_slice(&held.body).unwrap_or_default();
    let name = asked.get("name").and_then(Value::as_str);
    let found = api.heartbeat(&parts, name.unwrap_or_default());
    let found = found.map_err(|refused| match refused.status {
        StatusCode::NOT_FOUND => configured(name.unwrap_or_default()),
        _ => refused,
    });
    answer(found, StatusCode::CREATED, started)
}

async fn refuse(
    State(api): State<OpsgenieApi>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    let found = api.heartbeat(&parts, &name);
    answer(
        found.and_then(|_| Err(configured(&name))),
        StatusCode::OK,
        started,
    )
}

fn answer(found: Result<Value, Refused>, status: StatusCode, started: Instant) -> Response<Body> {
    match found {
        Ok(data) => Answer::new(status, json!({"data": data})).send(started),
        Err(refused) => refused.answer(started),
    }
}

fn configured(name: &str) -> Refused {
    let message = format!(
        "Heartbeats stand in the configuration of Watchbell: look for [[heartbeat]] with name = {name:?} there"
    );
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, &message)
}

impl OpsgenieApi {
    fn heartbeat(&self, parts: &axum::http::request::Parts, name: &str) -> Result<Value, Refused> {
        self.door(parts)?;
        let pulses = self.ingest.0.engine.pulses();
        let pulse = pulses.heartbeats.iter().find(|pulse| pulse.name == name);
        let missing = || Refused::missing(&format!("Heartbeat with name [{name}] not found"));
        pulse.map(shown).ok_or_else(missing)
    }
}

fn shown(pulse: &Pulse) -> Value {
    let ms = pulse.rule.every.as_millis();
    json!({
        "name": pulse.name,
        "description": pulse.rule.text.summary,
        "enabled": true,
        "expired": pulse.word == Word::Missing,
        // The unit is whole minutes at least; shorter ones are shown as one.
        "interval": (ms / MS_PER_MINUTE).max(1),
        "intervalUnit": "minutes",
        "lastPingTime": pulse.heard_at.map(super::opsgenie_answers::time),
    })
}
