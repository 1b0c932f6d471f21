//! What the core decides about tickets, without any platform.

use smol_str::SmolStr;
use watchbell::core::condition::{Condition, Section};
use watchbell::core::ids::IncidentId;
use watchbell::core::incident::StateWord;
use watchbell::core::input::{Command, Input};
use watchbell::core::reason::Reason;
use watchbell::core::rules::{Rules, SettleRules};
use watchbell::core::severity::Priority;
use watchbell::core::ticket::order::{TicketOrder, Wanted};
use watchbell::core::ticket::report::{Outcome, RemoteNote, TicketReport};
use watchbell::core::ticket::rules::{ConnectorRule, Extras, Owners, ReopenPolicy, Reopenable};
use watchbell::core::ticket::{Face, Link, Record, Standing};
use watchbell::core::time::Span;

use crate::support::claim::{clock, firing, resolved};
use crate::support::world::Bench;

pub(crate) fn rules(reopen: ReopenPolicy, reopenable: Reopenable) -> Rules {
    Rules {
        settle: SettleRules([Span::ZERO; 5]),
        connectors: vec![ConnectorRule {
            name: "snow".into(),
            when: Condition::always(Section::Connector, "connector[0]"),
            owners: Owners::default(),
            reopen,
            reopenable,
            extras: Extras::default(),
        }],
        ..Rules::default()
    }
}

fn first() -> IncidentId {
    IncidentId::new(1).unwrap()
}

fn link(bench: &Bench) -> Link {
    (**bench.state.tickets().get(first(), "snow").unwrap()).clone()
}

fn report(bench: &mut Bench, outcome: Outcome) -> Reason {
    let generation = link(bench).generation;
    let report = TicketReport {
        incident: first(),
        connector: "snow".into(),
        generation,
        outcome,
        exchanges: Vec::new(),
    };
    bench
        .happen(&Input::TicketReported(Box::new(report)))
        .reason
}

fn record(status: &str, state: StateWord) -> Record {
    Record {
        id: "r1".into(),
        number: "INC1".into(),
        status: status.into(),
        state: Some(state),
        author: Some("lee".into()),
        ..Record::default()
    }
}

fn made(bench: &mut Bench, is_found: bool) -> Reason {
    let link = link(bench);
    let face = Face {
        state: Some(StateWord::New),
        ..link.wanted
    };
    let outcome = Outcome::Made {
        record: record("1", StateWord::New),
        face,
        note: 0,
        is_found,
        warning: None,
    };
    report(bench, outcome)
}

fn brought(bench: &mut Bench, record: Record, stuck: Option<&str>) -> Reason {
    let link = link(bench);
    let outcome = Outcome::Brought {
        record,
        face: link.wanted,
        note: link.notes_wanted,
        stuck: stuck.map(SmolStr::new),
    };
    report(bench, outcome)
}

fn seen(bench: &mut Bench, record: Record, notes: Vec<RemoteNote>) -> Vec<Reason> {
    let known = link(bench).record.unwrap_or_default();
    let outcome = Outcome::Seen {
        known,
        record,
        notes,
    };
    let mut reasons = Vec::new();
    loop {
        let reason = report(bench, outcome.clone());
        reasons.push(reason);
        assert!(reasons.len() < 10, "{reasons:?}");
        if reason == Reason::TicketInStep || reason == Reason::TicketUnknown {
            return reasons;
        }
    }
}

fn order(bench: &mut Bench, wanted: Wanted) -> Reason {
    let order = TicketOrder {
        connector: "snow".into(),
        wanted,
        actor: "ana".into(),
    };
    bench.happen(&Input::TicketOrdered(order)).reason
}

