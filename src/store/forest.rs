//! Correlation's rows: nodes, causes and changes, written with the decisions that made them and loaded at start.
//!
//! Must not judge anything; a row that cannot be understood fails the load rather than being guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::cause::Cause;
use crate::core::correlate::forest::{CHANGES_KEPT, RecentChange};
use crate::core::correlate::habit::{HABIT_KEPT, Habit};
use crate::core::correlate::node::{Node, NodeId};
use crate::core::decision::Change;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::{in_chunks, run_for_ids};
use super::rows::incident_id;
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// The part of a batch that correlation made; of several changes to one record the last is kept.
#[derive(Debug, Default)]
pub(super) struct ForestBatch {
    nodes: BTreeMap<NodeId, Box<Node>>,
    forgotten: BTreeSet<NodeId>,
    causes: BTreeMap<IncidentId, Arc<Cause>>,
    changes: Vec<(CiNumber, RecentChange, SmolStr)>,
    habits: BTreeMap<u64, Habit>,
}

impl ForestBatch {
    pub(super) fn node(&mut self, node: Box<Node>) {
        self.forgotten.remove(&node.id);
        self.nodes.insert(node.id, node);
    }

    pub(super) fn forget(&mut self, id: NodeId) {
        self.forgotten.insert(id);
    }

    pub(super) fn cause(&mut self, incident: IncidentId, cause: Arc<Cause>) {
        self.causes.insert(incident, cause);
    }

    pub(super) fn habit(&mut self, habit: Habit) {
        self.habits.insert(habit.sign, habit);
    }

    pub(super) fn change(&mut self, noted: Change) {
        if let Change::ChangeNoted {
            ci,
            change,
            summary,
        } = noted
        {
            self.changes.push((ci, change, summary));
        }
    }

    /// How many rows it will write.
    pub(super) fn row_count(&self) -> usize {
        let beside = self.changes.len() + self.habits.len();
        self.nodes.len() + self.forgotten.len() + self.causes.len() + beside
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let nodes: Vec<&Node> = self.nodes.values().map(AsRef::as_ref).collect();
        upsert_nodes(tx.lend(), partition, &nodes).await?;
        let members: BTreeMap<AlertId, NodeId> = self
            .nodes
            .values()
            .flat_map(|node| node.alerts.iter().map(|&alert| (alert, node.id)))
            .collect();
        let members: Vec<_> = members.into_iter().collect();
        upsert_members(tx.lend(), &members).await?;
        let forgotten: Vec<_> = self.forgotten.iter().map(|id| id.get()).collect();
        run_for_ids(
            tx.lend(),
            "UPDATE node SET is_forgotten = TRUE WHERE id",
            &forgotten,
        )
        .await?;
        let causes: Vec<_> = self.causes.iter().collect();
        upsert_causes(tx, partition, &causes).await?;
        for (ci, change, summary) in &self.changes {
            insert_change(tx, partition, *ci, (change, summary)).await?;
        }
        if !self.habits.is_empty() {
            // Rare, and not worth its place in every commit.
            Box::pin(upsert_habits(tx, partition, &self.habits)).await?;
        }
        Ok(())
    }
}

async fn upsert_habits(
    tx: &mut Tx<'_>,
    partition: i64,
    habits: &BTreeMap<u64, Habit>,
) -> Result<(), StoreError> {
    let rows: Vec<&Habit> = habits.values().collect();
    in_chunks!(tx.lend(), &rows, |rows| {
        let mut query = QueryBuilder::new("INSERT INTO habit (partition, sign, seen, at, causes) ");
        push_rows(&mut query, rows, |row, habit| {
            row.push_bind(partition)
                .push_bind(habit.sign.cast_signed())
                .push_bind(i64::from(habit.seen))
                .push_bind(habit.at.as_millis())
                .push_bind(serde_json::to_string(&habit.with).unwrap_or_default());
        });
        query.push(
            " ON CONFLICT (partition, sign) DO UPDATE SET seen = excluded.seen, at = excluded.at, causes = excluded.causes",
        );
        query
    });
    if let Some(latest) = rows.iter().map(|habit| habit.at).max() {
        let before = latest.minus(HABIT_KEPT).as_millis();
        on!(tx.lend(), c => sqlx::query("DELETE FROM habit WHERE partition = $1 AND at < $2")
            .bind(partition).bind(before).execute(c).await.map(drop))?;
    }
    Ok(())
}

async fn load_habits(conn: Conn<'_>, partition: i64, state: &mut State) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut rows = sqlx::query_as::<_, (i64, i64, i64, String)>(
            "SELECT sign, seen, at, causes FROM habit WHERE partition = $1 ORDER BY at, sign",
        ).bind(partition).fetch(c);
        while let Some((sign, seen, at, causes)) = rows.try_next().await? {
            let with = serde_json::from_str(&causes)
                .map_err(|error| StoreError::corrupt("habit", "causes", error))?;
            state.put_habit(Habit {
                sign: sign.cast_unsigned(),
                seen: u16::try_from(seen).unwrap_or(u16::MAX),
                at: Timestamp::from_millis(at),
                with,
            });
        }
    });
    Ok(())
}

