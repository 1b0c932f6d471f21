//! Correlation: what people say sticks, what two failures are stays two, and the laws that hold for every storm.
//!
//! Must not repeat what scenario S9 tells.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use watchbell::core::cmdb::relation::{RelationKind, Role};
use watchbell::core::correlate::rule::{Bond, BondRule};
use watchbell::core::ids::IncidentId;
use watchbell::core::input::Command;
use watchbell::core::reason::Reason;
use watchbell::core::severity::Severity;
use watchbell::core::time::Span;

use crate::support::claim::{Said, firing, resolved};
use crate::support::estate::Estate;
use crate::support::world::Bench;

pub(crate) fn bench(estate: &Estate) -> Bench {
    let mut bench = Bench::new();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench.at("10:00");
    bench
}

pub(crate) fn said(ci: &str, check: &str) -> Said {
    firing(&format!("{ci} {check}"))
        .labelled(&[("alertname", check), ("ci", ci)])
        .severity(Severity::Critical)
}

pub(crate) fn incident(bench: &Bench, alert: &str) -> IncidentId {
    bench.alert(alert).incident.unwrap()
}

/// Two switches with three machines each, and a service over two of them.
fn two_racks() -> Estate {
    let mut estate = Estate::new().ci("swa", "switch").ci("swb", "switch");
    for (rack, switch) in [("a", "swa"), ("b", "swb")] {
        for number in 1..=3 {
            let id = format!("{rack}{number}");
            estate = estate.ci(&id, "vm").on(&id, switch);
        }
    }
    estate
        .ci("shop", "service")
        .relate("shop", "a1", RelationKind::MemberOf, Role::Member)
        .relate("shop", "b1", RelationKind::MemberOf, Role::Member)
}

#[test]
fn two_dead_things_stay_two_incidents_although_a_service_suffers_from_both() {
    let mut bench = bench(&two_racks());
    for ci in ["swa", "a1", "a2", "swb", "b1", "b2"] {
        bench.hear(said(ci, "InstanceDown"));
    }
    bench.hear(said("shop", "HighErrorRate"));
    bench.after(Span::from_mins(12));
    let (one, other) = (
        incident(&bench, "swa InstanceDown"),
        incident(&bench, "swb InstanceDown"),
    );
    assert_ne!(one, other);
    assert_eq!(incident(&bench, "a1 InstanceDown"), one);
    assert_eq!(incident(&bench, "b2 InstanceDown"), other);
    assert!([one, other].contains(&incident(&bench, "shop HighErrorRate")));
}

#[test]
fn what_people_merge_and_split_no_rule_undoes() {
    let mut bench = bench(&two_racks());
    for ci in ["a1", "b1"] {
        bench.hear(said(ci, "InstanceDown"));
    }
    let (one, other) = (
        incident(&bench, "a1 InstanceDown"),
        incident(&bench, "b1 InstanceDown"),
    );
    assert_ne!(one, other);
    let merged = bench.order(other.get(), Command::Merge { into: one });
    assert_eq!(merged.reason, Reason::MergedByPerson);
    assert_eq!(bench.incident(other.get()).merged_into, Some(one));
    assert_eq!(
        (
            bench.incident(one.get()).firing,
            bench.incident(one.get()).total
        ),
        (2, 2)
    );
    // The switches come up as causes of one each: both stay together all the same.
    bench.hear(said("swa", "InstanceDown"));
    bench.hear(said("swb", "InstanceDown"));
    bench.after(Span::from_mins(12));
    assert_eq!(incident(&bench, "a1 InstanceDown"), one);
    assert_eq!(incident(&bench, "b1 InstanceDown"), one);
    let alert = bench.alert("b1 InstanceDown").id;
    let split = bench.order(
        one.get(),
        Command::Split {
            alerts: vec![alert],
        },
    );
    assert_eq!(split.reason, Reason::SplitByPerson);
    let alone = incident(&bench, "b1 InstanceDown");
    assert_ne!(alone, one);
    bench.hear(said("b2", "InstanceDown"));
    bench.hear(said("b3", "InstanceDown"));
    bench.after(Span::from_mins(12));
    assert_eq!(
        incident(&bench, "b1 InstanceDown"),
        alone,
        "it stays where it was put"
    );
    // A restart changes nothing of it.
    bench.restart(Span::from_secs(5));
    assert_eq!(incident(&bench, "b1 InstanceDown"), alone);
}

