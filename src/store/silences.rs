//! Silences in the store: written with a batch, loaded at start, and what a sweep reads.
//!
//! Must not decide what a silence matches.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::{AlertId, SilenceId, WindowId};
use crate::core::mute::Scope;
use crate::core::silence::{Silence, SilenceChange, matcher::Matcher};
use crate::core::state::State;
use crate::core::time::Timestamp;

use super::bulk::{in_chunks, run_for_pairs};
use super::rows::{alert_id, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// What a batch changes about silences; of several changes to one thing the last is written.
#[derive(Debug, Default)]
pub(in crate::store) struct SilenceRows {
    silences: BTreeMap<SilenceId, Arc<Silence>>,
    over: Vec<SilenceId>,
    pairs: BTreeMap<(AlertId, SilenceId), bool>,
    unchecked: BTreeMap<AlertId, bool>,
}

impl SilenceRows {
    pub(super) fn add(&mut self, change: SilenceChange) {
        match change {
            SilenceChange::Changed(silence) => {
                self.silences.insert(silence.id, silence);
            }
            SilenceChange::Over(id) => self.over.push(id),
            SilenceChange::Silenced(alert, silence) => {
                self.pairs.insert((alert, silence), true);
            }
            SilenceChange::Unsilenced(alert, silence) => {
                self.pairs.insert((alert, silence), false);
            }
            SilenceChange::Unchecked(alert) => {
                self.unchecked.insert(alert, true);
            }
            SilenceChange::Checked(alert) => {
                self.unchecked.insert(alert, false);
            }
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.silences
            .len()
            .saturating_add(self.pairs.len())
            .saturating_add(self.unchecked.len())
    }

    pub(super) fn wants_sweep(&self) -> bool {
        let has_begun = |it: &Arc<Silence>| it.is_started && !it.is_swept;
        self.silences.values().any(has_begun) || self.unchecked.values().any(|&is_new| is_new)
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let silences: Vec<_> = self.silences.values().collect();
        upsert(tx.lend(), partition, &silences).await?;
        for id in &self.over {
            let sql = "UPDATE silence SET is_over = TRUE WHERE id = $1";
            on!(tx.lend(), c => sqlx::query(sql).bind(id.get()).execute(c).await.map(drop))?;
        }
        self.write_pairs(tx, partition).await?;
        self.write_unchecked(tx, partition).await
    }

    async fn write_pairs(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let new: Vec<_> = self.pairs.iter().filter(|(_, is_new)| **is_new).collect();
        in_chunks!(tx.lend(), &new, |rows| {
            let mut query =
                QueryBuilder::new("INSERT INTO silence_alert (alert, silence, partition) ");
            push_rows(&mut query, rows, |row, ((alert, silence), _)| {
                row.push_bind(alert.get())
                    .push_bind(silence.get())
                    .push_bind(partition);
            });
            query.push(" ON CONFLICT (alert, silence) DO NOTHING");
            query
        });
        let gone = self.pairs.iter().filter(|(_, is_new)| !**is_new);
        let gone: Vec<_> = gone
            .map(|((alert, silence), _)| (alert.get(), silence.get()))
            .collect();
        run_for_pairs(
            tx.lend(),
            "DELETE FROM silence_alert WHERE (alert, silence)",
            &gone,
        )
        .await?;
        Ok(())
    }

    async fn write_unchecked(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let (new, checked): (Vec<_>, Vec<_>) = self
            .unchecked
            .iter()
            .map(|(alert, is_new)| (alert.get(), *is_new))
            .partition(|(_, is_new)| *is_new);
        in_chunks!(tx.lend(), &new, |rows| {
            let mut query = QueryBuilder::new("INSERT INTO silence_unchecked (alert, partition) ");
            push_rows(&mut query, rows, |row, (alert, _)| {
                row.push_bind(*alert).push_bind(partition);
            });
            query.push(" ON CONFLICT (alert) DO NOTHING");
            query
        });
        let checked: Vec<_> = checked
            .iter()
            .map(|&(alert, _)| (alert, partition))
            .collect();
        run_for_pairs(
            tx.lend(),
            "DELETE FROM silence_unchecked WHERE (alert, partition)",
            &checked,
        )
        .await?;
        Ok(())
    }
}

async fn upsert(conn: Conn<'_>, partition: i64, rows: &[&Arc<Silence>]) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO silence (id, partition, uuid, matchers, starts_at, ends_at, created_by, comment, updated_at, \
             once_key, is_started, is_swept, is_over, scope, maintenance) ",
        );
        push_rows(&mut query, rows, |row, silence| {
            row.push_bind(silence.id.get())
                .push_bind(partition)
                .push_bind(silence.uuid.to_string())
                .push_bind(serde_json::to_string(&*silence.matchers).unwrap_or_default())
                .push_bind(silence.starts_at.as_millis())
                .push_bind(silence.ends_at.as_millis())
                .push_bind(silence.created_by.as_str())
                .push_bind(silence.comment.as_str())
                .push_bind(silence.updated_at.as_millis())
                .push_bind(silence.once.map(u64::cast_signed))
                .push_bind(silence.is_started)
                .push_bind(silence.is_swept)
                .push_bind(false)
                .push_bind(scope_column(silence))
                .push_bind(silence.window.map(WindowId::get));
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at, \
             created_by = excluded.created_by, comment = excluded.comment, updated_at = excluded.updated_at, \
             is_started = excluded.is_started, is_swept = excluded.is_swept",
        );
        query
    });
    Ok(())
}

