//! Alerts that came back not long ago, in the store. Must not decide what flaps.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::QueryBuilder;

use crate::core::flap::{Flap, FlapChange};
use crate::core::ids::AlertId;
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::{in_chunks, run_for_ids};
use super::rows::{alert_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes; of several changes to one alert the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct FlapRows(BTreeMap<AlertId, Option<Arc<Flap>>>);

impl FlapRows {
    pub(super) fn add(&mut self, change: FlapChange) {
        match change {
            FlapChange::Changed(flap) => self.0.insert(flap.alert, Some(flap)),
            FlapChange::Calm(alert) => self.0.insert(alert, None),
        };
    }

    pub(super) fn row_count(&self) -> usize {
        self.0.len()
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let calm = self.0.iter().filter(|(_, flap)| flap.is_none());
        let calm: Vec<_> = calm.map(|(alert, _)| alert.get()).collect();
        run_for_ids(tx.lend(), "DELETE FROM alert_flap WHERE alert", &calm).await?;
        let flaps: Vec<_> = self.0.values().flatten().collect();
        in_chunks!(tx.lend(), &flaps, |rows| {
            let mut query = QueryBuilder::new(
                "INSERT INTO alert_flap (alert, partition, changes, is_flapping, until) ",
            );
            push_rows(&mut query, rows, |row, flap| {
                row.push_bind(flap.alert.get())
                    .push_bind(partition)
                    .push_bind(serde_json::to_string(&flap.changes).unwrap_or_default())
                    .push_bind(flap.is_flapping)
                    .push_bind(flap.until.as_millis());
            });
            query.push(
                " ON CONFLICT (alert) DO UPDATE SET changes = excluded.changes, \
                 is_flapping = excluded.is_flapping, until = excluded.until",
            );
            query
        });
        Ok(())
    }
}

row! {
    struct FlapRow {
        alert: i64,
        changes: String,
        is_flapping: bool,
        until: i64,
    }
}

/// Loads what is remembered.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<FlapRow> = on!(conn, c => sqlx::query_as(
        "SELECT alert, changes, is_flapping, until FROM alert_flap WHERE partition = $1 ORDER BY alert"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        let changes = serde_json::from_str(&row.changes)
            .map_err(|error| StoreError::corrupt("alert_flap", "changes", error))?;
        let flap = Flap {
            alert: alert_id(row.alert)?,
            changes,
            is_flapping: row.is_flapping,
            until: Timestamp::from_millis(row.until),
        };
        state.put_flap(&FlapChange::Changed(Arc::new(flap)));
    }
    Ok(())
}
