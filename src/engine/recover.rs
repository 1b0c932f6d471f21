//! Start-up and recovery are one: load, decide what the log holds beyond the cursor, be ready.
//!
//! Must not answer anybody before it is through, and must try again as long as the store is away.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::inbox::InputKind;
use crate::store::load::load;
use crate::store::writer::{WriteError, marker};

use super::handle::EngineStatus;
use super::{Engine, PAUSE, Turn};

impl Engine {
    /// Loads the state, and decides what is left over in the log; `false` when it was told to stop before.
    ///
    /// # Errors
    /// The writer has ended. Everything else is tried again until it works or `stop` is cancelled.
    pub(super) async fn recover(&mut self, stop: &CancellationToken) -> Result<bool, WriteError> {
        let mut told = None;
        while !stop.is_cancelled() {
            (self.on_turn)();
            match self.try_recover().await {
                Ok(()) => {
                    self.status.send_replace(EngineStatus::Ready);
                    return Ok(true);
                }
                Err(WriteError::Stopping) => return Err(WriteError::Stopping),
                Err(error) => {
                    let text = error.to_string();
                    if told.as_ref() != Some(&text) {
                        log::warn!(error:% = error; "the state cannot be loaded yet: {error}");
                        told = Some(text.clone());
                    }
                    self.status.send_replace(EngineStatus::Waiting(text));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(false)
    }

    async fn try_recover(&mut self) -> Result<(), WriteError> {
        let started = Instant::now();
        self.pending = None;
        let lease = self.writer.position().await?;
        let mut conn = self.db.connect().await?;
        let (state, ids) = load(conn.lend(), self.partition).await?;
        drop(conn);
        self.state = state;
        self.figures.resume(&self.state);
        self.drop_labels();
        self.heed_labels().await?;
        self.ids = ids;
        self.decided = lease.decided;
        let left_over = self.writer.progress.depth();
        let until = self.writer.progress.appended().next();
        let mut turn = Turn::default();
        self.catch_up(&mut turn, until).await?;
        self.finish(turn, Instant::now()).await?;
        // Every deadline that passed while nobody listened is judged from here on, not before.
        self.writer.append_own(marker(InputKind::Started)).await?;
        self.take_turn(None).await?;
        self.settle().await?;
        self.show();
        log::info!(
            alerts = self.state.alert_count(),
            left_over = left_over,
            load_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            "ready: {} alerts loaded, {left_over} inputs decided that were left over",
            self.state.alert_count(),
        );
        Ok(())
    }
}
