//! Incidents: list, one, its timeline, alerts and explanation.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use utoipa::IntoParams;

use super::ApiState;
use super::alerts::AlertQuery;
use super::clocks;
use super::explain::{self, Explanation};
use super::page::{List, PageQuery, Params, Sorting, Wanted};
use super::problem::Problem;
use super::shapes::{Alert, Incident};
use super::timeline_shapes::TimelineEntry;
use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::severity::{Priority, Severity};
use crate::store::query::incidents::{IncidentFilter, IncidentView};
use crate::store::query::timeline::Subject;
use crate::store::query::{Page, alerts, incidents, timeline};

/// How a path names an incident.
const NUMBER: &str = "Its number, like INC-42 or 42";
const SORTING: Sorting = Sorting {
    list: "incidents",
    words: &["id", "number", "opened_at"],
};
/// How every timeline can be sorted.
pub(super) const TIMELINE: Sorting = Sorting {
    list: "timeline",
    words: &["id", "at"],
};
const FILTERS: [&str; 9] = [
    "state", "priority", "severity", "team", "assignee", "source", "q", "ci", "service",
];
/// A word that stands for every state in which an incident needs people.
const OPEN: &str = "open";

/// Which incidents; each may be repeated or hold several values between commas.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// `new`, `acknowledged`, `in_progress`, `on_hold`, `resolved`, `closed`, or `open` for the first four.
    pub state: Option<String>,
    /// `P1` to `P5`.
    pub priority: Option<String>,
    /// `critical`, `high`, `warning`, `low` or `info`.
    pub severity: Option<String>,
    /// The team that has it.
    pub team: Option<String>,
    /// The person who has it.
    pub assignee: Option<String>,
    /// A source of one of its alerts.
    pub source: Option<String>,
    /// A configuration item that it reaches.
    pub ci: Option<String>,
    /// A business service that it reaches.
    pub service: Option<String>,
    /// Text in the title or in the summary of an alert, or the number.
    pub q: Option<String>,
}

/// Incidents, newest first. Without a filter every state is included.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(IncidentQuery, PageQuery), responses(
    (status = 200, description = "A page of incidents", body = List<Incident>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Incident>>, Problem> {
    let params = Params::read(query.as_deref(), &FILTERS)?;
    let wanted = params.wanted(SORTING)?;
    let filter = filter(&params)?;
    let page = wanted.page;
    let listed = api
        .read(async move |db| incidents::list(db.snapshot().await?.lend(), &filter, page).await)
        .await?;
    let (rules, now) = (api.setup().engine.rules(), api.now());
    let shown = |view| Incident::from(view).counted(&rules, now);
    Ok(Json(wanted.list(listed, shown)))
}

/// One incident.
#[utoipa::path(get, path = "/api/v1/incidents/{number}", tag = "incidents",
    params(("number" = String, Path, description = NUMBER)),
    responses((status = 200, description = "The incident", body = Incident)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<Incident>, Problem> {
    let id = id(&number)?;
    let incident = Incident::from(find(&api, id).await?);
    Ok(Json(
        incident.counted(&api.setup().engine.rules(), api.now()),
    ))
}

/// What happened to an incident and why, newest first.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/timeline", tag = "incidents",
    params(("number" = String, Path, description = NUMBER), PageQuery),
    responses((status = 200, description = "A page of the timeline", body = List<TimelineEntry>)),
)]
pub async fn timeline(
    State(api): State<ApiState>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<TimelineEntry>>, Problem> {
    let id = id(&number)?;
    let wanted = Params::read(query.as_deref(), &[])?.wanted(TIMELINE)?;
    find(&api, id).await?;
    Ok(Json(
        read_timeline(&api, Subject::Incident(id), wanted).await?,
    ))
}

/// The alerts that belong or ever belonged to an incident.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/alerts", tag = "incidents",
    params(("number" = String, Path, description = NUMBER), AlertQuery, PageQuery),
    responses((status = 200, description = "A page of alerts", body = List<Alert>)),
)]
pub async fn alerts(
    State(api): State<ApiState>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Alert>>, Problem> {
    let id = id(&number)?;
    find(&api, id).await?;
    super::alerts::read_list(&api, query.as_deref(), Some(id)).await
}

/// Why an incident is what it is, from what was stored when it was decided.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/explain", tag = "incidents",
    params(("number" = String, Path, description = NUMBER)),
    responses((status = 200, description = "The explanation", body = Explanation)),
)]
pub async fn explain(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let id = id(&number)?;
    let view = find(&api, id).await?;
    let (view, first, steps) = api
        .read(async move |db| {
            let mut reader = db.snapshot().await?;
            let first = match view.first_alert {
                Some(alert) => alerts::find(reader.lend(), alert).await?,
                None => None,
            };
            let steps = explain::steps(reader.lend(), Subject::Incident(id)).await?;
            Ok((view, first, steps))
        })
        .await?;
    let clocks = clocks::sentences(&view.clocks, &api.setup().engine.rules(), api.now());
    let explained = explain::incident(&view, first.as_ref(), clocks, steps);
    Ok(Json(explained))
}

/// Reads an incident's number from a path: `INC-42` in any letter case, or `42`.
pub(super) fn id(number: &str) -> Result<IncidentId, Problem> {
    let bare = || {
        number
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| number.parse().ok())?
    };
    let id = number
        .parse()
        .ok()
        .or_else(|| bare().and_then(IncidentId::new));
    id.ok_or_else(|| {
        let shown: String = number.chars().take(40).collect();
        Problem::not_found(format!(
            "{shown:?} is no incident number; it looks like INC-42"
        ))
    })
}

/// One incident, or the problem that there is none.
pub(super) async fn find(api: &ApiState, id: IncidentId) -> Result<IncidentView, Problem> {
    let found = api
        .read(async move |db| incidents::find(db.snapshot().await?.lend(), id).await)
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no incident {id}")))
}

/// A page of a timeline.
pub(super) async fn read_timeline(
    api: &ApiState,
    subject: Subject,
    wanted: Wanted,
) -> Result<List<TimelineEntry>, Problem> {
    let page: Page = wanted.page;
    let listed = api
        .read(async move |db| timeline::list(db.snapshot().await?.lend(), subject, page).await)
        .await?;
    Ok(wanted.list(listed, TimelineEntry::from))
}

fn filter(params: &Params) -> Result<IncidentFilter, Problem> {
    let mut state_words: Vec<_> = StateWord::ALL.iter().map(|state| state.word()).collect();
    state_words.push(OPEN);
    let priority_words = Priority::ALL.map(Priority::word);
    let states = params.words("state", &state_words, |word| match word {
        OPEN => Some(StateWord::ALL.into_iter().take(4).collect()),
        _ => StateWord::from_word(word).map(|state| vec![state]),
    })?;
    Ok(IncidentFilter {
        states: states.into_iter().flatten().collect(),
        priorities: params.words("priority", &priority_words, Priority::from_word)?,
        severities: severities(params)?,
        teams: params.values("team")?,
        assignees: params.values("assignee")?,
        sources: params.values("source")?,
        cis: params.values("ci")?,
        services: params.values("service")?,
        search: params.one("q")?.map(str::to_owned),
    })
}

/// The severities that are asked for.
pub(super) fn severities(params: &Params) -> Result<Vec<Severity>, Problem> {
    params.words(
        "severity",
        &Severity::ALL.map(Severity::word),
        Severity::from_word,
    )
}
