//! Heartbeats as rows: few, written whole.
//!
//! Must not decide when one is missing.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::core::heartbeat::Heartbeat;
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

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
        "INSERT INTO heartbeat (partition, name, heard_at, is_seen, is_missing, due_at, begun_at, last_run_ms, failure) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (partition, name) DO UPDATE SET heard_at = excluded.heard_at, is_seen = excluded.is_seen, \
         is_missing = excluded.is_missing, due_at = excluded.due_at, begun_at = excluded.begun_at, \
         last_run_ms = excluded.last_run_ms, failure = excluded.failure"
    )
    .bind(partition)
    .bind(heartbeat.name.as_str())
    .bind(heartbeat.heard_at.as_millis())
    .bind(heartbeat.is_seen)
    .bind(heartbeat.is_missing)
    .bind(heartbeat.due_at.as_millis())
    .bind(heartbeat.begun_at.map(Timestamp::as_millis))
    .bind(heartbeat.last_run.map(Span::as_millis))
    .bind(heartbeat.failure.as_deref())
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
        begun_at: Option<i64>,
        last_run_ms: Option<i64>,
        failure: Option<String>,
    }
}

/// Reads them all into the state.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<HeartbeatRow> = on!(conn, c => sqlx::query_as(
        "SELECT name, heard_at, is_seen, is_missing, due_at, begun_at, last_run_ms, failure \
         FROM heartbeat WHERE partition = $1"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        state.put_heartbeat(Heartbeat {
            name: SmolStr::new(row.name),
            heard_at: Timestamp::from_millis(row.heard_at),
            is_seen: row.is_seen,
            is_missing: row.is_missing,
            due_at: Timestamp::from_millis(row.due_at),
            begun_at: row.begun_at.map(Timestamp::from_millis),
            last_run: row.last_run_ms.map(Span::from_millis),
            failure: row.failure.map(SmolStr::new),
        });
    }
    Ok(())
}
