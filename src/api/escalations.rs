//! Ladders that are being climbed, and the auditor's view of every open incident.
//!
//! Both are looked at in the engine's memory, which is at most one batch ahead of the store. Must not decide anything.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::incidents::id as incident_id;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;
use crate::core::decide::World;
use crate::core::escalate::audit::{Care, audit as look_after};
use crate::core::escalate::run::{Phase, Run};
use crate::core::ids::IncidentId;
use crate::core::state::State as CoreState;
use crate::core::time::Timestamp;
use crate::store::query::{Listed, Position};

const PHASES: [&str; 4] = ["climbing", "paused", "stopped", "exhausted"];
/// Incidents that are looked at before others get their turn in the engine's memory.
const LOOKED_AT_ONCE: usize = 5_000;
const CARES: [&str; 4] = ["step", "owner", "reason", "nobody"];

/// A ladder that an incident climbs.
#[derive(Debug, Serialize, ToSchema)]
pub struct EscalationShape {
    /// The incident.
    #[schema(example = "INC-42")]
    incident: String,
    /// The ladder.
    #[schema(example = "network-24x7")]
    escalation: String,
    /// `climbing`, `paused`, `stopped` (somebody has the incident) or `exhausted` (nobody answered to the end).
    state: &'static str,
    /// The step that is next, counted from one; null after the last one.
    step: Option<u32>,
    /// How many steps the ladder has.
    steps: usize,
    /// How often it was climbed to its end.
    round: u32,
    /// Whom the next step tells.
    notify: Vec<String>,
    /// When it began, or began anew.
    started_at: Time,
    /// When the next step is due; null while it does not go on.
    due_at: Option<Time>,
    /// How long after its pause the next step is due.
    paused_left_s: Option<f64>,
}

/// Who looks after an open incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct CareShape {
    /// The incident.
    #[schema(example = "INC-42")]
    incident: String,
    /// `step` (a step of a ladder is due), `owner` (somebody has it), `reason` (nothing has to happen) or `nobody`.
    #[schema(example = "step")]
    care: &'static str,
    /// When the step is due.
    due_at: Option<Time>,
    /// Who has it, or why nothing has to happen, or why nobody looks after it.
    detail: Option<String>,
}

/// Which, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EscalationQuery {
    /// `climbing`, `paused`, `stopped` or `exhausted`; may be repeated or hold several between commas.
    pub state: Option<String>,
}

/// Which, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CareQuery {
    /// `step`, `owner`, `reason` or `nobody`; may be repeated or hold several between commas.
    pub care: Option<String>,
}

impl From<&Run> for EscalationShape {
    fn from(run: &Run) -> Self {
        let step = usize::try_from(run.step).ok();
        let step = step.and_then(|step| run.ladder.steps.get(step));
        Self {
            incident: run.incident.to_string(),
            escalation: run.ladder.name.to_string(),
            state: run.phase.word(),
            step: step.map(|_| run.step.saturating_add(1)),
            steps: run.ladder.steps.len(),
            round: run.round,
            notify: step
                .map(|step| step.notify.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            started_at: run.began_at.into(),
            due_at: run.due_at().map(Into::into),
            paused_left_s: match run.phase {
                Phase::Paused(left) => {
                    let ms = u64::try_from(left.as_millis()).unwrap_or(0);
                    Some(std::time::Duration::from_millis(ms).as_secs_f64())
                }
                Phase::Climbing(_) | Phase::Stopped | Phase::Exhausted => None,
            },
        }
    }
}

fn care_shape(incident: IncidentId, care: Care) -> CareShape {
    let word = care.word();
    let (due_at, detail) = match care {
        Care::Step(at) => (Some(at.into()), None),
        Care::Owner(text) | Care::Reason(text) | Care::Nobody(text) => (None, Some(text)),
    };
    CareShape {
        incident: incident.to_string(),
        care: word,
        due_at,
        detail,
    }
}

/// Asks the engine's memory.
async fn look<T: Send + 'static>(
    api: &ApiState,
    look: impl FnOnce(&CoreState) -> T + Send + 'static,
) -> Result<T, Problem> {
    let engine = api.setup().engine.clone();
    Ok(api.run(async move { engine.look(look).await }).await??)
}

