//! Messages to people: what waits, what arrived, what was skipped and why, what is given up; and trying again.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::auth::Caller;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::{Kind, Problem};
use super::targets::{Order, Ordered};
use super::time::Time;
use crate::core::ids::IncidentId;
use crate::core::tell::event::Event;
use crate::core::time::Timestamp;
use crate::store::query::Page;
use crate::store::query::outbox::{self, OutboxFilter, OutboxView};

const SORTING: Sorting = Sorting {
    list: "outbox",
    words: &["id"],
};
const PREFIX: &str = "M-";

/// A message to people.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutboxMessage {
    /// Its id.
    #[schema(example = "M-12")]
    id: String,
    /// Its id towards the target, the same for every attempt.
    webhook_id: String,
    /// The target.
    target: String,
    /// The address of one person, when it is not for all who read the target.
    recipient: Option<String>,
    /// The incident that it tells of; null when the daemon speaks of itself.
    #[schema(example = "INC-42")]
    incident: Option<String>,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "incident.opened")]
    kind: String,
    /// The same under another name.
    event: String,
    /// `pending`, `sending`, `sent`, `skipped` or `dead`.
    state: String,
    /// Why it was skipped or given up.
    #[schema(example = "acknowledged_meanwhile")]
    reason: Option<String>,
    /// A detail in words.
    note: Option<String>,
    /// How often it was tried.
    attempts: i64,
    /// Whether it may have arrived although nothing says so.
    may_have_arrived: bool,
    /// When it was decided.
    created_at: Time,
    /// When it was tried first.
    first_attempt_at: Option<Time>,
    /// When it is tried next; null when it is not.
    next_attempt_at: Option<Time>,
    /// When it arrived.
    sent_at: Option<Time>,
    /// When its time in the queue ended, however it did.
    ended_at: Option<Time>,
    /// What the target answered last, as a number.
    status: Option<i64>,
    /// What went wrong last.
    last_error: Option<String>,
}

/// Which messages; each may be repeated or hold several values between commas.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OutboxQuery {
    /// `pending`, `sending`, `sent`, `skipped` or `dead`.
    pub state: Option<String>,
    /// The same as `state`.
    pub status: Option<String>,
    /// The target.
    pub target: Option<String>,
    /// The event, like `incident.opened`.
    pub event: Option<String>,
    /// The incident, like `INC-42`.
    pub incident: Option<String>,
}

/// How many messages an order reached.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reached {
    /// So many.
    count: u64,
}

