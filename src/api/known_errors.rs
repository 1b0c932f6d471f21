//! Known errors: list, make, change.
//!
//! Must not decide what they are matched to.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::page::{List, PageQuery, Sorting};
use super::problem::Problem as Trouble;
use super::problems::{ProblemQuery, filter, text, texts};
use super::record_order::{Fields, answered, find, give, record_id};
use super::time::Time;
use crate::core::records::known::{KnownError as HeldError, KnownErrorWanted, When};
use crate::core::records::{Kind, RecordId, RecordOrder};
use crate::core::silence::parse_matchers;
use crate::store::query::records::{self, LinkView};

const KNOWN_ERRORS: Sorting = Sorting {
    list: "known-errors",
    words: &["id", "number"],
};

/// What is known about something that may come back.
#[derive(Debug, Serialize, ToSchema)]
pub struct KnownError {
    /// Its number.
    #[schema(example = "KE-7")]
    pub(super) number: String,
    /// What kind of record it is: `known_error`.
    kind: &'static str,
    /// `active` or `retired`.
    state: &'static str,
    /// One line for people.
    title: String,
    /// The signature of the incidents that it is matched to.
    signature: Option<String>,
    /// The configuration items that it is matched to.
    cis: Vec<String>,
    /// Matchers on the labels of alerts, all of them.
    matchers: Vec<String>,
    /// What the summaries of alerts hold.
    text: String,
    /// A condition on an alert.
    when: Option<String>,
    /// What is wrong.
    cause: String,
    /// How to live with it.
    workaround: String,
    /// Link to what to do, or empty.
    runbook_url: String,
    /// The problem that it is of.
    problem: Option<String>,
    /// How many incidents it was matched to.
    matched: u32,
    /// When it was made.
    created_at: Time,
    /// When it was changed last.
    updated_at: Time,
}

/// What a known error shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct KnownErrorBody {
    /// One line for people; needed for a new one.
    title: Option<String>,
    /// Whether it is matched.
    active: Option<bool>,
    /// The signature of incidents.
    signature: Option<String>,
    /// Configuration items, any of them.
    cis: Option<Vec<String>>,
    /// Matchers on the labels of alerts, like `alertname="DiskFull"`; all of them.
    matchers: Option<Vec<String>>,
    /// What the summaries of alerts hold.
    text: Option<String>,
    /// A condition on an alert, like `labels.alertname == 'DiskFull' and alert.severity == 'critical'`.
    when: Option<String>,
    /// What is wrong.
    cause: Option<String>,
    /// How to live with it.
    workaround: Option<String>,
    /// Link to what to do.
    runbook_url: Option<String>,
    /// The problem that it is of.
    problem: Option<String>,
}

impl From<&HeldError> for KnownError {
    fn from(held: &HeldError) -> Self {
        Self {
            number: held.id.to_string(),
            kind: Kind::KnownError.word(),
            state: if held.is_active { "active" } else { "retired" },
            title: held.title.to_string(),
            signature: text(held.signature.as_ref()),
            cis: texts(&held.cis),
            matchers: held.matchers.iter().map(ToString::to_string).collect(),
            text: held.text.to_string(),
            when: text(held.when.as_ref().map(When::text)),
            cause: held.cause.to_string(),
            workaround: held.workaround.to_string(),
            runbook_url: held.runbook_url.to_string(),
            problem: held.problem.map(|id| id.to_string()),
            matched: held.matched,
            created_at: held.made_at.into(),
            updated_at: held.updated_at.into(),
        }
    }
}

/// The known errors of an incident's records.
pub(super) fn known_errors(views: &[LinkView]) -> Vec<KnownError> {
    let known = views.iter().filter_map(|view| view.record.as_known_error());
    known.map(KnownError::from).collect()
}

/// Known errors, newest first.
#[utoipa::path(get, path = "/api/v1/known-errors", tag = "problems", params(ProblemQuery, PageQuery), responses(
    (status = 200, description = "A page of known errors", body = List<KnownError>),
))]
pub async fn list_known(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<KnownError>>, Trouble> {
    let read = |word: &str| match word {
        "active" => Some("active"),
        "retired" => Some("retired"),
        _ => None,
    };
    let words = ["active", "retired"];
    let (wanted, filter) = filter(query.as_deref(), KNOWN_ERRORS, &words, read)?;
    let page = wanted.page;
    let listed = api
        .read(async move |db| {
            records::list(db.reader().await?.lend(), Kind::KnownError, &filter, page).await
        })
        .await?;
    let list = wanted.list(listed, |record| {
        record.as_known_error().map(KnownError::from)
    });
    Ok(Json(List {
        items: list.items.into_iter().flatten().collect(),
        next_cursor: list.next_cursor,
    }))
}

/// One known error.
#[utoipa::path(get, path = "/api/v1/known-errors/{number}", tag = "problems",
    params(("number" = String, Path, description = "Its number, like KE-7")),
    responses((status = 200, description = "The known error", body = KnownError)),
)]
pub async fn get_known(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<KnownError>, Trouble> {
    let record = find(&api, record_id(Kind::KnownError, &number)?).await?;
    record
        .as_known_error()
        .map(|held| Json(held.into()))
        .ok_or_else(Trouble::internal)
}

/// Makes a known error.
#[utoipa::path(post, path = "/api/v1/known-errors", tag = "problems", request_body = KnownErrorBody,
    responses((status = 201, description = "The known error", body = KnownError)))]
