//! Days of an iCalendar file: whole days, spans of days, and days that come again by any rule of RFC 5545.
//!
//! Rules are worked out by the crate that also does maintenance windows, for a hundred years from their first day. Must
//! not guess: a rule that cannot be read, or never occurs, is refused.

use std::collections::BTreeMap;

use icalendar::parser::{Component, read_calendar, unfold};
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use rrule::RRuleSet;

/// Days that one event may span.
const SPAN_MAX: i32 = 366;
/// Years for which days that come again are noted, from the first one.
const YEARS: i32 = 100;
/// Days that one event may come to; those of a rule that comes every day for a hundred years.
const DAYS_MAX: usize = 40_000;

/// The days of all events, as days since 1970-01-01.
pub(super) fn read(text: &str) -> Result<Vec<i32>, String> {
    let text = unfold(text);
    let calendar =
        read_calendar(&text).map_err(|error| format!("is not an iCalendar file: {error}"))?;
    if calendar.components.is_empty() && !text.contains("BEGIN:VCALENDAR") {
        return Err("is not an iCalendar file".to_owned());
    }
    let events = calendar.components.iter();
    let events: Vec<_> = events.filter(|it| it.name == "VEVENT").collect();
    let moved = moved(&events);
    let mut days = Vec::new();
    for event in events {
        let status = value(event, "STATUS").unwrap_or_default();
        if status.eq_ignore_ascii_case("CANCELLED") {
            continue;
        }
        let name = value(event, "SUMMARY").unwrap_or_else(|| "an event".to_owned());
        let of = |what: String| format!("{name:?} {what}");
        let (first, length) = extent(event).map_err(of)?;
        let uid = value(event, "UID").unwrap_or_default();
        let except = match value(event, "RECURRENCE-ID") {
            Some(_) => &[],
            None => moved.get(&uid).map_or(&[][..], Vec::as_slice),
        };
        let of = |what: String| format!("{name:?} {what}");
        for begin in occurrences(event, first, except).map_err(of)? {
            let begin = day_of(begin);
            days.extend(begin..=begin.saturating_add(length));
        }
    }
    Ok(days)
}

/// A date as days since 1970-01-01.
pub(super) fn day_of(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    date.since(epoch).map_or(0, |span| span.get_days())
}

