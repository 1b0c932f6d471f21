//! What goes into the outbox, counted exactly: once for the opening, once for the end, and nothing else.

use smol_str::SmolStr;
use watchbell::core::condition::{Condition, Section};
use watchbell::core::decision::Change;
use watchbell::core::ids::IncidentId;
use watchbell::core::input::{Command, Input};
use watchbell::core::rules::Rules;
use watchbell::core::tell::event::{Event, EventSet};
use watchbell::core::tell::route::Route;
use watchbell::core::tell::undelivered::Undelivered;
use watchbell::core::tell::{TellChange, TellRules};
use watchbell::core::time::Span;

use crate::support::claim::{clock, firing};
use crate::support::world::Bench;

fn bench(targets: &[&str], routes: Vec<Route>) -> Bench {
    let targets = targets
        .iter()
        .map(|name| (SmolStr::new(name), EventSet::default()));
    Bench::with(Rules {
        tell: TellRules {
            targets: targets.collect(),
            routes,
        },
        ..Rules::default()
    })
}

fn route(when: Option<&str>, targets: &[&str]) -> Route {
    let rule = "route[0]";
    let when = when.map(|when| Condition::compile(Section::Route, rule, when).unwrap());
    Route {
        when: when.unwrap_or_else(|| Condition::always(Section::Route, rule)),
        zone: jiff::tz::TimeZone::UTC,
        team: None,
        targets: targets.iter().map(SmolStr::new).collect(),
        escalation: None,
        goes_on: false,
    }
}

/// Everything queued so far: time, target, incident, event.
fn queued(bench: &Bench) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, decision) in &bench.recorded {
        for change in &decision.changes {
            if let Change::Tell(TellChange::Queued(message)) = change {
                let incident = message.incident.unwrap();
                let event = message.event.word();
                lines.push(format!(
                    "{} {} {incident} {event}",
                    clock(*at),
                    message.target
                ));
            }
        }
    }
    lines
}

/// A tour of everything that telling writes into timelines.
pub(crate) fn tour() -> Bench {
    let mut bench = bench(&["hook"], Vec::new());
    bench.at("10:00").firing("F", "10:00");
    let lost = Undelivered {
        incident: IncidentId::new(1).unwrap(),
        target: "hook".into(),
        event: "incident.opened".into(),
        error: "it answered 400".into(),
    };
    bench.happen(&Input::MessageLost(lost));
    bench.at("10:30").resolved("F", "10:00", "10:29");
    bench.at("11:00");
    bench
}

/// A route that names only a team tells that team, by whatever it has.
#[test]
fn team_without_a_ladder_is_told_where_its_route_names_no_target() {
    let rules = crate::on_call::policy(
        r#"
        [[target]]
        name = "db-chat"
        kind = "webhook"
        url = "https://chat.example/hook"
        [[target]]
        name = "log"
        kind = "webhook"
        url = "https://log.example/hook"
        [[team]]
        name = "db"
        targets = ["db-chat"]
        [[route]]
        when = "severity == 'critical'"
        team = "db"
        targets = ["log"]
        [[route]]
        team = "db"
        "#,
    );
    let mut bench = Bench::with(rules);
    bench.at("10:00:00").firing("F", "10:00:00");
    bench.at("11:00:00");
    bench.hear(
        firing("G")
            .start("11:00:00")
            .severity(watchbell::core::severity::Severity::Critical),
    );
    bench.at("12:00:00");
    assert_eq!(
        queued(&bench),
        [
            "10:00:30 db-chat INC-1 incident.opened",
            "11:00:10 log INC-2 incident.opened",
        ]
    );
}

/// S2: both halves of a pair, retries, and a contradiction.
#[test]
fn pair_with_retries_is_one_page_and_one_end() {
    let mut bench = bench(&["hook"], Vec::new());
    bench.at("10:00:00").firing("F", "09:59:58");
    for _ in 0..14 {
        bench.after(Span::from_millis(250)).firing("F", "09:59:58");
    }
    bench.at("10:00:04").firing("F", "09:59:58");
    bench.at("10:20:00").resolved("F", "09:59:58", "10:19:50");
    bench.at("10:20:05").firing("F", "09:59:58");
    bench.at("10:20:10").resolved("F", "09:59:58", "10:19:50");
    bench.at("12:00:00");
    assert_eq!(
        queued(&bench),
        [
            "10:00:30 hook INC-1 incident.opened",
            "10:25:00 hook INC-1 incident.resolved",
        ]
    );
}

/// S3: thirteen changes in twenty minutes.
#[test]
fn flapping_alert_is_one_page_and_one_end() {
    let mut bench = bench(&["hook"], Vec::new());
    bench.at("10:00:00");
    for round in 0..7 {
        let start = format!("10:{:02}:00", round * 3);
        bench.at(&start).firing("F", &start);
        let end = format!("10:{:02}:30", round * 3 + 1);
        bench.at(&end).resolved("F", &start, &end);
    }
    bench.at("11:30:00");
    let told = queued(&bench);
    let of = |event: &str| told.iter().filter(|line| line.ends_with(event)).count();
    assert_eq!(
        (of("incident.opened"), of("incident.resolved"), told.len()),
        (1, 1, 2),
        "{told:?}"
    );
}