pub async fn create_known(
    State(api): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Trouble> {
    let fields = Fields(body::read(body).await?);
    let wanted = known_wanted(&fields, None)?;
    if wanted.title.is_none() {
        return Err(Trouble::bad_request(
            "title is missing; say in one line what is known",
        ));
    }
    let says_when = wanted.signature.is_some()
        || wanted.text.is_some()
        || wanted.when.is_some()
        || wanted.cis.as_ref().is_some_and(|cis| !cis.is_empty())
        || wanted
            .matchers
            .as_ref()
            .is_some_and(|matchers| !matchers.is_empty());
    if !says_when {
        return Err(Trouble::bad_request(
            "nothing says which incidents it is matched to; give when, matchers, ci, signature or text",
        ));
    }
    let known = put_known(&api, wanted, caller).await?;
    let location = [(LOCATION, format!("/api/v1/known-errors/{}", known.number))];
    Ok((StatusCode::CREATED, location, Json(known)).into_response())
}

/// Changes a known error; what is not named stays.
#[utoipa::path(post, path = "/api/v1/known-errors/{number}", tag = "problems", request_body = KnownErrorBody,
    params(("number" = String, Path, description = "Its number, like KE-7")),
    responses((status = 200, description = "The known error afterwards", body = KnownError)))]
pub async fn edit_known(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<KnownError>, Trouble> {
    let id = record_id(Kind::KnownError, &number)?;
    let fields = Fields(body::read(body).await?);
    Ok(Json(
        put_known(&api, known_wanted(&fields, Some(id))?, caller).await?,
    ))
}

async fn put_known(
    api: &ApiState,
    wanted: KnownErrorWanted,
    caller: Caller,
) -> Result<KnownError, Trouble> {
    let id = wanted.id;
    let order = RecordOrder::PutKnownError {
        wanted: Box::new(wanted),
    };
    let answer = give(api, order, caller.actor, (id, None)).await?;
    let record = answered(api, answer).await?;
    record
        .as_known_error()
        .map(KnownError::from)
        .ok_or_else(Trouble::internal)
}

/// Whether a signature is written as matchers are; those of root causes begin with `ci:` or `alert:`.
fn is_matcher(text: &str) -> bool {
    let is_own = text.starts_with("ci:") || text.starts_with("alert:");
    !is_own && text.contains('=') && parse_matchers(text).is_ok()
}

fn known_wanted(fields: &Fields, id: Option<RecordId>) -> Result<KnownErrorWanted, Trouble> {
    let mut matchers = None;
    // A signature in labels is what the alerts must carry.
    let own = fields.value(&["signature"]);
    let in_labels = own.filter(|own| own.is_object() || own.is_array());
    let in_text = own.filter(|own| own.as_str().is_some_and(is_matcher));
    let given = fields.value(&["matchers", "match", "matcher"]);
    if let Some(value) = given.or(in_labels).or(in_text) {
        let list = match value {
            serde_json::Value::Array(list) => list.clone(),
            serde_json::Value::Object(pairs) => pairs
                .iter()
                .map(|(name, value)| {
                    let text = value.as_str().unwrap_or_default();
                    serde_json::Value::from(format!("{name}={text:?}"))
                })
                .collect(),
            other @ (serde_json::Value::String(_)
            | serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)) => vec![other.clone()],
        };
        let mut parsed = Vec::new();
        for one in list {
            let text = one
                .as_str()
                .ok_or_else(|| Trouble::bad_request("matchers must be texts like a=b"))?;
            let found = parse_matchers(text);
            parsed.extend(found.map_err(|bad| Trouble::bad_request(bad.to_string()))?);
        }
        matchers = Some(parsed);
    }
    let when = fields.text(&["when", "condition"])?;
    let when = when.map(|text| When::compile(&text)).transpose();
    let when = when.map_err(|bad| Trouble::bad_request(format!("when: {bad}")))?;
    let problem = fields.text(&["problem"])?;
    let problem = problem
        .map(|text| record_id(Kind::Problem, &text))
        .transpose()?;
    let retired = fields
        .text(&["state", "status"])?
        .map(|word| word != "retired");
    Ok(KnownErrorWanted {
        id,
        title: fields.line(&["title", "summary", "name"])?,
        is_active: fields.flag(&["active"])?.or(retired),
        signature: match in_labels.or(in_text) {
            Some(_) => None,
            None => fields.line(&["signature"])?,
        },
        cis: fields.texts(&["ci", "cis"])?,
        matchers,
        text: fields.line(&["text", "contains"])?,
        when,
        cause: fields.text(&["cause", "root_cause", "description"])?,
        workaround: fields.text(&["workaround"])?,
        runbook_url: fields.line(&["runbook_url", "runbook", "url", "link"])?,
        problem,
    })
}
