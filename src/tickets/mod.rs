//! Keeps tickets in other systems in step: does what waits, reads what changed there, reports what came of it.
//!
//! One worker per connector. What is to be done stands in the engine's state and is worked off level by level; what was
//! said is reported as an input and decided there, so a crash loses nothing and a restart begins with a look. The
//! incident never waits for its ticket.
//!
//! Must not decide what a ticket shall be, and must not make one again before it was looked up when an outcome is not
//! known.

pub mod board;
mod brief;
pub mod changes;
mod gate;
pub mod hook;
mod poll;
pub mod records;
mod runner;
mod sync;
pub mod trial;
mod worker;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connectors::Profile;
use crate::connectors::login::Login;
use crate::core::ids::IncidentId;
use crate::core::ticket::rules::Extras;
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::store::Db;
use crate::telemetry::metrics::Metrics;
use crate::wire::itsm::ItsmSetup;

pub use board::Board;

/// Reads one incident in the form of the API.
pub type Describe = Arc<
    dyn Fn(IncidentId) -> Pin<Box<dyn Future<Output = Result<Option<Json>, String>> + Send>>
        + Send
        + Sync,
>;

/// What all workers share.
#[derive(Clone)]
pub struct TicketsSetup {
    /// The way to the engine.
    pub engine: EngineHandle,
    /// For notes of timelines.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Reads incidents.
    pub describe: Describe,
    /// Where each connector stands.
    pub board: Board,
    /// The address under which people reach this daemon.
    pub external_url: Option<String>,
}

impl std::fmt::Debug for TicketsSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketsSetup")
    }
}

/// One connector.
#[derive(Clone, Debug)]
pub struct ConnectorSetup {
    /// Its name.
    pub name: SmolStr,
    /// The platform.
    pub profile: Arc<Profile>,
    /// How one logs in.
    pub login: Login,
    /// The way there.
    pub wire: ItsmSetup,
    /// Time between two looks at what changed there.
    pub poll_every: Duration,
    /// Requests per second and at once, if there is a limit.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// Tickets that are worked on at once.
    pub width: usize,
    /// Names of our people there.
    pub people: Vec<(String, String)>,
    /// Groups there by team.
    pub groups: Vec<(String, String)>,
    /// What of the timeline is told there besides.
    pub extras: Extras,
    /// Whether nothing is written there.
    pub is_dry_run: bool,
    /// Which records are kept there besides.
    pub records: Vec<records::RecordSync>,
    /// Which change records are read there, if any are.
    pub changes: Option<changes::ChangePoll>,
    /// With which webhooks are signed.
    pub hook_secret: Option<String>,
}

impl ConnectorSetup {
    /// The address without a slash at its end, as profiles use it.
    pub fn base(&self) -> String {
        self.wire.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// Works for these connectors until it is told to stop.
pub async fn run(setup: TicketsSetup, connectors: Vec<ConnectorSetup>, stop: CancellationToken) {
    let mut workers = JoinSet::new();
    for connector in connectors {
        let (hints, hinted) = mpsc::channel(1_024);
        setup.board.open(&connector, hints);
        if let Some(poll) = connector.changes.clone() {
            let changes = changes::run(setup.clone(), connector.clone(), poll, stop.clone());
            workers.spawn(changes);
        }
        for sync in connector.records.clone() {
            let kept = records::run(setup.clone(), connector.clone(), sync, stop.clone());
            workers.spawn(kept);
        }
        match worker::Worker::new(setup.clone(), connector) {
            Ok(worker) => {
                workers.spawn(worker.run(hinted, stop.clone()));
            }
            Err((name, why)) => {
                log::error!(connector = name.as_str(), error = why.as_str(); "connector {name} cannot be used: {why}");
                setup.board.failed(&name, &why, setup.clock.now());
            }
        }
    }
    while workers.join_next().await.is_some() {}
    stop.cancelled().await;
}
