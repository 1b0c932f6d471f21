//! S10, the ITSM loop: a lost answer, our own echoes, people at the other side, limits, what is closed for good or gone.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::json;
use watchbell::core::calendar::{Calendar, Window};
use watchbell::core::condition::{Condition, Section};
use watchbell::core::incident::StateWord;
use watchbell::core::input::Command;
use watchbell::core::reason::Reason;
use watchbell::core::rules::{Rules, SourceRules};
use watchbell::core::severity::Priority;
use watchbell::core::sla::{ClockKind, ClockState, SlaRule, SlaRules};
use watchbell::core::ticket::Standing;
use watchbell::core::ticket::rules::{ReopenPolicy, Reopenable};
use watchbell::core::time::Span;

use crate::itsm::bridge::{Bridge, id};
use crate::itsm::desk::Desk;
use crate::itsm::platforms::servicenow::ServiceNow;
use crate::itsm::platforms::simple::{Kind, Simple};
use crate::itsm::server::Fault;
use crate::support::claim::SOURCE;
use crate::support::world::Bench;

fn rules(reopenable: Reopenable) -> Rules {
    let mut office = Calendar::always("office".into(), TimeZone::UTC);
    for day in &mut office.week {
        *day = vec![Window {
            from: 8 * 60,
            to: 18 * 60,
        }];
    }
    let mut rules = crate::itsm::core::rules(ReopenPolicy::Reopen, reopenable);
    rules.incident.recover_after = Span::ZERO;
    // An alert that nobody repeats must not end the incident meanwhile.
    let patient = SourceRules {
        expire_after: Span::from_days(400),
        ..SourceRules::default()
    };
    rules.sources = [(SOURCE.into(), patient)].into();
    rules.sla = SlaRules {
        rules: vec![SlaRule {
            when: Condition::always(Section::Sla, "sla[0]"),
            response: None,
            resolution: Some(Span::from_mins(1_440)),
            calendar: Some("office".into()),
            warn_at: Vec::new(),
        }],
        calendars: [(office.name.clone(), Arc::new(office))].into(),
    };
    rules
}

fn snow() -> Bridge<ServiceNow> {
    let desk = Desk::new("servicenow", &json!({}), ServiceNow::default());
    Bridge::new(Bench::with(rules(Reopenable::Resolved)), desk)
}

/// An incident with its ticket in step; the ticket's id.
fn begun(bridge: &mut Bridge<ServiceNow>) -> String {
    bridge.bench.at("10:00").firing("F", "10:00");
    bridge.work();
    let record = bridge.desk.platform.only();
    record["sys_id"].as_str().unwrap().to_owned()
}

/// The minutes that count, and whether they go on.
fn resolution(bridge: &Bridge<ServiceNow>) -> (i64, ClockState) {
    let (state, rules) = (&bridge.bench.state, &bridge.bench.rules);
    let clocks = state.practice().sla.get(id(1)).unwrap();
    let clock = clocks.get(ClockKind::Resolution).unwrap();
    let name = "office".into();
    let calendar = rules.sla.calendar(Some(&name));
    let counted = clock.elapsed(calendar, bridge.bench.now).as_millis();
    (counted / 60_000, clock.state().unwrap())
}

#[test]
fn a_create_whose_answer_is_lost_is_found_again_and_not_sent_twice() {
    let mut bridge = snow();
    bridge.desk.faults = vec![Some(Fault::LoseAnswer)];
    begun(&mut bridge);
    assert_eq!(bridge.desk.platform.made, 1);
    assert_eq!(bridge.link(1).standing(), Standing::InSync);
    assert_eq!(bridge.bench.count(Reason::TicketFound), 1);
}

#[test]
fn what_we_wrote_ourselves_comes_back_as_nothing() {
    let mut bridge = snow();
    let ticket = begun(&mut bridge);
    // A hook that left while the ticket passed through a state on the way: what it named is read when it arrives.
    bridge.bench.command(1, Command::Start);
    bridge.work();
    let entries = bridge.bench.entries.len();
    let before = bridge.desk.platform.records[&ticket].clone();
    bridge.look(1);
    bridge.work();
    assert_eq!(bridge.bench.entries.len(), entries, "an echo says nothing");
    assert_eq!(bridge.desk.platform.records[&ticket], before);
    // Nothing is sent for a state that is there already.
    bridge
        .desk
        .platform
        .edit(&ticket, "lee", &json!({"state": "3"}));
    bridge.look(1);
    let writes = bridge.desk.platform.clock;
    bridge.work();
    assert_eq!(bridge.desk.platform.clock, writes);
}

