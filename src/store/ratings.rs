//! What people say of how incidents were handled, as rows, with sums per day, priority and team.
//!
//! Must not judge; the first rating of a person holds, whatever the readers of two requests saw.

use crate::core::outcome::Rating;

use super::outcomes::{LONG, day_of};
use super::{StoreError, Tx, on};

/// Writes one rating and adds it to the sums, unless that person has rated the incident already.
pub(super) async fn insert(
    tx: &mut Tx<'_>,
    partition: i64,
    rating: &Rating,
) -> Result<(), StoreError> {
    let (score, at) = (i64::from(rating.score), rating.at);
    let written = on!(tx.lend(), c => sqlx::query(
        "INSERT INTO rating (incident, who, partition, at, priority, team, score, comment) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (incident, who) DO NOTHING"
    )
    .bind(rating.incident.get())
    .bind(rating.who.as_str())
    .bind(partition)
    .bind(at.as_millis())
    .bind(rating.priority.word())
    .bind(rating.team.as_str())
    .bind(score)
    .bind(&*rating.comment)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))?;
    if written == 0 {
        return Ok(());
    }
    let day = day_of(at);
    for (days, part) in [(1, day), (LONG, day.div_euclid(LONG))] {
        on!(tx.lend(), c => sqlx::query(
            "INSERT INTO rating_sum (partition, days, part, priority, team, ratings, score, content) \
             VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (days, part, priority, team, partition) DO UPDATE SET \
             ratings = rating_sum.ratings + 1, score = rating_sum.score + excluded.score, \
             content = rating_sum.content + excluded.content"
        )
        .bind(partition)
        .bind(days)
        .bind(part)
        .bind(rating.priority.word())
        .bind(rating.team.as_str())
        .bind(score)
        .bind(i64::from(score >= 4))
        .execute(c)
        .await
        .map(drop))?;
    }
    Ok(())
}
