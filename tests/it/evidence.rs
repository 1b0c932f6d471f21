//! Evidence: what speaks for a cause, what speaks against it, and what says nothing at all.
//!
//! Must not repeat the laws of [`super::correlation`].

use watchbell::core::cmdb::relation::{RelationKind, Role};
use watchbell::core::input::{ChangeRecord, Input};
use watchbell::core::time::Span;

use crate::correlation::{bench, incident, said};
use crate::support::claim::resolved;
use crate::support::estate::Estate;
use crate::support::world::Bench;

fn change(bench: &mut Bench, ci: &str) {
    bench.happen(&Input::ChangeRecorded(ChangeRecord {
        id: format!("CHG-{ci}").into(),
        ci: ci.into(),
        summary: "deploy".into(),
    }));
}

fn root(bench: &Bench, alert: &str) -> Option<String> {
    let cause = bench.state.cause(incident(bench, alert))?;
    let ci = bench.state.graph().ci(cause.root()?.ci?)?;
    Some(ci.id.to_string())
}

/// What was changed itself is no witness for a shared cause that says nothing.
#[test]
fn deployments_do_not_convict_a_silent_resolver() {
    let mut estate = Estate::new().ci("dns1", "dns");
    for name in ["s1", "s2", "s3"] {
        estate = estate
            .ci(name, "service")
            .relate(name, "dns1", RelationKind::Uses, Role::Dns);
    }
    let together = |changed: &[&str]| {
        let mut bench = bench(&estate);
        for &ci in changed {
            change(&mut bench, ci);
        }
        bench.after(Span::from_secs(60));
        for ci in ["s1", "s2", "s3"] {
            bench.hear(said(ci, "HighErrorRate"));
        }
        bench.after(Span::from_mins(1));
        let of = |ci: &str| incident(&bench, &format!("{ci} HighErrorRate"));
        of("s1") == of("s2")
    };
    assert!(together(&[]), "three witnesses");
    assert!(
        !together(&["s1", "s2"]),
        "one, and two with a cause of their own"
    );
}

/// One caller is enough against what was changed a minute before, and says nothing against what was not.
#[test]
fn a_caller_names_the_silent_service_that_was_just_changed() {
    let estate = Estate::new()
        .ci("shop", "service")
        .ci("cart", "service")
        .relate("shop", "cart", RelationKind::Uses, Role::Call);
    for (is_changed, expected) in [(true, "cart"), (false, "shop")] {
        let mut bench = bench(&estate);
        if is_changed {
            change(&mut bench, "cart");
        }
        bench.after(Span::from_secs(90));
        bench.hear(said("shop", "HighErrorRate"));
        bench.after(Span::from_mins(4));
        let root = root(&bench, "shop HighErrorRate");
        assert_eq!(root.as_deref(), Some(expected));
    }
}

/// Who watches whom is no dependency: many targets do not convict their monitoring server, but missing data does.
#[test]
fn only_missing_data_speaks_against_a_monitoring_server() {
    let mut estate = Estate::new().ci("mon1", "monitoring");
    for number in 0..8 {
        let name = format!("m{number}");
        estate = estate.ci(&name, "vm").relate(
            &name,
            "mon1",
            RelationKind::DependsOn,
            Role::of_words("depends_on", Some("monitored_by")),
        );
    }
    for (check, is_one) in [("InstanceDown", false), ("NoDataReceived", true)] {
        let mut bench = bench(&estate);
        for number in 0..8 {
            bench.hear(said(&format!("m{number}"), check));
        }
        bench.after(Span::from_mins(4));
        let of = |number: usize| incident(&bench, &format!("m{number} {check}"));
        assert_eq!(of(0) == of(7), is_one, "{check}");
    }
}

/// Switches that tell of a dead uplink have power: no silent feed is to blame for them, however many it feeds.
#[test]
fn whoever_tells_that_its_link_is_down_has_power() {
    let mut estate = Estate::new().ci("feed", "power_feed");
    for number in 0..8 {
        let name = format!("sw{number}");
        estate =
            estate
                .ci(&name, "switch")
                .relate(&name, "feed", RelationKind::PoweredBy, Role::Single);
    }
    for (check, is_one) in [("UplinkDown", false), ("DeviceUnreachable", true)] {
        let mut bench = bench(&estate);
        for number in 0..8 {
            bench.hear(said(&format!("sw{number}"), check));
        }
        bench.after(Span::from_mins(4));
        let blamed = root(&bench, &format!("sw0 {check}")).as_deref() == Some("feed");
        assert_eq!(blamed, is_one, "{check}");
    }
}

