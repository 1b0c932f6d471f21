//! Records beside incidents in the store: written with a batch, loaded at start.
//!
//! Must not decide anything; a row that cannot be understood fails the load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::{AlertId, IdFeed, IncidentId};
use crate::core::records::problem::OCCURRENCES_KEPT;
use crate::core::records::{Kind, Link, Record, RecordChange, RecordId, Role};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::in_chunks;
use super::rows::{alert_id, incident_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes about records; of several changes to one thing the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct RecordRows {
    records: BTreeMap<RecordId, Arc<Record>>,
    forgotten: BTreeSet<RecordId>,
    links: BTreeMap<(IncidentId, RecordId), Link>,
    occurrences: BTreeMap<IncidentId, (SmolStr, Timestamp)>,
    forced: BTreeMap<AlertId, Option<SmolStr>>,
}

impl RecordRows {
    pub(super) fn add(&mut self, change: RecordChange) {
        match change {
            RecordChange::Put(record) => {
                self.forgotten.remove(&record.id());
                self.records.insert(record.id(), record);
            }
            RecordChange::Forgotten(id) => {
                self.forgotten.insert(id);
            }
            RecordChange::Linked(incident, record, link) => {
                self.links.insert((incident, record), link);
            }
            RecordChange::Occurred {
                incident,
                signature,
                at,
            } => {
                self.occurrences.insert(incident, (signature, at));
            }
            RecordChange::Forced(alert, ci) => {
                self.forced.insert(alert, ci);
            }
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.records
            .len()
            .saturating_add(self.forgotten.len())
            .saturating_add(self.links.len())
            .saturating_add(self.occurrences.len())
            .saturating_add(self.forced.len())
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let records: Vec<_> = self.records.values().collect();
        upsert(tx.lend(), partition, &records).await?;
        for record in records {
            write_cis(tx.lend(), record).await?;
        }
        for id in &self.forgotten {
            on!(tx.lend(), c => sqlx::query(
                "UPDATE record SET is_held = FALSE WHERE kind = $1 AND number = $2"
            ).bind(id.kind.word()).bind(id.number).execute(c).await.map(drop))?;
        }
        let links: Vec<_> = self.links.iter().collect();
        upsert_links(tx.lend(), partition, &links).await?;
        let occurrences: Vec<_> = self.occurrences.iter().collect();
        upsert_occurrences(tx.lend(), partition, &occurrences).await?;
        for (alert, ci) in &self.forced {
            write_forced(tx.lend(), partition, *alert, ci.as_ref()).await?;
        }
        Ok(())
    }
}

async fn upsert(conn: Conn<'_>, partition: i64, rows: &[&Arc<Record>]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO record (kind, number, partition, state, record_key, title, updated_at, is_held, body) ",
        );
        push_rows(&mut query, rows, |row, record| {
            let id = record.id();
            row.push_bind(id.kind.word())
                .push_bind(id.number)
                .push_bind(partition)
                .push_bind(record.state())
                .push_bind(record.key().map(|key| key.as_str()))
                .push_bind(record.title())
                .push_bind(record.updated_at().as_millis())
                .push_bind(true)
                .push_bind(serde_json::to_string(&***record).unwrap_or_default());
        });
        query.push(
            " ON CONFLICT (kind, number) DO UPDATE SET state = excluded.state, record_key = excluded.record_key, \
             title = excluded.title, updated_at = excluded.updated_at, is_held = excluded.is_held, body = excluded.body",
        );
        query
    });
    Ok(())
}

async fn write_cis(mut conn: Conn<'_>, record: &Record) -> Result<(), StoreError> {
    let id = record.id();
    on!(conn.lend(), c => sqlx::query("DELETE FROM record_ci WHERE kind = $1 AND number = $2")
        .bind(id.kind.word()).bind(id.number).execute(c).await.map(drop))?;
    let cis: BTreeSet<_> = record.cis().iter().collect();
    let cis: Vec<_> = cis.into_iter().collect();
    in_chunks!(conn.lend(), &cis, |rows| {
        let mut query = QueryBuilder::new("INSERT INTO record_ci (kind, number, ci) ");
        push_rows(&mut query, rows, |row, ci| {
            row.push_bind(id.kind.word())
                .push_bind(id.number)
                .push_bind(ci.as_str());
        });
        query
    });
    Ok(())
}

async fn upsert_links(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(&(IncidentId, RecordId), &Link)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO record_incident (incident, kind, number, partition, role, score, why, actor, at) ",
        );
        push_rows(&mut query, rows, |row, ((incident, record), link)| {
            row.push_bind(incident.get())
                .push_bind(record.kind.word())
                .push_bind(record.number)
                .push_bind(partition)
                .push_bind(link.role.word())
                .push_bind(i64::from(link.score))
                .push_bind(link.why.to_string())
                .push_bind(link.by.as_ref().map(|by| by.as_str()))
                .push_bind(link.at.as_millis());
        });
        query.push(
            " ON CONFLICT (incident, kind, number) DO UPDATE SET role = excluded.role, score = excluded.score, \
             why = excluded.why, actor = excluded.actor, at = excluded.at",
        );
        query
    });
    Ok(())
}

