//! S9: a switch takes hosts, machines and services with it, and the alerts arrive in the worst order.
//!
//! Must not depend on which number the first alert drew, only on that it stays.

use std::collections::BTreeSet;

use watchbell::core::cmdb::relation::{RelationKind, Role};
use watchbell::core::ids::IncidentId;
use watchbell::core::incident::StateWord;
use watchbell::core::reason::Reason;
use watchbell::core::severity::{Priority, Severity};
use watchbell::core::time::Span;

use crate::support::claim::{firing, resolved};
use crate::support::estate::Estate;
use crate::support::world::Bench;

/// sw1 <- esx1, esx2 <- 40 machines <- 3 services, with a cycle and a bystander.
fn estate() -> Estate {
    let mut estate = Estate::new()
        .ci("sw1", "switch")
        .ci("esx1", "host")
        .ci("esx2", "host")
        .ci("nas9", "storage");
    estate = estate
        .relate("esx1", "sw1", RelationKind::ConnectsTo, Role::Net)
        .relate("esx2", "sw1", RelationKind::ConnectsTo, Role::Net);
    for service in 1..=3 {
        estate = estate
            .ci(&format!("svc{service}"), "service")
            .criticality(1);
    }
    for vm in 1..=40 {
        let (id, host) = (vm_id(vm), if vm % 2 == 0 { "esx2" } else { "esx1" });
        estate = estate.ci(&id, "vm").on(&id, host);
        let service = format!("svc{}", 1 + vm % 3);
        estate = estate.relate(&service, &id, RelationKind::MemberOf, Role::Member);
    }
    estate.relate(&vm_id(3), "svc1", RelationKind::Uses, Role::Other)
}

fn vm_id(vm: i32) -> String {
    format!("vm{vm:02}")
}

fn down(bench: &mut Bench, ci: &str) {
    let alert = format!("{ci} down");
    let said = firing(&alert).severity(Severity::Critical);
    bench.hear(said.labelled(&[("alertname", "InstanceDown"), ("ci", ci)]));
}

fn incident_of(bench: &Bench, name: &str) -> IncidentId {
    bench.alert(name).incident.unwrap()
}

fn storm() -> (Bench, Estate) {
    let estate = estate();
    let mut bench = Bench::new();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench.at("10:00:00");
    bench.hear(firing("cert").labelled(&[("alertname", "CertificateExpiry"), ("ci", "vm07")]));
    for vm in 1..=40 {
        bench.after(Span::from_millis(1_100));
        down(&mut bench, &vm_id(vm));
    }
    bench.hear(firing("backup").labelled(&[("alertname", "BackupFailed"), ("ci", "nas9")]));
    bench.hear(firing("ghost down").labelled(&[("alertname", "InstanceDown"), ("ci", "ghost")]));
    bench.at("10:01:00");
    down(&mut bench, "esx1");
    down(&mut bench, "esx2");
    (bench, estate)
}

#[test]
fn one_incident_whose_root_becomes_the_switch_under_the_same_number() {
    let (mut bench, estate) = storm();
    let number = incident_of(&bench, "vm01 down");
    bench.at("10:01:10");
    down(&mut bench, "sw1");
    let ours: BTreeSet<_> = (1..=40)
        .map(|vm| incident_of(&bench, &format!("{} down", vm_id(vm))))
        .collect();
    assert_eq!(ours, BTreeSet::from([number]), "one incident, same number");
    for other in ["esx1 down", "esx2 down", "sw1 down"] {
        assert_eq!(incident_of(&bench, other), number);
    }
    let cause = bench.state.cause(number).unwrap();
    assert_eq!(cause.root().unwrap().ci, Some(estate.number("sw1")));
    assert!(!cause.root().unwrap().is_inferred);
    assert_eq!((cause.services.len(), cause.cis), (3, 43));
    assert_eq!(
        bench.ledger.titles[&number],
        "sw1 unreachable: 2 hosts, 40 VMs, 3 services affected"
    );
    let incident = bench.state.incident(number).unwrap();
    assert_eq!((incident.firing, incident.total), (43, 43));
    assert_eq!(
        incident.priority,
        Priority::P1,
        "a vital service is reached"
    );
    // Every symptom hangs somewhere, and says why.
    let forest = bench.state.forest();
    let hanging = forest
        .nodes_in(number)
        .filter_map(|id| forest.node(id)?.link.clone());
    let hanging: Vec<_> = hanging.collect();
    assert_eq!(hanging.len(), 42);
    assert!(hanging.iter().all(|link| link.why.contains("depends on")));
    for apart in ["cert", "backup", "ghost down"] {
        assert_ne!(
            incident_of(&bench, apart),
            number,
            "{apart} stands for itself"
        );
    }
    let open = bench.state.incidents().filter(|it| it.state.is_open());
    assert_eq!(
        open.count(),
        4,
        "the outage, the certificate, the backup, the unknown host"
    );
    assert!(bench.count(Reason::IncidentMerged) > 0);
}

#[test]
fn late_resolve_of_a_child_does_not_close_it_and_the_recovery_of_all_does() {
    let (mut bench, _) = storm();
    down(&mut bench, "sw1");
    let number = incident_of(&bench, "sw1 down").get();
    bench.at("10:20");
    bench.hear(resolved("vm05 down"));
    bench.after(Span::from_mins(30));
    assert_eq!(bench.state_of(number), Some(StateWord::New));
    bench.hear(resolved("sw1 down"));
    bench.hear(resolved("esx1 down"));
    bench.hear(resolved("esx2 down"));
    for vm in (1..=40).filter(|&vm| vm != 9) {
        bench.hear(resolved(&format!("{} down", vm_id(vm))));
    }
    bench.after(Span::from_mins(6));
    assert_eq!(bench.state_of(number), Some(StateWord::Resolved));
    let left = incident_of(&bench, "vm09 down");
    assert_ne!(left.get(), number, "a straggler is an incident of its own");
    assert_eq!(bench.state_of(left.get()), Some(StateWord::New));
    bench.after(Span::from_days(60));
    assert_eq!(bench.state.forest().len(), 0, "nothing is kept for ever");
}
