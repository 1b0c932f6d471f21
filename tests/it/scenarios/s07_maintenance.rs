//! S7: maintenance windows and every edge of theirs.
//!
//! Must not wait: windows begin and end on virtual time.

use jiff::tz::TimeZone;
use watchbell::core::decision::Decision;
use watchbell::core::ids::WindowId;
use watchbell::core::incident::StateWord;
use watchbell::core::input::Input;
use watchbell::core::mute::parts::WindowParts;
use watchbell::core::mute::plan::{WindowGiven, WindowOrder};
use watchbell::core::mute::window::{Once, Origin, Plan, WindowWanted};
use watchbell::core::mute::{Scope, is_held};
use watchbell::core::reason::Reason;
use watchbell::core::silence::parse_matchers;
use watchbell::core::time::{Span, Timestamp};

use crate::support::claim::{firing, t};
use crate::support::estate::Estate;
use crate::support::world::Bench;

/// A window from one time to another about alerts with these labels.
pub(crate) fn window(name: &str, matchers: &str, from: &str, to: &str) -> WindowWanted {
    WindowWanted {
        name: name.into(),
        reason: "firmware".into(),
        created_by: "ana".into(),
        plan: Plan::Once(Once {
            starts_at: t(from),
            ends_at: t(to),
        }),
        matchers: parse_matchers(matchers).unwrap(),
        scope: Scope::default(),
    }
}

impl Bench {
    /// Somebody orders something about windows; what fires already is compared with them.
    pub(crate) fn order_window(&mut self, order: WindowOrder) -> Decision {
        let actor = "ana".into();
        let decision = self.happen(&Input::WindowGiven(Box::new(WindowGiven { order, actor })));
        self.sweep();
        decision
    }

    pub(crate) fn plan(&mut self, wanted: WindowWanted) -> Decision {
        let origin = Origin::Api;
        self.order_window(WindowOrder::Make { wanted, origin })
    }

    pub(crate) fn cancel(&mut self, id: i64) -> Decision {
        let window = WindowId::new(id).unwrap();
        self.order_window(WindowOrder::Cancel { window })
    }

    fn announced_at(&self, id: i64) -> Option<Timestamp> {
        self.incident(id).announced_at
    }

    pub(crate) fn held(&self, id: i64) -> bool {
        is_held(&self.state, self.incident(id).id)
    }
}

fn hears(bench: &mut Bench, name: &str, team: &str) {
    let labels = [("alertname", name), ("team", team)];
    bench.hear(firing(name).start("00:30").labelled(&labels));
}

/// A and D fire before the window, E too and is in a second one, which ends later.
fn before_the_window() -> Bench {
    let mut bench = Bench::new();
    bench
        .at("00:10")
        .plan(window("first", "team=~\"net|both\"", "01:00", "02:00"));
    bench.plan(window("second", "team=both", "01:00", "03:00"));
    bench.at("00:30");
    hears(&mut bench, "A", "net");
    hears(&mut bench, "D", "net");
    bench.at("00:50");
    assert!(bench.announced_at(1).is_some() && bench.announced_at(2).is_some());
    bench.at("01:00").sweep();
    bench
}

#[test]
fn every_alert_around_a_window_is_told_as_it_should() {
    let mut bench = before_the_window();
    assert!(bench.held(2), "D: escalation pauses from the begin on");
    bench.at("01:10");
    hears(&mut bench, "B", "net");
    hears(&mut bench, "C", "net");
    hears(&mut bench, "E", "both");
    bench.at("01:20").resolved("A", "00:30", "01:20");
    bench.resolved("B", "00:30", "01:20");
    bench.at("01:59");
    assert_eq!(
        bench.state_of(1),
        Some(StateWord::Resolved),
        "A: with notice"
    );
    assert!(bench.announced_at(1).is_some());
    assert_eq!(
        bench.state_of(3),
        Some(StateWord::Resolved),
        "B: recorded only"
    );
    assert_eq!([3, 4, 5].map(|id| bench.announced_at(id)), [None; 3]);
    assert_eq!(bench.count(Reason::AnnouncementHeld), 3);
    bench.at("02:00");
    assert_eq!(
        bench.announced_at(4),
        Some(t("02:00")),
        "C: at the end, once"
    );
    assert_eq!(bench.incident(4).opened_at, t("01:10"), "C: its true start");
    let told = bench.entries.iter().filter(|(_, entry)| {
        entry.reason == Reason::IncidentAnnounced && entry.incident == Some(bench.incident(4).id)
    });
    let notes: Vec<_> = told.map(|(_, entry)| entry.note.clone().unwrap()).collect();
    assert_eq!(
        *notes,
        [std::sync::Arc::from(
            "held by maintenance window MW-1 (first) until now"
        )]
    );
    assert!(!bench.held(2), "D: escalation goes on");
    assert_eq!(bench.announced_at(3), None, "B: never");
    assert!(
        bench.announced_at(5).is_none() && bench.held(5),
        "E: still in the second"
    );
    bench.restart(Span::from_mins(10));
    assert!(bench.held(5), "E: also after a restart");
    bench.at("03:00");
    assert_eq!(bench.announced_at(5), Some(t("03:00")), "E: released");
    bench.at("12:00");
    assert!(bench.state.windows().is_empty() && bench.state.silences().is_empty());
    assert_eq!(bench.announced_at(4), Some(t("02:00")));
}

