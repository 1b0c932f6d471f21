//! The alert API of Opsgenie, at `/opsgenie/v2/...` and at the service's own paths.
//!
//! The API key says which source a request is for. The id of an alert is the hash of its key, so it is known before
//! the alert is; the id of a request holds its position in the input log, where its state is read. Answers are those
//! of the service: exactly 202 for every write, and the failure of one only in its request's state. Must not answer
//! 2xx before the commit, and must not show a key.
//! Source: opsgenie/opsgenie-go-sdk-v2 `alert/`, `client/`; "Opsgenie Alert API"; Zabbix's Opsgenie media type.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::routing::{any, get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::core::identity::{AlertKey, KeyHash};
use crate::core::ids::{AlertId, Seq};
use crate::core::input::Command;
use crate::core::limits;
use crate::sources::opsgenie::{self, Call, Request as Wanted, Target};
use crate::sources::opsgenie_update::Known;
use crate::sources::{DecodeError, Source as _};
use crate::store::Db;
use crate::store::inbox::{InputKind, list_after};
use crate::store::query::alerts::{self, AlertView};

use super::door::{Door, KeyDigest};
use super::heartbeat::PingError;
use super::http::{Tally, panicked, read_body};
use super::opsgenie_answers::{
    Answer, Refused, alert_id, key_hash, request_id, request_seq, shown,
};
use super::{Incoming, Ingest, body};
use crate::sources::heartbeat::Ping;

/// What the API reads beside the doors.
#[derive(Clone, Debug)]
pub struct OpsgenieApi {
    /// The doors.
    pub ingest: Ingest,
    /// The store, for alerts and the state of requests.
    pub db: Db,
    /// The partition of the input log.
    pub partition: i64,
}

/// The routes of the alert API.
pub fn router(api: OpsgenieApi) -> Router {
    let gzip = RequestDecompressionLayer::new()
        .gzip(true)
        .pass_through_unaccepted(true);
    let routes = Router::new()
        .route("/v2/alerts", post(create).get(list))
        // Zabbix posts with a slash at the end.
        .route("/v2/alerts/", post(create).get(list))
        .route("/v2/alerts/count", get(count))
        .route("/v2/alerts/{id}", get(alert).delete(delete))
        .route("/v2/alerts/{id}/{action}", post(act).put(act))
        .route("/v2/alerts/requests/{id}", get(request_state))
        .route("/v2/heartbeats/{name}/ping", any(ping))
        .merge(super::opsgenie_heartbeats::routes());
    Router::new()
        .nest("/opsgenie", routes.clone())
        .merge(routes)
        .layer(gzip)
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(api)
}

async fn create(State(api): State<OpsgenieApi>, request: Request<Body>) -> Response<Body> {
    api.write(Call::Create, None, request).await
}

async fn delete(
    State(api): State<OpsgenieApi>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    api.write(Call::Delete, Some(&id), request).await
}

