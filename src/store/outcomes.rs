//! What became of incidents, as rows: one for each that is over, and sums per day, priority and team.
//!
//! Both are written in one transaction, so the sums are always those of the rows. Must not judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::IncidentId;
use crate::core::outcome::{Figures, Outcome, OutcomeChange, Rating};
use crate::core::severity::Priority;
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::in_chunks;
use super::ratings;
use super::rows::incident_id;
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// The columns of figures, in the order of [`Figures::columns`].
pub(super) const FIGURES: &str = "incidents, acknowledged, acknowledge_ms, resolve_ms, reopened, recurring, escalated, by_itself, \
     response_met, response_breached, resolution_met, resolution_breached, alerts, messages";
/// Adds what comes in to what is there.
const ADD: &str = " ON CONFLICT (days, part, priority, team, partition) DO UPDATE SET \
     incidents = outcome_sum.incidents + excluded.incidents, \
     acknowledged = outcome_sum.acknowledged + excluded.acknowledged, \
     acknowledge_ms = outcome_sum.acknowledge_ms + excluded.acknowledge_ms, \
     resolve_ms = outcome_sum.resolve_ms + excluded.resolve_ms, \
     reopened = outcome_sum.reopened + excluded.reopened, \
     recurring = outcome_sum.recurring + excluded.recurring, \
     escalated = outcome_sum.escalated + excluded.escalated, \
     by_itself = outcome_sum.by_itself + excluded.by_itself, \
     response_met = outcome_sum.response_met + excluded.response_met, \
     response_breached = outcome_sum.response_breached + excluded.response_breached, \
     resolution_met = outcome_sum.resolution_met + excluded.resolution_met, \
     resolution_breached = outcome_sum.resolution_breached + excluded.resolution_breached, \
     alerts = outcome_sum.alerts + excluded.alerts, messages = outcome_sum.messages + excluded.messages";
const SUBTRACT: &str = "INSERT INTO outcome_sum (partition, days, part, priority, team, incidents, acknowledged, \
     acknowledge_ms, resolve_ms, reopened, recurring, escalated, by_itself, response_met, response_breached, \
     resolution_met, resolution_breached, alerts, messages) SELECT partition, 1, day, ";
const SUBTRACT_LONG: &str = "INSERT INTO outcome_sum (partition, days, part, priority, team, incidents, acknowledged, \
     acknowledge_ms, resolve_ms, reopened, recurring, escalated, by_itself, response_met, response_breached, \
     resolution_met, resolution_breached, alerts, messages) SELECT partition, 32, day / 32, ";
const NEGATED: &str = "priority, team, -incidents, -acknowledged, -acknowledge_ms, -resolve_ms, -reopened, -recurring, \
     -escalated, -by_itself, -response_met, -response_breached, -resolution_met, -resolution_breached, -alerts, -messages \
     FROM incident_outcome WHERE incident = ";

/// Days of the larger sums.
pub(super) const LONG: i64 = 32;
/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// The day of a time, counted from 1970-01-01 in UTC.
pub(super) fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

/// The rows of one batch.
#[derive(Debug, Default)]
pub(super) struct OutcomeRows {
    ended: BTreeMap<IncidentId, Arc<Outcome>>,
    /// Those that are stored already and are no longer true.
    reopened: Vec<IncidentId>,
    escalated: BTreeMap<IncidentId, Timestamp>,
    ratings: Vec<Arc<Rating>>,
}

/// Days, part, priority and team.
type SumKey = (i64, i64, Priority, SmolStr);

impl OutcomeRows {
    pub(super) fn add(&mut self, change: OutcomeChange) {
        match change {
            OutcomeChange::Ended(outcome) => drop(self.ended.insert(outcome.incident, outcome)),
            OutcomeChange::Reopened(incident) => {
                if self.ended.remove(&incident).is_none() {
                    self.reopened.push(incident);
                }
            }
            OutcomeChange::Escalated(incident, at) => {
                self.escalated.entry(incident).or_insert(at);
            }
            OutcomeChange::Rated(rating) => self.ratings.push(rating),
        }
    }

