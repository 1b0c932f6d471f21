//! What is due: which page of records, or which part of the state, is to be looked at.
//!
//! Must not know when.

use crate::core::ids::{AlertId, IncidentId};

/// Which page of records is to be looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineKey {
    /// Alerts: one expires, its parked firing is discarded, or it is forgotten.
    Alerts(i64),
    /// Incidents: one recovers, closes, or its acknowledgement or hold ends.
    Incidents(i64),
    /// Silences: one begins or ends.
    Silences,
    /// A lower priority holds, or a service level clock is warned of or missed.
    Practice,
    /// Heartbeats: one is missing. They are few, so they are looked through, not kept in order of time.
    Heartbeats,
    /// Conditions: one is looked at again.
    Conditions,
    /// Ladders: a step is due.
    Escalations,
    /// Records: one begins, is late, or is no longer held.
    Records,
}

/// What is due, in order of number within a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// How many pages were looked through; for `Change::DeadlinesTaken`.
    pub pages: usize,
    /// Alerts.
    pub alerts: Vec<AlertId>,
    /// Incidents.
    pub incidents: Vec<IncidentId>,
}
