//! The configured sources, how they do, and what one would make of a message.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;
use super::{ApiState, body};

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
    /// Whether messages are taken without a secret.
    pub open: bool,
    /// Whether its own list of alerts is asked for.
    pub reconciled: bool,
    /// When its last message was received; null when there never was one.
    pub last_message_at: Option<Time>,
    /// After how long without a message its silence is an alert; null when that is not watched.
    pub silent_after_s: Option<f64>,
    /// Whether it is silent for that long; null when that is not watched.
    pub silent: Option<bool>,
    /// The last subscription that Amazon SNS asked to confirm; null when there was none since the daemon started.
    pub subscription: Option<SubscriptionStatus>,
    /// How long ago that is.
    pub silent_s: Option<f64>,
    /// When its product's last test message was received since the daemon started.
    pub last_test_at: Option<Time>,
    /// That message as it came: some hold a code or an address that a person has to read.
    pub last_test: Option<String>,
    /// Test messages since the daemon started.
    pub tests: u64,
    /// Messages a second over the last five minutes.
    pub rate: f64,
    /// Messages by outcome since the daemon started.
    pub messages: BTreeMap<String, u64>,
    /// Messages that could not be used in whole.
    pub errors: SourceErrors,
    /// How far its clock is ahead of ours; null when not known.
    pub skew_s: Option<f64>,
    /// Labels by which one trouble comes as ever new alerts.
    pub volatile_labels: Vec<VolatileLabels>,
    /// What somebody should look at, one sentence each.
    pub warnings: Vec<String>,
}

/// What was wrong with messages of a source since the daemon started.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct SourceErrors {
    /// How many messages could not be used in whole.
    pub count: u64,
    /// When the last one was received.
    pub last_at: Option<Time>,
    /// What was wrong with it, and where.
    pub last_reason: Option<String>,
}

/// Labels that never stay the same.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct VolatileLabels {
    /// The rule.
    #[schema(example = "PodDown")]
    pub alertname: String,
    /// Their names.
    pub labels: Vec<String>,
    /// How many alerts came of it so far, one after the other.
    pub variants: u32,
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

/// One source.
#[utoipa::path(get, path = "/api/v1/sources/{name}", tag = "sources",
    params(("name" = String, Path, description = "The name of the source")),
    responses((status = 200, description = "The source", body = SourceStatus)))]
pub async fn one(
    State(api): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<SourceStatus>, Problem> {
    let sources = (api.setup().sources)();
    let found = sources.into_iter().find(|source| source.name == name);
    found.map(Json).ok_or_else(|| unknown(&api, &name))
}

/// Bytes of a message that is tried; as many as a sender may send by default.
const TRIED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Carries the topic of a message that would come over MQTT.
const TOPIC_HEADER: &str = "x-watchbell-topic";
/// Letters by which a name may differ from one that is meant.
const TYPOS_MAX: usize = 2;

/// A message to be tried, as it would come to its source.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The name of the source.
    pub source: String,
    /// The headers, with the declared type of the body.
    pub headers: HeaderMap,
    /// The query.
    pub query: Option<String>,
    /// The topic, or empty.
    pub topic: String,
    /// The body.
    pub body: Bytes,
}

/// What a source would make of a message.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Tried {
    /// The name of the source.
    #[schema(example = "grid")]
    pub source: String,
    /// Its kind.
    #[schema(example = "json")]
    pub kind: String,
    /// Whether all of it was understood.
    pub understood: bool,
    /// Why the message as a whole makes no sense: place, what is wrong, what to do.
    pub error: Option<String>,
    /// Items that would become observations.
    pub observed: usize,
    /// Items that cannot be used.
    pub rejected: usize,
    /// Items that rightly say nothing about an alert.
    pub skipped: usize,
    /// Test messages of the product.
    pub tests: usize,
    /// The items, in the order of the message, the first hundred: `outcome`, `key` with `key_inputs`, `status`,
    /// `severity`, `summary`, `starts_at`, `ends_at`, `labels`, `annotations`, `url`, `ci_hints`, what is `missing`, and
    /// the `problem` of one that cannot be used. What does not apply is left out.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<serde_json::Value>,
    /// Oddities that were passed over, with their places.
    pub notes: Vec<String>,
    /// What would make more of it.
    pub advice: Vec<String>,
}

/// Shows what a source would make of a message. Nothing is stored, and no alert comes of it.
///
/// The body, its content type, the other headers and the query are taken as a sender would send them; the header
/// X-Watchbell-Topic carries the topic of a message that would come over MQTT.
#[utoipa::path(post, path = "/api/v1/sources/{name}/try", tag = "sources",
    params(("name" = String, Path, description = "The name of the source")),
    request_body(content = String, description = "The message as its sender writes it", content_type = "*/*"),
    responses((status = 200, description = "What was made of it, understood or not", body = Tried)))]
pub async fn try_message(
    State(api): State<ApiState>,
    Path(source): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Tried>, Problem> {
    let body = body::collect(body, TRIED_BYTES_MAX).await?.freeze();
    let topic = headers.get(TOPIC_HEADER).map(|topic| topic.as_bytes());
    let trial = Trial {
        topic: String::from_utf8_lossy(topic.unwrap_or_default()).into_owned(),
        source: source.clone(),
        headers,
        query,
        body,
    };
    let decode = api.setup().try_source.clone();
    // A large message takes a while.
    let tried = api
        .run(tokio::task::spawn_blocking(move || decode(trial)))
        .await?
        .map_err(|error| {
            log::error!(error:% = error; "a message that was tried met a defect: {error}");
            Problem::internal()
        })?;
    tried.map(Json).ok_or_else(|| unknown(&api, &source))
}

fn unknown(api: &ApiState, wanted: &str) -> Problem {
    let sources = (api.setup().sources)();
    let distance = |source: &SourceStatus| strsim::damerau_levenshtein(&source.name, wanted);
    let near = sources
        .iter()
        .map(|source| (distance(source), &source.name))
        .min();
    let hint = match near.filter(|(distance, _)| *distance <= TYPOS_MAX) {
        Some((_, name)) => format!("did you mean {name}?"),
        None => "/api/v1/sources lists them".to_owned(),
    };
    let wanted: String = wanted.chars().take(64).collect();
    Problem::not_found(format!("there is no source {wanted:?}; {hint}"))
}
