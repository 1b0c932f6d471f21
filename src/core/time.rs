//! Points in time and lengths of time, as UTC milliseconds.
//!
//! The core owns time: everything that depends on it takes a [`Timestamp`] as a value. Must not read a clock,
//! know a time zone, or print for people; texts are made where they are shown.

use std::fmt;
use std::num::NonZeroI64;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// The instant zero itself is not representable (it becomes one millisecond later), so that an
/// `Option<Timestamp>` costs no extra byte: a million alerts hold several of them each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(NonZeroI64);

/// The latest representable point: 9999-12-30T22:00:00Z, so that every value prints as RFC 3339 in every zone; it is
/// also where jiff, which prints them, ends.
const LATEST_MS: i64 = 253_402_207_200_000;
/// The earliest representable point: 0001-01-01T00:00:00Z.
const EARLIEST_MS: i64 = -62_135_596_800_000;

impl Timestamp {
    /// The latest representable point in time.
    pub const MAX: Self = Self::from_millis(LATEST_MS);

    /// Takes milliseconds since the Unix epoch; values outside years 1 to 9999 are clamped.
    pub const fn from_millis(ms: i64) -> Self {
        let clamped = if ms > LATEST_MS {
            LATEST_MS
        } else if ms < EARLIEST_MS {
            EARLIEST_MS
        } else {
            ms
        };
        match NonZeroI64::new(if clamped == 0 { 1 } else { clamped }) {
            Some(ms) => Self(ms),
            None => Self(NonZeroI64::MAX),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0.get()
    }

    /// This point moved later by `span` (earlier when negative), clamped to the representable range.
    pub const fn plus(self, span: Span) -> Self {
        Self::from_millis(self.as_millis().saturating_add(span.0))
    }

    /// This point moved earlier by `span`, clamped to the representable range.
    pub const fn minus(self, span: Span) -> Self {
        Self::from_millis(self.as_millis().saturating_sub(span.0))
    }

    /// The time passed since `earlier`; negative when `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.as_millis().saturating_sub(earlier.as_millis()))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A length of time in milliseconds; may be negative as a difference.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Takes milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Takes seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Takes minutes.
    pub const fn from_mins(mins: i64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// Takes hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_mins(hours.saturating_mul(60))
    }

    /// Takes days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    /// Milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The length so many times.
    #[must_use]
    pub const fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Both lengths together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The length without another one; may be negative.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The length without its sign.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_clamped_and_never_wraps() {
        assert_eq!(Timestamp::MAX.plus(Span::from_days(1)), Timestamp::MAX);
        let start = Timestamp::from_millis(1_000);
        assert_eq!(
            start.plus(Span::from_secs(2)).since(start),
            Span::from_secs(2)
        );
        assert_eq!(
            start.since(start.plus(Span::from_secs(2))),
            Span::from_secs(-2)
        );
        assert_eq!(start.minus(Span::from_secs(1)), Timestamp::from_millis(0));
    }

    #[test]
    fn zero_becomes_the_next_millisecond() {
        assert_eq!(Timestamp::from_millis(0).as_millis(), 1);
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }
}
