//! The timeline: what was decided about an incident or an alert, in order, with the input that led to it.

use super::select::Select;
use super::{Listed, Page, Position};
use crate::core::ids::{AlertId, IncidentId};
use crate::core::reason::Reason;
use crate::core::time::Timestamp;
use crate::store::rows::{alert_id, incident_id, row};
use crate::store::{Conn, StoreError, on};

/// What a timeline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An incident and what happened to its alerts while they belonged to it.
    Incident(IncidentId),
    /// An alert.
    Alert(AlertId),
}

/// One line of a timeline.
#[derive(Clone, Debug)]
pub struct TimelineView {
    /// Its number, in order of happening.
    pub id: i64,
    /// The input that led to it.
    pub seq: i64,
    /// When it was decided.
    pub at: Timestamp,
    /// The incident, if any.
    pub incident: Option<IncidentId>,
    /// The alert, if any.
    pub alert: Option<AlertId>,
    /// Why.
    pub reason: Reason,
    /// The incident's state afterwards.
    pub state: Option<String>,
    /// Who, if it was a person or program.
    pub actor: Option<String>,
    /// What they said, or a detail in words.
    pub note: Option<String>,
    /// The input that led to it, unless it has been deleted since.
    pub input: Option<InputView>,
}

/// What is known of an input without its body.
#[derive(Clone, Debug)]
pub struct InputView {
    /// When it was accepted.
    pub at: Timestamp,
    /// What kind it is: `message`, `poll`, `command`, `deadline` or `started`.
    pub kind: String,
    /// The source, for messages and polls.
    pub source: Option<String>,
}

row! {
    struct ViewRow {
        id: i64,
        seq: i64,
        at: i64,
        incident: Option<i64>,
        alert: Option<i64>,
        reason: String,
        state: Option<String>,
        actor: Option<String>,
        note: Option<String>,
        input_at: Option<i64>,
        input_kind: Option<String>,
        input_source: Option<String>,
    }
}

/// The timeline of an incident or alert.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    subject: Subject,
    page: Page,
) -> Result<Listed<TimelineView>, StoreError> {
    let mut select = Select::new(
        "SELECT e.id, e.seq, e.at, e.incident, e.alert, e.reason, e.state, e.actor, e.note, i.at, i.kind, i.source \
         FROM timeline e LEFT JOIN input i ON i.partition = e.partition AND i.seq = e.seq WHERE ",
    );
    match subject {
        Subject::Incident(id) => select.sql("e.incident = ").number(id.get()),
        Subject::Alert(id) => select.sql("e.alert = ").number(id.get()),
    };
    select.page(page, "e.id", "e.id");
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    let views: Result<Vec<_>, _> = rows.into_iter().map(ViewRow::into_view).collect();
    Ok(Listed::of(views?, page, |view| Position {
        value: view.id,
        id: view.id,
    }))
}

/// The number of the newest entry; 0 when there is none.
///
/// # Errors
/// The database cannot be read.
pub async fn find_newest(conn: Conn<'_>) -> Result<i64, StoreError> {
    let (newest,): (Option<i64>,) =
        on!(conn, c => sqlx::query_as("SELECT MAX(id) FROM timeline").fetch_one(c).await?);
    Ok(newest.unwrap_or(0))
}

/// Entries about incidents that are newer than one, oldest first: their numbers and the incidents.
///
/// # Errors
/// The database cannot be read.
pub async fn list_after(
    conn: Conn<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, IncidentId)>, StoreError> {
    let rows: Vec<(i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT id, incident FROM timeline WHERE id > $1 AND incident IS NOT NULL ORDER BY id LIMIT $2"
    ).bind(after).bind(limit).fetch_all(c).await?);
    rows.into_iter()
        .map(|(entry, incident)| Ok((entry, incident_id(incident)?)))
        .collect()
}

impl ViewRow {
    fn into_view(self) -> Result<TimelineView, StoreError> {
        let reason = Reason::from_code(&self.reason)
            .ok_or_else(|| StoreError::corrupt("timeline", "reason", &self.reason))?;
        let source = self.input_source;
        let input = self
            .input_at
            .zip(self.input_kind)
            .map(|(at, kind)| InputView {
                at: Timestamp::from_millis(at),
                kind,
                source,
            });
        Ok(TimelineView {
            id: self.id,
            seq: self.seq,
            at: Timestamp::from_millis(self.at),
            incident: self.incident.map(incident_id).transpose()?,
            alert: self.alert.map(alert_id).transpose()?,
            reason,
            state: self.state,
            actor: self.actor,
            note: self.note,
            input,
        })
    }
}
