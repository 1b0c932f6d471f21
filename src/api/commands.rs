//! Commands to an incident: `POST` with a small JSON body, answered with the incident after commit.
//!
//! Every command may carry `expected_version` in its body and an `Idempotency-Key` header: the same command with the
//! same key is carried out once. The form of commands is in [`super::order`]. Must not decide whether one is possible.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::State;
use utoipa::IntoParams;

use super::ApiState;
use super::order::{
    Acknowledge, Alerts, Assign, Hold, Merge, Note, Ordered, Plain, Reopen, Resolve, Root,
    SetPriority, name, optional, required,
};
use super::problem::Problem;
use super::shapes::Incident;
use crate::core::ids::AlertId;
use crate::core::input::Command;
use crate::core::severity::Priority;

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

/// Makes one incident of this and another one; the other one goes on, this one is closed.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/merge", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Merge,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn merge(
    State(api): State<ApiState>,
    order: Ordered<Merge>,
) -> Result<Json<Incident>, Problem> {
    let into = super::incidents::id(&order.body.into)?;
    let version = order.body.expected_version;
    order.give(&api, Command::Merge { into }, version).await
}

/// Takes alerts out of an incident into a new one.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/split", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Alerts,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn split(
    State(api): State<ApiState>,
    order: Ordered<Alerts>,
) -> Result<Json<Incident>, Problem> {
    let alerts = alert_ids(&order.body.alerts)?;
    let version = order.body.expected_version;
    order.give(&api, Command::Split { alerts }, version).await
}

/// Takes alerts out of an incident, each into one of its own.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/unlink", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Alerts,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn unlink(
    State(api): State<ApiState>,
    order: Ordered<Alerts>,
) -> Result<Json<Incident>, Problem> {
    let alerts = alert_ids(&order.body.alerts)?;
    let version = order.body.expected_version;
    order.give(&api, Command::Unlink { alerts }, version).await
}

/// Keeps alerts in an incident, whatever the rules say later.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/pin", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Alerts,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn pin(
    State(api): State<ApiState>,
    order: Ordered<Alerts>,
) -> Result<Json<Incident>, Problem> {
    let alerts = alert_ids(&order.body.alerts)?;
    let version = order.body.expected_version;
    order.give(&api, Command::Pin { alerts }, version).await
}

/// Names the root cause of an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/root", tag = "commands",
    params(NumberPath, OnceHeader), request_body = Root,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn root(
    State(api): State<ApiState>,
    order: Ordered<Root>,
) -> Result<Json<Incident>, Problem> {
    let ci = name("ci", &order.body.ci)?;
    let reason = required("reason", &order.body.reason)?;
    let version = order.body.expected_version;
    order
        .give(&api, Command::Root { ci, reason }, version)
        .await
}

/// Sets the priority of an incident whatever the rules say, or hands it back to them.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/priority", tag = "commands",
    params(NumberPath, OnceHeader), request_body = SetPriority,
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn set_priority(
    State(api): State<ApiState>,
    order: Ordered<SetPriority>,
) -> Result<Json<Incident>, Problem> {
    let word = order.body.priority.as_deref();
    let read = |word: &str| {
        Priority::from_word(word.trim()).ok_or_else(|| {
            Problem::bad_request(format!(
                "{word:?} is not a priority: expected P1 to P5 or null"
            ))
        })
    };
    let priority = word.map(read).transpose()?;
    let text = order.body.reason.as_deref();
    let reason = match priority {
        Some(_) => required("reason", text.unwrap_or_default())?,
        None => optional("reason", text)?.unwrap_or_default(),
    };
    let version = order.body.expected_version;
    order
        .give(&api, Command::Priority { priority, reason }, version)
        .await
}

/// Alerts named in one command.
const ALERTS_MAX: usize = 1_000;

fn alert_ids(texts: &[String]) -> Result<Vec<AlertId>, Problem> {
    if texts.is_empty() || texts.len() > ALERTS_MAX {
        return Err(Problem::bad_request(format!(
            "`alerts` must name 1 to {ALERTS_MAX} alerts"
        )));
    }
    let ids = texts.iter().map(|text| {
        let number = text.parse().ok().and_then(AlertId::new);
        number.or_else(|| text.parse().ok()).ok_or_else(|| {
            Problem::bad_request(format!("{text:?} in `alerts` is no alert: expected A-17"))
        })
    });
    ids.collect()
}
