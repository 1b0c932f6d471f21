//! Keeps the state every so often, so that a replay need not begin at the first input.
//!
//! Files are called by what they hold: the last input that was decided. Must not matter to anything but replays; one that
//! cannot be written is told and tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::core::time::{Span, Timestamp};
use crate::runtime::clock::Clock;
use crate::runtime::supervise::{Stage, Supervisor};
use crate::store::Db;
use crate::store::snapshot::{self, Kept};

use super::done;

/// How often it is looked whether one is due.
const EVERY: Duration = Duration::from_secs(60);

/// Keeps the state.
#[derive(Debug)]
pub struct Snapshots {
    /// The store whose state it is.
    pub db: Db,
    /// The time by which it is due.
    pub clock: Clock,
    /// How often, and for how long.
    pub settings: watch::Receiver<Arc<Settings>>,
}

/// Begins to.
pub(super) fn start(
    supervisor: &mut Supervisor,
    stage: &Stage,
    (db, clock, settings): (Db, Clock, watch::Receiver<Arc<Settings>>),
) {
    let snapshots = Snapshots {
        db,
        clock,
        settings,
    };
    supervisor.spawn(stage, "snapshots", |stop| done(snapshots.run(stop)));
}

impl Snapshots {
    /// Works until it is told to stop. Of several replicas each keeps its own, since any of them may be asked.
    pub async fn run(self, stop: CancellationToken) {
        let folder = snapshot::folder(&self.db, self.settings.borrow().state_dir());
        while stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            let kept = self.settings.borrow().retention;
            let now = self.clock.now();
            let held = snapshot::list(&folder);
            remove(&held, now.minus(kept.inputs));
            let last = held.last().map(|it| it.at);
            let is_due = last.is_none_or(|at| now.since(at) >= kept.snapshots);
            if kept.snapshots > Span::ZERO && is_due {
                self.keep(&folder, now).await;
            }
        }
    }

    async fn keep(&self, folder: &Path, now: Timestamp) {
        let (db, folder) = (self.db.clone(), folder.to_owned());
        let runtime = Handle::current();
        let kept = tokio::task::spawn_blocking(move || {
            runtime.block_on(snapshot::keep(&db, &folder, now))
        });
        match kept.await {
            Ok(Ok(Some(file))) => {
                let file = file.display();
                log::info!("the state was kept for replays in {file}");
            }
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => {
                log::warn!(error:% = error; "the state could not be kept for replays: {error}");
            }
        }
    }
}

/// Deletes what no replay can begin with any more: the inputs after it are gone.
fn remove(held: &[Kept], before: Timestamp) {
    let old = held.iter().filter(|it| it.at < before);
    for kept in old {
        let file: &PathBuf = &kept.file;
        if let Err(error) = std::fs::remove_file(file) {
            log::warn!(error:% = error; "{} could not be deleted: {error}", file.display());
        }
    }
}
