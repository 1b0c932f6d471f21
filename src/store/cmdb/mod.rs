//! The CMDB in versions: what imports said, and what came of them.
//!
//! A new version is written in steps ([`stage`]) that no reader sees, and becomes true with one row in the transaction of
//! the decision ([`activate`]). A kill in between leaves the last version whole; what was left over is discarded before
//! the next import. Must not compare or merge anything.

pub mod load;
mod past;
pub mod read;
pub mod stage;

pub(super) use past::forget_versions;

use crate::core::time::Timestamp;

use super::dialect::{Cache, keep};
use super::{StoreError, Tx, on};

/// Versions are counted up in the store as whole numbers.
pub(super) fn as_column(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Makes a staged version the one that readers see.
pub(super) async fn activate(
    tx: &mut Tx<'_>,
    version: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let version = as_column(version);
    on!(tx.lend(), c => sqlx::query(
        "UPDATE cmdb_import SET is_current = FALSE WHERE is_current AND name = (SELECT name FROM cmdb_import WHERE version = $1)"
    ).bind(version).execute(c).await.map(drop))?;
    on!(tx.lend(), c => sqlx::query(
        "UPDATE cmdb_import SET is_current = TRUE, active_at = $2, seen_at = $2 WHERE version = $1"
    ).bind(version).bind(at.as_millis()).execute(c).await.map(drop))?;
    keep(tx.lend(), Cache::Usual).await
}
