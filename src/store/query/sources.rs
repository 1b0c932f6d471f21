//! When sources were last heard of, as far as the store still knows.
//!
//! Must not walk the whole log: it may hold millions of messages.

use crate::core::time::Timestamp;
use crate::store::{Conn, StoreError, on};

/// Messages at the end of the log that are looked at; of older ones only those about alerts count.
const MESSAGES_MAX: i64 = 10_000;

/// When the last message of each source was received, by name.
///
/// # Errors
/// The database cannot be read.
pub async fn list_last_heard(
    conn: Conn<'_>,
    partition: i64,
) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let rows: Vec<(String, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT name, MAX(at) FROM ( \
             SELECT source AS name, at FROM ( \
                 SELECT source, at FROM input WHERE partition = $1 AND kind = 'message' AND source IS NOT NULL \
                 ORDER BY seq DESC LIMIT $2 \
             ) recent \
             UNION ALL \
             SELECT source.name, seen.at FROM ( \
                 SELECT k.source AS id, MAX(s.last_seen_at) AS at FROM alert_state s JOIN alert_key k ON k.id = s.id \
                 WHERE s.partition = $1 GROUP BY k.source \
             ) seen JOIN source ON source.partition = $1 AND source.id = seen.id \
         ) heard GROUP BY name ORDER BY name"
    ).bind(partition).bind(MESSAGES_MAX).fetch_all(c).await?);
    let heard = rows.into_iter();
    Ok(heard
        .map(|(name, at)| (name, Timestamp::from_millis(at)))
        .collect())
}