#[test]
fn a_silent_switch_is_inferred_and_gives_way_to_its_own_alert() {
    let mut bench = bench(&two_racks());
    for ci in ["a1", "a2", "a3"] {
        bench.hear(said(ci, "InstanceDown"));
    }
    let number = incident(&bench, "a1 InstanceDown");
    let cause = bench.state.cause(number).unwrap();
    assert!(cause.root().unwrap().is_inferred, "{cause:?}");
    assert_eq!(incident(&bench, "a3 InstanceDown"), number);
    bench.hear(said("swa", "InstanceDown"));
    let cause = bench.state.cause(number).unwrap();
    assert_eq!(
        (cause.root().unwrap().ci, cause.root().unwrap().is_inferred),
        (bench.alert("swa InstanceDown").ci, false)
    );
    assert_eq!(incident(&bench, "swa InstanceDown"), number);
}

#[test]
fn what_the_cmdb_forgot_is_concluded_from_the_rack() {
    let estate = Estate::new()
        .ci("sw", "switch")
        .rack("r1")
        .ci("inside", "server")
        .rack("r1")
        .ci("outside", "server")
        .rack("r2");
    let mut bench = bench(&estate);
    for ci in ["inside", "outside", "sw"] {
        bench.hear(said(ci, "InstanceDown"));
    }
    let switch = incident(&bench, "sw InstanceDown");
    assert_eq!(incident(&bench, "inside InstanceDown"), switch);
    assert_ne!(incident(&bench, "outside InstanceDown"), switch);
}

/// A host with two feeds in one group, and four more hosts on them.
fn two_feeds() -> Estate {
    let mut estate = Estate::new().ci("feeda", "pdu").ci("feedb", "pdu");
    for number in 0..5 {
        let host = format!("host{number}");
        estate = estate.ci(&host, "server");
        for feed in ["feeda", "feedb"] {
            estate = estate
                .relate(&host, feed, RelationKind::PoweredBy, Role::Other)
                .group(1);
        }
    }
    estate
}

#[test]
fn one_of_two_feeds_takes_nothing_down_and_both_do() {
    let mut bench = bench(&two_feeds());
    bench.hear(said("feeda", "PduDown"));
    bench.hear(said("host1", "HostDown"));
    let feed = incident(&bench, "feeda PduDown");
    assert_ne!(incident(&bench, "host1 HostDown"), feed);
    bench.after(Span::from_secs(20));
    bench.hear(said("feedb", "PduDown"));
    bench.hear(said("host2", "HostDown"));
    let feeds = [feed, incident(&bench, "feedb PduDown")];
    for host in ["host1 HostDown", "host2 HostDown"] {
        assert!(feeds.contains(&incident(&bench, host)), "{host}");
    }
}

/// Two switches that stand in for each other above a switch with six hosts: the one that died is below.
#[test]
fn a_silent_cause_higher_up_must_pay_for_itself() {
    let mut estate = Estate::new()
        .ci("corea", "router")
        .ci("coreb", "router")
        .ci("tor", "switch")
        .ci("other", "switch");
    for switch in ["tor", "other"] {
        for core in ["corea", "coreb"] {
            estate = estate
                .relate(switch, core, RelationKind::ConnectsTo, Role::Net)
                .group(2);
        }
        for number in 0..6 {
            let host = format!("{switch}-{number}");
            estate = estate.ci(&host, "server").on(&host, switch);
        }
    }
    let mut bench = bench(&estate);
    for number in 0..6 {
        bench.hear(said(&format!("tor-{number}"), "HostDown"));
        bench.after(Span::from_secs(4));
    }
    bench.after(Span::from_mins(3));
    let number = incident(&bench, "tor-0 HostDown");
    let root = bench.state.cause(number).unwrap().root().unwrap().ci;
    assert_eq!(root, Some(estate.number("tor")));
    assert_eq!(partition(&bench).len(), 1);
}

