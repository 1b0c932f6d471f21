//! The wall clock, made monotonic.
//!
//! Everything that decides takes time as a value, and the core relies on it never running backwards, so a step back of
//! the system clock (NTP, a person, a resumed machine) shows here as time that stands still until it is caught up.
//! Must not be read by `core` or `sources`; they get the value.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::core::time::{Span, Timestamp};

/// Tells the time; clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reading: Reading,
    /// The latest time given out, in milliseconds since the Unix epoch.
    latest_ms: AtomicI64,
}

#[derive(Debug)]
enum Reading {
    System,
    Manual(AtomicI64),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self::new(Reading::System)
    }

    /// A clock that stands at `start` until it is moved; for tests and simulations.
    pub fn manual(start: Timestamp) -> Self {
        Self::new(Reading::Manual(AtomicI64::new(start.as_millis())))
    }

    /// The time now; never earlier than an answer given before.
    pub fn now(&self) -> Timestamp {
        let read_ms = match &self.0.reading {
            Reading::System => system_ms(),
            Reading::Manual(ms) => ms.load(Ordering::Acquire),
        };
        let latest_ms = self.0.latest_ms.fetch_max(read_ms, Ordering::AcqRel);
        Timestamp::from_millis(read_ms.max(latest_ms))
    }

    /// Moves a manual clock to `at`, also backwards, as a system clock may; does nothing to the system clock.
    pub fn set(&self, at: Timestamp) {
        if let Reading::Manual(ms) = &self.0.reading {
            ms.store(at.as_millis(), Ordering::Release);
        }
    }

    /// Moves a manual clock on by `span`; does nothing to the system clock.
    pub fn advance(&self, span: Span) {
        if let Reading::Manual(ms) = &self.0.reading {
            ms.fetch_add(span.as_millis(), Ordering::AcqRel);
        }
    }

    fn new(reading: Reading) -> Self {
        Self(Arc::new(Inner {
            reading,
            latest_ms: AtomicI64::new(i64::MIN),
        }))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => millis(before.duration()).saturating_neg(),
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_is_moved_by_hand_and_never_goes_back() {
        let start = Timestamp::from_millis(1_000);
        let clock = Clock::manual(start);
        let other = clock.clone();
        assert_eq!(clock.now(), start);
        other.advance(Span::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_millis(6_000));
        clock.set(Timestamp::from_millis(10));
        assert_eq!(other.now(), Timestamp::from_millis(6_000));
        clock.set(Timestamp::from_millis(7_000));
        assert_eq!(other.now(), Timestamp::from_millis(7_000));
    }

    #[test]
    fn system_clock_is_of_this_century() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(first.as_millis() > 1_700_000_000_000);
        assert!(clock.now() >= first);
    }
}
