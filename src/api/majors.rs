//! Major incidents, their updates to stakeholders, and the actions that follow.
//!
//! Texts are made from the templates of the configuration when they are asked for. Must not decide when an update is due.

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
use minijinja::Value;
use serde::Serialize;
use smol_str::SmolStr;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::incidents::{find as find_incident, id as incident_id};
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::record_order::{Fields, answered, find, give, record_id};
use super::shapes::Incident;
use super::time::{Time, read_span};
use crate::core::ids::IncidentId;
use crate::core::records::major::{
    ACTION_STATES, Action as HeldAction, ActionWanted, Major as Held, MajorWanted, ReviewWanted,
    id_of,
};
use crate::core::records::{Kind, RecordId, RecordOrder};
use crate::core::time::Span;
use crate::store::query::records::{self, LinkView, RecordFilter};

const ACTIONS: Sorting = Sorting {
    list: "actions",
    words: &["id", "number"],
};
/// Instructions that a text may take.
const FUEL: u64 = 100_000;

/// What makes an incident a major one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Major {
    /// The incident.
    #[schema(example = "INC-42")]
    incident: String,
    /// `active` or `ended`.
    state: &'static str,
    /// Who declared it; `rule` when the configuration did.
    declared_by: String,
    /// When.
    declared_at: Time,
    /// Why.
    reason: String,
    /// Who leads.
    commander: Option<String>,
    /// Who speaks to stakeholders.
    communication: Option<String>,
    /// How often stakeholders are told.
    update_every_s: i64,
    /// When the next update is due.
    update_due_at: Option<Time>,
    /// What was told, the latest first.
    updates: Vec<MajorUpdate>,
    /// When it was over.
    ended_at: Option<Time>,
    /// What stakeholders are told now, by the template.
    text: String,
    /// What everybody may read now, by the template.
    public_text: String,
}

/// One update.
#[derive(Debug, Serialize, ToSchema)]
pub struct MajorUpdate {
    /// When.
    at: Time,
    /// Who wrote it; null when it was due and the state of things was told.
    by: Option<String>,
    /// What they wrote for stakeholders.
    text: String,
    /// What everybody may read of it.
    public_text: String,
}

/// An action that follows from an incident or problem.
#[derive(Debug, Serialize, ToSchema)]
pub struct Action {
    /// Its number.
    #[schema(example = "ACT-7")]
    pub(super) number: String,
    /// `open`, `done` or `cancelled`.
    pub(super) state: String,
    /// What is to be done.
    pub(super) title: String,
    /// By whom.
    pub(super) owner: Option<String>,
    /// By when.
    pub(super) due_at: Option<Time>,
    /// Whether that has passed.
    late: bool,
    /// The incident that it follows from.
    incident: Option<String>,
    /// The problem that it is for.
    problem: Option<String>,
    /// When it was done.
    done_at: Option<Time>,
    /// What there is to say.
    note: String,
    /// When it was made.
    created_at: Time,
    /// When it was changed last.
    updated_at: Time,
}

/// Declares a major incident, or does something with one.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct MajorBody {
    /// Why.
    reason: Option<String>,
    /// Who leads.
    commander: Option<String>,
    /// Who speaks to stakeholders.
    communication: Option<String>,
    /// How often stakeholders are told, like `30m`.
    update_every: Option<String>,
    /// Something to tell stakeholders now.
    update: Option<String>,
    /// What everybody may read of it.
    public: Option<String>,
    /// Ends it, whether the incident goes on or not.
    end: Option<bool>,
}

/// What an action shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct ActionBody {
    /// What is to be done; needed for a new one.
    title: Option<String>,
    /// By whom.
    owner: Option<String>,
    /// By when.
    due_at: Option<Time>,
    /// `open`, `done` or `cancelled`.
    state: Option<String>,
    /// The incident that it follows from.
    incident: Option<String>,
    /// The problem that it is for.
    problem: Option<String>,
    /// What there is to say.
    note: Option<String>,
}

/// Which actions, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActionQuery {
    /// `open`, `done` or `cancelled`; several between commas.
    pub state: Option<String>,
    /// The incident.
    pub incident: Option<String>,
    /// Text in the title.
    pub q: Option<String>,
}

fn text(text: Option<&SmolStr>) -> Option<String> {
    text.map(ToString::to_string)
}

impl From<&HeldAction> for Action {
    fn from(held: &HeldAction) -> Self {
        Self {
            number: held.id.to_string(),
            state: held.state.to_string(),
            title: held.title.to_string(),
            owner: text(held.owner.as_ref()),
            due_at: held.due_at.map(Time),
            late: held.is_late,
            incident: held.incident.map(|id| id.to_string()),
            problem: held.problem.map(|id| id.to_string()),
            done_at: held.done_at.map(Time),
            note: held.note.to_string(),
            created_at: held.made_at.into(),
            updated_at: held.updated_at.into(),
        }
    }
}