#[test]
fn housekeeping_on_a_dead_host_stays_apart() {
    let mut bench = bench(&two_racks());
    for (ci, check) in [
        ("swa", "SwitchDown"),
        ("a1", "HostDown"),
        ("a1", "DiskAlmostFull"),
        ("a2", "NTPClockSkew"),
        ("a3", "PackageUpdatesPending"),
    ] {
        bench.hear(said(ci, check));
    }
    assert_eq!(partition(&bench).len(), 4);
}

/// Which alerts are together, without numbers.
fn partition(bench: &Bench) -> BTreeSet<BTreeSet<String>> {
    let mut groups: BTreeMap<IncidentId, BTreeSet<String>> = BTreeMap::new();
    for alert in bench.state.alerts() {
        if let Some(incident) = alert.incident {
            let name = bench.ledger.names[&alert.id].to_string();
            groups.entry(incident).or_default().insert(name);
        }
    }
    groups.into_values().collect()
}

const CHECKS: [&str; 5] = [
    "InstanceDown",
    "HighErrorRate",
    "HighCpu",
    "NoData",
    "BackupFailed",
];

#[test]
fn an_alert_judged_anew_leaves_the_incident_that_is_still_open() {
    let mut bench = bench(&two_racks());
    for ci in ["swa", "a1", "a2"] {
        bench.hear(said(ci, "InstanceDown"));
    }
    let storm = incident(&bench, "a1 InstanceDown");
    bench.hear(resolved("a1 InstanceDown"));
    // The switch is never resolved, so the incident stays open; hours later the machine fails for itself.
    for _ in 0..12 {
        bench.after(Span::from_mins(10));
        bench.hear(said("swa", "InstanceDown"));
        bench.hear(said("a2", "InstanceDown"));
    }
    bench.hear(said("a1", "HighErrorRate"));
    bench.hear(said("a1", "InstanceDown"));
    let anew = incident(&bench, "a1 InstanceDown");
    assert!(bench.incident(storm.get()).state.is_open());
    assert_ne!(anew, storm);
    assert_eq!(bench.incident(storm.get()).total, 2);
    bench.after(Span::from_days(60));
    let mut incidents = bench.state.incidents();
    assert!(incidents.all(|incident| !incident.state.is_open()));
}

#[test]
fn a_much_later_start_replaces_an_episode_whose_end_was_lost() {
    let mut bench = bench(&two_racks());
    bench.hear(said("a1", "InstanceDown").start("10:00"));
    let first = incident(&bench, "a1 InstanceDown");
    bench.after(Span::from_hours(3));
    let reason = bench.hear(said("a1", "InstanceDown").start("13:00"));
    assert_eq!(reason, Reason::EpisodeReplaced);
    let second = incident(&bench, "a1 InstanceDown");
    assert_ne!(first, second);
    assert!(!bench.incident(first.get()).state.is_open());
    assert_eq!(bench.incident(second.get()).previous, Some(first));
}

#[test]
fn what_passed_unseen_joins_what_explains_it() {
    let mut bench = bench(&two_racks());
    for ci in ["swa", "a1"] {
        bench.hear(said(ci, "InstanceDown").start("10:00"));
    }
    bench.after(Span::from_mins(2));
    let late = resolved("a2 InstanceDown")
        .labelled(&[("alertname", "InstanceDown"), ("ci", "a2")])
        .start("10:00:30")
        .end("10:01:30");
    assert_eq!(bench.hear(late), Reason::OrphanResolve);
    let storm = incident(&bench, "swa InstanceDown");
    assert_eq!(bench.alert("a2 InstanceDown").incident, Some(storm));
    assert_eq!(bench.incident(storm.get()).firing, 2);
    assert_eq!(bench.incident(storm.get()).total, 3);
}

