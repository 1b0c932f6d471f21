//! The configured heartbeats and how they do.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;

/// A configured heartbeat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HeartbeatStatus {
    /// Its name.
    #[schema(example = "backup")]
    pub name: String,
    /// `new` (never heard), `up` or `missing`.
    #[schema(example = "up")]
    pub state: &'static str,
    /// Where it is pinged; null when only an alert feeds it.
    #[schema(example = "/heartbeat/backup")]
    pub path: Option<String>,
    /// The source whose alert feeds it.
    pub watchdog: Option<String>,
    /// Time between two pings.
    pub every_s: f64,
    /// How much later than that a ping may come.
    pub grace_s: f64,
    /// How long a run may take that said when it began.
    pub max_run_s: f64,
    /// How bad it is when none comes.
    pub severity: &'static str,
    /// When it was heard last.
    pub last_ping_at: Option<Time>,
    /// When it counts as missing unless it is heard before; null when it is missing or was never heard.
    pub due_at: Option<Time>,
    /// Since when its job runs, if it said that it begins and has not ended.
    pub running_since: Option<Time>,
    /// How long the last run took that said when it began.
    pub last_run_s: Option<f64>,
    /// What its job said when it failed; null since it succeeded.
    pub failure: Option<String>,
    /// The key of its alert.
    #[schema(example = "heartbeat:v1:backup")]
    pub key: String,
}

const SORTING: Sorting = Sorting {
    list: "heartbeats",
    words: &["id"],
};

/// The configured heartbeats, by name.
#[utoipa::path(get, path = "/api/v1/heartbeats", tag = "heartbeats", params(PageQuery), responses(
    (status = 200, description = "All heartbeats", body = List<HeartbeatStatus>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<HeartbeatStatus>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice((api.setup().heartbeats)())))
}
