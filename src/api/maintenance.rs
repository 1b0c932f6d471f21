//! Maintenance windows: list, make, change, cancel, and what one would hide.
//!
//! A window needs a reason. Must not work out when one recurs; the core does.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::cmdb::flag;
use super::extent::{self, MatchersWanted, Names, Preview, ScopeBody, ScopeShape};
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::silences::MatcherShape;
use super::time::Time;
use crate::core::ids::WindowId;
use crate::core::mute::parts::{BadWindow, WindowParts};
use crate::core::mute::plan::{WindowGiven, WindowOrder};
use crate::core::mute::window::{Origin, Plan, WindowWanted};
use crate::core::reason::Reason;
use crate::core::time::Timestamp;
use crate::engine::handle::SubmitError;
use crate::store::query::Listed;
use crate::store::query::windows::{self, WindowView};

const SORTING: Sorting = Sorting {
    list: "maintenance",
    words: &["id"],
};
/// Occurrences to come that are shown.
const NEXT_MAX: usize = 5;
/// How long a client waits for an answer; an order that is stored by then is carried out all the same.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A maintenance window.
#[derive(Debug, Serialize, ToSchema)]
pub struct MaintenanceWindow {
    /// Its id.
    #[schema(example = "MW-3")]
    id: String,
    /// What people call it.
    name: String,
    /// `pending`, `active`, `expired` or `cancelled`.
    state: &'static str,
    /// `api`, `config` or `change`.
    origin: &'static str,
    /// Why people are not told.
    reason: String,
    /// Who wants it.
    created_by: String,
    /// Begin of the occurrence of now, else of the next one, else of the last one.
    starts_at: Option<Time>,
    /// Its end.
    ends_at: Option<Time>,
    /// How long one occurrence lasts.
    duration_s: i64,
    /// When it recurs.
    #[schema(example = "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30")]
    rrule: Option<String>,
    /// Whose clocks, when it recurs.
    #[schema(example = "Europe/Paris")]
    zone: Option<String>,
    /// All of them must match.
    matchers: Vec<MatcherShape>,
    /// Which CIs.
    scope: ScopeShape,
    /// The occurrences from now on, the one of now included; at most five.
    next: Vec<OccurrenceShape>,
    /// Firing alerts that it keeps people from being told of.
    alerts: i64,
    /// When it was made or changed last.
    updated_at: Time,
    /// When it was cancelled.
    cancelled_at: Option<Time>,
}

/// One occurrence.
#[derive(Debug, Serialize, ToSchema)]
pub struct OccurrenceShape {
    /// From then on.
    starts_at: Time,
    /// Until then.
    ends_at: Time,
}

/// What a window shall be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WindowBody {
    /// What people call it; the reason when not given.
    name: Option<String>,
    /// Why people are not told; needed for a new one.
    #[serde(alias = "comment", alias = "description", alias = "summary")]
    reason: Option<String>,
    /// Who wants it; the caller when not given.
    #[serde(alias = "createdBy", alias = "author")]
    created_by: Option<String>,
    /// A time with an offset, or a local time of the zone; now when not given. Of a recurring window what it is counted
    /// from.
    #[serde(alias = "startsAt", alias = "start", alias = "from")]
    starts_at: Option<String>,
    /// Likewise; this or a duration is needed for a new one.
    #[serde(alias = "endsAt", alias = "end", alias = "to", alias = "until")]
    ends_at: Option<String>,
    /// How long it, or each occurrence, lasts.
    duration_s: Option<i64>,
    /// The same, like `2h`.
    duration: Option<String>,
    /// When it recurs, as in RFC 5545.
    #[serde(alias = "recurrence")]
    rrule: Option<String>,
    /// Whose clocks, like `Europe/Paris`; UTC when not given.
    #[serde(alias = "timezone", alias = "time_zone", alias = "tz")]
    zone: Option<String>,
    /// All of them must match.
    matchers: Option<MatchersWanted>,
    /// Ids or names of CIs.
    #[serde(alias = "cis")]
    ci: Option<Names>,
    /// Whether everything that depends on those CIs is meant too.
    downstream: Option<bool>,
    /// Classes.
    #[serde(alias = "classes")]
    class: Option<Names>,
    /// Sites.
    #[serde(alias = "sites")]
    site: Option<Names>,
    /// Services: they and what serves nothing else.
    #[serde(alias = "services")]
    service: Option<Names>,
    /// The same as the last five, together.
    scope: Option<ScopeBody>,
}

/// Which windows, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WindowQuery {
    /// `pending`, `active`, `expired` or `cancelled`; may be repeated or hold several between commas.
    pub state: Option<String>,
}

