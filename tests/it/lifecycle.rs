//! What people, time and polls do to an incident, as timelines. What a source alone does is in `scenarios`.
//!
//! Must not repeat the table of states and commands (`table`).

use watchbell::core::alert::EndedBy;
use watchbell::core::decision::{Change, Decision};
use watchbell::core::ids::IncidentId;
use watchbell::core::incident::StateWord;
use watchbell::core::input::{Command, Input, PollDifference};
use watchbell::core::reason::Reason;
use watchbell::core::rules::Rules;
use watchbell::core::severity::{Priority, Severity};
use watchbell::core::time::{Span, Timestamp};

use crate::support::claim::{firing, resolved, t};
use crate::support::world::Bench;

/// F fires since ten.
fn firing_since_ten(mut bench: Bench) -> Bench {
    bench.at("10:00").firing("F", "10:00");
    bench.reads(&["10:00:00 INC-1 F incident_opened"]);
    bench
}

fn hold(until: &str) -> Command {
    let reason = "a part is on its way".into();
    let until = Some(t(until));
    Command::Hold { reason, until }
}

#[test]
fn person_resolves_without_a_recovery_and_the_source_goes_on() {
    let mut bench = firing_since_ten(Bench::new());
    bench.at("10:30");
    let note = Some("cable".into());
    bench.command(1, Command::Resolve { note });
    bench.at("10:40").firing("F", "10:00");
    bench.at("10:45").firing("F", "10:00");
    bench.reads(&[
        "10:00:30 INC-1 incident_announced",
        "10:30:00 INC-1 F ended_by_person",
        "10:30:00 INC-1 resolved_by_person (cable)",
        "10:45:00 INC-2 F linked_incident_opened (continues INC-1)",
        "10:45:00 INC-2 F still_firing_after_person_resolved",
    ]);
    assert_eq!(bench.incident(2).previous, IncidentId::new(1));
    assert_eq!(bench.incident(1).acknowledged_at, Some(t("10:30")));
}

#[test]
fn acknowledgement_runs_out_after_the_usual_time_unless_one_is_given() {
    let mut rules = Rules::default();
    rules.incident.acknowledge_for = Some(Span::from_hours(1));
    let mut bench = firing_since_ten(Bench::with(rules));
    let acknowledge = |until| Command::Acknowledge { until };
    bench.at("10:05").command(1, acknowledge(None));
    bench.at("11:04");
    assert_eq!(bench.state_of(1), Some(StateWord::Acknowledged));
    bench.at("11:06");
    assert_eq!(bench.state_of(1), Some(StateWord::New));
    bench.command(1, acknowledge(Some(t("13:00"))));
    bench.at("12:59");
    assert_eq!(bench.state_of(1), Some(StateWord::Acknowledged));
    bench.at("13:01");
    assert_eq!(bench.state_of(1), Some(StateWord::New));
}

#[test]
fn hold_that_ends_during_the_recovery_does_not_resolve_early() {
    let mut bench = firing_since_ten(Bench::new());
    bench.command(1, hold("10:32"));
    bench.at("10:30").resolved("F", "10:00", "10:29");
    bench.at("10:40");
    bench.reads(&[
        "10:00:00 INC-1 put_on_hold (a part is on its way)",
        "10:00:30 INC-1 incident_announced",
        "10:30:00 INC-1 F alert_resolved",
        "10:30:00 INC-1 recovery_started",
        "10:32:00 INC-1 hold_ended",
        "10:35:00 INC-1 recovery_sustained",
    ]);
}

#[test]
fn recovery_and_acknowledgement_that_end_in_one_look_resolve() {
    let mut bench = firing_since_ten(Bench::new());
    let until = Some(t("10:32"));
    bench.command(1, Command::Acknowledge { until });
    bench.at("10:30").resolved("F", "10:00", "10:29");
    bench.leap(Span::from_mins(10));
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
    assert_eq!(bench.count(Reason::AcknowledgeExpired), 0);
}

