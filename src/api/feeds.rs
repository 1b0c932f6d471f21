//! The calendars that are read from an address, and how they do.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;

/// A calendar that is read from an address.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct FeedStatus {
    /// For what it is read.
    #[schema(example = "maintenance plant")]
    pub name: String,
    /// The server; the rest of such addresses often is secret.
    #[schema(example = "https://calendar.example")]
    pub from: String,
    /// Seconds between two reads.
    #[schema(example = 900.0)]
    pub every_s: f64,
    /// Events of the text that is used; null before the first.
    pub events: Option<usize>,
    /// Whether the text that is used is the copy of an earlier run.
    pub copy: bool,
    /// When it was read last, since the daemon started.
    pub last_success_at: Option<Time>,
    /// Why the last read failed; null when it did not.
    pub last_error: Option<String>,
    /// When one failed last.
    pub last_error_at: Option<Time>,
    /// When it is read next.
    pub next_due_at: Option<Time>,
}

const SORTING: Sorting = Sorting {
    list: "feeds",
    words: &["name"],
};

/// The calendars that are read from an address: last success, last error, next due. A read that fails changes nothing.
#[utoipa::path(get, path = "/api/v1/maintenance/feeds", operation_id = "feeds", tag = "maintenance", params(PageQuery), responses(
    (status = 200, description = "All of them", body = List<FeedStatus>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<FeedStatus>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice((api.setup().feeds)())))
}
