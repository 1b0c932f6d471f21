//! Silences: list, make, change, end, and what one would hide.
//!
//! A silence needs a reason and an end. Must not decide what it matches; the core's matchers do.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::xxh3_64;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::cmdb::flag;
use super::extent::{self, MatchersWanted, Names, Preview, ScopeBody, ScopeShape};
use super::maintenance::DryRunQuery;
use super::order::idempotency_key;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::silence_order::{self, check, find, give};
use super::time::Time;
use crate::core::ids::SilenceId;
use crate::core::silence::given::{SilenceOrder, SilenceWanted};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{SilenceState, SilenceUuid};
use crate::core::time::Timestamp;
use crate::store::query::Listed;
use crate::store::query::silences::{self, SilenceView};

const SORTING: Sorting = Sorting {
    list: "silences",
    words: &["id"],
};
/// A silence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Silence {
    /// Its id.
    #[schema(example = "4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b")]
    id: String,
    /// `pending`, `active` or `expired`.
    state: &'static str,
    /// All of them must match.
    matchers: Vec<MatcherShape>,
    /// Which CIs.
    scope: ScopeShape,
    /// From then on.
    starts_at: Time,
    /// Until then.
    ends_at: Time,
    /// Who wants it.
    created_by: String,
    /// Why.
    comment: String,
    /// When it was made or changed last.
    updated_at: Time,
    /// Firing alerts that it keeps people from being told of.
    alerts: i64,
}

/// A condition on a label.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MatcherShape {
    /// The label.
    #[schema(example = "alertname")]
    pub(super) name: String,
    /// Its value, or an expression for the whole of it.
    #[schema(example = "DiskFull")]
    pub(super) value: String,
    /// Whether the value is an expression.
    #[serde(default, alias = "isRegex")]
    pub(super) is_regex: bool,
    /// Whether a match is wanted, not its absence.
    #[serde(default = "yes", alias = "isEqual")]
    pub(super) is_equal: bool,
}

const fn yes() -> bool {
    true
}

/// A condition as an object or as text like `instance=~"web.*"`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum MatcherWanted {
    /// As text; with braces around it several between commas.
    Text(String),
    /// As an object.
    Parts(MatcherShape),
}

/// What a silence shall be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SilenceBody {
    /// All of them must match; needed for a new one without a scope.
    matchers: Option<MatchersWanted>,
    /// From then on; now when not given or past.
    #[serde(alias = "startsAt", alias = "start", alias = "from")]
    starts_at: Option<Time>,
    /// Until then; this or a duration is needed for a new one.
    #[serde(
        alias = "endsAt",
        alias = "end",
        alias = "until",
        alias = "to",
        alias = "expires_at"
    )]
    ends_at: Option<Time>,
    /// How long it holds from its begin (when it has begun: from now).
    duration_s: Option<i64>,
    /// The same, like `2h`.
    duration: Option<String>,
    /// Who wants it; the caller when not given.
    #[serde(alias = "createdBy", alias = "author")]
    created_by: Option<String>,
    /// Why; needed for a new one.
    #[serde(alias = "reason", alias = "description")]
    comment: Option<String>,
    /// Ids or names of CIs; with a scope no matcher is needed.
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

impl SilenceBody {
    fn take_scope(&mut self) -> ScopeBody {
        let scope = ScopeBody {
            ci: self.ci.take(),
            downstream: self.downstream,
            class: self.class.take(),
            site: self.site.take(),
            service: self.service.take(),
        };
        scope.or(self.scope.take().unwrap_or_default())
    }
}

/// Which silences, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SilenceQuery {
    /// `pending`, `active` or `expired`; may be repeated or hold several between commas.
    pub state: Option<String>,
}

impl Silence {
    fn new(view: &SilenceView, now: Timestamp) -> Self {
        let silence = &view.silence;
        Self {
            id: silence.uuid.to_string(),
            state: silence.state(now).word(),
            matchers: silence.matchers.iter().map(MatcherShape::from).collect(),
            scope: ScopeShape::from(&*silence.scope),
            starts_at: silence.starts_at.into(),
            ends_at: silence.ends_at.into(),
            created_by: silence.created_by.to_string(),
            comment: silence.comment.to_string(),
            updated_at: silence.updated_at.into(),
            alerts: view.alerts,
        }
    }
}

