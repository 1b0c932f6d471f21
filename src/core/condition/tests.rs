//! What conditions see of an incident, and what is refused.

use super::*;
use crate::core::cmdb::graph::{Difference, Graph};
use crate::core::incident::Owner;
use crate::core::time::Span;

fn ci(number: u32, id: &str, class: &str, criticality: Option<u8>) -> Ci {
    Ci {
        number: CiNumber::new(number).unwrap(),
        id: id.into(),
        name: id.into(),
        class: class.into(),
        site: Some("ber".into()),
        rack: None,
        environment: None,
        criticality,
        owner: None,
        is_retired: false,
        identifiers: Vec::new(),
    }
}

fn graph() -> Graph {
    let mut graph = Graph::default();
    graph.apply(&Difference {
        version: 1,
        put: vec![
            ci(1, "sw1", "switch", None).into(),
            ci(2, "shop", "service", Some(3)).into(),
            ci(3, "checkout", "service", Some(1)).into(),
        ],
        ..Difference::default()
    });
    graph
}

fn compiled(source: &str) -> Condition {
    Condition::compile(Section::Sla, "sla[0]", source).unwrap()
}

/// Whether the condition holds of a P2 whose root is a switch and that reaches two services.
fn holds(condition: &Condition) -> Result<bool, Fault> {
    let now = Timestamp::from_millis(1_796_037_000_000);
    let mut incident = Incident::open(IncidentId::new(42).unwrap(), Severity::Critical, now);
    incident.firing = 2;
    incident.total = 3;
    incident.owner = Some(Arc::new(Owner {
        assignee: None,
        team: Some("network".into()),
    }));
    let cause = Cause {
        roots: vec![RootCandidate {
            ci: CiNumber::new(1),
            alert: AlertId::new(7),
            score: 9_400,
            is_inferred: false,
        }],
        services: vec![CiNumber::new(2).unwrap(), CiNumber::new(3).unwrap()],
        cis: 43,
        ..Cause::default()
    };
    let seen = Seen {
        incident: &incident,
        kind: "incident",
        grade: Grade::of_severity(incident.severity),
        cause: Some(&cause),
        graph: &graph(),
        first: AlertId::new(7),
        source: "am",
        labels: &[("env".into(), "prod".into())],
        given: None,
        is_major: false,
        is_flapping: false,
        suppressed_by: Vec::new(),
        now: now.plus(Span::from_secs(90)),
    };
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    condition.holds(&seen.facts(&zone))
}

#[test]
fn incident_has_the_shape_of_the_api() {
    for source in [
        "incident.priority <= 'P2' and incident.priority == 'P2' and priority == 'P2'",
        "incident.number == 'INC-42' and incident.state == 'new' and incident.kind == 'incident'",
        "incident.root_cause.ci.class in ['switch', 'router'] and incident.priority <= 'P2'",
        "incident.root_cause.ci.id == 'sw1' and incident.root_cause.score > 0.9",
        "ci.class == 'switch' and ci.site == 'ber' and not incident.root_cause.inferred",
        "'checkout' in incident.services and 'checkout' in services and service == 'checkout'",
        "tier == 1 and services | length == 2 and incident.cis == 43",
        "incident.alerts.firing == 2 and incident.alerts.resolved == 1 and incident.alerts.total == 3",
        "incident.team == 'network' and team == 'network' and not incident.assignee",
        "incident.severity == 'critical' and severity == 'critical' and incident.impact == 2",
        "labels.env == 'prod' and labels.region is undefined and source == 'am'",
        "now.weekday == 'mon' and now.time == '12:11' and now.hour == 12 and not now.weekend",
        "incident.opened_at == '2026-11-30T11:10:00.000Z' and incident.age_s == 90",
        "incident.acknowledged_at is none and not incident.suppressed_by and not incident.flapping",
        "not incident.no.such.field and incident.resolved_at.x is undefined",
    ] {
        assert_eq!(holds(&compiled(source)), Ok(true), "{source}");
    }
    assert_eq!(holds(&compiled("incident.priority < 'P2'")), Ok(false));
}

#[test]
fn what_cannot_be_evaluated_is_a_fault_of_its_rule() {
    let fault = holds(&compiled("incident.priority | int > 2")).unwrap_err();
    assert_eq!(
        (fault.section, fault.rule.as_str()),
        (Section::Sla, "sla[0]")
    );
    assert!(!fault.message.is_empty());
}

#[test]
fn what_does_not_exist_is_refused_at_load() {
    for (source, said) in [
        ("incdent.priority", "incdent"),
        ("incident.priority | lowr", "lowr"),
        ("incident.priority is vital", "vital"),
        ("incident.priority <=", "Jinja"),
    ] {
        let error = Condition::compile(Section::Route, "route[0]", source).unwrap_err();
        assert!(error.contains(said), "{source}: {error}");
    }
    let condition = Condition::compile(Section::Route, "route[0]", "labels.a == 'b'").unwrap();
    assert!(condition.reads("labels") && !condition.reads("incident"));
}
