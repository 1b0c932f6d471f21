//! Working the outbox off: what is due, the intent to send, and what became of it.
//!
//! Must not decide whether a message is sent.

use crate::store::table::push_rows;
use sqlx::QueryBuilder;

use crate::core::ids::IncidentId;
use crate::core::time::Timestamp;
use crate::store::bulk::in_chunks;
use crate::store::rows::{incident_id, row};
use crate::store::{Conn, StoreError, Tx, on};

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for its turn.
    Pending,
    /// It is being sent, or was when the daemon died.
    Sending,
    /// It has arrived.
    Sent,
    /// It was not sent, for a reason.
    Skipped,
    /// It could not be sent and is not tried again by itself.
    Dead,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Sending,
        Self::Sent,
        Self::Skipped,
        Self::Dead,
    ];

    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }

    /// Reads a standing's word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    const fn is_due(self) -> bool {
        matches!(self, Self::Pending | Self::Sending)
    }
}

row! {
    /// A message that is due, as the store holds it.
    pub struct DueRow {
        /// Its number.
        id: i64,
        /// What it is about.
        incident: Option<i64>,
        /// The address of one person, or empty.
        recipient: String,
        /// What happened.
        event: String,
        /// A detail in words.
        note: Option<String>,
        /// 1 is the most urgent.
        urgency: i64,
        /// When it was decided.
        created_at: i64,
        /// Where it stands.
        state: String,
        /// Whether it may have arrived although nothing says so.
        may_have_arrived: bool,
        /// How often it was tried.
        attempts: i64,
        /// When it is tried next.
        due_at: i64,
        /// When it was tried first.
        tried_at: Option<i64>,
    }
}

impl DueRow {
    /// What it is about.
    ///
    /// # Errors
    /// The stored number is none.
    pub fn incident(&self) -> Result<Option<IncidentId>, StoreError> {
        self.incident.map(incident_id).transpose()
    }
}

/// Messages of a target that are due now or later, after one of them, in order.
///
/// # Errors
/// The database cannot be read.
pub async fn list_due(
    conn: Conn<'_>,
    partition: i64,
    target: &str,
    after: i64,
    at_most: i64,
) -> Result<Vec<DueRow>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT id, incident, recipient, event, note, urgency, created_at, state, may_have_arrived, attempts, due_at, \
         tried_at FROM outbox WHERE is_due AND target = $2 AND id > $3 AND partition = $1 ORDER BY id LIMIT $4"
    ).bind(partition).bind(target).bind(after).bind(at_most).fetch_all(c).await?))
}

/// What a listener was told last about an incident before a message: the events that arrived, or may have, newest
/// first.
///
/// # Errors
/// The database cannot be read.
pub async fn list_heard(
    conn: Conn<'_>,
    incident: IncidentId,
    target: &str,
    recipient: &str,
    before: i64,
) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT event FROM outbox WHERE incident = $1 AND target = $2 AND recipient = $3 AND id < $4 \
         AND (state = 'sent' OR may_have_arrived) ORDER BY id DESC LIMIT 50"
    ).bind(incident.get()).bind(target).bind(recipient).bind(before).fetch_all(c).await?);
    Ok(rows.into_iter().map(|(event,)| event).collect())
}

/// How much waits for each target, and since when.
///
/// # Errors
/// The database cannot be read.
pub async fn list_depths(
    conn: Conn<'_>,
    partition: i64,
) -> Result<Vec<(String, i64, i64)>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT target, COUNT(*), MIN(created_at) FROM outbox WHERE is_due AND partition = $1 GROUP BY target"
    ).bind(partition).fetch_all(c).await?))
}

/// The new standing of a message.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The message.
    pub id: i64,
    /// Where it stands now.
    pub standing: Standing,
    /// Whether it may have arrived although nothing says so.
    pub may_have_arrived: bool,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// When it was tried first.
    pub tried_at: Option<Timestamp>,
    /// When its time in the queue ended.
    pub ended_at: Option<Timestamp>,
    /// What the target answered, as a number.
    pub status: Option<i64>,
    /// Why it stands there, as a stable word.
    pub reason: Option<&'static str>,
    /// What went wrong.
    pub error: Option<String>,
}

