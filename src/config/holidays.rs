//! Days of an iCalendar file: whole days, spans of days, and days that come every year.
//!
//! Must not guess: an event that repeats in another way is refused.

use icalendar::{Calendar, CalendarComponent, Component as _, DatePerhapsTime};
use jiff::ToSpan as _;
use jiff::civil::Date;

/// Days that one event may span.
const SPAN_MAX: i32 = 366;
/// Years for which a yearly day is noted, from its first one.
const YEARS: i16 = 100;

/// The days of all events, as days since 1970-01-01.
pub(super) fn read(text: &str) -> Result<Vec<i32>, String> {
    let calendar: Calendar = text
        .parse()
        .map_err(|error| format!("is not an iCalendar file: {error}"))?;
    let mut days = Vec::new();
    for component in &calendar.components {
        let CalendarComponent::Event(event) = component else {
            continue;
        };
        if event.property_value("STATUS") == Some("CANCELLED") {
            continue;
        }
        let name = event.get_summary().unwrap_or("an event").to_owned();
        let start = event.get_start().map(|start| date_of(&start));
        let start = start.ok_or_else(|| format!("{name:?} has no start"))?;
        let start: Date = start
            .parse()
            .map_err(|_| format!("{name:?} has no valid start"))?;
        let end = event.get_end().map(|end| (date_of(&end), is_date(&end)));
        let first = day_of(start);
        let last = end.and_then(|(end, is_whole)| {
            let end = day_of(end.parse().ok()?);
            Some(if is_whole { end.saturating_sub(1) } else { end })
        });
        let length = last.unwrap_or(first).saturating_sub(first);
        if length > SPAN_MAX {
            return Err(format!("{name:?} is longer than a year"));
        }
        let rule = event.property_value("RRULE");
        for begin in occurrences(start, rule).map_err(|what| format!("{name:?} {what}"))? {
            let begin = day_of(begin);
            days.extend(begin..=begin.saturating_add(length.max(0)));
        }
    }
    Ok(days)
}

/// A date as days since 1970-01-01.
pub(super) fn day_of(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    date.since(epoch).map_or(0, |span| span.get_days())
}

fn date_of(at: &DatePerhapsTime) -> String {
    match at {
        DatePerhapsTime::Date(date) => date.to_string(),
        DatePerhapsTime::DateTime(time) => match time {
            icalendar::CalendarDateTime::Floating(time) => time.date().to_string(),
            icalendar::CalendarDateTime::Utc(time) => time.date_naive().to_string(),
            icalendar::CalendarDateTime::WithTimezone { date_time, .. } => {
                date_time.date().to_string()
            }
        },
    }
}

fn is_date(at: &DatePerhapsTime) -> bool {
    matches!(at, DatePerhapsTime::Date(_))
}

/// The first days of an event that may come every year.
fn occurrences(start: Date, rule: Option<&str>) -> Result<Vec<Date>, String> {
    let Some(rule) = rule else {
        return Ok(vec![start]);
    };
    let mut until: Option<Date> = None;
    let mut count = YEARS;
    let mut every = 1_i16;
    for part in rule.split(';') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let number = || value.parse::<i16>().ok().filter(|number| *number > 0);
        let is_known = match name {
            "FREQ" => value == "YEARLY",
            "COUNT" => number().map(|number| count = number.min(YEARS)).is_some(),
            "INTERVAL" => number().map(|number| every = number).is_some(),
            "UNTIL" => {
                let day = value.get(..8).unwrap_or(value);
                until = Date::strptime("%Y%m%d", day).ok();
                until.is_some()
            }
            "BYMONTH" => value.parse() == Ok(start.month()),
            "BYMONTHDAY" => value.parse() == Ok(start.day()),
            "WKST" => true,
            _ => false,
        };
        if !is_known {
            return Err(format!(
                "repeats by {part:?}; only days that come every year can repeat, write the others out"
            ));
        }
    }
    let mut days = Vec::new();
    for step in 0..count {
        let years = i32::from(step).saturating_mul(i32::from(every));
        let Ok(day) = start.checked_add(years.years()) else {
            break;
        };
        if until.is_some_and(|until| day > until) {
            break;
        }
        // The 29th of February comes in leap years only.
        if day.day() == start.day() {
            days.push(day);
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(events: &str) -> Result<Vec<String>, String> {
        let text =
            format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n");
        let epoch = jiff::civil::date(1970, 1, 1);
        let days = read(&text)?.into_iter();
        Ok(days
            .map(|day| epoch.checked_add(day.days()).unwrap().to_string())
            .collect())
    }

    #[test]
    fn days_spans_and_yearly_days_are_read() {
        let one = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\n";
        assert_eq!(days(one).unwrap(), ["2026-12-25"]);
        let span = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227\r\nEND:VEVENT\r\n";
        assert_eq!(
            days(span).unwrap(),
            ["2026-12-24", "2026-12-25", "2026-12-26"]
        );
        let yearly = "BEGIN:VEVENT\r\nUID:3\r\nDTSTART;VALUE=DATE:20240229\r\nRRULE:FREQ=YEARLY;UNTIL=20290101\r\nEND:VEVENT\r\n";
        assert_eq!(days(yearly).unwrap(), ["2024-02-29", "2028-02-29"]);
        let cancelled = "BEGIN:VEVENT\r\nUID:4\r\nSTATUS:CANCELLED\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\n";
        assert!(days(cancelled).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let odd = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=MONTHLY;BYDAY=1MO\r\nEND:VEVENT\r\n";
        assert!(days(odd).unwrap_err().contains("MONTHLY"));
        assert!(read("no calendar").is_err());
    }
}
