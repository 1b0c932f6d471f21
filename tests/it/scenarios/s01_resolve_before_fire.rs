//! S1: a resolve arrives before its firing message, and a firing message after its resolve.
//!
//! Must not open anything for a message that is only late, nor lose an alert that really fires.

use watchbell::core::alert::{EndedBy, Late};
use watchbell::core::incident::StateWord;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;

use crate::support::claim::{firing, resolved};
use crate::support::world::Bench;

/// An unknown fingerprint arrives resolved; three seconds later its firing message.
fn resolve_then_late_firing(bench: &mut Bench) {
    bench.at("10:01:00");
    assert_eq!(
        bench.resolved("F", "10:00:00", "10:01:00"),
        Reason::OrphanResolve
    );
    assert_eq!(bench.incidents(), (0, 0), "no incident for an orphan");
    bench.at("10:01:03");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringParked);
    assert_eq!(bench.incidents(), (0, 0), "nor for its late firing");
}

#[test]
fn late_firing_is_discarded_and_the_next_episode_opens_one_incident() {
    let mut bench = Bench::new();
    resolve_then_late_firing(&mut bench);
    bench.at("10:06:00");
    assert_eq!(bench.firing("F", "10:05:00"), Reason::NewEpisode);
    bench.reads(&[
        "10:01:00 F orphan_resolve",
        "10:01:03 F late_firing_parked",
        "10:01:33 F late_firing_discarded",
        "10:06:00 INC-1 F incident_opened",
        "10:06:00 INC-1 F new_episode",
    ]);
    assert_eq!(bench.incidents(), (1, 1));
    assert_eq!(bench.alert("F").count, 3, "stored and counted");
    assert_eq!(
        bench.alert("F").episode,
        1,
        "the first that was seen firing"
    );
}

#[test]
fn source_that_can_be_asked_denies_the_late_firing() {
    let mut bench = Bench::polled();
    resolve_then_late_firing(&mut bench);
    bench.at("10:01:20").poll(&[]);
    assert_eq!(bench.alert("F").late, Late::None);
    bench.at("10:06:00").firing("F", "10:05:00");
    bench.reads(&[
        "10:01:00 F orphan_resolve",
        "10:01:03 F late_firing_parked",
        "10:01:20 F late_firing_discarded",
        "10:06:00 INC-1 F incident_opened",
        "10:06:00 INC-1 F new_episode",
    ]);
}

#[test]
fn source_that_can_be_asked_confirms_the_late_firing() {
    let mut bench = Bench::polled();
    resolve_then_late_firing(&mut bench);
    bench.at("10:01:20").poll(&[("F", false)]);
    bench.reads(&[
        "10:01:00 F orphan_resolve",
        "10:01:03 F late_firing_parked",
        "10:01:20 INC-1 F incident_opened",
        "10:01:20 INC-1 F late_firing_confirmed",
    ]);
}

#[test]
fn poll_that_comes_after_the_reorder_window_still_decides() {
    let mut bench = Bench::polled();
    resolve_then_late_firing(&mut bench);
    // The source is polled once a minute, the reorder window is half of that.
    bench.at("10:01:50");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringStillParked);
    bench.at("10:02:00").poll(&[("F", false)]);
    assert!(bench.is_firing("F"), "what is active must not vanish");
    bench.reads(&[
        "10:01:00 F orphan_resolve",
        "10:01:03 F late_firing_parked",
        "10:02:00 INC-1 F incident_opened",
        "10:02:00 INC-1 F late_firing_confirmed",
    ]);
}

#[test]
fn poll_that_comes_after_the_firing_was_discarded_still_confirms_it() {
    let mut bench = Bench::polled();
    resolve_then_late_firing(&mut bench);
    bench.at("10:20:00");
    assert_eq!(bench.alert("F").late, Late::Discarded);
    let mut denied = bench.clone();
    bench.poll(&[("F", false)]);
    assert!(bench.is_firing("F"));
    denied.poll(&[]);
    assert_eq!(denied.alert("F").late, Late::None);
    assert_eq!(denied.count(Reason::LateFiringDiscarded), 1, "said once");
}

