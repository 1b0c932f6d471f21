//! Schedules: who is on call when, and who stands in.
//!
//! Everything is computed from the rules in force and the committed overrides at the moment of the question, for any
//! time. Must not decide who is on call; the core's schedules do.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::calendar_text;
use super::override_order::{give, order, read_override};
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::{self, Time};
use crate::core::oncall::overrides::OverrideOrder;
use crate::core::oncall::{Ground, Override, OverrideId, Plan, Schedule, Shift};
use crate::core::rules::Rules;
use crate::core::time::{Span, Timestamp};
use crate::store::overrides;

const SORTING: Sorting = Sorting {
    list: "schedules",
    words: &["id"],
};
/// How far shifts are shown when nobody says.
const SHOWN: Span = Span::from_days(14);
/// How far shifts are shown at most.
const SHOWN_MAX: Span = Span::from_days(731);
/// Overrides around a moment that are looked at for it: they may hold this long.
const AROUND: Span = Span::from_days(366);

/// Who is on call for a while.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShiftShape {
    /// From then on.
    pub starts_at: Time,
    /// Until then; null when nothing ends it.
    pub ends_at: Option<Time>,
    /// Who; empty where nobody is on call.
    #[schema(example = json!(["ana"]))]
    pub people: Vec<String>,
    /// The layer, or the override, that says so; null where nobody is on call.
    #[schema(example = "rotation")]
    pub by: Option<String>,
}

/// A schedule as configured, with who is on call now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleShape {
    /// Its name.
    #[schema(example = "network-primary")]
    name: String,
    /// Where its people look at clocks.
    #[schema(example = "Europe/Berlin")]
    zone: String,
    /// The teams that it is for.
    teams: Vec<String>,
    /// From the lowest to the highest; of those that have somebody on, the last one counts.
    layers: Vec<LayerShape>,
    /// Who is on call now.
    on_call: ShiftShape,
    /// Who is next.
    next: Option<ShiftShape>,
}

/// A layer of a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayerShape {
    /// Its name.
    name: String,
    /// Its turns, in order; empty when it comes from a calendar.
    turns: Vec<Vec<String>>,
    /// How long each turn is on the wall; null when it comes from a calendar.
    turn_s: Option<i64>,
}

/// A schedule with its shifts.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleDetail {
    /// The schedule.
    #[serde(flatten)]
    schedule: ScheduleShape,
    /// From then on.
    from: Time,
    /// Until then.
    to: Time,
    /// Who is on call when, without holes: where nobody is, a shift says so.
    shifts: Vec<ShiftShape>,
    /// The holes alone.
    gaps: Vec<GapShape>,
    /// Who stands in between the two times.
    overrides: Vec<OverrideShape>,
}

/// Nobody is on call for a while.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapShape {
    /// From then on.
    starts_at: Time,
    /// Until then.
    ends_at: Time,
}

/// Somebody stands in on a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverrideShape {
    /// Its number.
    #[schema(example = "OVR-7")]
    id: String,
    /// The schedule.
    schedule: String,
    /// Who is on call; null when somebody is only taken off.
    person: Option<String>,
    /// In the place of this person; null: of everybody.
    replaces: Option<String>,
    /// From then on.
    starts_at: Time,
    /// Until then.
    ends_at: Time,
    /// Who made it.
    created_by: String,
    /// Why.
    comment: String,
    /// When it was made.
    created_at: Time,
}

/// What an override shall be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OverrideBody {
    /// Who stands in; without it `replaces` is only taken off.
    #[serde(alias = "user", alias = "who")]
    pub(super) person: Option<String>,
    /// Only in the place of this person; else of everybody.
    pub(super) replaces: Option<String>,
    /// From then on; now when not given.
    #[serde(alias = "from", alias = "start")]
    pub(super) starts_at: Option<Time>,
    /// Until then; this or `duration_s` is needed.
    #[serde(alias = "to", alias = "end", alias = "until")]
    pub(super) ends_at: Option<Time>,
    /// How long it holds from its begin.
    pub(super) duration_s: Option<i64>,
    /// Why.
    pub(super) comment: Option<String>,
}

