//! When a failed message is tried again, and when a target is left alone altogether.
//!
//! Pure: time comes in as a value, and the jitter is made of the message's number. Must not sleep.

use crate::core::time::{Span, Timestamp};

/// The pauses after the first, second, ... failure; the last one from then on.
const STEPS_S: [i64; 8] = [1, 2, 5, 10, 30, 60, 120, 300];
/// The longest pause that a target may ask for.
const ASKED_MAX: Span = Span::from_hours(1);
/// Failures in a row after which a target is only tried now and then.
const FAILURES_MAX: u32 = 5;

/// How long to wait after so many attempts: longer each time, and not the same for all, so that they do not come at once.
pub(super) fn pause(id: i64, attempts: i64) -> Span {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(0);
    let last = STEPS_S.last().copied().unwrap_or(300);
    let step_ms = STEPS_S.get(index).copied().unwrap_or(last) * 1_000;
    // A number that looks random, in -200..=200 of a thousand.
    let mixed = id.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed())
        ^ attempts.wrapping_mul(0x2545_F491);
    let share = mixed.rem_euclid(401) - 200;
    Span::from_millis(step_ms.saturating_add(step_ms.saturating_mul(share) / 1_000))
}

/// The pause that a target asks for, within reason.
pub(super) fn asked(seconds: u64) -> Span {
    let asked = i64::try_from(seconds).map_or(ASKED_MAX, Span::from_secs);
    asked.min(ASKED_MAX)
}

/// Whether a target is tried at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    failures: u32,
    closed_until: Option<Timestamp>,
}

impl Breaker {
    /// The target took a message.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The target could not be reached, or failed by itself; `asked` is the pause that it wants.
    pub(super) fn failed(&mut self, now: Timestamp, asked: Option<Span>) {
        self.failures = self.failures.saturating_add(1);
        let by_count = (self.failures >= FAILURES_MAX).then(|| {
            pause(
                i64::from(self.failures),
                i64::from(self.failures - FAILURES_MAX + 1),
            )
        });
        let by_count = by_count.map(|wait| wait.min(Span::from_secs(60)));
        if let Some(wait) = asked.max(by_count) {
            let until = now.plus(wait);
            self.closed_until = Some(self.closed_until.map_or(until, |held| held.max(until)));
        }
    }

    /// Whether it is in trouble, so that one try at a time is enough.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// How many tries failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Until when nothing is sent.
    pub(super) fn closed_until(&self) -> Option<Timestamp> {
        self.closed_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn pauses_grow_and_differ_a_little() {
        for (attempts, step_s) in (1..).zip(STEPS_S) {
            for id in 0..50 {
                let ms = pause(id, attempts).as_millis();
                assert!((step_s * 800..=step_s * 1_200).contains(&ms), "{ms}");
            }
        }
        let different: std::collections::BTreeSet<i64> =
            (0..50).map(|id| pause(id, 5).as_millis()).collect();
        assert!(different.len() > 20);
        assert_eq!(asked(315_360_000), ASKED_MAX);
    }

    #[test]
    fn breaker_opens_after_failures_in_a_row_and_obeys_the_target() {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker.failed(START, None);
        }
        assert_eq!((breaker.is_open(), breaker.closed_until()), (false, None));
        breaker.failed(START, None);
        assert!(breaker.is_open() && breaker.closed_until() > Some(START));
        breaker.succeeded();
        breaker.failed(START, Some(Span::from_secs(120)));
        assert_eq!(
            breaker.closed_until(),
            Some(START.plus(Span::from_secs(120)))
        );
    }
}
