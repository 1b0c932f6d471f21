//! What people said of how incidents were handled, one by one and as sums.
//!
//! Must not join the comments to anything that is not asked for.

use super::reports::{Parts, Period, select_parts};
use super::select::Select;
use crate::core::ids::IncidentId;
use crate::core::severity::Priority;
use crate::store::rows::row;
use crate::store::{Conn, StoreError};

row! {
    /// One rating.
    pub struct RatingRow {
        /// Who.
        who: String,
        /// From 1 to 5.
        score: i64,
        /// What else.
        comment: String,
        /// When.
        at: i64,
    }
}

/// Ratings of one priority and team.
#[derive(Clone, Debug)]
pub struct RatingSum {
    /// The priority.
    pub priority: Priority,
    /// The team; empty when nobody had them.
    pub team: String,
    /// How many.
    pub ratings: i64,
    /// All scores together.
    pub score: i64,
    /// Those that are content: 4 or 5.
    pub content: i64,
}

row! {
    struct SumRow {
        priority: String,
        team: String,
        ratings: i64,
        score: i64,
        content: i64,
    }
}

/// The ratings of an incident, the first one first.
///
/// # Errors
/// The database cannot be read.
pub async fn of_incident(
    conn: Conn<'_>,
    incident: IncidentId,
) -> Result<Vec<RatingRow>, StoreError> {
    let mut select = Select::new("SELECT who, score, comment, at FROM rating WHERE incident = ");
    select
        .number(incident.get())
        .sql(" ORDER BY at, who LIMIT 500");
    select.fetch(conn).await
}

/// Whether that person has rated an incident.
///
/// # Errors
/// The database cannot be read.
pub async fn is_rated(conn: Conn<'_>, incident: IncidentId, who: &str) -> Result<bool, StoreError> {
    let mut select = Select::new("SELECT who, score, comment, at FROM rating WHERE incident = ");
    select.number(incident.get()).sql(" AND who = ").text(who);
    let rows: Vec<RatingRow> = select.fetch(conn).await?;
    Ok(!rows.is_empty())
}

/// Ratings given in a period, by priority and team.
///
/// # Errors
/// The database cannot be read.
pub async fn sums(conn: Conn<'_>, period: Period) -> Result<Vec<RatingSum>, StoreError> {
    let mut select = Select::new(
        "SELECT priority, team, CAST(SUM(ratings) AS BIGINT), CAST(SUM(score) AS BIGINT), \
         CAST(SUM(content) AS BIGINT) FROM (SELECT priority, team, ",
    );
    let parts = Parts {
        columns: "ratings, score, content",
        sums: "rating_sum",
        rows: (
            "rating",
            "at",
            "1 AS ratings, score, CASE WHEN score >= 4 THEN 1 ELSE 0 END AS content",
        ),
    };
    select_parts(&mut select, period, &parts);
    select.sql(") sums GROUP BY priority, team ORDER BY priority, team");
    let rows: Vec<SumRow> = select.fetch(conn).await?;
    rows.into_iter()
        .map(|row| {
            Ok(RatingSum {
                priority: Priority::from_word(&row.priority)
                    .ok_or_else(|| StoreError::corrupt("rating", "priority", &row.priority))?,
                team: row.team,
                ratings: row.ratings,
                score: row.score,
                content: row.content,
            })
        })
        .collect()
}
