//! Up to when the change records of each platform were read. Must not read them.

use crate::core::time::Timestamp;

use super::{Conn, StoreError, Tx, on};

/// Notes it.
pub(super) async fn write(
    tx: &mut Tx<'_>,
    connector: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    on!(tx.lend(), c => sqlx::query(
        "INSERT INTO change_cursor (connector, at) VALUES ($1, $2) \
         ON CONFLICT (connector) DO UPDATE SET at = excluded.at"
    ).bind(connector).bind(at.as_millis()).execute(c).await.map(drop))?;
    Ok(())
}

/// Reads it; nothing before the first time.
///
/// # Errors
/// The database cannot be read.
pub async fn read(conn: Conn<'_>, connector: &str) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = on!(conn, c => sqlx::query_scalar(
        "SELECT at FROM change_cursor WHERE connector = $1"
    ).bind(connector).fetch_optional(c).await?);
    Ok(at.map(Timestamp::from_millis))
}
