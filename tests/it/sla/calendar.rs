//! Business time against a counter that looks at every minute.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use watchbell::core::calendar::{Calendar, DAY_MINUTES, Window};
use watchbell::core::time::{Span, Timestamp};

use super::{MINUTE, office};

/// Zones west and east of UTC, with changes in both halves of the year, and with odd offsets.
const ZONES: [&str; 8] = [
    "Europe/Paris",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "UTC",
];
/// Days around which clocks change or the calendar does: spring and autumn on both sides of the Atlantic, a leap day,
/// the end of a year.
const DAYS: [&str; 7] = [
    "2026-03-28",
    "2026-10-24",
    "2026-03-07",
    "2026-10-31",
    "2028-02-28",
    "2026-12-30",
    "2026-04-04",
];

/// Whether the clocks of the zone show a time inside a window.
pub(super) fn is_open(calendar: &Calendar, at: Timestamp) -> bool {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap();
    let local = calendar.zone.to_datetime(at);
    let epoch = jiff::civil::date(1970, 1, 1);
    let day = local.date().since(epoch).unwrap().get_days();
    if calendar.holidays.contains(&day) {
        return false;
    }
    let weekday = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap();
    let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap();
    let mut windows = calendar.week[weekday].iter();
    windows.any(|window| window.from <= minute && minute < window.to)
}

fn counted(calendar: &Calendar, from: Timestamp, to: Timestamp) -> Span {
    let mut at = from;
    let mut minutes = 0;
    while at < to {
        minutes += i64::from(is_open(calendar, at));
        at = at.plus(MINUTE);
    }
    MINUTE.times(minutes)
}

fn ms(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_millis(at.as_millisecond())
}

fn calendars() -> impl Strategy<Value = Calendar> {
    let window = (0..DAY_MINUTES, 1..=DAY_MINUTES);
    let day = proptest::collection::vec(window, 0..3);
    let week = proptest::collection::vec(day, 7);
    let zone = proptest::sample::select(&ZONES[..]);
    let holidays = proptest::collection::vec(20_000..21_300_i32, 0..200);
    (week, zone, holidays).prop_map(|(week, zone, holidays)| {
        let mut calendar = Calendar::always("c".into(), TimeZone::get(zone).unwrap());
        for (place, windows) in calendar.week.iter_mut().zip(week) {
            let mut minutes: Vec<_> = windows.into_iter().flat_map(|(a, b)| [a, b]).collect();
            minutes.sort_unstable();
            minutes.dedup();
            let windows = minutes.chunks_exact(2).map(|pair| Window {
                from: pair[0],
                to: pair[1],
            });
            *place = windows.collect();
        }
        calendar.holidays = holidays.into_iter().collect();
        calendar
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn equals_a_counter_of_minutes(
        calendar in calendars(),
        day in proptest::sample::select(&DAYS[..]),
        begin in 0..2_880_i64,
        length in 0..6_000_i64,
        cut in 0..6_000_i64,
    ) {
        let from = ms(&format!("{day}T00:00:00Z")).plus(MINUTE.times(begin));
        let to = from.plus(MINUTE.times(length));
        let open = calendar.open_between(from, to);
        prop_assert_eq!(open, counted(&calendar, from, to));
        let middle = from.plus(MINUTE.times(cut.min(length)));
        let parts = calendar.open_between(from, middle).plus(calendar.open_between(middle, to));
        prop_assert_eq!(open, parts, "nothing is lost or counted twice at a cut");
        if open > Span::ZERO {
            let due = calendar.after(from, open).unwrap();
            prop_assert!(due <= to);
            prop_assert_eq!(calendar.open_between(from, due), open);
            let before = due.minus(Span::from_millis(1));
            prop_assert!(calendar.open_between(from, before) < open, "and not a moment later");
        }
    }
}

#[test]
fn hours_that_the_clocks_skip_or_repeat_count_as_they_are_shown() {
    for (zone, spring, autumn) in [
        (
            "Europe/Paris",
            "2026-03-28T23:00:00Z",
            "2026-10-24T22:00:00Z",
        ),
        (
            "America/New_York",
            "2026-03-08T05:00:00Z",
            "2026-11-01T04:00:00Z",
        ),
    ] {
        let mut night = Calendar::always("night".into(), TimeZone::get(zone).unwrap());
        night.week = std::array::from_fn(|_| vec![Window { from: 60, to: 240 }]);
        let hours = |from: &str| {
            let from = ms(from);
            night
                .open_between(from, from.plus(Span::from_hours(23)))
                .as_millis()
                / 3_600_000
        };
        assert_eq!(
            hours(spring),
            2,
            "{zone}: of 01:00-04:00, one hour is skipped"
        );
        assert_eq!(hours(autumn), 4, "{zone}: one hour comes twice");
    }
}

#[test]
fn holiday_break_and_leap_day_stand_in_the_middle_of_a_clock() {
    let mut calendar = office("Europe/Paris");
    // Friday 2028-02-25 16:00 in Paris; Tuesday the 29th is the leap day.
    let from = ms("2028-02-25T15:00:00Z");
    assert_eq!(
        calendar.after(from, Span::from_hours(17)),
        Some(ms("2028-02-29T16:00:00Z"))
    );
    let monday = 21_242;
    calendar.holidays.insert(monday);
    assert_eq!(
        calendar.after(from, Span::from_hours(17)),
        Some(ms("2028-03-01T16:00:00Z"))
    );
    assert_eq!(
        calendar.after(ms("2028-03-01T10:30:00Z"), Span::from_hours(1)),
        Some(ms("2028-03-01T12:30:00Z")),
        "half an hour before the break, half an hour after it"
    );
}

#[test]
fn calendar_that_is_closed_for_ever_has_no_due_time() {
    let mut closed = office("UTC");
    closed.week = Default::default();
    assert!(!closed.is_ever_open());
    assert_eq!(closed.after(ms("2026-01-01T00:00:00Z"), MINUTE), None);
}
