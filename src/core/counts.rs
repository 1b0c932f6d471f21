//! How many there are of what is open, kept up while changes are applied.
//!
//! Must not decide.

use std::collections::BTreeMap;

use crate::core::incident::{Incident, StateWord};
use crate::core::severity::{Priority, Severity};

/// How many of each there are, kept while changes are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Firing alerts by severity.
    pub firing: BTreeMap<Severity, i64>,
    /// Incidents that are not closed, by priority and state.
    pub incidents: BTreeMap<(Priority, StateWord), i64>,
}

impl Counts {
    /// Counts an incident, or no longer.
    pub(super) fn count_incident(&mut self, incident: &Incident, by: i64) {
        let word = incident.state.word();
        if word != StateWord::Closed {
            count(&mut self.incidents, (incident.priority, word), by);
        }
    }
}

/// Counts one of a kind; kinds of which there are none are not held.
pub(super) fn count<K: Ord>(counts: &mut BTreeMap<K, i64>, key: K, by: i64) {
    let entry = counts.entry(key);
    match entry {
        std::collections::btree_map::Entry::Occupied(mut held) => {
            *held.get_mut() = held.get().saturating_add(by);
            if *held.get() == 0 {
                held.remove();
            }
        }
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(by);
        }
    }
}
