//! Texts and bindings of alerts as rows; written with a batch.
//!
//! Must not decide which text an alert has.

use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::bind::Binding;
use crate::core::ids::AlertId;
use crate::core::observation::AlertText;

use super::bulk::in_chunks;
use super::table::push_rows;
use super::{Conn, StoreError};

/// Pairs as a JSON object, in their order.
fn as_json(pairs: &[(SmolStr, SmolStr)]) -> String {
    struct Object<'a>(&'a [(SmolStr, SmolStr)]);
    impl serde::Serialize for Object<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
        }
    }
    serde_json::to_string(&Object(pairs)).unwrap_or_else(|_| "{}".to_owned())
}

pub(super) async fn upsert_texts(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(&AlertId, &Arc<AlertText>)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO alert_text (id, partition, summary, labels, annotations, generator_url, is_cut, ci_hint) ",
        );
        push_rows(&mut query, rows, |row, (id, text)| {
            row.push_bind(id.get())
                .push_bind(partition)
                .push_bind(text.summary.as_str())
                .push_bind(as_json(&text.labels))
                .push_bind(as_json(&text.annotations))
                .push_bind(text.generator_url.as_str())
                .push_bind(text.is_cut)
                .push_bind(text.ci_hint.as_deref());
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET summary = excluded.summary, labels = excluded.labels, \
             annotations = excluded.annotations, generator_url = excluded.generator_url, is_cut = excluded.is_cut, \
             ci_hint = excluded.ci_hint",
        );
        query
    });
    Ok(())
}

pub(super) async fn upsert_bindings(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(&AlertId, &Arc<Binding>)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO alert_binding (alert, partition, ci, outcome, reason, candidates) ",
        );
        push_rows(&mut query, rows, |row, (alert, binding)| {
            row.push_bind(alert.get())
                .push_bind(partition)
                .push_bind(binding.ci.map(|ci| i64::from(ci.get())))
                .push_bind(binding.outcome.word())
                .push_bind(&*binding.reason)
                .push_bind(serde_json::to_string(&binding.candidates).unwrap_or_default());
        });
        query.push(
            " ON CONFLICT (alert) DO UPDATE SET ci = excluded.ci, outcome = excluded.outcome, \
             reason = excluded.reason, candidates = excluded.candidates",
        );
        query
    });
    Ok(())
}
