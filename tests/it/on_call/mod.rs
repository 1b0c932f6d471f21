//! Who is on call, and what becomes of an incident that nobody takes: as timelines.
//!
//! Schedules themselves are compared with a reference in the core. Must not repeat that.

mod daemon;
pub(crate) mod ladders;
mod laws;

use std::fs;

use watchbell::config::{Env, LoadRequest, load, rules};
use watchbell::core::decide::{World, decide};
use watchbell::core::input::Input;
use watchbell::core::oncall::overrides::{OVERRIDES_MAX, OverrideOrder};
use watchbell::core::oncall::schedule::Schedule;
use watchbell::core::oncall::{OverrideGiven, OverrideId};
use watchbell::core::reason::Reason;
use watchbell::core::rules::Rules;

use crate::support::claim::t;
use crate::support::world::Bench;

/// The policy that a file asks for.
pub(crate) fn policy(text: &str) -> Rules {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("watchbell.toml");
    fs::write(&file, text).unwrap();
    let request = LoadRequest::new(Some(file), Env::fixed([]));
    match load(&request) {
        Ok(settings) => rules(&settings),
        Err(errors) => panic!("{errors}"),
    }
}

const WEEKLY: &str = r#"
[[person]]
name = "ana"
[[schedule]]
name = "net"
zone = "Europe/Berlin"
members = ["ana", "ben"]
start = "2026-11-23"
[[team]]
name = "network"
schedule = "net"
"#;

fn given(order: OverrideOrder) -> Input {
    let actor = "ana".into();
    Input::OverrideGiven(OverrideGiven { order, actor })
}

fn make(schedule: &str, from: &str, to: &str) -> Input {
    given(OverrideOrder::Make {
        schedule: schedule.into(),
        person: Some("ben".into()),
        replaces: None,
        from: t(from),
        to: t(to),
        comment: "dentist".into(),
    })
}

fn end(number: i64) -> Input {
    let id = OverrideId::new(number);
    given(OverrideOrder::End { id })
}

/// Everything that can be said about overrides.
pub(crate) fn tour() -> Bench {
    let mut bench = Bench::with(policy(WEEKLY));
    bench.at("10:00");
    for (input, expected) in [
        (make("net", "11:00", "12:00"), Reason::OverrideMade),
        (make("ten", "11:00", "12:00"), Reason::UnknownSchedule),
        (make("net", "08:00", "09:00"), Reason::OverrideEndsTooEarly),
        (make("net", "12:00", "11:00"), Reason::OverrideEndsTooEarly),
        (end(1), Reason::OverrideEnded),
        (end(1), Reason::UnknownOverride),
        (end(7), Reason::UnknownOverride),
    ] {
        assert_eq!(bench.happen(&input).reason, expected);
    }
    // Bare decisions: the bench's checks look at everything after each step.
    let (mut state, mut ids) = (bench.state.clone(), bench.ids.clone());
    let mut order = || {
        let world = World {
            state: &state,
            rules: &bench.rules,
        };
        let decision = decide(world, &make("net", "11:00", "12:00"), bench.now, &mut ids);
        state.apply(&decision);
        decision
    };
    for _ in 0..OVERRIDES_MAX {
        assert_eq!(order().reason, Reason::OverrideMade);
    }
    let refused = order();
    assert_eq!(refused.reason, Reason::TooManyOverrides);
    bench.ledger.reasons.insert(refused.reason);
    bench
}

#[test]
fn overrides_survive_a_restart_and_leave_memory_when_they_are_over() {
    let mut bench = Bench::with(policy(WEEKLY));
    bench.at("10:00").happen(&make("net", "11:00", "12:00"));
    let second = bench.happen(&make("net", "11:30", "14:00"));
    assert_eq!(second.made, Some(2));
    bench.restart(watchbell::core::time::Span::from_mins(5));
    let people = |bench: &Bench, time: &str| {
        let schedule = &bench.rules.on_call.schedules["net"];
        let held = bench.state.on_call().overrides().of("net");
        schedule.at(&held, t(time)).0.join("+")
    };
    assert_eq!(people(&bench, "10:59"), people(&bench, "14:00"));
    assert_eq!(people(&bench, "11:00"), "ben");
    bench.at("13:00").happen(&end(2));
    assert_eq!(
        bench.state.on_call().overrides().of("net").len(),
        1,
        "the first is over"
    );
    assert_eq!(bench.happen(&make("net", "15:00", "16:00")).made, Some(3));
}

