//! Problems: list, make, change; and incidents like one.
//!
//! Must not decide what keeps coming back.

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
use smol_str::SmolStr;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::incidents::{find as find_incident, id as incident_id};
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem as Trouble;
use super::record_order::{Fields, answered, find, give, record_id};
use super::time::Time;
use crate::core::records::problem::{Problem as Held, ProblemState, ProblemWanted};
use crate::core::records::{Kind, RecordId, RecordOrder};
use crate::store::query::records::{self, LinkView, RecordFilter, SimilarView};

const PROBLEMS: Sorting = Sorting {
    list: "problems",
    words: &["id", "number"],
};
/// Similar incidents that are shown.
const SIMILAR_MAX: i64 = 20;

/// A problem: what keeps coming back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemShape {
    /// Its number.
    #[schema(example = "PRB-7")]
    pub(super) number: String,
    /// What kind of record it is: `problem`.
    kind: &'static str,
    /// `candidate`, `investigating`, `known_error`, `resolved` or `dismissed`.
    state: &'static str,
    /// One line for people.
    title: String,
    /// More of it.
    description: String,
    /// The signature of its incidents: `ci:` and the root's id, or `alert:` and the hash of the alert's key.
    signature: Option<String>,
    /// The ids of the configuration items that it is about.
    cis: Vec<String>,
    /// Its cause, when it is known.
    root_cause: String,
    /// How to live with it.
    workaround: String,
    /// Who has it.
    owner: Option<String>,
    /// How many incidents of it there were.
    incident_count: u32,
    /// The latest of them; in lists empty.
    incidents: Vec<String>,
    /// When it was opened.
    opened_at: Time,
    /// When it was over.
    resolved_at: Option<Time>,
    /// When it was changed last.
    updated_at: Time,
}

/// An incident like another one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Similar {
    /// Its number.
    #[schema(example = "INC-7")]
    number: String,
    /// Where it stands.
    state: String,
    /// How urgent it was.
    priority: String,
    /// One line for people.
    title: String,
    /// When it was opened.
    opened_at: Time,
    /// When it was resolved.
    resolved_at: Option<Time>,
    /// How it was resolved, in the words of the person who did, or why.
    resolution: Option<String>,
    /// Who resolved it.
    resolved_by: Option<String>,
    /// What the two have in common.
    signature: String,
}

/// What a problem shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct ProblemBody {
    /// One line for people; needed for a new one.
    title: Option<String>,
    /// More of it.
    description: Option<String>,
    /// `candidate`, `investigating`, `known_error`, `resolved` or `dismissed`.
    state: Option<String>,
    /// The signature of its incidents.
    signature: Option<String>,
    /// The configuration items.
    cis: Option<Vec<String>>,
    /// Its cause.
    root_cause: Option<String>,
    /// How to live with it.
    workaround: Option<String>,
    /// Who has it.
    owner: Option<String>,
    /// Incidents of it.
    incidents: Option<Vec<String>>,
}

/// Which records, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProblemQuery {
    /// A state; several between commas.
    pub state: Option<String>,
    /// The same as `state`.
    pub status: Option<String>,
    /// A configuration item, by id.
    pub ci: Option<String>,
    /// An incident that it stands beside.
    pub incident: Option<String>,
    /// Text in the title.
    pub q: Option<String>,
}

