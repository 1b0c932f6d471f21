//! Incidents and their alerts as rows; written with a batch.
//!
//! Must not decide which of them change.

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::Incident;
use crate::core::time::Timestamp;

use super::bulk::in_chunks;
use super::rows::state_columns;
use super::table::push_rows;
use super::{Conn, StoreError};

pub(super) async fn upsert_incidents(
    conn: Conn<'_>,
    partition: i64,
    rows: &[&(Incident, Option<SmolStr>)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO incident (id, partition, state, state_until, hold_reason, severity, priority, firing, total, \
             opened_at, acknowledged_at, resolved_at, closed_at, recovers_at, reopen_count, previous, assignee, team, \
             version, merged_into, title, is_forgotten, settles_since, announce_at, announced_at, joined_at) ",
        );
        push_rows(&mut query, rows, |row, (incident, title)| {
            let (state_until, hold_reason) = state_columns(&incident.state);
            let owner = incident.owner.as_deref();
            row.push_bind(incident.id.get())
                .push_bind(partition)
                .push_bind(incident.state.word().word())
                .push_bind(state_until.map(Timestamp::as_millis))
                .push_bind(hold_reason)
                .push_bind(incident.severity.word())
                .push_bind(incident.priority.word())
                .push_bind(i64::from(incident.firing))
                .push_bind(i64::from(incident.total))
                .push_bind(incident.opened_at.as_millis())
                .push_bind(incident.acknowledged_at.map(Timestamp::as_millis))
                .push_bind(incident.resolved_at.map(Timestamp::as_millis))
                .push_bind(incident.closed_at.map(Timestamp::as_millis))
                .push_bind(incident.recovers_at.map(Timestamp::as_millis))
                .push_bind(i64::from(incident.reopen_count))
                .push_bind(incident.previous.map(IncidentId::get))
                .push_bind(owner.and_then(|owner| owner.assignee.as_deref()))
                .push_bind(owner.and_then(|owner| owner.team.as_deref()))
                .push_bind(incident.version)
                .push_bind(incident.merged_into.map(IncidentId::get))
                .push_bind(title.as_deref())
                .push_bind(false)
                .push_bind(incident.settles_since.map(Timestamp::as_millis))
                .push_bind(incident.announce_at.map(Timestamp::as_millis))
                .push_bind(incident.announced_at.map(Timestamp::as_millis))
                .push_bind(incident.joined_at.map(Timestamp::as_millis));
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, state_until = excluded.state_until, \
             hold_reason = excluded.hold_reason, severity = excluded.severity, priority = excluded.priority, \
             firing = excluded.firing, total = excluded.total, acknowledged_at = excluded.acknowledged_at, \
             resolved_at = excluded.resolved_at, closed_at = excluded.closed_at, recovers_at = excluded.recovers_at, \
             reopen_count = excluded.reopen_count, assignee = excluded.assignee, team = excluded.team, \
             version = excluded.version, merged_into = excluded.merged_into, title = COALESCE(excluded.title, incident.title), \
             settles_since = excluded.settles_since, announce_at = excluded.announce_at, \
             announced_at = excluded.announced_at, joined_at = excluded.joined_at",
        );
        query
    });
    Ok(())
}

pub(super) async fn insert_joins(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(IncidentId, AlertId, Timestamp)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO incident_alert (incident, alert, partition, joined_at, events) ",
        );
        push_rows(&mut query, rows, |row, (incident, alert, at)| {
            row.push_bind(incident.get())
                .push_bind(alert.get())
                .push_bind(partition)
                .push_bind(at.as_millis())
                .push_bind(None::<i64>);
        });
        query.push(" ON CONFLICT (incident, alert) DO UPDATE SET events = excluded.events");
        query
    });
    Ok(())
}

/// Notes how many events alerts that left an incident had there.
pub(super) async fn set_events(
    conn: Conn<'_>,
    rows: &[(&(IncidentId, AlertId), &i64)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new("WITH gone (incident, alert, events) AS (");
        push_rows(&mut query, rows, |row, ((incident, alert), events)| {
            row.push_bind(incident.get())
                .push_bind(alert.get())
                .push_bind(**events);
        });
        query.push(
            ") UPDATE incident_alert SET events = gone.events FROM gone \
             WHERE incident_alert.incident = gone.incident AND incident_alert.alert = gone.alert",
        );
        query
    });
    Ok(())
}
