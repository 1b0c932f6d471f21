//! Trying the routes: who would be told, and why.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::body;
use super::problem::Problem;
use super::time::Time;
use crate::core::severity::{Priority, Severity};
use crate::core::tell::route::Routed;
use crate::core::tell::trial::{Trial, try_incident, try_made_up};

/// What to try: an incident that is there, or one that is made up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTrial {
    /// An incident, like INC-42; then only `at` is looked at besides.
    #[schema(example = "INC-42")]
    incident: Option<String>,
    /// The severity of a made-up one; `critical` when not given.
    severity: Option<String>,
    /// Its priority; by the severity when not given.
    priority: Option<String>,
    /// The source of its alert.
    source: Option<String>,
    /// The labels of its alert.
    labels: BTreeMap<String, String>,
    /// The time to try; now when not given.
    at: Option<Time>,
}

/// Who would be told.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteTried {
    /// The team that would get it.
    team: Option<String>,
    /// The targets that would be told.
    targets: Vec<String>,
    /// The escalations that would be started.
    escalations: Vec<String>,
    /// What each route came to, up to the one that decided; empty when there are no routes, and all targets are told.
    routes: Vec<RouteOutcome>,
}

/// What one route came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteOutcome {
    /// Its name.
    route: String,
    /// Its condition as written; null when it always matches.
    when: Option<String>,
    /// Whether it matched.
    matched: bool,
    /// Why its condition could not be evaluated, which counts as false.
    error: Option<String>,
}

/// Who would be told of an incident, and why; nobody is told.
#[utoipa::path(post, path = "/api/v1/routes/try", tag = "routes", request_body = RouteTrial, responses(
    (status = 200, description = "Who would be told", body = RouteTried),
))]
pub async fn try_route(
    State(api): State<ApiState>,
    body: Body,
) -> Result<Json<RouteTried>, Problem> {
    let wanted: RouteTrial = body::read(body).await?;
    let now = wanted.at.as_ref().map_or_else(|| api.now(), |at| at.0);
    let engine = api.setup().engine.clone();
    let rules = engine.rules();
    let asked = rules.clone();
    let routed = if let Some(number) = &wanted.incident {
        let id = super::incidents::id(number)?;
        let look = engine
            .look(move |state| try_incident(state, &asked, id, now))
            .await?;
        look.ok_or_else(|| {
            Problem::not_found(format!("there is no incident {id} that is still held"))
        })?
    } else {
        let trial = trial(&wanted)?;
        engine
            .look(move |state| try_made_up(state, &asked, &trial, now))
            .await?
    };
    Ok(Json(shown(routed, &rules.tell.routes)))
}

fn trial(wanted: &RouteTrial) -> Result<Trial, Problem> {
    let severity = wanted.severity.as_deref().unwrap_or("critical");
    let severity = Severity::from_word(severity)
        .ok_or_else(|| Problem::bad_request(format!("{severity:?} is not a severity")))?;
    let priority = wanted.priority.as_deref().map(|word| {
        let priority = Priority::from_word(word);
        priority.ok_or_else(|| Problem::bad_request(format!("{word:?} is not a priority")))
    });
    Ok(Trial {
        severity,
        priority: priority.transpose()?,
        labels: wanted
            .labels
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        source: wanted.source.as_deref().unwrap_or_default().into(),
    })
}

fn shown(routed: Routed, routes: &[crate::core::tell::route::Route]) -> RouteTried {
    let tried = routed
        .tried
        .into_iter()
        .enumerate()
        .map(|(index, tried)| RouteOutcome {
            route: tried.route.to_string(),
            when: routes
                .get(index)
                .and_then(|route| route.when.source())
                .map(str::to_owned),
            matched: tried.is_match,
            error: tried.fault.map(|fault| fault.message.to_string()),
        });
    RouteTried {
        team: routed.team.map(Into::into),
        targets: routed.targets.into_iter().map(Into::into).collect(),
        escalations: routed.escalations.into_iter().map(Into::into).collect(),
        routes: tried.collect(),
    }
}