/// Which shifts, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ShiftQuery {
    /// From this time on; now when not given.
    pub from: Option<String>,
    /// Until this time; two weeks later when not given, two years at most.
    pub to: Option<String>,
}

/// When and of whom, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OnCallQuery {
    /// At this time; now when not given.
    pub at: Option<String>,
    /// Only the schedule of this team.
    pub team: Option<String>,
    /// Only this schedule.
    pub schedule: Option<String>,
}

/// Who is on call on one schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct OnCallShape {
    /// The schedule.
    #[schema(example = "network-primary")]
    schedule: String,
    /// The teams that it is for.
    #[schema(example = json!(["network"]))]
    teams: Vec<String>,
    /// The time that was asked about.
    at: Time,
    /// Who, since when, until when and why.
    #[serde(flatten)]
    shift: ShiftShape,
    /// Who is next.
    next: Option<ShiftShape>,
}

impl From<&Shift> for ShiftShape {
    fn from(shift: &Shift) -> Self {
        Self {
            starts_at: shift.from.into(),
            ends_at: (shift.to < Timestamp::MAX).then(|| shift.to.into()),
            people: shift.people.iter().map(ToString::to_string).collect(),
            by: match &shift.ground {
                Ground::Layer(name) => Some(name.to_string()),
                Ground::Override(id) => Some(id.to_string()),
                Ground::Nobody => None,
            },
        }
    }
}

impl From<&Override> for OverrideShape {
    fn from(it: &Override) -> Self {
        Self {
            id: it.id.to_string(),
            schedule: it.schedule.to_string(),
            person: it.person.as_ref().map(ToString::to_string),
            replaces: it.replaces.as_ref().map(ToString::to_string),
            starts_at: it.from.into(),
            ends_at: it.to.into(),
            created_by: it.created_by.to_string(),
            comment: it.comment.to_string(),
            created_at: it.made_at.into(),
        }
    }
}

impl ScheduleShape {
    fn new(rules: &Rules, schedule: &Schedule, held: &[&Override], now: Timestamp) -> Self {
        let shift = schedule.shift(held, now);
        Self {
            name: schedule.name.to_string(),
            zone: zone_name(schedule),
            teams: teams_of(rules, &schedule.name),
            layers: schedule
                .layers
                .iter()
                .map(|layer| LayerShape {
                    name: layer.name.to_string(),
                    turns: match &layer.plan {
                        Plan::Rotation(rotation) => rotation
                            .turns
                            .iter()
                            .map(|turn| turn.iter().map(ToString::to_string).collect())
                            .collect(),
                        Plan::Events(_) => Vec::new(),
                    },
                    turn_s: match &layer.plan {
                        Plan::Rotation(rotation) => Some(rotation.length.as_millis() / 1000),
                        Plan::Events(_) => None,
                    },
                })
                .collect(),
            next: next(schedule, held, &shift),
            on_call: ShiftShape::from(&shift),
        }
    }
}

fn next(schedule: &Schedule, held: &[&Override], shift: &Shift) -> Option<ShiftShape> {
    let has_end = shift.to < Timestamp::MAX;
    has_end.then(|| ShiftShape::from(&schedule.shift(held, shift.to)))
}

fn zone_name(schedule: &Schedule) -> String {
    schedule.zone.iana_name().unwrap_or("UTC").to_owned()
}

fn teams_of(rules: &Rules, schedule: &str) -> Vec<String> {
    let teams = rules.on_call.teams.values();
    let teams = teams.filter(|team| team.schedule.as_deref() == Some(schedule));
    teams.map(|team| team.name.to_string()).collect()
}

/// The overrides that matter around some time, of all schedules.
async fn overrides_around(
    api: &ApiState,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Override>, Problem> {
    let (from, to) = (from.minus(AROUND), to.plus(AROUND));
    api.read(async move |db| {
        overrides::list_between(db.reader().await?.lend(), None, from, to).await
    })
    .await
}

fn of<'a>(all: &'a [Override], schedule: &str) -> Vec<&'a Override> {
    all.iter().filter(|it| it.schedule == schedule).collect()
}

