//! Priorities and service level clocks as timelines on virtual time. Business time itself is in `calendar`.

mod calendar;
mod daemon;
mod deadlines;
mod laws;

use std::sync::Arc;

use jiff::tz::TimeZone;
use watchbell::core::calendar::{Calendar, Window};
use watchbell::core::condition::{Condition, Section};
use watchbell::core::ids::IncidentId;
use watchbell::core::input::Command;
use watchbell::core::reason::Reason;
use watchbell::core::rules::{Rules, SourceRules};
use watchbell::core::severity::{Priority, Severity};
use watchbell::core::sla::{Clock, ClockKind, ClockState, SlaRule, SlaRules, words};
use watchbell::core::time::Span;

use crate::support::claim::{SOURCE, Said, clock, firing, resolved, t};
use crate::support::estate::Estate;
use crate::support::world::Bench;

const MINUTE: Span = Span::from_mins(1);

/// Working hours with a break, in that zone.
fn office(zone: &str) -> Calendar {
    let mut office = Calendar::always("office".into(), TimeZone::get(zone).unwrap());
    let window = |from: u16, to: u16| Window {
        from: from * 60,
        to: to * 60,
    };
    for (day, windows) in office.week.iter_mut().enumerate() {
        *windows = if day < 5 {
            vec![window(8, 12), window(13, 17)]
        } else {
            Vec::new()
        };
    }
    office
}

fn rule(name: &str, when: &str, targets: (&str, &str), calendar: Option<&str>) -> SlaRule {
    let span = |text: &str| Span::from_mins(text.parse().unwrap());
    SlaRule {
        when: Condition::compile(Section::Sla, name, when).unwrap(),
        response: Some(span(targets.0)),
        resolution: Some(span(targets.1)),
        calendar: calendar.map(Into::into),
        warn_at: vec![500, 800],
    }
}

fn rules(rules: Vec<SlaRule>) -> Rules {
    let office = Arc::new(office("Europe/Berlin"));
    let patient = SourceRules {
        expire_after: Span::from_days(400),
        ..SourceRules::default()
    };
    Rules {
        sla: SlaRules {
            rules,
            calendars: [(office.name.clone(), office)].into(),
        },
        // An alert that nobody repeats must not end the clocks.
        sources: [(SOURCE.into(), patient)].into(),
        ..Rules::default()
    }
}

/// Fast around the clock for what is urgent, working hours for the rest.
pub(crate) fn both_kinds() -> SlaRules {
    rules(vec![
        rule("fast", "incident.priority <= 'P2'", ("2", "10"), None),
        rule(
            "office",
            "labels.team == 'db'",
            ("30", "240"),
            Some("office"),
        ),
    ])
    .sla
}

fn bench() -> Bench {
    Bench::with(rules(vec![
        rule("fast", "incident.priority <= 'P2'", ("10", "60"), None),
        rule(
            "office",
            "incident.priority == 'P3'",
            ("30", "240"),
            Some("office"),
        ),
    ]))
}

fn clock_of(bench: &Bench, kind: ClockKind) -> Clock {
    let clocks = bench
        .state
        .practice()
        .sla
        .get(IncidentId::new(1).unwrap())
        .unwrap();
    clocks.get(kind).unwrap().clone()
}

/// `state, elapsed minutes, due time` of a clock.
fn shown(bench: &Bench, kind: ClockKind) -> String {
    let held = clock_of(bench, kind);
    let name = held.target.as_ref().and_then(|it| it.calendar.as_ref());
    let calendar = bench.rules.sla.calendar(name);
    let minutes = held.elapsed(calendar, bench.now).as_millis() / 60_000;
    let due = held.due_at.map_or("-".to_owned(), clock);
    format!("{} {minutes} {due}", held.state().unwrap().word())
}

fn critical(name: &str) -> Said {
    firing(name).severity(Severity::Critical)
}

fn high(name: &str) -> Said {
    firing(name).severity(Severity::High)
}

fn hold() -> Command {
    Command::Hold {
        reason: "a part is on its way".into(),
        until: None,
    }
}

fn set(priority: Option<Priority>) -> Command {
    Command::Priority {
        priority,
        reason: "seen on site".into(),
    }
}

/// Everything that clocks and priorities come to, for the list of reasons.
pub(crate) fn tour() -> Bench {
    let mut bench = bench();
    bench.at("10:00").hear(high("F"));
    bench.at("12:00");
    bench.command(1, set(Some(Priority::P1)));
    bench.command(1, set(None));
    bench
}

#[test]
fn clocks_run_in_business_time_warn_and_are_breached() {
    let mut bench = bench();
    // Monday 14:00 in Berlin.
    bench.at("12:00").hear(high("F"));
    assert_eq!(shown(&bench, ClockKind::Response), "running 0 12:30:00");
    assert_eq!(
        shown(&bench, ClockKind::Resolution),
        "running 0 1d 07:00:00",
        "three hours on Monday until 17:00, one on Tuesday from 08:00"
    );
    bench
        .at("12:10")
        .command(1, Command::Acknowledge { until: None });
    assert_eq!(shown(&bench, ClockKind::Response), "met 10 12:30:00");
    bench.at("1d 08:00");
    assert_eq!(
        shown(&bench, ClockKind::Resolution),
        "breached 300 1d 07:00:00"
    );
    bench.reads(&[
        "12:00:00 INC-1 F incident_opened",
        "12:00:30 INC-1 incident_announced",
        "12:10:00 INC-1 acknowledged",
        "14:00:00 INC-1 sla_warned (resolution: 50 % of 4 h (office) have gone by)",
        "1d 06:12:00 INC-1 sla_warned (resolution: 80 % of 4 h (office) have gone by)",
        "1d 07:00:00 INC-1 sla_breached (resolution: 4 h (office) have gone by; nobody had it)",
    ]);
    let clock = clock_of(&bench, ClockKind::Resolution);
    let calendar = bench.rules.sla.calendar(Some(&"office".into()));
    assert_eq!(
        words::computed(ClockKind::Resolution, &clock, calendar, bench.now),
        "Resolution within 4 h in the hours of calendar office (Europe/Berlin), by rule office; counted from \
         2026-05-04 14:00:00, 5 h have counted; missed at 2026-05-05 09:00:00."
    );
}