#[test]
fn reopened_incident_waits_for_people_and_takes_its_alert_back_after_weeks() {
    let mut bench = firing_since_ten(Bench::new());
    bench.at("10:30");
    bench.command(1, Command::Resolve { note: None });
    bench.command(1, Command::Reopen { reason: None });
    let until = Some(t("12:00"));
    bench.command(1, Command::Acknowledge { until });
    bench.at("20d 10:00");
    assert_eq!(
        bench.state_of(1),
        Some(StateWord::New),
        "not resolved by time"
    );
    bench.firing("F", "20d 10:00");
    assert_eq!(bench.incidents(), (1, 1), "no second incident beside it");
    bench.resolved("F", "20d 10:00", "20d 10:01");
    bench.at("20d 10:05");
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
}

#[test]
fn closing_an_old_incident_leaves_the_alert_of_the_later_one_alone() {
    let mut bench = firing_since_ten(Bench::new());
    bench.at("10:30").resolved("F", "10:00", "10:29");
    bench.at("11:00").firing("F", "11:00");
    bench.command(1, Command::Close);
    assert!(bench.is_firing("F"));
    assert_eq!(bench.incident(2).recovers_at, None);
}

#[test]
fn linked_incident_takes_the_alerts_over() {
    let mut bench = firing_since_ten(Bench::new());
    bench.at("10:30").resolved("F", "10:00", "10:29");
    bench.at("11:00");
    let reason = Some("again".into());
    let decision = bench.order(1, Command::Reopen { reason });
    assert_eq!(
        decision.incident,
        IncidentId::new(2),
        "the answer names the new one"
    );
    bench.at("11:10").firing("F", "11:09");
    assert_eq!((bench.incidents(), bench.incident(2).firing), ((2, 1), 1));
}

#[test]
fn messages_are_counted_for_the_incident_that_they_belong_to() {
    let mut bench = Bench::new();
    bench.at("09:00").resolved("F", "08:00", "08:30");
    bench.resolved("F", "08:00", "08:30");
    bench.at("10:00").firing("F", "10:00");
    bench.firing("F", "10:00");
    bench.at("10:30").resolved("F", "10:00", "10:29");
    bench.at("11:00").firing("F", "11:00");
    let left = bench.ledger.left[&IncidentId::new(1).unwrap()];
    let alert = bench.alert("F");
    assert_eq!(
        (left, alert.count - alert.count_before, alert.count),
        (3, 1, 6)
    );
}

#[test]
fn priority_follows_the_severity_of_a_single_alert() {
    let mut bench = firing_since_ten(Bench::new());
    for (severity, priority) in [
        (Severity::Critical, Priority::P2),
        (Severity::Warning, Priority::P4),
        (Severity::Low, Priority::P5),
        (Severity::Info, Priority::P5),
    ] {
        bench.hear(firing("F").start("10:00").severity(severity));
        assert_eq!(bench.incident(1).priority, priority);
    }
    bench.reads(&[
        "10:00:00 INC-1 F severity_changed (high to critical)",
        "10:00:00 INC-1 F priority_changed (P3 to P2)",
        "10:00:00 INC-1 F severity_changed (critical to warning)",
        "10:00:00 INC-1 F priority_changed (P2 to P4)",
        "10:00:00 INC-1 F severity_changed (warning to low)",
        "10:00:00 INC-1 F priority_changed (P4 to P5)",
        "10:00:00 INC-1 F severity_changed (low to info)",
    ]);
}

/// Only a change of severity is worth writing incident and ticket again: a text may count something up.
#[test]
fn title_follows_a_lone_alert_that_is_worse_now() {
    let mut bench = firing_since_ten(Bench::new());
    let title = |bench: &Bench| bench.ledger.titles[&bench.incident(1).id].clone();
    assert_eq!(title(&bench), "F is broken");
    bench.hear(firing("F").start("10:00").summed_up("F: 81 %"));
    assert_eq!(title(&bench), "F is broken");
    let worse = firing("F").start("10:00").summed_up("F: 99.5 %");
    bench.hear(worse.severity(Severity::Critical));
    assert_eq!(title(&bench), "F: 99.5 %");
}

