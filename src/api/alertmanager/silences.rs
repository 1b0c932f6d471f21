//! `/api/v2/silences` and `/api/v2/silence/{id}`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::query::Query;
use super::shapes::{GettableSilence, PostableSilence};
use super::{Fault, framework, plain};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::body;
use crate::api::problem::Kind;
use crate::api::silence_order::{self, check, find, give};
use crate::core::mute::Scope;
use crate::core::silence::given::{SilenceOrder, SilenceWanted};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{Operator, Silence, SilenceState, SilenceUuid};
use crate::store::query::Page;
use crate::store::query::silences;

/// Silences of one answer: those that hold, and what has expired lately.
const SILENCES_MAX: usize = 10_000;
/// Silences read at once.
const PAGE: u32 = 500;
/// The framework's own codes (go-openapi/errors).
const INVALID_TYPE: u16 = 601;
const REQUIRED: u16 = 602;

/// Silences: active, pending, expired, each in Alertmanager's order.
pub async fn list(
    State(api): State<ApiState>,
    query: Query,
) -> Result<Json<Vec<GettableSilence>>, Fault> {
    let filters = query.filters()?;
    let states: Vec<_> = SilenceState::ALL
        .into_iter()
        .filter(|state| query.is_wanted(state.word()))
        .collect();
    if states.is_empty() {
        return Ok(Json(Vec::new()));
    }
    let now = api.now();
    let mut found: Vec<Silence> = api
        .read(async move |db| {
            let mut page = Page {
                limit: PAGE,
                is_newest_first: true,
                after: None,
            };
            let mut found = Vec::new();
            loop {
                let mut reader = db.snapshot().await?;
                let listed = silences::list(reader.lend(), &states, now, page).await?;
                drop(reader);
                found.extend(listed.items.into_iter().map(|view| view.silence));
                page.after = listed.next;
                if page.after.is_none() || found.len() >= SILENCES_MAX {
                    return Ok(found);
                }
            }
        })
        .await?;
    found.retain(|it| filters.iter().all(|filter| it.matchers.contains(filter)));
    found.sort_by_key(|it| match it.state(now) {
        SilenceState::Active => (0, it.ends_at.as_millis()),
        SilenceState::Pending => (1, it.starts_at.as_millis()),
        SilenceState::Expired => (2, it.ends_at.as_millis().saturating_neg()),
    });
    let shaped = found.iter().map(|it| GettableSilence::new(it, now));
    Ok(Json(shaped.collect()))
}

/// One silence.
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<GettableSilence>, Fault> {
    let view = find(&api, uuid(&id)?).await?;
    Ok(Json(GettableSilence::new(&view.silence, api.now())))
}

/// Ends a silence.
pub async fn expire(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let ended = silence_order::expire(&api, uuid(&id)?, caller.actor).await;
    ended?;
    Ok(StatusCode::OK.into_response())
}

/// Makes a silence, or changes the one whose id is named.
pub async fn put(
    State(api): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Fault> {
    let posted: PostableSilence = body::read(body).await.map_err(|problem| {
        let code = problem.status();
        framework(code, code.as_u16(), problem.detail())
    })?;
    let replaces = match posted.id.as_deref().filter(|id| !id.is_empty()) {
        None => None,
        Some(id) => {
            // An id that is none was never given to a silence.
            let unknown = || plain(StatusCode::NOT_FOUND, &format!("silence {id} not found"));
            let uuid = id.parse().map_err(|_| unknown())?;
            let found = find(&api, uuid).await.map_err(|problem| {
                if problem.is(Kind::NotFound) {
                    unknown()
                } else {
                    problem.into()
                }
            })?;
            Some(found.silence.id)
        }
    };
    let mut wanted = wanted(posted)?;
    let now = api.now();
    if replaces.is_none() {
        let starts_at = wanted.starts_at.max(now);
        // An end before the begin is told as such, not as one of the begin that was moved.
        if wanted.ends_at > starts_at {
            wanted.starts_at = starts_at;
        }
    }
    check(&wanted, now).map_err(|why| plain(StatusCode::BAD_REQUEST, &why))?;
    let order = SilenceOrder::Put { wanted, replaces };
    let view = give(&api, order, caller.actor, None).await;
    let view = view.map_err(|problem| match problem.status() {
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            plain(StatusCode::BAD_REQUEST, problem.detail())
        }
        _ => problem.into(),
    })?;
    Ok(Json(json!({"silenceID": view.silence.uuid.to_string()})))
}

fn uuid(id: &str) -> Result<SilenceUuid, Fault> {
    id.parse().map_err(|_| {
        let shown: String = id.chars().take(40).collect();
        let text = format!("silenceID in path must be of type uuid: {shown:?}");
        framework(StatusCode::UNPROCESSABLE_ENTITY, INVALID_TYPE, &text)
    })
}

fn wanted(posted: PostableSilence) -> Result<SilenceWanted, Fault> {
    let missing = |field: &str| {
        let text = format!("{field} in body is required");
        framework(StatusCode::UNPROCESSABLE_ENTITY, REQUIRED, &text)
    };
    let posted_matchers = posted.matchers.ok_or_else(|| missing("matchers"))?;
    let mut matchers = Vec::with_capacity(posted_matchers.len());
    for (index, matcher) in posted_matchers.into_iter().enumerate() {
        let field = |name: &str| missing(&format!("matchers.{index}.{name}"));
        let name = matcher.name.ok_or_else(|| field("name"))?;
        let value = matcher.value.ok_or_else(|| field("value"))?;
        let is_regex = matcher.is_regex.ok_or_else(|| field("isRegex"))?;
        let operator = Operator::new(is_regex, matcher.is_equal.unwrap_or(true));
        let matcher = Matcher::new(&name, operator, &value).map_err(|bad| {
            let text = format!("invalid silence: invalid label matcher {index}: {bad}");
            plain(StatusCode::BAD_REQUEST, &text)
        })?;
        matchers.push(matcher);
    }
    Ok(SilenceWanted {
        scope: Scope::default(),
        matchers,
        starts_at: posted.starts_at.ok_or_else(|| missing("startsAt"))?.0,
        ends_at: posted.ends_at.ok_or_else(|| missing("endsAt"))?.0,
        created_by: SmolStr::from(posted.created_by.ok_or_else(|| missing("createdBy"))?),
        comment: SmolStr::from(posted.comment.ok_or_else(|| missing("comment"))?),
    })
}