/// Everything that can happen to a ticket.
pub(crate) fn tour() -> Bench {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00").firing("F", "10:00");
    assert_eq!(link(&bench).standing(), Standing::Pending);
    made(&mut bench, true);
    made(&mut bench, false);
    assert_eq!(link(&bench).standing(), Standing::InSync);
    let note = RemoteNote {
        id: "n1".into(),
        text: "seen".into(),
        author: None,
    };
    let reasons = seen(
        &mut bench,
        record("3", StateWord::OnHold),
        vec![note.clone()],
    );
    assert_eq!(
        reasons,
        [
            Reason::TicketNoteAdded,
            Reason::PutOnHold,
            Reason::TicketInStep
        ]
    );
    assert_eq!(link(&bench).standing(), Standing::InSync, "no echo");
    let again = seen(&mut bench, record("3", StateWord::OnHold), vec![note]);
    assert_eq!(again, [Reason::TicketInStep]);
    bench.command(1, Command::Resume);
    assert_eq!(link(&bench).standing(), Standing::Behind);
    brought(&mut bench, record("2", StateWord::InProgress), None);
    bench.command(1, Command::Resume);
    report(&mut bench, Outcome::Refused { why: "no".into() });
    assert_eq!(link(&bench).standing(), Standing::Failed);
    for wanted in [
        Wanted::Pause,
        Wanted::Resume,
        Wanted::Resync { incident: None },
    ] {
        order(&mut bench, wanted);
    }
    let mut refused = record("8", StateWord::Closed);
    refused.is_refused = true;
    let reasons = seen(&mut bench, refused, Vec::new());
    assert_eq!(reasons, [Reason::ResolvedByPerson, Reason::TicketInStep]);
    bench.command(1, Command::Reopen { reason: None });
    assert_eq!(link(&bench).standing(), Standing::Closed);
    report(&mut bench, Outcome::Gone { why: "gone".into() });
    assert_eq!(link(&bench).standing(), Standing::Detached);
    let stranger = TicketOrder {
        connector: "nobody".into(),
        wanted: Wanted::Pause,
        actor: "ana".into(),
    };
    bench.happen(&Input::TicketOrdered(stranger));
    let mut unknown = TicketReport {
        incident: first(),
        connector: "snow".into(),
        generation: 99,
        outcome: Outcome::Gone { why: "gone".into() },
        exchanges: Vec::new(),
    };
    bench.happen(&Input::TicketReported(Box::new(unknown.clone())));
    unknown.generation = 1;
    bench
}

/// S3: thirteen changes in twenty minutes are one ticket and at most two updates, and it is neither closed nor opened again
/// before the end.
#[test]
fn thirteen_changes_make_one_ticket_and_touch_it_twice_at_most() {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00:00").hear(firing("F").start("10:00:00"));
    made(&mut bench, false);
    let (mut updates, mut states) = (0, Vec::new());
    let mut look = |bench: &mut Bench| {
        let link = link(bench);
        states.push(link.wanted.state);
        if link.standing() == Standing::Pending {
            updates += 1;
            brought(bench, record("1", StateWord::New), None);
        }
    };
    let mut start = "10:00:00".to_owned();
    for change in 1..=13 {
        bench.after(Span::from_secs(90));
        let now = clock(bench.now);
        if change % 2 == 1 {
            bench.hear(resolved("F").start(&start).end(&now));
        } else {
            start = now;
            bench.hear(firing("F").start(&start));
        }
        look(&mut bench);
    }
    bench.at("10:29:00");
    look(&mut bench);
    bench.at("10:31:00");
    look(&mut bench);
    let (last, open) = states.split_last().unwrap();
    assert!(
        open.iter().all(|state| *state == Some(StateWord::New)),
        "{open:?}"
    );
    assert_eq!(*last, Some(StateWord::Resolved));
    assert!(updates <= 2, "{updates} updates");
    assert_eq!(link(&bench).generation, 1, "one ticket");
}

#[test]
fn detached_ticket_gets_another_one_only_when_a_person_asks() {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00").firing("F", "10:00");
    made(&mut bench, false);
    report(&mut bench, Outcome::Gone { why: "gone".into() });
    bench.command(1, Command::Start);
    assert_eq!(link(&bench).standing(), Standing::Detached);
    order(&mut bench, Wanted::Resync { incident: None });
    assert_eq!(link(&bench).standing(), Standing::Detached);
    let key = link(&bench).key;
    order(
        &mut bench,
        Wanted::Resync {
            incident: Some(first()),
        },
    );
    let link = link(&bench);
    assert_eq!(
        (link.standing(), link.generation),
        (Standing::Pending, 2),
        "{link:?}"
    );
    assert_ne!(link.key, key);
    assert_eq!(link.former, ["INC1"]);
}