#[test]
fn what_recovers_before_it_settles_is_told_to_nobody() {
    let mut bench = bench(&["hook"], Vec::new());
    bench.rules.incident.recover_after = Span::from_secs(5);
    bench.at("10:00:00").firing("F", "10:00:00");
    bench.at("10:00:10").resolved("F", "10:00:00", "10:00:09");
    bench.at("11:00");
    assert_eq!(queued(&bench), Vec::<String>::new());
}

#[test]
fn who_has_taken_it_before_it_settles_is_not_paged() {
    let mut bench = bench(&["hook"], Vec::new());
    bench.at("10:00:00").firing("F", "10:00:00");
    bench
        .at("10:00:05")
        .command(1, Command::Acknowledge { until: None });
    bench.at("10:30:00").resolved("F", "10:00:00", "10:29:00");
    bench.at("11:00");
    assert_eq!(queued(&bench), Vec::<String>::new());
}

#[test]
fn acknowledgement_that_ends_is_told_again() {
    let mut bench = bench(&["hook"], Vec::new());
    bench.at("10:00:00").firing("F", "10:00:00");
    bench.at("10:01:00");
    let until = Some(crate::support::claim::t("10:30"));
    bench.command(1, Command::Acknowledge { until });
    bench.at("10:40:00");
    assert_eq!(
        queued(&bench),
        [
            "10:00:30 hook INC-1 incident.opened",
            "10:30:00 hook INC-1 incident.escalated",
        ]
    );
}

#[test]
fn rise_is_told_to_those_who_know_and_its_routes_bring_in_others() {
    use watchbell::core::severity::Severity;
    let routes = vec![
        route(Some("incident.priority <= 'P2'"), &["pager", "chat"]),
        route(None, &["chat"]),
    ];
    let mut bench = bench(&["pager", "chat"], routes);
    bench.at("10:00:00");
    bench.hear(firing("F").start("10:00:00").severity(Severity::Warning));
    bench.at("10:05:00");
    bench.hear(firing("F").start("10:00:00").severity(Severity::Critical));
    bench.at("10:06:00");
    bench.hear(
        firing("F")
            .start("10:00:00")
            .severity(Severity::Critical)
            .text(2),
    );
    bench.at("10:30:00").resolved("F", "10:00:00", "10:29:00");
    bench.at("11:00:00");
    assert_eq!(
        queued(&bench),
        [
            "10:02:00 chat INC-1 incident.opened",
            "10:05:00 chat INC-1 incident.priority_raised",
            "10:05:00 pager INC-1 incident.opened",
            "10:35:00 chat INC-1 incident.resolved",
            "10:35:00 pager INC-1 incident.resolved",
        ]
    );
}

#[test]
fn first_route_that_matches_decides_unless_it_goes_on() {
    let mut first = route(Some("severity == 'high'"), &["a"]);
    first.goes_on = true;
    let routes = vec![
        first,
        route(Some("incident.priority < 'P2'"), &["d"]),
        route(Some("incident.no.such.field"), &["d"]),
        route(Some("incident.priority == 'P3' and now.hour == 10"), &["b"]),
        route(None, &["c"]),
    ];
    let mut bench = bench(&["a", "b", "c", "d"], routes);
    bench.at("10:00:00").firing("F", "10:00:00");
    bench.at("11:00:00").firing("G", "11:00:00");
    bench.at("12:00:00");
    assert_eq!(
        queued(&bench),
        [
            "10:00:30 a INC-1 incident.opened",
            "10:00:30 b INC-1 incident.opened",
            "11:00:30 a INC-2 incident.opened",
            "11:00:30 c INC-2 incident.opened",
        ]
    );
}

#[test]
fn targets_hear_only_the_events_that_they_ask_for() {
    let mut bench = bench(&["hook", "end"], Vec::new());
    let only_end = EventSet::NONE
        .with(Event::Resolved)
        .with(Event::Acknowledged);
    bench.rules.tell.targets.insert("end".into(), only_end);
    bench.at("10:00:00").firing("F", "10:00:00");
    bench
        .at("10:01:00")
        .command(1, Command::Acknowledge { until: None });
    bench.at("10:30:00").resolved("F", "10:00:00", "10:29:00");
    bench.at("11:00");
    assert_eq!(
        queued(&bench),
        [
            "10:00:30 hook INC-1 incident.opened",
            "10:01:00 end INC-1 incident.acknowledged",
            "10:35:00 end INC-1 incident.resolved",
            "10:35:00 hook INC-1 incident.resolved",
        ]
    );
}

#[test]
fn reopened_incident_is_told_open_again() {
    let mut bench = bench(&["hook"], Vec::new());
    bench.at("10:00").firing("F", "10:00");
    bench.at("10:10").resolved("F", "10:00", "10:09");
    bench.at("10:20").firing("F", "10:20");
    bench.at("10:30").resolved("F", "10:20", "10:29");
    bench.at("11:00");
    assert_eq!(
        queued(&bench),
        [
            "10:00:30 hook INC-1 incident.opened",
            "10:15:00 hook INC-1 incident.resolved",
            "10:20:00 hook INC-1 incident.opened",
            "10:35:00 hook INC-1 incident.resolved",
        ]
    );
}
