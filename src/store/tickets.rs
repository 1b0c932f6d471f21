//! Tickets in the store: written with a batch, loaded at start, and what the API shows of them.
//!
//! Must not decide anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::{IncidentId, Seq};
use crate::core::state::State;
use crate::core::ticket::report::Exchange;
use crate::core::ticket::{Link, TicketChange};
use crate::core::time::Timestamp;

use super::bulk::in_chunks;
pub use super::change_cursor::read as changes_read_until;
use super::rows::{incident_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// Exchanges that are kept of one ticket.
const EXCHANGES_MAX: i64 = 100;

type Key = (IncidentId, SmolStr);

/// What a batch changes about tickets; of several changes to one the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct TicketRows {
    links: BTreeMap<Key, Arc<Link>>,
    forgotten: Vec<Key>,
    exchanges: Vec<(Seq, Key, Vec<Exchange>)>,
    paused: BTreeMap<SmolStr, bool>,
}

impl TicketRows {
    pub(super) fn add(&mut self, seq: Seq, change: TicketChange) {
        match change {
            TicketChange::Changed(link) => {
                let key = (link.incident, link.connector.clone());
                self.links.insert(key, link);
            }
            TicketChange::Forgotten(incident, connector) => {
                self.forgotten.push((incident, connector));
            }
            TicketChange::Exchanged {
                incident,
                connector,
                exchanges,
            } => self.exchanges.push((seq, (incident, connector), exchanges)),
            TicketChange::Paused(connector, is_paused) => {
                self.paused.insert(connector, is_paused);
            }
        }
    }

    pub(super) fn row_count(&self) -> usize {
        let said = self.exchanges.iter().map(|(_, _, said)| said.len());
        self.links
            .len()
            .saturating_add(self.paused.len())
            .saturating_add(said.sum())
    }

    pub(super) fn wants_work(&self) -> bool {
        !self.paused.is_empty() || self.links.values().any(|link| link.has_work())
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let links: Vec<_> = self.links.values().collect();
        upsert(tx.lend(), partition, &links).await?;
        for (incident, connector) in &self.forgotten {
            let sql =
                "UPDATE ticket SET is_forgotten = TRUE WHERE incident = $1 AND connector = $2";
            on!(tx.lend(), c => sqlx::query(sql).bind(incident.get()).bind(connector.as_str())
                .execute(c).await.map(drop))?;
        }
        for (seq, key, said) in &self.exchanges {
            insert_exchanges(tx, partition, (*seq, key), said).await?;
        }
        for (connector, &is_paused) in &self.paused {
            let sql = if is_paused {
                "INSERT INTO connector_pause (connector, partition) VALUES ($1, $2) ON CONFLICT (partition, connector) DO NOTHING"
            } else {
                "DELETE FROM connector_pause WHERE connector = $1 AND partition = $2"
            };
            on!(tx.lend(), c => sqlx::query(sql).bind(connector.as_str()).bind(partition)
                .execute(c).await.map(drop))?;
        }
        Ok(())
    }
}

async fn upsert(conn: Conn<'_>, partition: i64, rows: &[&Arc<Link>]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO ticket (incident, connector, partition, ticket_key, remote_id, number, url, standing, error, \
             changed_at, link, is_forgotten) ",
        );
        push_rows(&mut query, rows, |row, link| {
            let record = link.record.as_ref();
            let error = link.error().map(ToString::to_string);
            row.push_bind(link.incident.get())
                .push_bind(link.connector.as_str())
                .push_bind(partition)
                .push_bind(link.key.as_str())
                .push_bind(record.map(|record| record.id.to_string()))
                .push_bind(record.map(|record| record.number.to_string()))
                .push_bind(record.map(|record| record.url.to_string()))
                .push_bind(link.standing().word())
                .push_bind(error)
                .push_bind(link.changed_at.as_millis())
                .push_bind(serde_json::to_string(&***link).unwrap_or_default())
                .push_bind(false);
        });
        query.push(
            " ON CONFLICT (incident, connector) DO UPDATE SET ticket_key = excluded.ticket_key, \
             remote_id = excluded.remote_id, number = excluded.number, url = excluded.url, \
             standing = excluded.standing, error = excluded.error, changed_at = excluded.changed_at, \
             link = excluded.link",
        );
        query
    });
    Ok(())
}

