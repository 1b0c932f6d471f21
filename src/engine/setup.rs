//! What the shell gives to the engine.
//!
//! Must not hold logic.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::core::rules::Rules;
use crate::runtime::clock::Clock;
use crate::store::Db;
use crate::store::writer::{Appended, WriterHandle};
use crate::telemetry::metrics::Metrics;

use super::{Decode, OnTold};

/// What the shell gives to the engine.
pub struct EngineSetup {
    /// The store, for loading.
    pub db: Db,
    /// The partition to decide.
    pub partition: i64,
    /// The way to the writer.
    pub writer: WriterHandle,
    /// Inputs handed on by the writer.
    pub appended: mpsc::Receiver<Appended>,
    /// The operator's policy; a new value holds from the next input on.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// Reads stored messages again.
    pub decode: Decode,
    /// For deadlines; inputs carry their own time.
    pub clock: Clock,
    /// Rows in one commit: large enough to share the sync, small enough that acknowledgements in the same queue do
    /// not wait for long.
    pub batch_rows: usize,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Told which targets have something to do, once it is committed.
    pub on_told: OnTold,
    /// Called at every turn of the loop, as a sign of life.
    pub on_turn: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for EngineSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineSetup")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}
