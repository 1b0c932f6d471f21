//! Requests: list, make, and move on.
//!
//! Must not decide which alert becomes one; the catalogue does.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::record_order::{Fields, answered, find, give, record_id};
use super::time::Time;
use crate::core::records::request::{Request as Held, RequestState, RequestWanted};
use crate::core::records::{Kind, RecordId, RecordOrder};
use crate::core::severity::Priority;
use crate::store::query::records::{self, RecordFilter};

const SORTING: Sorting = Sorting {
    list: "requests",
    words: &["id", "number"],
};
/// A word that stands for every state in which something is to be done.
const OPEN: &str = "open";

/// A request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Request {
    /// Its number.
    #[schema(example = "REQ-7")]
    number: String,
    /// What kind of record it is: `request`.
    kind: &'static str,
    /// `new`, `in_progress`, `fulfilled` or `cancelled`.
    state: &'static str,
    /// One line for people.
    title: String,
    /// More of it.
    description: String,
    /// `P1` to `P5`.
    priority: String,
    /// The entry of the catalogue.
    rule: Option<String>,
    /// The alert that it was opened for.
    #[schema(example = "A-17")]
    alert: Option<String>,
    /// Whether that fires.
    firing: bool,
    /// The ids of the configuration items that it is about.
    cis: Vec<String>,
    /// The team that has it.
    team: Option<String>,
    /// The person who has it.
    assignee: Option<String>,
    /// When it was opened, or opened again.
    opened_at: Time,
    /// The agreed time.
    target_s: Option<i64>,
    /// By when it is to be done.
    due_at: Option<Time>,
    /// `running`, `met` or `breached`; null without an agreed time.
    sla: Option<&'static str>,
    /// When it was late.
    breached_at: Option<Time>,
    /// When it was done.
    done_at: Option<Time>,
    /// The request that led to it.
    after: Option<String>,
    /// What was said last.
    note: String,
    /// When it was changed last.
    updated_at: Time,
}

/// What a request shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct RequestBody {
    /// One line for people.
    title: Option<String>,
    /// The entry of the catalogue of a new one.
    rule: Option<String>,
    /// More of it.
    description: Option<String>,
    /// `P1` to `P5`.
    priority: Option<String>,
    /// `new`, `in_progress`, `fulfilled` or `cancelled`.
    state: Option<String>,
    /// The configuration items.
    cis: Option<Vec<String>>,
    /// The team.
    team: Option<String>,
    /// The person.
    assignee: Option<String>,
    /// By when.
    due_at: Option<Time>,
    /// What there is to say.
    note: Option<String>,
}

/// Which requests, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RequestQuery {
    /// `new`, `in_progress`, `fulfilled`, `cancelled`, or `open` for the first two.
    pub state: Option<String>,
    /// The same as `state`.
    pub status: Option<String>,
    /// A configuration item, by id.
    pub ci: Option<String>,
    /// Text in the title.
    pub q: Option<String>,
}

impl From<&Held> for Request {
    fn from(held: &Held) -> Self {
        let text = |text: &Option<smol_str::SmolStr>| text.as_ref().map(ToString::to_string);
        let is_met = held
            .done_at
            .is_some_and(|done| held.due_at.is_none_or(|due| done <= due));
        let sla = held.due_at.map(|_| match (held.breached_at, is_met) {
            (Some(_), _) => "breached",
            (None, true) => "met",
            (None, false) => "running",
        });
        Self {
            number: held.id.to_string(),
            kind: Kind::Request.word(),
            state: held.state.word(),
            title: held.title.to_string(),
            description: held.description.to_string(),
            priority: held.priority.to_string(),
            rule: text(&held.rule),
            alert: held.alert.map(|alert| alert.to_string()),
            firing: held.is_firing,
            cis: held.cis.iter().map(ToString::to_string).collect(),
            team: text(&held.team),
            assignee: text(&held.assignee),
            opened_at: held.opened_at.into(),
            target_s: held.target.map(|target| target.as_millis() / 1_000),
            due_at: held.due_at.map(Time),
            sla,
            breached_at: held.breached_at.map(Time),
            done_at: held.done_at.map(Time),
            after: held.after.map(|id| id.to_string()),
            note: held.note.to_string(),
            updated_at: held.updated_at.into(),
        }
    }
}

