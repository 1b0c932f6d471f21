//! Changes: list, make, change, what they have to do with incidents, and how many succeed.
//!
//! Making one again with the same external id changes it, so that a pipeline may repeat itself. Must not decide what a
//! change has to do with an incident.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::xxh3_64;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::change_shapes::{Change, IncidentChange, shape};
use super::incidents::{find as find_incident, id as incident_id};
use super::order::idempotency_key;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::record_order::{Fields, answered, find, give, record_id};
use super::shapes::Incident;
use super::time::{Time, read as read_time, read_span};
use crate::core::records::change::{ChangeState, ChangeWanted};
use crate::core::records::{Kind, Record, RecordOrder, Role};
use crate::core::time::{Span, Timestamp};
use crate::store::query::records::{self, RecordFilter};

const SORTING: Sorting = Sorting {
    list: "changes",
    words: &["id", "number"],
};
/// Changes counted for the figures when the client does not say since when.
const FIGURES_SINCE: Span = Span::from_days(30);

/// What a change shall be; a field may also come under the names that platforms have for it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct ChangeBody {
    /// Its id where it comes from; the same again changes the same change.
    external_id: Option<String>,
    /// One line for people; needed for a new one.
    summary: Option<String>,
    /// More of it.
    description: Option<String>,
    /// `normal`, `standard`, `emergency`, `deployment`, `release`, or another word.
    #[schema(rename = "type")]
    change_type: Option<String>,
    /// `planned`, `in_progress`, `successful`, `failed`, `cancelled`, or what a platform calls it.
    state: Option<String>,
    /// How risky it is.
    risk: Option<String>,
    /// What is said about its approval.
    approval: Option<String>,
    /// The configuration item that it changes, by id or name.
    ci: Option<String>,
    /// More of them, services included.
    cis: Option<Vec<String>>,
    /// Who makes it.
    by: Option<String>,
    /// Link to it.
    url: Option<String>,
    /// When it begins or began; now when nothing is said.
    starts_at: Option<Time>,
    /// When it ends or ended.
    ends_at: Option<Time>,
    /// Where it comes from; `api` when nothing is said.
    source: Option<String>,
    /// Whether people shall not be told of alerts of its items while it is made.
    maintenance: Option<bool>,
}

/// What a change has to do with an incident.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct VerdictBody {
    /// The change.
    #[schema(example = "CHG-7")]
    change: String,
    /// `confirmed`, `dismissed` or `suspected`; confirmed when nothing is said.
    verdict: Option<String>,
    /// Why.
    reason: Option<String>,
}

/// Which changes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChangeQuery {
    /// `planned`, `in_progress`, `successful`, `failed` or `cancelled`; several between commas.
    pub state: Option<String>,
    /// The same as `state`.
    pub status: Option<String>,
    /// A configuration item that is changed, by id.
    pub ci: Option<String>,
    /// The same, for a service.
    pub service: Option<String>,
    /// The incident that it stands beside.
    pub incident: Option<String>,
    /// Its id where it comes from, when it came by the API.
    pub external_id: Option<String>,
    /// Changed no earlier than this time, or no longer ago than this, like `7d`.
    pub since: Option<String>,
    /// Text in the summary.
    pub q: Option<String>,
}

/// How changes went.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeFigures {
    /// Counted from then on.
    since: Time,
    /// Changes that are over, cancelled ones aside.
    made: i64,
    /// Those that succeeded and, as far as people say, caused no incident.
    successful: i64,
    /// Those that failed or were taken back.
    failed: i64,
    /// Those that a person says caused an incident.
    caused_incidents: i64,
    /// `successful` by `made`, from 0 to 1; null when none was made.
    success_rate: Option<f64>,
}

