//! Hours of the week on the wall of a zone.
//!
//! A window begins and ends when the local clock first shows its times, so that a clock change makes it shorter or
//! longer and never moves its edges. Must not know holidays; those are a calendar's.

use jiff::tz::TimeZone;

use crate::core::oncall::zone::{Local, first, local, weekday};
use crate::core::time::{Span, Timestamp};

/// Windows of one week; more are refused at load.
pub const WINDOWS_MAX: usize = 100;
/// A window ends at most so long after the begin of its day.
const WINDOW_MAX_DAYS: i64 = 2;

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The day on which it begins; Monday is 0.
    pub weekday: u8,
    /// When it begins, from midnight.
    pub from: Span,
    /// When it ends, from the same midnight; after 24 hours it ends on the next day.
    pub to: Span,
}

/// Windows of the week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours(Vec<Window>);

impl Hours {
    /// Takes the windows.
    pub fn new(mut windows: Vec<Window>) -> Self {
        windows.truncate(WINDOWS_MAX);
        Self(windows)
    }

    /// The windows.
    pub fn windows(&self) -> &[Window] {
        &self.0
    }

    /// Whether that time lies in one of them.
    pub fn contains(&self, zone: &TimeZone, at: Timestamp) -> bool {
        let today = local(zone, at).day();
        self.around(
            today.saturating_sub(WINDOW_MAX_DAYS),
            today.saturating_add(1),
        )
        .any(|(from, to)| first(zone, from) <= at && at < first(zone, to))
    }

    /// The next time after `at` at which one begins or ends.
    pub fn next_edge(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let today = local(zone, at).day();
        let edges = self
            .around(
                today.saturating_sub(WINDOW_MAX_DAYS),
                today.saturating_add(8),
            )
            .flat_map(|(from, to)| [first(zone, from), first(zone, to)]);
        edges.filter(|edge| *edge > at).min()
    }

    /// The last time until `at` at which one began or ended.
    pub fn last_edge(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let today = local(zone, at).day();
        let edges = self
            .around(today.saturating_sub(9), today.saturating_add(1))
            .flat_map(|(from, to)| [first(zone, from), first(zone, to)]);
        edges.filter(|edge| *edge <= at).max()
    }

    /// The next time from `at` on that lies in one of them.
    pub fn next_open(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        if self.contains(zone, at) {
            return Some(at);
        }
        let today = local(zone, at).day();
        let windows = self.around(
            today.saturating_sub(WINDOW_MAX_DAYS),
            today.saturating_add(8),
        );
        let begins = windows
            .filter(|(from, to)| first(zone, *from) < first(zone, *to))
            .map(|(from, _)| first(zone, from));
        begins.filter(|begin| *begin > at).min()
    }

    /// The windows that begin on these days, both included.
    fn around(&self, from: i64, to: i64) -> impl Iterator<Item = (Local, Local)> {
        (from..=to).flat_map(move |day| {
            let midnight = Local::of_day(day);
            let of_day = self
                .0
                .iter()
                .filter(move |window| window.weekday == weekday(day));
            of_day.map(move |window| (midnight.plus(window.from), midnight.plus(window.to)))
        })
    }
}
