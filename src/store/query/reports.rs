//! Sums of what became of incidents, and what is open, for reports.
//!
//! Whole days are read as sums; only the parts of days at both ends are read incident by incident. So a report over a
//! million incidents reads some thousand rows.

use super::select::Select;
use crate::core::outcome::Figures;
use crate::core::severity::Priority;
use crate::core::time::Timestamp;
use crate::store::outcomes::{DAY_MS, FIGURES, LONG, day_of};
use crate::store::rows::row;
use crate::store::{Conn, StoreError};

/// From when to when: the first moment counts, the last does not.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// From.
    pub since: Timestamp,
    /// To.
    pub until: Timestamp,
}

/// Figures of one priority and team.
#[derive(Clone, Debug)]
pub struct OutcomeSum {
    /// The priority.
    pub priority: Priority,
    /// The team; empty when nobody had them.
    pub team: String,
    /// The sums.
    pub figures: Figures,
}

/// Open incidents of one priority and team.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// The priority.
    pub priority: Priority,
    /// The team; empty when nobody has them.
    pub team: String,
    /// How many.
    pub open: i64,
    /// How many of them nobody has taken notice of.
    pub unacknowledged: i64,
    /// How many are on hold.
    pub on_hold: i64,
    /// Their ages together, in seconds.
    pub age_s: i64,
    /// When the oldest was opened.
    pub oldest_at: Timestamp,
}

row! {
    struct SumRow {
        priority: String,
        team: String,
        incidents: i64,
        acknowledged: i64,
        acknowledge_ms: i64,
        resolve_ms: i64,
        reopened: i64,
        recurring: i64,
        escalated: i64,
        by_itself: i64,
        response_met: i64,
        response_breached: i64,
        resolution_met: i64,
        resolution_breached: i64,
        alerts: i64,
        messages: i64,
    }
}

row! {
    struct BacklogRow {
        priority: String,
        team: String,
        open: i64,
        unacknowledged: i64,
        on_hold: i64,
        age_s: i64,
        oldest_at: i64,
    }
}

const SUMS: &str = "SELECT priority, team, CAST(SUM(incidents) AS BIGINT), CAST(SUM(acknowledged) AS BIGINT), \
     CAST(SUM(acknowledge_ms) AS BIGINT), CAST(SUM(resolve_ms) AS BIGINT), CAST(SUM(reopened) AS BIGINT), \
     CAST(SUM(recurring) AS BIGINT), CAST(SUM(escalated) AS BIGINT), CAST(SUM(by_itself) AS BIGINT), \
     CAST(SUM(response_met) AS BIGINT), CAST(SUM(response_breached) AS BIGINT), \
     CAST(SUM(resolution_met) AS BIGINT), CAST(SUM(resolution_breached) AS BIGINT), \
     CAST(SUM(alerts) AS BIGINT), CAST(SUM(messages) AS BIGINT) FROM (SELECT priority, team, ";

/// What became of the incidents that ended in a period, by priority and team.
///
/// # Errors
/// The database cannot be read.
pub async fn outcomes(conn: Conn<'_>, period: Period) -> Result<Vec<OutcomeSum>, StoreError> {
    let mut select = Select::new(SUMS);
    select_parts(
        &mut select,
        period,
        &Parts {
            columns: FIGURES,
            sums: "outcome_sum",
            rows: ("incident_outcome", "ended_at", FIGURES),
        },
    );
    select.sql(") sums GROUP BY priority, team ORDER BY priority, team");
    let rows: Vec<SumRow> = select.fetch(conn).await?;
    let sums = rows.into_iter().map(SumRow::into_core);
    let sums: Result<Vec<_>, _> = sums.collect();
    Ok(sums?
        .into_iter()
        .filter(|sum| sum.figures.incidents != 0)
        .collect())
}