/// A bench with rules of the operator.
fn ruled(rules: &[(Bond, Option<&str>, Option<&str>)]) -> Bench {
    let mut bench = bench(&two_racks());
    let rules = rules.iter().enumerate().map(|(index, &(bond, when, by))| {
        BondRule::compile(&format!("rule {index}"), bond, when, by).unwrap()
    });
    bench.rules.correlation.rules = rules.collect();
    bench
}

#[test]
fn rules_bring_together_what_nothing_else_does() {
    let together = Bond::Together(Span::from_mins(15));
    let rule = (
        together,
        Some("name == 'BackupFailed'"),
        Some("labels.batch"),
    );
    let mut bench = ruled(&[rule]);
    let backup = |ci: &str, batch: &str| {
        let labels = [("alertname", "BackupFailed"), ("ci", ci), ("batch", batch)];
        firing(&format!("{ci} BackupFailed")).labelled(&labels)
    };
    for (ci, batch) in [("a1", "night"), ("b1", "night"), ("a2", "day")] {
        bench.hear(backup(ci, batch));
    }
    let night = incident(&bench, "a1 BackupFailed");
    assert_eq!(incident(&bench, "b1 BackupFailed"), night);
    assert_ne!(incident(&bench, "a2 BackupFailed"), night);
    let link = bench
        .state
        .forest()
        .nodes()
        .find_map(|node| node.link.clone());
    assert!(link.unwrap().why.contains("by the rule \"rule 0\""));
    bench.after(Span::from_mins(20));
    bench.hear(backup("b2", "night"));
    assert_ne!(incident(&bench, "b2 BackupFailed"), night, "too late");
}

#[test]
fn rules_keep_apart_even_below_one_cause() {
    let mut bench = ruled(&[
        (Bond::Apart, None, Some("labels.customer")),
        (Bond::Alone, Some("ci.id == 'a3'"), None),
    ]);
    bench.hear(said("swa", "InstanceDown"));
    for (ci, customer) in [("a1", "red"), ("a2", "blue")] {
        let labels = [
            ("alertname", "InstanceDown"),
            ("ci", ci),
            ("customer", customer),
        ];
        bench.hear(firing(&format!("{ci} InstanceDown")).labelled(&labels));
    }
    bench.hear(said("a3", "InstanceDown"));
    bench.after(Span::from_mins(12));
    let of = |ci: &str| incident(&bench, &format!("{ci} InstanceDown"));
    assert_ne!(
        of("a1"),
        of("a2"),
        "different customers never share an incident"
    );
    assert_eq!(of("a1"), of("swa"));
    assert!(!["swa", "a1", "a2"].map(of).contains(&of("a3")));
}

/// The most that a single decision may look at, whatever is open and however large the graph is.
const LOOKED_AT_MAX: usize = 100_000;

/// The most that a decision looked at in a storm: all machines of one switch, the services on them, the switch last, then
/// the end of everything.
fn most_looked_at(machines: usize, services: usize) -> usize {
    let mut estate = Estate::new().ci("sw", "switch").ci("dns", "dns");
    for number in 0..machines {
        let id = format!("vm{number}");
        estate = estate.ci(&id, "vm").on(&id, "sw");
    }
    for number in 0..services {
        let id = format!("svc{number}");
        estate = estate
            .ci(&id, "service")
            .relate(&id, "dns", RelationKind::Uses, Role::Dns)
            .relate(
                &id,
                &format!("vm{number}"),
                RelationKind::MemberOf,
                Role::Member,
            );
    }
    let mut bench = bench(&estate);
    for number in 0..machines.max(services) {
        if number < machines {
            bench.hear(said(&format!("vm{number}"), "InstanceDown"));
        }
        if number < services {
            bench.hear(said(&format!("svc{number}"), "HighErrorRate"));
        }
        if number % 40 == 39 {
            bench.after(Span::from_secs(3));
        }
    }
    bench.hear(said("sw", "SwitchDown"));
    bench.after(Span::from_mins(12));
    for number in 0..machines {
        bench.hear(resolved(&format!("vm{number} InstanceDown")));
    }
    bench.hear(resolved("sw SwitchDown"));
    bench.after(Span::from_mins(30));
    let looked_at = bench
        .recorded
        .iter()
        .map(|(_, decision)| decision.looked_at);
    looked_at.max().unwrap_or_default()
}

