//! Deleting what is older than it is kept, in bounded steps that ingest can commit in between.
//!
//! Must not delete an input that is not decided yet, nor an open incident.

use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::{Conn, StoreError, Tx, cmdb, on};

/// Rows deleted by one step.
const ROWS_PER_STEP: i64 = 500;

/// What may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Inputs and dead letters received before this; messages to people that ended before this.
    pub inputs_before: Timestamp,
    /// Inputs up to this position, whatever their age (the log is too large).
    pub inputs_through: Seq,
    /// Closed incidents that were closed before this, with their timelines and members; alerts that never had an
    /// incident and were last heard of before this.
    pub incidents_before: Timestamp,
    /// Answers to commands with an idempotency key that were given before this.
    pub answers_before: Timestamp,
    /// Versions of the CMDB that ended before this; the state at this time can still be asked for.
    pub cmdb_before: Timestamp,
}

/// Deletes one step's worth; returns how many rows went, zero when nothing is left to delete.
pub(super) async fn step(
    tx: &mut Tx<'_>,
    partition: i64,
    decided: Seq,
    limits: Limits,
) -> Result<u64, StoreError> {
    let mut rows = delete_inputs(tx, partition, decided, limits).await?;
    for (sql, before) in [
        (LETTERS, limits.inputs_before),
        (SILENCES, limits.inputs_before),
        (WINDOWS, limits.inputs_before),
        (ANSWERS, limits.answers_before),
        (MESSAGES, limits.inputs_before),
    ] {
        rows = rows.saturating_add(on!(tx.lend(), c => sqlx::query(sql)
            .bind(before.as_millis()).bind(ROWS_PER_STEP).execute(c).await.map(|done| done.rows_affected()))?);
    }
    delete_replayed(tx, partition).await?;
    rows = rows.saturating_add(cmdb::forget_versions(tx, limits.cmdb_before).await?);
    rows = rows.saturating_add(delete_incidents(tx, partition, limits.incidents_before).await?);
    rows = rows.saturating_add(delete_lone_alerts(tx, partition, limits.incidents_before).await?);
    Ok(rows)
}

/// Past their age, or more than 2,000: a broken sender must not fill the disk, and with bodies cut at 256 KiB those are
/// half a gibibyte. Only the oldest are looked at: they are in order of time, and a walk over all of them would hold up the writer.
const LETTERS: &str = "DELETE FROM dead_letter WHERE id IN (SELECT id FROM (SELECT id, at FROM dead_letter \
    ORDER BY id LIMIT $2) oldest WHERE at < $1 \
    OR id <= (SELECT MAX(id) FROM dead_letter) - 2000)";

/// The newest stays: its number tells where the next ones begin.
const SILENCES: &str = "DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE is_over AND ends_at < $1 \
    ORDER BY ends_at LIMIT $2) AND id < (SELECT MAX(id) FROM silence)";

/// The newest stays, as with silences.
const WINDOWS: &str = "DELETE FROM maintenance WHERE id IN (SELECT id FROM maintenance WHERE is_over AND updated_at < $1 \
    ORDER BY updated_at LIMIT $2) AND id < (SELECT MAX(id) FROM maintenance)";

const ANSWERS: &str = "DELETE FROM command_answer WHERE key IN (SELECT key FROM command_answer WHERE at < $1 LIMIT $2)";

/// Messages that ended, but not those of an incident that is held: they say who knows what of it. The newest stays, as
/// with silences.
const MESSAGES: &str = "DELETE FROM outbox WHERE id IN (SELECT o.id FROM outbox o WHERE NOT o.is_due \
    AND o.ended_at < $1 AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.id = o.incident AND NOT i.is_forgotten) \
    ORDER BY o.ended_at LIMIT $2) AND id < (SELECT MAX(id) FROM outbox)";

/// What is noted of inputs goes with them.
async fn delete_replayed(tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
    on!(tx.lend(), c => sqlx::query(
        "DELETE FROM replayed WHERE partition = $1 AND seq < (SELECT MIN(seq) FROM input WHERE partition = $1)"
    ).bind(partition).execute(c).await.map(drop))?;
    Ok(())
}

async fn delete_inputs(
    tx: &mut Tx<'_>,
    partition: i64,
    decided: Seq,
    limits: Limits,
) -> Result<u64, StoreError> {
    Ok(on!(tx.lend(), c => sqlx::query(
        "DELETE FROM input WHERE partition = $1 AND seq IN (SELECT seq FROM (SELECT seq, at FROM input \
         WHERE partition = $1 AND seq <= $2 ORDER BY seq LIMIT $5) oldest WHERE at < $3 OR seq <= $4)"
    )
    .bind(partition)
    .bind(decided.get())
    .bind(limits.inputs_before.as_millis())
    .bind(limits.inputs_through.get())
    .bind(ROWS_PER_STEP)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))?)
}