#[test]
fn cancelling_looks_at_everything_at_once() {
    let mut bench = before_the_window();
    bench.at("01:10");
    hears(&mut bench, "C", "net");
    bench.at("01:30").cancel(1);
    assert_eq!(bench.announced_at(3), Some(t("01:30")));
    assert!(!bench.held(2));
    assert_eq!(bench.cancel(1).reason, Reason::UnknownWindow);
    bench.at("02:30");
    assert_eq!(bench.announced_at(3), Some(t("01:30")), "told once");
}

#[test]
fn a_restart_over_an_edge_misses_nothing_and_tells_nothing_twice() {
    let mut bench = before_the_window();
    bench.at("01:10");
    hears(&mut bench, "C", "net");
    // Killed before the end, started after it.
    bench.restart(Span::from_mins(60));
    assert!(bench.announced_at(3).is_some());
    let announced = bench.count(Reason::IncidentAnnounced);
    bench.restart(Span::from_mins(1));
    bench.at("04:00");
    assert_eq!(bench.count(Reason::IncidentAnnounced), announced);
    // Killed before the begin of a window, started inside.
    bench.plan(window("late", "team=net", "05:00", "06:00"));
    bench.at("04:50").restart(Span::from_mins(20));
    bench.sweep();
    assert!(bench.held(3));
    bench.at("06:00");
    assert!(!bench.held(3));
}

#[test]
fn a_change_takes_along_what_is_hidden_and_ends_move() {
    let mut bench = before_the_window();
    bench.at("01:10");
    hears(&mut bench, "C", "net");
    let change = |bench: &mut Bench, wanted| {
        let window = WindowId::new(1).unwrap();
        bench.order_window(WindowOrder::Change { window, wanted })
    };
    // Only the end: the same alerts.
    change(
        &mut bench,
        window("first", "team=~\"net|both\"", "01:00", "02:30"),
    );
    bench.at("02:10");
    assert!(bench.held(3) && bench.announced_at(3).is_none());
    // Other alerts: what is not meant any more is told.
    hears(&mut bench, "F", "db");
    bench.at("02:15");
    change(
        &mut bench,
        window("first", "team=~\"db|net\"", "01:00", "02:30"),
    );
    assert!(bench.held(3) && bench.announced_at(3).is_none(), "no gap");
    assert!(bench.held(4), "F is meant now");
    change(&mut bench, window("first", "team=db", "01:00", "02:30"));
    assert_eq!(bench.announced_at(3), Some(t("02:15")));
    change(&mut bench, window("first", "team=db", "03:00", "04:00"));
    assert!(!bench.held(4), "it has not begun");
    bench.at("03:00").sweep();
    assert!(bench.held(4));
}

fn weekly(zone: &str) -> WindowWanted {
    let parts = WindowParts {
        name: Some("weekly".to_owned()),
        reason: Some("patches".to_owned()),
        rrule: Some("FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30".to_owned()),
        duration: Some(Span::from_hours(1)),
        zone: Some(TimeZone::get(zone).unwrap()),
        matchers: parse_matchers("team=net").unwrap(),
        ..WindowParts::default()
    };
    parts.into_wanted(None).unwrap()
}

