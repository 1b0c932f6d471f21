//! A consistent copy while the daemon runs.
//!
//! Must not copy files: only the engine itself can make a copy that is whole ("How To Corrupt An SQLite Database
//! File", section on backups).

use std::path::Path;

use super::{Db, StoreError, dialect};

/// Writes a copy of a SQLite store to a new file; commits that come while it is written are not in it.
///
/// # Errors
/// The file exists, cannot be written, or the store is not SQLite.
pub async fn copy_to(db: &Db, file: &Path) -> Result<(), StoreError> {
    let Some(name) = file.to_str() else {
        return Err(StoreError::Other(
            "the name of the backup file is not valid UTF-8".into(),
        ));
    };
    if file.exists() {
        return Err(StoreError::Other(
            format!("{name} exists already; name a new file").into(),
        ));
    }
    let mut conn = db.connect().await?;
    dialect::copy_to(conn.lend(), name).await?;
    dialect::close(conn).await
}
