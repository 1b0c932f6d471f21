//! JSON over HTTP: Watchbell's own API under `/api/v1`, its document, health and metrics.
//!
//! The route list in [`routes`] is the only one: the router, the OpenAPI document, the page at `/api/docs` and the
//! roles all come from it. A handler reads committed rows through [`ApiState::read`] or hands a command to the engine;
//! both run as tracked work that goes on when the client hangs up. Must not write a table of the domain, hold SQL, or
//! map an error to a status outside [`problem`].

pub mod alertmanager;
pub mod alerts;
pub mod answers;
mod attempts;
pub mod audit;
pub mod auth;
pub mod bind;
mod body;
mod browser;
mod calendar_text;
pub mod change_shapes;
pub mod changes;
pub mod cis;
pub mod clocks;
pub mod cmdb;
pub mod cmdb_imports;
pub mod commands;
pub mod connectors;
pub mod dead_letters;
pub mod docs;
mod doors;
pub mod escalations;
pub mod explain;
pub mod extent;
pub mod feeds;
pub mod heartbeats;
pub mod incidents;
pub mod known_errors;
mod layers;
pub mod maintenance;
pub mod majors;
pub mod openapi;
pub mod order;
pub mod outbox;
mod override_order;
pub mod page;
pub mod problem;
pub mod problems;
pub mod quality;
pub mod ratings;
mod record_order;
mod report_table;
pub mod reports;
pub mod requests;
pub mod review;
pub mod routes;
pub mod schedules;
pub mod shapes;
mod silence_order;
pub mod silences;
pub mod sources;
pub mod status;
pub mod stream;
pub mod targets;
pub mod tell_routes;
pub mod time;
pub mod timeline_shapes;
pub mod tokens;
pub mod words;

use std::pin::Pin;
use std::sync::Arc;

pub use routes::router;

use crate::answer_link::LinkKey;
use crate::core::ids::IncidentId;
use crate::core::input::CommandGiven;
use crate::core::time::Timestamp;
use crate::engine::handle::{CommandAnswer, EngineHandle, SubmitError};
use crate::runtime::clock::Clock;
use crate::runtime::supervise::Stage;
use crate::store::dead_letters::DeadLetter;
use crate::store::{Db, StoreError};
use alertmanager::Hooks;
use auth::{Auth, AuthSetup, Entropy};
use cmdb_imports::ImportStatus;
use connectors::ConnectorStatus;
use dead_letters::Replayed;
use feeds::FeedStatus;
use heartbeats::HeartbeatStatus;
use problem::{Kind, Problem};
use sources::{SourceStatus, Trial, Tried};
use targets::TellHooks;
use tokio::sync::Semaphore;

/// What the engine will answer to a command.
pub type CommandFuture = Pin<Box<dyn Future<Output = Result<CommandAnswer, SubmitError>> + Send>>;
/// What will become of a dead letter.
pub type ReplayFuture = Pin<Box<dyn Future<Output = Replayed> + Send>>;
/// Hands a command to the engine; answers after commit.
pub type Submit = Arc<dyn Fn(CommandGiven) -> CommandFuture + Send + Sync>;

/// Makes a link to rate by: of which incident, who, and when it is made.
pub type RatingLink = Arc<dyn Fn(IncidentId, &str, Timestamp) -> (String, Timestamp) + Send + Sync>;

/// What the API is made of.
#[derive(Clone)]
pub struct ApiSetup {
    /// The store, for reading; tokens are written through it too.
    pub db: Db,
    /// The way to the engine, for commands.
    pub submit: Submit,
    /// What the API of Alertmanager needs besides.
    pub alertmanager: Hooks,
    /// The way to the engine, for what it holds in memory, and for imports.
    pub engine: EngineHandle,
    /// Why the daemon is not ready, one sentence each; empty when it is.
    pub unready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The configured sources with their figures.
    pub sources: Arc<dyn Fn() -> Vec<SourceStatus> + Send + Sync>,
    /// The calendars that are read from an address, and how they do.
    pub feeds: Arc<dyn Fn() -> Vec<FeedStatus> + Send + Sync>,
    /// The configured imports and how they do.
    pub imports: Arc<dyn Fn() -> Vec<ImportStatus> + Send + Sync>,
    /// The configured connectors and where they stand.
    pub connectors: Arc<dyn Fn() -> Vec<ConnectorStatus> + Send + Sync>,
    /// The configured heartbeats and how they do.
    pub heartbeats: Arc<dyn Fn() -> Vec<HeartbeatStatus> + Send + Sync>,
    /// What a source would make of a message; nothing when there is no such source.
    pub try_source: Arc<dyn Fn(Trial) -> Option<Tried> + Send + Sync>,
    /// Makes a message of a dead letter.
    pub replay: Arc<dyn Fn(DeadLetter) -> ReplayFuture + Send + Sync>,
    /// Those who tell people.
    pub tell: TellHooks,
    /// The metrics as OpenMetrics text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The clock.
    pub clock: Clock,
    /// Where requests are tracked until they are done.
    pub stage: Stage,
    /// Who may do what.
    pub auth: AuthSetup,
    /// The key of the links by which people answer.
    pub links: LinkKey,
    /// Makes a link by which somebody rates how an incident was handled, and says until when it works.
    pub rating_link: RatingLink,
    /// What Slack signs with, if its answers are taken.
    pub slack_secret: Option<Arc<str>>,
    /// Randomness for new tokens.
    pub entropy: Entropy,
}

impl std::fmt::Debug for ApiSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiSetup")
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// What every handler gets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ApiState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    setup: ApiSetup,
    auth: Auth,
    streams: Arc<Semaphore>,
}

impl ApiState {
    /// Takes what the shell gives.
    pub fn new(setup: ApiSetup) -> Self {
        let auth = Auth::new(setup.auth.clone());
        let streams = Arc::new(Semaphore::new(stream::STREAMS_MAX));
        Self(Arc::new(Shared {
            setup,
            auth,
            streams,
        }))
    }

    pub(super) fn setup(&self) -> &ApiSetup {
        &self.0.setup
    }

    fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// The places for those who follow the stream.
    fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.streams)
    }

    fn now(&self) -> Timestamp {
        self.0.setup.clock.now()
    }

    /// Reads the store in tracked work: a connection is never dropped in the middle of a statement because a client
    /// hung up (sqlx 0.9.0, #4385).
    async fn read<T, W>(&self, work: impl FnOnce(Db) -> W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.run(work(self.setup().db.clone()))
            .await?
            .map_err(Problem::from)
    }

    /// Runs work to its end, whether the client waits or not.
    async fn run<W>(&self, work: W) -> Result<W::Output, Problem>
    where
        W: Future + Send + 'static,
        W::Output: Send + 'static,
    {
        match self.setup().stage.track(work).await {
            Ok(Some(output)) => Ok(output),
            Ok(None) => Err(Problem::new(
                Kind::Stopping,
                SubmitError::Stopping.to_string(),
            )),
            Err(error) => {
                log::error!(error:% = error; "a request failed by a defect: {error}");
                Err(Problem::internal())
            }
        }
    }
}
