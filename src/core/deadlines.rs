//! When which page of records is to be looked through. Must not look itself.

use std::collections::BTreeSet;

use crate::core::ids::{AlertId, IncidentId};
use crate::core::time::Timestamp;

/// The pages to look through, earliest first; each at most once.
pub(super) type Deadlines = BTreeSet<(Timestamp, DeadlineKey)>;

/// Which page of records is to be looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineKey {
    /// Alerts: one expires, its parked firing is discarded, or it is forgotten.
    Alerts(i64),
    /// Incidents: one recovers, closes, or its acknowledgement or hold ends.
    Incidents(i64),
    /// Silences: one begins or ends, or an occurrence of a maintenance window is planned; an alert has been calm.
    Silences,
    /// A lower priority holds, or a service level clock is warned of or missed.
    Practice,
    /// Heartbeats: one is missing. They are few, so they are looked through, not kept in order of time.
    Heartbeats,
    /// Conditions: one is looked at again.
    Conditions,
    /// Records: one begins, is late, or is no longer held.
    Records,
}

/// What is due, in order of number within a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// How many pages were looked through; for [`crate::core::decision::Change::DeadlinesTaken`].
    pub pages: usize,
    /// Alerts.
    pub alerts: Vec<AlertId>,
    /// Incidents.
    pub incidents: Vec<IncidentId>,
}

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