#[test]
fn overdue_parking_does_not_hold_back_a_repeat() {
    let mut bench = Bench::new();
    resolve_then_late_firing(&mut bench);
    bench.stall(Span::from_secs(30));
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringConfirmed);
}

#[test]
fn resolve_of_an_older_episode_says_nothing_about_a_parked_firing() {
    let mut bench = Bench::new();
    bench.at("10:06").resolved("F", "10:05:00", "10:06:00");
    bench.firing("F", "10:05:00");
    assert_eq!(
        bench.resolved("F", "10:00:00", "10:01:00"),
        Reason::RepeatOfResolve
    );
    bench.at("10:07");
    assert_eq!(bench.firing("F", "10:05:00"), Reason::LateFiringConfirmed);
}

#[test]
fn source_whose_api_is_down_is_believed_when_it_repeats_itself() {
    let mut bench = Bench::polled();
    resolve_then_late_firing(&mut bench);
    bench.at("14:01:03");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringConfirmed);
    assert_eq!(bench.incidents(), (1, 1));
}

#[test]
fn repeat_inside_the_reorder_window_does_not_open_but_one_after_it_does() {
    let mut bench = Bench::new();
    resolve_then_late_firing(&mut bench);
    bench.at("10:01:20");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringStillParked);
    bench.at("10:03:00");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringConfirmed);
    assert_eq!(bench.incidents(), (1, 1), "it really fires");
}

#[test]
fn expired_episode_that_returns_reopens_at_once() {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00:00");
    bench.at("19:00");
    assert_eq!(bench.ended_by("F"), Some(EndedBy::Expired));
    bench.at("19:04:00");
    assert_eq!(
        bench.firing("F", "10:00:00"),
        Reason::ExpiredEpisodeReturned
    );
    bench.reads(&[
        "10:00:00 INC-1 F incident_opened",
        "10:00:30 INC-1 incident_announced",
        "19:00:00 INC-1 F alert_expired",
        "19:00:00 INC-1 recovery_started",
        "19:04:00 INC-1 F recovery_interrupted",
        "19:04:00 INC-1 F expired_episode_returned",
    ]);
    assert_eq!(bench.state_of(1), Some(StateWord::New));
}

#[test]
fn resolve_of_an_expired_episode_makes_a_later_firing_late() {
    let mut bench = Bench::new();
    bench.at("10:00").firing("F", "10:00:00");
    bench.at("19:00:10");
    assert_eq!(
        bench.resolved("F", "10:00:00", "18:59:00"),
        Reason::AlertResolved
    );
    assert_eq!(bench.ended_by("F"), Some(EndedBy::Resolved));
    bench.at("19:00:12");
    assert_eq!(bench.firing("F", "10:00:00"), Reason::LateFiringParked);
}

#[test]
fn poll_brings_an_expired_episode_back() {
    let mut bench = Bench::polled();
    bench.at("10:00").firing("F", "10:00:00");
    bench.at("19:01:00").poll(&[("F", false)]);
    assert!(bench.is_firing("F"), "the source says that it is active");
    assert_eq!(bench.count(Reason::ExpiredEpisodeReturned), 1);
}

#[test]
fn late_firing_of_an_older_start_that_is_confirmed_can_be_resolved() {
    let mut bench = Bench::new();
    bench.at("10:10").resolved("F", "10:05:00", "10:06:00");
    bench.at("10:11").firing("F", "10:00:00");
    bench.at("10:15").firing("F", "10:00:00");
    assert!(bench.is_firing("F"));
    bench.at("10:16").resolved("F", "10:00:00", "10:04:00");
    assert!(!bench.is_firing("F"), "every open gets its close");
}

#[test]
fn second_resolve_settles_a_parked_firing() {
    let mut bench = Bench::new();
    resolve_then_late_firing(&mut bench);
    bench.at("10:01:10");
    assert_eq!(
        bench.hear(resolved("F").start("10:00:00").end("10:01:00")),
        Reason::RepeatOfResolve
    );
    bench.after(Span::from_hours(1));
    assert_eq!(bench.count(Reason::LateFiringDiscarded), 1, "and says so");
    assert_eq!(
        bench.hear(firing("F").start("10:00:00")),
        Reason::LateFiringParked,
        "the next late one waits again"
    );
}