    pub(super) fn row_count(&self) -> usize {
        let outcomes = self.ended.len().saturating_add(self.reopened.len());
        let others = self.escalated.len().saturating_add(self.ratings.len());
        outcomes.saturating_add(others)
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        for incident in &self.reopened {
            take_back(tx, *incident).await?;
        }
        let outcomes: Vec<_> = self.ended.values().map(|outcome| &**outcome).collect();
        insert(tx.lend(), partition, &outcomes).await?;
        let mut sums: BTreeMap<SumKey, Figures> = BTreeMap::new();
        for outcome in outcomes {
            let day = day_of(outcome.ended_at);
            for (days, part) in [(1, day), (LONG, day.div_euclid(LONG))] {
                let key = (days, part, outcome.priority, outcome.team.clone());
                let sum = sums.entry(key).or_default();
                *sum = sum.plus(&outcome.figures);
            }
        }
        let sums: Vec<_> = sums.into_iter().collect();
        add_up(tx.lend(), partition, &sums).await?;
        for (incident, at) in &self.escalated {
            on!(tx.lend(), c => sqlx::query(
                "INSERT INTO incident_escalated (incident, partition, at) VALUES ($1, $2, $3) \
                 ON CONFLICT (incident) DO NOTHING"
            ).bind(incident.get()).bind(partition).bind(at.as_millis()).execute(c).await.map(drop))?;
        }
        for rating in &self.ratings {
            ratings::insert(tx, partition, rating).await?;
        }
        Ok(())
    }
}

async fn take_back(tx: &mut Tx<'_>, incident: IncidentId) -> Result<(), StoreError> {
    for subtract in [SUBTRACT, SUBTRACT_LONG] {
        on!(tx.lend(), c => {
            let mut query = QueryBuilder::new(subtract);
            query.push(NEGATED).push_bind(incident.get()).push(ADD);
            query.build().execute(c).await?;
        });
    }
    on!(tx.lend(), c => sqlx::query("DELETE FROM incident_outcome WHERE incident = $1")
        .bind(incident.get()).execute(c).await.map(drop))?;
    Ok(())
}

async fn insert(conn: Conn<'_>, partition: i64, rows: &[&Outcome]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO incident_outcome (incident, partition, ended_at, day, priority, team, ",
        );
        query.push(FIGURES).push(") ");
        push_rows(&mut query, rows, |row, outcome| {
            row.push_bind(outcome.incident.get())
                .push_bind(partition)
                .push_bind(outcome.ended_at.as_millis())
                .push_bind(day_of(outcome.ended_at))
                .push_bind(outcome.priority.word())
                .push_bind(outcome.team.as_str());
            for figure in outcome.figures.columns() {
                row.push_bind(figure);
            }
        });
        query
    });
    Ok(())
}

async fn add_up(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(SumKey, Figures)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query =
            QueryBuilder::new("INSERT INTO outcome_sum (partition, days, part, priority, team, ");
        query.push(FIGURES).push(") ");
        push_rows(
            &mut query,
            rows,
            |row, ((days, part, priority, team), figures)| {
                row.push_bind(partition)
                    .push_bind(*days)
                    .push_bind(*part)
                    .push_bind(priority.word())
                    .push_bind(team.as_str());
                for figure in figures.columns() {
                    row.push_bind(figure);
                }
            },
        );
        query.push(ADD);
        query
    });
    Ok(())
}

/// Reads which of the incidents that the core holds were escalated, and who rated them.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let escalated: Vec<(i64, i64)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT e.incident, e.at FROM incident_escalated e JOIN incident i ON i.id = e.incident \
         WHERE NOT i.is_forgotten AND e.partition = $1"
    ).bind(partition).fetch_all(c).await?);
    let rated: Vec<(i64, String)> = on!(conn, c => sqlx::query_as(
        "SELECT r.incident, r.who FROM rating r JOIN incident i ON i.id = r.incident \
         WHERE NOT i.is_forgotten AND r.partition = $1"
    ).bind(partition).fetch_all(c).await?);
    let held = &mut state.practice_mut().outcomes;
    for (incident, at) in escalated {
        let at = Timestamp::from_millis(at);
        held.apply(&OutcomeChange::Escalated(incident_id(incident)?, at));
    }
    for (incident, who) in rated {
        held.rate(incident_id(incident)?, who.into());
    }
    Ok(())
}
