//! A rota that somebody keeps in a calendar: an iCalendar file whose events say who is on call.
//!
//! An event is for whoever its summary names. Must not look at the clock: what recurs is written out from its begin.

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::config::calendar_file::{self, Event};
use crate::config::error::Complaint;
use crate::config::files;
use crate::config::reader::Spot;
use crate::config::values;
use crate::core::mute::Scope;
use crate::core::mute::parts::WindowParts;
use crate::core::mute::window;
use crate::core::oncall::schedule::Event as OnCall;
use crate::core::oncall::{Layer, Plan};

/// Bytes of a calendar; a larger file is the wrong one.
const BYTES_MAX: u64 = 4 << 20;
/// Occurrences of one event; later ones are left out.
const OCCURRENCES_MAX: usize = 1_500;
/// Words around a name, as calendars of other products write them.
const AROUND: [&str; 3] = ["on call:", "on-call:", "oncall:"];

/// The layer that a calendar makes.
pub(super) fn layer(spot: &Spot<'_>, zone: &TimeZone) -> Result<Layer, Complaint> {
    let hint =
        "write the path of an .ics file, { file = \"rota.ics\" } or { url = \"https://...\" }";
    let path = values::file_path(spot).map_err(|complaint| complaint.hint(hint))?;
    let shown = path.display();
    let text = files::read_text(&path, BYTES_MAX).map_err(|cause| {
        let message = format!("cannot read {shown}: {cause}");
        Complaint::new(message).hint("check the path and who may read it")
    })?;
    of_text(&text, zone).map_err(|problem| {
        let message = format!("{shown}: {problem}");
        Complaint::new(message).hint("each event needs a begin, an end, and a name as its summary")
    })
}

/// The layer that the text of a calendar makes.
pub(super) fn of_text(text: &str, zone: &TimeZone) -> Result<Layer, String> {
    let events = on_call(text, zone)?;
    Ok(Layer {
        name: SmolStr::new_static("calendar"),
        plan: Plan::Events(events.into()),
        hours: None,
        until: None,
    })
}

/// Who is on call when, by begin.
pub(super) fn on_call(text: &str, zone: &TimeZone) -> Result<Vec<OnCall>, String> {
    let mut on_call = Vec::new();
    for event in calendar_file::events(text)? {
        let person = person(&event)
            .ok_or_else(|| format!("the event {:?} does not say who is on call", event.uid))?;
        let mut put = |from, to| {
            on_call.push(OnCall {
                from,
                to,
                person: person.clone(),
            });
        };
        match times(&event, zone)? {
            window::Plan::Once(once) => put(once.starts_at, once.ends_at),
            window::Plan::Recurring(rule) => {
                for it in rule.occurrences(OCCURRENCES_MAX) {
                    put(it.starts_at, it.ends_at);
                }
            }
        }
    }
    on_call.sort();
    on_call.dedup();
    Ok(on_call)
}

fn person(event: &Event) -> Option<SmolStr> {
    let summary = event.summary.as_deref()?.trim();
    let lower = summary.to_ascii_lowercase();
    let around = AROUND.iter().find(|words| lower.starts_with(**words));
    let name = summary.get(around.map_or(0, |words| words.len())..)?.trim();
    (!name.is_empty()).then(|| SmolStr::new(name))
}

/// When an event is, by the same reading as for maintenance.
fn times(event: &Event, zone: &TimeZone) -> Result<window::Plan, String> {
    let own = event.zone.as_deref().map(TimeZone::get);
    let parts = WindowParts {
        name: None,
        reason: Some("on call".to_owned()),
        created_by: "config".to_owned(),
        starts_at: Some(event.starts_at.clone()),
        ends_at: event.ends_at.clone(),
        duration: event.duration,
        rrule: event.rrule.clone(),
        zone: own.and_then(Result::ok).or_else(|| Some(zone.clone())),
        matchers: Vec::new(),
        // A window without an extent is refused.
        scope: Scope {
            ci: vec![SmolStr::new_static("-")],
            ..Scope::default()
        },
    };
    let wanted = parts.into_wanted(None);
    wanted
        .map(|it| it.plan)
        .map_err(|bad| format!("the event {:?}: {}", event.uid, bad.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_say_who_is_on_call_also_again_and_again() {
        let text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:On call: ana\r\n\
            DTSTART;TZID=Europe/Berlin:20261130T090000\r\nDTEND;TZID=Europe/Berlin:20261130T170000\r\n\
            RRULE:FREQ=WEEKLY;COUNT=3\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nSUMMARY:ben\r\n\
            DTSTART;VALUE=DATE:20261224\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let shown: Vec<String> = on_call(text, &berlin)
            .unwrap()
            .iter()
            .map(|it| {
                let at = |at: crate::core::time::Timestamp| {
                    jiff::Timestamp::from_millisecond(at.as_millis())
                        .unwrap()
                        .to_string()
                };
                format!("{} {} {}", it.person, at(it.from), at(it.to))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "ana 2026-11-30T08:00:00Z 2026-11-30T16:00:00Z",
                "ana 2026-12-07T08:00:00Z 2026-12-07T16:00:00Z",
                "ana 2026-12-14T08:00:00Z 2026-12-14T16:00:00Z",
                "ben 2026-12-23T23:00:00Z 2026-12-24T23:00:00Z",
            ]
        );
        assert!(on_call(&text.replace("SUMMARY:ben\r\n", ""), &berlin).is_err());
    }
}