async fn upsert_nodes(conn: Conn<'_>, partition: i64, rows: &[&Node]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO node (id, partition, incident, ci, parent, score, why, body, is_forgotten) ",
        );
        push_rows(&mut query, rows, |row, node| {
            let link = node.link.as_ref();
            row.push_bind(node.id.get())
                .push_bind(partition)
                .push_bind(node.incident.get())
                .push_bind(node.ci.map(|ci| i64::from(ci.get())))
                .push_bind(link.map(|link| link.parent.get()))
                .push_bind(link.map(|link| i64::from(link.score)))
                .push_bind(link.map(|link| link.why.to_string()))
                .push_bind(serde_json::to_string(node).unwrap_or_default())
                .push_bind(false);
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET incident = excluded.incident, ci = excluded.ci, parent = excluded.parent, \
             score = excluded.score, why = excluded.why, body = excluded.body, is_forgotten = excluded.is_forgotten",
        );
        query
    });
    Ok(())
}

async fn upsert_members(conn: Conn<'_>, rows: &[(AlertId, NodeId)]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new("INSERT INTO node_alert (alert, node) ");
        push_rows(&mut query, rows, |row, (alert, node)| {
            row.push_bind(alert.get()).push_bind(node.get());
        });
        query.push(" ON CONFLICT (alert) DO UPDATE SET node = excluded.node");
        query
    });
    Ok(())
}

async fn upsert_causes(
    tx: &mut Tx<'_>,
    partition: i64,
    causes: &[(&IncidentId, &Arc<Cause>)],
) -> Result<(), StoreError> {
    in_chunks!(tx.lend(), causes, |rows| {
        let mut query =
            QueryBuilder::new("INSERT INTO incident_cause (incident, partition, body) ");
        push_rows(&mut query, rows, |row, (incident, cause)| {
            row.push_bind(incident.get())
                .push_bind(partition)
                .push_bind(serde_json::to_string(cause).unwrap_or_default());
        });
        query.push(" ON CONFLICT (incident) DO UPDATE SET body = excluded.body");
        query
    });
    let incidents: Vec<_> = causes.iter().map(|(incident, _)| incident.get()).collect();
    run_for_ids(
        tx.lend(),
        "DELETE FROM incident_service WHERE incident",
        &incidents,
    )
    .await?;
    let services = causes.iter().flat_map(|(incident, cause)| {
        let cis = cause.services.iter();
        cis.map(|ci| (incident.get(), i64::from(ci.get())))
    });
    let services: Vec<_> = services.collect();
    in_chunks!(tx.lend(), &services, |rows| {
        let mut query = QueryBuilder::new("INSERT INTO incident_service (incident, ci) ");
        push_rows(&mut query, rows, |row, (incident, ci)| {
            row.push_bind(*incident).push_bind(*ci);
        });
        query
    });
    Ok(())
}

async fn insert_change(
    tx: &mut Tx<'_>,
    partition: i64,
    ci: CiNumber,
    (change, summary): (&RecentChange, &SmolStr),
) -> Result<(), StoreError> {
    let ci = i64::from(ci.get());
    on!(tx.lend(), c => sqlx::query(
        "INSERT INTO ci_change (ci, id, partition, at, summary) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (ci, id) DO UPDATE SET at = excluded.at, summary = excluded.summary"
    )
    .bind(ci).bind(change.id.as_str()).bind(partition).bind(change.at.as_millis()).bind(summary.as_str())
    .execute(c).await.map(drop))?;
    let before = change.at.minus(CHANGES_KEPT).as_millis();
    on!(tx.lend(), c => sqlx::query("DELETE FROM ci_change WHERE ci = $1 AND at < $2")
        .bind(ci).bind(before).execute(c).await.map(drop))?;
    Ok(())
}

/// Loads what correlation holds in memory; the CMDB must be there already.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    on!(conn.lend(), c => {
        let mut rows = sqlx::query_as::<_, (i64, String)>(
            "SELECT id, body FROM node WHERE NOT is_forgotten AND partition = $1 ORDER BY id",
        ).bind(partition).fetch(c);
        while let Some((_, body)) = rows.try_next().await? {
            let node = serde_json::from_str(&body)
                .map_err(|error| StoreError::corrupt("node", "body", error))?;
            state.put_node(node);
        }
    });
    load_habits(conn.lend(), partition, state).await?;
    on!(conn.lend(), c => {
        let mut rows = sqlx::query_as::<_, (i64, String)>(
            "SELECT h.incident, h.body FROM incident_cause h JOIN incident i ON i.id = h.incident \
             WHERE NOT i.is_forgotten AND h.partition = $1 ORDER BY h.incident",
        ).bind(partition).fetch(c);
        while let Some((incident, body)) = rows.try_next().await? {
            let cause: Cause = serde_json::from_str(&body)
                .map_err(|error| StoreError::corrupt("incident_cause", "body", error))?;
            state.put_cause(incident_id(incident)?, Arc::new(cause));
        }
    });
    on!(conn, c => {
        let mut rows = sqlx::query_as::<_, (i64, i64, String)>(
            "SELECT ci, at, id FROM ci_change WHERE partition = $1 ORDER BY at, id, ci",
        ).bind(partition).fetch(c);
        while let Some((ci, at, id)) = rows.try_next().await? {
            let ci = u32::try_from(ci).ok().and_then(CiNumber::new)
                .ok_or_else(|| StoreError::corrupt("ci_change", "ci", ci))?;
            let at = Timestamp::from_millis(at);
            state.put_change(ci, RecentChange { at, id: id.into() });
        }
    });
    Ok(())
}
