//! Rebuilding the core's state from committed rows, as at the engine's cursor.
//!
//! Must read everything from one snapshot, and must fail rather than guess when a row cannot be understood.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use smol_str::SmolStr;

use crate::core::ids::{IdFeed, SourceId};
use crate::core::reason::Reason;
use crate::core::state::{Remembered, State};
use crate::core::time::Timestamp;

use super::heartbeats;
use super::rows::{
    ALERT_COLUMNS, AlertRow, INCIDENT_COLUMNS, IncidentRow, alert_id, incident_id, row,
};
use super::{
    Conn, StoreError, cmdb, escalations, flaps, folds, forest, inhibitions, on, outbox, outcomes,
    overrides, practice, records, review, silences, tickets, variants, windows,
};

/// Loads what the core holds in memory, and the feed of ids that continues after it.
///
/// # Errors
/// The database cannot be read, or holds a row that cannot be understood.
pub async fn load(mut conn: Conn<'_>, partition: i64) -> Result<(State, IdFeed), StoreError> {
    let mut state = State::default();
    load_sources(conn.lend(), partition, &mut state).await?;
    cmdb::load::graph(conn.lend(), &mut state).await?;
    load_incidents(conn.lend(), partition, &mut state).await?;
    load_alerts(conn.lend(), partition, &mut state).await?;
    load_members(conn.lend(), partition, &mut state).await?;
    load_answers(conn.lend(), partition, &mut state).await?;
    silences::load(conn.lend(), partition, &mut state).await?;
    windows::load(conn.lend(), partition, &mut state).await?;
    flaps::load(conn.lend(), partition, &mut state).await?;
    variants::load(conn.lend(), partition, &mut state).await?;
    inhibitions::load(conn.lend(), partition, &mut state).await?;
    folds::load(conn.lend(), partition, &mut state).await?;
    review::load(conn.lend(), partition, &mut state).await?;
    overrides::load(conn.lend(), partition, &mut state).await?;
    escalations::load(conn.lend(), partition, &mut state).await?;
    practice::load(conn.lend(), partition, &mut state).await?;
    outcomes::load(conn.lend(), partition, &mut state).await?;
    outbox::load(conn.lend(), partition, &mut state).await?;
    records::load(conn.lend(), partition, &mut state).await?;
    heartbeats::load(conn.lend(), partition, &mut state).await?;
    tickets::load(conn.lend(), partition, &mut state).await?;
    forest::load(conn.lend(), partition, &mut state).await?;
    let alert = find_max(conn.lend(), "SELECT MAX(id) FROM alert_key").await?;
    let incident = find_max(conn.lend(), "SELECT MAX(id) FROM incident").await?;
    let entry = find_max(conn.lend(), "SELECT MAX(id) FROM timeline").await?;
    let silence = find_max(conn.lend(), "SELECT MAX(id) FROM silence").await?;
    let window = find_max(conn.lend(), "SELECT MAX(id) FROM maintenance").await?;
    let message = find_max(conn.lend(), "SELECT MAX(id) FROM outbox").await?;
    let ids = IdFeed::after(alert, incident, entry)
        .silences_after(silence)
        .windows_after(window)
        .messages_after(message);
    let ids = records::continue_ids(conn, ids).await?;
    Ok((state, ids))
}

/// Loads the labels of the alerts that open incidents were opened for; only needed while some condition looks at them.
///
/// # Errors
/// The database cannot be read, or holds a row that cannot be understood.
pub async fn load_labels(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let sql = "SELECT i.id, t.labels FROM incident i JOIN alert_text t ON t.id = \
               (SELECT m.alert FROM incident_alert m WHERE m.incident = i.id ORDER BY m.joined_at, m.alert LIMIT 1) \
               WHERE NOT i.is_forgotten AND i.partition = $1";
    on!(conn, c => {
        let mut rows = sqlx::query_as::<_, (i64, String)>(sql).bind(partition).fetch(c);
        while let Some((incident, labels)) = rows.try_next().await? {
            let labels: BTreeMap<SmolStr, SmolStr> = serde_json::from_str(&labels)
                .map_err(|error| StoreError::corrupt("alert_text", "labels", error))?;
            state.practice_mut().keep_labels(incident_id(incident)?, &labels.into_iter().collect());
        }
    });
    Ok(())
}