/// Whether a window or a silence is only to be tried.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DryRunQuery {
    /// With `true` nothing is made; the answer is what would be hidden now.
    pub dry_run: Option<bool>,
}

const STATES: [&str; 4] = ["pending", "active", "expired", "cancelled"];

impl MaintenanceWindow {
    fn new(view: &WindowView, now: Timestamp) -> Self {
        let (window, wanted) = (&view.window, &view.window.wanted);
        let is_left = window.cancelled_at.is_none() && !view.is_over;
        let mut next = Vec::new();
        let mut after = None;
        while is_left && next.len() < NEXT_MAX {
            let Some(occurrence) = wanted.plan.next(after, now) else {
                break;
            };
            after = Some(occurrence.starts_at);
            next.push(OccurrenceShape {
                starts_at: occurrence.starts_at.into(),
                ends_at: occurrence.ends_at.into(),
            });
        }
        let (duration, rrule, zone) = match &wanted.plan {
            Plan::Once(once) => (once.ends_at.since(once.starts_at), None, None),
            Plan::Recurring(recurrence) => {
                let zone = recurrence.zone().iana_name().unwrap_or("UTC").to_owned();
                let rule = recurrence.rule().to_owned();
                (recurrence.duration(), Some(rule), Some(zone))
            }
        };
        let shown = match (next.first(), &wanted.plan) {
            (Some(next), _) => Some((next.starts_at.0, next.ends_at.0)),
            (None, Plan::Once(once)) if view.occurrence.is_none() => {
                Some((once.starts_at, once.ends_at))
            }
            (None, _) => view.occurrence,
        };
        Self {
            id: window.id.to_string(),
            name: wanted.name.to_string(),
            state: state_of(view, now),
            origin: window.origin.word(),
            reason: wanted.reason.to_string(),
            created_by: wanted.created_by.to_string(),
            starts_at: shown.map(|(starts_at, _)| starts_at.into()),
            ends_at: shown.map(|(_, ends_at)| ends_at.into()),
            duration_s: duration.as_millis().div_euclid(1_000),
            rrule,
            zone,
            matchers: wanted.matchers.iter().map(MatcherShape::from).collect(),
            scope: ScopeShape::from(&wanted.scope),
            next,
            alerts: view.alerts,
            updated_at: window.updated_at.into(),
            cancelled_at: window.cancelled_at.map(Time::from),
        }
    }
}

fn state_of(view: &WindowView, now: Timestamp) -> &'static str {
    if view.window.cancelled_at.is_some() {
        return "cancelled";
    }
    let next = view.window.wanted.plan.next(None, now);
    match next.filter(|_| !view.is_over) {
        Some(next) if next.starts_at <= now => "active",
        Some(_) => "pending",
        None => "expired",
    }
}

/// Maintenance windows, newest first.
#[utoipa::path(get, path = "/api/v1/maintenance", tag = "maintenance", params(WindowQuery, PageQuery), responses(
    (status = 200, description = "A page of maintenance windows", body = List<MaintenanceWindow>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<MaintenanceWindow>>, Problem> {
    let params = Params::read(query.as_deref(), &["state"])?;
    let wanted = params.wanted(SORTING)?;
    let states: Vec<&'static str> = params.words("state", &STATES, |word| {
        STATES.into_iter().find(|it| *it == word)
    })?;
    let (now, page) = (api.now(), wanted.page);
    let is_over = match states.as_slice() {
        [] => None,
        states if states.iter().all(|it| matches!(*it, "pending" | "active")) => Some(false),
        _ => None,
    };
    let listed: Listed<WindowView> = api
        .read(async move |db| windows::list(db.reader().await?.lend(), is_over, now, page).await)
        .await?;
    let mut list = wanted.list(listed, |view| MaintenanceWindow::new(&view, now));
    list.items
        .retain(|window| states.is_empty() || states.contains(&window.state));
    Ok(Json(list))
}

/// One maintenance window, by its id or its name.
#[utoipa::path(get, path = "/api/v1/maintenance/{id}", tag = "maintenance",
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The window", body = MaintenanceWindow)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<MaintenanceWindow>, Problem> {
    let view = find(&api, &id).await?;
    Ok(Json(MaintenanceWindow::new(&view, api.now())))
}

/// Makes a maintenance window.
#[utoipa::path(post, path = "/api/v1/maintenance", tag = "maintenance", request_body = WindowBody,
    params(DryRunQuery),
    responses((status = 201, description = "The window", body = MaintenanceWindow)))]