/// The scope, unless everything is meant.
fn scope_column(silence: &Silence) -> Option<String> {
    let is_scoped = !silence.scope.is_everything();
    is_scoped.then(|| serde_json::to_string(&*silence.scope).unwrap_or_default())
}

row! {
    /// A silence as stored.
    pub(in crate::store) struct SilenceRow {
        id: i64,
        uuid: String,
        matchers: String,
        starts_at: i64,
        ends_at: i64,
        created_by: String,
        comment: String,
        updated_at: i64,
        once_key: Option<i64>,
        is_started: bool,
        is_swept: bool,
        scope: Option<String>,
        maintenance: Option<i64>,
    }
}

/// The columns of [`SilenceRow`], in its order.
pub(in crate::store) const SILENCE_COLUMNS: &str = "silence.id, silence.uuid, silence.matchers, silence.starts_at, silence.ends_at, \
    silence.created_by, silence.comment, silence.updated_at, silence.once_key, silence.is_started, silence.is_swept, silence.scope, silence.maintenance";

impl SilenceRow {
    /// The core's value of it.
    pub(in crate::store) fn into_core(self) -> Result<Silence, StoreError> {
        let matchers: Vec<Matcher> = serde_json::from_str(&self.matchers)
            .map_err(|error| StoreError::corrupt("silence", "matchers", error))?;
        let uuid = self.uuid.parse();
        let scope: Scope = match &self.scope {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| StoreError::corrupt("silence", "scope", error))?,
            None => Scope::default(),
        };
        Ok(Silence {
            id: silence_id(self.id)?,
            uuid: uuid.map_err(|_| StoreError::corrupt("silence", "uuid", &self.uuid))?,
            matchers: matchers.into(),
            starts_at: Timestamp::from_millis(self.starts_at),
            ends_at: Timestamp::from_millis(self.ends_at),
            created_by: SmolStr::new(self.created_by),
            comment: SmolStr::new(self.comment),
            updated_at: Timestamp::from_millis(self.updated_at),
            is_started: self.is_started,
            is_swept: self.is_swept,
            once: self.once_key.map(i64::cast_unsigned),
            scope: Arc::new(scope),
            window: self.maintenance.and_then(WindowId::new),
        })
    }
}

fn silence_id(id: i64) -> Result<SilenceId, StoreError> {
    SilenceId::new(id).ok_or_else(|| StoreError::corrupt("silence", "id", id))
}

