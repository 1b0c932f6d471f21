//! Ladders on virtual time: who is told when, what stops, pauses and restarts them, and what a stop of the daemon does.

use watchbell::core::decision::Change;
use watchbell::core::escalate::audit::{Care, care};
use watchbell::core::incident::StateWord;
use watchbell::core::input::Command;
use watchbell::core::oncall::Person;
use watchbell::core::reason::Reason;
use watchbell::core::severity::Severity;
use watchbell::core::tell::TellChange;
use watchbell::core::time::Span;

use super::policy;
use crate::support::claim::{clock, firing, t};
use crate::support::world::Bench;

pub(crate) const POLICY: &str = r#"
[[target]]
name = "chat"
kind = "webhook"
url = "http://chat.example/hook"
[[target]]
name = "sms"
kind = "webhook"
url = "http://sms.example/hook"
[[target]]
name = "mail"
kind = "webhook"
url = "http://mail.example/hook"

[[person]]
name = "ana"
[[person.contact]]
target = "sms"
address = "1"
[[person]]
name = "ben"
quiet_hours = { mon-sun = "22:00-07:00" }
[[person.contact]]
target = "sms"
address = "2"
[[person.contact]]
target = "mail"
address = "ben@b"
quiet = true

[[schedule]]
name = "net"
members = ["ana"]
hours = { mon-sun = "00:00-23:00" }
[[team]]
name = "network"
schedule = "net"

[[route]]
team = "network"
escalation = "ladder"
[[escalation]]
name = "ladder"
repeat = 1
repeat_after = "10m"
fallback = ["target:chat"]
steps = [
  { after = "0s", notify = ["schedule:net"] },
  { after = "5m", notify = [{ person = "ben" }] },
  { after = "15m", targets = ["chat"] },
]
"#;

impl Bench {
    /// What was queued since somebody looked last.
    pub(crate) fn pages(&mut self) -> Vec<String> {
        let mut pages = Vec::new();
        for (at, decision) in std::mem::take(&mut self.recorded) {
            for change in &decision.changes {
                if let Change::Tell(TellChange::Queued(message)) = change {
                    let to = [message.target.as_str(), message.recipient.as_str()];
                    let to = to.into_iter().filter(|part| !part.is_empty());
                    let to = to.collect::<Vec<_>>().join("/");
                    let (_, event) = message.event.word().split_once('.').unwrap();
                    pages.push(format!("{} {event} {to}", clock(at)));
                }
            }
        }
        pages
    }

    fn care_of(&self, id: i64) -> Care {
        care(&self.state, &self.rules, self.incident(id), self.now)
    }
}

/// F fires at ten and is announced at half a minute later.
fn announced() -> Bench {
    let mut bench = Bench::with(policy(POLICY));
    bench.at("10:00").firing("F", "10:00");
    assert!(matches!(bench.care_of(1), Care::Reason(_)), "it settles");
    bench.at("10:01");
    assert_eq!(bench.pages(), ["10:00:30 opened sms/1"]);
    assert_eq!(bench.care_of(1), Care::Step(t("10:05:30")));
    bench
}

fn acknowledge(until: Option<&str>) -> Command {
    Command::Acknowledge {
        until: until.map(t),
    }
}

/// Everything that a ladder can come to.
pub(crate) fn tour() -> Bench {
    let mut bench = announced();
    bench.at("10:06").command(1, acknowledge(Some("10:20")));
    bench.at("10:21");
    bench.command(
        1,
        Command::Hold {
            reason: "a part".into(),
            until: Some(t("10:30")),
        },
    );
    bench.at("10:31");
    bench.command(1, acknowledge(None));
    bench.resolved("F", "10:00", "10:31");
    bench.at("11:00").firing("G", "11:00");
    bench.at("11:01").leap(Span::from_hours(2));
    bench.at("14:00");
    let mut night = Bench::with(policy(
        &POLICY
            .replace(
                "targets = [\"chat\"] }",
                "targets = [\"chat\"], calendar = \"day\" }",
            )
            .replace(
                "[[route]]",
                "[[calendar]]\nname = \"day\"\nhours = { mon-sun = [\"12:00-13:00\"] }\n[[route]]",
            ),
    ));
    night.at("10:00").firing("F", "10:00");
    night.at("13:00");
    bench.ledger.reasons.append(&mut night.ledger.reasons);
    bench
}

