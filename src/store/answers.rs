//! Remembered answers to commands, as rows.
//!
//! Must not decide which are remembered.

use crate::core::state::Remembered;

use super::{Conn, StoreError, on};

/// Remembers an answer.
pub(super) async fn insert(
    conn: Conn<'_>,
    partition: i64,
    key: u64,
    answer: &Remembered,
) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO command_answer (key, partition, at, command, incident, reason, is_refused) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO UPDATE SET at = excluded.at, \
         command = excluded.command, incident = excluded.incident, reason = excluded.reason, \
         is_refused = excluded.is_refused"
    )
    .bind(key.cast_signed())
    .bind(partition)
    .bind(answer.at.as_millis())
    .bind(answer.command.cast_signed())
    .bind(answer.incident.get())
    .bind(answer.reason.code())
    .bind(answer.is_refused)
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}
