//! Maintenance windows in the store: written with a batch, loaded at start.
//!
//! Must not decide when a window holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::WindowId;
use crate::core::mute::window::{Origin, Window, WindowChange, WindowWanted};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::in_chunks;
use super::rows::row;
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes about maintenance windows; of several changes to one the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct WindowRows {
    windows: BTreeMap<WindowId, Arc<Window>>,
    over: Vec<WindowId>,
}

impl WindowRows {
    pub(super) fn add(&mut self, change: WindowChange) {
        match change {
            WindowChange::Changed(window) => {
                self.windows.insert(window.id, window);
            }
            WindowChange::Over(id) => self.over.push(id),
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.windows.len().saturating_add(self.over.len())
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let windows: Vec<_> = self.windows.values().collect();
        upsert(tx.lend(), partition, &windows).await?;
        for id in &self.over {
            let sql = "UPDATE maintenance SET is_over = TRUE, plan_at = NULL WHERE id = $1";
            on!(tx.lend(), c => sqlx::query(sql).bind(id.get()).execute(c).await.map(drop))?;
        }
        Ok(())
    }
}

async fn upsert(conn: Conn<'_>, partition: i64, rows: &[&Arc<Window>]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO maintenance (id, partition, name, wanted, origin, origin_id, updated_at, planned, plan_at, \
             cancelled_at, is_over) ",
        );
        push_rows(&mut query, rows, |row, window| {
            let origin_id = match &window.origin {
                Origin::Api | Origin::Config => None,
                Origin::Change(id) => Some(id.as_str()),
            };
            row.push_bind(window.id.get())
                .push_bind(partition)
                .push_bind(window.wanted.name.as_str())
                .push_bind(serde_json::to_string(&*window.wanted).unwrap_or_default())
                .push_bind(window.origin.word())
                .push_bind(origin_id)
                .push_bind(window.updated_at.as_millis())
                .push_bind(window.planned.map(Timestamp::as_millis))
                .push_bind(window.plan_at.map(Timestamp::as_millis))
                .push_bind(window.cancelled_at.map(Timestamp::as_millis))
                .push_bind(false);
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, wanted = excluded.wanted, \
             updated_at = excluded.updated_at, planned = excluded.planned, plan_at = excluded.plan_at, \
             cancelled_at = excluded.cancelled_at",
        );
        query
    });
    Ok(())
}

row! {
    /// A maintenance window as stored.
    pub(in crate::store) struct WindowRow {
        id: i64,
        wanted: String,
        origin: String,
        origin_id: Option<String>,
        updated_at: i64,
        planned: Option<i64>,
        plan_at: Option<i64>,
        cancelled_at: Option<i64>,
    }
}

/// The columns of [`WindowRow`], in its order.
pub(in crate::store) const WINDOW_COLUMNS: &str = "maintenance.id, maintenance.wanted, maintenance.origin, \
    maintenance.origin_id, maintenance.updated_at, maintenance.planned, maintenance.plan_at, maintenance.cancelled_at";

impl WindowRow {
    /// The core's value of it.
    pub(in crate::store) fn into_core(self) -> Result<Window, StoreError> {
        let wanted: WindowWanted = serde_json::from_str(&self.wanted)
            .map_err(|error| StoreError::corrupt("maintenance", "wanted", error))?;
        let origin = match (self.origin.as_str(), self.origin_id) {
            ("api", _) => Origin::Api,
            ("config", _) => Origin::Config,
            ("change", Some(id)) => Origin::Change(SmolStr::new(id)),
            _ => return Err(StoreError::corrupt("maintenance", "origin", &self.origin)),
        };
        let id = WindowId::new(self.id);
        Ok(Window {
            id: id.ok_or_else(|| StoreError::corrupt("maintenance", "id", self.id))?,
            wanted: Arc::new(wanted),
            origin,
            updated_at: Timestamp::from_millis(self.updated_at),
            planned: self.planned.map(Timestamp::from_millis),
            plan_at: self.plan_at.map(Timestamp::from_millis),
            cancelled_at: self.cancelled_at.map(Timestamp::from_millis),
        })
    }
}

/// Loads the windows that are not over.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<WindowRow> = on!(conn, c => {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(WINDOW_COLUMNS).push(" FROM maintenance WHERE NOT is_over AND partition = ");
        query.push_bind(partition).push(" ORDER BY id");
        query.build_query_as().fetch_all(c).await?
    });
    for row in rows {
        let change = WindowChange::Changed(Arc::new(row.into_core()?));
        state.put_window(&change);
    }
    Ok(())
}