pub async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    let is_dry = flag(&Params::read(query.as_deref(), &["dry_run"])?, "dry_run")?;
    let body: WindowBody = body::read(body).await?;
    let wanted = wanted(body, None, &caller.actor, api.now())?;
    if is_dry {
        let preview = extent::preview(&api, wanted.matchers, wanted.scope).await?;
        return Ok(Json(preview).into_response());
    }
    let order = WindowOrder::Make {
        wanted,
        origin: Origin::Api,
    };
    let view = give(&api, order, caller.actor).await?;
    let headers = [(LOCATION, format!("/api/v1/maintenance/{}", view.window.id))];
    let window = MaintenanceWindow::new(&view, api.now());
    Ok((StatusCode::CREATED, headers, Json(window)).into_response())
}

/// Which firing alerts such a window would hide now; nothing is made. Times may be left out.
#[utoipa::path(post, path = "/api/v1/maintenance/preview", tag = "maintenance", request_body = WindowBody,
    responses((status = 200, description = "The alerts", body = Preview)))]
pub async fn preview(State(api): State<ApiState>, body: Body) -> Result<Json<Preview>, Problem> {
    let mut body: WindowBody = body::read(body).await?;
    let scope = body.take_scope().into_scope(None);
    let matchers = body.matchers.map(extent::matchers);
    let matchers = matchers.transpose()?.unwrap_or_default();
    if matchers.is_empty() && scope.is_everything() {
        return Err(Problem::bad_request(
            "name matchers, a ci, class, site or service",
        ));
    }
    Ok(Json(extent::preview(&api, matchers, scope).await?))
}

/// Changes a maintenance window; what is not named stays.
#[utoipa::path(put, path = "/api/v1/maintenance/{id}", tag = "maintenance", request_body = WindowBody,
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The window afterwards", body = MaintenanceWindow)))]
pub async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<MaintenanceWindow>, Problem> {
    edit(&api, caller, &id, body).await
}

/// The same as with PUT.
#[utoipa::path(patch, path = "/api/v1/maintenance/{id}", tag = "maintenance", request_body = WindowBody,
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The window afterwards", body = MaintenanceWindow)))]
pub async fn patch(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<MaintenanceWindow>, Problem> {
    edit(&api, caller, &id, body).await
}

/// The same as with PUT.
#[utoipa::path(post, path = "/api/v1/maintenance/{id}", tag = "maintenance", request_body = WindowBody,
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The window afterwards", body = MaintenanceWindow)))]
pub async fn update(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<MaintenanceWindow>, Problem> {
    edit(&api, caller, &id, body).await
}

async fn edit(
    api: &ApiState,
    caller: Caller,
    id: &str,
    body: Body,
) -> Result<Json<MaintenanceWindow>, Problem> {
    let before = find(api, id).await?;
    let body: WindowBody = body::read(body).await?;
    let wanted = wanted(body, Some(&before.window.wanted), &caller.actor, api.now())?;
    let window = before.window.id;
    let view = give(api, WindowOrder::Change { window, wanted }, caller.actor).await?;
    Ok(Json(MaintenanceWindow::new(&view, api.now())))
}

/// Cancels a maintenance window; what still fires is told at once. It stays in the list as cancelled.
#[utoipa::path(delete, path = "/api/v1/maintenance/{id}", tag = "maintenance",
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The window afterwards", body = MaintenanceWindow)))]
pub async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MaintenanceWindow>, Problem> {
    end(&api, caller, &id).await
}

/// The same as with DELETE.
#[utoipa::path(post, path = "/api/v1/maintenance/{id}/cancel", tag = "maintenance",
    params(("id" = String, Path, description = "Its id, or its name")),
    responses((status = 200, description = "The window afterwards", body = MaintenanceWindow)))]
pub async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<MaintenanceWindow>, Problem> {
    end(&api, caller, &id).await
}

async fn end(api: &ApiState, caller: Caller, id: &str) -> Result<Json<MaintenanceWindow>, Problem> {
    let before = find(api, id).await?;
    if before.is_over {
        return Ok(Json(MaintenanceWindow::new(&before, api.now())));
    }
    let window = before.window.id;
    let view = give(api, WindowOrder::Cancel { window }, caller.actor).await?;
    Ok(Json(MaintenanceWindow::new(&view, api.now())))
}

impl WindowBody {
    fn take_scope(&mut self) -> ScopeBody {
        let own = ScopeBody {
            ci: self.ci.take(),
            downstream: self.downstream,
            class: self.class.take(),
            site: self.site.take(),
            service: self.service.take(),
        };
        own.or(self.scope.take().unwrap_or_default())
    }
}

