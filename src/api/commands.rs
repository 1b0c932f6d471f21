//! Commands to an incident: `POST` with a small JSON body, answered with the incident after commit.
//!
//! Every command may carry `expected_version` in its body and an `Idempotency-Key` header: the same command with the
//! same key is carried out once. Whether a command is possible is decided by the core; here only its form is checked.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts as _, Path, Request, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::xxh3_64;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::incidents::id as incident_id;
use super::problem::{Kind, Problem};
use super::shapes::Incident;
use super::time::Time;
use crate::core::input::{Command, CommandGiven, IdempotencyKey};
use crate::core::limits;
use crate::core::reason::Reason;
use crate::engine::handle::CommandAnswer;
use crate::store::query::incidents;

/// The header by which a command is carried out once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Bytes of its value.
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Which incident, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct NumberPath {
    /// Its number, like INC-42 or 42.
    pub number: String,
}

/// The header by which a command is carried out once, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct OnceHeader {
    /// The same command with the same key is carried out once; 1 to 255 bytes, remembered for a day.
    #[param(rename = "Idempotency-Key")]
    pub idempotency_key: Option<String>,
}

/// Takes notice.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Acknowledge {
    /// The incident is new again after it.
    until: Option<Time>,
    /// Refuse when the incident has another version.
    expected_version: Option<i64>,
}

/// Gives it to somebody; to the one who asks when nobody is named.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Assign {
    /// The person.
    assignee: Option<String>,
    /// The team.
    team: Option<String>,
    /// Refuse when the incident has another version.
    expected_version: Option<i64>,
}

/// A command without fields of its own.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plain {
    /// Refuse when the incident has another version.
    expected_version: Option<i64>,
}

/// Waits for something outside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// What for.
    reason: String,
    /// Work goes on by itself after it.
    #[serde(default)]
    until: Option<Time>,
    /// Refuse when the incident has another version.
    #[serde(default)]
    expected_version: Option<i64>,
}

/// The disruption is over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resolve {
    /// What was done.
    note: Option<String>,
    /// Refuse when the incident has another version.
    expected_version: Option<i64>,
}

/// It is not over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reopen {
    /// Why.
    reason: Option<String>,
    /// Refuse when the incident has another version.
    expected_version: Option<i64>,
}

/// Says something.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// What.
    text: String,
    /// Refuse when the incident has another version.
    #[serde(default)]
    expected_version: Option<i64>,
}

/// A command as it came: where to, from whom, and what.
#[derive(Debug)]
pub struct Ordered<B> {
    number: String,
    caller: Caller,
    idempotency_key: Option<Vec<u8>>,
    body: B,
}

impl<B: DeserializeOwned> FromRequest<ApiState> for Ordered<B> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, api).await?;
        let number = Path::<String>::from_request_parts(&mut parts, api).await;
        let Path(number) =
            number.map_err(|_| Problem::bad_request("the path is not well formed"))?;
        Ok(Self {
            number,
            caller,
            idempotency_key: idempotency_key(&parts.headers)?,
            body: body::read(body).await?,
        })
    }
}

/// Takes notice of an incident; until a time if one is given.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/acknowledge", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Acknowledge,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn acknowledge(
    State(api): State<ApiState>,
    order: Ordered<Acknowledge>,
) -> Result<Json<Incident>, Problem> {
    let until = order.body.until.map(|time| time.0);
    let version = order.body.expected_version;
    order
        .give(&api, Command::Acknowledge { until }, version)
        .await
}

/// Gives an incident to a person, a team or both; what is not named stays as it is.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/assign", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Assign,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn assign(
    State(api): State<ApiState>,
    order: Ordered<Assign>,
) -> Result<Json<Incident>, Problem> {
    let assignee = order
        .body
        .assignee
        .as_deref()
        .map(|text| name("assignee", text))
        .transpose()?;
    let team = order
        .body
        .team
        .as_deref()
        .map(|text| name("team", text))
        .transpose()?;
    let version = order.body.expected_version;
    order
        .give(&api, Command::Assign { assignee, team }, version)
        .await
}

/// Starts work on an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/start", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Plain,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn start(
    State(api): State<ApiState>,
    order: Ordered<Plain>,
) -> Result<Json<Incident>, Problem> {
    let version = order.body.expected_version;
    order.give(&api, Command::Start, version).await
}

/// Puts an incident on hold while it waits for something outside.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/hold", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Hold,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn hold(
    State(api): State<ApiState>,
    order: Ordered<Hold>,
) -> Result<Json<Incident>, Problem> {
    let reason = required("reason", &order.body.reason)?;
    let until = order.body.until.map(|time| time.0);
    let version = order.body.expected_version;
    order
        .give(&api, Command::Hold { reason, until }, version)
        .await
}

/// Goes on after a hold.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/resume", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Plain,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn resume(
    State(api): State<ApiState>,
    order: Ordered<Plain>,
) -> Result<Json<Incident>, Problem> {
    let version = order.body.expected_version;
    order.give(&api, Command::Resume, version).await
}

/// Declares an incident over; its alerts end with it.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/resolve", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Resolve,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn resolve(
    State(api): State<ApiState>,
    order: Ordered<Resolve>,
) -> Result<Json<Incident>, Problem> {
    let note = optional("note", order.body.note.as_deref())?;
    let version = order.body.expected_version;
    order.give(&api, Command::Resolve { note }, version).await
}

