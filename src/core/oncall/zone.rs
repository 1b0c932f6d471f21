//! Local time of a zone, and the instant at which a local clock shows a time first.
//!
//! A local time that a clock change skips is first reached at the change; one that comes twice, the first time. So the
//! order of local times is the order of their instants, whatever the clocks do. Must not read a zone database; zones
//! come as values.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::core::time::{Span, Timestamp};

/// Milliseconds of a day on a wall.
pub const DAY: Span = Span::from_hours(24);

/// What a clock on the wall shows, as milliseconds since it showed 1970-01-01 00:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local(i64);

impl Local {
    /// What the wall showed so many milliseconds after 1970-01-01 00:00.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Midnight at the begin of that day, counted from 1970-01-01.
    pub const fn of_day(day: i64) -> Self {
        Self(day.saturating_mul(DAY.as_millis()))
    }

    /// A civil date and time.
    pub fn of(civil: DateTime) -> Self {
        let utc = TimeZone::UTC.to_timestamp(civil);
        Self(utc.map_or(0, jiff::Timestamp::as_millisecond))
    }

    /// Milliseconds since 1970-01-01 00:00 on the same wall.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The day, counted from 1970-01-01.
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY.as_millis())
    }

    /// So much later on the same wall.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }
}

/// The day of the week of a day counted from 1970-01-01; Monday is 0.
pub const fn weekday(day: i64) -> u8 {
    // 1970-01-01 was a Thursday. The remainder is 0 to 6.
    match day.saturating_add(3).rem_euclid(7) {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 3,
        4 => 4,
        5 => 5,
        _ => 6,
    }
}

/// What clocks show there at that time.
pub fn local(zone: &TimeZone, at: Timestamp) -> Local {
    let offset = jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or(0, |at| zone.to_offset(at).seconds());
    Local(
        at.as_millis()
            .saturating_add(i64::from(offset).saturating_mul(1000)),
    )
}

/// The first instant at which clocks there show this time, or a later one.
pub fn first(zone: &TimeZone, local: Local) -> Timestamp {
    let Ok(as_utc) = jiff::Timestamp::from_millisecond(local.0) else {
        return Timestamp::from_millis(local.0);
    };
    let ambiguous = zone.to_ambiguous_timestamp(TimeZone::UTC.to_datetime(as_utc));
    let before = |offset: jiff::tz::Offset| {
        let seconds = i64::from(offset.seconds());
        local.0.saturating_sub(seconds.saturating_mul(1000))
    };
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => Timestamp::from_millis(before(offset)),
        AmbiguousOffset::Fold { before: offset, .. } => Timestamp::from_millis(before(offset)),
        AmbiguousOffset::Gap { before: offset, .. } => {
            // By the offset from before the change this lies just after it.
            let after = before(offset);
            let change = jiff::Timestamp::from_millisecond(after.saturating_add(1)).ok();
            let change = change.and_then(|after| zone.preceding(after).next());
            let change = change.map(|change| change.timestamp().as_millisecond());
            Timestamp::from_millis(change.unwrap_or(after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn civil(text: &str) -> Local {
        Local::of(text.parse().unwrap())
    }

    #[test]
    fn skipped_times_come_at_the_change_and_doubled_ones_the_first_time() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let first = |text| first(&berlin, civil(text));
        assert_eq!(first("2026-11-30T09:00"), at("2026-11-30T08:00:00Z"));
        assert_eq!(first("2026-03-29T01:59"), at("2026-03-29T00:59:00Z"));
        assert_eq!(first("2026-03-29T02:00"), at("2026-03-29T01:00:00Z"));
        assert_eq!(first("2026-03-29T02:30"), at("2026-03-29T01:00:00Z"));
        assert_eq!(first("2026-03-29T03:00"), at("2026-03-29T01:00:00Z"));
        assert_eq!(first("2026-10-25T02:30"), at("2026-10-25T00:30:00Z"));
        assert_eq!(first("2026-10-25T03:00"), at("2026-10-25T02:00:00Z"));
        assert_eq!(
            local(&berlin, at("2026-11-30T08:00:00Z")),
            civil("2026-11-30T09:00")
        );
    }

    #[test]
    fn weekdays_begin_on_monday() {
        let day = civil("2026-11-30T00:00").day();
        assert_eq!(
            (weekday(day), weekday(day + 6), weekday(day + 7)),
            (0, 6, 0)
        );
        assert_eq!(weekday(0), 3);
    }
}