#[test]
fn ladder_is_climbed_to_its_end_when_nobody_answers() {
    let mut bench = announced();
    bench.at("12:00");
    assert_eq!(
        bench.pages(),
        [
            "10:05:30 escalated sms/2",
            "10:05:30 escalated mail/ben@b",
            "10:15:30 escalated chat",
            "10:25:30 escalated sms/1",
            "10:30:30 escalated sms/2",
            "10:30:30 escalated mail/ben@b",
            "10:40:30 escalated chat",
            "10:50:30 escalated chat",
        ]
    );
    let Care::Nobody(why) = bench.care_of(1) else {
        panic!("it was exhausted");
    };
    assert!(why.contains("nobody answered"), "{why}");
    assert_eq!(bench.count(Reason::EscalationExhausted), 1);
    assert_eq!(bench.count(Reason::EscalationMissed), 0);
    bench.command(1, acknowledge(None));
    assert!(matches!(bench.care_of(1), Care::Owner(_)));
}

#[test]
fn acknowledging_stops_the_ladder_and_its_expiry_begins_it_anew() {
    let mut bench = announced();
    bench.at("10:06").command(1, acknowledge(Some("11:00")));
    bench.at("10:59");
    assert_eq!(bench.pages().len(), 2, "only the step before");
    bench.at("11:06");
    let pages = bench.pages();
    assert_eq!(
        pages
            .iter()
            .filter(|page| *page == "11:00:00 escalated sms/1")
            .count(),
        1,
        "{pages:?}"
    );
    assert!(
        pages.contains(&"11:05:00 escalated sms/2".to_owned()),
        "{pages:?}"
    );
    assert_eq!(bench.count(Reason::EscalationRestarted), 1);
}

#[test]
fn whoever_was_acknowledged_before_the_announcement_is_not_paged() {
    let mut bench = Bench::with(policy(POLICY));
    bench.at("10:00").firing("F", "10:00");
    bench.at("10:00:10").command(1, acknowledge(None));
    bench.at("12:00");
    assert!(bench.pages().is_empty());
}

#[test]
fn hold_pauses_and_goes_on_with_the_time_that_was_left() {
    let mut bench = announced();
    let until = Some(t("11:00"));
    bench.at("10:03").command(
        1,
        Command::Hold {
            reason: "a part".into(),
            until,
        },
    );
    assert!(matches!(bench.care_of(1), Care::Reason(_)));
    bench.at("10:59");
    assert!(bench.pages().is_empty());
    bench.at("11:10");
    // Two minutes and a half were left of the second step.
    assert_eq!(
        bench.pages(),
        ["11:02:30 escalated sms/2", "11:02:30 escalated mail/ben@b"]
    );
    let assignee = Some("ana".into());
    bench.command(
        1,
        Command::Assign {
            assignee,
            team: None,
        },
    );
    bench.at("12:00");
    assert!(bench.pages().is_empty(), "ana has it");
}

/// S7 D: fired before, nobody has it, still fires: paused when the window begins, resumed on the same step when it ends.
#[test]
fn suppressed_incident_resumes_on_the_same_step() {
    let mut bench = Bench::with(policy(POLICY));
    let labels = [("alertname", "F")];
    bench
        .at("00:57")
        .hear(firing("F").start("00:57").labelled(&labels));
    bench.at("01:00");
    assert_eq!(bench.pages(), ["00:57:30 opened sms/1"]);
    bench.silence("alertname=F", "01:00", "02:00");
    assert_eq!(bench.count(Reason::EscalationPaused), 1);
    bench.at("01:59");
    assert!(bench.pages().is_empty());
    bench.at("02:03");
    // ben's quiet hours do not count, since ana was told loudly.
    assert_eq!(
        bench.pages(),
        ["02:02:30 escalated sms/2", "02:02:30 escalated mail/ben@b"]
    );
    assert_eq!(bench.count(Reason::EscalationResumed), 1);
}