pub(super) fn texts(texts: &[SmolStr]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(super) fn text(text: Option<&SmolStr>) -> Option<String> {
    text.map(ToString::to_string)
}

impl From<&Held> for ProblemShape {
    fn from(held: &Held) -> Self {
        Self {
            number: held.id.to_string(),
            kind: Kind::Problem.word(),
            state: held.state.word(),
            title: held.title.to_string(),
            description: held.description.to_string(),
            signature: text(held.signature.as_ref()),
            cis: texts(&held.cis),
            root_cause: held.root_cause.to_string(),
            workaround: held.workaround.to_string(),
            owner: text(held.owner.as_ref()),
            incident_count: held.incidents,
            incidents: Vec::new(),
            opened_at: held.opened_at.into(),
            resolved_at: held.over_at.map(Time),
            updated_at: held.updated_at.into(),
        }
    }
}

impl From<SimilarView> for Similar {
    fn from(view: SimilarView) -> Self {
        Self {
            number: view.incident.to_string(),
            state: view.state,
            priority: view.priority,
            title: view.title,
            opened_at: view.opened_at.into(),
            resolved_at: view.resolved_at.map(Time),
            resolution: view.resolution,
            resolved_by: view.resolved_by,
            signature: view.signature,
        }
    }
}

/// The problems of an incident's records.
pub(super) fn problems(views: &[LinkView]) -> Vec<String> {
    let problems = views.iter().filter_map(|view| view.record.as_problem());
    problems.map(|problem| problem.id.to_string()).collect()
}

/// Problems, newest first.
#[utoipa::path(get, path = "/api/v1/problems", tag = "problems", params(ProblemQuery, PageQuery), responses(
    (status = 200, description = "A page of problems", body = List<ProblemShape>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<ProblemShape>>, Trouble> {
    let words = ProblemState::ALL.map(ProblemState::word);
    let read = |word: &str| ProblemState::from_any_word(word).map(ProblemState::word);
    let (wanted, filter) = filter(query.as_deref(), PROBLEMS, &words, read)?;
    let page = wanted.page;
    let listed = api
        .read(async move |db| {
            records::list(db.reader().await?.lend(), Kind::Problem, &filter, page).await
        })
        .await?;
    let list = wanted.list(listed, |record| record.as_problem().map(ProblemShape::from));
    Ok(Json(List {
        items: list.items.into_iter().flatten().collect(),
        next_cursor: list.next_cursor,
    }))
}

pub(super) fn filter(
    query: Option<&str>,
    sorting: Sorting,
    words: &[&str],
    read: impl Fn(&str) -> Option<&'static str> + Copy,
) -> Result<(super::page::Wanted, RecordFilter), Trouble> {
    let params = Params::read(query, &["state", "status", "ci", "incident", "q"])?;
    let wanted = params.wanted(sorting)?;
    let mut states = params.words("state", words, read)?;
    states.extend(params.words("status", words, read)?);
    let incidents = params.values("incident")?.into_iter();
    let incidents: Result<Vec<_>, _> = incidents
        .map(|number| incident_id(&number).map(crate::core::ids::IncidentId::get))
        .collect();
    let filter = RecordFilter {
        states: states.into_iter().map(str::to_owned).collect(),
        cis: params.values("ci")?,
        incidents: incidents?,
        search: params.one("q")?.map(str::to_owned),
        ..RecordFilter::default()
    };
    Ok((wanted, filter))
}

/// One problem, with its incidents.
#[utoipa::path(get, path = "/api/v1/problems/{number}", tag = "problems",
    params(("number" = String, Path, description = "Its number, like PRB-7")),
    responses((status = 200, description = "The problem", body = ProblemShape)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<ProblemShape>, Trouble> {
    Ok(Json(shown(&api, record_id(Kind::Problem, &number)?).await?))
}

async fn shown(api: &ApiState, id: RecordId) -> Result<ProblemShape, Trouble> {
    let record = find(api, id).await?;
    let mut shape = record
        .as_problem()
        .map(ProblemShape::from)
        .ok_or_else(Trouble::internal)?;
    let views = api
        .read(async move |db| records::incidents_of(db.reader().await?.lend(), id).await)
        .await?;
    shape.incidents = views.iter().map(|view| view.incident.to_string()).collect();
    Ok(shape)
}

/// Makes a problem.
#[utoipa::path(post, path = "/api/v1/problems", tag = "problems", request_body = ProblemBody,
    responses((status = 201, description = "The problem", body = ProblemShape)))]
pub async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Trouble> {
    let fields = Fields(body::read(body).await?);
    let wanted = problem_wanted(&fields, None)?;
    if wanted.title.is_none() {
        return Err(Trouble::bad_request(
            "title is missing; say in one line what keeps coming back",
        ));
    }
    let shape = put(&api, wanted, caller).await?;
    let location = [(LOCATION, format!("/api/v1/problems/{}", shape.number))];
    Ok((StatusCode::CREATED, location, Json(shape)).into_response())
}

/// Changes a problem; what is not named stays.
#[utoipa::path(post, path = "/api/v1/problems/{number}", tag = "problems", request_body = ProblemBody,
    params(("number" = String, Path, description = "Its number, like PRB-7")),
    responses((status = 200, description = "The problem afterwards", body = ProblemShape)))]
pub async fn edit(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<ProblemShape>, Trouble> {
    let id = record_id(Kind::Problem, &number)?;
    let fields = Fields(body::read(body).await?);
    Ok(Json(
        put(&api, problem_wanted(&fields, Some(id))?, caller).await?,
    ))
}

async fn put(
    api: &ApiState,
    wanted: ProblemWanted,
    caller: Caller,
) -> Result<ProblemShape, Trouble> {
    let id = wanted.id;
    let order = RecordOrder::PutProblem {
        wanted: Box::new(wanted),
    };
    let answer = give(api, order, caller.actor, (id, None)).await?;
    shown(api, answered(api, answer).await?.id()).await
}

fn problem_wanted(fields: &Fields, id: Option<RecordId>) -> Result<ProblemWanted, Trouble> {
    let state = match fields.text(&["state", "status"])? {
        None => None,
        Some(word) => Some(ProblemState::from_any_word(&word).ok_or_else(|| {
            let words = ProblemState::ALL.map(ProblemState::word).join(", ");
            Trouble::bad_request(format!("state is one of {words}, not {word:?}"))
        })?),
    };
    let incidents = fields
        .texts(&["incidents", "incident"])?
        .unwrap_or_default();
    let incidents: Result<Vec<_>, _> = incidents.iter().map(|text| incident_id(text)).collect();
    Ok(ProblemWanted {
        id,
        signature: fields.line(&["signature"])?,
        title: fields.line(&["title", "summary"])?,
        description: fields.text(&["description", "details"])?,
        state,
        cis: fields.texts(&["ci", "cis"])?,
        root_cause: fields.text(&["root_cause", "cause"])?,
        workaround: fields.text(&["workaround"])?,
        owner: fields.line(&["owner", "assignee"])?,
        incidents: incidents?,
    })
}

/// Incidents like this one, the latest first, with how they were resolved.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/similar", tag = "problems",
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The incidents", body = List<Similar>)),
)]
pub async fn similar(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<List<Similar>>, Trouble> {
    let id = incident_id(&number)?;
    find_incident(&api, id).await?;
    let views = api
        .read(async move |db| records::similar(db.reader().await?.lend(), id, SIMILAR_MAX).await)
        .await?;
    Ok(Json(List {
        items: views.into_iter().map(Similar::from).collect(),
        next_cursor: None,
    }))
}