impl From<&Matcher> for MatcherShape {
    fn from(matcher: &Matcher) -> Self {
        Self {
            name: matcher.name().to_string(),
            value: matcher.value().to_string(),
            is_regex: matcher.operator().is_regex(),
            is_equal: matcher.operator().is_equal(),
        }
    }
}

/// Silences, newest first.
#[utoipa::path(get, path = "/api/v1/silences", tag = "silences", params(SilenceQuery, PageQuery), responses(
    (status = 200, description = "A page of silences", body = List<Silence>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Silence>>, Problem> {
    let params = Params::read(query.as_deref(), &["state"])?;
    let wanted = params.wanted(SORTING)?;
    let words = SilenceState::ALL.map(SilenceState::word);
    let states = params.words("state", &words, SilenceState::from_word)?;
    let (now, page) = (api.now(), wanted.page);
    let listed: Listed<SilenceView> = api
        .read(async move |db| silences::list(db.snapshot().await?.lend(), &states, now, page).await)
        .await?;
    Ok(Json(wanted.list(listed, |view| Silence::new(&view, now))))
}

/// One silence.
#[utoipa::path(get, path = "/api/v1/silences/{id}", tag = "silences",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The silence", body = Silence)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Silence>, Problem> {
    let view = find(&api, uuid(&id)?).await?;
    Ok(Json(Silence::new(&view, api.now())))
}

/// Makes a silence; with `dry_run=true` only shows what it would hide now.
#[utoipa::path(post, path = "/api/v1/silences", tag = "silences", request_body = SilenceBody,
    params(DryRunQuery, super::commands::OnceHeader),
    responses((status = 201, description = "The silence", body = Silence)))]
pub async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let is_dry = flag(&Params::read(query.as_deref(), &["dry_run"])?, "dry_run")?;
    let body: SilenceBody = body::read(body).await?;
    let wanted = wanted(body, None, &caller.actor, api.now())?;
    if is_dry {
        let preview = extent::preview(&api, wanted.matchers, wanted.scope).await?;
        return Ok(Json(preview).into_response());
    }
    let once = once(&headers, &caller.actor, &wanted)?;
    let order = SilenceOrder::Put {
        wanted,
        replaces: None,
    };
    let view = give(&api, order, caller.actor, once).await?;
    let headers = [(LOCATION, format!("/api/v1/silences/{}", view.silence.uuid))];
    let silence = Silence::new(&view, api.now());
    Ok((StatusCode::CREATED, headers, Json(silence)).into_response())
}

/// Changes a silence; what is not named stays. Other matchers or another begin of an active one, or any change of one
/// that is over, give a new silence with a new id.
#[utoipa::path(put, path = "/api/v1/silences/{id}", tag = "silences", request_body = SilenceBody,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The silence afterwards", body = Silence)))]
pub async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Silence>, Problem> {
    replace(&api, caller, &id, body).await
}

/// The same as with PUT.
#[utoipa::path(post, path = "/api/v1/silences/{id}", tag = "silences", request_body = SilenceBody,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The silence afterwards", body = Silence)))]
pub async fn edit(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Silence>, Problem> {
    replace(&api, caller, &id, body).await
}

async fn replace(
    api: &ApiState,
    caller: Caller,
    id: &str,
    body: Body,
) -> Result<Json<Silence>, Problem> {
    let before = find(api, uuid(id)?).await?;
    let body: SilenceBody = body::read(body).await?;
    let wanted = wanted(body, Some(&before), &caller.actor, api.now())?;
    let replaces: Option<SilenceId> = Some(before.silence.id);
    let order = SilenceOrder::Put { wanted, replaces };
    let view = give(api, order, caller.actor, None).await?;
    Ok(Json(Silence::new(&view, api.now())))
}

/// Ends a silence now; it stays in the list as expired.
#[utoipa::path(delete, path = "/api/v1/silences/{id}", tag = "silences",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The silence afterwards", body = Silence)))]
pub async fn expire(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Silence>, Problem> {
    let view = silence_order::expire(&api, uuid(&id)?, caller.actor).await?;
    Ok(Json(Silence::new(&view, api.now())))
}

/// Which firing alerts a silence with these matchers would hide now; nothing is made.
#[utoipa::path(post, path = "/api/v1/silences/preview", tag = "silences", request_body = SilenceBody,
    responses((status = 200, description = "The alerts", body = Preview)))]
