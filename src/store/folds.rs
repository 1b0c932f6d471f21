//! Troubles that come with labels that name events, in the store. Must not decide what folds.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::QueryBuilder;

use crate::core::fold::{Fold, FoldChange};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::{in_chunks, run_for_pairs};
use super::rows::row;
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes; of several changes to one trouble the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct FoldRows(BTreeMap<u64, Option<Arc<Fold>>>);

impl FoldRows {
    pub(super) fn add(&mut self, change: FoldChange) {
        match change {
            FoldChange::Put(fold) => self.0.insert(fold.signature, Some(fold)),
            FoldChange::Gone(signature) => self.0.insert(signature, None),
        };
    }

    pub(super) fn row_count(&self) -> usize {
        self.0.len()
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let gone = self.0.iter().filter(|(_, fold)| fold.is_none());
        let gone: Vec<_> = gone
            .map(|(signature, _)| (signature.cast_signed(), partition))
            .collect();
        run_for_pairs(
            tx.lend(),
            "DELETE FROM alert_fold WHERE (signature, partition)",
            &gone,
        )
        .await?;
        let put: Vec<_> = self.0.values().flatten().collect();
        in_chunks!(tx.lend(), &put, |rows| {
            let mut query = QueryBuilder::new(
                "INSERT INTO alert_fold (signature, partition, count, last_at, firing, is_cut) ",
            );
            push_rows(&mut query, rows, |row, fold| {
                row.push_bind(fold.signature.cast_signed())
                    .push_bind(partition)
                    .push_bind(i64::from(fold.count))
                    .push_bind(fold.last_at.as_millis())
                    .push_bind(serde_json::to_string(&fold.firing).unwrap_or_default())
                    .push_bind(fold.is_cut);
            });
            query.push(
                    " ON CONFLICT (signature, partition) DO UPDATE SET count = excluded.count, \
                     last_at = excluded.last_at, firing = excluded.firing, is_cut = excluded.is_cut",
                );
            query
        });
        Ok(())
    }
}

row! {
    struct FoldRow {
        signature: i64,
        count: i64,
        last_at: i64,
        firing: String,
        is_cut: bool,
    }
}

/// Loads what is known.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<FoldRow> = on!(conn, c => sqlx::query_as(
        "SELECT signature, count, last_at, firing, is_cut FROM alert_fold WHERE partition = $1 ORDER BY signature"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        let count = u32::try_from(row.count);
        let firing = serde_json::from_str(&row.firing)
            .map_err(|error| StoreError::corrupt("alert_fold", "firing", error))?;
        let fold = Fold {
            signature: row.signature.cast_unsigned(),
            count: count.map_err(|_| StoreError::corrupt("alert_fold", "count", row.count))?,
            last_at: Timestamp::from_millis(row.last_at),
            firing,
            is_cut: row.is_cut,
        };
        state.put_fold(&FoldChange::Put(Arc::new(fold)));
    }
    Ok(())
}
