//! The configured targets, how they do, and what people can ask of them.

use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::answers::ways::AnswerWay;
use super::auth::Caller;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::{Kind, Problem};
use super::time::Time;

const SORTING: Sorting = Sorting {
    list: "targets",
    words: &["id", "name"],
};

/// A configured target and how it does.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TargetStatus {
    /// Its name.
    #[schema(example = "ops-chat")]
    pub name: String,
    /// Its kind.
    #[schema(example = "slack")]
    pub kind: String,
    /// `up`, `failing` (the last try failed), `down` (failed so often that it is only tried now and then), `paused`, or
    /// `unknown` when nothing was sent yet.
    #[schema(example = "up")]
    pub health: &'static str,
    /// Whether a person has paused it.
    pub paused: bool,
    /// Since when.
    pub paused_at: Option<Time>,
    /// By whom.
    pub paused_by: Option<String>,
    /// Messages that wait.
    pub queue: i64,
    /// Age of the oldest of them.
    pub oldest_s: Option<f64>,
    /// Messages that arrived since the daemon started.
    pub sent: u64,
    /// Tries that failed since then.
    pub failed: u64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// When a message arrived last.
    pub last_sent_at: Option<Time>,
    /// When a try failed last.
    pub last_error_at: Option<Time>,
    /// Why.
    pub last_error: Option<String>,
    /// Until when nothing is sent, because it failed too often or asked for it.
    pub retry_at: Option<Time>,
}

/// A try of a target: what went over the wire, secrets masked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SentTest {
    /// The target.
    pub target: String,
    /// Its kind.
    pub kind: String,
    /// Whether it arrived.
    pub ok: bool,
    /// What went wrong.
    pub error: Option<String>,
    /// What the target answered, as a number.
    pub status: Option<i64>,
    /// What was sent.
    pub request: String,
    /// What came back.
    pub response: String,
    /// How long it took.
    pub took_s: f64,
}

/// What a person asks of targets and their messages.
#[derive(Clone, Debug)]
pub enum Order {
    /// Nothing is sent until it goes on.
    Pause {
        /// The target.
        name: String,
        /// Who says so.
        actor: String,
    },
    /// It goes on.
    Resume {
        /// The target.
        name: String,
    },
    /// Dead messages are tried again, or given up for good.
    Revive {
        /// Which; all when not given.
        id: Option<i64>,
        /// Of which target; of any when not given.
        target: Option<String>,
        /// Whether they are given up.
        is_discarded: bool,
    },
}

/// What an order came to.
#[derive(Clone, Debug)]
pub enum Ordered {
    /// It is done.
    Done,
    /// It reached so many messages.
    Reached(u64),
    /// There is no target of this name.
    NoSuchTarget,
    /// It could not be stored now.
    Unavailable(String),
}

/// What will come of an order.
pub type OrderFuture = Pin<Box<dyn Future<Output = Ordered> + Send>>;
/// What will come of a try; `None` when there is no target of this name.
pub type TestFuture = Pin<Box<dyn Future<Output = Option<SentTest>> + Send>>;

/// The way to those who tell people.
#[derive(Clone)]
pub struct TellHooks {
    /// The configured targets and how they do.
    pub targets: Arc<dyn Fn() -> Vec<TargetStatus> + Send + Sync>,
    /// Takes an order.
    pub order: Arc<dyn Fn(Order) -> OrderFuture + Send + Sync>,
    /// The brokers and mailboxes by which answers come, and how they do.
    pub answers: Arc<dyn Fn() -> Vec<AnswerWay> + Send + Sync>,
    /// Sends a try to a target, and to one person by it if an address is given.
    pub test: Arc<dyn Fn(String, String) -> TestFuture + Send + Sync>,
}

impl TellHooks {
    /// Where there are no targets.
    pub fn none() -> Self {
        Self {
            targets: Arc::new(Vec::new),
            answers: Arc::new(Vec::new),
            order: Arc::new(|_| Box::pin(async { Ordered::NoSuchTarget })),
            test: Arc::new(|_, _| Box::pin(async { None })),
        }
    }
}

impl std::fmt::Debug for TellHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TellHooks").finish_non_exhaustive()
    }
}

/// The configured targets, by name.
#[utoipa::path(get, path = "/api/v1/targets", tag = "targets", params(PageQuery), responses(
    (status = 200, description = "All targets", body = List<TargetStatus>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<TargetStatus>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice((api.setup().tell.targets)())))
}

/// One target.
#[utoipa::path(get, path = "/api/v1/targets/{name}", tag = "targets",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The target", body = TargetStatus)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<TargetStatus>, Problem> {
    Ok(Json(find(&api, &name)?))
}

/// Stops sending to a target; what is due waits, and is looked at again when it goes on.
#[utoipa::path(post, path = "/api/v1/targets/{name}/pause", tag = "targets",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The target afterwards", body = TargetStatus)),
)]
pub async fn pause(
    State(api): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<TargetStatus>, Problem> {
    let actor = caller.actor.to_string();
    give(
        &api,
        Order::Pause {
            name: name.clone(),
            actor,
        },
    )
    .await?;
    Ok(Json(find(&api, &name)?))
}

/// Goes on sending to a target.
#[utoipa::path(post, path = "/api/v1/targets/{name}/resume", tag = "targets",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The target afterwards", body = TargetStatus)),
)]
pub async fn resume(
    State(api): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<TargetStatus>, Problem> {
    give(&api, Order::Resume { name: name.clone() }).await?;
    Ok(Json(find(&api, &name)?))
}

/// Sends a try to a target and shows what went over the wire, secrets masked.
#[utoipa::path(post, path = "/api/v1/targets/{name}/test", tag = "targets",
    params(
        ("name" = String, Path, description = "Its name"),
        ("to" = Option<String>, Query, description = "The address of one person, for targets that need one"),
    ),
    responses((status = 200, description = "What came of it", body = SentTest)),
)]
pub async fn test(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<SentTest>, Problem> {
    let params = Params::read(query.as_deref(), &["to"])?;
    let to = params.one("to")?.unwrap_or_default().to_owned();
    let sent = (api.setup().tell.test)(name, to);
    api.run(sent).await?.map(Json).ok_or_else(missing)
}

/// Gives an order; a missing target or a store that is away is a problem.
pub(super) async fn give(api: &ApiState, order: Order) -> Result<Ordered, Problem> {
    match api.run((api.setup().tell.order)(order)).await? {
        Ordered::NoSuchTarget => Err(missing()),
        Ordered::Unavailable(why) => Err(Problem::new(Kind::StoreUnavailable, why)),
        done @ (Ordered::Done | Ordered::Reached(_)) => Ok(done),
    }
}

fn missing() -> Problem {
    Problem::not_found("there is no such target; /api/v1/targets lists them")
}

fn find(api: &ApiState, name: &str) -> Result<TargetStatus, Problem> {
    let targets = (api.setup().tell.targets)();
    let found = targets.into_iter().find(|target| target.name == name);
    found.ok_or_else(missing)
}
