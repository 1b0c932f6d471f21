//! Rows of the store as the queue holds them, and their new standings.
//!
//! Must not decide what becomes of a message.

use std::time::Duration;

use crate::core::tell::event::Event;
use crate::core::time::{Span, Timestamp};
use crate::store::StoreError;
use crate::store::outbox::work::{DueRow, Mark, Standing};

use super::plan::Skip;
use super::queue::{LaneKey, Row};

/// What a row says before its attempt.
pub(super) fn claim(row: &Row) -> Mark {
    Mark {
        id: row.id,
        standing: Standing::Sending,
        may_have_arrived: true,
        attempts: row.attempts,
        due_at: row.due_at,
        tried_at: row.tried_at,
        ended_at: None,
        status: None,
        reason: None,
        error: None,
    }
}

pub(super) fn skipped(row: &Row, skip: Skip, now: Timestamp) -> Mark {
    Mark {
        standing: Standing::Skipped,
        may_have_arrived: row.may_have_arrived,
        ended_at: Some(now),
        reason: Some(skip.word()),
        ..claim(row)
    }
}

/// A row of the store; `None` (loudly) for one of a later version.
pub(super) fn into_row(row: DueRow) -> Result<Option<(LaneKey, Row)>, StoreError> {
    let incident = row.incident()?;
    let Some(event) = Event::from_word(&row.event) else {
        log::error!(event = row.event.as_str(); "the outbox holds an event that this version does not know: {}", row.event);
        return Ok(None);
    };
    let key = LaneKey {
        incident,
        recipient: row.recipient,
    };
    let row = Row {
        id: row.id,
        event,
        note: row.note,
        urgency: row.urgency,
        created_at: Timestamp::from_millis(row.created_at),
        // Found under way: the daemon died between sending and hearing of it.
        may_have_arrived: row.may_have_arrived,
        attempts: row.attempts,
        due_at: Timestamp::from_millis(row.due_at),
        tried_at: row.tried_at.map(Timestamp::from_millis),
    };
    Ok(Some((key, row)))
}

pub(super) fn as_duration(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0))
}
