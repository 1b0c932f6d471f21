//! What keeps people from being told: silences, maintenance, what a source mutes itself, and a cause that is told.
//!
//! An incident is held while every alert of it that fires is suppressed. Held means that it is not announced, so nobody
//! is told and no ticket is made; it is recorded and shown all the same. When the last hold ends and something still
//! fires, it is announced once, with its true start. Who tells asks [`is_held`] before opening anything new; what was
//! announced gets its end told whatever holds. Must not end, change or hide a record.

mod access;
mod changes;
pub mod inhibit;
pub mod parts;
pub mod plan;
pub(super) mod scope;
mod tally;
pub mod window;

pub use self::access::Mutes;
pub use self::scope::{NAMES_MAX, Scope};
pub use self::tally::Tally;
pub(super) use self::tally::{View, place_of};

use std::collections::BTreeMap;

use smol_str::{SmolStr, format_smolstr};

use crate::core::ids::{AlertId, IncidentId, SilenceId};
use crate::core::incident::Incident;
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{Silence, all_match};
use crate::core::state::State;

/// Members that are looked at to say what holds an incident; of a crowd the first tell enough.
const LOOKED_AT_MAX: usize = 100;

/// Whether people are not to be told anything new of an incident now: all of its alerts that fire are suppressed, or
/// people know of another incident that explains it. The end of something announced is told all the same.
pub fn is_held(state: &State, incident: IncidentId) -> bool {
    let is_inhibited = || state.inhibitions().of(incident).is_some();
    let incident = state.incident(incident);
    incident.is_some_and(|it| is_all(state.tally().count(it.id), it) || is_inhibited())
}

/// One thing that keeps people from being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// The source mutes it on its side.
    Upstream,
    /// A silence, or an occurrence of a maintenance window.
    Silence(SilenceId),
    /// Another incident, on whose root cause it depends.
    Incident(IncidentId),
}

/// What holds an incident, each once; nothing when it is not held.
pub fn holds_of(state: &State, incident: IncidentId) -> Vec<Hold> {
    let inhibition = state.inhibitions().of(incident).map(|it| it.by);
    let inhibition = inhibition.filter(|_| is_held(state, incident));
    let held = state.incident(incident);
    if !held.is_some_and(|held| is_all(state.tally().count(incident), held)) {
        return inhibition.map(Hold::Incident).into_iter().collect();
    }
    let members = state.alerts_of(incident).iter().take(LOOKED_AT_MAX);
    let alerts = members.filter_map(|&id| state.alert(id));
    let mut holds: Vec<Hold> = inhibition.map(Hold::Incident).into_iter().collect();
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

/// The words under which it is shown what holds an incident; none when it is not held.
pub fn words_of(state: &State, incident: IncidentId) -> Vec<SmolStr> {
    let holds = holds_of(state, incident).into_iter();
    holds
        .filter_map(|hold| match hold {
            Hold::Upstream => Some(SmolStr::new_static("upstream")),
            Hold::Incident(id) => Some(format_smolstr!("incident:{id}")),
            Hold::Silence(id) => {
                let silence = state.silences().get(id);
                silence.map(|silence| silence.shown().into())
            }
        })
        .collect()
}

/// Which of these firing alerts a silence with these matchers and this scope would hide.
pub fn hidden(
    state: &State,
    matchers: &[Matcher],
    scope: &Scope,
    alerts: &[(AlertId, BTreeMap<String, String>)],
) -> Vec<AlertId> {
    let graph = state.graph();
    let cover = scope.cover(graph);
    let is_hidden = |(id, labels): &&(AlertId, BTreeMap<String, String>)| {
        let label = |name: &str| labels.get(name).map(String::as_str);
        let ci = state.alert(*id).and_then(|alert| alert.ci);
        all_match(matchers, label) && cover.is_match(graph, ci, &label)
    };
    let hidden = alerts.iter().filter(is_hidden);
    hidden.map(|(id, _)| *id).collect()
}

/// What people call a silence or the window that it is an occurrence of.
pub(super) fn name_of(state: &State, silence: &Silence) -> String {
    match silence.window {
        Some(id) => match state.windows().get(id) {
            Some(window) => format!("maintenance window {id} ({})", window.wanted.name),
            None => format!("maintenance window {id}"),
        },
        None => format!("silence {} of {}", silence.uuid, silence.created_by),
    }
}

/// Says what an incident that is announced late was held by.
pub(super) fn was_held_by(state: &State, id: IncidentId, released: &[SilenceId]) -> String {
    let silences = released.iter().filter_map(|id| state.silences().get(*id));
    let mut names: Vec<String> = silences.map(|silence| name_of(state, silence)).collect();
    names.extend(state.inhibitions().of(id).map(|it| it.by.to_string()));
    if names.is_empty() {
        "it was held until now".to_owned()
    } else {
        format!("held by {} until now", names.join(", "))
    }
}

fn is_all(suppressed: u32, incident: &Incident) -> bool {
    incident.state.is_open() && incident.firing > 0 && suppressed >= incident.firing
}
