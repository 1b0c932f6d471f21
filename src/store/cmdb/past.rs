//! Forgetting what the CMDB was long ago, in bounded steps.
//!
//! The newest version that was true at the limit stays whole, since it answers for that time. Must not touch a row that a
//! later version still sees, nor rows of a version that is not true yet.

use crate::core::time::Timestamp;
use crate::store::{StoreError, Tx, on};

/// Rows deleted by one step.
const ROWS_PER_STEP: i64 = 500;

/// What only versions before the oldest one kept saw. Neither engine limits a delete, so rows are named by what leads to them.
const STEPS: [&str; 4] = [
    "DELETE FROM ci_version WHERE to_version <= $1 AND number IN (SELECT number FROM ci_version \
     WHERE to_version IS NOT NULL AND to_version <= $1 ORDER BY to_version LIMIT $2)",
    "DELETE FROM relation_version WHERE to_version <= $1 AND from_ci IN (SELECT from_ci FROM relation_version \
     WHERE to_version IS NOT NULL AND to_version <= $1 ORDER BY to_version LIMIT $2)",
    // Left over when the daemon ended just after the import that replaced it.
    "DELETE FROM cmdb_part WHERE version IN (SELECT version FROM cmdb_import \
     WHERE version < $1 AND active_at IS NOT NULL AND NOT is_current ORDER BY version LIMIT $2)",
    // The record of an import stays as long as it is the last of its name, or a CI is still what it made of it.
    "DELETE FROM cmdb_import WHERE version IN (SELECT version FROM cmdb_import i \
     WHERE version < $1 AND active_at IS NOT NULL AND NOT is_current \
     AND NOT EXISTS (SELECT 1 FROM ci_version ci WHERE ci.from_version = i.version) ORDER BY version LIMIT $2)",
];

/// Deletes one step's worth of versions that ended before a time; returns how many rows went.
pub(in crate::store) async fn forget_versions(
    tx: &mut Tx<'_>,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let (oldest,): (Option<i64>,) = on!(tx.lend(), c => sqlx::query_as(
        "SELECT MAX(version) FROM cmdb_import WHERE active_at <= $1"
    ).bind(before.as_millis()).fetch_one(c).await?);
    let Some(oldest) = oldest else {
        return Ok(0);
    };
    for sql in STEPS {
        let done = on!(tx.lend(), c => sqlx::query(sql)
            .bind(oldest).bind(ROWS_PER_STEP).execute(c).await.map(|done| done.rows_affected()))?;
        if done > 0 {
            return Ok(done);
        }
    }
    Ok(0)
}