#[test]
fn hold_pauses_and_a_reopened_incident_goes_on_counting() {
    let mut bench = bench();
    bench.at("10:00").hear(critical("F"));
    assert_eq!(shown(&bench, ClockKind::Resolution), "running 0 11:00:00");
    bench.at("10:20").command(1, hold());
    assert_eq!(shown(&bench, ClockKind::Resolution), "paused 20 -");
    bench.at("12:00").command(1, Command::Resume);
    assert_eq!(shown(&bench, ClockKind::Resolution), "running 20 12:40:00");
    bench
        .at("12:10")
        .command(1, Command::Resolve { note: None });
    assert_eq!(shown(&bench, ClockKind::Resolution), "met 30 12:40:00");
    bench
        .at("12:20")
        .command(1, Command::Reopen { reason: None });
    assert_eq!(shown(&bench, ClockKind::Resolution), "running 30 12:50:00");
    assert_eq!(shown(&bench, ClockKind::Response), "breached 20 10:10:00");
}

#[test]
fn another_priority_keeps_what_was_counted() {
    let mut bench = bench();
    // 10:00 in Berlin.
    bench.at("08:00").hear(high("F"));
    assert_eq!(shown(&bench, ClockKind::Resolution), "running 0 13:00:00");
    bench.at("08:30").command(1, set(Some(Priority::P2)));
    assert_eq!(shown(&bench, ClockKind::Resolution), "running 30 09:00:00");
    assert_eq!(
        bench.count(Reason::SlaBreached),
        1,
        "the response was due at once"
    );
    bench.at("08:40").command(1, set(None));
    assert_eq!(bench.incident(1).priority, Priority::P3);
    assert_eq!(shown(&bench, ClockKind::Resolution), "running 40 13:00:00");
    assert_eq!(shown(&bench, ClockKind::Response), "breached 40 08:30:00");
}

#[test]
fn what_comes_after_the_deadline_has_missed_it_whoever_looked() {
    for is_restarted in [false, true] {
        let mut bench = bench();
        bench.at("10:00").hear(critical("F"));
        bench.at("10:04");
        if is_restarted {
            bench.restart(Span::from_mins(30));
        } else {
            bench.stall(Span::from_mins(30));
        }
        bench.command(1, Command::Acknowledge { until: None });
        assert_eq!(shown(&bench, ClockKind::Response), "breached 34 10:10:00");
        assert_eq!(bench.count(Reason::SlaBreached), 1, "once");
        bench.restart(MINUTE);
        bench.at("13:00");
        assert_eq!(
            bench.count(Reason::SlaBreached),
            2,
            "and the resolution, once"
        );
        assert_eq!(
            bench.count(Reason::SlaWarned),
            2,
            "50 % and 80 % of the resolution"
        );
    }
}

#[test]
fn what_went_away_by_itself_was_not_responded_to() {
    let mut bench = bench();
    bench.at("10:00").hear(critical("F").start("10:00"));
    bench
        .at("10:01")
        .hear(resolved("F").start("10:00").end("10:01"));
    bench.at("10:07");
    assert_eq!(shown(&bench, ClockKind::Response), "met 6 10:10:00");
    bench.at("10:08").hear(critical("F").start("10:08"));
    assert_eq!(shown(&bench, ClockKind::Response), "running 6 10:12:00");
    assert_eq!(
        clock_of(&bench, ClockKind::Response).state(),
        Some(ClockState::Running)
    );
}

#[test]
fn services_reached_raise_the_priority_at_once_and_lower_it_later() {
    let estate = Estate::new()
        .ci("sw1", "switch")
        .ci("vm1", "vm")
        .on("vm1", "sw1")
        .ci("checkout", "service")
        .criticality(1)
        .on("checkout", "vm1");
    let mut bench = Bench::new();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    let down = |name: &str| high(name).labelled(&[("alertname", "InstanceDown"), ("ci", name)]);
    bench.at("10:00").hear(down("vm1"));
    assert_eq!(
        bench.incident(1).priority,
        Priority::P2,
        "impact 1, urgency 2"
    );
    let grade = bench
        .state
        .practice()
        .standings
        .get(IncidentId::new(1).unwrap())
        .unwrap()
        .grade;
    assert_eq!((grade.impact, grade.urgency), (1, 2));
    bench.at("10:10").command(1, set(Some(Priority::P4)));
    bench.hear(down("sw1"));
    assert_eq!(
        bench.incident(1).priority,
        Priority::P4,
        "a person's word holds"
    );
    bench.restart(MINUTE);
    bench.command(1, set(None));
    assert_eq!(bench.incident(1).priority, Priority::P2);
    assert_eq!(clock(bench.now), clock(t("10:11")));
}