/// Changes, newest first.
#[utoipa::path(get, path = "/api/v1/changes", tag = "changes", params(ChangeQuery, PageQuery), responses(
    (status = 200, description = "A page of changes", body = List<Change>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Change>>, Problem> {
    let filters = [
        "state",
        "status",
        "ci",
        "service",
        "incident",
        "external_id",
        "since",
        "q",
    ];
    let params = Params::read(query.as_deref(), &filters)?;
    let wanted = params.wanted(SORTING)?;
    let words = ChangeState::ALL.map(ChangeState::word);
    let mut states = params.words("state", &words, ChangeState::from_any_word)?;
    states.extend(params.words("status", &words, ChangeState::from_any_word)?);
    let incidents = params.values("incident")?.into_iter();
    let incidents: Result<Vec<_>, _> = incidents
        .map(|number| incident_id(&number).map(crate::core::ids::IncidentId::get))
        .collect();
    let mut cis = params.values("ci")?;
    cis.extend(params.values("service")?);
    let filter = RecordFilter {
        states: states.iter().map(|state| state.word().to_owned()).collect(),
        cis,
        keys: params.values("external_id")?,
        incidents: incidents?,
        since: since(&params, api.now())?.map(Timestamp::as_millis),
        search: params.one("q")?.map(str::to_owned),
    };
    let page = wanted.page;
    let (listed, names) = api
        .read(async move |db| {
            let mut reader = db.reader().await?;
            let listed = records::list(reader.lend(), Kind::Change, &filter, page).await?;
            let names = records::names(reader.lend(), &ids(&listed.items)).await?;
            Ok((listed, names))
        })
        .await?;
    let mut items = wanted.list(listed, |record| {
        record.as_change().map(|change| shape(change, &names))
    });
    Ok(Json(List {
        items: items.items.drain(..).flatten().collect(),
        next_cursor: items.next_cursor,
    }))
}

/// The CIs of records, each once.
pub(super) fn ids(records: &[Record]) -> Vec<String> {
    let ids = records
        .iter()
        .flat_map(Record::cis)
        .map(ToString::to_string);
    let ids: std::collections::BTreeSet<String> = ids.collect();
    ids.into_iter().collect()
}

/// From when on: a time, or how long ago.
pub(super) fn since(params: &Params, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = params.one("since")? else {
        return Ok(None);
    };
    let at = read_span(text).map(|span| now.minus(span));
    let at = at.or_else(|| read_time(text).ok());
    at.map(Some).ok_or_else(|| {
        Problem::bad_request(format!(
            "since is a time like 2026-11-20T12:30:00Z or a length like 7d, not {text:?}"
        ))
    })
}

/// One change.
#[utoipa::path(get, path = "/api/v1/changes/{id}", tag = "changes",
    params(("id" = String, Path, description = "Its id, like CHG-7")),
    responses((status = 200, description = "The change", body = Change)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Change>, Problem> {
    let record = find(&api, record_id(Kind::Change, &id)?).await?;
    Ok(Json(shown(&api, record).await?))
}

/// How many changes succeeded.
#[utoipa::path(get, path = "/api/v1/changes/figures", tag = "changes",
    params(("since" = Option<String>, Query, description = "A time, or a length like 30d, which is the default")),
    responses((status = 200, description = "The figures", body = ChangeFigures)),
)]
pub async fn figures(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<ChangeFigures>, Problem> {
    let params = Params::read(query.as_deref(), &["since"])?;
    let now = api.now();
    let since = since(&params, now)?.unwrap_or_else(|| now.minus(FIGURES_SINCE));
    let at = since.as_millis();
    let counts = api
        .read(async move |db| records::count_changes(db.reader().await?.lend(), at).await)
        .await?;
    let float = |count: i64| u32::try_from(count).map_or(0.0, f64::from);
    Ok(Json(ChangeFigures {
        since: since.into(),
        made: counts.made,
        successful: counts.successful,
        failed: counts.failed,
        caused_incidents: counts.caused_incidents,
        success_rate: (counts.made > 0).then(|| float(counts.successful) / float(counts.made)),
    }))
}

async fn shown(api: &ApiState, record: Record) -> Result<Change, Problem> {
    let ids = ids(std::slice::from_ref(&record));
    let names = api
        .read(async move |db| records::names(db.reader().await?.lend(), &ids).await)
        .await?;
    let change = record.as_change().ok_or_else(Problem::internal)?;
    Ok(shape(change, &names))
}

/// Makes a change, or changes the one with the same external id.
#[utoipa::path(post, path = "/api/v1/changes", tag = "changes", request_body = ChangeBody,
    params(super::commands::OnceHeader),
    responses((status = 201, description = "The new change", body = Change),
        (status = 200, description = "The change afterwards", body = Change)))]
