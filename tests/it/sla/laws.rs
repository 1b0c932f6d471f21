//! Whatever people do with an incident, its clock equals a counter that looks at every minute.

use proptest::prelude::*;
use watchbell::core::incident::StateWord;
use watchbell::core::input::Command;
use watchbell::core::severity::Priority;
use watchbell::core::sla::ClockKind;
use watchbell::core::time::{Span, Timestamp};

use super::calendar::is_open;
use super::{MINUTE, clock_of, high, hold, rule, rules, set};
use crate::support::claim::t;
use crate::support::world::Bench;

#[derive(Clone, Copy, Debug)]
enum Step {
    Hold,
    Resume,
    ResolveAndReopen,
    Raise,
    HandBack,
    Restart,
}

fn elapsed(bench: &Bench) -> Span {
    let clock = clock_of(bench, ClockKind::Resolution);
    let name = clock.target.as_ref().and_then(|it| it.calendar.as_ref());
    clock.elapsed(bench.rules.sla.calendar(name), bench.now)
}

/// Counts the minutes that passed, as the incident stood when they did.
fn count(bench: &Bench, from: Timestamp, to: Timestamp) -> Span {
    let incident = bench.incident(1);
    let is_running = matches!(
        incident.state.word(),
        StateWord::New | StateWord::Acknowledged | StateWord::InProgress
    );
    let office = bench.rules.sla.calendar(Some(&"office".into())).unwrap();
    let is_office = incident.priority == Priority::P3;
    let mut at = from;
    let mut minutes = 0;
    while at < to {
        minutes += i64::from(is_running && (!is_office || is_open(office, at)));
        at = at.plus(MINUTE);
    }
    MINUTE.times(minutes)
}

fn pass(bench: &mut Bench, minutes: i64, sum: &mut Span) {
    let from = bench.now;
    let to = from.plus(MINUTE.times(minutes));
    *sum = sum.plus(count(bench, from, to));
    bench.after(MINUTE.times(minutes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn elapsed_never_shrinks_never_counts_a_pause_and_equals_a_counter(
        steps in proptest::collection::vec((proptest::sample::select(&[
            Step::Hold, Step::Resume, Step::ResolveAndReopen, Step::Raise, Step::HandBack, Step::Restart,
        ][..]), 1..900_i64), 1..14),
        begin in 0..2_000_i64,
    ) {
        // Targets that are not reached, so that no clock is missed and stays with its rule.
        let far = ("500000", "500000");
        let mut bench = Bench::with(rules(vec![
            rule("fast", "incident.priority == 'P1'", far, None),
            rule("office", "incident.priority == 'P3'", far, Some("office")),
        ]));
        bench.at("00:00").after(MINUTE.times(begin));
        bench.hear(high("F"));
        let mut sum = Span::ZERO;
        let mut last = Span::ZERO;
        for (step, minutes) in steps {
            pass(&mut bench, minutes, &mut sum);
            match step {
                Step::Hold => { bench.command(1, hold()); }
                Step::Resume => { bench.command(1, Command::Resume); }
                Step::ResolveAndReopen => {
                    bench.command(1, Command::Resolve { note: None });
                    pass(&mut bench, minutes % 15, &mut sum);
                    bench.command(1, Command::Reopen { reason: None });
                }
                Step::Raise => { bench.command(1, set(Some(Priority::P1))); }
                Step::HandBack => { bench.command(1, set(None)); }
                Step::Restart => {
                    sum = sum.plus(count(&bench, bench.now, bench.now.plus(MINUTE)));
                    bench.restart(MINUTE);
                }
            }
            let now = elapsed(&bench);
            prop_assert!(now >= last);
            prop_assert_eq!(now, sum, "after {:?} at {:?}", step, bench.now.since(t("00:00")));
            last = now;
        }
    }
}