pub async fn preview(State(api): State<ApiState>, body: Body) -> Result<Json<Preview>, Problem> {
    let mut body: SilenceBody = body::read(body).await?;
    let scope = body.take_scope().into_scope(None);
    let matchers = body.matchers.map(extent::matchers);
    let matchers = matchers.transpose()?.unwrap_or_default();
    if matchers.is_empty() && scope.is_everything() {
        return Err(Problem::bad_request("at least one matcher required"));
    }
    Ok(Json(extent::preview(&api, matchers, scope).await?))
}

fn uuid(text: &str) -> Result<SilenceUuid, Problem> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Problem::not_found(format!(
            "{shown:?} is no id of a silence; /api/v1/silences lists them"
        ))
    })
}

/// What is wanted in full: what the body does not name comes from the silence that is changed.
fn wanted(
    mut body: SilenceBody,
    before: Option<&SilenceView>,
    actor: &SmolStr,
    now: Timestamp,
) -> Result<SilenceWanted, Problem> {
    let before = before.map(|view| &view.silence);
    let missing = |field: &str| Problem::bad_request(format!("{field} is missing"));
    let scope = body.take_scope();
    let scope = scope.into_scope(before.map(|it| &*it.scope));
    let span = extent::span(body.duration.as_deref(), body.duration_s)?;
    let matchers = match (body.matchers, before) {
        (Some(wanted), _) => extent::matchers(wanted)?,
        (None, Some(before)) => before.matchers.to_vec(),
        (None, None) if scope.is_everything() => return Err(missing("matchers")),
        (None, None) => Vec::new(),
    };
    let kept = before.filter(|it| it.state(now) != SilenceState::Expired);
    let starts_at = body.starts_at.map(|time| time.0);
    let starts_at = starts_at.or(kept.map(|it| it.starts_at)).unwrap_or(now);
    let ends_at = match (body.ends_at, span) {
        (Some(_), Some(_)) => {
            let detail = "give either ends_at or a duration";
            return Err(Problem::bad_request(detail));
        }
        (Some(time), None) => time.0,
        (None, Some(span)) => starts_at.max(now).plus(span),
        (None, None) => kept
            .map(|it| it.ends_at)
            .ok_or_else(|| missing("ends_at (or duration_s)"))?,
    };
    let comment = body.comment.map(SmolStr::from);
    let comment = comment.or(before.map(|it| it.comment.clone()));
    let comment = comment.filter(|text| !text.trim().is_empty());
    let created_by = body.created_by.filter(|name| !name.trim().is_empty());
    let created_by = created_by.map(SmolStr::from);
    let created_by = created_by.or(before.map(|it| it.created_by.clone()));
    let wanted = SilenceWanted {
        matchers,
        scope,
        starts_at: if before.is_none() {
            starts_at.max(now)
        } else {
            starts_at
        },
        ends_at,
        created_by: created_by.unwrap_or_else(|| actor.clone()),
        comment: comment.ok_or_else(|| {
            Problem::bad_request("comment is missing; say why people must not be told")
        })?,
    };
    check(&wanted, now).map_err(Problem::bad_request)?;
    Ok(wanted)
}

/// The key under which the same order makes one silence.
fn once(
    headers: &HeaderMap,
    actor: &SmolStr,
    wanted: &SilenceWanted,
) -> Result<Option<u64>, Problem> {
    let Some(key) = idempotency_key(headers)? else {
        return Ok(None);
    };
    // Times that were left to us differ from try to try; the key is what tells two orders apart.
    let matchers =
        serde_json::to_vec(&(&wanted.matchers, &wanted.scope)).map_err(|_| Problem::internal())?;
    let parts = [actor.as_bytes(), &[0], &key, &[0], &matchers].concat();
    Ok(Some(xxh3_64(&parts)))
}
