//! Reads `[[maintenance]]` into the windows that the core plans.
//!
//! Must not plan anything; what does not hold together is refused with its line.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::config::calendar_file::{self, Event};
use crate::config::error::Complaint;
use crate::config::feeds::{self, Feed, WindowFeed};
use crate::config::files;
use crate::config::reader::{Spot, TableReader};
use crate::config::tree::Value;
use crate::config::values;
use crate::core::mute::Scope;
use crate::core::mute::parts::{BadWindow, WindowParts};
use crate::core::mute::window::{WINDOWS_MAX, WindowWanted};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::parse_word;
use crate::core::time::Span;

/// Bytes of a calendar; a larger file is the wrong one.
const CALENDAR_BYTES_MAX: u64 = 4 << 20;
const SECOND: Span = Span::from_secs(1);
const YEAR: Span = Span::from_days(366);

/// Reads all windows, and the feeds that bring others.
pub(super) fn read(tables: Vec<TableReader<'_>>) -> (Vec<WindowWanted>, Vec<WindowFeed>) {
    let mut windows: Vec<WindowWanted> = Vec::new();
    let mut feeds = Vec::new();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for mut table in tables {
        let written = table.optional("name", values::text);
        let name = written
            .clone()
            .unwrap_or_else(|| format!("maintenance {}", places.len().saturating_add(1)));
        if let Some(place) = places.insert(name.clone(), table.place()) {
            let message = format!("the name {name:?} is used at {place} already");
            let hint = "every maintenance window needs a name of its own";
            table.refuse(Some("name"), Complaint::new(message).hint(hint));
        }
        let found = window(&mut table, (name, written), &mut feeds);
        if windows.len().saturating_add(found.len()) > WINDOWS_MAX {
            let message = format!("there are more than {WINDOWS_MAX} maintenance windows");
            table.refuse(None, Complaint::new(message).hint("let one recur"));
        }
        windows.extend(found);
        table.finish();
    }
    (windows, feeds)
}

fn window(
    table: &mut TableReader<'_>,
    (name, written): (String, Option<String>),
    feeds: &mut Vec<WindowFeed>,
) -> Vec<WindowWanted> {
    let parts = WindowParts {
        name: Some(name),
        reason: table.optional("reason", values::text),
        created_by: table
            .optional("created_by", values::text)
            .unwrap_or_else(|| "config".to_owned()),
        starts_at: table.optional("starts_at", moment),
        ends_at: table.optional("ends_at", moment),
        duration: table.optional("duration", values::duration(SECOND..=YEAR)),
        rrule: table.optional("rrule", values::text),
        zone: table.optional("zone", zone),
        matchers: table
            .list("matchers", matchers)
            .into_iter()
            .flatten()
            .collect(),
        scope: Scope {
            ci: names(table, "ci"),
            is_downstream: table
                .optional("downstream", values::flag)
                .unwrap_or_default(),
            class: names(table, "class"),
            site: names(table, "site"),
            service: names(table, "service"),
        },
    };
    match table.optional("calendar", calendar) {
        Some(_) if has_own_times(table) => Vec::new(),
        Some(Calendar::File(events)) => of_calendar(table, &parts, &events),
        Some(Calendar::Feed(feed)) => {
            // What is wrong with the scope is wrong with every event.
            let probe = WindowParts {
                reason: Some("probe".to_owned()),
                starts_at: Some("2030-01-01T00:00:00Z".to_owned()),
                duration: Some(SECOND),
                ..parts.clone()
            };
            if made(table, probe).is_some() {
                feeds.push(WindowFeed { feed, parts });
            }
            Vec::new()
        }
        None if table.has("calendar") => Vec::new(),
        None => {
            // A name that somebody wrote says why, as far as the file knows.
            let reason = parts.reason.clone().or(written);
            let parts = WindowParts { reason, ..parts };
            made(table, parts).into_iter().collect()
        }
    }
}

fn made(table: &TableReader<'_>, parts: WindowParts) -> Option<WindowWanted> {
    let refuse = |BadWindow {
                      field,
                      message,
                      hint,
                  }: BadWindow| {
        table.refuse(Some(field), Complaint::new(message).hint(hint));
    };
    parts.into_wanted(None).map_err(refuse).ok()
}

