//! When each source was last heard of, told to the doors at the start.
//!
//! Must not hold the start up for long.

use std::time::Duration;

use crate::ingest::Ingest;
use crate::store::Db;
use crate::store::query::sources::list_last_heard;

/// How long the start waits to learn when sources were last heard of.
const RESTORE_TIME: Duration = Duration::from_secs(10);

/// Tells the doors when each source was last heard of, so that a restart does not count as a sign of life.
pub(super) async fn restore(db: &Db, ingest: &Ingest) {
    let heard = async {
        let mut conn = db.reader().await?;
        list_last_heard(conn.lend(), super::PARTITION).await
    };
    match tokio::time::timeout(RESTORE_TIME, heard).await {
        Ok(Ok(heard)) => ingest.restore(heard),
        Ok(Err(error)) => {
            log::warn!(error:% = error; "it is not known when sources were last heard of: {error}");
        }
        Err(_) => log::warn!(
            "it is not known when sources were last heard of: the store takes too long to say"
        ),
    }
}
