//! How far the rules in force have reached open incidents, in the store. Must not decide what is due.

use crate::core::review::Review;
use crate::core::state::State;

use super::rows::{incident_id, row};
use super::{Conn, StoreError, Tx, on};

/// Notes it.
pub(super) async fn write(
    tx: &mut Tx<'_>,
    review: &Review,
    partition: i64,
) -> Result<(), StoreError> {
    let next = review.next.map(|incident| incident.get());
    on!(tx.lend(), c => sqlx::query(
        "INSERT INTO rules_review (partition, digest, next_incident) VALUES ($1, $2, $3) \
         ON CONFLICT (partition) DO UPDATE SET digest = excluded.digest, next_incident = excluded.next_incident"
    ).bind(partition).bind(review.digest.cast_signed()).bind(next).execute(c).await.map(drop))?;
    Ok(())
}

row! {
    struct ReviewRow {
        digest: i64,
        next_incident: Option<i64>,
    }
}

/// Loads it; nothing was reached before the first time.
pub(super) async fn load(
    conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    let found: Option<ReviewRow> = on!(conn, c => sqlx::query_as(
        "SELECT digest, next_incident FROM rules_review WHERE partition = $1"
    ).bind(partition).fetch_optional(c).await?);
    if let Some(row) = found {
        state.put_review(Review {
            digest: row.digest.cast_unsigned(),
            next: row.next_incident.map(incident_id).transpose()?,
        });
    }
    Ok(())
}