/// The schedules, by name, with who is on call now.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "on-call", params(PageQuery), responses(
    (status = 200, description = "All schedules", body = List<ScheduleShape>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<ScheduleShape>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    let (rules, now) = (api.setup().engine.rules(), api.now());
    let all = overrides_around(&api, now, now).await?;
    let schedules = rules.on_call.schedules.values();
    let schedules = schedules.map(|it| ScheduleShape::new(&rules, it, &of(&all, &it.name), now));
    Ok(Json(wanted.slice(schedules.collect())))
}

/// One schedule with its shifts; with `.ics` after its name as a calendar that other programs can subscribe to.
#[utoipa::path(get, path = "/api/v1/schedules/{name}", tag = "on-call",
    params(("name" = String, Path, description = "Its name"), ShiftQuery),
    responses((status = 200, description = "The schedule", body = ScheduleDetail)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let rules = api.setup().engine.rules();
    let calendar = name
        .strip_suffix(".ics")
        .filter(|_| !rules.on_call.schedules.contains_key(name.as_str()));
    let name = calendar.unwrap_or(&name);
    let schedule = find(&rules, name)?;
    let params = Params::read(query.as_deref(), &["from", "to"])?;
    let now = api.now();
    let read = |name| -> Result<Option<Timestamp>, Problem> {
        let text = params.one(name)?;
        text.map(|text| time::read(text).map_err(Problem::bad_request))
            .transpose()
    };
    let from = read("from")?.unwrap_or(if calendar.is_some() {
        now.minus(SHOWN)
    } else {
        now
    });
    let ahead = if calendar.is_some() {
        Span::from_days(92)
    } else {
        SHOWN
    };
    let to = read("to")?.unwrap_or(from.max(now).plus(ahead));
    if to <= from || to.since(from) > SHOWN_MAX {
        let detail = "to must be later than from, by two years at most";
        return Err(Problem::bad_request(detail));
    }
    let all = overrides_around(&api, from.min(now), to.max(now)).await?;
    let held = of(&all, name);
    let shifts = schedule.shifts(&held, from, to);
    if calendar.is_some() {
        return Ok(calendar_response(name, &shifts, now));
    }
    let is_inside = |it: &&&Override| it.from < to && from < it.to;
    let detail = ScheduleDetail {
        schedule: ScheduleShape::new(&rules, schedule, &held, now),
        from: from.into(),
        to: to.into(),
        shifts: shifts.iter().map(ShiftShape::from).collect(),
        gaps: shifts
            .iter()
            .filter(|shift| shift.people.is_empty())
            .map(|shift| GapShape {
                starts_at: shift.from.into(),
                ends_at: shift.to.into(),
            })
            .collect(),
        overrides: held
            .iter()
            .filter(is_inside)
            .map(|it| OverrideShape::from(*it))
            .collect(),
    };
    Ok(Json(detail).into_response())
}

fn calendar_response(name: &str, shifts: &[Shift], now: Timestamp) -> Response {
    let text = calendar_text::write(name, shifts, now);
    let file: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let headers = [
        (CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("inline; filename=\"{file}.ics\""),
        ),
    ];
    (headers, text).into_response()
}

fn find<'a>(rules: &'a Arc<Rules>, name: &str) -> Result<&'a Schedule, Problem> {
    rules.on_call.schedules.get(name).ok_or_else(|| {
        let shown: String = name.chars().take(60).collect();
        Problem::not_found(format!(
            "there is no schedule {shown:?}; /api/v1/schedules lists them"
        ))
    })
}

