//! The audit: who did what, when, to which record, before and after, and why; for admins.
//!
//! Must not offer a way to change it.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::changes::since;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;
use crate::core::time::Timestamp;
use crate::store::audit::{self, AuditRow};
use crate::store::query::audit::{AuditFilter, list as list_rows};

const SORTING: Sorting = Sorting {
    list: "audit",
    words: &["id", "at"],
};
/// The partition of a daemon that has only one.
const PARTITION: i64 = 0;

/// A row of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number, from 1 without a gap.
    id: i64,
    /// When.
    at: Time,
    /// The position of the order in the input log; null for what is no input.
    seq: Option<i64>,
    /// Who: a token's name, a source, or `watchbell`.
    actor: String,
    /// What was done.
    #[schema(example = "incident.acknowledge")]
    action: String,
    /// To which record.
    #[schema(example = "INC-42")]
    subject: String,
    /// What it was before, as far as it changed.
    before: Value,
    /// What it is now.
    after: Value,
    /// Why, in the words of whoever did it.
    why: Option<String>,
    /// The hash over the row and the hash of the one before.
    hash: String,
}

/// How the chain of hashes was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditState {
    /// Whether every row is as it was written and none is missing.
    intact: bool,
    /// Rows that fit.
    rows: i64,
    /// The hash of the last of them; keep it elsewhere to prove later that nothing before it was changed.
    hash: String,
    /// The first row that does not fit.
    broken_at: Option<i64>,
    /// What is wrong with it.
    problem: Option<String>,
}

/// Which rows, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Who; several between commas.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// To which record, like INC-42.
    pub subject: Option<String>,
    /// No earlier than this time, or no longer ago than this, like `7d`.
    pub since: Option<String>,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        let object = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        Self {
            id: row.id,
            at: Timestamp::from_millis(row.at).into(),
            seq: row.seq,
            before: object(&row.before_values),
            after: object(&row.after_values),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            why: row.why,
            hash: row.hash,
        }
    }
}

/// Who did what, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery, PageQuery), responses(
    (status = 200, description = "A page of the audit", body = List<AuditEntry>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let params = Params::read(query.as_deref(), &["actor", "action", "subject", "since"])?;
    let wanted = params.wanted(SORTING)?;
    let filter = AuditFilter {
        actors: params.values("actor")?,
        actions: params.values("action")?,
        subjects: params.values("subject")?,
        since: since(&params, api.now())?.map(Timestamp::as_millis),
    };
    let page = wanted.page;
    let listed = api
        .read(async move |db| list_rows(db.reader().await?.lend(), &filter, page).await)
        .await?;
    Ok(Json(wanted.list(listed, AuditEntry::from)))
}

/// Whether the chain of hashes is whole.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", responses(
    (status = 200, description = "How it was found", body = AuditState),
))]
pub async fn verify(State(api): State<ApiState>) -> Result<Json<AuditState>, Problem> {
    let found = api
        .read(async move |db| audit::verify(db.reader().await?.lend(), PARTITION).await)
        .await?;
    let (broken_at, problem) = found.broken.unzip();
    Ok(Json(AuditState {
        intact: broken_at.is_none(),
        rows: found.rows,
        hash: found.hash,
        broken_at,
        problem,
    }))
}