async fn upsert_occurrences(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(&IncidentId, &(SmolStr, Timestamp))],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO record_occurrence (incident, partition, signature, at) ",
        );
        push_rows(&mut query, rows, |row, (incident, (signature, at))| {
            row.push_bind(incident.get())
                .push_bind(partition)
                .push_bind(signature.as_str())
                .push_bind(at.as_millis());
        });
        query.push(" ON CONFLICT (incident) DO UPDATE SET signature = excluded.signature, at = excluded.at");
        query
    });
    Ok(())
}

async fn write_forced(
    conn: Conn<'_>,
    partition: i64,
    alert: AlertId,
    ci: Option<&SmolStr>,
) -> Result<(), StoreError> {
    match ci {
        Some(ci) => on!(conn, c => sqlx::query(
            "INSERT INTO alert_forced (alert, partition, ci) VALUES ($1, $2, $3) \
             ON CONFLICT (alert) DO UPDATE SET ci = excluded.ci"
        ).bind(alert.get()).bind(partition).bind(ci.as_str()).execute(c).await.map(drop))?,
        None => on!(conn, c => sqlx::query("DELETE FROM alert_forced WHERE alert = $1")
            .bind(alert.get()).execute(c).await.map(drop))?,
    }
    Ok(())
}

row! {
    /// A link as stored.
    pub(in crate::store) struct LinkRow {
        incident: i64,
        kind: String,
        number: i64,
        role: String,
        score: i64,
        why: String,
        actor: Option<String>,
        at: i64,
    }
}

/// The columns of a link, in the order of [`LinkRow`].
pub(in crate::store) const LINK_COLUMNS: &str =
    "l.incident, l.kind, l.number, l.role, l.score, l.why, l.actor, l.at";

impl LinkRow {
    pub(in crate::store) fn into_core(self) -> Result<(IncidentId, RecordId, Link), StoreError> {
        let role = Role::from_word(&self.role)
            .ok_or_else(|| StoreError::corrupt("record_incident", "role", &self.role))?;
        let score = u16::try_from(self.score)
            .map_err(|_| StoreError::corrupt("record_incident", "score", self.score))?;
        let link = Link {
            role,
            score,
            why: Arc::from(self.why),
            by: self.actor.map(Into::into),
            at: Timestamp::from_millis(self.at),
        };
        let id = RecordId {
            kind: kind(&self.kind)?,
            number: self.number,
        };
        Ok((incident_id(self.incident)?, id, link))
    }
}

fn kind(word: &str) -> Result<Kind, StoreError> {
    let mut kinds = Kind::ALL.into_iter();
    kinds
        .find(|kind| kind.word() == word)
        .ok_or_else(|| StoreError::corrupt("record", "kind", word))
}

/// A record out of its stored body.
pub(in crate::store) fn read_body(body: &str) -> Result<Record, StoreError> {
    serde_json::from_str(body).map_err(|_| StoreError::corrupt("record", "body", body))
}

/// Loads what the core holds of the records.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let bodies: Vec<(String,)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT body FROM record WHERE is_held AND partition = $1 ORDER BY kind, number"
    ).bind(partition).fetch_all(c).await?);
    for (body,) in bodies {
        let record = Arc::new(read_body(&body)?);
        state.records_mut().apply(&RecordChange::Put(record));
    }
    let newest: (Option<i64>,) = on!(conn.lend(), c => sqlx::query_as(
        "SELECT MAX(at) FROM record_occurrence WHERE partition = $1"
    ).bind(partition).fetch_one(c).await?);
    let since = Timestamp::from_millis(newest.0.unwrap_or(0)).minus(OCCURRENCES_KEPT);
    let rows: Vec<(i64, String, i64)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT incident, signature, at FROM record_occurrence WHERE partition = $1 AND at >= $2 ORDER BY at, incident"
    ).bind(partition).bind(since.as_millis()).fetch_all(c).await?);
    for (incident, signature, at) in rows {
        state.records_mut().apply(&RecordChange::Occurred {
            incident: incident_id(incident)?,
            signature: signature.into(),
            at: Timestamp::from_millis(at),
        });
    }
    let rows: Vec<(i64, String)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT f.alert, f.ci FROM alert_forced f JOIN alert_state s ON s.id = f.alert \
         WHERE NOT s.is_forgotten AND f.partition = $1 ORDER BY f.alert"
    ).bind(partition).fetch_all(c).await?);
    for (alert, ci) in rows {
        let forced = RecordChange::Forced(alert_id(alert)?, Some(ci.into()));
        state.records_mut().apply(&forced);
    }
    let links: Vec<LinkRow> = on!(conn, c => {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(LINK_COLUMNS);
        query.push(" FROM record_incident l JOIN incident i ON i.id = l.incident WHERE NOT i.is_forgotten AND l.partition = ");
        query.push_bind(partition);
        query.build_query_as().fetch_all(c).await?
    });
    for row in links {
        let (incident, record, link) = row.into_core()?;
        let linked = RecordChange::Linked(incident, record, link);
        state.records_mut().apply(&linked);
    }
    Ok(())
}

/// The feed of ids going on after the highest numbers used so far.
pub(super) async fn continue_ids(
    mut conn: Conn<'_>,
    mut ids: IdFeed,
) -> Result<IdFeed, StoreError> {
    for kind in Kind::ALL {
        let (max,): (Option<i64>,) = on!(conn.lend(), c => sqlx::query_as(
            "SELECT MAX(number) FROM record WHERE kind = $1"
        ).bind(kind.word()).fetch_one(c).await?);
        ids = ids.records_after(kind, max.unwrap_or(0));
    }
    Ok(ids)
}