/// A service whose relation to what failed is missing, at another site: by itself it may be noise; when its caller suffers
/// as well it is surely a part of the outage that is going on.
#[test]
fn a_symptom_that_others_confirm_joins_the_outage_that_is_going_on() {
    let mut estate = Estate::new().ci("db", "database");
    for name in ["s1", "s2", "s3", "s4", "s5", "s6", "caller"] {
        estate = estate.ci(name, "service");
        if name != "caller" {
            estate = estate.relate(name, "db", RelationKind::Uses, Role::Database);
        }
    }
    estate = estate.ci("far", "service");
    estate.last().site = Some("there".into());
    estate = estate.relate("caller", "far", RelationKind::Uses, Role::Call);
    for is_confirmed in [true, false] {
        let mut bench = bench(&estate);
        bench.hear(said("db", "InstanceDown"));
        for name in ["s1", "s2", "s3", "s4", "s5", "s6", "far"] {
            bench.after(Span::from_secs(5));
            bench.hear(said(name, "HighErrorRate"));
        }
        if is_confirmed {
            bench.after(Span::from_secs(5));
            bench.hear(said("caller", "HighErrorRate"));
        }
        bench.after(Span::from_mins(4));
        let of = |alert: &str| incident(&bench, alert);
        let is_one = of("far HighErrorRate") == of("db InstanceDown");
        assert_eq!(is_one, is_confirmed);
    }
}

/// Lets a switch with its machine fail, something else shortly after, and both recover; says whether they were one incident.
fn together(bench: &mut Bench, other: &str, check: &str) -> bool {
    bench.hear(said("swa", "SwitchDown"));
    bench.hear(said("a1", "InstanceDown"));
    bench.after(Span::from_secs(20));
    bench.hear(said(other, check));
    bench.after(Span::from_mins(6));
    let name = format!("{other} {check}");
    let is_one = incident(bench, "swa SwitchDown") == incident(bench, &name);
    for alert in ["swa SwitchDown", "a1 InstanceDown", &name] {
        bench.hear(resolved(alert));
    }
    bench.after(Span::from_hours(30));
    is_one
}

fn racks() -> Estate {
    let estate = Estate::new().ci("swa", "switch").ci("b1", "vm");
    estate.ci("a1", "vm").on("a1", "swa")
}

/// What nobody knows the CI of joins the cause with which it came three times before, also after a restart; by time alone it
/// does not, and not when that is switched off.
#[test]
fn what_has_fired_together_before_is_evidence_where_the_cmdb_knows_nothing() {
    let mut bench = bench(&racks());
    let learned: Vec<bool> = (0..4)
        .map(|_| together(&mut bench, "plc7", "HighErrorRate"))
        .collect();
    assert_eq!(learned, [false, false, false, true]);
    bench.restart(Span::from_mins(1));
    assert!(together(&mut bench, "plc7", "HighErrorRate"));
    let said_why = |bench: &Bench| {
        let mut entries = bench.recorded.iter().flat_map(|(_, it)| &it.entries);
        entries.any(|entry| {
            let note = entry.note.as_deref().unwrap_or_default();
            note.contains("have fired together 3 of 3 times")
        })
    };
    assert!(said_why(&bench));
    bench.rules.correlation.learns = false;
    assert!(!together(&mut bench, "plc7", "HighErrorRate"));
}

/// However often two things die together: without a relation between them they are two incidents.
#[test]
fn two_dead_things_are_not_made_one_by_what_was_before() {
    let mut bench = bench(&racks());
    for _ in 0..6 {
        assert!(!together(&mut bench, "b1", "InstanceDown"));
    }
}

/// Switched off, everything is an incident of its own.
#[test]
fn without_correlation_each_alert_is_an_incident() {
    let mut bench = bench(&racks());
    bench.rules.correlation.is_enabled = false;
    bench.hear(said("swa", "SwitchDown"));
    bench.hear(said("a1", "InstanceDown"));
    bench.after(Span::from_mins(6));
    assert_ne!(
        incident(&bench, "swa SwitchDown"),
        incident(&bench, "a1 InstanceDown")
    );
}
