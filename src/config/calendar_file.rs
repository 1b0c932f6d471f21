//! Events of an iCalendar file, as a maintenance window takes them.
//!
//! Must not work out when an event recurs; the core does.

use icalendar::parser::{Component, Property, read_calendar, unfold};

use crate::core::time::Span;

/// Events of one calendar; more are refused.
const EVENTS_MAX: usize = 1_000;

/// Between the name of an event and the time of an occurrence of it that was moved.
const MOVED: &str = " moved from ";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// What it is known by.
    pub(super) uid: String,
    pub(super) summary: Option<String>,
    /// As written; a local time belongs to `zone`.
    pub(super) starts_at: String,
    pub(super) ends_at: Option<String>,
    pub(super) duration: Option<Span>,
    /// The rule, with lines for exceptions.
    pub(super) rrule: Option<String>,
    /// The name of the zone of its begin.
    pub(super) zone: Option<String>,
}

/// The events that are not cancelled.
pub(super) fn events(text: &str) -> Result<Vec<Event>, String> {
    let text = unfold(text);
    let calendar = read_calendar(&text).map_err(|_| "it cannot be read".to_owned())?;
    let mut events = Vec::new();
    for component in calendar.components.iter().filter(|it| it.name == "VEVENT") {
        let status = value(component, "STATUS").unwrap_or_default();
        if status.eq_ignore_ascii_case("CANCELLED") {
            continue;
        }
        if events.len() == EVENTS_MAX {
            return Err(format!("it holds more than {EVENTS_MAX} events"));
        }
        events.push(event(component)?);
    }
    leave_out_moved(&mut events);
    Ok(events)
}

/// An occurrence that was moved has an event of its own: its old time is left out of the event that recurs.
fn leave_out_moved(events: &mut [Event]) {
    let moved = events.iter().filter_map(|event| {
        let (uid, at) = event.uid.rsplit_once(MOVED)?;
        Some((uid.to_owned(), at.to_owned()))
    });
    let moved: Vec<(String, String)> = moved.collect();
    for (uid, at) in moved {
        let of_it = events.iter_mut().filter(|event| event.uid == uid);
        for rule in of_it.filter_map(|event| event.rrule.as_mut()) {
            *rule = format!("EXDATE:{at}\n{rule}");
        }
    }
}

fn event(component: &Component<'_>) -> Result<Event, String> {
    let summary = value(component, "SUMMARY");
    let start = component.find_prop("DTSTART");
    let start = start.ok_or_else(|| {
        let name = summary.as_deref().unwrap_or("an event");
        format!("{name:?} has no DTSTART")
    })?;
    let starts_at = start.val.as_str().to_owned();
    let duration = value(component, "DURATION");
    let duration = duration.map(|text| span(&text)).transpose()?;
    let ends_at = value(component, "DTEND");
    let is_day = !starts_at.contains('T');
    let except = component.properties.iter().filter(|it| it.name == "EXDATE");
    let except = except.map(|it| format!("EXDATE:{}\n", it.val));
    let rrule = value(component, "RRULE");
    let mut uid = value(component, "UID").unwrap_or_else(|| starts_at.clone());
    if let Some(at) = value(component, "RECURRENCE-ID") {
        uid = format!("{uid}{MOVED}{at}");
    }
    Ok(Event {
        uid,
        duration: match (duration, &ends_at) {
            (None, None) if is_day => Some(Span::from_days(1)),
            (duration, _) => duration,
        },
        rrule: rrule.map(|rule| except.collect::<String>() + "RRULE:" + &rule),
        zone: parameter(start, "TZID"),
        summary,
        starts_at,
        ends_at,
    })
}

fn value(component: &Component<'_>, name: &str) -> Option<String> {
    let property = component.find_prop(name)?;
    Some(property.val.clone().unescape_text().as_str().to_owned())
}

fn parameter(property: &Property<'_>, name: &str) -> Option<String> {
    let found = property.params.iter().find(|it| it.key == name)?;
    let value = found.val.as_ref()?;
    Some(value.as_str().trim_matches('"').to_owned())
}

/// A duration like `PT1H30M`.
fn span(text: &str) -> Result<Span, String> {
    let bad = || format!("{text:?} is not a duration");
    let span: jiff::Span = text.parse().map_err(|_| bad())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, days)).map_err(|_| bad())?;
    let whole = format!("{seconds:.0}").parse().map_err(|_| bad())?;
    Ok(Span::from_secs(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_with_zone_rule_and_exceptions() {
        let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x\r\nBEGIN:VEVENT\r\nUID:1@x\r\nSUMMARY:Patch\r\n \
            day\r\nDTSTART;TZID=Europe/Paris:20260104T023000\r\nDTEND;TZID=Europe/Paris:20260104T033000\r\n\
            RRULE:FREQ=WEEKLY;BYDAY=SU\r\nEXDATE;TZID=Europe/Paris:20260111T023000\r\nEND:VEVENT\r\n\
            BEGIN:VEVENT\r\nUID:2@x\r\nDTSTART:20260301T010000Z\r\nDURATION:PT1H30M\r\nEND:VEVENT\r\n\
            BEGIN:VEVENT\r\nUID:3@x\r\nSTATUS:CANCELLED\r\nDTSTART:20260301T010000Z\r\nEND:VEVENT\r\n\
            BEGIN:VEVENT\r\nUID:4@x\r\nDTSTART;VALUE=DATE:20260501\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let events = events(text).unwrap();
        let [weekly, once, day] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(weekly.zone.as_deref(), Some("Europe/Paris"));
        assert_eq!(weekly.starts_at, "20260104T023000");
        assert_eq!(
            weekly.rrule.as_deref(),
            Some("EXDATE:20260111T023000\nRRULE:FREQ=WEEKLY;BYDAY=SU")
        );
        assert_eq!(once.duration, Some(Span::from_mins(90)));
        assert_eq!(day.duration, Some(Span::from_days(1)));
        assert!(super::events("no calendar").is_err());
    }
}