/// The occurrences that another event of the same name moves elsewhere.
fn moved(events: &[&Component<'_>]) -> BTreeMap<String, Vec<Date>> {
    let mut moved: BTreeMap<String, Vec<Date>> = BTreeMap::new();
    for event in events {
        let day = value(event, "RECURRENCE-ID").and_then(|text| read_date(&text));
        if let (Some(day), Some(uid)) = (day, value(event, "UID")) {
            moved.entry(uid).or_default().push(day);
        }
    }
    moved
}

/// The first day of an event, and how many days follow it.
fn extent(event: &Component<'_>) -> Result<(Date, i32), String> {
    let start = value(event, "DTSTART").ok_or("has no start")?;
    let first = read_date(&start).ok_or("has no valid start")?;
    let begin = read_time(&start).unwrap_or_else(|| first.into());
    let end = match (value(event, "DTEND"), value(event, "DURATION")) {
        (Some(end), _) => {
            let day = read_date(&end).ok_or("has no valid end")?;
            Some(read_time(&end).unwrap_or_else(|| day.into()))
        }
        (None, Some(duration)) => {
            let bad = |_| format!("lasts {duration:?}, which is not a duration");
            let span: jiff::Span = duration.parse().map_err(bad)?;
            Some(begin.checked_add(span).map_err(bad)?)
        }
        (None, None) => None,
    };
    // An end is the first moment that does not belong to it; a day of which any moment does is a holiday.
    let last = end.filter(|end| *end > begin).map_or(first, |end| {
        let last = end.checked_sub(1.nanosecond()).unwrap_or(end);
        last.date()
    });
    let length = day_of(last).saturating_sub(day_of(first));
    if length >= SPAN_MAX {
        return Err("is longer than a year".to_owned());
    }
    Ok((first, length.max(0)))
}

/// The first days of an event that may come again.
fn occurrences(event: &Component<'_>, first: Date, moved: &[Date]) -> Result<Vec<Date>, String> {
    let mut days = match value(event, "RRULE") {
        Some(rule) => by_rule(&rule, first)?,
        None => vec![first],
    };
    for list in values(event, "RDATE") {
        for one in list.split(',') {
            // A period is written as begin/end.
            let begin = one.split('/').next().unwrap_or(one);
            let day = read_date(begin);
            days.push(day.ok_or_else(|| format!("comes on {one:?}, which is not a day"))?);
        }
    }
    let mut except = moved.to_vec();
    for list in values(event, "EXDATE") {
        except.extend(list.split(',').filter_map(read_date));
    }
    days.retain(|day| !except.contains(day));
    Ok(days)
}

fn by_rule(rule: &str, first: Date) -> Result<Vec<Date>, String> {
    let shown: String = rule.chars().take(100).collect();
    // Days have no zone; all is worked out as if it were UTC.
    let parts = rule.split(';').map(|part| match part.split_once('=') {
        Some((name, until)) if name.eq_ignore_ascii_case("UNTIL") => {
            let day = until.get(..8).unwrap_or(until);
            format!("UNTIL={day}T235959Z")
        }
        _ => part.to_owned(),
    });
    let rule: Vec<_> = parts.collect();
    let day = first.strftime("%Y%m%d");
    let text = format!("DTSTART:{day}T000000Z\nRRULE:{}", rule.join(";"));
    let set: RRuleSet = text
        .parse()
        .map_err(|error| format!("repeats by {shown:?}, which cannot be read: {error}"))?;
    let last = first.checked_add(YEARS.years()).unwrap_or(Date::MAX);
    let mut days = Vec::new();
    for at in set.limit().into_iter().take(DAYS_MAX) {
        let at = jiff::Timestamp::from_second(at.timestamp()).unwrap_or_default();
        let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        if day > last {
            break;
        }
        days.push(day);
    }
    if days.is_empty() {
        return Err(format!("repeats by {shown:?}, which never occurs"));
    }
    Ok(days)
}

/// The day at the begin of a date or a time, in whatever zone that is written.
fn read_date(text: &str) -> Option<Date> {
    Date::strptime("%Y%m%d", text.trim().get(..8)?).ok()
}

fn read_time(text: &str) -> Option<DateTime> {
    let text = text.trim().trim_end_matches('Z');
    DateTime::strptime("%Y%m%dT%H%M%S", text).ok()
}

fn value(component: &Component<'_>, name: &str) -> Option<String> {
    let property = component.find_prop(name)?;
    Some(property.val.clone().unescape_text().as_str().to_owned())
}

fn values<'a>(component: &'a Component<'_>, name: &'a str) -> impl Iterator<Item = &'a str> {
    let properties = component.properties.iter();
    properties
        .filter(move |property| property.name == name)
        .map(|property| property.val.as_str())
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
    fn moving_days_are_read_by_rule_list_and_exception() {
        let thanksgiving = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20251127\r\n\
            RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3\r\nEND:VEVENT\r\n";
        assert_eq!(
            days(thanksgiving).unwrap(),
            ["2025-11-27", "2026-11-26", "2027-11-25"]
        );
        let easter = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;VALUE=DATE:20260403\r\n\
            RDATE;VALUE=DATE:20270326,20280414\r\nEXDATE;VALUE=DATE:20260403\r\nEND:VEVENT\r\n";
        assert_eq!(days(easter).unwrap(), ["2027-03-26", "2028-04-14"]);
        // The second one was moved to the day after.
        let moved = "BEGIN:VEVENT\r\nUID:3\r\nDTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=MONTHLY;COUNT=3\r\n\
            END:VEVENT\r\nBEGIN:VEVENT\r\nUID:3\r\nRECURRENCE-ID;VALUE=DATE:20260201\r\n\
            DTSTART;VALUE=DATE:20260202\r\nEND:VEVENT\r\n";
        assert_eq!(
            days(moved).unwrap(),
            ["2026-01-01", "2026-03-01", "2026-02-02"]
        );
    }

    #[test]
    fn spans_may_be_given_by_times_or_a_duration() {
        let whole = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:20261231T000000\r\n\
            DTEND;TZID=Europe/Berlin:20270101T000000\r\nEND:VEVENT\r\n";
        assert_eq!(days(whole).unwrap(), ["2026-12-31"]);
        let long = "BEGIN:VEVENT\r\nUID:2\r\nDTSTART;VALUE=DATE:20260801\r\nDURATION:P2D\r\nEND:VEVENT\r\n";
        assert_eq!(days(long).unwrap(), ["2026-08-01", "2026-08-02"]);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let event = |rule: &str| {
            days(&format!(
                "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\n{rule}\r\nEND:VEVENT\r\n"
            ))
        };
        assert!(event("RRULE:FREQ=LUNAR").unwrap_err().contains("LUNAR"));
        let never = event("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30");
        assert!(never.unwrap_err().contains("never occurs"));
        assert!(
            event("DTEND;VALUE=DATE:20290101")
                .unwrap_err()
                .contains("longer")
        );
        assert!(event("DURATION:soon").unwrap_err().contains("soon"));
        assert!(read("no calendar").is_err());
    }
}
