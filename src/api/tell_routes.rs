//! Trying the routes: who would be told, and why.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use minijinja::Value as Jinja;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use utoipa::ToSchema;

use super::ApiState;
use super::body;
use super::problem::Problem;
use super::time::Time;
use crate::core::severity::{Priority, Severity};
use crate::core::tell::trial::{Trial, Tried, try_incident, try_made_up};

/// What to try: an incident that is there, or one that is made up. An alert, an incident or labels in the form of this
/// API, or what Alertmanager posts, are taken too.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct RouteTrial {
    /// An incident, like INC-42; then only `at` is looked at besides. Or one in the form of this API.
    #[schema(value_type = Option<String>, example = "INC-42")]
    incident: Value,
    /// The severity of a made-up one; `critical` when not given.
    severity: Option<String>,
    /// Its priority; by the severity when not given.
    priority: Option<String>,
    /// The source of its alert.
    source: Option<String>,
    /// The labels of its alert.
    labels: BTreeMap<String, String>,
    /// The CI that it is about: an id, or `{"id", "name", "class"}`.
    ci: Value,
    /// The services that it reaches.
    services: Option<Vec<String>>,
    /// The team that has it.
    team: Option<String>,
    /// The time to try; now when not given.
    at: Option<Time>,
}

/// Who would be told.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteTried {
    /// The team that would get it.
    team: Option<String>,
    /// The targets that would be told at once by the routes.
    targets: Vec<String>,
    /// The escalations that would be started.
    escalations: Vec<String>,
    /// Whom their steps would tell, as people are on call at that time.
    steps: Vec<StepTried>,
    /// What each route came to, up to the one that decided; empty when there are no routes, and all targets are told.
    routes: Vec<RouteOutcome>,
}

/// Whom one step would tell.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepTried {
    /// The escalation.
    escalation: String,
    /// How long after its begin.
    after_s: i64,
    /// Who.
    tells: Vec<String>,
    /// By which targets.
    targets: Vec<String>,
    /// Why somebody would not be reached.
    missing: Vec<String>,
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
    let wanted: Value = body::read(body).await?;
    let asked = read_trial(wanted).map_err(Problem::bad_request)?;
    let now = asked.at.as_ref().map_or_else(|| api.now(), |at| at.0);
    let engine = api.setup().engine.clone();
    let rules = engine.rules();
    let held = rules.clone();
    let tried = match asked.what {
        What::Incident(number) => {
            let id = super::incidents::id(&number)?;
            let tried = engine
                .look(move |state| try_incident(state, &held, id, now))
                .await?;
            let missing = || format!("there is no incident {id} that is still held");
            tried.ok_or_else(|| Problem::not_found(missing()))?
        }
        What::MadeUp(trial) => {
            let tried = engine
                .look(move |state| try_made_up(state, &held, &trial, now))
                .await?;
            tried.ok_or_else(Problem::internal)?
        }
    };
    Ok(Json(shown(tried, &rules.tell.routes)))
}

/// Something to try, as it was asked for.
#[derive(Debug)]
pub struct Asked {
    /// When.
    pub at: Option<Time>,
    /// What.
    pub what: What,
}

/// What is tried.
#[derive(Debug)]
pub enum What {
    /// An incident that is there.
    Incident(String),
    /// One that is made up.
    MadeUp(Box<Trial>),
}

/// Fields by which a body is not just labels.
const KNOWN: [&str; 13] = [
    "incident",
    "severity",
    "priority",
    "source",
    "labels",
    "ci",
    "services",
    "team",
    "at",
    "alerts",
    "number",
    "annotations",
    "root_cause",
];