impl Major {
    fn new(held: &Held, texts: (String, String)) -> Self {
        let updates = held.updates.iter().rev().map(|update| MajorUpdate {
            at: update.at.into(),
            by: text(update.by.as_ref()),
            text: update.text.to_string(),
            public_text: update.public.to_string(),
        });
        Self {
            incident: held.incident.to_string(),
            state: if held.is_active { "active" } else { "ended" },
            declared_by: held.declared_by.to_string(),
            declared_at: held.declared_at.into(),
            reason: held.reason.to_string(),
            commander: text(held.commander.as_ref()),
            communication: text(held.communication.as_ref()),
            update_every_s: held.update_every.as_millis() / 1_000,
            update_due_at: held.update_due_at.map(Time),
            updates: updates.collect(),
            ended_at: held.ended_at.map(Time),
            text: texts.0,
            public_text: texts.1,
        }
    }
}

/// What makes an incident major, of its records; short, for its own shape.
pub(super) fn of_incident(views: &[LinkView]) -> Option<String> {
    let major = views.iter().find_map(|view| view.record.as_major())?;
    Some(if major.is_active { "active" } else { "ended" }.to_owned())
}

/// What makes an incident a major one, with the texts as they would be told now.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/major", tag = "major incidents",
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The major incident", body = Major)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<Major>, Problem> {
    let id = incident_id(&number)?;
    Ok(Json(shown(&api, id).await?))
}

async fn shown(api: &ApiState, id: IncidentId) -> Result<Major, Problem> {
    let incident = Incident::from(find_incident(api, id).await?);
    let record = find(api, id_of(id)).await;
    let record = record.map_err(|_| Problem::not_found(format!("{id} is no major incident")))?;
    let held = record.as_major().ok_or_else(Problem::internal)?;
    let rules = api.setup().engine.rules();
    let shape = serde_json::to_value(&incident).map_err(|_| Problem::internal())?;
    let shape = value(&shape);
    let last = |public: bool| {
        let mut updates = held.updates.iter().rev();
        let found = updates.find_map(|update| {
            let text = if public { &update.public } else { &update.text };
            (!text.is_empty()).then(|| text.to_string())
        });
        found.unwrap_or_default()
    };
    let render = |template: &str, update: String| {
        let values = object([
            ("incident", shape.clone()),
            ("update", Value::from(update)),
            (
                "major",
                object([
                    (
                        "commander",
                        Value::from(held.commander.as_deref().unwrap_or_default()),
                    ),
                    (
                        "communication",
                        Value::from(held.communication.as_deref().unwrap_or_default()),
                    ),
                    ("reason", Value::from(held.reason.as_str())),
                ]),
            ),
        ]);
        let mut environment = minijinja::Environment::new();
        environment.set_fuel(Some(FUEL));
        environment
            .render_str(template, values)
            .unwrap_or_else(|error| format!("(the template cannot be rendered: {error})"))
    };
    let texts = (
        render(&rules.records.major.update, last(false)),
        render(&rules.records.major.public, last(true)),
    );
    Ok(Major::new(held, texts))
}

/// JSON as templates see it.
fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::from(number),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(value).collect(),
        serde_json::Value::Object(fields) => object(
            fields
                .iter()
                .map(|(name, json)| (name.as_str(), value(json))),
        ),
    }
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = fields.into_iter();
    let fields = fields.map(|(name, value)| (std::sync::Arc::<str>::from(name), value));
    Value::from(fields.collect::<std::collections::BTreeMap<std::sync::Arc<str>, Value>>())
}