/// Who is on call, now or at any time, one entry for each schedule.
#[utoipa::path(get, path = "/api/v1/on-call", tag = "on-call", params(OnCallQuery, PageQuery), responses(
    (status = 200, description = "Who is on call", body = List<OnCallShape>),
))]
pub async fn on_call(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<OnCallShape>>, Problem> {
    let params = Params::read(query.as_deref(), &["at", "team", "schedule"])?;
    let wanted = params.wanted(Sorting {
        list: "on-call",
        words: &["id"],
    })?;
    let at = match params.one("at")? {
        Some(text) => time::read(text).map_err(Problem::bad_request)?,
        None => api.now(),
    };
    let rules = api.setup().engine.rules();
    let teams = params.values("team")?;
    for team in &teams {
        if !rules.on_call.teams.contains_key(team.as_str()) {
            return Err(Problem::not_found(format!("there is no team {team:?}")));
        }
    }
    let schedules = params.values("schedule")?;
    for schedule in &schedules {
        find(&rules, schedule)?;
    }
    let all = overrides_around(&api, at, at).await?;
    let mut items = Vec::new();
    for schedule in rules.on_call.schedules.values() {
        let of_teams = teams_of(&rules, &schedule.name);
        let is_of_team = teams.is_empty() || of_teams.iter().any(|team| teams.contains(team));
        let is_asked = schedules.is_empty() || schedules.iter().any(|it| *it == schedule.name);
        if !is_of_team || !is_asked {
            continue;
        }
        let held = of(&all, &schedule.name);
        let shift = schedule.shift(&held, at);
        items.push(OnCallShape {
            schedule: schedule.name.to_string(),
            teams: of_teams,
            at: at.into(),
            next: next(schedule, &held, &shift),
            shift: ShiftShape::from(&shift),
        });
    }
    Ok(Json(wanted.slice(items)))
}

/// Who stands in on a schedule, now and later.
#[utoipa::path(get, path = "/api/v1/schedules/{name}/overrides", tag = "on-call",
    params(("name" = String, Path, description = "The schedule"), PageQuery),
    responses((status = 200, description = "The overrides that are not over", body = List<OverrideShape>)),
)]
pub async fn list_overrides(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<OverrideShape>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    find(&api.setup().engine.rules(), &name)?;
    let now = api.now();
    let mut held = api
        .read(async move |db| {
            let mut reader = db.reader().await?;
            overrides::list_between(reader.lend(), Some(&name), now, Timestamp::MAX).await
        })
        .await?;
    held.reverse();
    Ok(Json(
        wanted.slice(held.iter().map(OverrideShape::from).collect()),
    ))
}

/// Lets somebody stand in on a schedule.
#[utoipa::path(post, path = "/api/v1/schedules/{name}/overrides", tag = "on-call", request_body = OverrideBody,
    params(("name" = String, Path, description = "The schedule")),
    responses((status = 201, description = "The override", body = OverrideShape)))]
pub async fn create_override(
    State(api): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let body: OverrideBody = body::read(body).await?;
    let rules = api.setup().engine.rules();
    find(&rules, &name)?;
    let order = order(&rules, &name, body, api.now())?;
    let made = give(&api, order, caller.actor).await?;
    let location = format!("/api/v1/schedules/{name}/overrides/{}", made.id);
    let shape = Json(OverrideShape::from(&made));
    Ok((StatusCode::CREATED, [(LOCATION, location)], shape).into_response())
}

/// Ends an override now, or takes it back before it begins.
#[utoipa::path(delete, path = "/api/v1/schedules/{name}/overrides/{id}", tag = "on-call",
    params(("name" = String, Path, description = "The schedule"), ("id" = String, Path, description = "The override")),
    responses((status = 200, description = "The override afterwards", body = OverrideShape)))]
pub async fn end_override(
    State(api): State<ApiState>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<OverrideShape>, Problem> {
    let unknown = || Problem::not_found(format!("there is no override {id:?} of this schedule"));
    let id: OverrideId = id.parse().map_err(|_| unknown())?;
    let it = read_override(&api, id).await?;
    if it.is_none_or(|it| it.schedule != name) {
        return Err(unknown());
    }
    let ended = give(&api, OverrideOrder::End { id }, caller.actor).await?;
    Ok(Json(OverrideShape::from(&ended)))
}