/// The newest incident stays, and the one with the newest alert: their numbers tell where the next ones begin.
async fn delete_incidents(
    tx: &mut Tx<'_>,
    partition: i64,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let old: Vec<(i64,)> = on!(tx.lend(), c => sqlx::query_as(
        "SELECT id FROM incident WHERE state = 'closed' AND is_forgotten AND partition = $1 AND closed_at < $2 \
         AND id < (SELECT MAX(id) FROM incident) AND NOT EXISTS (SELECT 1 FROM incident_alert m \
         JOIN alert_state s ON s.id = m.alert WHERE m.incident = incident.id AND s.incident = incident.id \
         AND (NOT s.is_forgotten OR s.id = (SELECT MAX(id) FROM alert_key))) ORDER BY closed_at LIMIT $3"
    ).bind(partition).bind(before.as_millis()).bind(ROWS_PER_STEP / 10).fetch_all(c).await?);
    for &(incident,) in &old {
        delete_alerts_of(tx, incident).await?;
        for sql in [
            "DELETE FROM timeline WHERE incident = $1",
            "DELETE FROM incident_alert WHERE incident = $1",
            "DELETE FROM node_alert WHERE node IN (SELECT id FROM node WHERE incident = $1 AND is_forgotten)",
            "DELETE FROM node WHERE incident = $1 AND is_forgotten",
            "DELETE FROM incident_cause WHERE incident = $1",
            "DELETE FROM incident_service WHERE incident = $1",
            "DELETE FROM incident_standing WHERE incident = $1",
            "DELETE FROM sla_clock WHERE incident = $1",
            "DELETE FROM incident_outcome WHERE incident = $1",
            "DELETE FROM incident_escalated WHERE incident = $1",
            "DELETE FROM rating WHERE incident = $1",
            "DELETE FROM told WHERE incident = $1",
            "DELETE FROM ticket_exchange WHERE incident = $1",
            // One that waits for its platform is held by the core and stays.
            "DELETE FROM ticket WHERE incident = $1 AND is_forgotten",
            // Also what waits for a target that is no longer configured.
            "DELETE FROM outbox WHERE incident = $1 AND id < (SELECT MAX(id) FROM outbox)",
            "DELETE FROM incident WHERE id = $1",
        ] {
            on!(tx.lend(), c => sqlx::query(sql).bind(incident).execute(c).await.map(drop))?;
        }
    }
    Ok(u64::try_from(old.len()).unwrap_or(0))
}

/// Alerts go with their last incident, once the core has forgotten them.
async fn delete_alerts_of(tx: &mut Tx<'_>, incident: i64) -> Result<(), StoreError> {
    let alerts: Vec<(i64,)> = on!(tx.lend(), c => sqlx::query_as(
        "SELECT s.id FROM incident_alert m JOIN alert_state s ON s.id = m.alert \
         WHERE m.incident = $1 AND s.incident = $1 AND s.is_forgotten"
    ).bind(incident).fetch_all(c).await?);
    for (alert,) in alerts {
        delete_alert(tx, alert).await?;
    }
    Ok(())
}

/// Alerts of which only a resolve was ever seen have no incident to go with.
async fn delete_lone_alerts(
    tx: &mut Tx<'_>,
    partition: i64,
    before: Timestamp,
) -> Result<u64, StoreError> {
    let alerts: Vec<(i64,)> = on!(tx.lend(), c => sqlx::query_as(
        "SELECT id FROM alert_state WHERE incident IS NULL AND is_forgotten AND partition = $1 \
         AND last_seen_at < $2 AND id < (SELECT MAX(id) FROM alert_key) ORDER BY last_seen_at LIMIT $3"
    ).bind(partition).bind(before.as_millis()).bind(ROWS_PER_STEP).fetch_all(c).await?);
    for &(alert,) in &alerts {
        delete_alert(tx, alert).await?;
    }
    Ok(u64::try_from(alerts.len()).unwrap_or(0))
}

async fn delete_alert(tx: &mut Tx<'_>, alert: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM timeline WHERE incident IS NULL AND alert = $1",
        "DELETE FROM alert_binding WHERE alert = $1",
        "DELETE FROM alert_text WHERE id = $1",
        "DELETE FROM alert_state WHERE id = $1",
        "DELETE FROM alert_key WHERE id = $1",
    ] {
        on!(tx.lend(), c => sqlx::query(sql).bind(alert).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// The position up to which the log must go for the rest to fit, looking only at whole steps of rows.
///
/// # Errors
/// The database cannot be read.
pub async fn find_overflow(
    conn: Conn<'_>,
    partition: i64,
    bytes_max: i64,
) -> Result<Seq, StoreError> {
    // Newest first, so that the walk stops where the log is full; with nothing over the limit it reads all sizes.
    let overflow: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT seq FROM (SELECT seq, SUM(length(body)) OVER (ORDER BY seq DESC) AS kept FROM input \
         WHERE partition = $1) sizes WHERE kept > $2 ORDER BY seq DESC LIMIT 1"
    ).bind(partition).bind(bytes_max).fetch_optional(c).await?);
    Ok(overflow.map_or(Seq::default(), |(seq,)| Seq::new(seq)))
}