/// Closes an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/close", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Plain,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn close(
    State(api): State<ApiState>,
    order: Ordered<Plain>,
) -> Result<Json<Incident>, Problem> {
    let version = order.body.expected_version;
    order.give(&api, Command::Close, version).await
}

/// Reopens an incident; after the reopen window a new one is opened and linked, and is the answer.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/reopen", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Reopen,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn reopen(
    State(api): State<ApiState>,
    order: Ordered<Reopen>,
) -> Result<Json<Incident>, Problem> {
    let reason = optional("reason", order.body.reason.as_deref())?;
    let version = order.body.expected_version;
    order.give(&api, Command::Reopen { reason }, version).await
}

/// Adds a note to an incident in any state.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/notes", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Note,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn add_note(
    State(api): State<ApiState>,
    order: Ordered<Note>,
) -> Result<Json<Incident>, Problem> {
    let text = required("text", &order.body.text)?;
    let version = order.body.expected_version;
    order.give(&api, Command::Note { text }, version).await
}

impl<B> Ordered<B> {
    /// Hands the command to the engine and answers with the incident after commit.
    async fn give(
        self,
        api: &ApiState,
        command: Command,
        expected_version: Option<i64>,
    ) -> Result<Json<Incident>, Problem> {
        let incident = incident_id(&self.number)?;
        let mut given = CommandGiven {
            incident,
            command,
            actor: self.caller.actor,
            expected_version,
            idempotency: None,
        };
        if let Some(key) = self.idempotency_key {
            given.idempotency = Some(digest(&given, &key)?);
        }
        let (submit, db) = (api.setup().submit.clone(), api.setup().db.clone());
        let outcome = async move {
            let answer = submit(given).await?;
            let view = async { incidents::find(db.reader().await?.lend(), answer.incident).await };
            match (view.await, answer.is_refused) {
                (Ok(Some(view)), false) => Ok(Incident::from(view)),
                (Ok(view), true) => Err(refusal(answer, view.as_ref())),
                (Ok(None), false) => Err(Problem::internal()),
                (Err(_), true) => Err(refusal(answer, None)),
                (Err(error), false) => {
                    log::warn!(error:% = error; "a command was carried out, its incident cannot be read: {error}");
                    let detail = "the command was carried out, but the incident cannot be read now; read it later";
                    Err(Problem::new(Kind::OutcomeUnknown, detail))
                }
            }
        };
        api.run(outcome).await?.map(Json)
    }
}

fn refusal(answer: CommandAnswer, view: Option<&incidents::IncidentView>) -> Problem {
    let is_unknown = answer.reason == Reason::UnknownIncident;
    match view {
        None if is_unknown => {
            Problem::not_found(format!("there is no incident {}", answer.incident))
                .with("reason", answer.reason.code())
        }
        None => Problem::refused(answer.reason),
        Some(view) => {
            // What the core no longer holds but the store does was closed for good.
            let reason = if is_unknown {
                Reason::AlreadyClosed
            } else {
                answer.reason
            };
            Problem::refused(reason)
                .with("incident", view.incident.id.to_string())
                .with("state", view.incident.state.word().word())
                .with("version", view.incident.version)
        }
    }
}

/// The key as the core remembers it: with whom it is from, and what it stands for.
fn digest(given: &CommandGiven, key: &[u8]) -> Result<IdempotencyKey, Problem> {
    let mut who = given.actor.as_bytes().to_vec();
    who.push(0);
    who.extend_from_slice(key);
    let command = serde_json::to_vec(given).map_err(|_| Problem::internal())?;
    Ok(IdempotencyKey {
        key: xxh3_64(&who),
        command: xxh3_64(&command),
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    if value.is_empty() || value.len() > IDEMPOTENCY_KEY_MAX {
        let detail = format!("an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} bytes");
        return Err(Problem::bad_request(detail));
    }
    Ok(Some(value.as_bytes().to_vec()))
}

/// A text that must be there.
fn required(field: &str, text: &str) -> Result<Box<str>, Problem> {
    match optional(field, Some(text))? {
        Some(text) => Ok(text),
        None => Err(Problem::bad_request(format!(
            "{field} is empty; say something"
        ))),
    }
}

/// A text that may be missing or empty.
fn optional(field: &str, text: Option<&str>) -> Result<Option<Box<str>>, Problem> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > limits::NOTE_BYTES_MAX {
        let max = limits::NOTE_BYTES_MAX;
        return Err(Problem::bad_request(format!(
            "{field} is longer than {max} bytes"
        )));
    }
    if text.contains('\0') {
        return Err(Problem::bad_request(format!(
            "{field} holds a NUL character"
        )));
    }
    Ok(Some(text.into()))
}

/// The name of a person or team.
fn name(field: &str, text: &str) -> Result<SmolStr, Problem> {
    let name = text.trim();
    let is_fine = !name.is_empty()
        && name.len() <= limits::NAME_BYTES_MAX
        && !name.chars().any(char::is_control);
    if is_fine {
        Ok(SmolStr::new(name))
    } else {
        let max = limits::NAME_BYTES_MAX;
        Err(Problem::bad_request(format!(
            "{field} is one line of 1 to {max} bytes"
        )))
    }
}
