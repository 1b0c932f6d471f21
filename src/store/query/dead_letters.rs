//! The list of dead letters without their bodies, which may be large; one with its body is
//! [`crate::store::dead_letters::find`].

use super::select::Select;
use super::{Listed, Page, Position};
use crate::store::rows::row;
use crate::store::{Conn, StoreError};

row! {
    /// A dead letter without its body.
    pub struct DeadLetterHead {
        /// Its number.
        id: i64,
        /// When it was put aside, in UTC milliseconds.
        at: i64,
        /// The source it came to.
        source: String,
        /// The kind of trouble.
        reason: String,
        /// What is wrong, and where.
        detail: String,
        /// The declared type of the body.
        content_type: Option<String>,
        /// How long the body was.
        body_bytes: i64,
    }
}

/// Dead letters of any or one of these sources and reasons.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    sources: &[String],
    reasons: &[String],
    page: Page,
) -> Result<Listed<DeadLetterHead>, StoreError> {
    let mut select = Select::new(
        "SELECT id, at, source, reason, detail, content_type, body_bytes FROM dead_letter WHERE TRUE",
    );
    select
        .any_of(" AND source IN", sources, "")
        .any_of(" AND reason IN", reasons, "")
        .page(page, "id", "id");
    Ok(Listed::of(
        select.fetch(conn).await?,
        page,
        |head: &DeadLetterHead| Position {
            value: head.id,
            id: head.id,
        },
    ))
}
