//! Heartbeats as rows: few, written whole.
//!
//! Must not decide when one is missing.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::core::heartbeat::Heartbeat;
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::rows::row;
use super::{Conn, StoreError, Tx, on};

/// Writes what changed; nothing stands for a heartbeat that is no longer waited for.
pub(super) async fn write(
    tx: &mut Tx<'_>,
    partition: i64,
    changed: &BTreeMap<SmolStr, Option<Heartbeat>>,
) -> Result<(), StoreError> {
    for (name, heartbeat) in changed {
        match heartbeat {
            Some(heartbeat) => upsert(tx.lend(), partition, heartbeat).await?,
            None => on!(tx.lend(), c => sqlx::query(
                "DELETE FROM heartbeat WHERE partition = $1 AND name = $2"
            ).bind(partition).bind(name.as_str()).execute(c).await.map(drop))?,
        }
    }
    Ok(())
}

async fn upsert(conn: Conn<'_>, partition: i64, heartbeat: &Heartbeat) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO heartbeat (partition, name, heard_at, is_seen, is_missing, due_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (partition, name) DO UPDATE SET heard_at = excluded.heard_at, \
         is_seen = excluded.is_seen, is_missing = excluded.is_missing, due_at = excluded.due_at"
    )
    .bind(partition)
    .bind(heartbeat.name.as_str())
    .bind(heartbeat.heard_at.as_millis())
    .bind(heartbeat.is_seen)
    .bind(heartbeat.is_missing)
    .bind(heartbeat.due_at.as_millis())
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

row! {
    struct HeartbeatRow {
        name: String,
        heard_at: i64,
        is_seen: bool,
        is_missing: bool,
        due_at: i64,
    }
}

/// Reads them all into the state.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<HeartbeatRow> = on!(conn, c => sqlx::query_as(
        "SELECT name, heard_at, is_seen, is_missing, due_at FROM heartbeat WHERE partition = $1"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        state.put_heartbeat(Heartbeat {
            name: SmolStr::new(row.name),
            heard_at: Timestamp::from_millis(row.heard_at),
            is_seen: row.is_seen,
            is_missing: row.is_missing,
            due_at: Timestamp::from_millis(row.due_at),
        });
    }
    Ok(())
}
