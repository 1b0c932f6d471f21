//! Who decides: one row per partition with a fencing number, checked and renewed inside every commit.
//!
//! A lease alone prevents nothing (a paused process does not know that it is late), so every transaction of the
//! writer carries its number and fails when another process has raised it. SQLite has a lock file for that: there only
//! the cursor is written. Must not be renewed outside a transaction that matters, except when nothing else is written.

use crate::core::ids::Seq;
use crate::core::time::{Span, Timestamp};

use super::{Conn, StoreError, Tx, on};

/// How long a leader is believed without a commit.
pub const LEASE: Span = Span::from_secs(10);

/// The right to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The partition it is for.
    pub partition: i64,
    /// The fencing number; it only ever grows.
    pub fence: i64,
    /// The last input that was decided.
    pub decided: Seq,
}

/// Takes the lease if nobody holds it or its time is over; `force` takes it anyway, for a store that only this
/// process can open.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    partition: i64,
    holder: &str,
    now: Timestamp,
    force: bool,
) -> Result<Option<Lease>, StoreError> {
    on!(tx.lend(), c => sqlx::query(
        "INSERT INTO engine (partition, holder, fence, lease_until, decided_seq) VALUES ($1, '', 0, 0, 0) \
         ON CONFLICT (partition) DO NOTHING"
    ).bind(partition).execute(c).await.map(drop))?;
    let claimed: Option<(i64, i64)> = on!(tx.lend(), c => sqlx::query_as(
        "UPDATE engine SET holder = $2, fence = fence + 1, lease_until = $3 \
         WHERE partition = $1 AND (lease_until < $4 OR holder = $2 OR $5) RETURNING fence, decided_seq"
    )
    .bind(partition)
    .bind(holder)
    .bind(now.plus(LEASE).as_millis())
    .bind(now.as_millis())
    .bind(force)
    .fetch_optional(c)
    .await?);
    Ok(claimed.map(|(fence, decided)| Lease {
        partition,
        fence,
        decided: Seq::new(decided),
    }))
}

/// Raises the fencing number after a connection was lost, for the process that holds the lease already.
///
/// The lost connection may still be committing on the server. Its transaction either holds this row, then this waits
/// for its end, or it has yet to check its number, then it fails: afterwards its outcome is settled and can be read.
pub(super) async fn retake(
    tx: &mut Tx<'_>,
    lease: &Lease,
    holder: &str,
) -> Result<Lease, StoreError> {
    // An answer to this that was lost too has left a larger number behind.
    let taken: Option<(i64, i64)> = on!(tx.lend(), c => sqlx::query_as(
        "UPDATE engine SET fence = fence + 1 WHERE partition = $1 AND holder = $2 AND fence >= $3 \
         RETURNING fence, decided_seq"
    )
    .bind(lease.partition)
    .bind(holder)
    .bind(lease.fence)
    .fetch_optional(c)
    .await?);
    let (fence, decided) = taken.ok_or(StoreError::Fenced)?;
    Ok(Lease {
        partition: lease.partition,
        fence,
        decided: Seq::new(decided),
    })
}

/// Renews the lease inside a transaction and moves the cursor; fails when another process has taken over.
pub(super) async fn renew(
    tx: &mut Tx<'_>,
    lease: &Lease,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = on!(tx.lend(), c => sqlx::query(
        "UPDATE engine SET lease_until = $3, decided_seq = $4 WHERE partition = $1 AND fence = $2"
    )
    .bind(lease.partition)
    .bind(lease.fence)
    .bind(now.plus(LEASE).as_millis())
    .bind(lease.decided.get())
    .execute(c)
    .await
    .map(|done| done.rows_affected()))?;
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Fenced)
    }
}

/// Gives the lease back, so that another process need not wait for its end.
pub(super) async fn release(tx: &mut Tx<'_>, lease: &Lease) -> Result<(), StoreError> {
    on!(tx.lend(), c => sqlx::query(
        "UPDATE engine SET lease_until = 0 WHERE partition = $1 AND fence = $2"
    ).bind(lease.partition).bind(lease.fence).execute(c).await.map(drop))?;
    Ok(())
}

/// Who holds the lease now, and until when.
///
/// # Errors
/// The database cannot be read.
pub async fn find_holder(
    conn: Conn<'_>,
    partition: i64,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    let row: Option<(String, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT holder, lease_until FROM engine WHERE partition = $1"
    ).bind(partition).fetch_optional(c).await?);
    Ok(row.map(|(holder, until)| (holder, Timestamp::from_millis(until))))
}

/// The cursor as the store holds it; fails when another process has taken over.
pub(super) async fn find_decided(conn: Conn<'_>, lease: &Lease) -> Result<Seq, StoreError> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT decided_seq FROM engine WHERE partition = $1 AND fence = $2"
    ).bind(lease.partition).bind(lease.fence).fetch_optional(c).await?);
    row.map(|(seq,)| Seq::new(seq)).ok_or(StoreError::Fenced)
}
