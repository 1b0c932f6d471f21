//! S3: an alert that comes and goes across every window. Must not read as one incident for each change.

use watchbell::core::flap::is_flapping;
use watchbell::core::incident::StateWord;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;

use crate::support::claim::{clock, firing, resolved, t};
use crate::support::world::Bench;

const STEP: Span = Span::from_secs(90);

/// Fires, and changes 13 times in 20 minutes; the last change is an end.
fn flap(bench: &mut Bench) {
    bench.at("10:00:00").hear(firing("F").start("10:00:00"));
    let mut start = clock(bench.now);
    for change in 1..=13 {
        bench.after(STEP);
        let now = clock(bench.now);
        if change % 2 == 1 {
            bench.hear(resolved("F").start(&start).end(&now));
        } else {
            start = now;
            bench.hear(firing("F").start(&start));
        }
    }
}

#[test]
fn thirteen_changes_are_one_incident_that_is_told_once_and_ends_once() {
    let mut bench = Bench::new();
    flap(&mut bench);
    assert_eq!(bench.now, t("10:19:30"));
    assert_eq!(bench.incidents(), (1, 1), "one, and open");
    assert!(is_flapping(&bench.state, bench.incident(1).id));
    assert_eq!(
        bench.incident(1).recovers_at,
        Some(t("10:29:30")),
        "10 minutes"
    );
    assert_eq!(bench.count(Reason::FlappingStarted), 1);
    let at = bench
        .entries
        .iter()
        .find(|(_, it)| it.reason == Reason::FlappingStarted);
    assert_eq!(clock(at.unwrap().0), "10:06:00", "after 4 changes");
    bench.restart(Span::from_secs(30));
    bench.at("10:29:29");
    assert_eq!(bench.state_of(1), Some(StateWord::New));
    bench.at("10:29:30");
    assert_eq!(bench.state_of(1), Some(StateWord::Resolved));
    assert!(!is_flapping(&bench.state, bench.incident(1).id));
    assert_eq!(bench.count(Reason::IncidentOpened), 1);
    assert_eq!(
        bench.count(Reason::IncidentAnnounced),
        1,
        "one opening page"
    );
    assert_eq!(bench.count(Reason::RecoverySustained), 1, "one end");
    assert_eq!(bench.count(Reason::IncidentReopened), 0);
    assert_eq!(
        bench.incident(1).opened_at,
        t("10:00:00"),
        "no clock begins again"
    );
    let changes = bench.count(Reason::AlertResolved) + bench.count(Reason::NewEpisode);
    assert_eq!(changes, 13, "all of them in the timeline");
}

/// It goes on firing in the end, and flaps no more.
pub(crate) fn tour() -> Bench {
    let mut bench = Bench::new();
    flap(&mut bench);
    bench.after(STEP);
    let now = clock(bench.now);
    bench.hear(firing("F").start(&now));
    bench.after(Span::from_mins(10));
    bench
}

#[test]
fn one_that_stays_flaps_no_more_after_a_while() {
    let mut bench = tour();
    assert_eq!(bench.count(Reason::FlappingEnded), 1);
    assert!(!is_flapping(&bench.state, bench.incident(1).id));
    let now = clock(bench.now);
    bench.hear(resolved("F").end(&now));
    assert_eq!(
        bench.incident(1).recovers_at,
        Some(bench.now.plus(Span::from_mins(5)))
    );
}

#[test]
fn alerts_that_come_back_seldom_do_not_flap() {
    let mut bench = Bench::new();
    for hour in 10..20 {
        let (start, end) = (format!("{hour}:00"), format!("{hour}:06"));
        bench.at(&start).firing("F", &start);
        bench.at(&end).resolved("F", &start, &end);
    }
    assert_eq!(bench.count(Reason::FlappingStarted), 0);
}
