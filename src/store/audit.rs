//! The audit: rows in a chain of hashes, appended in the transaction of what they tell of.
//!
//! Must not change or delete a row, ever; retention leaves the audit alone.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::core::audit::{AuditEntry, Values};
use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::rows::row;
use super::{Conn, StoreError, Tx, on};

/// What the first row's hash is made with in place of the hash before it.
const ORIGIN: &str = "watchbell audit v1";
/// Rows that are verified at once.
const PAGE: i64 = 1_000;

row! {
    /// A row of the audit.
    pub struct AuditRow {
        /// Its number, from 1 without a gap.
        id: i64,
        /// When it was committed or decided, in UTC milliseconds.
        at: i64,
        /// The input that it was decided for, if one was.
        seq: Option<i64>,
        /// Who.
        actor: String,
        /// What was done.
        action: String,
        /// To which record.
        subject: String,
        /// What it was before, as a JSON object.
        before_values: String,
        /// What it is now, as a JSON object.
        after_values: String,
        /// Why.
        why: Option<String>,
        /// The hash over all of it and the hash before.
        hash: String,
    }
}

/// The columns of [`AuditRow`], in its order.
pub(in crate::store) const AUDIT_COLUMNS: &str = "a.id, a.at, a.seq, a.actor, a.action, a.subject, a.before_values, a.after_values, a.why, a.hash";

impl AuditRow {
    /// The hash that the row must have after that one: every field with its length, so that no two rows read the same.
    fn digest(&self, before: &str) -> String {
        let numbers = [
            self.id.to_string(),
            self.at.to_string(),
            self.seq.map_or_else(String::new, |seq| seq.to_string()),
        ];
        let texts = [
            &self.actor,
            &self.action,
            &self.subject,
            &self.before_values,
            &self.after_values,
        ];
        let mut hasher = Sha256::new();
        let mut feed = |text: &str| {
            hasher.update(text.len().to_string());
            hasher.update(":");
            hasher.update(text);
        };
        feed(before);
        numbers.iter().for_each(|number| feed(number));
        texts.into_iter().for_each(|text| feed(text));
        feed(if self.why.is_some() { "why" } else { "" });
        feed(self.why.as_deref().unwrap_or_default());
        let mut hex = String::with_capacity(64);
        for byte in hasher.finalize() {
            // Writing to a text cannot fail.
            write!(hex, "{byte:02x}").ok();
        }
        hex
    }
}

/// How a chain of audit rows was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were looked at and fit.
    pub rows: i64,
    /// The hash of the last of them.
    pub hash: String,
    /// The first row that does not fit, and why.
    pub broken: Option<(i64, String)>,
}

/// Appends entries, in order.
pub(super) async fn append(
    tx: &mut Tx<'_>,
    partition: i64,
    entries: &[(Option<Seq>, Timestamp, &AuditEntry)],
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    on!(tx.lend(), c => sqlx::query(
        "INSERT INTO audit_head (partition, last_id, hash) VALUES ($1, 0, $2) ON CONFLICT (partition) DO NOTHING"
    ).bind(partition).bind(ORIGIN).execute(c).await.map(drop))?;
    // The row is locked by this, so that of two who append one waits for the other.
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let (last, mut hash): (i64, String) = on!(tx.lend(), c => sqlx::query_as(
        "UPDATE audit_head SET last_id = last_id + $2 WHERE partition = $1 RETURNING last_id, hash"
    ).bind(partition).bind(count).fetch_one(c).await?);
    let mut id = last.saturating_sub(count);
    for (seq, at, entry) in entries {
        id = id.saturating_add(1);
        let mut row = AuditRow {
            id,
            at: at.as_millis(),
            seq: seq.map(Seq::get),
            actor: entry.actor.to_string(),
            action: entry.action.to_string(),
            subject: entry.subject.to_string(),
            before_values: json(&entry.before),
            after_values: json(&entry.after),
            why: entry.why.as_ref().map(ToString::to_string),
            hash: String::new(),
        };
        row.hash = row.digest(&hash);
        hash.clone_from(&row.hash);
        insert(tx.lend(), partition, &row).await?;
    }
    on!(tx.lend(), c => sqlx::query("UPDATE audit_head SET hash = $2 WHERE partition = $1")
        .bind(partition).bind(&hash).execute(c).await.map(drop))?;
    Ok(())
}

async fn insert(conn: Conn<'_>, partition: i64, row: &AuditRow) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit (partition, id, at, seq, actor, action, subject, before_values, after_values, why, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )
    .bind(partition)
    .bind(row.id)
    .bind(row.at)
    .bind(row.seq)
    .bind(&row.actor)
    .bind(&row.action)
    .bind(&row.subject)
    .bind(&row.before_values)
    .bind(&row.after_values)
    .bind(&row.why)
    .bind(&row.hash)
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

fn json(values: &Values) -> String {
    let mut map = serde_json::Map::new();
    for (name, value) in values {
        map.insert(name.to_string(), value.as_str().into());
    }
    serde_json::Value::Object(map).to_string()
}

/// Looks through the whole chain from its first row.
///
/// # Errors
/// The database cannot be read.
pub async fn verify(mut conn: Conn<'_>, partition: i64) -> Result<Verified, StoreError> {
    let mut found = Verified {
        rows: 0,
        hash: ORIGIN.to_owned(),
        broken: None,
    };
    loop {
        let rows: Vec<AuditRow> = on!(conn.lend(), c => {
            let mut query = sqlx::QueryBuilder::new("SELECT ");
            query.push(AUDIT_COLUMNS).push(" FROM audit a WHERE a.partition = ").push_bind(partition);
            query.push(" AND a.id > ").push_bind(found.rows).push(" ORDER BY a.id LIMIT ").push_bind(PAGE);
            query.build_query_as().fetch_all(c).await?
        });
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let expected = found.rows.saturating_add(1);
            if row.id != expected {
                found.broken = Some((expected, "the row is missing".to_owned()));
                return Ok(found);
            }
            if row.digest(&found.hash) != row.hash {
                let why = "the row is not as it was written, or the one before it is not";
                found.broken = Some((row.id, why.to_owned()));
                return Ok(found);
            }
            found.rows = row.id;
            found.hash = row.hash;
        }
    }
    let head: Option<(i64, String)> = on!(conn, c => sqlx::query_as(
        "SELECT last_id, hash FROM audit_head WHERE partition = $1"
    ).bind(partition).fetch_optional(c).await?);
    let (last, hash) = head.unwrap_or((0, ORIGIN.to_owned()));
    if last != found.rows || hash != found.hash {
        let why = format!("the chain went on to row {last}, its end is missing");
        found.broken = Some((found.rows.saturating_add(1), why));
    }
    Ok(found)
}
