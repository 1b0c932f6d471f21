//! Overrides of schedules: written with a batch, loaded at start, and read for any time.
//!
//! Must not decide who is on call.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::oncall::{OnCallChange, Override, OverrideId};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::rows::row;
use super::{Conn, StoreError, Tx, on};

/// Overrides read for one question; more than that is refused work.
const READ_MAX: i64 = 20_000;

/// What a batch changes; of several changes to one override the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct OverrideRows {
    changed: BTreeMap<OverrideId, Arc<Override>>,
    over: Vec<OverrideId>,
}

impl OverrideRows {
    pub(super) fn add(&mut self, change: OnCallChange) {
        match change {
            OnCallChange::Override(it) => {
                self.changed.insert(it.id, it);
            }
            OnCallChange::OverrideOver(id) => self.over.push(id),
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.changed.len().saturating_add(self.over.len())
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        for it in self.changed.values() {
            upsert(tx.lend(), partition, it).await?;
        }
        for id in &self.over {
            let sql = "UPDATE schedule_override SET is_over = TRUE WHERE id = $1";
            on!(tx.lend(), c => sqlx::query(sql).bind(id.get()).execute(c).await.map(drop))?;
        }
        Ok(())
    }
}

async fn upsert(conn: Conn<'_>, partition: i64, it: &Override) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO schedule_override (id, partition, schedule, person, replaces, starts_at, ends_at, created_by, \
         comment, made_at, is_over) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, FALSE) \
         ON CONFLICT (id) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at"
    )
    .bind(it.id.get())
    .bind(partition)
    .bind(it.schedule.as_str())
    .bind(it.person.as_deref())
    .bind(it.replaces.as_deref())
    .bind(it.from.as_millis())
    .bind(it.to.as_millis())
    .bind(it.created_by.as_str())
    .bind(it.comment.as_str())
    .bind(it.made_at.as_millis())
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

row! {
    struct OverrideRow {
        id: i64,
        schedule: String,
        person: Option<String>,
        replaces: Option<String>,
        starts_at: i64,
        ends_at: i64,
        created_by: String,
        comment: String,
        made_at: i64,
    }
}

const COLUMNS: &str = "SELECT id, schedule, person, replaces, starts_at, ends_at, created_by, comment, made_at FROM schedule_override ";

impl OverrideRow {
    fn into_core(self) -> Override {
        Override {
            id: OverrideId::new(self.id),
            schedule: SmolStr::new(self.schedule),
            person: self.person.map(SmolStr::from),
            replaces: self.replaces.map(SmolStr::from),
            from: Timestamp::from_millis(self.starts_at),
            to: Timestamp::from_millis(self.ends_at),
            created_by: SmolStr::new(self.created_by),
            comment: SmolStr::new(self.comment),
            made_at: Timestamp::from_millis(self.made_at),
        }
    }
}

/// Reads those that are not over into the state, and goes on after the last number.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<OverrideRow> = on!(conn.lend(), c => {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push("WHERE NOT is_over AND partition = ").push_bind(partition).push(" ORDER BY id");
        query.build_query_as().fetch_all(c).await?
    });
    for row in rows {
        let change = OnCallChange::Override(Arc::new(row.into_core()));
        state.on_call_mut().apply(&change);
    }
    let (last,): (Option<i64>,) = on!(conn, c => sqlx::query_as(
        "SELECT MAX(id) FROM schedule_override"
    ).fetch_one(c).await?);
    state.on_call_mut().overrides_mut().after(last.unwrap_or(0));
    Ok(())
}

/// Every override that holds at some time between two times, in order of making, of one schedule or of all.
///
/// # Errors
/// The database cannot be read.
pub async fn list_between(
    conn: Conn<'_>,
    schedule: Option<&str>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Override>, StoreError> {
    let rows: Vec<OverrideRow> = on!(conn, c => {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push("WHERE ends_at > starts_at AND ends_at > ").push_bind(from.as_millis());
        query.push(" AND starts_at < ").push_bind(to.as_millis());
        if let Some(schedule) = schedule {
            query.push(" AND schedule = ").push_bind(schedule);
        }
        query.push(" ORDER BY id LIMIT ").push_bind(READ_MAX);
        query.build_query_as().fetch_all(c).await?
    });
    Ok(rows.into_iter().map(OverrideRow::into_core).collect())
}

/// One override.
///
/// # Errors
/// The database cannot be read.
pub async fn find(conn: Conn<'_>, id: OverrideId) -> Result<Option<Override>, StoreError> {
    let row: Option<OverrideRow> = on!(conn, c => {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push("WHERE id = ").push_bind(id.get());
        query.build_query_as().fetch_optional(c).await?
    });
    Ok(row.map(OverrideRow::into_core))
}
