//! The audit as readers see it.

use super::select::Select;
use super::{Listed, Page, Position};
use crate::store::audit::{AUDIT_COLUMNS, AuditRow};
use crate::store::{Conn, StoreError};

/// Which rows are wanted; an empty list means any.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of one of these people or programs.
    pub actors: Vec<String>,
    /// Of one of these actions.
    pub actions: Vec<String>,
    /// About one of these records.
    pub subjects: Vec<String>,
    /// No earlier than this, in milliseconds.
    pub since: Option<i64>,
}

/// Rows of the audit by number.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    filter: &AuditFilter,
    page: Page,
) -> Result<Listed<AuditRow>, StoreError> {
    let mut select = Select::new("SELECT ");
    select
        .sql(AUDIT_COLUMNS)
        .sql(" FROM audit a WHERE a.partition = 0")
        .any_of(" AND a.actor IN", &filter.actors, "")
        .any_of(" AND a.action IN", &filter.actions, "")
        .any_of(" AND a.subject IN", &filter.subjects, "");
    if let Some(since) = filter.since {
        select.sql(" AND a.at >= ").number(since);
    }
    select.page(page, "a.id", "a.id");
    let rows = select.fetch(conn).await?;
    Ok(Listed::of(rows, page, |row: &AuditRow| Position {
        value: row.id,
        id: row.id,
    }))
}