/// Requests, newest first.
#[utoipa::path(get, path = "/api/v1/requests", tag = "requests", params(RequestQuery, PageQuery), responses(
    (status = 200, description = "A page of requests", body = List<Request>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Request>>, Problem> {
    let params = Params::read(query.as_deref(), &["state", "status", "ci", "q"])?;
    let wanted = params.wanted(SORTING)?;
    let mut words: Vec<_> = RequestState::ALL.iter().map(|state| state.word()).collect();
    words.push(OPEN);
    let read = |word: &str| match word {
        OPEN => Some(vec![RequestState::New, RequestState::InProgress]),
        _ => RequestState::from_any_word(word).map(|state| vec![state]),
    };
    let mut states = params.words("state", &words, read)?;
    states.extend(params.words("status", &words, read)?);
    let filter = RecordFilter {
        states: states
            .into_iter()
            .flatten()
            .map(|state| state.word().to_owned())
            .collect(),
        cis: params.values("ci")?,
        search: params.one("q")?.map(str::to_owned),
        ..RecordFilter::default()
    };
    let page = wanted.page;
    let listed = api
        .read(async move |db| {
            records::list(db.reader().await?.lend(), Kind::Request, &filter, page).await
        })
        .await?;
    let list = wanted.list(listed, |record| record.as_request().map(Request::from));
    Ok(Json(List {
        items: list.items.into_iter().flatten().collect(),
        next_cursor: list.next_cursor,
    }))
}

/// One request.
#[utoipa::path(get, path = "/api/v1/requests/{number}", tag = "requests",
    params(("number" = String, Path, description = "Its number, like REQ-7")),
    responses((status = 200, description = "The request", body = Request)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<Request>, Problem> {
    let record = find(&api, record_id(Kind::Request, &number)?).await?;
    record
        .as_request()
        .map(|held| Json(held.into()))
        .ok_or_else(Problem::internal)
}

/// Makes a request.
#[utoipa::path(post, path = "/api/v1/requests", tag = "requests", request_body = RequestBody,
    responses((status = 201, description = "The request", body = Request)))]
pub async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Problem> {
    let fields = Fields(body::read(body).await?);
    let wanted = wanted(&fields, None)?;
    if wanted.title.is_none() && wanted.rule.is_none() {
        return Err(Problem::bad_request(
            "title is missing; say in one line what is wanted",
        ));
    }
    let request = put(&api, wanted, caller).await?;
    let location = [(LOCATION, format!("/api/v1/requests/{}", request.number))];
    Ok((StatusCode::CREATED, location, Json(request)).into_response())
}

/// Changes a request; what is not named stays.
#[utoipa::path(post, path = "/api/v1/requests/{number}", tag = "requests", request_body = RequestBody,
    params(("number" = String, Path, description = "Its number, like REQ-7")),
    responses((status = 200, description = "The request afterwards", body = Request)))]
pub async fn edit(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<Request>, Problem> {
    let id = record_id(Kind::Request, &number)?;
    let fields = Fields(body::read(body).await?);
    Ok(Json(put(&api, wanted(&fields, Some(id))?, caller).await?))
}

async fn put(api: &ApiState, wanted: RequestWanted, caller: Caller) -> Result<Request, Problem> {
    let id = wanted.id;
    let order = RecordOrder::PutRequest {
        wanted: Box::new(wanted),
    };
    let answer = give(api, order, caller.actor, (id, None)).await?;
    let record = answered(api, answer).await?;
    record
        .as_request()
        .map(Request::from)
        .ok_or_else(Problem::internal)
}

fn wanted(fields: &Fields, id: Option<RecordId>) -> Result<RequestWanted, Problem> {
    let state = match fields.text(&["state", "status"])? {
        None => None,
        Some(word) => Some(RequestState::from_any_word(&word).ok_or_else(|| {
            let words = RequestState::ALL.map(RequestState::word).join(", ");
            Problem::bad_request(format!("state is one of {words}, not {word:?}"))
        })?),
    };
    let priority = fields.line(&["priority"])?;
    if let Some(word) = priority
        .as_ref()
        .filter(|word| Priority::from_word(word).is_none())
    {
        return Err(Problem::bad_request(format!(
            "priority is P1 to P5, not {word:?}"
        )));
    }
    Ok(RequestWanted {
        id,
        rule: fields.line(&["rule", "name"])?,
        title: fields.line(&["title", "summary", "short_description"])?,
        description: fields.text(&["description", "details"])?,
        priority,
        state,
        cis: fields.texts(&["ci", "cis"])?,
        team: fields.line(&["team"])?,
        assignee: fields.line(&["assignee", "owner"])?,
        due_at: fields.time(&["due_at", "due"])?,
        note: fields.text(&["note", "comment", "reason"])?,
    })
}