#[test]
fn a_person_there_starts_holds_and_resolves_and_the_hold_stops_the_clock() {
    let mut bridge = snow();
    let ticket = begun(&mut bridge);
    let edit = |bridge: &mut Bridge<ServiceNow>, fields| {
        bridge.desk.platform.edit(&ticket, "lee", &fields);
        bridge.look(1);
        bridge.work();
    };
    edit(&mut bridge, json!({"state": "2"}));
    assert_eq!(bridge.bench.state_of(1), Some(StateWord::InProgress));
    bridge.bench.at("17:30");
    edit(&mut bridge, json!({"state": "3", "hold_reason": "4"}));
    assert_eq!(bridge.bench.state_of(1), Some(StateWord::OnHold));
    // Seven and a half hours of the office's time counted; neither the night nor the hold does.
    assert_eq!(resolution(&bridge).0, 450);
    bridge.bench.at("1d 09:00");
    let held = resolution(&bridge);
    bridge.bench.command(
        1,
        Command::Priority {
            priority: Some(Priority::P1),
            reason: "worse than it looked".into(),
        },
    );
    assert_eq!(resolution(&bridge), held, "the paused time is kept");
    bridge.work();
    edit(&mut bridge, json!({"state": "2"}));
    bridge.bench.at("1d 09:10");
    assert_eq!(resolution(&bridge).0, held.0 + 10);
    let done = json!({"state": "6", "close_code": "Solution provided", "close_notes": "new disk"});
    edit(&mut bridge, done);
    assert_eq!(bridge.bench.state_of(1), Some(StateWord::Resolved));
    let entries = bridge.bench.entries.iter().map(|(_, entry)| entry);
    let told: Vec<_> = entries
        .filter(|entry| entry.actor.as_deref() == Some("lee (snow)"))
        .map(|entry| entry.reason)
        .collect();
    let expected = [
        Reason::WorkStarted,
        Reason::PutOnHold,
        Reason::WorkStarted,
        Reason::ResolvedByPerson,
    ];
    assert_eq!(told, expected);
    assert_eq!(bridge.desk.platform.made, 1);
}

#[test]
fn a_problem_that_comes_back_reopens_its_ticket_or_is_linked_with_it() {
    let mut bridge = snow();
    let ticket = begun(&mut bridge);
    bridge.bench.at("10:20").resolved("F", "10:00", "10:20");
    bridge.work();
    assert_eq!(bridge.desk.platform.records[&ticket]["state"], "6");
    // Five minutes later, inside the window.
    bridge.bench.at("10:25").firing("F", "10:25");
    bridge.work();
    assert_eq!(bridge.desk.platform.only()["state"], "2");
    let notes = bridge.desk.platform.notes(&ticket);
    assert!(
        notes.iter().any(|note| note.contains("was reopened")),
        "{notes:?}"
    );
    // Long after it.
    bridge.bench.at("10:40").resolved("F", "10:25", "10:40");
    bridge.work();
    bridge.bench.at("14:00").firing("F", "14:00");
    bridge.work();
    assert_eq!(bridge.bench.incident(2).previous, Some(id(1)));
    assert_eq!(bridge.desk.platform.made, 2);
    assert_eq!(bridge.desk.platform.records[&ticket]["state"], "6");
    assert_ne!(bridge.link(1).key, bridge.link(2).key);
}

#[test]
fn a_limit_is_kept_for_all_then_new_tickets_go_first_and_changes_once() {
    let desk = Desk::new("jira", &json!({"project": "OPS"}), Simple::new(Kind::Jira));
    let mut bridge = Bridge::new(Bench::with(rules(Reopenable::Closed)), desk);
    bridge.bench.at("10:00");
    for at in 0..500 {
        bridge.bench.firing(&format!("F{at}"), "10:00");
    }
    bridge.work();
    assert_eq!(bridge.desk.platform.tickets.len(), 500);
    // Two changes of each while the platform asks to wait; a new incident comes last.
    bridge.desk.faults = vec![Some(Fault::Limit(120))];
    for command in [Command::Acknowledge { until: None }, Command::Start] {
        for number in 1..=500 {
            bridge.bench.command(number, command.clone());
        }
        bridge.work();
    }
    bridge.bench.firing("last", "10:00");
    let asked = bridge.desk.requests;
    bridge.bench.at("10:01:59");
    bridge.work();
    assert_eq!(bridge.desk.requests, asked, "the whole queue waits");
    bridge.bench.at("10:02:00");
    bridge.worked.clear();
    bridge.work();
    assert_eq!(bridge.worked.first(), Some(&(id(501), true)));
    assert_eq!(bridge.worked.len(), 501, "one go for each ticket");
    let tickets = &bridge.desk.platform.tickets;
    assert_eq!(tickets.len(), 501);
    let started = tickets.iter().filter(|it| it.status == "Work in progress");
    assert_eq!(started.count(), 500);
}

