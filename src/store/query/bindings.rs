//! Which CIs alerts are about: those that are about none, and those to be looked at again.
//!
//! Must not decide what an alert is about; the core does.

use std::collections::BTreeMap;

use crate::store::rows::row;
use crate::store::{Conn, StoreError, on};

row! {
    /// Firing alerts of one source that are not bound.
    pub struct Unbound {
        /// The source.
        source: String,
        /// `unbound` or `ambiguous`.
        outcome: String,
        /// Why.
        reason: String,
        /// How many.
        count: i64,
        /// One of them.
        example: i64,
    }
}

/// Firing alerts that are not bound, by source and reason, the most frequent first; at most so many rows.
///
/// # Errors
/// The database cannot be read.
pub async fn unbound(conn: Conn<'_>, at_most: i64) -> Result<Vec<Unbound>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT source.name, COALESCE(b.outcome, 'unbound'), COALESCE(b.reason, ''), COUNT(*), MAX(k.id) FROM alert_key k \
         JOIN alert_state s ON s.id = k.id JOIN source ON source.partition = k.partition AND source.id = k.source \
         LEFT JOIN alert_binding b ON b.alert = k.id \
         WHERE s.status = 'firing' AND (b.outcome IS NULL OR b.outcome <> 'bound') \
         GROUP BY source.name, COALESCE(b.outcome, 'unbound'), COALESCE(b.reason, '') ORDER BY COUNT(*) DESC, MAX(k.id) LIMIT $1"
    ).bind(at_most).fetch_all(c).await?))
}

row! {
    struct ReboundRow {
        alert: i64,
        source: String,
        labels: String,
        annotations: String,
        hint: Option<String>,
        reason: Option<String>,
    }
}

/// A firing alert that may be bound otherwise since the CMDB changed.
#[derive(Clone, Debug)]
pub struct ReboundView {
    /// The alert's number.
    pub alert: i64,
    /// Its source.
    pub source: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the source says about the CI.
    pub hint: Option<String>,
    /// Why it is bound as it is.
    pub reason: Option<String>,
}

/// Firing alerts behind `after` that are not bound, or bound to a CI that changed with a version.
///
/// # Errors
/// The database cannot be read.
pub async fn to_rebind(
    conn: Conn<'_>,
    since_version: i64,
    after: i64,
    at_most: i64,
) -> Result<Vec<ReboundView>, StoreError> {
    let rows: Vec<ReboundRow> = on!(conn, c => sqlx::query_as(
        "SELECT k.id, source.name, COALESCE(t.labels, '{}'), COALESCE(t.annotations, '{}'), t.ci_hint, b.reason \
         FROM alert_key k JOIN alert_state s ON s.id = k.id \
         JOIN source ON source.partition = k.partition AND source.id = k.source \
         LEFT JOIN alert_text t ON t.id = k.id LEFT JOIN alert_binding b ON b.alert = k.id \
         WHERE k.id > $1 AND s.status = 'firing' AND (b.ci IS NULL OR EXISTS (SELECT 1 FROM ci_version ci \
         WHERE ci.number = b.ci AND (ci.from_version > $2 OR ci.to_version > $2))) \
         ORDER BY k.id LIMIT $3"
    ).bind(after).bind(since_version).bind(at_most).fetch_all(c).await?);
    let pairs = |text: &str| {
        serde_json::from_str(text).map_err(|_| StoreError::corrupt("alert_text", "labels", text))
    };
    rows.into_iter()
        .map(|row| {
            Ok(ReboundView {
                alert: row.alert,
                source: row.source,
                labels: pairs(&row.labels)?,
                annotations: pairs(&row.annotations)?,
                hint: row.hint,
                reason: row.reason,
            })
        })
        .collect()
}
