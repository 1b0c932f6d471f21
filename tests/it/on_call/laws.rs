//! Laws of ladders: whatever people, time and restarts do, in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use watchbell::core::decide::{World, decide};
use watchbell::core::decision::Change;
use watchbell::core::escalate::Phase;
use watchbell::core::ids::IdFeed;
use watchbell::core::incident::StateWord;
use watchbell::core::input::{Command, Input};
use watchbell::core::state::State;
use watchbell::core::tell::TellChange;
use watchbell::core::time::{Span, Timestamp};

use super::ladders::POLICY;
use super::policy;
use crate::support::claim::{clock, firing, t};
use crate::support::world::Bench;

#[derive(Clone, Debug)]
enum Deed {
    Acknowledge(Option<i64>),
    Hold(Option<i64>),
    Resume,
    Assign,
    Resolve,
    Reopen,
    Fire,
    End,
    Silence(i64),
    Restart(i64),
    Leap(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let minutes = || prop::option::of(1..90_i64);
    prop_oneof![
        2 => minutes().prop_map(Deed::Acknowledge),
        2 => minutes().prop_map(Deed::Hold),
        1 => Just(Deed::Resume),
        1 => Just(Deed::Assign),
        1 => Just(Deed::Resolve),
        1 => Just(Deed::Reopen),
        3 => Just(Deed::Fire),
        1 => Just(Deed::End),
        1 => (1..60_i64).prop_map(Deed::Silence),
        2 => (0..90_i64).prop_map(Deed::Restart),
        1 => (0..90_i64).prop_map(Deed::Leap),
    ]
}

fn later(bench: &Bench, minutes: i64) -> Timestamp {
    bench.now.plus(Span::from_mins(minutes))
}

fn act(bench: &mut Bench, deed: &Deed) {
    let until = |bench: &Bench, minutes: Option<i64>| minutes.map(|it| later(bench, it));
    match deed {
        Deed::Acknowledge(minutes) => {
            let until = until(bench, *minutes);
            bench.command(1, Command::Acknowledge { until });
        }
        Deed::Hold(minutes) => {
            let until = until(bench, *minutes);
            bench.command(
                1,
                Command::Hold {
                    reason: "a part".into(),
                    until,
                },
            );
        }
        Deed::Resume => {
            bench.command(1, Command::Resume);
        }
        Deed::Assign => {
            let assignee = Some("ana".into());
            bench.command(
                1,
                Command::Assign {
                    assignee,
                    team: None,
                },
            );
        }
        Deed::Resolve => {
            bench.command(1, Command::Resolve { note: None });
        }
        Deed::Reopen => {
            bench.command(1, Command::Reopen { reason: None });
        }
        Deed::Fire => {
            let start = clock(bench.now);
            bench.hear(firing("F").start(&start).labelled(&[("alertname", "F")]));
        }
        Deed::End => {
            let now = clock(bench.now);
            bench.resolved("F", &now, &now);
        }
        Deed::Silence(minutes) => {
            let (from, to) = (clock(bench.now), clock(later(bench, *minutes)));
            bench.silence("alertname=F", &from, &to);
        }
        Deed::Restart(minutes) => bench.restart(Span::from_mins(*minutes)),
        Deed::Leap(minutes) => {
            bench.leap(Span::from_mins(*minutes));
        }
    }
}

/// Nobody is paged of what somebody has or what is over, and nobody twice by the same way at once.
fn look(bench: &mut Bench) {
    for (at, decision) in std::mem::take(&mut bench.recorded) {
        let mut told = BTreeSet::new();
        for change in &decision.changes {
            let Change::Tell(TellChange::Queued(message)) = change else {
                continue;
            };
            if !message.event.is_page() {
                continue;
            }
            let way = (
                message.incident,
                message.target.clone(),
                message.recipient.clone(),
            );
            assert!(told.insert(way), "told twice at {}: {message:?}", clock(at));
            let after = decision.changes.iter().find_map(|change| {
                if let Change::IncidentChanged(it) = change {
                    (Some(it.id) == message.incident).then_some(it)
                } else {
                    None
                }
            });
            let word = after.map(|it| it.state.word());
            let is_open = matches!(word, Some(StateWord::New | StateWord::InProgress));
            assert!(is_open, "{} while {word:?}: {message:?}", clock(at));
        }
    }
    let due = bench.state.escalations().next_due();
    assert!(
        due.is_none_or(|due| due > bench.now),
        "a step that is due has run"
    );
    for run in bench.state.escalations().iter() {
        let incident = bench.state.incident(run.incident).unwrap();
        assert!(incident.state.is_open(), "{run:?}");
        if incident.state.word() == StateWord::Acknowledged {
            assert_eq!(run.phase, Phase::Stopped, "{run:?}");
        }
        if incident.state.word() == StateWord::OnHold {
            assert_eq!(run.due_at(), None, "{run:?}");
        }
    }
    assert_eq!(bench.ledger.load().escalations(), bench.state.escalations());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn ladders_are_climbed_rightly_whatever_happens(
        deeds in prop::collection::vec((0..40_i64, deed()), 1..14),
    ) {
        let mut bench = Bench::with(policy(POLICY));
        let first = firing("F").start("10:00").labelled(&[("alertname", "F")]);
        bench.at("10:00").hear(first);
        for (minutes, deed) in &deeds {
            bench.after(Span::from_mins(*minutes));
            look(&mut bench);
            act(&mut bench, deed);
            look(&mut bench);
        }
    }
}

/// A look at the deadlines decides what is due, in slices of many; what is merely open costs no decision.
/// How long it takes is measured by `cargo bench --bench core`.
#[test]
fn ten_thousand_ladders_are_climbed_in_few_decisions() {
    const COUNT: usize = 10_000;
    let rules = policy(POLICY);
    let (mut state, mut ids) = (State::default(), IdFeed::default());
    let mut step = |state: &mut State, input: &Input, now: Timestamp| {
        let world = World {
            state,
            rules: &rules,
        };
        let decision = decide(world, input, now, &mut ids);
        state.apply(&decision);
        decision
    };
    for number in 0..COUNT {
        let name = format!("F{number}");
        step(
            &mut state,
            &firing(&name).start("10:00").input(),
            t("10:00"),
        );
    }
    let mut climb = |state: &mut State, now: Timestamp| {
        let (mut decisions, mut pages) = (0, 0);
        while state.next_deadline().is_some_and(|(at, _)| at <= now) {
            let decision = step(state, &Input::DeadlineReached, now);
            let is_page = |it: &&Change| matches!(it, Change::Tell(TellChange::Queued(_)));
            pages += decision.changes.iter().filter(is_page).count();
            decisions += 1;
        }
        // What is left is that the rules, which this state has never seen, go through what is open.
        let left = std::iter::repeat_with(|| step(state, &Input::DeadlineReached, now).changes);
        let mut left = left.take_while(|changes| !changes.is_empty()).flatten();
        assert!(left.all(|it| matches!(it, Change::Review(_))));
        (decisions, pages)
    };
    climb(&mut state, t("10:01"));
    assert_eq!(state.escalations().iter().count(), COUNT);
    let (decisions, pages) = climb(&mut state, t("10:06"));
    assert_eq!(pages, 2 * COUNT);
    assert!(
        decisions <= COUNT / 50,
        "{decisions} decisions for {COUNT} ladders"
    );
}