/// S6: escalations keep their due times over a kill, and what became due meanwhile runs once.
#[test]
fn steps_that_became_due_while_the_daemon_was_down_run_once() {
    let mut bench = announced();
    bench.at("10:02").restart(Span::from_mins(1));
    bench.at("10:06");
    assert_eq!(
        bench.pages(),
        ["10:05:30 escalated sms/2", "10:05:30 escalated mail/ben@b"],
        "nothing twice, nothing later"
    );
    bench.restart(Span::from_mins(22));
    bench.at("10:30");
    assert_eq!(
        bench.pages(),
        ["10:28:00 escalated chat", "10:28:00 escalated sms/1"],
        "the third step of the first round and the first one of the second"
    );
    assert_eq!(bench.count(Reason::EscalationMissed), 2);
    bench.at("10:31");
    assert_eq!(bench.pages().len(), 2, "and then as planned");
    bench.restart(Span::from_hours(6));
    bench.at("17:00");
    let pages = bench.pages();
    assert_eq!(pages, ["16:31:00 escalated chat"], "each way once");
    assert_eq!(bench.count(Reason::EscalationExhausted), 1);
}

#[test]
fn step_that_reaches_nobody_tells_the_fallback_and_is_counted() {
    let mut bench = Bench::with(policy(POLICY));
    bench.at("23:10").firing("F", "23:10");
    bench.at("23:11");
    assert_eq!(bench.pages(), ["23:10:30 opened chat"]);
    assert_eq!(bench.count(Reason::EscalationMissed), 1);
    let entry = bench
        .entries
        .iter()
        .find(|(_, it)| it.reason == Reason::EscalationMissed);
    let note = entry.unwrap().1.note.as_deref().unwrap();
    assert!(note.contains("nobody is on call on schedule net"), "{note}");
    bench.at("23:16");
    // The fallback was told loudly, so ben is as well.
    assert_eq!(
        bench.pages(),
        ["23:15:30 escalated sms/2", "23:15:30 escalated mail/ben@b"]
    );
}

#[test]
fn quiet_hours_leave_quiet_ways_unless_it_is_urgent_or_somebody_was_told_loudly() {
    let quiet = POLICY.replace("notify = [\"schedule:net\"]", "notify = [\"ben\"]");
    let mut bench = Bench::with(policy(&quiet));
    bench.at("03:00").firing("F", "03:00");
    bench.at("03:01");
    assert_eq!(bench.pages(), ["03:00:30 opened mail/ben@b"]);
    let mut bench = Bench::with(policy(&quiet));
    bench
        .at("03:00")
        .hear(firing("F").start("03:00").severity(Severity::Critical));
    bench.at("03:01");
    let pages = bench.pages();
    assert_eq!(pages.len(), 2, "P2 passes: {pages:?}");
}

#[test]
fn resolved_incident_is_left_alone_and_a_reopened_one_climbs_again() {
    let mut bench = announced();
    bench.at("10:02").resolved("F", "10:00", "10:02");
    bench.at("10:03");
    assert!(matches!(bench.care_of(1), Care::Reason(_)), "it recovers");
    bench.at("10:10");
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
    assert!(bench.state.escalations().is_empty());
    bench.pages();
    bench.at("10:12").firing("F", "10:12");
    bench.at("10:30");
    let pages = bench.pages();
    let first = pages.iter().filter(|page| page.ends_with("sms/1")).count();
    assert_eq!(first, 1, "{pages:?}");
    assert!(
        pages.contains(&"10:17:00 escalated sms/2".to_owned()),
        "{pages:?}"
    );
}

#[test]
fn route_whose_ladder_is_not_written_tells_somebody_all_the_same() {
    let text = r#"
        [[team]]
        name = "network"
        [[route]]
        when = "incident.priority <= 'P2'"
        team = "network"
        escalation = "network-24x7"
        [[target]]
        name = "ops-chat"
        kind = "webhook"
        url = "http://chat.example/hook"
    "#;
    let mut bench = Bench::with(policy(text));
    bench
        .at("10:00")
        .hear(firing("F").start("10:00").severity(Severity::Critical));
    bench.at("10:20");
    assert_eq!(
        bench.pages(),
        ["10:00:10 opened ops-chat", "10:15:10 escalated ops-chat"]
    );
    assert_eq!(bench.count(Reason::EscalationMissed), 0);
}

#[test]
fn ladder_is_the_one_of_its_begin() {
    let mut bench = announced();
    bench.rules = policy(&POLICY.replace("after = \"5m\"", "after = \"7m\""));
    let none = Person::named("ben".into());
    bench.rules.on_call.people.insert("ben".into(), none);
    bench.at("10:06");
    // The time is that of the begin, whom it reaches is looked up now: ben has no way any more.
    assert_eq!(bench.pages(), ["10:05:30 escalated chat"]);
    assert_eq!(bench.count(Reason::EscalationMissed), 1);
}
