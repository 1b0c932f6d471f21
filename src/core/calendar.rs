//! Business time: which minutes of a week count, in a zone, without holidays.
//!
//! A minute counts when the clocks of the zone show a time inside a window of that weekday: an hour that is skipped in
//! spring does not count, one that comes twice in autumn counts twice. Zone and holidays come in as values. Must not
//! read a clock, a file or the zone database.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::time::{Span, Timestamp};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;
/// No due time is looked for further ahead.
const HORIZON: Span = Span::from_days(366 * 20);

/// Minutes of a day that count: from the first one up to the last, which does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// First minute.
    pub from: u16,
    /// The minute after the last.
    pub to: u16,
}

/// Which time counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Its name.
    pub name: SmolStr,
    /// The zone of its clocks.
    pub zone: TimeZone,
    /// Windows per weekday, Monday first; sorted and apart.
    pub week: [Vec<Window>; 7],
    /// Days on which nothing counts, as days since 1970-01-01.
    pub holidays: BTreeSet<i32>,
}

impl Calendar {
    /// A calendar in which every minute counts.
    pub fn always(name: SmolStr, zone: TimeZone) -> Self {
        let whole = vec![Window {
            from: 0,
            to: DAY_MINUTES,
        }];
        Self {
            name,
            zone,
            week: std::array::from_fn(|_| whole.clone()),
            holidays: BTreeSet::new(),
        }
    }

    /// Whether any minute of a week counts.
    pub fn is_ever_open(&self) -> bool {
        let mut windows = self.week.iter().flatten();
        windows.any(|window| window.from < window.to)
    }

    /// How much of the time from `from` up to `to` counts.
    pub fn open_between(&self, from: Timestamp, to: Timestamp) -> Span {
        let mut open = 0_i64;
        // The visitor never breaks, so that the walk has no other end.
        let _end: ControlFlow<()> = self.walk(from.as_millis(), to.as_millis(), |begin, end| {
            open = open.saturating_add(end.saturating_sub(begin));
            ControlFlow::Continue(())
        });
        Span::from_millis(open)
    }

    /// The time at which `wait` has counted since `from`; `None` when that is out of sight.
    pub fn after(&self, from: Timestamp, wait: Span) -> Option<Timestamp> {
        let mut left = wait.as_millis();
        if left <= 0 {
            return Some(from);
        }
        let until = from.plus(HORIZON).as_millis();
        let found = self.walk(from.as_millis(), until, |begin, end| {
            let length = end.saturating_sub(begin);
            if left <= length {
                return ControlFlow::Break(begin.saturating_add(left));
            }
            left = left.saturating_sub(length);
            ControlFlow::Continue(())
        });
        found.break_value().map(Timestamp::from_millis)
    }

    /// Visits the stretches of time that count, in order.
    fn walk<T>(
        &self,
        from: i64,
        to: i64,
        mut visit: impl FnMut(i64, i64) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let mut at = from;
        // Between two changes of the clocks, local time is plain arithmetic.
        while at < to {
            let now = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
            let offset = i64::from(self.zone.to_offset(now).seconds()).saturating_mul(1_000);
            let change = self.zone.following(now).next();
            let change = change.map_or(to, |it| it.timestamp().as_millisecond());
            let end = change.min(to).max(at.saturating_add(1));
            let first = at.saturating_add(offset).div_euclid(DAY_MS);
            let last = end.saturating_add(offset).saturating_sub(1);
            for day in first..=last.div_euclid(DAY_MS) {
                let midnight = day.saturating_mul(DAY_MS).saturating_sub(offset);
                for window in self.windows(day) {
                    let minute = |minute| i64::from(minute) * MINUTE_MS;
                    let begin = midnight.saturating_add(minute(window.from)).max(at);
                    let close = midnight.saturating_add(minute(window.to)).min(end);
                    if begin < close {
                        visit(begin, close)?;
                    }
                }
            }
            at = end;
        }
        ControlFlow::Continue(())
    }

    fn windows(&self, day: i64) -> &[Window] {
        let is_holiday = i32::try_from(day).is_ok_and(|day| self.holidays.contains(&day));
        // 1970-01-01 was a Thursday.
        let weekday = usize::try_from(day.saturating_add(3).rem_euclid(7)).unwrap_or(0);
        match self.week.get(weekday) {
            Some(windows) if !is_holiday => windows,
            Some(_) | None => &[],
        }
    }
}

/// How much of the time from `from` up to `to` counts; without a calendar all of it does.
pub fn open_between(calendar: Option<&Calendar>, from: Timestamp, to: Timestamp) -> Span {
    match calendar {
        Some(calendar) => calendar.open_between(from, to),
        None => to.max(from).since(from),
    }
}

/// The time at which `wait` has counted since `from`.
pub fn after(calendar: Option<&Calendar>, from: Timestamp, wait: Span) -> Option<Timestamp> {
    match calendar {
        Some(calendar) => calendar.after(from, wait),
        None => Some(from.plus(wait.max(Span::ZERO))),
    }
}
