//! What keeps people from being told: silences, maintenance, what a source mutes itself, and a cause that is told.
//!
//! An incident is held while every alert of it that fires is suppressed. Held means that it is not announced, so nobody
//! is told and no ticket is made; it is recorded and shown all the same. When the last hold ends and something still
//! fires, it is announced once, with its true start. Who tells asks [`is_held`] before opening anything new; what was
//! announced gets its end told whatever holds. Must not end, change or hide a record.

mod tally;

pub use self::tally::Tally;
pub(super) use self::tally::{View, place_of};

use crate::core::ids::{IncidentId, SilenceId};
use crate::core::incident::Incident;
use crate::core::state::State;

/// Members that are looked at to say what holds an incident; of a crowd the first tell enough.
const LOOKED_AT_MAX: usize = 100;

/// Whether people are not to be told anything new of an incident now: all of its alerts that fire are suppressed.
/// The end of something announced is told all the same.
pub fn is_held(state: &State, incident: IncidentId) -> bool {
    let incident = state.incident(incident);
    incident.is_some_and(|incident| is_all(state.tally().count(incident.id), incident))
}

/// One thing that keeps people from being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// The source mutes it on its side.
    Upstream,
    /// A silence, or an occurrence of a maintenance window.
    Silence(SilenceId),
}

/// What holds an incident, each once; nothing when it is not held.
pub fn holds_of(state: &State, incident: IncidentId) -> Vec<Hold> {
    if !is_held(state, incident) {
        return Vec::new();
    }
    let members = state.alerts_of(incident).iter().take(LOOKED_AT_MAX);
    let alerts = members.filter_map(|&id| state.alert(id));
    let mut holds = Vec::new();
    for alert in alerts.filter(|alert| alert.is_firing() && alert.incident == Some(incident)) {
        let silences = state.silences().of(alert.id);
        let silences = silences.map(|silence| Hold::Silence(silence.id));
        let upstream = alert.is_muted_upstream.then_some(Hold::Upstream);
        holds.extend(upstream.into_iter().chain(silences));
    }
    holds.sort_unstable();
    holds.dedup();
    holds
}

/// Says what an incident that is announced late was held by.
pub(super) fn was_held_by(state: &State, released: &[SilenceId]) -> String {
    let silences = released.iter().filter_map(|id| state.silences().get(*id));
    let names: Vec<String> = silences.map(|silence| silence.name()).collect();
    if names.is_empty() {
        "it was held until now".to_owned()
    } else {
        format!("held by {} until now", names.join(", "))
    }
}

fn is_all(suppressed: u32, incident: &Incident) -> bool {
    incident.state.is_open() && incident.firing > 0 && suppressed >= incident.firing
}