/// What `deliver` or a person changes about the outbox, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct OutboxStep {
    /// New standings.
    pub marks: Vec<Mark>,
    /// Dead messages that are tried again: one, or all of a target.
    pub revived: Vec<Revival>,
    /// Targets that are paused, by whom, or no longer.
    pub pauses: Vec<(String, Option<(Timestamp, String)>)>,
}

/// Dead messages that are tried again, or given up for good.
#[derive(Clone, Debug)]
pub struct Revival {
    /// Which one; all when there is none.
    pub id: Option<i64>,
    /// Of which target; of any when there is none.
    pub target: Option<String>,
    /// When it was asked for.
    pub at: Timestamp,
    /// Whether they are given up instead.
    pub is_discarded: bool,
}

/// Writes a step; returns how many dead messages were revived or given up.
pub(in crate::store) async fn write(
    tx: &mut Tx<'_>,
    partition: i64,
    step: &OutboxStep,
) -> Result<u64, StoreError> {
    mark(tx.lend(), &step.marks).await?;
    let mut count = 0_u64;
    for revival in &step.revived {
        count = count.saturating_add(revive(tx.lend(), partition, revival).await?);
    }
    for (target, pause) in &step.pauses {
        set_pause(tx.lend(), partition, target, pause.as_ref()).await?;
    }
    Ok(count)
}

async fn mark(conn: Conn<'_>, rows: &[Mark]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "WITH m (id, state, is_due, may_have_arrived, attempts, due_at, tried_at, ended_at, status, reason, error) \
             AS (",
        );
        push_rows(&mut query, rows, |row, mark| {
            row.push_bind(mark.id)
                .push_bind(mark.standing.word())
                .push_bind(mark.standing.is_due())
                .push_bind(mark.may_have_arrived)
                .push_bind(mark.attempts)
                .push_bind(mark.due_at.as_millis())
                .push_bind(mark.tried_at.map(Timestamp::as_millis))
                .push_bind(mark.ended_at.map(Timestamp::as_millis))
                .push_bind(mark.status)
                .push_bind(mark.reason)
                .push_bind(mark.error.as_deref());
        });
        query.push(
            ") UPDATE outbox SET state = m.state, is_due = m.is_due, may_have_arrived = m.may_have_arrived, \
             attempts = m.attempts, due_at = m.due_at, tried_at = m.tried_at, ended_at = m.ended_at, \
             status = m.status, reason = m.reason, error = m.error FROM m WHERE outbox.id = m.id",
        );
        query
    });
    Ok(())
}

async fn revive(conn: Conn<'_>, partition: i64, revival: &Revival) -> Result<u64, StoreError> {
    let (state, is_due, reason) = if revival.is_discarded {
        ("skipped", false, Some("discarded"))
    } else {
        ("pending", true, None)
    };
    on!(conn, c => {
        let done = sqlx::query(
            "UPDATE outbox SET state = $1, is_due = $2, reason = $3, due_at = $4, \
             ended_at = CASE WHEN $2 THEN NULL ELSE ended_at END \
             WHERE state = 'dead' AND partition = $5 AND ($6 IS NULL OR id = $6) AND ($7 IS NULL OR target = $7)",
        )
        .bind(state)
        .bind(is_due)
        .bind(reason)
        .bind(revival.at.as_millis())
        .bind(partition)
        .bind(revival.id)
        .bind(revival.target.as_deref())
        .execute(c)
        .await?;
        Ok(done.rows_affected())
    })
}

async fn set_pause(
    conn: Conn<'_>,
    partition: i64,
    target: &str,
    pause: Option<&(Timestamp, String)>,
) -> Result<(), StoreError> {
    on!(conn, c => match pause {
        Some((at, actor)) => sqlx::query(
            "INSERT INTO target_pause (target, partition, at, actor) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (target) DO NOTHING"
        ).bind(target).bind(partition).bind(at.as_millis()).bind(actor).execute(c).await.map(drop),
        None => sqlx::query("DELETE FROM target_pause WHERE target = $1")
            .bind(target).execute(c).await.map(drop),
    })?;
    Ok(())
}

/// The targets that are paused: name, since when, by whom.
///
/// # Errors
/// The database cannot be read.
pub async fn list_paused(
    conn: Conn<'_>,
    partition: i64,
) -> Result<Vec<(String, i64, String)>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT target, at, actor FROM target_pause WHERE partition = $1 ORDER BY target"
    ).bind(partition).fetch_all(c).await?))
}