/// Reads what to try, in whichever form it comes.
///
/// # Errors
/// It is in none of the forms.
pub fn read_trial(body: Value) -> Result<Asked, String> {
    let mut body = body;
    let fields = body.as_object().ok_or("not a JSON object")?;
    if let Some(first) = fields.get("alerts").and_then(|alerts| alerts.get(0)) {
        // What Alertmanager posts: the first alert stands for the group.
        body = first.clone();
    } else if fields.contains_key("number") {
        body = json!({ "incident": body, "labels": fields.get("labels").unwrap_or(&json!({})) });
    } else if !fields.is_empty()
        && (fields.contains_key("alertname") || !fields.keys().any(|key| is_known(key)))
    {
        body = json!({ "labels": body });
    }
    let mut given = Vec::new();
    if let Some(incident) = body.get("incident").and_then(Value::as_object).cloned() {
        for (name, value) in &incident {
            given.push((
                SmolStr::new(format!("incident.{name}")),
                Jinja::from(Serde(value)),
            ));
        }
        adopt(&mut body, &incident);
    }
    let wanted: RouteTrial =
        serde_json::from_value(body).map_err(|error| format!("it cannot be read: {error}"))?;
    let what = match wanted.incident.as_str() {
        Some(number) => What::Incident(number.to_owned()),
        None => What::MadeUp(Box::new(trial(&wanted, given)?)),
    };
    Ok(Asked {
        at: wanted.at,
        what,
    })
}

fn is_known(key: &str) -> bool {
    KNOWN.contains(&key)
}

/// What an incident says of itself, where nothing else is said.
fn adopt(body: &mut Value, incident: &Map<String, Value>) {
    let root = incident.get("root_cause").and_then(|root| root.get("ci"));
    let found = ["priority", "severity", "services", "team"]
        .into_iter()
        .map(|name| (name, incident.get(name)))
        .chain([("ci", root)]);
    let found: Vec<(&str, Value)> = found
        .filter_map(|(name, value)| Some((name, value.filter(|it| !it.is_null())?.clone())))
        .collect();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("incident");
        for (name, value) in found {
            fields.entry(name).or_insert(value);
        }
    }
}

fn trial(wanted: &RouteTrial, mut given: Vec<(SmolStr, Jinja)>) -> Result<Trial, String> {
    let of_label = wanted.labels.get("severity").map(String::as_str);
    let of_label = of_label.filter(|word| Severity::from_word(word).is_some());
    let severity = wanted
        .severity
        .as_deref()
        .or(of_label)
        .unwrap_or("critical");
    let severity =
        Severity::from_word(severity).ok_or_else(|| format!("{severity:?} is not a severity"))?;
    let priority = wanted.priority.as_deref().map(|word| {
        let priority = Priority::from_word(word);
        priority.ok_or_else(|| format!("{word:?} is not a priority"))
    });
    let mut put = |path: &str, value: &dyn Fn() -> Jinja| {
        given.push((SmolStr::new(path), value()));
    };
    if let Some(services) = &wanted.services {
        for path in ["services", "incident.services"] {
            put(path, &|| Jinja::from(Serde(services)));
        }
        put("service", &|| Jinja::from(Serde(services.first())));
    }
    if let Some(team) = &wanted.team {
        for path in ["team", "incident.team"] {
            put(path, &|| Jinja::from(team.as_str()));
        }
    }
    if wanted.ci.is_object() {
        for path in ["ci", "incident.root_cause.ci"] {
            put(path, &|| Jinja::from(Serde(&wanted.ci)));
        }
    }
    Ok(Trial {
        severity,
        priority: priority.transpose()?,
        labels: wanted
            .labels
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        source: wanted.source.as_deref().unwrap_or_default().into(),
        ci: wanted.ci.as_str().map(SmolStr::new),
        given,
    })
}

/// What a trial came to, in the form of the API.
pub fn shown(tried: Tried, routes: &[crate::core::tell::route::Route]) -> RouteTried {
    let Tried { routed, ladders } = tried;
    let outcomes = routed.tried.into_iter().enumerate();
    let outcomes = outcomes.map(|(index, tried)| RouteOutcome {
        route: tried.route.to_string(),
        when: routes
            .get(index)
            .and_then(|route| route.when.source())
            .map(str::to_owned),
        matched: tried.is_match,
        error: tried.fault.map(|fault| fault.message.to_string()),
    });
    let steps = ladders.iter().flat_map(|ladder| {
        let name = &ladder.ladder;
        ladder.steps.iter().map(move |step| StepTried {
            escalation: name.to_string(),
            after_s: step.after.as_millis() / 1_000,
            tells: step.names.clone(),
            targets: step.targets.iter().map(ToString::to_string).collect(),
            missing: step.missing.clone(),
        })
    });
    RouteTried {
        team: routed.team.map(Into::into),
        targets: routed.targets.into_iter().map(Into::into).collect(),
        escalations: ladders.iter().map(|it| it.ladder.to_string()).collect(),
        steps: steps.collect(),
        routes: outcomes.collect(),
    }
}