async fn load_sources(conn: Conn<'_>, partition: i64, state: &mut State) -> Result<(), StoreError> {
    let rows: Vec<(i64, String)> = on!(conn, c => sqlx::query_as(
        "SELECT id, name FROM source WHERE partition = $1 ORDER BY id"
    ).bind(partition).fetch_all(c).await?);
    for (id, name) in rows {
        let number = u16::try_from(id).map_err(|_| StoreError::corrupt("source", "id", id))?;
        state.add_source(SourceId(number), SmolStr::new(name));
    }
    Ok(())
}

async fn load_incidents(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut query = sqlx::QueryBuilder::new("SELECT ");
        query.push(INCIDENT_COLUMNS).push(" FROM incident WHERE NOT is_forgotten AND partition = ");
        query.push_bind(partition).push(" ORDER BY id");
        let mut rows = query.build_query_as::<IncidentRow>().fetch(c);
        while let Some(row) = rows.try_next().await? {
            state.put_incident(row.into_core()?);
        }
    });
    Ok(())
}

async fn load_alerts(conn: Conn<'_>, partition: i64, state: &mut State) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut query = sqlx::QueryBuilder::new("SELECT ");
        query.push(ALERT_COLUMNS);
        query.push(" FROM alert_key k JOIN alert_state s ON s.id = k.id LEFT JOIN alert_binding b ON b.alert = k.id WHERE NOT s.is_forgotten AND k.partition = ");
        query.push_bind(partition).push(" ORDER BY k.id");
        let mut rows = query.build_query_as::<AlertRow>().fetch(c);
        while let Some(row) = rows.try_next().await? {
            state.put_alert(row.into_core()?);
        }
    });
    Ok(())
}

async fn load_members(conn: Conn<'_>, partition: i64, state: &mut State) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut rows = sqlx::query_as::<_, (i64, i64)>(
            "SELECT m.incident, m.alert FROM incident_alert m JOIN incident i ON i.id = m.incident \
             WHERE NOT i.is_forgotten AND m.partition = $1 ORDER BY m.incident, m.joined_at, m.alert",
        )
        .bind(partition)
        .fetch(c);
        while let Some((incident, alert)) = rows.try_next().await? {
            state.join(incident_id(incident)?, alert_id(alert)?);
        }
    });
    Ok(())
}

row! {
    struct AnswerRow {
        key: i64,
        at: i64,
        command: i64,
        incident: i64,
        reason: String,
        is_refused: bool,
    }
}

async fn load_answers(conn: Conn<'_>, partition: i64, state: &mut State) -> Result<(), StoreError> {
    let rows: Vec<AnswerRow> = on!(conn, c => sqlx::query_as(
        "SELECT key, at, command, incident, reason, is_refused FROM command_answer WHERE partition = $1 ORDER BY at, key"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        let reason = Reason::from_code(&row.reason)
            .ok_or_else(|| StoreError::corrupt("command_answer", "reason", &row.reason))?;
        let remembered = Remembered {
            at: Timestamp::from_millis(row.at),
            command: row.command.cast_unsigned(),
            incident: incident_id(row.incident)?,
            reason,
            is_refused: row.is_refused,
        };
        state.remember(row.key.cast_unsigned(), remembered);
    }
    Ok(())
}

async fn find_max(conn: Conn<'_>, sql: &'static str) -> Result<i64, StoreError> {
    let (max,): (Option<i64>,) = on!(conn, c => sqlx::query_as(sql).fetch_one(c).await?);
    Ok(max.unwrap_or(0))
}