pub async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let fields = Fields(body::read(body).await?);
    let mut wanted = wanted(&fields)?;
    let named = fields.text(&[
        "external_id",
        "externalId",
        "external_key",
        "key",
        "change_id",
        "dedup_key",
        "number",
        "id",
    ])?;
    wanted.external_id = named.clone();
    wanted.key = named;
    if wanted.key.is_none()
        && let Some(key) = idempotency_key(&headers)?
    {
        let parts = [caller.actor.as_bytes(), &[0], &key].concat();
        wanted.key = Some(format_smolstr!("once:{:016x}", xxh3_64(&parts)));
    }
    let known = match &wanted.key {
        Some(key) => {
            let filter = RecordFilter {
                keys: vec![key.to_string()],
                ..RecordFilter::default()
            };
            let page = crate::store::query::Page {
                limit: 1,
                is_newest_first: true,
                after: None,
            };
            api.read(async move |db| {
                records::list(db.reader().await?.lend(), Kind::Change, &filter, page).await
            })
            .await?
            .items
            .pop()
        }
        None => None,
    };
    if known.is_none() && wanted.summary.is_none() {
        let detail = "summary is missing; say in one line what is changed";
        return Err(Problem::bad_request(detail));
    }
    // One that is no longer held in memory is named by its id.
    wanted.id = known.as_ref().map(Record::id);
    let is_new = known.is_none();
    let record = wanted.id;
    let order = RecordOrder::PutChange {
        wanted: Box::new(wanted),
    };
    let answer = give(&api, order, caller.actor, (record, None)).await?;
    let change = shown(&api, answered(&api, answer).await?).await?;
    let location = [(LOCATION, format!("/api/v1/changes/{}", change.id))];
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, location, Json(change)).into_response())
}

/// Changes a change; what is not named stays.
#[utoipa::path(post, path = "/api/v1/changes/{id}", tag = "changes", request_body = ChangeBody,
    params(("id" = String, Path, description = "Its id, like CHG-7")),
    responses((status = 200, description = "The change afterwards", body = Change)))]
pub async fn edit(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Change>, Problem> {
    replace(&api, caller, &id, body).await
}

/// The same as with POST.
#[utoipa::path(put, path = "/api/v1/changes/{id}", tag = "changes", request_body = ChangeBody,
    params(("id" = String, Path, description = "Its id, like CHG-7")),
    responses((status = 200, description = "The change afterwards", body = Change)))]
pub async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Change>, Problem> {
    replace(&api, caller, &id, body).await
}

async fn replace(
    api: &ApiState,
    caller: Caller,
    id: &str,
    body: Body,
) -> Result<Json<Change>, Problem> {
    let id = record_id(Kind::Change, id)?;
    let fields = Fields(body::read(body).await?);
    let mut wanted = wanted(&fields)?;
    wanted.id = Some(id);
    let order = RecordOrder::PutChange {
        wanted: Box::new(wanted),
    };
    let answer = give(api, order, caller.actor, (Some(id), None)).await?;
    Ok(Json(shown(api, answered(api, answer).await?).await?))
}

