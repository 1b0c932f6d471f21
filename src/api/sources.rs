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
    /// Whether messages are taken without a secret.
    pub open: bool,
    /// Whether its own list of alerts is asked for.
    pub reconciled: bool,
    /// When its last message was received since the daemon started.
    pub last_message_at: Option<Time>,
    /// After how long without a message its silence is an alert; null when that is not watched.
    pub silent_after_s: Option<f64>,
    /// Whether it is silent for that long; null when that is not watched.
    pub silent: Option<bool>,
    /// The last subscription that Amazon SNS asked to confirm; null when there was none since the daemon started.
    pub subscription: Option<SubscriptionStatus>,
    /// Messages by outcome since the daemon started.
    pub messages: BTreeMap<String, u64>,
    /// How far its clock is ahead of ours; null when not known.
    pub skew_s: Option<f64>,
}

/// A subscription that wants to be confirmed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SubscriptionStatus {
    /// The topic.
    pub topic: String,
    /// The address that confirms it when it is opened, within two days.
    pub url: String,
    /// When it was asked for.
    pub at: Time,
    /// Whether it was confirmed from here.
    pub confirmed: bool,
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
