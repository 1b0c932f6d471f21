//! S5: sources whose clocks are wrong, and messages with odd or no times.
//!
//! Must not reject anything, nor let a source's clock move our windows.

use watchbell::core::incident::StateWord;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;

use crate::support::claim::{firing, resolved, t};
use crate::support::world::Bench;

#[test]
fn slow_source_fires_and_recovers_on_our_time() {
    let mut bench = Bench::new();
    bench.at("13:00:00");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::AlertOpened);
    bench.at("13:10:00");
    assert_eq!(
        bench.resolved("F", "10:00:00", "10:10:00"),
        Reason::AlertResolved
    );
    bench.at("13:20:00");
    bench.reads(&[
        "13:00:00 INC-1 F incident_opened",
        "13:00:30 INC-1 incident_announced",
        "13:10:00 INC-1 F alert_resolved",
        "13:10:00 INC-1 recovery_started",
        "13:15:00 INC-1 recovery_sustained",
    ]);
    let alert = bench.alert("F");
    assert_eq!(
        (alert.starts_at, alert.ends_at),
        (t("10:00"), Some(t("10:10")))
    );
    // The next episode of a slow source starts, on our clock, before the end of the last was heard.
    bench.at("13:22:00");
    assert_eq!(bench.firing("F", "10:22:00"), Reason::NewEpisode);
    assert_eq!(
        bench.state_of(1),
        Some(StateWord::New),
        "inside the reopen window"
    );
}

#[test]
fn fast_source_fires_now_and_expires_on_our_time() {
    let mut bench = Bench::new();
    bench.at("10:00:00");
    assert_eq!(bench.firing("F", "12:00:00"), Reason::AlertOpened);
    assert_eq!(bench.incident(1).opened_at, t("10:00"));
    bench.at("19:00:00");
    assert!(!bench.is_firing("F"), "nine hours after the last message");
    let mut bench = Bench::new();
    bench.at("10:00:00").firing("F", "12:00:00");
    bench.at("10:30:00").hear(firing("F").start("12:00:00"));
    bench.hear(resolved("F").start("12:00:00"));
    assert_eq!(
        bench.alert("F").ends_at,
        Some(t("12:00")),
        "our end lies before its start and is clamped"
    );
}

#[test]
fn end_before_the_start_is_clamped() {
    let mut bench = Bench::new();
    bench.at("10:00:10").firing("F", "10:00:00");
    bench.at("10:00:20");
    assert_eq!(
        bench.resolved("F", "10:00:00", "09:59:59"),
        Reason::AlertResolved
    );
    assert_eq!(bench.alert("F").ends_at, Some(t("10:00")));
    assert_eq!(
        bench.resolved("G", "10:00:00", "09:59:59"),
        Reason::OrphanResolve
    );
    assert_eq!(bench.alert("G").ends_at, Some(t("10:00")));
}

#[test]
fn an_episode_of_a_second_is_an_episode() {
    let mut bench = Bench::new();
    bench.at("10:00:00").firing("F", "10:00:00");
    bench.at("10:00:01").resolved("F", "10:00:00", "10:00:01");
    bench.at("10:00:02");
    assert_eq!(bench.firing("F", "10:00:01.500"), Reason::NewEpisode);
    assert_eq!(bench.alert("F").episode, 2);
}

#[test]
fn jitter_of_milliseconds_is_not_a_new_episode() {
    let mut bench = Bench::new();
    bench.at("10:00:05").firing("F", "10:00:00");
    for start in [
        "10:00:00.004",
        "09:59:59.996",
        "10:00:01.900",
        "09:59:58.100",
    ] {
        assert_eq!(bench.firing("F", start), Reason::RepeatOfOpenEpisode);
    }
    bench
        .at("10:01:00")
        .resolved("F", "10:00:00.123", "10:00:50");
    assert!(!bench.is_firing("F"));
    assert_eq!(bench.firing("F", "09:59:59.500"), Reason::LateFiringParked);
    assert_eq!(bench.alert("F").episode, 1);
}

#[test]
fn messages_without_time_live_on_ours() {
    let mut bench = Bench::new();
    bench.at("10:00:00");
    assert_eq!(bench.hear(firing("F")), Reason::AlertOpened);
    bench.at("10:01:00");
    assert_eq!(bench.hear(firing("F")), Reason::RepeatOfOpenEpisode);
    bench.at("10:02:00");
    assert_eq!(bench.hear(resolved("F")), Reason::AlertResolved);
    bench.at("10:03:00");
    assert_eq!(bench.hear(resolved("F")), Reason::RepeatOfResolve);
    bench.at("10:04:00");
    assert_eq!(bench.hear(firing("F")), Reason::NewEpisode);
    assert_eq!(bench.incidents(), (1, 1));
    assert_eq!(bench.alert("F").starts_at, t("10:04"));
}

#[test]
fn start_that_we_made_up_is_never_compared_with_one_of_the_source() {
    let mut bench = Bench::new();
    // Three hours slow, and the first message says no time.
    bench.at("13:00:00").hear(firing("F"));
    bench.at("13:10:00");
    assert_eq!(
        bench.hear(resolved("F").start("10:00:00")),
        Reason::AlertResolved,
        "the resolve is of no older episode"
    );
    bench.at("13:30:00");
    assert_eq!(bench.firing("F", "10:30:00"), Reason::NewEpisode);
    bench.at("13:40:00");
    assert_eq!(
        bench.resolved("F", "10:30:00", "10:40:00"),
        Reason::AlertResolved
    );
    bench.at("14:00:00");
    assert_eq!(bench.hear(firing("F")), Reason::NewEpisode);
    bench.at("14:10:00").firing("F", "11:00:00");
    assert_eq!(
        bench.alert("F").starts_at,
        t("11:00"),
        "the source's own start is taken as soon as it says one"
    );
    bench
        .after(Span::from_mins(1))
        .resolved("F", "11:00:00", "11:11:00");
    assert!(!bench.is_firing("F"), "every open gets its close");
}

#[test]
fn person_resolves_an_alert_of_a_source_without_times() {
    let mut bench = Bench::new();
    bench.at("10:00:00").hear(firing("F"));
    bench.command(1, watchbell::core::input::Command::Resolve { note: None });
    bench.at("10:01:00");
    assert_eq!(
        bench.hear(firing("F")),
        Reason::FiringAfterPersonResolved,
        "a repeat does not undo what a person did"
    );
    bench.at("10:02:00").hear(resolved("F"));
    bench.at("10:03:00");
    assert_eq!(
        bench.hear(firing("F")),
        Reason::NewEpisode,
        "after an end of its own it does"
    );
}
