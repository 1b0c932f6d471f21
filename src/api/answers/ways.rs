//! The brokers and mailboxes by which answers come, and how they do.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::page::{List, PageQuery, Params, Sorting};
use crate::api::problem::Problem;
use crate::api::time::Time;

/// A way by which answers come, beside the links of messages.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct AnswerWay {
    /// Its name.
    #[schema(example = "replies")]
    pub name: String,
    /// `mqtt` or `mailbox`.
    #[schema(example = "mailbox")]
    pub kind: &'static str,
    /// The server.
    #[schema(example = "imaps://mail.example:993")]
    pub server: String,
    /// What is subscribed, or the folder that is looked into.
    #[schema(example = json!(["INBOX"]))]
    pub listens_to: Vec<String>,
    /// Seconds between two looks into a mailbox.
    pub every_s: Option<f64>,
    /// `up`, `down` (the last try failed, or the connection is gone), or `unknown` before the first.
    #[schema(example = "up")]
    pub health: &'static str,
    /// Since when it is so.
    pub since: Option<Time>,
    /// Answers that were carried out since the daemon started.
    pub answered: u64,
    /// What could not be carried out since then; it is kept among the dead letters.
    pub refused: u64,
    /// When somebody answered last.
    pub last_answer_at: Option<Time>,
    /// What went wrong last; kept when it is over.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Time>,
}

const SORTING: Sorting = Sorting {
    list: "answers",
    words: &["name"],
};

/// The brokers and mailboxes by which people answer messages, and how they do.
#[utoipa::path(get, path = "/api/v1/answers", operation_id = "answer_ways", tag = "targets", params(PageQuery), responses(
    (status = 200, description = "All of them", body = List<AnswerWay>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<AnswerWay>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice((api.setup().tell.answers)())))
}
