//! The last alert of each trouble that has variants, in the store. Must not decide what is one.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;

use crate::core::ids::AlertId;
use crate::core::state::State;
use crate::core::variant::{Variant, VariantChange};

use super::bulk::{in_chunks, run_for_ids};
use super::rows::{alert_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes; of several changes to one trouble the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct VariantRows {
    put: BTreeMap<u64, Variant>,
    gone: Vec<AlertId>,
}

impl VariantRows {
    pub(super) fn add(&mut self, change: VariantChange) {
        match change {
            VariantChange::Put(variant) => {
                self.put.insert(variant.signature, variant);
            }
            VariantChange::Gone(alert) => {
                self.put.retain(|_, variant| variant.alert != alert);
                self.gone.push(alert);
            }
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.put.len().saturating_add(self.gone.len())
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let put: Vec<_> = self.put.values().collect();
        let replaced = put.iter().map(|variant| variant.alert);
        // An alert is the last one of one trouble only.
        let gone = replaced.chain(self.gone.iter().copied());
        let gone: Vec<_> = gone.map(AlertId::get).collect();
        run_for_ids(tx.lend(), "DELETE FROM alert_variant WHERE alert", &gone).await?;
        in_chunks!(tx.lend(), &put, |rows| {
            let mut query = QueryBuilder::new(
                "INSERT INTO alert_variant (signature, partition, alert, workload, count, is_mixed) ",
            );
            push_rows(&mut query, rows, |row, variant| {
                row.push_bind(variant.signature.cast_signed())
                    .push_bind(partition)
                    .push_bind(variant.alert.get())
                    .push_bind(variant.workload.cast_signed())
                    .push_bind(i64::from(variant.count))
                    .push_bind(variant.is_mixed);
            });
            query.push(
                    " ON CONFLICT (signature, partition) DO UPDATE SET alert = excluded.alert, \
                     workload = excluded.workload, count = excluded.count, is_mixed = excluded.is_mixed",
                );
            query
        });
        Ok(())
    }
}

row! {
    struct VariantRow {
        signature: i64,
        alert: i64,
        workload: i64,
        count: i64,
        is_mixed: bool,
    }
}

/// Loads what is known.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<VariantRow> = on!(conn, c => sqlx::query_as(
        "SELECT signature, alert, workload, count, is_mixed FROM alert_variant WHERE partition = $1 ORDER BY signature"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        let count = u32::try_from(row.count);
        let variant = Variant {
            signature: row.signature.cast_unsigned(),
            alert: alert_id(row.alert)?,
            workload: row.workload.cast_unsigned(),
            count: count.map_err(|_| StoreError::corrupt("alert_variant", "count", row.count))?,
            is_mixed: row.is_mixed,
        };
        state.put_variant(&VariantChange::Put(variant));
    }
    Ok(())
}
