//! Empties SQLite's write-ahead log in small steps beside the writer.
//!
//! Left to itself the writer copies 80 MB at once when the log is full, and acknowledgements wait for it: 28 ms p99
//! instead of 3 at 20,000 alerts a second (docs/measurements.md). Must not matter for correctness: a step that fails
//! is tried again, and the writer still empties the log when nobody else does.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::runtime::supervise::{Stage, Supervisor};
use crate::store::Db;

use super::done;

/// How often; what was written meanwhile is a few MB at most.
const EVERY: Duration = Duration::from_millis(300);

/// Begins to.
pub(super) fn start(supervisor: &mut Supervisor, stage: &Stage, db: Db) {
    supervisor.spawn(stage, "checkpoints", |stop| done(run(db, stop)));
}

/// Works until it is told to stop; has nothing to do on PostgreSQL.
async fn run(db: Db, stop: CancellationToken) {
    if db.file().is_none() {
        stop.cancelled().await;
        return;
    }
    let mut conn = None;
    while stop
        .run_until_cancelled(tokio::time::sleep(EVERY))
        .await
        .is_some()
    {
        let mut held = match conn.take() {
            Some(held) => held,
            None => match db.connect().await {
                Ok(held) => held,
                Err(error) => {
                    log::debug!(error:% = error; "the log cannot be emptied now: {error}");
                    continue;
                }
            },
        };
        match held.checkpoint().await {
            Ok(_) => conn = Some(held),
            Err(error) => log::debug!(error:% = error; "the log cannot be emptied now: {error}"),
        }
    }
    if let Some(conn) = conn
        && let Err(error) = conn.close().await
    {
        log::debug!(error:% = error; "a connection was not closed in order: {error}");
    }
}