#[test]
fn restart_gives_every_firing_alert_a_full_expiry() {
    let mut bench = firing_since_ten(Bench::new());
    bench.hear(firing("G").start("10:00").end("10:04"));
    bench.restart(Span::from_hours(12));
    assert!(bench.is_firing("F") && bench.is_firing("G"));
    bench.at("22:04");
    assert_eq!(
        bench.ended_by("G"),
        Some(EndedBy::Expired),
        "its four minutes"
    );
    bench.at("1d 06:59:59");
    assert!(bench.is_firing("F"));
    bench.at("1d 07:00");
    assert_eq!(
        bench.ended_by("F"),
        Some(EndedBy::Expired),
        "its nine hours"
    );
}

#[test]
fn poll_does_not_undo_what_a_person_did_until_a_person_does() {
    let mut bench = firing_since_ten(Bench::polled());
    bench.at("10:30");
    bench.command(1, Command::Resolve { note: None });
    bench.at("10:31").poll(&[("F", false)]);
    assert_eq!(bench.ended_by("F"), Some(EndedBy::Person));
    bench.command(1, Command::Reopen { reason: None });
    bench.at("10:32").poll(&[("F", false)]);
    assert!(
        bench.is_firing("F"),
        "the source and a person say that it is not over"
    );
}

#[test]
fn what_was_heard_after_the_poll_was_sent_knows_better() {
    let mut bench = firing_since_ten(Bench::polled());
    let asked_at = t("09:59:59");
    bench.poll_asked_at(asked_at, None, &[]);
    let gone = vec![bench.alert("F").id];
    let stale = |gone: Vec<_>, asked_at: Timestamp| {
        Input::SourcePolled(PollDifference {
            asked_at: Some(asked_at),
            gone,
            ..PollDifference::default()
        })
    };
    bench.happen(&stale(gone.clone(), asked_at));
    assert!(
        bench.is_firing("F"),
        "the poll was sent before the alert fired"
    );
    bench.happen(&stale(gone, t("10:00")));
    assert_eq!(bench.ended_by("F"), Some(EndedBy::Reconciled));
    bench
        .at("10:01")
        .poll_asked_at(asked_at, None, &[("F", false)]);
    assert!(
        !bench.is_firing("F"),
        "a poll from before the end does not bring it back"
    );
    // A parked firing that was repeated since is not denied either.
    bench.resolved("F", "10:00", "10:00:30");
    bench.firing("F", "10:00");
    bench.poll_asked_at(t("10:00:59"), None, &[]);
    assert_eq!(bench.count(Reason::LateFiringDiscarded), 0);
}

#[test]
fn resolve_by_the_source_after_a_poll_ended_it_stands_against_the_list() {
    let mut bench = firing_since_ten(Bench::polled());
    bench.at("10:30").poll(&[]);
    bench
        .at("10:31")
        .hear(resolved("F").start("10:00").end("10:30"));
    bench.at("10:32").poll(&[("F", false)]);
    assert_eq!(bench.ended_by("F"), Some(EndedBy::Resolved));
}

#[test]
fn page_that_is_given_back_leaves_no_reminder() {
    let mut bench = firing_since_ten(Bench::new());
    bench.at("10:30");
    let mut state = bench.state.clone();
    let mut decision = Decision::because(Reason::AlertForgotten);
    decision.change(Change::AlertForgotten(bench.alert("F").id));
    state.apply(&decision);
    assert_eq!((state.next_deadline(), state.alert_count()), (None, 0));
    assert!(state.counts().firing.is_empty());
}
