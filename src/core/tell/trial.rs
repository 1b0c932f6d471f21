//! Trying the routes: who would be told of an incident, one that is there or one that is made up.
//!
//! Must not change anything.

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::condition::{Facts, Seen, is_major};
use crate::core::flap;
use crate::core::ids::IncidentId;
use crate::core::incident::Incident;
use crate::core::mute;
use crate::core::rules::Rules;
use crate::core::severity::{Grade, Priority, Severity};
use crate::core::state::State;
use crate::core::tell::route::Routed;
use crate::core::time::Timestamp;

/// An incident that is made up.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its severity.
    pub severity: Severity,
    /// Its priority; by the severity when not given.
    pub priority: Option<Priority>,
    /// The labels of its alert.
    pub labels: Vec<(SmolStr, SmolStr)>,
    /// The source of its alert.
    pub source: SmolStr,
}

/// Who would be told of an incident if it were announced now; `None` when there is none of this number.
pub fn try_incident(
    state: &State,
    rules: &Rules,
    id: IncidentId,
    now: Timestamp,
) -> Option<Routed> {
    let incident = state.incident(id)?;
    let first = state.alerts_of(id).first().copied();
    let source = first
        .and_then(|alert| state.alert(alert))
        .map(|alert| alert.source);
    let source = source.map_or("", |source| state.source_name(source));
    let labels = state.practice().labels_of(id);
    let standing = state.practice().standings.get(id);
    let usual = || Grade::of_severity(incident.severity);
    let facts = |zone: &TimeZone| {
        let seen = Seen {
            incident,
            kind: "incident",
            grade: standing.map_or_else(usual, |it| it.grade),
            cause: state.cause(id),
            graph: state.graph(),
            first,
            source,
            labels,
            given: standing.and_then(|it| it.given.as_ref()),
            is_major: is_major(state, id),
            is_flapping: flap::is_flapping(state, id),
            suppressed_by: mute::words_of(state, id),
            now,
        };
        Some(seen.facts(zone))
    };
    Some(rules.tell.route(facts))
}

/// Who would be told of an incident that is made up.
pub fn try_made_up(state: &State, rules: &Rules, trial: &Trial, now: Timestamp) -> Routed {
    let made_up = IncidentId::new(1).map(|id| {
        let mut incident = Incident::open(id, trial.severity, now);
        (incident.firing, incident.total) = (1, 1);
        incident.priority = trial.priority.unwrap_or(incident.priority);
        incident
    });
    let facts = |zone: &TimeZone| -> Option<Facts> {
        let incident = made_up.as_ref()?;
        let seen = Seen {
            incident,
            kind: "incident",
            grade: Grade::of_severity(incident.severity),
            cause: None,
            graph: state.graph(),
            first: None,
            source: &trial.source,
            labels: &trial.labels,
            given: None,
            is_major: false,
            is_flapping: false,
            suppressed_by: Vec::new(),
            now,
        };
        Some(seen.facts(zone))
    };
    rules.tell.route(facts)
}
