//! Binding by table: what labels say, and the CI that they mean.

use super::*;
use crate::core::cmdb::ci::{Identifier, IdentifierKind};
use crate::core::cmdb::reconcile::first_difference;
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};

fn ci(id: &str, class: &str, identifiers: &[(IdentifierKind, &str)]) -> CiRecord {
    CiRecord {
        id: id.into(),
        class: class.into(),
        name: id.into(),
        identifiers: identifiers
            .iter()
            .map(|(kind, text)| Identifier {
                kind: *kind,
                text: (*text).into(),
            })
            .collect(),
        ..CiRecord::default()
    }
}

fn graph() -> Graph {
    use IdentifierKind::{Alias, Fqdn, Ip, Mac};
    let mut cis = vec![
        ci(
            "vm07",
            "vm",
            &[(Ip, "10.0.0.7"), (Mac, "AA:BB:CC:00:11:22")],
        ),
        ci("web", "host", &[(Fqdn, "web.north.example")]),
        ci("db1.corp.example", "host", &[]),
        ci("shop/checkout", "deployment", &[]),
        ci("i-0abc", "vm", &[]),
        ci("sw1", "switch", &[(Ip, "10.0.0.1")]),
        ci("sw1:eth0", "interface", &[(Ip, "10.0.0.1")]),
        ci("pay", "service", &[]),
        ci("pay-app", "application", &[(Alias, "pay")]),
        ci("twin-a", "vm", &[(Alias, "twin")]),
        ci("twin-b", "vm", &[(Alias, "twin")]),
        ci("old", "vm", &[(Ip, "10.0.0.9")]),
        ci("meter-7", "meter", &[]),
    ];
    cis[9].site = Some("north".into());
    cis[10].site = Some("south".into());
    cis[11].is_retired = true;
    let mut graph = Graph::default();
    graph.apply(&first_difference(&Picture {
        cis,
        relations: vec![RelationRecord {
            from: "sw1:eth0".into(),
            to: "sw1".into(),
            kind: "member_of".into(),
            ..RelationRecord::default()
        }],
        problems: Vec::new(),
    }));
    graph
}

/// `bound` id, or the outcome with the reason.
fn look(labels: &[(&str, &str)], hint: Option<&str>, rules: &[BindRule]) -> String {
    let graph = graph();
    let labels: Vec<(SmolStr, SmolStr)> = labels
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let subject = Subject {
        source: "plant",
        labels: &labels,
        annotations: &[],
        hint,
        rules,
    };
    let binding = bind(&graph, &subject);
    let (traced, steps) = bind_traced(&graph, &subject);
    assert_eq!(traced, binding, "tracing changes nothing");
    assert!(!steps.is_empty());
    match binding.ci.and_then(|ci| graph.ci(ci)) {
        Some(ci) => ci.id.to_string(),
        None => format!("{}: {}", binding.outcome.word(), binding.reason),
    }
}

#[test]
fn every_spelling_finds_its_ci() {
    for (name, value, id) in [
        ("host", "VM07.CORP.EXAMPLE", "vm07"),
        ("Host", "vm07", "vm07"),
        ("instance", "10.0.0.7:9100", "vm07"),
        ("mac", "aabb.cc00.1122", "vm07"),
        (
            "instance",
            "https://vm07.corp.example:8443/login?x=1",
            "vm07",
        ),
        ("hostname", "DB1", "db1.corp.example"),
        ("host", "web.north.example.", "web"),
        (
            "resource_id",
            "arn:aws:ec2:eu-1:42:instance/i-0abc",
            "i-0abc",
        ),
        ("pod", "pay-app-5d8f7c9b4-x2x9z", "pay-app"),
        ("ci", "sw1", "sw1"),
        ("service", "pay", "pay"),
        ("app", "pay", "pay-app"),
        ("ip", "10.0.0.1", "sw1:eth0"),
    ] {
        assert_eq!(look(&[(name, value)], None, &[]), id, "{name} = {value}");
    }
}

#[test]
fn the_most_specific_label_wins_and_the_hint_comes_first() {
    let both = [("host", "vm07"), ("service", "pay")];
    assert_eq!(look(&both, None, &[]), "vm07");
    assert_eq!(look(&both, Some("sw1"), &[]), "sw1");
    assert_eq!(
        look(&[("host", "unknown"), ("service", "pay")], None, &[]),
        "pay"
    );
    let interface = [("ifname", "eth0"), ("instance", "sw1")];
    assert_eq!(look(&interface, None, &[]), "sw1:eth0");
    let pod = [("namespace", "shop"), ("pod", "checkout-5d8f7c9b4-x2x9z")];
    assert_eq!(look(&pod, None, &[]), "shop/checkout");
}

#[test]
fn what_is_not_sure_is_not_bound() {
    let twin = look(&[("host", "twin")], None, &[]);
    assert_eq!(
        twin,
        "ambiguous: host = \"twin\" fits several CIs: twin-a, twin-b."
    );
    assert_eq!(
        look(&[("host", "twin"), ("site", "South")], None, &[]),
        "twin-b"
    );
    let other = look(&[("host", "twin"), ("service", "pay")], None, &[]);
    assert!(
        other.starts_with("ambiguous"),
        "a service is no answer to which twin: {other}"
    );
    let retired = look(&[("ip", "10.0.0.9")], None, &[]);
    assert_eq!(
        retired,
        "unbound: No CI fits: only old does, which is retired."
    );
    let elsewhere = look(&[("host", "web.south.example")], None, &[]);
    assert!(
        elsewhere.starts_with("unbound"),
        "another domain is another host: {elsewhere}"
    );
    let nothing = look(&[("alertname", "vm07"), ("job", "vm07")], None, &[]);
    assert!(nothing.contains("no label"), "{nothing}");
}

#[test]
fn rules_of_the_operator_come_last() {
    let rule = |when, ci| BindRule::compile("meters", when, ci).unwrap();
    let rules = [rule(
        Some("source == 'plant' and labels.meter"),
        "'meter-' ~ labels.meter",
    )];
    assert_eq!(look(&[("meter", "7")], None, &rules), "meter-7");
    assert!(look(&[("other", "7")], None, &rules).starts_with("unbound"));
    assert_eq!(
        look(&[("meter", "7"), ("host", "vm07")], None, &rules),
        "vm07"
    );
    let broken = BindRule::compile("x", None, "lables.x").unwrap_err();
    assert!(broken.0 == "ci" && broken.1.contains("lables"));
}
