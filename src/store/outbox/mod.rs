//! The outbox: written with a batch, worked off by `deliver`, shown to people.
//!
//! A row says all about its message, so what became of it is written as the whole row's new standing. Must not decide
//! whether a message is sent.

pub mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::push_rows;
use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::IncidentId;
use crate::core::severity::Priority;
use crate::core::state::State;
use crate::core::tell::{Listener, Message, TellChange, Told};

use super::bulk::in_chunks;
use super::rows::{incident_id, row};
use super::{Conn, StoreError, Tx, on};

/// What a batch tells.
#[derive(Debug, Default)]
pub(in crate::store) struct TellRows {
    messages: Vec<Arc<Message>>,
    told: BTreeMap<IncidentId, Arc<Told>>,
}

impl TellRows {
    pub(super) fn add(&mut self, change: TellChange) {
        match change {
            TellChange::Queued(message) => self.messages.push(message),
            TellChange::Told(told) => {
                self.told.insert(told.incident, told);
            }
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.messages.len().saturating_add(self.told.len())
    }

    /// The targets that have something to do once this is committed, each once.
    pub(super) fn targets(&self) -> Vec<SmolStr> {
        let mut targets: Vec<SmolStr> = self.messages.iter().map(|it| it.target.clone()).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        insert(tx.lend(), partition, &self.messages).await?;
        let told: Vec<_> = self.told.values().collect();
        upsert_told(tx.lend(), partition, &told).await?;
        Ok(())
    }
}

/// The rank of a priority, 1 to 5.
fn urgency(priority: Priority) -> i64 {
    match priority {
        Priority::P1 => 1,
        Priority::P2 => 2,
        Priority::P3 => 3,
        Priority::P4 => 4,
        Priority::P5 => 5,
    }
}

async fn insert(conn: Conn<'_>, partition: i64, rows: &[Arc<Message>]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO outbox (id, partition, incident, target, recipient, event, note, urgency, created_at, state, \
             is_due, may_have_arrived, attempts, due_at) ",
        );
        push_rows(&mut query, rows, |row, message| {
            row.push_bind(message.id)
                .push_bind(partition)
                .push_bind(message.incident.map(IncidentId::get))
                .push_bind(message.target.as_str())
                .push_bind(message.recipient.as_str())
                .push_bind(message.event.word())
                .push_bind(message.note.as_deref())
                .push_bind(urgency(message.priority))
                .push_bind(message.at.as_millis())
                .push_bind("pending")
                .push_bind(true)
                .push_bind(false)
                .push_bind(0_i64)
                .push_bind(message.at.as_millis());
        });
        query
    });
    Ok(())
}

async fn upsert_told(
    conn: Conn<'_>,
    partition: i64,
    rows: &[&Arc<Told>],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO told (incident, partition, is_open, priority, audience, escalations) ",
        );
        push_rows(&mut query, rows, |row, told| {
            row.push_bind(told.incident.get())
                .push_bind(partition)
                .push_bind(told.is_open)
                .push_bind(told.priority.word())
                .push_bind(serde_json::to_string(&told.audience).unwrap_or_default())
                .push_bind(serde_json::to_string(&told.escalations).unwrap_or_default());
        });
        query.push(
            " ON CONFLICT (incident) DO UPDATE SET is_open = excluded.is_open, priority = excluded.priority, \
             audience = excluded.audience, escalations = excluded.escalations",
        );
        query
    });
    Ok(())
}

row! {
    struct ToldRow {
        incident: i64,
        is_open: bool,
        priority: String,
        audience: String,
        escalations: String,
    }
}

impl ToldRow {
    fn into_core(self) -> Result<Told, StoreError> {
        let audience: Vec<Listener> = serde_json::from_str(&self.audience)
            .map_err(|error| StoreError::corrupt("told", "audience", error))?;
        let escalations = serde_json::from_str(&self.escalations)
            .map_err(|error| StoreError::corrupt("told", "escalations", error))?;
        Ok(Told {
            incident: incident_id(self.incident)?,
            is_open: self.is_open,
            priority: Priority::from_word(&self.priority)
                .ok_or_else(|| StoreError::corrupt("told", "priority", &self.priority))?,
            audience,
            escalations,
        })
    }
}

/// Loads who was told of the incidents that are held.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let rows: Vec<ToldRow> = on!(conn, c => sqlx::query_as(
        "SELECT t.incident, t.is_open, t.priority, t.audience, t.escalations FROM told t \
         JOIN incident i ON i.id = t.incident WHERE t.partition = $1 AND NOT i.is_forgotten ORDER BY t.incident"
    ).bind(partition).fetch_all(c).await?);
    for row in rows {
        let told = TellChange::Told(Arc::new(row.into_core()?));
        state.tells_mut().apply(&told);
    }
    Ok(())
}
