//! The polls of sources as one task: one poller per source, replaced when the configuration changes.
//!
//! Must not poll by itself; `ingest::reconcile` does.

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::engine::handle::EngineHandle;
use crate::ingest::reconcile::{self, PollSetup};
use crate::runtime::clock::Clock;

/// The pollers to be run.
pub(super) struct Polls {
    setups: watch::Receiver<Vec<PollSetup>>,
    engine: EngineHandle,
    clock: Clock,
}

impl Polls {
    /// Polls as set up, now and after each change.
    pub(super) fn new(
        setups: watch::Receiver<Vec<PollSetup>>,
        engine: EngineHandle,
        clock: Clock,
    ) -> Self {
        Self {
            setups,
            engine,
            clock,
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let round = stop.child_token();
            let mut pollers = JoinSet::new();
            for setup in self.setups.borrow_and_update().clone() {
                pollers.spawn(reconcile::run(
                    setup,
                    self.engine.clone(),
                    self.clock.clone(),
                    round.clone(),
                ));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                changed = self.setups.changed() => {
                    if changed.is_err() {
                        stop.cancelled().await;
                    }
                }
            }
            round.cancel();
            while pollers.join_next().await.is_some() {}
        }
    }
}
