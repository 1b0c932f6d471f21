//! The configured sources and how they do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;

/// A configured source.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct SourceStatus {
    /// Its name.
    #[schema(example = "alertmanager")]
    pub name: String,
    /// The kind that decides how its messages are read.
    #[schema(example = "alertmanager")]
    pub kind: String,
    /// Where its messages are sent to; null when it is not sent to over HTTP.
    #[schema(example = "/ingest/alertmanager")]
    pub path: Option<String>,
    /// The connection to its broker; null when it is no MQTT source.
    pub connection: Option<SourceConnection>,
    /// What was wrong with the last message that could not be used since the daemon started.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Time>,
    /// Whether messages are taken without a secret.
    pub open: bool,
    /// Whether its own list of alerts is asked for.
    pub reconciled: bool,
    /// When its last message was received since the daemon started.
    pub last_message_at: Option<Time>,
    /// Messages by outcome since the daemon started.
    pub messages: BTreeMap<String, u64>,
    /// How far its clock is ahead of ours; null when not known.
    pub skew_s: Option<f64>,
}

/// The connection of a source to its broker.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct SourceConnection {
    /// The broker.
    #[schema(example = "mqtts://broker.example:8883")]
    pub broker: String,
    /// Whether the broker has accepted us and the connection stands.
    pub connected: bool,
    /// Since when that is so.
    pub since: Option<Time>,
    /// Whether the broker had kept our session, with what came meanwhile, at the last connect.
    pub session_kept: bool,
    /// Whether messages wait at the broker because they cannot be stored.
    pub waiting: bool,
    /// What went wrong last; kept when it is over.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Time>,
}

const SORTING: Sorting = Sorting {
    list: "sources",
    words: &["id"],
};

/// The configured sources, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(PageQuery), responses(
    (status = 200, description = "All sources", body = List<SourceStatus>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<SourceStatus>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice((api.setup().sources)())))
}
