//! The outbox as people see it.

use super::select::Select;
use super::{Listed, Page, Position};
use crate::core::ids::IncidentId;
use crate::store::outbox::work::Standing;
use crate::store::rows::row;
use crate::store::{Conn, StoreError};

row! {
    /// A message to people.
    pub struct OutboxView {
        /// Its number.
        id: i64,
        /// What it is about.
        incident: Option<i64>,
        /// The target's name.
        target: String,
        /// The address of one person, or empty.
        recipient: String,
        /// What happened.
        event: String,
        /// A detail in words.
        note: Option<String>,
        /// When it was decided, in UTC milliseconds.
        created_at: i64,
        /// Where it stands.
        state: String,
        /// Whether it may have arrived although nothing says so.
        may_have_arrived: bool,
        /// How often it was tried.
        attempts: i64,
        /// When it is tried next.
        due_at: i64,
        /// When it was tried first.
        tried_at: Option<i64>,
        /// When its time in the queue ended.
        ended_at: Option<i64>,
        /// What the target answered, as a number.
        status: Option<i64>,
        /// Why it stands there, as a stable word.
        reason: Option<String>,
        /// What went wrong last.
        error: Option<String>,
    }
}

/// Which messages are wanted; an empty list means any.
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    /// In one of these standings.
    pub states: Vec<Standing>,
    /// To one of these targets.
    pub targets: Vec<String>,
    /// Of one of these events.
    pub events: Vec<String>,
    /// About one of these incidents.
    pub incidents: Vec<IncidentId>,
    /// With one of these numbers.
    pub ids: Vec<i64>,
}

/// Messages by number.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    filter: &OutboxFilter,
    page: Page,
) -> Result<Listed<OutboxView>, StoreError> {
    let mut select = Select::new(
        "SELECT id, incident, target, recipient, event, note, created_at, state, may_have_arrived, attempts, due_at, \
         tried_at, ended_at, status, reason, error FROM outbox WHERE TRUE",
    );
    let states: Vec<_> = filter.states.iter().map(|one| one.word()).collect();
    let incidents: Vec<i64> = filter.incidents.iter().map(|id| id.get()).collect();
    select
        .any_of(" AND state IN", &states, "")
        .any_of(" AND target IN", &filter.targets, "")
        .any_of(" AND event IN", &filter.events, "")
        .any_number(" AND incident IN", &incidents, "")
        .any_number(" AND id IN", &filter.ids, "")
        .page(page, "id", "id");
    Ok(Listed::of(
        select.fetch(conn).await?,
        page,
        |view: &OutboxView| Position {
            value: view.id,
            id: view.id,
        },
    ))
}

/// The words of every standing.
pub const STANDINGS: [&str; 5] = ["pending", "sending", "sent", "skipped", "dead"];

/// Reads a standing's word.
pub fn standing(word: &str) -> Option<Standing> {
    Standing::from_word(word)
}