async fn insert_exchanges(
    tx: &mut Tx<'_>,
    partition: i64,
    (seq, (incident, connector)): (Seq, &Key),
    said: &[Exchange],
) -> Result<(), StoreError> {
    let numbered: Vec<_> = (0_i64..).zip(said).collect();
    in_chunks!(tx.lend(), &numbered, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO ticket_exchange (incident, connector, seq, place, partition, at, step, method, path, \
                 status, took_ms, error) ",
        );
        push_rows(&mut query, rows, |row, (place, one)| {
            row.push_bind(incident.get())
                .push_bind(connector.as_str())
                .push_bind(seq.get())
                .push_bind(*place)
                .push_bind(partition)
                .push_bind(one.at.as_millis())
                .push_bind(one.step.as_str())
                .push_bind(one.method.as_str())
                .push_bind(one.path.as_str())
                .push_bind(i64::from(one.status))
                .push_bind(one.took_ms)
                .push_bind(one.error.as_ref().map(|error| error.to_string()));
        });
        query.push(" ON CONFLICT (incident, connector, seq, place) DO NOTHING");
        query
    });
    let sql = "DELETE FROM ticket_exchange WHERE incident = $1 AND connector = $2 AND seq < \
               (SELECT MIN(seq) FROM (SELECT seq FROM ticket_exchange WHERE incident = $1 AND connector = $2 \
               ORDER BY seq DESC, place DESC LIMIT $3) AS newest)";
    on!(tx.lend(), c => sqlx::query(sql).bind(incident.get()).bind(connector.as_str()).bind(EXCHANGES_MAX)
        .execute(c).await.map(drop))?;
    Ok(())
}

/// Loads the tickets that are followed, and which connectors are paused.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<(String,)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT link FROM ticket WHERE NOT is_forgotten AND partition = $1 ORDER BY incident, connector"
    ).bind(partition).fetch_all(c).await?);
    for (text,) in rows {
        let link: Link = serde_json::from_str(&text)
            .map_err(|error| StoreError::corrupt("ticket", "link", error))?;
        let change = TicketChange::Changed(Arc::new(link));
        state.tickets_mut().apply(&change);
    }
    let paused: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT connector FROM connector_pause WHERE partition = $1 ORDER BY connector"
    ).bind(partition).fetch_all(c).await?);
    for (connector,) in paused {
        let change = TicketChange::Paused(SmolStr::new(connector), true);
        state.tickets_mut().apply(&change);
    }
    Ok(())
}

row! {
    struct TicketRow {
        incident: i64,
        connector: String,
        number: Option<String>,
        url: Option<String>,
        standing: String,
        error: Option<String>,
        changed_at: i64,
        ticket_key: String,
        link: String,
    }
}

/// A ticket as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketView {
    /// The connector.
    pub connector: String,
    /// Its number there.
    pub number: Option<String>,
    /// Link to it.
    pub url: Option<String>,
    /// Where it stands.
    pub standing: String,
    /// Why nothing is written any more.
    pub error: Option<String>,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// What it is found by.
    pub key: String,
    /// Everything that is kept about it.
    pub link: Link,
}

/// The tickets of these incidents.
///
/// # Errors
/// The database cannot be read.
pub async fn of_incidents(
    mut conn: Conn<'_>,
    ids: &[IncidentId],
) -> Result<BTreeMap<IncidentId, Vec<TicketView>>, StoreError> {
    let mut found: BTreeMap<IncidentId, Vec<TicketView>> = BTreeMap::new();
    for some in ids.chunks(500) {
        let rows: Vec<TicketRow> = on!(conn.lend(), c => {
            let mut query = QueryBuilder::new(
                "SELECT incident, connector, number, url, standing, error, changed_at, ticket_key, link FROM ticket \
                 WHERE incident IN (",
            );
            let mut list = query.separated(", ");
            for id in some {
                list.push_bind(id.get());
            }
            query.push(") ORDER BY incident, connector");
            query.build_query_as().fetch_all(c).await?
        });
        for row in rows {
            let incident = incident_id(row.incident)?;
            found.entry(incident).or_default().push(row.into_view()?);
        }
    }
    Ok(found)
}

