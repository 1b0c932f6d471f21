//! An incident that another one holds, one that gets better without being over, and rules that change while it is open.
//!
//! Must not wait: time is virtual.

use watchbell::core::condition::{Condition, Section};
use watchbell::core::incident::StateWord;
use watchbell::core::mute::inhibit::InhibitRule;
use watchbell::core::mute::words_of;
use watchbell::core::reason::Reason;
use watchbell::core::records::RecordOrder;
use watchbell::core::records::change::{ChangeState, ChangeWanted};
use watchbell::core::review::is_outdated;
use watchbell::core::severity::{Priority, Severity};
use watchbell::core::time::Span;

use crate::support::claim::{Said, firing, resolved, t};
use crate::support::estate::Estate;
use crate::support::world::Bench;

fn rule(by: &str, when: &str) -> InhibitRule {
    let condition = |text| Condition::compile(Section::Other, "network", text).unwrap();
    InhibitRule {
        name: "network".into(),
        by: condition(by),
        when: condition(when),
    }
}

/// A switch with a host on it, a host elsewhere, and a rule that a switch holds what depends on it.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let estate = Estate::new()
        .ci("sw1", "switch")
        .ci("h1", "host")
        .ci("h9", "host")
        .on("h1", "sw1");
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    let by = "incident.root_cause.ci.class == 'switch'";
    bench.rules.inhibit = [rule(by, "severity != 'critical'")].into();
    bench
}

/// What nobody would take for a consequence, so that it is an incident of its own.
fn backup(said: fn(&str) -> Said, ci: &str) -> Said {
    let name = format!("BackupFailed {ci}");
    said(&name).labelled(&[("alertname", "BackupFailed"), ("ci", ci)])
}

fn switch(said: fn(&str) -> Said, severity: Severity) -> Said {
    let said = said("LinkDown sw1").labelled(&[("alertname", "LinkDown"), ("ci", "sw1")]);
    said.severity(severity)
}

/// Something is held by a cause, and released.
pub(crate) fn tour() -> Bench {
    let mut bench = bench();
    bench.at("10:00").hear(switch(firing, Severity::High));
    bench
        .at("10:05")
        .hear(backup(firing, "h1").severity(Severity::High));
    bench.at("10:20").hear(switch(resolved, Severity::High));
    bench.at("10:40");
    bench
}

#[test]
fn what_depends_on_a_known_cause_is_held_and_told_once_when_that_is_over() {
    let mut bench = bench();
    bench.at("10:00").hear(switch(firing, Severity::High));
    bench.at("10:05");
    assert!(bench.incident(1).announced_at.is_some());
    bench.hear(backup(firing, "h1").severity(Severity::High));
    bench.hear(backup(firing, "h9").severity(Severity::High));
    bench.at("10:10");
    assert_eq!([1, 2, 3].map(|id| bench.held(id)), [false, true, false]);
    assert_eq!(
        bench.incident(2).announced_at,
        None,
        "recorded and not told"
    );
    assert!(
        bench.incident(3).announced_at.is_some(),
        "it depends on nothing"
    );
    let id = bench.incident(2).id;
    assert_eq!(words_of(&bench.state, id), ["incident:INC-1"]);
    assert_eq!(bench.count(Reason::Inhibited), 1);
    bench.restart(Span::from_mins(5));
    assert!(bench.held(2), "also after a restart");
    bench.at("10:20").hear(switch(resolved, Severity::High));
    bench.at("10:21");
    assert!(!bench.held(2), "nothing fires at the cause any more");
    assert_eq!(bench.count(Reason::Uninhibited), 1);
    assert_eq!(
        bench.incident(2).announced_at,
        Some(t("10:20")),
        "told once"
    );
    assert_eq!(bench.incident(2).opened_at, t("10:05"), "its true start");
}

#[test]
fn a_cause_that_comes_up_later_holds_what_is_known_and_worse_things_are_told() {
    let mut bench = bench();
    bench
        .at("10:00")
        .hear(backup(firing, "h1").severity(Severity::High));
    bench.at("10:05");
    assert!(bench.incident(1).announced_at.is_some());
    bench.hear(switch(firing, Severity::High));
    bench.at("10:10");
    assert!(bench.held(1), "escalation pauses");
    // It becomes more urgent than what people know of.
    bench.hear(backup(firing, "h1").severity(Severity::Critical));
    assert!(!bench.held(1), "what is worse is told");
    bench.hear(backup(resolved, "h1"));
    bench.at("10:20");
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
    // Without the rule nothing is held; a reload reaches what is open.
    bench.hear(backup(firing, "h1").severity(Severity::Warning));
    assert!(bench.held(1));
    bench.rules.inhibit = [].into();
    bench.rules.digest = 2;
    bench.leap(Span::ZERO);
    assert!(!bench.held(1), "the rule is gone");
}

#[test]
fn other_rules_reach_open_incidents_in_parts_and_change_only_what_they_concern() {
    let mut bench = Bench::new();
    bench.at("10:00");
    for number in 0..450 {
        bench.firing(&format!("F{number}"), "10:00");
    }
    let versions =
        |bench: &Bench| -> Vec<i64> { (1..=450).map(|id| bench.incident(id).version).collect() };
    bench.at("10:05");
    let before = versions(&bench);
    bench.rules.digest = 7;
    bench.leap(Span::ZERO);
    assert_eq!(versions(&bench), before, "they say the same as before");
    bench.rules.priority.matrix = [[Priority::P2; 3]; 3];
    bench.rules.digest = 8;
    bench.leap(Span::ZERO);
    let all = (1..=450).all(|id| bench.incident(id).priority == Priority::P2);
    assert!(all, "every open incident has its new priority");
}

