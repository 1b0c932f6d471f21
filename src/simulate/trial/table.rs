//! What there is, by the names that tests use; they are those of the API where it has them.
//!
//! Must not decide anything.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::drive::Drive;
use crate::core::cmdb::ci::CiNumber;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::Incident;
use crate::core::mute::is_held;
use crate::core::records::{Kind, Record};
use crate::core::sla::ClockKind;
use crate::core::time::Timestamp;

/// Names and values.
pub type Facts = BTreeMap<&'static str, Value>;

/// A time as tests see it.
pub fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        Value::from(format!("{at:.3}"))
    })
}

fn ci(drive: &Drive, number: CiNumber) -> Value {
    let ci = drive.state().graph().ci(number);
    ci.map_or(Value::Null, |ci| Value::from(ci.id.as_str()))
}

/// An incident.
pub fn incident(drive: &Drive, id: IncidentId) -> Option<Facts> {
    let told = drive.told();
    let incident = told.incidents.get(&id)?;
    let cause = drive.state().cause(id);
    let root = cause.and_then(|cause| cause.root());
    let owner = incident.owner.as_deref();
    let members = told.members.get(&id);
    let first = members.and_then(|members| members.first());
    let summary = first.and_then(|first| told.summaries.get(first));
    let title = told.titles.get(&id).or(summary);
    let text = |text: Option<&smol_str::SmolStr>| {
        text.map_or(Value::Null, |text| Value::from(text.as_str()))
    };
    let services = cause.map(|cause| cause.services.as_slice());
    let services = services.unwrap_or_default().iter();
    let alerts: Vec<Value> = members
        .into_iter()
        .flatten()
        .map(|alert| Value::from(name(drive, *alert)))
        .collect();
    let state = drive.state().incident(id).unwrap_or(incident);
    let mut facts = Facts::from([
        ("number", Value::from(id.to_string())),
        ("kind", Value::from("incident")),
        ("state", Value::from(state.state.word().word())),
        ("priority", Value::from(incident.priority.word())),
        ("severity", Value::from(incident.severity.word())),
        ("title", text(title)),
        (
            "root",
            root.and_then(|root| root.ci)
                .map_or(Value::Null, |number| ci(drive, number)),
        ),
        (
            "services",
            services.map(|&number| ci(drive, number)).collect(),
        ),
        ("cis", json!(cause.map_or(0, |cause| cause.cis))),
        ("alerts", Value::Array(alerts)),
        ("firing", json!(incident.firing)),
        ("total", json!(incident.total)),
        ("team", text(owner.and_then(|owner| owner.team.as_ref()))),
        (
            "assignee",
            text(owner.and_then(|owner| owner.assignee.as_ref())),
        ),
        ("opened_at", time(Some(incident.opened_at))),
        ("announced", Value::from(incident.announced_at.is_some())),
        ("announced_at", time(incident.announced_at)),
        ("acknowledged_at", time(incident.acknowledged_at)),
        ("resolved_at", time(incident.resolved_at)),
        ("closed_at", time(incident.closed_at)),
        ("suppressed", Value::from(is_held(drive.state(), id))),
        ("reopen_count", json!(incident.reopen_count)),
    ]);
    facts.extend(clock_facts(drive, id));
    facts.extend(told_facts(drive, id));
    facts.extend(link_facts(drive, id, incident));
    Some(facts)
}

/// How its service levels stand.
fn clock_facts(drive: &Drive, id: IncidentId) -> Facts {
    let clocks = drive.state().practice().sla.get(id);
    let due = |kind| {
        let clock = clocks.and_then(|clocks| clocks.get(kind));
        time(clock.and_then(|clock| clock.due_at))
    };
    let clock = |kind| {
        let clock = clocks.and_then(|clocks| clocks.get(kind));
        let word = clock
            .and_then(|clock| clock.state())
            .map(|state| state.word());
        word.map_or(Value::Null, Value::from)
    };
    Facts::from([
        ("response", clock(ClockKind::Response)),
        ("response_due", due(ClockKind::Response)),
        ("resolution", clock(ClockKind::Resolution)),
        ("resolution_due", due(ClockKind::Resolution)),
    ])
}