/// Declares a major incident, gives its roles, tells stakeholders, or ends it.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/major", tag = "major incidents",
    request_body(content = MajorBody),
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The incident afterwards", body = Incident)))]
pub async fn order(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<Incident>, Problem> {
    let incident = incident_id(&number)?;
    let fields = Fields(body::read(body).await?);
    let every = fields.text(&["update_every", "cadence"])?;
    let every = every.map(|text| {
        read_span(&text).ok_or_else(|| {
            Problem::bad_request(format!("update_every is a length like 30m, not {text:?}"))
        })
    });
    let seconds = fields
        .value(&["update_every_s"])
        .and_then(serde_json::Value::as_i64);
    let wanted = MajorWanted {
        reason: fields.line(&["reason", "why"])?,
        commander: fields.line(&["commander", "incident_commander"])?,
        communication: fields.line(&["communication", "communications", "communication_lead"])?,
        update_every: every.transpose()?.or(seconds.map(Span::from_secs)),
        update: fields.text(&["update", "text", "message"])?,
        public: fields.text(&["public", "public_text"])?,
        end: fields.flag(&["end", "ended"])?.unwrap_or(false)
            || fields
                .text(&["state"])?
                .is_some_and(|state| state == "ended"),
        review: None,
    };
    give_major(&api, incident, wanted, caller).await?;
    Ok(Json(find_incident(&api, incident).await?.into()))
}

/// Hands an order about a major incident to the engine.
pub(super) async fn give_major(
    api: &ApiState,
    incident: IncidentId,
    wanted: MajorWanted,
    caller: Caller,
) -> Result<(), Problem> {
    let order = RecordOrder::Major {
        incident,
        wanted: Box::new(wanted),
    };
    let named = (Some(id_of(incident)), Some(incident));
    give(api, order, caller.actor, named).await.map(drop)
}

/// What a body says of a review.
pub(super) fn review_wanted(fields: &Fields) -> Result<ReviewWanted, Problem> {
    let users = fields.value(&["users", "users_affected"]);
    Ok(ReviewWanted {
        summary: fields.text(&["summary", "what"])?,
        detection: fields.text(&["detection"])?,
        impact: fields.text(&["impact"])?,
        users: users.and_then(serde_json::Value::as_i64),
        cause: fields.text(&["cause", "root_cause"])?,
        resolution: fields.text(&["resolution"])?,
        lessons: fields.text(&["lessons", "lessons_learned"])?,
        is_final: fields.flag(&["final", "is_final"])?,
    })
}

/// Actions, newest first.
#[utoipa::path(get, path = "/api/v1/actions", tag = "major incidents", params(ActionQuery, PageQuery), responses(
    (status = 200, description = "A page of actions", body = List<Action>),
))]
pub async fn actions(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Action>>, Problem> {
    let params = Params::read(query.as_deref(), &["state", "incident", "q"])?;
    let wanted = params.wanted(ACTIONS)?;
    let read = |word: &str| ACTION_STATES.into_iter().find(|state| *state == word);
    let states = params.words("state", &ACTION_STATES, read)?;
    let incidents = params.values("incident")?.into_iter();
    let incidents: Result<Vec<_>, _> = incidents
        .map(|number| incident_id(&number).map(IncidentId::get))
        .collect();
    let filter = RecordFilter {
        states: states.into_iter().map(str::to_owned).collect(),
        incidents: incidents?,
        search: params.one("q")?.map(str::to_owned),
        ..RecordFilter::default()
    };
    let page = wanted.page;
    let listed = api
        .read(async move |db| {
            records::list(db.reader().await?.lend(), Kind::Action, &filter, page).await
        })
        .await?;
    let list = wanted.list(listed, |record| record.as_action().map(Action::from));
    Ok(Json(List {
        items: list.items.into_iter().flatten().collect(),
        next_cursor: list.next_cursor,
    }))
}

/// Makes an action.
#[utoipa::path(post, path = "/api/v1/actions", tag = "major incidents", request_body = ActionBody,
    responses((status = 201, description = "The action", body = Action)))]
pub async fn create_action(
    State(api): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Problem> {
    let fields = Fields(body::read(body).await?);
    let mut wanted = action_wanted(&fields, None)?;
    if let Some(number) = fields.text(&["incident"])? {
        let incident = incident_id(&number)?;
        find_incident(&api, incident).await?;
        wanted.incident = Some(incident);
    }
    if wanted.title.is_none() {
        return Err(Problem::bad_request(
            "title is missing; say what is to be done",
        ));
    }
    let action = put(&api, wanted, caller).await?;
    let location = [(LOCATION, format!("/api/v1/actions/{}", action.number))];
    Ok((StatusCode::CREATED, location, Json(action)).into_response())
}

/// Changes an action; what is not named stays.
#[utoipa::path(post, path = "/api/v1/actions/{number}", tag = "major incidents", request_body = ActionBody,
    params(("number" = String, Path, description = "Its number, like ACT-7")),
    responses((status = 200, description = "The action afterwards", body = Action)))]
pub async fn edit_action(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<Action>, Problem> {
    let id = record_id(Kind::Action, &number)?;
    let fields = Fields(body::read(body).await?);
    Ok(Json(
        put(&api, action_wanted(&fields, Some(id))?, caller).await?,
    ))
}

async fn put(api: &ApiState, wanted: ActionWanted, caller: Caller) -> Result<Action, Problem> {
    let id = wanted.id;
    let order = RecordOrder::PutAction {
        wanted: Box::new(wanted),
    };
    let answer = give(api, order, caller.actor, (id, None)).await?;
    let record = answered(api, answer).await?;
    record
        .as_action()
        .map(Action::from)
        .ok_or_else(Problem::internal)
}

fn action_wanted(fields: &Fields, id: Option<RecordId>) -> Result<ActionWanted, Problem> {
    let state = fields.line(&["state", "status"])?;
    if let Some(word) = state
        .as_ref()
        .filter(|word| !ACTION_STATES.contains(&word.as_str()))
    {
        let words = ACTION_STATES.join(", ");
        return Err(Problem::bad_request(format!(
            "state is one of {words}, not {word:?}"
        )));
    }
    let problem = fields.text(&["problem"])?;
    let problem = problem
        .map(|text| record_id(Kind::Problem, &text))
        .transpose()?;
    Ok(ActionWanted {
        id,
        incident: None,
        problem,
        title: fields.line(&["title", "text", "summary", "action"])?,
        owner: fields.line(&["owner", "assignee"])?,
        due_at: fields.time(&["due_at", "due"])?,
        state,
        note: fields.text(&["note", "comment"])?,
    })
}