#[test]
fn an_incident_falls_when_its_worst_has_ended_for_a_while() {
    let mut bench = bench();
    let said = |said: fn(&str) -> Said, name: &str, severity| {
        let said = said(name).labelled(&[("alertname", name), ("ci", "h9")]);
        said.severity(severity)
    };
    bench
        .at("10:00")
        .hear(said(firing, "HostSlow", Severity::High));
    bench.hear(said(firing, "HostDown", Severity::Critical));
    assert_eq!(bench.incidents(), (1, 1));
    assert_eq!(bench.incident(1).priority, Priority::P2);
    bench
        .at("10:10")
        .hear(said(resolved, "HostDown", Severity::Critical));
    bench.at("10:19");
    assert_eq!(bench.incident(1).priority, Priority::P2, "not at once");
    bench.at("10:21");
    assert_eq!(bench.incident(1).priority, Priority::P3);
    assert_eq!(bench.incident(1).severity, Severity::High);
    bench.hear(said(firing, "HostDown", Severity::Critical));
    assert_eq!(bench.incident(1).priority, Priority::P2, "up at once");
}

#[test]
fn a_change_that_asks_for_it_opens_a_window_for_its_items_and_what_depends_on_them() {
    let mut bench = bench();
    let wanted = |end: &str, state| ChangeWanted {
        key: Some("snow:CHG1".into()),
        source: "api".into(),
        summary: Some("firmware".into()),
        cis: Some(vec!["sw1".into()]),
        starts_at: Some(t("11:00")),
        ends_at: Some(t(end)),
        state,
        opens_maintenance: Some(true),
        ..ChangeWanted::default()
    };
    let put = |bench: &mut Bench, end: &str, state| {
        let wanted = Box::new(wanted(end, state));
        bench.record(RecordOrder::PutChange { wanted });
        bench.sweep();
    };
    put(bench.at("10:00"), "12:00", None);
    bench.at("11:00").sweep();
    bench.at("11:10").hear(backup(firing, "h1"));
    bench.hear(backup(firing, "h9"));
    assert_eq!([1, 2].map(|id| bench.held(id)), [true, false]);
    put(&mut bench, "13:00", None);
    bench.at("12:30");
    assert!(bench.held(1), "moved with the change");
    bench.restart(Span::from_mins(1));
    put(&mut bench, "13:00", Some(ChangeState::Successful));
    assert!(!bench.held(1), "the change is over before its time");
    bench.at("12:45");
    assert!(bench.incident(1).announced_at.is_some());
    assert!(bench.state.windows().is_empty());
}

#[test]
fn rules_that_were_gone_through_cause_no_look_after_a_restart_and_others_do() {
    let mut bench = Bench::new();
    bench.rules.digest = 7;
    bench.at("10:00").hear(firing("A"));
    bench.at("10:01").restart(Span::from_secs(5));
    assert!(!is_outdated(bench.world()), "the same rules");
    bench.restart(Span::from_secs(5));
    bench.rules.digest = 8;
    assert!(is_outdated(bench.world()), "other rules");
    bench.at("10:02").hear(firing("B"));
    assert!(!is_outdated(bench.world()), "gone through");
}

#[test]
fn what_many_alerts_join_within_a_short_time_is_one_step_more_urgent_until_that_is_over() {
    let mut bench = Bench::new();
    let mut estate = Estate::new().ci("sw1", "switch");
    for host in 0..40 {
        let name = format!("h{host}");
        estate = estate.ci(&name, "host").on(&name, "sw1");
    }
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    bench.at("10:00").hear(switch(firing, Severity::High));
    let down = |host: usize| {
        let (key, name) = (format!("HostDown {host}"), format!("h{host}"));
        let said = firing(&key).labelled(&[("alertname", "HostDown"), ("ci", &name)]);
        said.severity(Severity::High)
    };
    bench.at("10:01");
    for host in 0..28 {
        bench.hear(down(host));
    }
    assert_eq!(
        (bench.incident(1).total, bench.incident(1).priority),
        (29, Priority::P3)
    );
    bench.hear(down(28));
    assert_eq!(bench.incident(1).priority, Priority::P2, "the thirtieth");
    let risen = bench
        .entries
        .iter()
        .find(|(_, it)| it.reason == Reason::PriorityChanged);
    let note = risen.unwrap().1.note.clone().unwrap();
    assert!(note.contains("within a short time"), "{note}");
    bench.at("10:05").restart(Span::from_secs(5));
    bench.at("10:10");
    assert_eq!(
        bench.incident(1).priority,
        Priority::P2,
        "a fall holds later"
    );
    bench.at("10:30");
    assert_eq!(bench.incident(1).priority, Priority::P3, "it grows no more");
    // The same number over hours is no rise.
    bench.rules.priority.rising = 5;
    for host in 29..35 {
        bench.after(Span::from_mins(9)).hear(down(host));
    }
    assert_eq!(bench.incident(1).priority, Priority::P3);
}