/// What is wanted in full: what the body does not name comes from the window that is changed.
fn wanted(
    mut body: WindowBody,
    before: Option<&WindowWanted>,
    actor: &SmolStr,
    now: Timestamp,
) -> Result<WindowWanted, Problem> {
    let scope = body.take_scope();
    let matchers = match (body.matchers, before) {
        (Some(wanted), _) => extent::matchers(wanted)?,
        (None, Some(before)) => before.matchers.clone(),
        (None, None) => Vec::new(),
    };
    let given = extent::span(body.duration.as_deref(), body.duration_s)?;
    let zone = body.zone.as_deref().map(zone).transpose()?;
    let mut parts = WindowParts {
        name: body.name.or(before.map(|it| it.name.to_string())),
        reason: body.reason.or(before.map(|it| it.reason.to_string())),
        created_by: body
            .created_by
            .filter(|name| !name.trim().is_empty())
            .or(before.map(|it| it.created_by.to_string()))
            .unwrap_or_else(|| actor.to_string()),
        starts_at: body.starts_at,
        ends_at: body.ends_at,
        duration: given,
        rrule: body.rrule,
        zone,
        matchers,
        scope: scope.into_scope(before.map(|it| &it.scope)),
    };
    if let Some(before) = before {
        keep_times(&mut parts, &before.plan);
    }
    let wanted = parts.into_wanted(Some(now));
    wanted.map_err(
        |BadWindow {
             field,
             message,
             hint,
         }| { Problem::bad_request(format!("{field}: {message}; {hint}")) },
    )
}

/// Times that a change does not name stay.
fn keep_times(parts: &mut WindowParts, before: &Plan) {
    match before {
        Plan::Once(once) if parts.rrule.is_none() => {
            let text = |time: Timestamp| Time(time).to_string();
            parts.starts_at.get_or_insert_with(|| text(once.starts_at));
            if parts.ends_at.is_none() && parts.duration.is_none() {
                parts.ends_at = Some(text(once.ends_at));
            }
        }
        Plan::Once(_) => {}
        Plan::Recurring(recurrence) => {
            // A window that is given other times once does not recur any more.
            if parts.rrule.is_none() && parts.starts_at.is_some() && parts.ends_at.is_some() {
                return;
            }
            parts.rrule.get_or_insert_with(|| recurrence.text());
            parts.zone.get_or_insert_with(|| recurrence.zone().clone());
            let start = || recurrence.start().to_string();
            parts.starts_at.get_or_insert_with(start);
            if parts.ends_at.is_none() {
                parts.duration.get_or_insert(recurrence.duration());
            }
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, Problem> {
    TimeZone::get(name).map_err(|_| {
        Problem::bad_request(format!(
            "zone: there is no time zone {name:?}; write one like Europe/Paris"
        ))
    })
}

async fn find(api: &ApiState, id: &str) -> Result<WindowView, Problem> {
    let number = id.parse::<WindowId>().ok().map(WindowId::get);
    let number = number.or_else(|| id.parse().ok().filter(|number: &i64| *number > 0));
    let (name, now) = (id.to_owned(), api.now());
    let found = api
        .read(async move |db| windows::find(db.reader().await?.lend(), number, &name, now).await)
        .await?;
    let shown: String = id.chars().take(60).collect();
    found.ok_or_else(|| Problem::not_found(format!("there is no maintenance window {shown:?}")))
}

/// Hands an order to the engine and answers with the window after commit.
async fn give(api: &ApiState, order: WindowOrder, actor: SmolStr) -> Result<WindowView, Problem> {
    let by = actor.clone();
    let given = WindowGiven { order, actor };
    let (engine, db, now) = (
        api.setup().engine.clone(),
        api.setup().db.clone(),
        api.now(),
    );
    let outcome = async move {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, engine.maintenance(given))
            .await
            .unwrap_or(Err(SubmitError::Unknown))?;
        let id = match (answer.is_refused, answer.window) {
            (false, Some(id)) => id,
            (true, _) if answer.reason == Reason::UnknownWindow => {
                return Err(Problem::not_found(answer.reason.sentence()));
            }
            (true, _) => return Err(Problem::refused(answer.reason)),
            (false, None) => return Err(Problem::internal()),
        };
        // What follows from it at once is decided before it is shown.
        engine.until_settled().await;
        engine.until_swept().await;
        let found =
            async { windows::find(db.reader().await?.lend(), Some(id.get()), "", now).await };
        match found.await {
            Ok(Some(view)) => {
                log::info!(actor = by.as_str(); "{by} {} the maintenance window {id}", done(answer.reason));
                Ok(view)
            }
            Ok(None) => Err(Problem::internal()),
            Err(error) => Err(error.into()),
        }
    };
    api.run(outcome).await?
}

fn done(reason: Reason) -> &'static str {
    if reason == Reason::WindowCancelled {
        "cancelled"
    } else if reason == Reason::WindowChanged {
        "changed"
    } else {
        "made"
    }
}
