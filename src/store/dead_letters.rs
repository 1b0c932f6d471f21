//! What could not be understood, with the reason and the raw bytes, so that it can be looked at after a fix.
//!
//! Must not hold more of a body than [`BODY_BYTES_MAX`].

use bytes::Bytes;

use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::rows::row;
use super::{Conn, StoreError, Tx, on};

/// Bytes of a body that are kept; the rest is cut, and `body_bytes` tells how long it was.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The reason of a letter that was tried again in vain.
const STILL_NOT_UNDERSTOOD: &str = "not_understood";

/// A message or item to be put aside.
#[derive(Clone, Debug)]
pub struct NewDeadLetter {
    /// The source it came to.
    pub source: String,
    /// A short word for the kind of trouble, like `bad_request` or `bad_item`.
    pub reason: &'static str,
    /// What is wrong, and where.
    pub detail: String,
    /// The declared type of the body.
    pub content_type: Option<String>,
    /// What came around the body, as JSON, for sources that read it.
    pub envelope: Option<String>,
    /// The body as it came.
    pub body: Bytes,
}

row! {
    /// A dead letter as stored.
    pub struct DeadLetter {
        /// Its number.
        id: i64,
        /// When it was put aside, in UTC milliseconds.
        at: i64,
        /// The source it came to.
        source: String,
        /// The kind of trouble.
        reason: String,
        /// What is wrong, and where.
        detail: String,
        /// The declared type of the body.
        content_type: Option<String>,
        /// How long the body was.
        body_bytes: i64,
        /// The body, cut at [`BODY_BYTES_MAX`].
        body: Vec<u8>,
        /// What came around the body, as JSON, for sources that read it.
        envelope: Option<String>,
    }
}

pub(super) async fn insert(
    tx: &mut Tx<'_>,
    partition: i64,
    id: i64,
    at: Timestamp,
    letter: &NewDeadLetter,
) -> Result<(), StoreError> {
    let kept = letter.body.get(..BODY_BYTES_MAX).unwrap_or(&letter.body);
    let body_bytes = i64::try_from(letter.body.len()).unwrap_or(i64::MAX);
    on!(tx.lend(), c => sqlx::query(
        "INSERT INTO dead_letter (id, partition, at, source, reason, detail, content_type, body_bytes, body, envelope) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(id)
    .bind(partition)
    .bind(at.as_millis())
    .bind(&letter.source)
    .bind(letter.reason)
    // It may quote the message, and Postgres refuses NUL in a text.
    .bind(letter.detail.replace('\0', ""))
    .bind(letter.content_type.as_deref())
    .bind(body_bytes)
    .bind(kept)
    .bind(letter.envelope.as_deref())
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

/// Takes a letter off the list; `None` when it was not there.
pub(super) async fn take(conn: Conn<'_>, id: i64) -> Result<Option<Timestamp>, StoreError> {
    let taken: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "DELETE FROM dead_letter WHERE id = $1 RETURNING at"
    ).bind(id).fetch_optional(c).await?);
    Ok(taken.map(|(at,)| Timestamp::from_millis(at)))
}

/// Notes that an input came off the list.
pub(super) async fn note_replayed(
    conn: Conn<'_>,
    partition: i64,
    seq: Seq,
    letter: i64,
    received_at: Timestamp,
) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO replayed (partition, seq, letter, received_at) VALUES ($1, $2, $3, $4)"
    )
    .bind(partition)
    .bind(seq.get())
    .bind(letter)
    .bind(received_at.as_millis())
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

/// Writes another trouble to a letter that was tried again in vain.
pub(super) async fn amend(conn: Conn<'_>, id: i64, detail: &str) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query("UPDATE dead_letter SET reason = $2, detail = $3 WHERE id = $1")
        .bind(id)
        .bind(STILL_NOT_UNDERSTOOD)
        .bind(detail.replace('\0', ""))
        .execute(c)
        .await
        .map(drop))?;
    Ok(())
}

pub(super) async fn find_last_id(conn: Conn<'_>) -> Result<i64, StoreError> {
    let (id,): (Option<i64>,) =
        on!(conn, c => sqlx::query_as("SELECT MAX(id) FROM dead_letter").fetch_one(c).await?);
    Ok(id.unwrap_or(0))
}

/// Dead letters before a number, newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    source: Option<&str>,
    before: i64,
    at_most: i64,
) -> Result<Vec<DeadLetter>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT id, at, source, reason, detail, content_type, body_bytes, body, envelope FROM dead_letter \
         WHERE id < $1 AND (CAST($2 AS TEXT) IS NULL OR source = $2) ORDER BY id DESC LIMIT $3"
    ).bind(before).bind(source).bind(at_most).fetch_all(c).await?))
}

/// One dead letter.
///
/// # Errors
/// The database cannot be read.
pub async fn find(conn: Conn<'_>, id: i64) -> Result<Option<DeadLetter>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT id, at, source, reason, detail, content_type, body_bytes, body, envelope FROM dead_letter WHERE id = $1"
    ).bind(id).fetch_optional(c).await?))
}
