//! Deletes what is older than it is kept, a little at a time, while everything else goes on.
//!
//! Must not delete anything itself; the writer does, between commits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::core::ids::Seq;
use crate::core::limits::IDEMPOTENCY_KEPT;
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::store::Db;
use crate::store::retention::{self, Limits};
use crate::store::writer::WriteError;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);
/// A pause between two steps, so that a large backlog does not slow down ingest.
const PAUSE: Duration = Duration::from_millis(20);
/// The size of the log is added up only every so many rounds: it reads the length of every row.
const ROUNDS_PER_SIZE: u32 = 10;

/// Looks after the size of the store.
pub(super) struct Janitor {
    db: Db,
    engine: EngineHandle,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
}

impl Janitor {
    pub(super) fn new(
        db: Db,
        engine: EngineHandle,
        clock: Clock,
        settings: watch::Receiver<Arc<Settings>>,
    ) -> Self {
        Self {
            db,
            engine,
            clock,
            settings,
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut round = 0_u32;
        let mut through = Seq::default();
        while stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            if round.is_multiple_of(ROUNDS_PER_SIZE) {
                through = self.find_overflow().await.unwrap_or(through);
            }
            round = round.wrapping_add(1);
            if let Err(error) = self.clean(through, &stop).await {
                log::warn!(error:% = error; "old rows could not be deleted: {error}");
            }
        }
    }

    async fn find_overflow(&self) -> Option<Seq> {
        let bytes_max =
            i64::try_from(self.settings.borrow().retention.input_bytes_max).unwrap_or(i64::MAX);
        let mut reader = self.db.reader().await.ok()?;
        retention::find_overflow(reader.lend(), super::PARTITION, bytes_max)
            .await
            .ok()
    }

    async fn clean(&self, inputs_through: Seq, stop: &CancellationToken) -> Result<(), WriteError> {
        let kept = self.settings.borrow().retention;
        let now = self.clock.now();
        let limits = Limits {
            inputs_before: now.minus(kept.inputs),
            inputs_through,
            incidents_before: now.minus(kept.closed_incidents),
            answers_before: now.minus(IDEMPOTENCY_KEPT),
            cmdb_before: now.minus(kept.cmdb_versions),
        };
        while self.engine.writer().retain(limits).await? > 0 {
            if stop
                .run_until_cancelled(tokio::time::sleep(PAUSE))
                .await
                .is_none()
            {
                break;
            }
        }
        Ok(())
    }
}
