//! Hours of the week as people write them: `{ mon-fri = ["08:00-12:00", "13:00-17:00"], sat = "09:00-12:00" }`.
//!
//! Must not know zones or holidays.

use crate::config::error::Complaint;
use crate::config::reader::{Spot, expected};
use crate::config::tree::{Node, Value};
use crate::core::oncall::hours::{Hours, WINDOWS_MAX, Window};
use crate::core::time::Span;

pub(super) const HOURS_HINT: &str = "write days and times, like { mon-fri = [\"08:00-12:00\", \"13:00-17:00\"], sat = \"22:00-06:00\" }";
/// Days as they are written, in the order of the week.
const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const DAY: Span = Span::from_hours(24);

/// Reads hours of the week.
pub(super) fn hours(spot: &Spot<'_>) -> Result<Hours, Complaint> {
    let mut windows = Vec::new();
    let no_days = crate::config::tree::Table::new();
    let table = match &spot.node.value {
        Value::Table(table) => table,
        // Without days it is every day.
        Value::Text(_) | Value::List(_) => {
            for (from, to) in ranges(spot.node)? {
                windows.extend((0..7).map(|weekday| Window { weekday, from, to }));
            }
            &no_days
        }
        Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date => {
            return Err(expected("a table of hours", &spot.node.value).hint(HOURS_HINT));
        }
    };
    for (key, (_, node)) in table {
        let days = days(key).ok_or_else(|| {
            Complaint::new(format!("`{key}` is no day of the week")).hint(HOURS_HINT)
        })?;
        for (from, to) in ranges(node)? {
            windows.extend(days.iter().map(|&weekday| Window { weekday, from, to }));
        }
    }
    if windows.is_empty() {
        return Err(Complaint::new("names no hours").hint(HOURS_HINT));
    }
    if windows.len() > WINDOWS_MAX {
        let message = format!("has more than {WINDOWS_MAX} windows");
        return Err(Complaint::new(message));
    }
    Ok(Hours::new(windows))
}

/// The number of a day of the week, by its name or the begin of it; Monday is 0.
pub(super) fn weekday(text: &str) -> Option<u8> {
    let text = text.to_ascii_lowercase();
    let number = DAYS
        .iter()
        .position(|day| day.starts_with(&text) && text.len() >= 2);
    number.and_then(|number| u8::try_from(number).ok())
}

/// Days like `mon-fri`, `sat` or `daily`, also several between commas.
fn days(text: &str) -> Option<Vec<u8>> {
    let mut days = Vec::new();
    for part in text.split(',').map(str::trim) {
        if matches!(part, "daily" | "all" | "every-day") {
            days.extend(0..7);
            continue;
        }
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (weekday(from.trim())?, weekday(to.trim())?);
        let mut day = from;
        loop {
            days.push(day);
            if day == to {
                break;
            }
            day = if day == 6 { 0 } else { day.saturating_add(1) };
        }
    }
    days.sort_unstable();
    days.dedup();
    Some(days)
}

fn ranges(node: &Node) -> Result<Vec<(Span, Span)>, Complaint> {
    let bad = || Complaint::new("has no hours for these days").hint(HOURS_HINT);
    match &node.value {
        Value::Text(text) => Ok(vec![range(text)?]),
        Value::List(items) => {
            let texts = items.iter().map(|item| match &item.value {
                Value::Text(text) => range(text),
                Value::Integer(_)
                | Value::Float
                | Value::Flag(_)
                | Value::Date
                | Value::List(_)
                | Value::Table(_) => Err(bad()),
            });
            texts.collect()
        }
        Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date | Value::Table(_) => {
            Err(bad())
        }
    }
}

/// Hours like `08:00-17:00`; an end that is not later is on the next day.
fn range(text: &str) -> Result<(Span, Span), Complaint> {
    let bad = || {
        let message = format!("{text:?} are not hours");
        Complaint::new(message).hint("write them like 08:00-17:00, or 22:00-06:00 over midnight")
    };
    let (from, to) = text.split_once('-').ok_or_else(bad)?;
    let (from, to) = (
        clock(from.trim()).ok_or_else(bad)?,
        clock(to.trim()).ok_or_else(bad)?,
    );
    if from >= DAY {
        return Err(bad());
    }
    let to = if to <= from {
        Span::from_millis(to.as_millis().saturating_add(DAY.as_millis()))
    } else {
        to
    };
    Ok((from, to))
}

/// A time of the day like `09:00` or `9`, from midnight; `24:00` is the end of the day.
pub(super) fn clock(text: &str) -> Option<Span> {
    let (hours, minutes) = text.split_once(':').unwrap_or((text, "0"));
    let is_number =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let is_clock = (hours < 24 && minutes < 60) || (hours == 24 && minutes == 0);
    is_clock.then(|| Span::from_mins(hours.saturating_mul(60).saturating_add(minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_names_ranges_or_all() {
        assert_eq!(days("mon-fri"), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(days("fri-mon"), Some(vec![0, 4, 5, 6]));
        assert_eq!(days("Saturday"), Some(vec![5]));
        assert_eq!(days("mon,wed"), Some(vec![0, 2]));
        assert_eq!(days("daily"), Some((0..7).collect()));
        assert_eq!(days("m"), None);
        assert_eq!(days("noday"), None);
    }

    #[test]
    fn hours_may_end_on_the_next_day() {
        let hours = |text| range(text).ok();
        let h = Span::from_hours;
        assert_eq!(hours("08:00-17:00"), Some((h(8), h(17))));
        assert_eq!(hours("22:00 - 06:00"), Some((h(22), h(30))));
        assert_eq!(hours("00:00-24:00"), Some((h(0), h(24))));
        assert_eq!(hours("9-17"), Some((h(9), h(17))));
        for bad in [
            "",
            "8",
            "25:00-26:00",
            "24:00-25:00",
            "08:60-09:00",
            "8.00-9.00",
        ] {
            assert_eq!(hours(bad), None, "{bad:?}");
        }
    }
}