async fn act(
    State(api): State<OpsgenieApi>,
    Path((id, action)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let call = match action.as_str() {
        "close" => Call::Close,
        "acknowledge" => Call::Acknowledge,
        "notes" => Call::AddNote,
        "message" => Call::UpdateMessage,
        "description" => Call::UpdateDescription,
        "priority" => Call::UpdatePriority,
        "tags" => Call::AddTags,
        "details" => Call::AddDetails,
        "unacknowledge" | "snooze" | "assign" | "escalate" | "responders" | "actions" => {
            Call::Other
        }
        _ => {
            let mut body = request.into_body();
            body::drain(&mut body).await;
            return Refused::missing("There is no such action on an alert").answer(Instant::now());
        }
    };
    api.write(call, Some(&id), request).await
}

async fn list(State(api): State<OpsgenieApi>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    match api.list(&parts).await {
        Ok(listed) => Answer::new(StatusCode::OK, listed).send(started),
        Err(refused) => refused.answer(started),
    }
}

async fn count(State(api): State<OpsgenieApi>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    match api.count(&parts).await {
        Ok(count) => Answer::new(StatusCode::OK, json!({"data": {"count": count}})).send(started),
        Err(refused) => refused.answer(started),
    }
}

async fn alert(
    State(api): State<OpsgenieApi>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    let found = async {
        let door = api.door(&parts)?;
        let target = api.target(&door, &id, &parts).await?;
        let view = api.known(&door, &target).await?;
        let view = view.ok_or_else(|| Refused::missing("Alert does not exist"))?;
        let acknowledged = api.acknowledged(&[&view]).await?;
        Ok(shown(&door.name, &view, &acknowledged))
    };
    match found.await {
        Ok(data) => Answer::new(StatusCode::OK, json!({"data": data})).send(started),
        Err(refused) => Refused::answer(refused, started),
    }
}

async fn request_state(
    State(api): State<OpsgenieApi>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    match api.request_state(&id, &parts).await {
        Ok(data) => Answer::new(StatusCode::OK, json!({"data": data}))
            .about(id)
            .send(started),
        Err(refused) => refused.answer(started),
    }
}

/// Any name is answered alike, as by the service; a ping that nobody waits for is put aside.
async fn ping(
    State(api): State<OpsgenieApi>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    body::drain(&mut body).await;
    match api.ping(&name, &parts).await {
        Ok(()) => {
            let answer = json!({"result": "PONG - Heartbeat received"});
            Answer::new(StatusCode::ACCEPTED, answer).send(started)
        }
        Err(refused) => refused.answer(started),
    }
}

impl OpsgenieApi {
    /// The source whose key the request carries.
    pub(super) fn door(&self, parts: &Parts) -> Result<Arc<Door>, Refused> {
        let header = parts.headers.get(AUTHORIZATION);
        let header = header
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let key = match header.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("GenieKey") => key.trim().to_owned(),
            // Old scripts send it as the user of Basic.
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("Basic") => user_of(text),
            _ => parameter(parts, "apiKey"),
        };
        let kind = opsgenie::Opsgenie.kind();
        let door = self.ingest.door_by_key(kind, &KeyDigest::new(&key));
        door.ok_or_else(|| Refused::new(StatusCode::UNAUTHORIZED, "Could not authenticate"))
    }

    /// Takes a ping of a heartbeat.
    async fn ping(&self, name: &str, parts: &Parts) -> Result<(), Refused> {
        let door = self.door(parts)?;
        match self.ingest.ping(&Ping::done(name)).await {
            Ok(_) => Ok(()),
            Err(PingError::Refused(refusal)) => Err(refusal.into()),
            Err(error @ PingError::Unknown(_)) => {
                log::warn!(source = door.name.as_str(); "{} pings in vain: {error}", door.name);
                Ok(self.ingest.put_ping_aside(name).await?)
            }
        }
    }

    /// Takes a request that changes something.
    async fn write(&self, call: Call, id: Option<&str>, request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let (parts, mut body) = request.into_parts();
        match self.take(call, id, &parts, &mut body).await {
            Ok(request_id) => {
                let answer = json!({"result": "Request will be processed"});
                Answer::new(StatusCode::ACCEPTED, answer)
                    .about(request_id)
                    .send(started)
            }
            Err(refused) => {
                log::info!(status = refused.status.as_u16(); "refused a request of the alert API: {}", refused.message);
                body::drain(&mut body).await;
                refused.answer(started)
            }
        }
    }

    async fn take(
        &self,
        call: Call,
        id: Option<&str>,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<String, Refused> {
        let door = self.door(parts)?;
        let tally = self.ingest.within_rate(&door, Tally::begin(&door))?;
        let bytes_max = self.ingest.0.body_max.load(Ordering::Relaxed);
        let held = read_body(&self.ingest, parts, body, bytes_max).await?;
        let target = match id {
            Some(id) => self.target(&door, id, parts).await?,
            None => Target::Alias(super::opsgenie_answers::new_id()?),
        };
        let known = if call.is_update() {
            let view = self.known(&door, &target).await?;
            view.filter(|view| view.alert.is_firing()).map(known)
        } else {
            None
        };
        let stored = match opsgenie::store(call, &target, known.as_ref(), &held.body) {
            Ok(stored) => stored,
            Err(error) => return Err(self.unreadable(&door, &error, held.body.clone()).await),
        };
        let wanted = opsgenie::read(&door.name, &stored)?;
        let accepted = self.ingest.take(&door, Incoming::json(stored)).await?;
        tally.taken(accepted.is_duplicate);
        self.command(&door, wanted).await?;
        Ok(request_id(&door.name, Seq::new(accepted.seq)))
    }

    /// Puts a body aside that is no JSON.
    async fn unreadable(&self, door: &Door, error: &DecodeError, body: Bytes) -> Refused {
        let message = Incoming {
            body,
            ..Incoming::default()
        };
        let aside = self
            .ingest
            .put_aside(door, "not_understood", error.to_string(), message);
        match aside.await {
            Ok(()) => Refused::new(StatusCode::BAD_REQUEST, &error.to_string()),
            Err(error) => Refused::later(&error.to_string()),
        }
    }

    /// Carries out what is no observation.
    async fn command(&self, door: &Door, wanted: Wanted) -> Result<(), Refused> {
        let Some(key) = &wanted.key else {
            return Ok(());
        };
        if wanted.call == Call::Acknowledge {
            let command = Command::Acknowledge { until: None };
            self.ingest.command_alert(door, key, command).await?;
        }
        let Wanted { user, note, .. } = &wanted;
        // The service repeats a create with the same note.
        let is_told = !note.is_empty() && wanted.call != Call::Create;
        if is_told || wanted.call == Call::AddNote {
            let mut text = if user.is_empty() {
                note.clone()
            } else {
                format!("{user}: {note}")
            };
            text.truncate(text.floor_char_boundary(limits::NOTE_BYTES_MAX));
            let command = Command::Note { text: text.into() };
            self.ingest.command_alert(door, key, command).await?;
        }
        Ok(())
    }

    /// Which alert of the source an identifier means; its type is a parameter, `id` by default.
    async fn target(&self, door: &Door, id: &str, parts: &Parts) -> Result<Target, Refused> {
        let view = match parameter(parts, "identifierType").as_str() {
            "alias" => return Ok(Target::Alias(id.to_owned())),
            "tiny" => match id.parse().ok().and_then(AlertId::new) {
                Some(alert) => self.read(door, alert).await?,
                None => None,
            },
            _ => match key_hash(id) {
                Some(hash) => self.view(door, hash).await?,
                None => None,
            },
        };
        if let Some(view) = view {
            return Ok(Target::Key(AlertKey::from_text(view.key.into())));
        }
        // Scripts forget to say that theirs is an alias.
        let alias = AlertKey::new(&door.name, id);
        let is_alias = self.ingest.0.engine.find(alias.hash()).await?.is_some();
        Ok(if is_alias {
            Target::Alias(id.to_owned())
        } else {
            Target::Unknown(id.to_owned())
        })
    }

    /// The alert that is meant, if it is one.
    async fn known(&self, door: &Door, target: &Target) -> Result<Option<AlertView>, Refused> {
        match target {
            Target::Alias(alias) => {
                let key = AlertKey::new(&door.name, alias);
                self.view(door, key.hash()).await
            }
            Target::Key(key) => self.view(door, key.hash()).await,
            Target::Unknown(_) => Ok(None),
        }
    }

    /// The alert with a key, as far as it is held.
    async fn view(&self, door: &Door, key: KeyHash) -> Result<Option<AlertView>, Refused> {
        match self.ingest.0.engine.find(key).await? {
            Some(found) => self.read(door, found.alert).await,
            None => Ok(None),
        }
    }

    async fn read(&self, door: &Door, alert: AlertId) -> Result<Option<AlertView>, Refused> {
        let mut reader = self.db.reader().await?;
        let view = alerts::find(reader.lend(), alert).await?;
        Ok(view.filter(|view| view.source == door.name))
    }

    /// What came of a request.
    async fn request_state(&self, id: &str, parts: &Parts) -> Result<serde_json::Value, Refused> {
        let door = self.door(parts)?;
        let missing = || Refused::missing("Request not found. It might not be processed, yet.");
        let seq = request_seq(&door.name, id).ok_or_else(missing)?;
        let before = Seq::new(seq.get().saturating_sub(1));
        let mut reader = self.db.reader().await?;
        let inputs = list_after(reader.lend(), self.partition, before, 1).await?;
        drop(reader);
        let own = inputs.into_iter().find(|stored| {
            let input = &stored.input;
            let is_ours = input.source.as_ref() == Some(&door.name);
            stored.seq == seq && input.kind == InputKind::Message && is_ours
        });
        let stored = own.ok_or_else(missing)?;
        let request = opsgenie::read(&door.name, &stored.input.body.open()?)?;
        let is_known = match &request.key {
            Some(key) => {
                request.call == Call::Create
                    || self.ingest.0.engine.find(key.hash()).await?.is_some()
            }
            None => false,
        };
        let status = match request.call {
            _ if !is_known => "Alert does not exist",
            Call::Create => "Created alert",
            Call::Close => "Closed alert",
            Call::Delete => "Deleted alert",
            Call::Acknowledge => "Acknowledged alert",
            Call::AddNote => "Added note to alert",
            Call::UpdateMessage => "Updated alert message",
            Call::UpdateDescription => "Updated alert description",
            Call::UpdatePriority => "Updated alert priority",
            Call::AddTags => "Added tags to alert",
            Call::AddDetails => "Added details to alert",
            Call::Other => "Kept without effect",
        };
        let alert = request.key.as_ref().filter(|_| is_known);
        Ok(json!({
            "success": is_known,
            "isSuccess": is_known,
            "action": request.call.word(),
            "status": status,
            "processedAt": super::opsgenie_answers::time(stored.at),
            "integrationId": door.name,
            "alertId": alert.map(|key| alert_id(key.hash())).unwrap_or_default(),
            "alias": request.alias,
        }))
    }
}

/// What is stored of an alert beside a change of it.
fn known(view: AlertView) -> Known {
    Known {
        summary: view.summary,
        severity: view.alert.severity.word().to_owned(),
        labels: view.labels,
        annotations: view.annotations,
        link: view.generator_url,
        hint: view.ci_hint,
    }
}

/// The user of basic authentication; empty when there is none.
fn user_of(encoded: &str) -> String {
    let decoded = BASE64_STANDARD.decode(encoded.trim()).unwrap_or_default();
    let text = String::from_utf8(decoded).unwrap_or_default();
    let user = text.split_once(':').map(|(user, _)| user.to_owned());
    user.unwrap_or(text)
}

/// A parameter of the query; empty when it is not there.
pub(super) fn parameter(parts: &Parts, wanted: &str) -> String {
    let query = parts.uri.query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(name, _)| name == wanted);
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