/// Where sums per day and the rows that they are made of stand.
pub(super) struct Parts {
    /// The columns of the sums.
    pub(super) columns: &'static str,
    /// The table of the sums.
    pub(super) sums: &'static str,
    /// The table of the rows, its time, and the same columns there.
    pub(super) rows: (&'static str, &'static str, &'static str),
}

/// Puts together what makes a period: sums of 32 days and of single days, and rows at both ends. The statement so far ends
/// with the priority and team of an inner SELECT.
pub(super) fn select_parts(select: &mut Select, period: Period, parts: &Parts) {
    let (since, until) = (period.since.as_millis(), period.until.as_millis());
    let almost_a_day = crate::core::time::Span::from_millis(DAY_MS.saturating_sub(1));
    let first = day_of(period.since.plus(almost_a_day));
    let last = day_of(period.until).max(first);
    // Whole parts of 32 days, and the single days around them.
    let first_long = first.saturating_add(LONG - 1).div_euclid(LONG);
    let last_long = last.div_euclid(LONG).max(first_long);
    let (long_from, long_to) = (first_long * LONG, last_long * LONG);
    let (table, time, columns) = parts.rows;
    let mut is_first = true;
    for (days, from, to) in [
        (LONG, first_long, last_long),
        (1, first, long_from.min(last)),
        (1, long_to.max(first), last),
    ] {
        if !is_first {
            select.sql(" UNION ALL SELECT priority, team, ");
        }
        is_first = false;
        select.sql(parts.columns).sql(" FROM ").sql(parts.sums);
        select.sql(" WHERE days = ").number(days);
        select.sql(" AND part >= ").number(from);
        select.sql(" AND part < ").number(to);
    }
    for (from, to) in [
        (since, first.saturating_mul(DAY_MS).min(until)),
        (last.saturating_mul(DAY_MS).max(since), until),
    ] {
        select.sql(" UNION ALL SELECT priority, team, ");
        select.sql(columns).sql(" FROM ").sql(table);
        select.sql(" WHERE ").sql(time).sql(" >= ").number(from);
        select.sql(" AND ").sql(time).sql(" < ").number(to);
    }
}

/// What is open at that time, by priority and team.
///
/// # Errors
/// The database cannot be read.
pub async fn backlog(conn: Conn<'_>, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
    let mut select = Select::new("SELECT priority, COALESCE(team, ''), COUNT(*), ");
    select
        .sql("CAST(SUM(CASE WHEN state = 'new' THEN 1 ELSE 0 END) AS BIGINT), ")
        .sql("CAST(SUM(CASE WHEN state = 'on_hold' THEN 1 ELSE 0 END) AS BIGINT), ")
        .sql("CAST(SUM((")
        .number(now.as_millis())
        .sql(" - opened_at) / 1000) AS BIGINT), MIN(opened_at) FROM incident ")
        .sql("WHERE state IN ('new', 'acknowledged', 'in_progress', 'on_hold') ")
        .sql("GROUP BY priority, COALESCE(team, '') ORDER BY priority, COALESCE(team, '')");
    let rows: Vec<BacklogRow> = select.fetch(conn).await?;
    let backlog = rows.into_iter().map(|row| {
        Ok(Backlog {
            priority: priority(&row.priority)?,
            team: row.team,
            open: row.open,
            unacknowledged: row.unacknowledged,
            on_hold: row.on_hold,
            age_s: row.age_s,
            oldest_at: Timestamp::from_millis(row.oldest_at),
        })
    });
    backlog.collect()
}

impl SumRow {
    fn into_core(self) -> Result<OutcomeSum, StoreError> {
        Ok(OutcomeSum {
            priority: priority(&self.priority)?,
            team: self.team,
            figures: Figures {
                incidents: self.incidents,
                acknowledged: self.acknowledged,
                acknowledge_ms: self.acknowledge_ms,
                resolve_ms: self.resolve_ms,
                reopened: self.reopened,
                recurring: self.recurring,
                escalated: self.escalated,
                by_itself: self.by_itself,
                response_met: self.response_met,
                response_breached: self.response_breached,
                resolution_met: self.resolution_met,
                resolution_breached: self.resolution_breached,
                alerts: self.alerts,
                messages: self.messages,
            },
        })
    }
}

fn priority(word: &str) -> Result<Priority, StoreError> {
    Priority::from_word(word).ok_or_else(|| StoreError::corrupt("outcome_sum", "priority", word))
}

/// How many changes were last changed in a period, by state; and of how many of them a person says that they caused an
/// incident.
///
/// # Errors
/// The database cannot be read.
pub async fn changes(
    conn: Conn<'_>,
    period: Period,
) -> Result<Vec<(String, i64, i64)>, StoreError> {
    let mut select =
        Select::new("SELECT state, CAST(SUM(made) AS BIGINT), CAST(SUM(caused) AS BIGINT) FROM (");
    let (since, until) = (period.since.as_millis(), period.until.as_millis());
    select
        .sql("SELECT state, COUNT(*) AS made, 0 AS caused FROM record WHERE kind = 'change' AND state IN ")
        .sql("('planned', 'in_progress', 'successful', 'failed', 'cancelled') AND updated_at >= ")
        .number(since)
        .sql(" AND updated_at < ")
        .number(until)
        .sql(" GROUP BY state UNION ALL SELECT r.state, 0, COUNT(DISTINCT l.number) FROM record_incident l ")
        // To SQLite that says where to begin: few changes are confirmed.
        .sql("CROSS JOIN record r WHERE r.kind = l.kind AND r.number = l.number ")
        .sql("AND l.kind = 'change' AND l.role = 'confirmed' AND r.updated_at >= ")
        .number(since)
        .sql(" AND r.updated_at < ")
        .number(until)
        .sql(" GROUP BY r.state) counts GROUP BY state ORDER BY state");
    select.fetch(conn).await
}
