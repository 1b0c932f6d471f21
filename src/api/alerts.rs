//! Alerts: list, one, its timeline and explanation.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use utoipa::IntoParams;

use super::ApiState;
use super::cmdb::{BindCheck, BindResult, bind_now};
use super::explain::{self, Explanation};
use super::incidents::{TIMELINE, id as incident_id, read_timeline, severities};
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::shapes::Alert;
use super::timeline_shapes::TimelineEntry;
use crate::core::ids::{AlertId, IncidentId};
use crate::store::query::alerts::{AlertFilter, AlertOrder, AlertView};
use crate::store::query::timeline::Subject;
use crate::store::query::{Listed, alerts, causes};

const SORTING: Sorting = Sorting {
    list: "alerts",
    words: &["id", "first_seen_at", LAST_SEEN],
};
const LAST_SEEN: &str = "last_seen_at";
const FILTERS: [&str; 7] = [
    "status", "severity", "source", "incident", "q", "ci", "service",
];

/// Which alerts; each may be repeated or hold several values between commas.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// `firing` or `resolved`.
    pub status: Option<String>,
    /// `critical`, `high`, `warning`, `low` or `info`.
    pub severity: Option<String>,
    /// The source.
    pub source: Option<String>,
    /// The incident that it belongs or last belonged to.
    pub incident: Option<String>,
    /// The configuration item that it is about.
    pub ci: Option<String>,
    /// A business service that it reaches.
    pub service: Option<String>,
    /// Text in the summary, the labels or the key.
    pub q: Option<String>,
}

/// Alerts, newest first; `?sort=-last_seen_at` gives those first that were heard of last.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(AlertQuery, PageQuery), responses(
    (status = 200, description = "A page of alerts", body = List<Alert>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Alert>>, Problem> {
    read_list(&api, query.as_deref(), None).await
}

/// One alert.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "Its id, like A-17 or 17")),
    responses((status = 200, description = "The alert", body = Alert)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Alert>, Problem> {
    Ok(Json(find(&api, &id).await?.into()))
}

/// What happened to an alert and why, newest first.
#[utoipa::path(get, path = "/api/v1/alerts/{id}/timeline", tag = "alerts",
    params(("id" = String, Path, description = "Its id, like A-17 or 17"), PageQuery),
    responses((status = 200, description = "A page of the timeline", body = List<TimelineEntry>)),
)]
pub async fn timeline(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<TimelineEntry>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(TIMELINE)?;
    let view = find(&api, &id).await?;
    Ok(Json(
        read_timeline(&api, Subject::Alert(view.alert.id), wanted).await?,
    ))
}

/// Why an alert is what it is, from what was stored when it was decided.
#[utoipa::path(get, path = "/api/v1/alerts/{id}/explain", tag = "alerts",
    params(("id" = String, Path, description = "Its id, like A-17 or 17")),
    responses((status = 200, description = "The explanation", body = Explanation)),
)]
pub async fn explain(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let view = find(&api, &id).await?;
    let subject = Subject::Alert(view.alert.id);
    let alert = view.alert.id;
    let (steps, why) = api
        .read(async move |db| {
            let mut reader = db.snapshot().await?;
            let why = causes::why(reader.lend(), alert).await?;
            Ok((explain::steps(reader.lend(), subject).await?, why))
        })
        .await?;
    let explanation = explain::alert(&view, why, steps);
    // While the engine starts or waits there are no steps, and everything else all the same.
    let bound = bind_now(&api, BindCheck::of(&view)).await.ok();
    let trace = bound.map(BindResult::into_trace).unwrap_or_default();
    Ok(Json(explanation.with_binding(trace)))
}

/// A page of alerts, of all or of those that ever belonged to an incident.
pub(super) async fn read_list(
    api: &ApiState,
    query: Option<&str>,
    member_of: Option<IncidentId>,
) -> Result<Json<List<Alert>>, Problem> {
    let params = Params::read(query, &FILTERS)?;
    let wanted = params.wanted(SORTING)?;
    let filter = filter(&params, member_of)?;
    let order = if wanted.word == LAST_SEEN {
        AlertOrder::LastSeen
    } else {
        AlertOrder::Id
    };
    // No service is known, so none can match.
    let listed = if !params.values("service")?.is_empty() {
        Listed::empty()
    } else {
        let page = wanted.page;
        api.read(async move |db| {
            alerts::list(db.snapshot().await?.lend(), &filter, order, page).await
        })
        .await?
    };
    Ok(Json(wanted.list(listed, Alert::from)))
}

fn filter(params: &Params, member_of: Option<IncidentId>) -> Result<AlertFilter, Problem> {
    let statuses = params.words("status", &["firing", "resolved"], |word| match word {
        "firing" => Some(true),
        "resolved" => Some(false),
        _ => None,
    })?;
    // Both words together mean any.
    let is_firing = match statuses.as_slice() {
        [first, others @ ..] if others.iter().all(|one| one == first) => Some(*first),
        _ => None,
    };
    let incidents = params.values("incident")?;
    let incidents: Result<Vec<_>, _> = incidents.iter().map(|number| incident_id(number)).collect();
    Ok(AlertFilter {
        cis: params.values("ci")?,
        is_firing,
        severities: severities(params)?,
        sources: params.values("source")?,
        incidents: incidents.map_err(|_| {
            Problem::bad_request("incident is a number like INC-42, or several of them")
        })?,
        member_of,
        ids: Vec::new(),
        search: params.one("q")?.map(str::to_owned),
    })
}

pub(super) async fn find(api: &ApiState, text: &str) -> Result<AlertView, Problem> {
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = text.parse().ok().filter(|_| is_bare).and_then(AlertId::new);
    let id: AlertId = text.parse().ok().or(bare).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Problem::not_found(format!("{shown:?} is no alert id; it looks like A-17"))
    })?;
    let found = api
        .read(async move |db| alerts::find(db.snapshot().await?.lend(), id).await)
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no alert {id}")))
}