/// Messages to people, newest first.
#[utoipa::path(get, path = "/api/v1/outbox", tag = "outbox", params(OutboxQuery, PageQuery), responses(
    (status = 200, description = "A page of messages", body = List<OutboxMessage>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<OutboxMessage>>, Problem> {
    let names = ["state", "status", "target", "event", "incident"];
    let params = Params::read(query.as_deref(), &names)?;
    let wanted = params.wanted(SORTING)?;
    let mut states = params.words("state", &outbox::STANDINGS, outbox::standing)?;
    states.extend(params.words("status", &outbox::STANDINGS, outbox::standing)?);
    let events: Vec<&str> = Event::ALL.into_iter().map(Event::word).collect();
    let events = params.words("event", &events, |word| {
        Event::from_word(word).map(|event| event.word().to_owned())
    })?;
    let incidents = params.values("incident")?;
    let incidents: Result<Vec<IncidentId>, Problem> = incidents
        .iter()
        .map(|text| super::incidents::id(text))
        .collect();
    let filter = OutboxFilter {
        states,
        targets: params.values("target")?,
        events,
        incidents: incidents?,
        ids: Vec::new(),
    };
    let page = wanted.page;
    let listed = api
        .read(async move |db| outbox::list(db.reader().await?.lend(), &filter, page).await)
        .await?;
    Ok(Json(wanted.list(listed, OutboxMessage::from)))
}

/// One message.
#[utoipa::path(get, path = "/api/v1/outbox/{id}", tag = "outbox",
    params(("id" = String, Path, description = "Its id, like M-12 or 12")),
    responses((status = 200, description = "The message", body = OutboxMessage)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<OutboxMessage>, Problem> {
    Ok(Json(find(&api, number(&id)?).await?.into()))
}

/// Tries a message again that was given up. Whether it still makes sense is looked at before it is sent.
#[utoipa::path(post, path = "/api/v1/outbox/{id}/retry", tag = "outbox",
    params(("id" = String, Path, description = "Its id, like M-12 or 12")),
    responses((status = 200, description = "The message", body = OutboxMessage)),
)]
pub async fn retry(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<OutboxMessage>, Problem> {
    revive(&api, number(&id)?, false).await
}

/// Takes a message that was given up off the list of those that need somebody.
#[utoipa::path(post, path = "/api/v1/outbox/{id}/discard", tag = "outbox",
    params(("id" = String, Path, description = "Its id, like M-12 or 12")),
    responses((status = 200, description = "The message", body = OutboxMessage)),
)]
pub async fn discard(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<OutboxMessage>, Problem> {
    revive(&api, number(&id)?, true).await
}

/// Tries every message again that was given up, of one target or of all.
#[utoipa::path(post, path = "/api/v1/outbox/retry", tag = "outbox", params(("target" = Option<String>, Query, description = "The target")),
    responses((status = 200, description = "How many there were", body = Reached)),
)]
pub async fn retry_all(
    State(api): State<ApiState>,
    _caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Reached>, Problem> {
    let params = Params::read(query.as_deref(), &["target"])?;
    let target = params.one("target")?.map(str::to_owned);
    let order = Order::Revive {
        id: None,
        target,
        is_discarded: false,
    };
    match super::targets::give(&api, order).await? {
        Ordered::Reached(count) => Ok(Json(Reached { count })),
        Ordered::Done | Ordered::NoSuchTarget | Ordered::Unavailable(_) => Err(Problem::internal()),
    }
}

async fn revive(
    api: &ApiState,
    id: i64,
    is_discarded: bool,
) -> Result<Json<OutboxMessage>, Problem> {
    let view = find(api, id).await?;
    let order = Order::Revive {
        id: Some(id),
        target: None,
        is_discarded,
    };
    match super::targets::give(api, order).await? {
        Ordered::Reached(0) => {
            let detail = format!(
                "the message is {}; only dead ones are tried again",
                view.state
            );
            Err(Problem::new(Kind::NotReplayable, detail))
        }
        Ordered::Reached(_) => Ok(Json(find(api, id).await?.into())),
        Ordered::Done | Ordered::NoSuchTarget | Ordered::Unavailable(_) => Err(Problem::internal()),
    }
}

fn number(id: &str) -> Result<i64, Problem> {
    let bare = match id.get(..PREFIX.len()) {
        Some(head) if head.eq_ignore_ascii_case(PREFIX) => {
            id.get(PREFIX.len()..).unwrap_or_default()
        }
        Some(_) | None => id,
    };
    let is_number = bare.bytes().all(|byte| byte.is_ascii_digit());
    bare.parse().ok().filter(|_| is_number).ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("there is no such message; an id looks like M-12")
}

async fn find(api: &ApiState, id: i64) -> Result<OutboxView, Problem> {
    let filter = OutboxFilter {
        ids: vec![id],
        ..OutboxFilter::default()
    };
    let page = Page {
        limit: 1,
        is_newest_first: true,
        after: None,
    };
    let mut listed = api
        .read(async move |db| outbox::list(db.reader().await?.lend(), &filter, page).await)
        .await?;
    listed.items.pop().ok_or_else(missing)
}

impl From<OutboxView> for OutboxMessage {
    fn from(view: OutboxView) -> Self {
        let time = |ms: i64| Time(Timestamp::from_millis(ms));
        let is_due = matches!(view.state.as_str(), "pending" | "sending");
        let created_at = Timestamp::from_millis(view.created_at);
        Self {
            id: format!("{PREFIX}{}", view.id),
            webhook_id: crate::core::tell::webhook_id(view.id, created_at),
            target: view.target,
            recipient: Some(view.recipient).filter(|it| !it.is_empty()),
            incident: view
                .incident
                .and_then(IncidentId::new)
                .map(|id| id.to_string()),
            kind: view.event.clone(),
            event: view.event,
            reason: view.reason,
            note: view.note,
            attempts: view.attempts,
            may_have_arrived: view.may_have_arrived && view.state != "sent",
            created_at: Time(created_at),
            first_attempt_at: view.tried_at.map(time),
            next_attempt_at: is_due.then(|| time(view.due_at)),
            sent_at: view.ended_at.filter(|_| view.state == "sent").map(time),
            ended_at: view.ended_at.map(time),
            status: view.status,
            last_error: view.error,
            state: view.state,
        }
    }
}