/// Loads the silences that are not over and what they silence.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    for silence in list_held(conn.lend(), partition).await? {
        let change = SilenceChange::Changed(Arc::new(silence));
        state.put_silence(&change);
    }
    let pairs: Vec<(i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT alert, silence FROM silence_alert WHERE partition = $1 ORDER BY alert, silence"
    ).bind(partition).fetch_all(c).await?);
    for (alert, silence) in pairs {
        let change = SilenceChange::Silenced(alert_id(alert)?, silence_id(silence)?);
        state.put_silence(&change);
    }
    Ok(())
}

/// The silences that are pending or active, or have yet to let go of their alerts.
///
/// # Errors
/// The database cannot be read.
pub async fn list_held(conn: Conn<'_>, partition: i64) -> Result<Vec<Silence>, StoreError> {
    let rows: Vec<SilenceRow> = on!(conn, c => {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(SILENCE_COLUMNS).push(" FROM silence WHERE NOT is_over AND partition = ");
        query.push_bind(partition).push(" ORDER BY id");
        query.build_query_as().fetch_all(c).await?
    });
    rows.into_iter().map(SilenceRow::into_core).collect()
}

/// A firing alert as a sweep compares it.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The alert.
    pub alert: AlertId,
    /// Hash of its text.
    pub text_hash: u64,
    /// Its labels by name.
    pub labels: BTreeMap<String, String>,
}

row! {
    struct LabelledRow {
        id: i64,
        text_hash: i64,
        labels: String,
    }
}

/// Firing alerts after one, in order, at most so many.
///
/// # Errors
/// The database cannot be read.
pub async fn list_firing(
    conn: Conn<'_>,
    partition: i64,
    after: i64,
    at_most: i64,
) -> Result<Vec<Labelled>, StoreError> {
    let rows: Vec<LabelledRow> = on!(conn, c => sqlx::query_as(
        "SELECT s.id, s.text_hash, COALESCE(t.labels, '{}') FROM alert_state s LEFT JOIN alert_text t ON t.id = s.id \
         WHERE s.partition = $1 AND s.id > $2 AND s.status = 'firing' ORDER BY s.id LIMIT $3"
    ).bind(partition).bind(after).bind(at_most).fetch_all(c).await?);
    rows.into_iter().map(LabelledRow::into_core).collect()
}

/// Alerts that have yet to be compared, at most so many; those that fire with their labels, the others without.
///
/// # Errors
/// The database cannot be read.
pub async fn list_unchecked(
    mut conn: Conn<'_>,
    partition: i64,
    at_most: i64,
) -> Result<(Vec<AlertId>, Vec<Labelled>), StoreError> {
    let ids: Vec<(i64,)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT alert FROM silence_unchecked WHERE partition = $1 ORDER BY alert LIMIT $2"
    ).bind(partition).bind(at_most).fetch_all(c).await?);
    let rows: Vec<LabelledRow> = on!(conn, c => sqlx::query_as(
        "SELECT s.id, s.text_hash, COALESCE(t.labels, '{}') FROM silence_unchecked u \
         JOIN alert_state s ON s.id = u.alert LEFT JOIN alert_text t ON t.id = s.id \
         WHERE u.partition = $1 AND s.status = 'firing' ORDER BY u.alert LIMIT $2"
    ).bind(partition).bind(at_most).fetch_all(c).await?);
    let ids: Result<Vec<_>, _> = ids.into_iter().map(|(id,)| alert_id(id)).collect();
    let rows: Result<Vec<_>, _> = rows.into_iter().map(LabelledRow::into_core).collect();
    Ok((ids?, rows?))
}

impl LabelledRow {
    fn into_core(self) -> Result<Labelled, StoreError> {
        let labels = serde_json::from_str(&self.labels);
        Ok(Labelled {
            alert: alert_id(self.id)?,
            text_hash: self.text_hash.cast_unsigned(),
            labels: labels
                .map_err(|_| StoreError::corrupt("alert_text", "labels", &self.labels))?,
        })
    }
}