/// What was said about it, and to whom.
fn told_facts(drive: &Drive, id: IncidentId) -> Facts {
    let told = drive.told();
    let reasons = told.reasons.get(&id).into_iter().flatten();
    let pages = told.pages.iter().filter(|page| page.incident == id);
    let targets = pages.clone().filter(|page| !page.target.is_empty());
    let mut targets: Vec<&str> = targets.map(|page| page.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    Facts::from([
        (
            "reasons",
            reasons.map(|reason| Value::from(reason.code())).collect(),
        ),
        ("pages", json!(pages.count())),
        ("told", targets.into_iter().map(Value::from).collect()),
    ])
}

/// What it has to do with other incidents and with changes.
fn link_facts(drive: &Drive, id: IncidentId, incident: &Incident) -> Facts {
    let links = drive.state().records().links(id);
    let changes: Vec<Value> = links
        .map(|(id, _)| id)
        .filter(|id| id.kind == Kind::Change)
        .map(|id| Value::from(id.to_string()))
        .collect();
    let number = |id: Option<IncidentId>| id.map_or(Value::Null, |id| Value::from(id.to_string()));
    Facts::from([
        ("merged_into", number(incident.merged_into)),
        ("previous", number(incident.previous)),
        ("changes", Value::Array(changes)),
    ])
}

/// What an alert is called.
pub fn name(drive: &Drive, alert: AlertId) -> String {
    let told = drive.told();
    let named = told.names.get(&alert).map(ToString::to_string);
    let key = || told.keys.get(&alert).map(|key| key.text().to_string());
    named.or_else(key).unwrap_or_default()
}

/// An alert.
pub fn alert(drive: &Drive, id: AlertId) -> Option<Facts> {
    let alert = drive.state().alert(id)?;
    let told = drive.told();
    let incident = alert.incident.map(|id| Value::from(id.to_string()));
    let silences = drive.state().silences();
    let key = told.keys.get(&id).map(|key| key.text().to_string());
    Some(Facts::from([
        ("name", Value::from(name(drive, id))),
        ("key", key.map_or(Value::Null, Value::from)),
        (
            "status",
            Value::from(if alert.is_firing() {
                "firing"
            } else {
                "resolved"
            }),
        ),
        ("severity", Value::from(alert.severity.word())),
        ("incident", incident.unwrap_or(Value::Null)),
        (
            "ci",
            alert.ci.map_or(Value::Null, |number| ci(drive, number)),
        ),
        ("count", json!(alert.count)),
        (
            "suppressed",
            Value::from(alert.is_muted_upstream || silences.is_silenced(id)),
        ),
    ]))
}

/// A record beside incidents.
pub fn record(record: &Record) -> Facts {
    Facts::from([
        ("number", Value::from(record.id().to_string())),
        ("kind", Value::from(record.id().kind.word())),
        ("state", Value::from(record.state())),
        ("title", Value::from(record.title())),
        (
            "cis",
            record
                .cis()
                .iter()
                .map(|ci| Value::from(ci.as_str()))
                .collect(),
        ),
    ])
}

/// Whether a value is as expected: texts as such or as a time after the begin, lists in any order.
pub fn is_as(expected: &Value, actual: &Value, as_time: &dyn Fn(&str) -> Option<Value>) -> bool {
    match (expected, actual) {
        (Value::String(text), Value::String(actual_text)) => {
            text == actual_text || as_time(text).as_ref() == Some(actual)
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len() && expected.iter().all(|one| actual.contains(one))
        }
        (Value::Number(_), Value::Array(actual)) => *expected == json!(actual.len()),
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Bool(flag), Value::String(_)) => *flag,
        (Value::Bool(flag), Value::Null) => !flag,
        // TOML has no null.
        (Value::String(text), Value::Null) => text.is_empty(),
        _ => expected == actual,
    }
}