/// The ladders that are being climbed, newest incident first.
#[utoipa::path(get, path = "/api/v1/escalations", tag = "on-call", params(EscalationQuery, PageQuery), responses(
    (status = 200, description = "A page of ladders", body = List<EscalationShape>),
))]
pub async fn list_escalations(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EscalationShape>>, Problem> {
    let params = Params::read(query.as_deref(), &["state"])?;
    let wanted = params.wanted(Sorting {
        list: "escalations",
        words: &["id"],
    })?;
    let states = params.words("state", &PHASES, |word| {
        PHASES.into_iter().find(|phase| *phase == word)
    })?;
    let mut runs = look(&api, move |state| {
        let runs = state.escalations().iter();
        let runs = runs.filter(|run| states.is_empty() || states.contains(&run.phase.word()));
        runs.cloned().collect::<Vec<_>>()
    })
    .await?;
    runs.reverse();
    let shapes = runs.iter().map(|run| EscalationShape::from(&**run));
    Ok(Json(wanted.slice(shapes.collect())))
}

/// Who looks after each open incident: a step that is due, an owner, a reason, or nobody.
#[utoipa::path(get, path = "/api/v1/escalations/audit", tag = "on-call", params(CareQuery, PageQuery), responses(
    (status = 200, description = "A page of open incidents", body = List<CareShape>),
))]
pub async fn audit(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<CareShape>>, Problem> {
    let params = Params::read(query.as_deref(), &["care"])?;
    let wanted = params.wanted(Sorting {
        list: "escalation-audit",
        words: &["id"],
    })?;
    let cares = params.words("care", &CARES, |word| {
        CARES.into_iter().find(|care| *care == word)
    })?;
    let (rules, now): (_, Timestamp) = (api.setup().engine.rules(), api.now());
    let (is_newest_first, after) = (wanted.page.is_newest_first, wanted.page.after);
    let after = after.and_then(|position| IncidentId::new(position.id));
    let mut next = Some(match after {
        Some(after) if is_newest_first => after,
        Some(after) => IncidentId::new(after.get().saturating_add(1)).unwrap_or(after),
        None if is_newest_first => IncidentId::LAST,
        None => IncidentId::FIRST,
    });
    let limit = usize::try_from(wanted.page.limit).unwrap_or(usize::MAX);
    let mut found: Vec<(IncidentId, Care)> = Vec::new();
    // Some at a time, so that nothing waits for the answer to a long list.
    while let Some(from) = next.filter(|_| found.len() <= limit) {
        let rules = Arc::clone(&rules);
        let from = (from, is_newest_first);
        let (some, more) = look(&api, move |state| {
            let rules = &*rules;
            look_after(World { state, rules }, now, from, LOOKED_AT_ONCE)
        })
        .await?;
        let is_wanted = |(_, care): &(_, Care)| cares.is_empty() || cares.contains(&care.word());
        found.extend(some.into_iter().filter(is_wanted));
        next = more;
    }
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|(id, _)| Position {
        value: id.get(),
        id: id.get(),
    });
    let listed = Listed {
        items: found,
        next: last.filter(|_| has_more),
    };
    Ok(Json(wanted.list(listed, |(id, care)| care_shape(id, care))))
}

/// The ladders of one incident.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/escalations", tag = "on-call",
    params(("number" = String, Path, description = "Its number, like INC-42 or 42"), PageQuery),
    responses((status = 200, description = "Its ladders", body = List<EscalationShape>)),
)]
pub async fn of_incident(
    State(api): State<ApiState>,
    Path(number): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EscalationShape>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(Sorting {
        list: "incident-escalations",
        words: &["id"],
    })?;
    let id = incident_id(&number)?;
    let runs = look(&api, move |state| {
        state.escalations().of(id).cloned().collect::<Vec<_>>()
    })
    .await?;
    let shapes = runs.iter().map(|run| EscalationShape::from(&**run));
    Ok(Json(wanted.slice(shapes.collect())))
}
