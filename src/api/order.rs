//! What a command looks like when it comes in, and how it goes to the engine.
//!
//! Here only the form is checked; whether a command is possible is decided by the core. Must not hold a rule.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts as _, Path, Request};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::incidents::id as incident_id;
use super::problem::{Kind, Problem};
use super::shapes::Incident;
use super::time::Time;
use crate::core::ids::IncidentId;
use crate::core::input::{Command, CommandGiven, IdempotencyKey};
use crate::core::limits;
use crate::core::past::PastIncident;
use crate::core::reason::Reason;
use crate::engine::handle::{CommandAnswer, SubmitError};
use crate::store::Db;
use crate::store::query::incidents;

/// The header by which a command is carried out once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Bytes of its value.
const IDEMPOTENCY_KEY_MAX: usize = 255;
/// How long a client waits for an answer; a command that is stored by then is carried out all the same.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Takes notice.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Acknowledge {
    /// The incident is new again after it.
    pub(super) until: Option<Time>,
    /// Refuse when the incident has another version.
    pub(super) expected_version: Option<i64>,
}

/// Gives it to somebody; to the one who asks when nobody is named.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Assign {
    /// The person.
    pub(super) assignee: Option<String>,
    /// The team.
    pub(super) team: Option<String>,
    /// Refuse when the incident has another version.
    pub(super) expected_version: Option<i64>,
}

/// A command without fields of its own.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plain {
    /// Refuse when the incident has another version.
    pub(super) expected_version: Option<i64>,
}

/// Waits for something outside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// What for.
    pub(super) reason: String,
    /// Work goes on by itself after it.
    #[serde(default)]
    pub(super) until: Option<Time>,
    /// Refuse when the incident has another version.
    #[serde(default)]
    pub(super) expected_version: Option<i64>,
}

/// The disruption is over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resolve {
    /// What was done.
    pub(super) note: Option<String>,
    /// Refuse when the incident has another version.
    pub(super) expected_version: Option<i64>,
}

/// It is not over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reopen {
    /// Why.
    pub(super) reason: Option<String>,
    /// Refuse when the incident has another version.
    pub(super) expected_version: Option<i64>,
}

/// Says something.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// What.
    pub(super) text: String,
    /// Refuse when the incident has another version.
    #[serde(default)]
    pub(super) expected_version: Option<i64>,
}

/// Makes one incident of two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The number of the incident that goes on, like INC-42.
    pub(super) into: String,
    /// Refuse when the incident has another version.
    #[serde(default)]
    pub(super) expected_version: Option<i64>,
}

/// Names alerts of the incident.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// Their ids, like A-17; at most 1,000.
    pub(super) alerts: Vec<String>,
    /// Refuse when the incident has another version.
    #[serde(default)]
    pub(super) expected_version: Option<i64>,
}

/// Names the root cause.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The id of the configuration item.
    pub(super) ci: String,
    /// Why.
    pub(super) reason: String,
    /// Refuse when the incident has another version.
    #[serde(default)]
    pub(super) expected_version: Option<i64>,
}

/// Sets the priority, or hands it back to the rules with null.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPriority {
    /// P1 to P5; null hands it back to the rules.
    #[schema(value_type = Option<super::words::Priority>)]
    pub(super) priority: Option<String>,
    /// Why; needed when a priority is set.
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// Refuse when the incident has another version.
    #[serde(default)]
    pub(super) expected_version: Option<i64>,
}

/// A command as it came: where to, from whom, and what.
#[derive(Debug)]
pub struct Ordered<B> {
    number: String,
    caller: Caller,
    idempotency_key: Option<Vec<u8>>,
    pub(super) body: B,
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

impl<B> Ordered<B> {
    /// Hands the command to the engine and answers with the incident after commit.
    pub(super) async fn give(
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
            past: None,
        };
        if let Some(key) = self.idempotency_key {
            given.idempotency = Some(digest(&given, &key)?);
        }
        let (engine, clock) = (api.setup().engine.clone(), api.setup().clock.clone());
        let rules = move || engine.rules();
        let (submit, db) = (api.setup().submit.clone(), api.setup().db.clone());
        let outcome = async move {
            given.past = past_of(&db, incident).await;
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, submit(given))
                .await
                .unwrap_or(Err(SubmitError::Unknown))?;
            let incident = answer.incident.unwrap_or(incident);
            let view = async { incidents::find(db.snapshot().await?.lend(), incident).await };
            match (view.await, answer.is_refused) {
                (Ok(Some(view)), false) => Ok(Incident::from(view).counted(&rules(), clock.now())),
                (Ok(view), true) => Err(refusal(answer, incident, view.as_ref())),
                (Ok(None), false) => Err(Problem::internal()),
                (Err(_), true) => Err(refusal(answer, incident, None)),
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

/// What the store knows of an incident that the core may no longer hold; a store that cannot be read now refuses the
/// command itself a moment later.
pub(super) async fn past_of(db: &Db, incident: IncidentId) -> Option<PastIncident> {
    let mut reader = db.snapshot().await.ok()?;
    incidents::find_past(reader.lend(), incident).await.ok()?
}

fn refusal(
    answer: CommandAnswer,
    incident: IncidentId,
    view: Option<&incidents::IncidentView>,
) -> Problem {
    let is_unknown = answer.reason == Reason::UnknownIncident;
    match view {
        None if is_unknown => Problem::not_found(format!("there is no incident {incident}"))
            .with("reason", answer.reason.code()),
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

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Vec<u8>>, Problem> {
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
pub(super) fn required(field: &str, text: &str) -> Result<Box<str>, Problem> {
    match optional(field, Some(text))? {
        Some(text) => Ok(text),
        None => Err(Problem::bad_request(format!(
            "{field} is empty; say something"
        ))),
    }
}

/// A text that may be missing or empty.
pub(super) fn optional(field: &str, text: Option<&str>) -> Result<Option<Box<str>>, Problem> {
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
pub(super) fn name(field: &str, text: &str) -> Result<SmolStr, Problem> {
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