#[test]
fn an_open_again_incident_reopens_its_ticket_or_gets_another_one() {
    for (reopenable, generation) in [(Reopenable::Resolved, 1), (Reopenable::No, 2)] {
        let mut bench = Bench::with(rules(ReopenPolicy::Reopen, reopenable));
        bench.at("10:00").firing("F", "10:00");
        made(&mut bench, false);
        bench.command(1, Command::Resolve { note: None });
        brought(&mut bench, record("6", StateWord::Resolved), None);
        assert_eq!(link(&bench).standing(), Standing::InSync);
        bench.command(1, Command::Reopen { reason: None });
        assert_eq!(link(&bench).generation, generation);
        assert!(link(&bench).has_work());
    }
}

#[test]
fn what_was_read_before_our_own_write_is_not_a_change_of_theirs() {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00").firing("F", "10:00");
    made(&mut bench, false);
    let known = link(&bench).record.unwrap();
    bench.command(1, Command::Resolve { note: None });
    brought(&mut bench, record("6", StateWord::Resolved), None);
    let late = Outcome::Seen {
        record: known.clone(),
        known,
        notes: Vec::new(),
    };
    assert_eq!(report(&mut bench, late), Reason::TicketInStep);
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
}

#[test]
fn status_in_no_table_changes_nothing() {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00").firing("F", "10:00");
    made(&mut bench, false);
    let mut odd = record("77", StateWord::New);
    odd.state = None;
    assert_eq!(seen(&mut bench, odd, Vec::new()), [Reason::TicketInStep]);
    assert_eq!(bench.state_of(1), Some(StateWord::New));
}

#[test]
fn a_priority_set_there_is_taken_over_once_and_not_sent_back() {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00").firing("F", "10:00");
    made(&mut bench, false);
    let graded = |priority| Record {
        priority: Some(priority),
        ..record("1", StateWord::New)
    };
    // What the platform made of ours first is no change of theirs.
    let before = bench.incident(1).priority;
    assert_ne!(before, Priority::P4);
    assert_eq!(
        seen(&mut bench, graded(Priority::P5), Vec::new()),
        [Reason::TicketInStep]
    );
    assert_eq!(bench.incident(1).priority, before);
    let reasons = seen(&mut bench, graded(Priority::P4), Vec::new());
    assert_eq!(reasons, [Reason::PrioritySetByPerson, Reason::TicketInStep]);
    assert_eq!(bench.incident(1).priority, Priority::P4);
    assert_eq!(link(&bench).standing(), Standing::InSync, "no echo");
    let (_, entry) = bench.entries.last().unwrap();
    assert_eq!(entry.actor.as_deref(), Some("lee (snow)"));
}

#[test]
fn a_change_of_no_consequence_is_known_afterwards_though_the_time_there_is_the_same() {
    let mut bench = Bench::with(rules(ReopenPolicy::Reopen, Reopenable::Resolved));
    bench.at("10:00").firing("F", "10:00");
    made(&mut bench, false);
    // Our own write, whose answer was lost: the incident is there already, and only the status differs.
    bench.command(1, Command::Start);
    let started = record("2", StateWord::InProgress);
    assert_eq!(
        seen(&mut bench, started.clone(), Vec::new()),
        [Reason::TicketInStep]
    );
    assert_eq!(link(&bench).record, Some(started));
}

#[test]
fn what_people_did_is_told_there_only_where_that_is_switched_on() {
    for worklogs in [false, true] {
        let mut rules = rules(ReopenPolicy::Reopen, Reopenable::Resolved);
        rules.connectors[0].extras.worklogs = worklogs;
        let mut bench = Bench::with(rules);
        bench.at("10:00").firing("F", "10:00");
        made(&mut bench, false);
        bench.command(1, Command::Acknowledge { until: None });
        assert_eq!(
            link(&bench).notes_wanted > link(&bench).notes_sent,
            worklogs
        );
    }
}
