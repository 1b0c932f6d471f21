//! Trying the routes: who would be told of an incident, one that is there or one that is made up.
//!
//! Must not change anything.

use std::sync::Arc;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::condition::{Facts, Seen, Value, is_major, item, object};
use crate::core::escalate::{Foreseen, foresee};
use crate::core::flap;
use crate::core::ids::IncidentId;
use crate::core::incident::{Incident, Owner};
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
    /// The CI that it is about, by its id in the CMDB.
    pub ci: Option<SmolStr>,
    /// What conditions see besides, by path: `incident.title`.
    pub given: Vec<(SmolStr, Value)>,
}

/// Who would be told.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What the routes came to.
    pub routed: Routed,
    /// The ladders that would be climbed, with whom each step would tell now.
    pub ladders: Vec<Foreseen>,
}

/// Who would be told of an incident if it were announced now; `None` when there is none of this number.
pub fn try_incident(state: &State, rules: &Rules, id: IncidentId, now: Timestamp) -> Option<Tried> {
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
    let routed = rules.tell.route(facts);
    Some(tried(state, rules, incident, routed, now))
}

fn tried(
    state: &State,
    rules: &Rules,
    incident: &Incident,
    routed: Routed,
    now: Timestamp,
) -> Tried {
    let mut incident = incident.clone();
    let owner = incident.owner.as_deref().cloned().unwrap_or_default();
    let team = owner.team.clone().or_else(|| routed.team.clone());
    incident.owner = Some(Arc::new(Owner { team, ..owner }));
    let has_targets = !routed.targets.is_empty();
    let ladders = rules.ladders_for(&incident, routed.escalations.clone(), has_targets);
    let ladders = ladders.into_iter();
    let ladders = ladders.map(|ladder| foresee(rules, state, &incident, &ladder, now));
    Tried {
        ladders: ladders.collect(),
        routed,
    }
}

/// Who would be told of an incident that is made up.
pub fn try_made_up(state: &State, rules: &Rules, trial: &Trial, now: Timestamp) -> Option<Tried> {
    let mut incident = Incident::open(IncidentId::new(1)?, trial.severity, now);
    (incident.firing, incident.total) = (1, 1);
    incident.priority = trial.priority.unwrap_or(incident.priority);
    let graph = state.graph();
    let ci = trial.ci.as_ref().map(|id| {
        let known = graph.find(id).and_then(|number| graph.ci(number));
        let unknown = || {
            let id = || Value::from(id.as_str());
            object([("id", id()), ("name", id())])
        };
        known.map_or_else(unknown, item)
    });
    let facts = |zone: &TimeZone| -> Option<Facts> {
        let seen = Seen {
            incident: &incident,
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
        let mut facts = seen.facts(zone);
        if let Some(ci) = &ci {
            facts = facts.with("ci", ci).with("incident.root_cause.ci", ci);
        }
        for (path, value) in &trial.given {
            facts = facts.with(path, value);
        }
        Some(facts)
    };
    let routed = rules.tell.route(facts);
    Some(tried(state, rules, &incident, routed, now))
}
