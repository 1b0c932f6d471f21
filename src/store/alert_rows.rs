//! What changes of alerts as rows; written with a batch.
//!
//! Must not decide which of them change.

use sqlx::QueryBuilder;

use crate::core::alert::Alert;
use crate::core::ids::IncidentId;
use crate::core::time::Timestamp;

use super::bulk::in_chunks;
use super::rows::{late_columns, status_columns};
use super::table::push_rows;
use super::{Conn, StoreError};

pub(super) async fn upsert_alerts(
    conn: Conn<'_>,
    partition: i64,
    rows: &[&Alert],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO alert_state (id, partition, status, ended_by, severity, is_muted_upstream, undelivered, \
             episode, starts_at, is_start_ours, ends_at, last_seen_at, lease_at, count, count_before, text_hash, incident, late, \
             late_until, is_forgotten) ",
        );
        push_rows(&mut query, rows, |row, alert| {
            let (status, ended_by) = status_columns(alert.status);
            let (late, late_until) = late_columns(alert.late);
            row.push_bind(alert.id.get())
                .push_bind(partition)
                .push_bind(status)
                .push_bind(ended_by)
                .push_bind(alert.severity.word())
                .push_bind(alert.is_muted_upstream)
                .push_bind(i64::from(alert.undelivered))
                .push_bind(i64::from(alert.episode))
                .push_bind(alert.starts_at.as_millis())
                .push_bind(alert.is_start_ours)
                .push_bind(alert.ends_at.map(Timestamp::as_millis))
                .push_bind(alert.last_seen_at.as_millis())
                .push_bind(alert.lease_at.as_millis())
                .push_bind(alert.count)
                .push_bind(alert.count_before)
                .push_bind(alert.text_hash.cast_signed())
                .push_bind(alert.incident.map(IncidentId::get))
                .push_bind(late)
                .push_bind(late_until.map(Timestamp::as_millis))
                .push_bind(false);
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET status = excluded.status, ended_by = excluded.ended_by, \
             severity = excluded.severity, is_muted_upstream = excluded.is_muted_upstream, \
             undelivered = excluded.undelivered, episode = excluded.episode, starts_at = excluded.starts_at, is_start_ours = excluded.is_start_ours, \
             ends_at = excluded.ends_at, last_seen_at = excluded.last_seen_at, lease_at = excluded.lease_at, \
             count = excluded.count, count_before = excluded.count_before, text_hash = excluded.text_hash, \
             incident = excluded.incident, late = excluded.late, late_until = excluded.late_until",
        );
        query
    });
    Ok(())
}

/// The columns that a repeat changes, of alerts that are stored already.
pub(super) async fn update_repeated(conn: Conn<'_>, rows: &[&Alert]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "WITH seen (id, last_seen_at, lease_at, count, undelivered, text_hash) AS (",
        );
        push_rows(&mut query, rows, |row, alert| {
            row.push_bind(alert.id.get())
                .push_bind(alert.last_seen_at.as_millis())
                .push_bind(alert.lease_at.as_millis())
                .push_bind(alert.count)
                .push_bind(i64::from(alert.undelivered))
                .push_bind(alert.text_hash.cast_signed());
        });
        query.push(
            ") UPDATE alert_state SET last_seen_at = seen.last_seen_at, lease_at = seen.lease_at, \
             count = seen.count, undelivered = seen.undelivered, text_hash = seen.text_hash \
             FROM seen WHERE alert_state.id = seen.id",
        );
        query
    });
    Ok(())
}
