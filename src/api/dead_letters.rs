//! What could not be understood: the list, and one with its body.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::{Kind, Problem};
use super::time::Time;
use crate::core::time::Timestamp;
use crate::store::dead_letters::DeadLetter as Stored;
use crate::store::query::dead_letters::{self, DeadLetterHead};

const SORTING: Sorting = Sorting {
    list: "dead-letters",
    words: &["id", "at"],
};
const PREFIX: &str = "D-";

/// A message, or a part of one, that could not be understood.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// Its id.
    #[schema(example = "D-3")]
    id: String,
    /// When it was put aside.
    at: Time,
    /// The source it came to.
    source: String,
    /// The kind of trouble, as a stable word.
    reason: String,
    /// What is wrong, and where.
    detail: String,
    /// The declared type of the body.
    content_type: Option<String>,
    /// How long the body was.
    body_bytes: i64,
}

/// The same with its body.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterWithBody {
    #[serde(flatten)]
    head: DeadLetter,
    /// The body as text; bytes that are no text are replaced, and what is very long is cut.
    body: String,
    /// The very bytes in Base64.
    body_base64: String,
    /// Whether only the first bytes were kept; then it cannot be replayed.
    cut: bool,
}

/// What a replayed dead letter came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayedLetter {
    /// The id that it had.
    #[schema(example = "D-3")]
    id: String,
    /// Always `replayed`.
    status: &'static str,
    /// Its position in the input log.
    seq: i64,
    /// Claims that were understood.
    observations: usize,
}

/// What became of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It is a message now.
    Done {
        /// Its position in the input log.
        seq: i64,
        /// Claims that were understood.
        observations: usize,
    },
    /// It is not there.
    Gone,
    /// It cannot be replayed as things are.
    Refused(String),
    /// It is still not understood.
    NotUnderstood(String),
    /// It could not be stored now.
    Unavailable(String),
}

/// Which dead letters; each may be repeated or hold several values between commas.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeadLetterQuery {
    /// The source.
    pub source: Option<String>,
    /// The kind of trouble.
    pub reason: Option<String>,
}

/// Dead letters without their bodies, newest first.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", params(DeadLetterQuery, PageQuery),
    responses((status = 200, description = "A page of dead letters", body = List<DeadLetter>)),
)]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<DeadLetter>>, Problem> {
    let params = Params::read(query.as_deref(), &["source", "reason"])?;
    let wanted = params.wanted(SORTING)?;
    let (sources, reasons) = (params.values("source")?, params.values("reason")?);
    let page = wanted.page;
    let listed = api
        .read(async move |db| {
            dead_letters::list(db.snapshot().await?.lend(), &sources, &reasons, page).await
        })
        .await?;
    Ok(Json(wanted.list(listed, DeadLetter::from)))
}

/// One dead letter with its body.
#[utoipa::path(get, path = "/api/v1/dead-letters/{id}", tag = "dead letters",
    params(("id" = String, Path, description = "Its id, like D-3 or 3")),
    responses((status = 200, description = "The dead letter", body = DeadLetterWithBody)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<DeadLetterWithBody>, Problem> {
    let letter = read(&api, &id).await?;
    let kept = i64::try_from(letter.body.len()).unwrap_or(i64::MAX);
    Ok(Json(DeadLetterWithBody {
        body: String::from_utf8_lossy(&letter.body).into_owned(),
        body_base64: STANDARD.encode(&letter.body),
        cut: kept < letter.body_bytes,
        head: DeadLetter {
            id: format!("{PREFIX}{}", letter.id),
            at: Time(Timestamp::from_millis(letter.at)),
            source: letter.source,
            reason: letter.reason,
            detail: letter.detail,
            content_type: letter.content_type,
            body_bytes: letter.body_bytes,
        },
    }))
}

/// Decodes a dead letter again, by the present configuration; what is understood now is a message from then on.
#[utoipa::path(post, path = "/api/v1/dead-letters/{id}/replay", tag = "dead letters",
    params(("id" = String, Path, description = "Its id, like D-3 or 3")),
    responses((status = 200, description = "It is a message now, and no dead letter any more", body = ReplayedLetter)),
)]
pub async fn replay(
    State(api): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<ReplayedLetter>, Problem> {
    let letter = read(&api, &id).await?;
    let id = format!("{PREFIX}{}", letter.id);
    let replayed = (api.setup().replay)(letter);
    match api.run(replayed).await? {
        Replayed::Done { seq, observations } => Ok(Json(ReplayedLetter {
            id,
            status: "replayed",
            seq,
            observations,
        })),
        Replayed::Gone => Err(missing()),
        Replayed::Refused(why) => Err(Problem::new(Kind::NotReplayable, why)),
        Replayed::NotUnderstood(why) => Err(Problem::new(Kind::NotUnderstood, why)),
        Replayed::Unavailable(why) => Err(Problem::new(Kind::Overloaded, why)),
    }
}

fn missing() -> Problem {
    Problem::not_found("there is no such dead letter; an id looks like D-3")
}

async fn read(api: &ApiState, id: &str) -> Result<Stored, Problem> {
    let bare = match id.get(..PREFIX.len()) {
        Some(head) if head.eq_ignore_ascii_case(PREFIX) => {
            id.get(PREFIX.len()..).unwrap_or_default()
        }
        Some(_) | None => id,
    };
    let is_number = bare.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = bare
        .parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(missing)?;
    let found = api
        .read(async move |db| {
            crate::store::dead_letters::find(db.snapshot().await?.lend(), number).await
        })
        .await?;
    found.ok_or_else(missing)
}

impl From<DeadLetterHead> for DeadLetter {
    fn from(head: DeadLetterHead) -> Self {
        Self {
            id: format!("{PREFIX}{}", head.id),
            at: Time(Timestamp::from_millis(head.at)),
            source: head.source,
            reason: head.reason,
            detail: head.detail,
            content_type: head.content_type,
            body_bytes: head.body_bytes,
        }
    }
}