#[test]
fn what_is_not_to_be_done_stays_closed_and_what_is_gone_stays_gone() {
    let mut bridge = snow();
    let ticket = begun(&mut bridge);
    let cancelled = json!({"state": "8", "close_notes": "won't fix"});
    bridge.desk.platform.edit(&ticket, "lee", &cancelled);
    bridge.look(1);
    assert_eq!(bridge.bench.state_of(1), Some(StateWord::Resolved));
    bridge.bench.command(1, Command::Reopen { reason: None });
    bridge.work();
    assert_eq!(bridge.link(1).standing(), Standing::Closed);
    assert_eq!(bridge.desk.platform.only()["state"], "8");

    let mut bridge = snow();
    begun(&mut bridge);
    bridge.desk.platform.records.clear();
    bridge.look(1);
    assert_eq!(bridge.link(1).standing(), Standing::Detached);
    assert_eq!(bridge.bench.count(Reason::TicketDetached), 1);
    bridge.bench.command(1, Command::Start);
    bridge.bench.firing("F", "10:00");
    bridge.work();
    assert_eq!(bridge.desk.platform.made, 1);
    assert!(bridge.desk.platform.records.is_empty());
}

#[test]
fn a_look_up_that_is_not_about_the_key_is_an_error_and_never_the_first_hit() {
    let mut bridge = snow();
    bridge.desk.platform.ignores_filters = true;
    for at in 0..3_000 {
        let stranger = format!("stranger{at}");
        let record = json!({"sys_id": stranger, "number": format!("INC9{at}"), "state": "1", "correlation_id": "other"});
        let record = record.as_object().unwrap().clone();
        bridge.desk.platform.records.insert(stranger, record);
    }
    bridge.desk.faults = vec![Some(Fault::DropBefore)];
    bridge.bench.at("10:00").firing("F", "10:00");
    bridge.work();
    assert!(bridge.errors[0].contains("ignores the filter"));
    let records = &bridge.desk.platform.records;
    assert_eq!((records.len(), bridge.desk.platform.made), (3_000, 0));
    assert!(records.values().all(|record| record["state"] == "1"));
    assert_eq!(bridge.link(1).standing(), Standing::Pending);
}

#[test]
fn six_hours_without_the_platform_cost_one_create_each_and_the_latest_state() {
    const INCIDENTS: i64 = 40;
    let mut bridge = snow();
    bridge.desk.is_away = true;
    bridge.bench.at("10:00");
    for number in 1..=INCIDENTS {
        bridge
            .bench
            .after(Span::from_mins(2))
            .firing(&format!("F{number}"), "10:00");
        bridge.bench.after(Span::from_mins(1));
        bridge.work();
    }
    // People go on meanwhile: every one is started, half are held and resumed, each gets two notes.
    for number in 1..=INCIDENTS {
        let say = |text: &str| Command::Note { text: text.into() };
        bridge.bench.command(number, Command::Start);
        bridge.bench.command(number, say("first"));
        if number % 2 == 0 {
            let reason = "vendor".into();
            bridge.bench.command(
                number,
                Command::Hold {
                    reason,
                    until: None,
                },
            );
            bridge.bench.after(Span::from_mins(3));
            bridge.bench.command(number, Command::Resume);
        }
        bridge.bench.command(number, say("second"));
        bridge.work();
    }
    bridge.bench.at("16:30");
    assert!(bridge.desk.platform.records.is_empty());
    let asked = bridge.desk.requests;
    bridge.worked.clear();
    bridge.desk.is_away = false;
    bridge.work();
    let creates = bridge
        .worked
        .iter()
        .take_while(|(_, is_new)| *is_new)
        .count();
    assert_eq!(
        creates,
        usize::try_from(INCIDENTS).unwrap(),
        "creates come first"
    );
    assert_eq!(bridge.desk.platform.made, creates, "one each");
    bridge.work();
    for number in 1..=INCIDENTS {
        assert_eq!(bridge.link(number).standing(), Standing::InSync);
    }
    for (id, record) in bridge.desk.platform.records.clone() {
        assert_eq!(
            record["state"], "2",
            "the latest state, and none on the way there"
        );
        let notes = bridge.desk.platform.notes(&id);
        let times = |text: &str| notes.iter().filter(|note| note.contains(text)).count();
        assert_eq!((times("first"), times("second")), (1, 1), "{notes:?}");
    }
    let requests = bridge.desk.requests - asked;
    assert!(
        requests <= creates * 9,
        "{requests} requests for {creates} tickets"
    );
}
