//! The reminders of pages of records, in order of time. Must not look at a record.

use std::collections::BTreeSet;

use crate::core::due::DeadlineKey;
use crate::core::time::Timestamp;

/// The pages to look through, earliest first; each at most once.
pub(super) type Deadlines = BTreeSet<(Timestamp, DeadlineKey)>;

/// Moves a page's reminder earlier if it has to be.
pub(super) fn bring_forward(
    deadlines: &mut Deadlines,
    reminder: &mut Option<Timestamp>,
    (due, key): (Timestamp, DeadlineKey),
) {
    if let Some(before) = *reminder {
        if before <= due {
            return;
        }
        deadlines.remove(&(before, key));
    }
    *reminder = Some(due);
    deadlines.insert((due, key));
}
