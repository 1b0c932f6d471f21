//! API tokens: list, make, revoke. For administrators only.
//!
//! The text of a token is in the answer that makes it and nowhere else.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::{self, Time};
use crate::api_token::{self, NotARole, Role};
use crate::core::limits;
use crate::core::time::Timestamp;
use crate::store::tokens::{self, TokenRow};

const SORTING: Sorting = Sorting {
    list: "tokens",
    words: &["id", "created_at"],
};

/// A token's record, without the token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    /// Its public id, by which it is revoked.
    #[schema(example = "tok-9f86d081884c")]
    id: String,
    /// Whom it is for; recorded with everything that is done with it.
    name: String,
    /// What it is good for.
    #[schema(value_type = super::words::TokenRole)]
    role: String,
    /// When it was made.
    created_at: Time,
    /// When it ends by itself.
    expires_at: Option<Time>,
    /// When it was revoked.
    revoked_at: Option<Time>,
    /// Whether it works now.
    valid: bool,
}

/// A new token, with its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    #[serde(flatten)]
    record: Token,
    /// The token. It is shown this once and stored nowhere.
    #[schema(example = "wbt_...")]
    token: String,
}

/// What a new token shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenWanted {
    /// Whom it is for.
    #[schema(example = "ana")]
    name: String,
    /// What it is good for.
    #[schema(value_type = super::words::TokenRole)]
    role: String,
    /// When it ends: a time, or a length of time like `30d`; never when not given.
    #[serde(default)]
    #[schema(example = "30d")]
    expires: Option<String>,
}

/// Every token, revoked or not, newest first.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageQuery), responses(
    (status = 200, description = "A page of tokens", body = List<Token>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Token>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    let mut rows = api
        .read(async move |db| tokens::list(db.reader().await?.lend()).await)
        .await?;
    rows.reverse();
    let now = api.now();
    Ok(Json(wanted.slice(
        rows.into_iter().map(|row| Token::new(row, now)).collect(),
    )))
}

/// Makes a token. Its text is in this answer only.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenWanted, responses(
    (status = 201, description = "The token", body = NewToken),
))]
pub async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: TokenWanted = body::read(body).await?;
    let now = api.now();
    let random = (api.setup().entropy)().map_err(|error| {
        log::error!(error = error.as_str(); "no token can be made: {error}");
        Problem::internal()
    })?;
    let token = api_token::mint(random);
    let hash = api.setup().auth.key.hash(&token);
    let row = TokenRow {
        id: api_token::public_id(&hash),
        name: name(&wanted.name)?,
        role: role(&wanted.role)?.as_str().to_owned(),
        hash,
        created_at: now.as_millis(),
        expires_at: wanted
            .expires
            .as_deref()
            .map(|text| end(text, now))
            .transpose()?,
        revoked_at: None,
    };
    let stored = row.clone();
    let actor = caller.actor.clone();
    api.read(async move |db| tokens::create(&mut db.connect().await?, &stored, &actor).await)
        .await?;
    log::info!(
        "token.id" = row.id.as_str(), actor = caller.actor.as_str();
        "{} made the token {} for {} with the role {}", caller.actor, row.id, row.name, row.role
    );
    let headers = [(LOCATION, format!("/api/v1/tokens/{}", row.id))];
    let record = Token::new(row, now);
    Ok((
        StatusCode::CREATED,
        headers,
        Json(NewToken { record, token }),
    )
        .into_response())
}

/// Revokes a token; it stays in the list.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "Its id, like tok-9f86d081884c")),
    responses((status = 204, description = "It no longer works")),
)]
pub async fn revoke(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let now = api.now();
    let wanted = id.clone();
    let actor = caller.actor.clone();
    let (was_revoked, is_known) = api
        .read(async move |db| {
            if id.contains('\0') {
                return Ok((false, false));
            }
            let mut conn = db.connect().await?;
            let was_revoked = tokens::withdraw(&mut conn, &id, now, &actor).await?;
            let is_known = tokens::list(conn.lend())
                .await?
                .iter()
                .any(|row| row.id == id);
            Ok((was_revoked, is_known))
        })
        .await?;
    api.auth().forget();
    if !is_known {
        return Err(Problem::not_found(
            "there is no token with this id; /api/v1/tokens lists them",
        ));
    }
    if was_revoked {
        log::info!(
            "token.id" = wanted.as_str(), actor = caller.actor.as_str();
            "{} revoked the token {wanted}", caller.actor
        );
    }
    Ok(StatusCode::NO_CONTENT)
}

fn name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    let is_fine = !name.is_empty()
        && name.len() <= limits::NAME_BYTES_MAX
        && !name.chars().any(char::is_control);
    if is_fine {
        Ok(name.to_owned())
    } else {
        let max = limits::NAME_BYTES_MAX;
        Err(Problem::bad_request(format!(
            "name is one line of 1 to {max} bytes"
        )))
    }
}

fn role(word: &str) -> Result<Role, Problem> {
    word.parse().map_err(|NotARole| {
        let words = Role::ALL.map(Role::as_str).join(", ");
        Problem::bad_request(format!("{word:?} is no role; it is one of {words}"))
    })
}

fn end(text: &str, now: Timestamp) -> Result<i64, Problem> {
    let end = match time::read_span(text) {
        Some(span) => now.plus(span),
        None => time::read(text).map_err(|_| {
            let detail =
                "expires is a length of time like 30d, or a time like 2026-11-20T12:30:00Z";
            Problem::bad_request(detail)
        })?,
    };
    if end <= now {
        return Err(Problem::bad_request("expires is not in the future"));
    }
    Ok(end.as_millis())
}

impl Token {
    fn new(row: TokenRow, now: Timestamp) -> Self {
        let time = |ms: i64| Time(Timestamp::from_millis(ms));
        Self {
            valid: super::auth::is_valid(&row, now),
            id: row.id,
            name: row.name,
            role: row.role,
            created_at: time(row.created_at),
            expires_at: row.expires_at.map(time),
            revoked_at: row.revoked_at.map(time),
        }
    }
}