/// The changes beside an incident: what may have caused it, the best founded first.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/changes", tag = "changes",
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The changes", body = List<IncidentChange>)),
)]
pub async fn of_incident(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<List<IncidentChange>>, Problem> {
    let id = incident_id(&number)?;
    find_incident(&api, id).await?;
    let mut found = api
        .read(async move |db| records::beside(db.reader().await?.lend(), &[id]).await)
        .await?;
    let views = found.remove(&id).unwrap_or_default();
    Ok(Json(List {
        items: views.iter().filter_map(IncidentChange::of).collect(),
        next_cursor: None,
    }))
}

/// Says whether a change caused an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/changes", tag = "changes", request_body = VerdictBody,
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn judge(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<Incident>, Problem> {
    let incident = incident_id(&number)?;
    let fields = Fields(body::read(body).await?);
    let change = record_id(Kind::Change, &fields.required(&["change", "id"])?)?;
    let word = fields.text(&["verdict", "role", "state"])?;
    let role = match word.as_deref() {
        None => Role::Confirmed,
        Some(word) => Role::from_word(word).ok_or_else(|| {
            let words: Vec<_> = Role::VERDICTS.iter().map(|role| role.word()).collect();
            let detail = format!("verdict is one of {}, not {word:?}", words.join(", "));
            Problem::bad_request(detail)
        })?,
    };
    let reason = fields
        .text(&["reason", "note", "comment"])?
        .unwrap_or_default();
    let order = RecordOrder::JudgeChange {
        incident,
        change,
        role,
        reason: reason.as_str().into(),
    };
    give(&api, order, caller.actor, (Some(change), Some(incident))).await?;
    Ok(Json(find_incident(&api, incident).await?.into()))
}

/// When a body says a change begins and ends.
fn wanted_times(fields: &Fields) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let starts_at = fields.time(&[
        "starts_at",
        "start",
        "started_at",
        "start_at",
        "start_date",
        "planned_start",
        "begin",
        "at",
        "timestamp",
        "implemented_at",
    ])?;
    let ends_at = fields.time(&[
        "ends_at",
        "end",
        "ended_at",
        "end_at",
        "end_date",
        "planned_end",
        "finished_at",
        "completed_at",
    ])?;
    let ends_at = match (
        ends_at,
        fields
            .value(&["duration_s"])
            .and_then(serde_json::Value::as_i64),
    ) {
        (Some(at), _) => Some(at),
        (None, Some(seconds)) => starts_at.map(|at| at.plus(Span::from_secs(seconds))),
        (None, None) => None,
    };
    Ok((starts_at, ends_at))
}

/// What a body says a change shall be.
fn wanted(fields: &Fields) -> Result<ChangeWanted, Problem> {
    let state = fields.text(&["state", "status", "outcome", "result", "close_code"])?;
    let state = match state {
        None => None,
        Some(word) => Some(ChangeState::from_any_word(&word).ok_or_else(|| {
            let words = ChangeState::ALL.map(ChangeState::word).join(", ");
            Problem::bad_request(format!("state is one of {words}, not {word:?}"))
        })?),
    };
    let (starts_at, ends_at) = wanted_times(fields)?;
    let cis = fields.texts(&[
        "ci",
        "cis",
        "cmdb_ci",
        "configuration_item",
        "configuration_items",
        "affected_cis",
        "service",
        "services",
        "host",
        "hosts",
    ])?;
    Ok(ChangeWanted {
        id: None,
        key: None,
        external_id: fields.text(&["external_id", "externalId"])?,
        source: fields
            .line(&["source", "origin"])?
            .unwrap_or_else(|| SmolStr::new_static("api")),
        summary: fields.line(&["summary", "title", "short_description", "name", "subject"])?,
        description: fields.text(&["description", "details", "text"])?,
        kind: fields.line(&["type", "change_type", "kind", "category"])?,
        state,
        risk: fields.line(&["risk", "risk_level"])?,
        approval: fields.line(&["approval", "approval_state"])?,
        cis,
        by: fields.line(&[
            "by",
            "assignee",
            "author",
            "implementer",
            "requested_by",
            "owner",
            "user",
            "actor",
        ])?,
        url: fields.line(&["url", "link", "html_url"])?,
        starts_at,
        ends_at,
        opens_maintenance: fields.flag(&["maintenance", "opens_maintenance"])?,
    })
}
