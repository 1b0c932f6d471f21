//! Which incidents are held by others, in the store. Must not decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::IncidentId;
use crate::core::mute::inhibit::{InhibitChange, Inhibition};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::{in_chunks, run_for_ids};
use super::rows::{incident_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes; of several changes to one incident the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct InhibitionRows(BTreeMap<IncidentId, Option<Arc<Inhibition>>>);

impl InhibitionRows {
    pub(super) fn add(&mut self, change: InhibitChange) {
        let incident = change.incident();
        let held = match change {
            InhibitChange::Held(held) => Some(held),
            InhibitChange::Released(_) => None,
        };
        self.0.insert(incident, held);
    }

    pub(super) fn row_count(&self) -> usize {
        self.0.len()
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let over = self.0.iter().filter(|(_, held)| held.is_none());
        let over: Vec<_> = over.map(|(incident, _)| incident.get()).collect();
        run_for_ids(tx.lend(), "DELETE FROM inhibition WHERE incident", &over).await?;
        let held: Vec<_> = self.0.values().flatten().collect();
        in_chunks!(tx.lend(), &held, |rows| {
            let mut query = QueryBuilder::new(
                "INSERT INTO inhibition (incident, partition, held_by, rule, since) ",
            );
            push_rows(&mut query, rows, |row, held| {
                row.push_bind(held.incident.get())
                    .push_bind(partition)
                    .push_bind(held.by.get())
                    .push_bind(held.rule.as_str())
                    .push_bind(held.since.as_millis());
            });
            query.push(
                    " ON CONFLICT (incident) DO UPDATE SET held_by = excluded.held_by, rule = excluded.rule, \
                     since = excluded.since",
                );
            query
        });
        Ok(())
    }
}

row! {
    struct InhibitionRow {
        incident: i64,
        held_by: i64,
        rule: String,
        since: i64,
    }
}

/// Loads which are held.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<InhibitionRow> = on!(conn, c => sqlx::query_as(
        "SELECT incident, held_by, rule, since FROM inhibition WHERE partition = $1 ORDER BY incident"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        let held = Inhibition {
            incident: incident_id(row.incident)?,
            by: incident_id(row.held_by)?,
            rule: SmolStr::new(row.rule),
            since: Timestamp::from_millis(row.since),
        };
        state.put_inhibition(&InhibitChange::Held(Arc::new(held)));
    }
    Ok(())
}
