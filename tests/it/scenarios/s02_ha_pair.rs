//! S2: both halves of a pair tell the same story, with retries and a contradiction.
//!
//! Must not make two of anything, nor show people a reopen and a close.

use watchbell::core::alert::EndedBy;
use watchbell::core::incident::StateWord;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;

use crate::support::world::Bench;

#[test]
fn pair_with_retries_and_a_contradiction_is_one_alert_and_one_incident() {
    let mut bench = Bench::new();
    bench.at("10:00:00");
    assert_eq!(bench.firing("F", "09:59:58"), Reason::AlertOpened);
    for _ in 0..14 {
        bench.after(Span::from_millis(250));
        assert_eq!(bench.firing("F", "09:59:58"), Reason::RepeatOfOpenEpisode);
    }
    bench.at("10:00:04");
    assert_eq!(bench.firing("F", "09:59:58"), Reason::RepeatOfOpenEpisode);
    // B has seen the end; A is five seconds behind.
    bench.at("10:20:00");
    bench.resolved("F", "09:59:58", "10:19:50");
    bench.at("10:20:05");
    assert_eq!(bench.firing("F", "09:59:58"), Reason::LateFiringParked);
    bench.at("10:20:10");
    assert_eq!(
        bench.resolved("F", "09:59:58", "10:19:50"),
        Reason::RepeatOfResolve
    );
    bench.at("12:00:00");
    bench.reads(&[
        "10:00:00 INC-1 F incident_opened",
        "10:00:30 INC-1 incident_announced",
        "10:20:00 INC-1 F alert_resolved",
        "10:20:00 INC-1 recovery_started",
        "10:20:05 INC-1 F late_firing_parked",
        "10:20:10 INC-1 F late_firing_discarded",
        "10:25:00 INC-1 recovery_sustained",
    ]);
    assert_eq!(bench.state.alert_count(), 1);
    assert_eq!(bench.incidents(), (1, 0));
    assert_eq!(
        bench.alert("F").count,
        19,
        "duplicates only raise a counter"
    );
}

#[test]
fn losing_either_half_loses_nothing() {
    let mut bench = Bench::new();
    bench.at("10:00:00").firing("F", "09:59:58");
    // A is gone; only B goes on.
    bench.at("10:30:00").firing("F", "09:59:58");
    bench.at("11:00:00").resolved("F", "09:59:58", "10:59:50");
    bench.at("11:05:00");
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
}

#[test]
fn halves_that_started_apart_are_one_incident() {
    let mut bench = Bench::new();
    bench.at("10:00:00").firing("F", "09:59:30");
    bench.at("10:00:20");
    // The other half evaluates thirty seconds later, so its start is later too.
    assert_eq!(
        bench.firing("F", "10:00:00"),
        Reason::NewEpisodeWithoutResolve
    );
    for _ in 0..5 {
        bench.after(Span::from_mins(1));
        assert_eq!(bench.firing("F", "09:59:30"), Reason::RepeatOfOpenEpisode);
        assert_eq!(bench.firing("F", "10:00:00"), Reason::RepeatOfOpenEpisode);
    }
    bench.after(Span::from_mins(1));
    assert_eq!(
        bench.resolved("F", "09:59:30", "10:06:10"),
        Reason::AlertResolved
    );
    assert_eq!(
        bench.resolved("F", "10:00:00", "10:06:12"),
        Reason::RepeatOfResolve
    );
    bench.after(Span::from_mins(10));
    assert_eq!(bench.incidents(), (1, 0));
    assert_eq!(bench.ended_by("F"), Some(EndedBy::Resolved));
}