impl TicketRow {
    fn into_view(self) -> Result<TicketView, StoreError> {
        let link = serde_json::from_str(&self.link);
        Ok(TicketView {
            link: link.map_err(|error| StoreError::corrupt("ticket", "link", error))?,
            connector: self.connector,
            number: self.number,
            url: self.url,
            standing: self.standing,
            error: self.error,
            changed_at: Timestamp::from_millis(self.changed_at),
            key: self.ticket_key,
        })
    }
}

row! {
    struct ExchangeRow {
        at: i64,
        step: String,
        method: String,
        path: String,
        status: i64,
        took_ms: i64,
        error: Option<String>,
    }
}

/// What was said about a ticket, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn exchanges(
    conn: Conn<'_>,
    incident: IncidentId,
    connector: &str,
) -> Result<Vec<Exchange>, StoreError> {
    let rows: Vec<ExchangeRow> = on!(conn, c => sqlx::query_as(
        "SELECT at, step, method, path, status, took_ms, error FROM ticket_exchange \
         WHERE incident = $1 AND connector = $2 ORDER BY seq, place"
    ).bind(incident.get()).bind(connector).fetch_all(c).await?);
    let exchange = |row: ExchangeRow| Exchange {
        at: Timestamp::from_millis(row.at),
        step: SmolStr::new(row.step),
        method: SmolStr::new(row.method),
        path: SmolStr::new(row.path),
        status: u16::try_from(row.status).unwrap_or(0),
        took_ms: row.took_ms,
        error: row.error.map(SmolStr::new),
    };
    Ok(rows.into_iter().map(exchange).collect())
}

/// Notes of an incident's timeline that its ticket is to hold: after one entry, up to another, by reason.
///
/// # Errors
/// The database cannot be read.
pub async fn notes(
    conn: Conn<'_>,
    incident: IncidentId,
    (after, through): (i64, i64),
) -> Result<Vec<(i64, String, Option<String>, Option<String>)>, StoreError> {
    let rows = on!(conn, c => sqlx::query_as(
        "SELECT id, reason, actor, note FROM timeline WHERE incident = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT 200"
    ).bind(incident.get()).bind(after).bind(through).fetch_all(c).await?);
    Ok(rows)
}

/// A ticket as it stands in the store, followed or not.
///
/// # Errors
/// The database cannot be read.
pub async fn link(
    conn: Conn<'_>,
    incident: IncidentId,
    connector: &str,
) -> Result<Option<Link>, StoreError> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT link FROM ticket WHERE incident = $1 AND connector = $2"
    ).bind(incident.get()).bind(connector).fetch_optional(c).await?);
    row.map(|(text,)| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| StoreError::corrupt("ticket", "link", error))
}

/// What was said when an incident was resolved last.
///
/// # Errors
/// The database cannot be read.
pub async fn resolution(
    conn: Conn<'_>,
    incident: IncidentId,
) -> Result<Option<(String, Option<String>, Option<String>)>, StoreError> {
    let row = on!(conn, c => sqlx::query_as(
        "SELECT reason, actor, note FROM timeline WHERE incident = $1 AND state IN ('resolved', 'closed') AND reason IN \
         ('resolved_by_person', 'recovery_sustained', 'closed_by_person', 'incident_merged', 'merged_by_person') \
         AND id > COALESCE((SELECT MAX(id) FROM timeline WHERE incident = $1 AND state = 'new'), 0) \
         ORDER BY CASE WHEN note IS NULL OR note = '' THEN 1 ELSE 0 END, id DESC LIMIT 1"
    ).bind(incident.get()).fetch_optional(c).await?);
    Ok(row)
}
