//! What may happen to an incident in which state: the whole table as a file that people review.
//!
//! Must not leave out a state or a command: both lists are matched without wildcard.

use watchbell::core::incident::StateWord;
use watchbell::core::input::Command;
use watchbell::core::time::Span;

use crate::support::claim::{firing, resolved};
use crate::support::golden;
use crate::support::world::Bench;

/// A way into a state.
type Way = (&'static str, StateWord, fn(&mut Bench));

/// Together they reach every state, with each fork that matters later.
const WAYS: [Way; 13] = [
    ("new", StateWord::New, |_| {}),
    ("acknowledged", StateWord::Acknowledged, |bench| {
        bench.command(1, Command::Acknowledge { until: None });
    }),
    ("acknowledged until", StateWord::Acknowledged, |bench| {
        let until = Some(bench.now.plus(Span::from_hours(2)));
        bench.command(1, Command::Acknowledge { until });
    }),
    ("in_progress", StateWord::InProgress, |bench| {
        bench.command(1, Command::Start);
    }),
    ("on_hold", StateWord::OnHold, |bench| {
        bench.command(1, hold(None));
    }),
    ("on_hold until", StateWord::OnHold, |bench| {
        let until = Some(bench.now.plus(Span::from_hours(2)));
        let reason = "a part is on its way".into();
        bench.command(1, Command::Hold { reason, until });
    }),
    ("resolved by recovery", StateWord::Resolved, recover),
    ("resolved, past reopening", StateWord::Resolved, |bench| {
        recover(bench);
        bench.after(Span::from_mins(15));
    }),
    ("resolved and continued", StateWord::Resolved, |bench| {
        recover(bench);
        bench.after(Span::from_mins(15)).firing("F", "10:50");
    }),
    ("resolved by person", StateWord::Resolved, |bench| {
        bench.command(1, Command::Resolve { note: None });
    }),
    ("reopened by person", StateWord::New, |bench| {
        recover(bench);
        bench.command(1, Command::Reopen { reason: None });
    }),
    ("closed", StateWord::Closed, |bench| {
        recover(bench);
        bench.command(1, Command::Close);
    }),
    ("closed by person at once", StateWord::Closed, |bench| {
        bench.command(1, Command::Close);
    }),
];

fn recover(bench: &mut Bench) {
    bench.resolved("F", "10:00", "10:30");
    bench.after(Span::from_mins(5));
}

fn hold(until: Option<watchbell::core::time::Timestamp>) -> Command {
    let reason = "a part is on its way".into();
    Command::Hold { reason, until }
}

/// The incident of an alert that fires since ten, half an hour later in that state.
fn brought_to(way: fn(&mut Bench)) -> Bench {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00");
    bench.at("10:30");
    way(&mut bench);
    bench
}

#[expect(clippy::too_many_lines, reason = "one table of commands")]
fn commands(bench: &Bench) -> Vec<(&'static str, Command)> {
    let later = Some(bench.now.plus(Span::from_hours(1)));
    let all = vec![
        ("acknowledge", Command::Acknowledge { until: None }),
        (
            "acknowledge until later",
            Command::Acknowledge { until: later },
        ),
        (
            "acknowledge until now",
            Command::Acknowledge {
                until: Some(bench.now),
            },
        ),
        (
            "assign",
            Command::Assign {
                assignee: None,
                team: None,
            },
        ),
        ("start", Command::Start),
        ("hold", hold(None)),
        ("hold until later", hold(later)),
        ("hold until now", hold(Some(bench.now))),
        ("resume", Command::Resume),
        ("resolve", Command::Resolve { note: None }),
        ("close", Command::Close),
        ("reopen", Command::Reopen { reason: None }),
        (
            "note",
            Command::Note {
                text: "seen".into(),
            },
        ),
        (
            "merge",
            Command::Merge {
                into: watchbell::core::ids::IncidentId::new(1).unwrap(),
            },
        ),
        ("split", Command::Split { alerts: Vec::new() }),
        ("unlink", Command::Unlink { alerts: Vec::new() }),
        ("pin", Command::Pin { alerts: Vec::new() }),
        (
            "root",
            Command::Root {
                ci: "ghost".into(),
                reason: "seen".into(),
            },
        ),
        (
            "priority",
            Command::Priority {
                priority: Some(watchbell::core::severity::Priority::P1),
                reason: "seen".into(),
            },
        ),
    ];
    for (_, command) in &all {
        // A new command does not compile until it is named here, and then it belongs into the list above.
        match command {
            Command::Acknowledge { .. }
            | Command::Assign { .. }
            | Command::Start
            | Command::Hold { .. }
            | Command::Resume
            | Command::Resolve { .. }
            | Command::Close
            | Command::Reopen { .. }
            | Command::Note { .. }
            | Command::Merge { .. }
            | Command::Split { .. }
            | Command::Unlink { .. }
            | Command::Pin { .. }
            | Command::Root { .. }
            | Command::Priority { .. } => {}
        }
    }
    all
}

type Event = (&'static str, fn(&mut Bench) -> String);

const EVENTS: [Event; 8] = [
    ("source ends it, recovery time passes", |bench| {
        let reason = bench.resolved("F", "10:00", "10:40");
        bench.after(Span::from_mins(5));
        reason.to_string()
    }),
    ("source ends it, fires anew 1 min later", |bench| {
        bench.resolved("F", "10:00", "10:40");
        bench.after(Span::from_mins(1));
        bench.firing("F", "10:41").to_string()
    }),
    ("source repeats the firing", |bench| {
        bench.firing("F", "10:00").to_string()
    }),
    ("source repeats the firing, 1 min apart", |bench| {
        bench.firing("F", "10:00");
        bench.after(Span::from_mins(1));
        bench.firing("F", "10:00").to_string()
    }),
    ("source fires anew", |bench| {
        bench.firing("F", "10:45").to_string()
    }),
    ("source without times fires", |bench| {
        bench.hear(firing("F")).to_string()
    }),
    ("source without times ends it, 10 h pass", |bench| {
        let reason = bench.hear(resolved("F"));
        bench.after(Span::from_hours(10));
        reason.to_string()
    }),
    ("10 h pass in silence", |bench| {
        bench.after(Span::from_hours(10));
        "-".to_owned()
    }),
];

fn standing(bench: &Bench) -> String {
    let incidents = bench.state.incidents();
    let standing: Vec<_> = incidents
        .map(|incident| format!("{} {}", incident.id, incident.state.word().word()))
        .collect();
    standing.join(", ")
}

#[test]
fn every_command_in_every_state_is_as_reviewed() {
    let mut text = String::from("# state | command | outcome | afterwards\n");
    let mut met: Vec<StateWord> = Vec::new();
    for (name, word, way) in WAYS {
        let before = brought_to(way);
        assert_eq!(before.state_of(1), Some(word), "{name}");
        met.push(word);
        for (title, command) in commands(&before) {
            let mut bench = before.clone();
            let decision = bench.order(1, command);
            assert_eq!(
                decision.is_refused,
                bench.state == before.state,
                "{name}, {title}: a refusal changes nothing, anything else does"
            );
            let outcome = if decision.is_refused { "refused: " } else { "" };
            let (reason, after) = (decision.reason, standing(&bench));
            text.push_str(&format!("{name} | {title} | {outcome}{reason} | {after}\n"));
        }
    }
    assert!(
        StateWord::ALL.iter().all(|word| met.contains(word)),
        "every state has a way into it"
    );
    golden::equals("incident_table.txt", &text);
}

#[test]
fn every_event_of_the_source_in_every_state_is_as_reviewed() {
    let mut text = String::from("# state | event | outcome | afterwards\n");
    for (name, _, way) in WAYS {
        for (title, event) in EVENTS {
            let mut bench = brought_to(way);
            let outcome = event(&mut bench);
            let after = standing(&bench);
            text.push_str(&format!("{name} | {title} | {outcome} | {after}\n"));
        }
    }
    golden::equals("incident_events.txt", &text);
}