/// When the window holds, seen minute by minute over these days.
fn holds(zone: &str, from: &str, days: i64) -> Vec<String> {
    let at = |text: &str| {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(time.as_millisecond())
    };
    let mut bench = Bench::new();
    bench.now = at(from);
    bench.plan(weekly(zone));
    let labels = [("alertname", "F"), ("team", "net")];
    bench.hear(firing("F").labelled(&labels));
    let (mut edges, mut was_held) = (Vec::new(), false);
    for _ in 0..days * 24 * 2 {
        bench.after(Span::from_mins(30));
        bench.sweep();
        bench.hear(firing("F").labelled(&labels));
        let is_held = bench.held(1);
        if is_held != was_held {
            let now = jiff::Timestamp::from_millisecond(bench.now.as_millis()).unwrap();
            edges.push(format!("{now} {}", if is_held { "begins" } else { "ends" }));
        }
        was_held = is_held;
    }
    edges
}

#[test]
fn clocks_that_are_set_skip_and_double_no_occurrence() {
    assert_eq!(
        holds("Europe/Paris", "2026-03-22T12:00:00Z", 14),
        [
            "2026-03-29T01:00:00Z begins",
            "2026-03-29T02:00:00Z ends",
            "2026-04-05T00:30:00Z begins",
            "2026-04-05T01:30:00Z ends",
        ]
    );
    assert_eq!(
        holds("Europe/Paris", "2026-10-24T12:00:00Z", 8),
        [
            "2026-10-25T00:30:00Z begins",
            "2026-10-25T01:30:00Z ends",
            "2026-11-01T01:30:00Z begins",
            "2026-11-01T02:30:00Z ends",
        ]
    );
    assert_eq!(
        holds("America/New_York", "2026-03-07T12:00:00Z", 2),
        ["2026-03-08T07:00:00Z begins", "2026-03-08T08:00:00Z ends"]
    );
    assert_eq!(
        holds("America/New_York", "2026-10-31T12:00:00Z", 2),
        ["2026-11-01T07:30:00Z begins", "2026-11-01T08:30:00Z ends"]
    );
}

/// A switch with two hosts; one carries the shop alone, the other also something else.
fn estate() -> Estate {
    Estate::new()
        .ci("sw1", "switch")
        .ci("sw2", "switch")
        .ci("h1", "host")
        .ci("h2", "host")
        .ci("shop", "service")
        .ci("wiki", "service")
        .on("h1", "sw1")
        .on("h2", "sw1")
        .on("shop", "h1")
        .on("shop", "h2")
        .on("wiki", "h2")
}

fn hidden(scope: &Scope) -> Vec<&'static str> {
    let names = ["sw1", "sw2", "h1", "h2", "shop", "wiki"];
    let mut bench = Bench::new();
    let estate = estate();
    bench.state.change_graph(&estate.difference);
    bench.ledger.start_with(&estate.difference);
    // Half of them fire before the window begins, half of them after.
    for part in [&names[..3], &names[3..]] {
        for name in part {
            bench.hear(firing(name).labelled(&[("alertname", "Backup"), ("ci", name)]));
        }
        if part.len() == 3 && part[0] == "sw1" {
            bench.at("01:00").plan(WindowWanted {
                matchers: Vec::new(),
                scope: scope.clone(),
                ..window("scoped", "a=b", "01:00", "02:00")
            });
        }
    }
    let silences = bench.state.silences();
    let is_hidden = |name: &&str| silences.is_silenced(bench.alert(name).id);
    names.into_iter().filter(is_hidden).collect()
}

#[test]
fn scopes_are_by_ci_class_site_service_and_downstream() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let scope = Scope {
        ci: names(&["sw1"]),
        ..Scope::default()
    };
    assert_eq!(hidden(&scope), ["sw1"]);
    let all = ["sw1", "h1", "h2", "shop", "wiki"];
    let downstream = Scope {
        is_downstream: true,
        ..scope
    };
    assert_eq!(hidden(&downstream), all);
    let both = Scope {
        class: names(&["HOST"]),
        ..downstream
    };
    assert_eq!(hidden(&both), ["h1", "h2"], "everything named must hold");
    let class = Scope {
        class: names(&["switch"]),
        ..Scope::default()
    };
    assert_eq!(hidden(&class), ["sw1", "sw2"]);
    let site = Scope {
        site: names(&["there", "here"]),
        ..Scope::default()
    };
    assert_eq!(hidden(&site).len(), 6);
    let service = Scope {
        service: names(&["shop"]),
        ..Scope::default()
    };
    assert_eq!(
        hidden(&service),
        ["h1", "shop"],
        "what is shared is told of"
    );
    let unknown = Scope {
        ci: names(&["nobody"]),
        ..Scope::default()
    };
    assert_eq!(hidden(&unknown), [""; 0]);
}