#[test]
fn no_decision_looks_at_more_than_its_bound_however_large_the_storm() {
    for (machines, services) in [(60, 20), (900, 300)] {
        let most = most_looked_at(machines, services);
        assert!(most <= LOOKED_AT_MAX, "{machines} machines: {most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any graph, cycles and all: the invariants hold at every step, memory equals what a restart would load, a
    /// restart in between changes nothing, and everything gets its close.
    #[test]
    fn storms_on_any_graph_keep_the_invariants_and_survive_restarts(
        relations in vec((0..12_usize, 0..12_usize, 0..4_usize), 0..40),
        events in vec((0..12_usize, 0..5_usize, 0..90_i64, 0..5_u8), 1..50),
        restart_at in 0..50_usize,
    ) {
        let mut estate = Estate::new();
        for number in 0..12 {
            estate = estate.ci(&format!("c{number}"), if number < 2 { "service" } else { "vm" });
        }
        for (from, to, role) in relations {
            let role = [Role::Host, Role::Net, Role::Call, Role::Member][role];
            estate = estate.relate(&format!("c{from}"), &format!("c{to}"), RelationKind::DependsOn, role);
        }
        let mut once = bench(&estate);
        let mut twice = bench(&estate);
        for (turn, (ci, check, pause, kind)) in events.into_iter().enumerate() {
            let name = format!("c{ci}");
            let check = CHECKS[check];
            for bench in [&mut once, &mut twice] {
                bench.after(Span::from_secs(pause));
                if kind == 0 {
                    bench.hear(resolved(&format!("{name} {check}")));
                } else {
                    bench.hear(said(&name, check));
                }
            }
            if turn == restart_at {
                twice.restart(Span::ZERO);
            }
        }
        prop_assert_eq!(partition(&once), partition(&twice));
        prop_assert!(once.recorded.iter().all(|(_, decision)| decision.looked_at <= LOOKED_AT_MAX));
        once.after(Span::from_days(60));
        prop_assert!(once.state.incidents().all(|incident| !incident.state.is_open()));
        prop_assert_eq!(once.state.forest().len(), 0);
    }

    /// What arrives at one instant may arrive in any order.
    #[test]
    fn order_within_one_instant_does_not_matter(order in vec(0..1_000_u32, 7)) {
        let play = |order: &[u32]| {
            let mut bench = bench(&two_racks());
            let mut heard: Vec<(u32, &str)> = order.iter().copied()
                .zip(["swa", "a1", "a2", "a3", "b1", "b2", "b3"]).collect();
            heard.sort();
            for (_, ci) in heard {
                bench.hear(said(ci, "InstanceDown"));
            }
            bench.after(Span::from_mins(12));
            partition(&bench)
        };
        prop_assert_eq!(play(&[0, 1, 2, 3, 4, 5, 6]), play(&order));
    }
}

/// What a person pins to an incident comes there from another one, and stays whatever the rules say.
#[test]
fn pinned_alerts_of_another_incident_come_over_and_stay() {
    let mut bench = Bench::new();
    bench.at("10:00").firing("A", "10:00");
    bench.firing("B", "10:00");
    let (a, b) = (bench.alert("A").clone(), bench.alert("B").clone());
    let (to, from) = (a.incident.unwrap(), b.incident.unwrap());
    assert_ne!(to, from);
    let alerts = vec![b.id];
    bench.command(to.get(), Command::Pin { alerts });
    assert_eq!(bench.alert("B").incident, Some(to));
    assert_eq!(bench.incident(to.get()).total, 2);
    assert_eq!(
        bench.incident(from.get()).merged_into,
        Some(to),
        "nothing was left there"
    );
    bench.restart(Span::from_mins(1));
    bench.firing("B", "10:00");
    assert_eq!(bench.alert("B").incident, Some(to));
    let alerts = vec![b.id];
    bench.command(to.get(), Command::Unlink { alerts });
    assert_ne!(bench.alert("B").incident, Some(to));
    assert_eq!(bench.incident(to.get()).total, 1);
}