/// One window for each event, with the scope of the table.
fn of_calendar(
    table: &TableReader<'_>,
    parts: &WindowParts,
    events: &[Event],
) -> Vec<WindowWanted> {
    let mut windows = Vec::with_capacity(events.len());
    for event in events {
        match parts_of(parts, event).into_wanted(None) {
            Ok(window) => windows.push(window),
            Err(BadWindow { message, hint, .. }) => {
                let message = format!("the event {:?}: {message}", event.uid);
                table.refuse(Some("calendar"), Complaint::new(message).hint(hint));
            }
        }
    }
    windows
}

/// One event with what all windows of its table have.
pub(super) fn parts_of(parts: &WindowParts, event: &Event) -> WindowParts {
    let name = parts.name.clone().unwrap_or_default();
    let zone = event.zone.as_deref().map(TimeZone::get);
    let zone = zone.and_then(Result::ok).or_else(|| parts.zone.clone());
    let usual = || Some(format!("maintenance {name}"));
    WindowParts {
        name: Some(format!("{name}/{}", event.uid)),
        reason: parts
            .reason
            .clone()
            .or_else(|| event.summary.clone())
            .or_else(usual),
        starts_at: Some(event.starts_at.clone()),
        ends_at: event.ends_at.clone(),
        duration: event.duration,
        rrule: event.rrule.clone(),
        zone,
        ..parts.clone()
    }
}

fn has_own_times(table: &TableReader<'_>) -> bool {
    let mut keys = ["starts_at", "ends_at", "duration", "rrule"].into_iter();
    let own = keys.find(|key| table.has(key));
    if let Some(key) = own {
        let complaint = Complaint::new("the times come from the calendar");
        table.refuse(Some(key), complaint.hint("remove it, or the calendar"));
    }
    own.is_some()
}

fn names(table: &mut TableReader<'_>, key: &'static str) -> Vec<SmolStr> {
    let names = table.list(key, values::text);
    names.into_iter().map(SmolStr::from).collect()
}

/// A time as text, or as TOML has it.
fn moment(spot: &Spot<'_>) -> Result<String, Complaint> {
    match (&spot.node.value, &spot.node.raw) {
        (Value::Date, Some(raw)) => Ok(raw.clone()),
        _ => Ok(spot.text("a time")?.to_owned()),
    }
}

/// A time zone of the zone database.
pub(super) fn zone(spot: &Spot<'_>) -> Result<TimeZone, Complaint> {
    let name = spot.text("a time zone")?;
    TimeZone::get(name).map_err(|_| {
        let complaint = Complaint::new(format!("there is no time zone {name:?}"));
        complaint.hint("write a name of the zone database, like Europe/Paris or America/New_York")
    })
}

fn matchers(spot: &Spot<'_>) -> Result<Vec<Matcher>, Complaint> {
    let text = spot.text("a matcher")?;
    parse_word(text).map_err(|bad| {
        let hint = "write it like alertname=DiskFull or instance=~\"web.*\"";
        Complaint::new(bad.to_string()).hint(hint)
    })
}

/// Where the times of windows come from.
enum Calendar {
    /// The events of a file.
    File(Vec<Event>),
    /// An address that is read again and again.
    Feed(Feed),
}

/// The events of an iCalendar file, or where they are.
fn calendar(spot: &Spot<'_>) -> Result<Calendar, Complaint> {
    if let Some(feed) = feeds::read(spot)? {
        return Ok(Calendar::Feed(feed));
    }
    let hint = "write the path of an .ics file, { file = \"maintenance.ics\" } or { url = \"https://calendar.example/maintenance.ics\" }";
    let path = values::file_path(spot).map_err(|complaint| complaint.hint(hint))?;
    let text = files::read_text(&path, CALENDAR_BYTES_MAX).map_err(|cause| {
        let message = format!("cannot read {}: {cause}", path.display());
        Complaint::new(message).hint("check the path and who may read it")
    })?;
    let events = calendar_file::events(&text);
    events.map(Calendar::File).map_err(|problem| {
        let message = format!("{}: {problem}", path.display());
        Complaint::new(message).hint("it must be an iCalendar file of RFC 5545")
    })
}
