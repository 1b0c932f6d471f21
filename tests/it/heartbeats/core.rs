//! The decisions on virtual time.

use watchbell::core::alert::EndedBy;
use watchbell::core::heartbeat::{Feed, HeartbeatRule, SOURCE, Signal, observation, signal};
use watchbell::core::identity::AlertKey;
use watchbell::core::input::{Command, Input};
use watchbell::core::observation::{AlertText, Claim};
use watchbell::core::reason::Reason;
use watchbell::core::rules::Rules;
use watchbell::core::severity::Severity;
use watchbell::core::time::Span;

use crate::support::claim::{SOURCE as AM, firing, resolved, t};
use crate::support::world::Bench;

fn rule(name: &str, feed: Feed) -> HeartbeatRule {
    let text = AlertText {
        summary: format!("{name} is not heard").into(),
        ..AlertText::default()
    };
    HeartbeatRule {
        name: name.into(),
        every: Span::from_mins(5),
        grace: Span::from_mins(1),
        max_run: Span::from_mins(20),
        severity: Severity::Critical,
        text: text.into(),
        feed,
    }
}

fn watchdog() -> Feed {
    Feed::Watchdog {
        source: AM.into(),
        labels: vec![("alertname".into(), "Watchdog".into())],
    }
}

fn bench(rules: impl IntoIterator<Item = HeartbeatRule>) -> Bench {
    Bench::with(Rules {
        heartbeats: rules.into_iter().collect(),
        ..Rules::default()
    })
}

fn ping(bench: &mut Bench, name: &str) -> Reason {
    let input = Input::ObservationReceived {
        source: SOURCE.into(),
        observation: observation(name, Claim::Resolved, Severity::Info, Default::default()),
    };
    bench.happen(&input).reason
}

fn say(bench: &mut Bench, name: &str, what: Signal, said: &str) -> Reason {
    let input = Input::ObservationReceived {
        source: SOURCE.into(),
        observation: signal(name, what, said.into()),
    };
    bench.happen(&input).reason
}

fn is_firing(bench: &Bench, name: &str) -> bool {
    let alert = bench.state.alert_by_key(AlertKey::new(SOURCE, name).hash());
    alert.is_some_and(|alert| alert.is_firing())
}

/// Meets every reason of heartbeats.
pub(crate) fn tour() -> Bench {
    let mut bench = bench([rule("backup", watchdog())]);
    ping(&mut bench, "backup");
    ping(&mut bench, "typo");
    bench.hear(resolved("W").labelled(&[("alertname", "Watchdog")]));
    bench.at("00:10");
    ping(&mut bench, "backup");
    say(&mut bench, "backup", Signal::Noted, "half way");
    say(&mut bench, "backup", Signal::Begun, "");
    bench.at("00:40");
    say(&mut bench, "backup", Signal::Failed, "disk full");
    bench.rules.heartbeats = [].into_iter().collect();
    bench.at("00:41").firing("F", "00:41");
    bench
}

#[test]
fn a_run_is_measured_and_one_that_does_not_end_is_an_alert() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    assert_eq!(
        say(&mut bench, "backup", Signal::Begun, ""),
        Reason::HeartbeatBegun
    );
    bench.at("00:19:59");
    assert!(!is_firing(&bench, "backup"), "a run has its own time");
    ping(&mut bench, "backup");
    let held = bench.state.heartbeat("backup").unwrap();
    assert_eq!(held.last_run, Some(Span::from_secs(1199)));
    assert_eq!(held.begun_at, None);
    bench.at("00:25");
    say(&mut bench, "backup", Signal::Begun, "");
    bench.at("00:44");
    bench.restart(Span::from_mins(10));
    bench.at("01:13:59");
    assert!(!is_firing(&bench, "backup"), "nobody could hear its end");
    bench.at("01:14");
    assert!(is_firing(&bench, "backup"));
    assert_eq!(bench.count(Reason::HeartbeatOverran), 1);
    assert_eq!(ping(&mut bench, "backup"), Reason::HeartbeatReturned);
    assert!(!is_firing(&bench, "backup"));
}

#[test]
fn a_failure_is_an_alert_at_once_and_until_success() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    let failed = say(
        &mut bench,
        "backup",
        Signal::Failed,
        "disk full\n/dev/sda1 100%",
    );
    assert_eq!(failed, Reason::HeartbeatFailed);
    assert!(is_firing(&bench, "backup"));
    assert_eq!(
        say(&mut bench, "backup", Signal::Begun, ""),
        Reason::HeartbeatBegun
    );
    bench.at("00:05");
    assert!(
        is_firing(&bench, "backup"),
        "that it begins again mends nothing"
    );
    say(&mut bench, "backup", Signal::Failed, "disk still full");
    assert_eq!(bench.incidents(), (1, 1));
    assert_eq!(ping(&mut bench, "backup"), Reason::HeartbeatReturned);
    assert!(!is_firing(&bench, "backup"));
    assert_eq!(
        say(&mut bench, "typo", Signal::Failed, ""),
        Reason::HeartbeatUnknown
    );
}

