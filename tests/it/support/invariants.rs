//! What holds after every step, whatever happened. Must not depend on how the state keeps its indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;
use watchbell::core::alert::{Alert, AlertStatus, Late};
use watchbell::core::ids::IncidentId;
use watchbell::core::incident::{Incident, StateWord};
use watchbell::core::records::{Kind, Record};
use watchbell::core::state::{Counts, State};
use watchbell::core::time::Timestamp;

use crate::support::ledger::Ledger;

/// Checks everything; `now` is the time of the last input.
pub(crate) fn check(state: &State, ledger: &Ledger, now: Timestamp) {
    for alert in state.alerts() {
        alert_is_sound(state, alert);
    }
    let mut own: BTreeMap<IncidentId, Vec<&Alert>> = BTreeMap::new();
    for alert in state.alerts() {
        if let Some(id) = alert.incident {
            own.entry(id).or_default().push(alert);
        }
    }
    for incident in state.incidents() {
        let own = own.get(&incident.id).map_or(&[][..], Vec::as_slice);
        incident_is_sound(state, ledger, incident, own);
    }
    at_most_one_open_incident_per_identity(state, ledger);
    counts_equal_a_recount(state);
    nothing_due_is_missed(state);
    for silence in state.silences().iter() {
        for id in state.silences().alerts_of(silence.id) {
            assert!(
                state.alert(id).is_some_and(Alert::is_firing),
                "only what fires is silenced: {id}"
            );
        }
    }
    assert!(
        state.alerts().all(|alert| alert.last_seen_at <= now),
        "nothing was seen in the future"
    );
    assert!(
        ledger.load() == *state,
        "a restart would load what memory holds"
    );
}

fn alert_is_sound(state: &State, alert: &Alert) {
    let found = state.alert_by_key(alert.key).map(|found| found.id);
    assert_eq!(found, Some(alert.id), "the key leads to the alert");
    assert!(alert.first_seen_at <= alert.last_seen_at);
    assert!(
        alert.count >= 1 && alert.count_before <= alert.count,
        "counters only grow: {alert:?}"
    );
    match alert.status {
        AlertStatus::Firing => {
            assert_eq!((alert.ends_at, alert.late), (None, Late::None), "{alert:?}");
            let incident = alert.incident.and_then(|id| state.incident(id));
            let is_of = |record: &Arc<Record>| {
                let request = record.as_request();
                request.is_some_and(|request| request.alert == Some(alert.id))
            };
            let is_request = state.records().of_kind(Kind::Request).any(is_of);
            assert!(
                incident.is_some_and(|incident| incident.state.is_open()) || is_request,
                "a firing alert has an open incident or is a request: {alert:?}"
            );
        }
        AlertStatus::Ended(_) => {
            assert!(
                alert.ends_at.is_some_and(|end| end >= alert.starts_at),
                "no negative duration: {alert:?}"
            );
            assert!(!alert.is_muted_upstream, "what is over is not muted");
        }
    }
}

fn incident_is_sound(state: &State, ledger: &Ledger, incident: &Incident, own: &[&Alert]) {
    let id = incident.id;
    assert_eq!(
        usize::try_from(incident.firing).unwrap(),
        own.iter().filter(|alert| alert.is_firing()).count(),
        "firing equals the truth: {incident:?}"
    );
    let members = state.alerts_of(id);
    assert_eq!(usize::try_from(incident.total).unwrap(), members.len());
    assert!(
        own.iter().all(|alert| members.contains(&alert.id)),
        "who belongs is listed"
    );
    if incident.firing > 0 {
        let is_nearly_over = incident.firing * 20 <= incident.total;
        assert!(
            incident.state.is_open() && (incident.recovers_at.is_none() || is_nearly_over),
            "what fires is open: {incident:?}"
        );
    } else if !incident.state.is_open() {
        assert_eq!(incident.recovers_at, None, "what is over does not recover");
    } else {
        assert!(
            incident.recovers_at.is_some() || ledger.reopened_by_person.contains(&id),
            "every open gets its close: {incident:?}"
        );
    }
    let times = (
        incident.acknowledged_at.is_some(),
        incident.resolved_at.is_some(),
        incident.closed_at.is_some(),
    );
    match incident.state.word() {
        StateWord::New => assert_eq!(times, (false, false, false), "{incident:?}"),
        StateWord::Acknowledged | StateWord::InProgress | StateWord::OnHold => {
            assert_eq!(times, (true, false, false), "{incident:?}");
        }
        StateWord::Resolved => assert_eq!((times.1, times.2), (true, false), "{incident:?}"),
        StateWord::Closed => assert_eq!((times.1, times.2), (true, true), "{incident:?}"),
    }
}

fn at_most_one_open_incident_per_identity(state: &State, ledger: &Ledger) {
    let mut open: BTreeMap<&SmolStr, IncidentId> = BTreeMap::new();
    for incident in state.incidents().filter(|it| it.state.is_open()) {
        for alert in state.alerts_of(incident.id) {
            let name = &ledger.names[alert];
            if let Some(other) = open.insert(name, incident.id) {
                panic!("{name} has two open incidents: {other} and {}", incident.id);
            }
        }
    }
}

fn counts_equal_a_recount(state: &State) {
    let mut counts = Counts::default();
    for alert in state.alerts().filter(|alert| alert.is_firing()) {
        *counts.firing.entry(alert.severity).or_default() += 1;
    }
    for incident in state.incidents() {
        let word = incident.state.word();
        if word != StateWord::Closed {
            let place = counts.incidents.entry((incident.priority, word));
            *place.or_default() += 1;
        }
    }
    assert_eq!(*state.counts(), counts, "counts equal a recount");
}

fn nothing_due_is_missed(state: &State) {
    let alerts = state.alerts();
    let due = alerts.map(|alert| alert.due_at(state.started_at()));
    let due = due.chain(state.incidents().filter_map(Incident::due_at));
    let due = due.chain(state.silences().iter().map(|silence| silence.due_at()));
    let next = state.next_deadline().map(|(at, _)| at);
    assert!(
        due.min().is_none_or(|due| next.is_some_and(|at| at <= due)),
        "the next deadline is not after what is due first"
    );
    let due = state.due(Timestamp::MAX, usize::MAX);
    let numbers = state.alerts().map(|alert| alert.id.get() / 512);
    let pages = numbers.collect::<BTreeSet<_>>().len();
    let numbers = state.incidents().map(|incident| incident.id.get() / 512);
    let pages = pages + numbers.collect::<BTreeSet<_>>().len();
    assert!(due.pages <= pages, "at most one reminder per page");
    assert_eq!(due.alerts.len(), state.alert_count(), "each is found once");
}
