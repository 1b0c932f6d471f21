//! Runs of ladders: written with a batch, loaded at start.
//!
//! Must not decide what is due.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::escalate::run::Loudness;
use crate::core::escalate::{EscalateChange, Ladder, Phase, Run, RunKey};
use crate::core::severity::Priority;
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

use super::bulk::in_chunks;
use super::rows::{incident_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes; of several changes to one run the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct EscalationRows(BTreeMap<RunKey, Option<Arc<Run>>>);

impl EscalationRows {
    pub(super) fn add(&mut self, change: EscalateChange) {
        match change {
            EscalateChange::Run(run) => self.0.insert(run.key(), Some(run)),
            EscalateChange::Over(key) => self.0.insert(key, None),
        };
    }

    pub(super) fn row_count(&self) -> usize {
        self.0.len()
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let runs: Vec<&Arc<Run>> = self.0.values().flatten().collect();
        upsert(tx.lend(), partition, &runs).await?;
        let over = self.0.iter().filter(|(_, run)| run.is_none());
        let over: Vec<_> = over.map(|(id, _)| id).collect();
        in_chunks!(tx.lend(), &over, |rows| {
            let mut query =
                QueryBuilder::new("DELETE FROM escalation WHERE (incident, ladder) IN (");
            push_rows(&mut query, rows, |row, (incident, ladder)| {
                row.push_bind(incident.get()).push_bind(ladder.as_str());
            });
            query.push(")");
            query
        });
        Ok(())
    }
}

async fn upsert(conn: Conn<'_>, partition: i64, rows: &[&Arc<Run>]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO escalation (partition, incident, ladder, steps, began_at, round, step, phase, due_at, left_ms, \
             priority, is_loud) ",
        );
        push_rows(&mut query, rows, |row, run| {
            let (due_at, left_ms) = match run.phase {
                Phase::Climbing(at) => (Some(at.as_millis()), None),
                Phase::Paused(left) => (None, Some(left.as_millis())),
                Phase::Stopped | Phase::Exhausted => (None, None),
            };
            row.push_bind(partition)
                .push_bind(run.incident.get())
                .push_bind(run.ladder.name.as_str())
                .push_bind(serde_json::to_string(&*run.ladder).unwrap_or_default())
                .push_bind(run.began_at.as_millis())
                .push_bind(i64::from(run.round))
                .push_bind(i64::from(run.step))
                .push_bind(run.phase.word())
                .push_bind(due_at)
                .push_bind(left_ms)
                .push_bind(run.loudness.priority.word())
                .push_bind(run.loudness.is_loud);
        });
        query.push(
            " ON CONFLICT (incident, ladder) DO UPDATE SET steps = excluded.steps, began_at = excluded.began_at, \
             round = excluded.round, step = excluded.step, phase = excluded.phase, due_at = excluded.due_at, \
             left_ms = excluded.left_ms, priority = excluded.priority, is_loud = excluded.is_loud",
        );
        query
    });
    Ok(())
}

row! {
    struct RunRow {
        incident: i64,
        steps: String,
        began_at: i64,
        round: i64,
        step: i64,
        phase: String,
        due_at: Option<i64>,
        left_ms: Option<i64>,
        priority: String,
        is_loud: bool,
    }
}

impl RunRow {
    fn into_core(self, ladder: Arc<Ladder>) -> Result<Run, StoreError> {
        let phase = match (self.phase.as_str(), self.due_at, self.left_ms) {
            ("climbing", Some(at), None) => Phase::Climbing(Timestamp::from_millis(at)),
            ("paused", None, Some(left)) => Phase::Paused(Span::from_millis(left)),
            ("stopped", None, None) => Phase::Stopped,
            ("exhausted", None, None) => Phase::Exhausted,
            _ => return Err(StoreError::corrupt("escalation", "phase", &self.phase)),
        };
        let count = |column, number: i64| {
            u32::try_from(number).map_err(|_| StoreError::corrupt("escalation", column, number))
        };
        let priority = Priority::from_word(&self.priority);
        Ok(Run {
            incident: incident_id(self.incident)?,
            ladder,
            began_at: Timestamp::from_millis(self.began_at),
            round: count("round", self.round)?,
            step: count("step", self.step)?,
            phase,
            loudness: Loudness {
                priority: priority
                    .ok_or_else(|| StoreError::corrupt("escalation", "priority", &self.priority))?,
                is_loud: self.is_loud,
            },
        })
    }
}

/// Reads every run into the state; runs of one ladder share its copy.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<RunRow> = on!(conn, c => sqlx::query_as(
        "SELECT incident, steps, began_at, round, step, phase, due_at, left_ms, priority, is_loud FROM escalation \
         WHERE partition = $1 ORDER BY incident, ladder"
    ).bind(partition).fetch_all(c).await?);
    let mut ladders: BTreeMap<SmolStr, Arc<Ladder>> = BTreeMap::new();
    for row in rows {
        let ladder = match ladders.get(row.steps.as_str()) {
            Some(ladder) => Arc::clone(ladder),
            None => {
                let read: Ladder = serde_json::from_str(&row.steps)
                    .map_err(|error| StoreError::corrupt("escalation", "steps", error))?;
                let ladder = Arc::new(read);
                ladders.insert(SmolStr::new(&row.steps), Arc::clone(&ladder));
                ladder
            }
        };
        let run = row.into_core(ladder)?;
        state
            .escalations_mut()
            .apply(&EscalateChange::Run(Arc::new(run)));
    }
    Ok(())
}