#[test]
fn other_names_for_the_same_are_understood() {
    let usual = "zone = \"Europe/Berlin\"\nmembers = [\"ana\", \"ben\"]\nrotation = \"weekly\"\n\
        handover = \"mon 09:00\"\nstart = \"2026-11-30\"";
    let schedule = |text: &str| {
        let rules = policy(&format!("[[schedule]]\nname = \"s\"\n{text}\n"));
        let mut schedule = rules.on_call.schedules["s"].clone();
        schedule.layers[0].name = "layer".into();
        schedule
    };
    for other in [
        "timezone = \"Europe/Berlin\"\nusers = [\"ana\", \"ben\"]\ntype = \"weekly\"\nhandoff = \"Monday 09:00\"\n\
         start = 2026-11-30",
        "zone = \"Europe/Berlin\"\nparticipants = [\"ana\", \"ben\"]\nevery = \"7d\"\nhandover_day = \"monday\"\n\
         handover_time = \"09:00\"\nstarts_at = \"2026-11-30\"",
        "zone = \"Europe/Berlin\"\nlayers = [{ people = [\"ana\", \"ben\"], shift = \"1w\", start = 2026-11-30T08:00:00Z }]",
        "zone = \"Europe/Berlin\"\n[[schedule.rotation]]\nmembers = [\"ana\", \"ben\"]\nlength = \"weekly\"\n\
         start = \"2026-11-30T09:00\"",
    ] {
        assert_eq!(schedule(other), schedule(usual), "{other}");
    }
}

/// Who is on call then, by the file alone.
fn on_call(schedule: &Schedule, at: &str) -> String {
    let at: jiff::Timestamp = at.parse().unwrap();
    let at = watchbell::core::time::Timestamp::from_millis(at.as_millisecond());
    schedule.at(&[], at).0.join("+")
}

#[test]
fn who_stands_in_may_be_known_beforehand() {
    let rules = policy(
        r#"
        [[schedule]]
        name = "s"
        zone = "Europe/Berlin"
        members = [["ana", "ben"]]
        overrides = [
          { person = "cem", from = "2026-12-24T09:00", to = "2026-12-25T09:00" },
          { user = "dina", replaces = "ben", start = 2026-12-26T08:00:00Z, end = 2026-12-26T09:00:00Z },
        ]
        "#,
    );
    let schedule = &rules.on_call.schedules["s"];
    let at = |text: &str| on_call(schedule, text);
    assert_eq!(at("2026-12-24T07:59:59Z"), "ana+ben");
    assert_eq!(at("2026-12-24T08:00:00Z"), "cem");
    assert_eq!(at("2026-12-25T08:00:00Z"), "ana+ben");
    assert_eq!(at("2026-12-26T08:30:00Z"), "ana+dina");
}

#[test]
fn a_file_is_read_as_it_is_meant() {
    let rules = policy(
        r#"
        [[schedule]]
        name = "s"
        zone = "Europe/Berlin"
        [[schedule.layer]]
        members = ["ana", ["ben", "cem"]]
        rotation = "daily"
        handover = "08:00"
        start = "2026-11-30"
        [[schedule.layer]]
        name = "nights"
        members = ["dina"]
        handover = "fri 18:00"
        start = "2026-11-30"
        hours = { mon-thu = "18:00-08:00", fri-sun = ["00:00-08:00", "18:00-24:00"] }
        "#,
    );
    let schedule = &rules.on_call.schedules["s"];
    let at = |text: &str| on_call(schedule, text);
    assert_eq!(at("2026-11-30T06:59:00Z"), "");
    assert_eq!(at("2026-11-30T07:00:00Z"), "ana");
    assert_eq!(at("2026-12-01T07:00:00Z"), "ben+cem");
    assert_eq!(
        at("2026-12-01T17:00:00Z"),
        "ben+cem",
        "nights begin on friday"
    );
    assert_eq!(at("2026-12-04T17:00:00Z"), "dina");
    assert_eq!(at("2026-12-05T06:59:00Z"), "dina");
    assert_eq!(at("2026-12-05T07:00:00Z"), "ben+cem");
    assert!(
        rules.on_call.people.contains_key("dina"),
        "named only in a schedule"
    );
}
