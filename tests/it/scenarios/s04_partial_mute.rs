//! S4: what a payload leaves out - muted, cut off, or already told - is not resolved.
//!
//! Must not take absence from a message for an end. Until correlation exists each identity has its own incident.

use watchbell::core::alert::EndedBy;
use watchbell::core::incident::StateWord;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;

use crate::support::claim::firing;
use crate::support::world::Bench;

fn a_resolves_while_b_is_muted(bench: &mut Bench) {
    bench.at("10:00:00");
    bench.firing("A", "09:59:00");
    bench.firing("B", "09:59:10");
    bench.at("10:10:00").poll(&[("A", false), ("B", true)]);
    // The group is told as resolved and holds only A.
    bench.at("10:12:00").resolved("A", "09:59:00", "10:11:30");
    bench.at("10:30:00").poll(&[("B", true)]);
}

#[test]
fn muted_alert_stays_open_and_shows_it() {
    let mut bench = Bench::polled();
    a_resolves_while_b_is_muted(&mut bench);
    bench.reads(&[
        "10:00:00 INC-1 A incident_opened",
        "10:00:00 INC-2 B incident_opened",
        "10:00:30 INC-1 incident_announced",
        "10:00:30 INC-2 incident_announced",
        "10:10:00 INC-2 B muted_upstream",
        "10:12:00 INC-1 A alert_resolved",
        "10:12:00 INC-1 recovery_started",
        "10:17:00 INC-1 recovery_sustained",
    ]);
    assert!(bench.is_firing("B") && bench.alert("B").is_muted_upstream);
    assert_eq!(bench.state_of(2), Some(StateWord::New));
}

#[test]
fn end_while_muted_is_found_by_one_poll() {
    let mut bench = Bench::polled();
    a_resolves_while_b_is_muted(&mut bench);
    bench.at("10:31:00").poll(&[]);
    assert_eq!(bench.ended_by("B"), Some(EndedBy::Reconciled));
    bench.at("10:36:00");
    assert_eq!(bench.incidents(), (2, 0));
    assert!(!bench.alert("B").is_muted_upstream);
}

#[test]
fn end_of_the_mute_is_shown() {
    let mut bench = Bench::polled();
    a_resolves_while_b_is_muted(&mut bench);
    bench.at("10:31:00").poll(&[("B", false)]);
    assert!(bench.is_firing("B") && !bench.alert("B").is_muted_upstream);
    assert_eq!(bench.count(Reason::UnmutedUpstream), 1);
}

#[test]
fn alert_that_the_source_lists_for_days_does_not_expire_in_silence() {
    let mut bench = Bench::polled();
    a_resolves_while_b_is_muted(&mut bench);
    // A silence lasts a weekend, far longer than the expiry; all the while the source lists the alert.
    for _ in 0..(3 * 24 * 60) {
        bench.after(Span::from_mins(1)).poll(&[("B", true)]);
    }
    assert!(bench.is_firing("B"), "the incident stays open on B");
    assert_eq!(bench.count(Reason::AlertExpired), 0);
    // The API is gone as well: now time ends it.
    bench.after(Span::from_hours(10));
    assert_eq!(bench.ended_by("B"), Some(EndedBy::Expired));
}

#[test]
fn source_that_has_just_restarted_is_not_believed_about_what_it_does_not_list() {
    let mut bench = Bench::polled();
    bench.at("10:00:00").firing("A", "09:59:00");
    bench.at("10:10:00").poll_since("10:09:30", &[]);
    assert!(bench.is_firing("A"), "it has not learned of it again yet");
    bench.at("10:15:00").poll_since("10:09:30", &[]);
    assert_eq!(bench.ended_by("A"), Some(EndedBy::Reconciled));
    // A poll that ended it wrongly is put right by the next one.
    bench.at("10:16:00").poll_since("10:09:30", &[("A", false)]);
    assert!(
        bench.is_firing("A"),
        "the list that ended it holds it again"
    );
}

#[test]
fn truncated_group_counts_what_was_left_out_and_resolves_nothing() {
    let mut bench = Bench::new();
    bench.at("10:00:00");
    for n in 0..100 {
        bench.firing(&format!("v{n}"), "09:59:00");
    }
    bench.at("10:10:00");
    for n in 0..100 {
        let name = format!("v{n}");
        if n < 40 {
            bench.resolved(&name, "09:59:00", "10:09:00");
        } else {
            bench.hear(firing(&name).start("09:59:00").undelivered(19_900));
        }
    }
    bench.after(Span::from_hours(1));
    assert_eq!(
        bench.incidents(),
        (100, 60),
        "the status of each item decides"
    );
    assert_eq!(bench.alert("v40").undelivered, 19_900);
    assert_eq!(
        bench.state.alert_count(),
        100,
        "no record for the undelivered"
    );
}

#[test]
fn resolve_that_is_told_again_writes_no_second_note() {
    let mut bench = Bench::new();
    bench.at("10:00:00").firing("A", "09:59:00");
    bench.at("10:10:00").resolved("A", "09:59:00", "10:09:00");
    bench.at("10:11:00");
    assert_eq!(
        bench.resolved("A", "09:59:00", "10:09:00"),
        Reason::RepeatOfResolve
    );
    bench.at("10:20:00").resolved("A", "09:59:00", "10:09:00");
    bench.reads(&[
        "10:00:00 INC-1 A incident_opened",
        "10:00:30 INC-1 incident_announced",
        "10:10:00 INC-1 A alert_resolved",
        "10:10:00 INC-1 recovery_started",
        "10:15:00 INC-1 recovery_sustained",
    ]);
}