#[test]
fn what_is_not_heard_in_time_is_an_alert_until_it_is_heard_again() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    bench.at("01:00");
    assert_eq!(bench.incidents(), (0, 0), "never heard is new, not missing");
    assert_eq!(ping(&mut bench, "backup"), Reason::HeartbeatPinged);
    bench.at("01:05");
    ping(&mut bench, "backup");
    bench.at("01:10:59");
    assert!(!is_firing(&bench, "backup"));
    bench.at("01:11");
    assert!(is_firing(&bench, "backup"));
    bench.at("05:00");
    assert_eq!(ping(&mut bench, "backup"), Reason::HeartbeatReturned);
    assert!(!is_firing(&bench, "backup"));
    bench.reads(&[
        "01:11:00 INC-1 backup incident_opened",
        "01:11:00 INC-1 backup heartbeat_missed",
        "01:11:10 INC-1 incident_announced",
        "05:00:00 INC-1 backup alert_resolved",
        "05:00:00 INC-1 recovery_started",
        "05:00:00 INC-1 backup heartbeat_returned",
    ]);
    bench.at("05:07");
    assert!(is_firing(&bench, "backup"), "missing again soon after");
    assert_eq!(bench.incidents(), (1, 1), "and that is the same incident");
}

#[test]
fn a_ping_writes_no_line_and_an_alert_of_days_does_not_expire() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    for minute in 0..50 {
        bench.at(&format!("00:{minute:02}"));
        ping(&mut bench, "backup");
    }
    assert!(bench.entries.is_empty());
    bench.after(Span::from_days(9));
    assert!(is_firing(&bench, "backup"));
    assert_eq!(bench.count(Reason::AlertExpired), 0);
    assert_eq!(bench.count(Reason::HeartbeatMissed), 1);
}

#[test]
fn our_own_absence_is_never_counted() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    bench.at("01:00");
    ping(&mut bench, "backup");
    bench.restart(Span::from_hours(8));
    bench.at("09:05:59");
    assert!(!is_firing(&bench, "backup"), "it has its whole time again");
    bench.at("09:06");
    assert!(is_firing(&bench, "backup"));
    bench.restart(Span::from_hours(8));
    bench.at("18:00");
    assert!(is_firing(&bench, "backup"), "missing stays missing");
    assert_eq!(bench.count(Reason::HeartbeatMissed), 1);
    ping(&mut bench, "backup");
    assert!(!is_firing(&bench, "backup"));
}

#[test]
fn a_watchdog_is_no_alert_and_its_absence_is_one() {
    let mut bench = bench([rule("prom", watchdog())]);
    let dog = |claim: crate::support::claim::Said| claim.labelled(&[("alertname", "Watchdog")]);
    bench.at("01:00");
    assert_eq!(bench.hear(dog(firing("W"))), Reason::HeartbeatPinged);
    assert_eq!(bench.incidents(), (0, 0));
    bench.firing("F", "01:00");
    assert_eq!(bench.incidents(), (1, 1), "others are alerts");
    bench.at("01:05");
    assert_eq!(bench.hear(dog(resolved("W"))), Reason::WatchdogEnded);
    bench.at("01:06");
    assert!(is_firing(&bench, "prom"), "an end is no ping");
    assert_eq!(bench.hear(dog(firing("W"))), Reason::HeartbeatReturned);
    assert!(!is_firing(&bench, "prom"));
}

#[test]
fn silence_of_a_source_is_watched_from_when_it_is_configured() {
    let feed = || Feed::Messages { source: AM.into() };
    let silence = HeartbeatRule {
        grace: Span::ZERO,
        ..rule("source/am", feed())
    };
    let mut bench = Bench::new();
    bench.at("03:00").firing("F", "03:00");
    bench.rules.heartbeats = [silence].into_iter().collect();
    bench.firing("F", "03:00");
    bench.at("03:04:59");
    assert!(!is_firing(&bench, "source/am"));
    bench.at("03:05");
    assert!(is_firing(&bench, "source/am"));
    bench.happen(&Input::SourceHeard { source: AM.into() });
    assert!(!is_firing(&bench, "source/am"));
}

#[test]
fn removing_a_heartbeat_ends_its_alert_and_a_new_time_holds_at_once() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    ping(&mut bench, "backup");
    bench.rules.heartbeats = [HeartbeatRule {
        every: Span::from_hours(1),
        ..rule("backup", Feed::Pings)
    }]
    .into_iter()
    .collect();
    bench.firing("F", "00:00");
    bench.at("01:00");
    assert!(!is_firing(&bench, "backup"));
    bench.at("01:01");
    assert!(is_firing(&bench, "backup"));
    bench.rules.heartbeats = [].into_iter().collect();
    bench.firing("F", "00:00");
    assert!(!is_firing(&bench, "backup"));
    assert_eq!(bench.state.heartbeats().count(), 0);
    assert_eq!(bench.count(Reason::HeartbeatRemoved), 1);
}

#[test]
fn a_person_who_resolves_what_is_still_missing_is_told_again_later() {
    let mut bench = bench([rule("backup", Feed::Pings)]);
    ping(&mut bench, "backup");
    bench.at("00:06");
    bench.command(1, Command::Resolve { note: None });
    let alert = bench
        .state
        .alert_by_key(AlertKey::new(SOURCE, "backup").hash());
    let ended = alert.map(|alert| alert.status);
    assert_eq!(
        ended,
        Some(watchbell::core::alert::AlertStatus::Ended(EndedBy::Person))
    );
    bench.now = t("00:06");
    bench.at("00:40");
    assert!(is_firing(&bench, "backup"));
    assert_eq!(
        bench.incidents(),
        (2, 1),
        "a linked incident after the reopen window"
    );
}
