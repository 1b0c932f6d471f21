//! Reads `[[calendar]]`: business hours per weekday in a zone, and holidays by list or by iCalendar file.
//!
//! Must not accept a calendar in which no minute ever counts: a clock by it would never be due.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::config::error::Complaint;
use crate::config::feeds::{self, HolidayFeed};
use crate::config::reader::{Spot, TableReader, expected};
use crate::config::tree::{Node, Value};
use crate::config::{files, holidays, values};
use crate::core::calendar::{Calendar, DAY_MINUTES, Window};

/// Bytes of an iCalendar file.
const FILE_BYTES_MAX: u64 = 4 << 20;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const HOURS_HINT: &str =
    "write it like { mon-fri = [\"08:00-12:00\", \"13:00-17:00\"], sat = \"09:00-12:00\" }";
const HOLIDAYS_HINT: &str = "write { file = \"holidays.ics\" }, { url = \"https://...\" } or a list of dates like [\"2026-12-25\"]";

/// Reads all calendars, by name.
pub(super) fn read(
    tables: Vec<TableReader<'_>>,
) -> (BTreeMap<SmolStr, Arc<Calendar>>, Vec<HolidayFeed>) {
    let mut calendars = BTreeMap::new();
    let mut feeds = Vec::new();
    let mut places: BTreeMap<SmolStr, String> = BTreeMap::new();
    for mut table in tables {
        let calendar = calendar(&mut table, &mut feeds);
        if let Some(calendar) = calendar {
            let name = calendar.name.clone();
            if let Some(place) = places.insert(name.clone(), table.place()) {
                let message = format!("the name {name:?} is used at {place} already");
                let hint = "every calendar needs a name of its own";
                table.refuse(Some("name"), Complaint::new(message).hint(hint));
            }
            calendars.insert(name, Arc::new(calendar));
        }
        table.finish();
    }
    (calendars, feeds)
}

fn calendar(table: &mut TableReader<'_>, feeds: &mut Vec<HolidayFeed>) -> Option<Calendar> {
    let name = table.required("name", values::text).map(SmolStr::from);
    let zone = match table.has("zone") {
        true => table.optional("zone", zone),
        false => {
            table.optional("zone", zone);
            Some(TimeZone::UTC)
        }
    };
    let hours = table.optional("hours", |spot| Ok(spot.node));
    let mut feed = None;
    let holidays = table.optional("holidays", |spot| {
        feed = feeds::read(spot)?;
        match feed {
            Some(_) => Ok(Vec::new()),
            None => holidays_of(spot),
        }
    });
    let (name, zone) = (name?, zone?);
    let calendar = name.clone();
    feeds.extend(feed.map(|feed| HolidayFeed { feed, calendar }));
    let mut calendar = Calendar::always(name, zone);
    calendar.holidays = holidays.unwrap_or_default().into_iter().collect();
    if let Some(node) = hours {
        match week(node) {
            Ok(week) => calendar.week = week,
            Err((path, complaint)) => {
                let mut whole = vec!["hours".to_owned()];
                whole.extend(path);
                table.refuse_below(&whole, complaint);
                return None;
            }
        }
    }
    if !calendar.is_ever_open() {
        let message = "no minute ever counts in this calendar";
        table.refuse(Some("hours"), Complaint::new(message).hint(HOURS_HINT));
        return None;
    }
    Some(calendar)
}

/// An IANA zone.
pub(super) fn zone(spot: &Spot<'_>) -> Result<TimeZone, Complaint> {
    let name = spot.text("the name of a time zone")?;
    TimeZone::get(name).map_err(|_| {
        let hint = "write a name of the IANA database, like Europe/Berlin or UTC";
        Complaint::new(format!("there is no time zone {name:?}")).hint(hint)
    })
}

type Week = [Vec<Window>; 7];
/// What is wrong, and where below the hours.
type Below = (Vec<String>, Complaint);

fn week(node: &Node) -> Result<Week, Below> {
    let Value::Table(table) = &node.value else {
        let complaint = expected("a table of weekdays", &node.value).hint(HOURS_HINT);
        return Err((Vec::new(), complaint));
    };
    let mut week = Week::default();
    for (key, (_, node)) in table {
        let days = days(key).map_err(|complaint| (vec![key.clone()], complaint))?;
        for window in windows(node).map_err(|(at, complaint)| {
            let mut path = vec![key.clone()];
            path.extend(at.map(|at| at.to_string()));
            (path, complaint)
        })? {
            for day in &days {
                if let Some(windows) = week.get_mut(*day) {
                    windows.push(window);
                }
            }
        }
    }
    for windows in &mut week {
        join(windows);
    }
    Ok(week)
}

/// Sorts windows and makes one of those that touch.
fn join(windows: &mut Vec<Window>) {
    windows.sort_unstable();
    let mut joined: Vec<Window> = Vec::with_capacity(windows.len());
    for window in windows.drain(..) {
        match joined.last_mut().filter(|last| window.from <= last.to) {
            Some(last) => last.to = last.to.max(window.to),
            None => joined.push(window),
        }
    }
    *windows = joined;
}

/// The weekdays of a key: `mon`, `mon-fri`, `mon,wed`, `daily`.
fn days(key: &str) -> Result<Vec<usize>, Complaint> {
    let wrong = || Complaint::new(format!("{key:?} is not a weekday")).hint(HOURS_HINT);
    if matches!(key.to_ascii_lowercase().as_str(), "daily" | "all" | "*") {
        return Ok((0..7).collect());
    }
    let mut days = Vec::new();
    for part in key.split([',', ' ']).filter(|part| !part.is_empty()) {
        match part.split_once('-') {
            None => days.push(day(part).ok_or_else(wrong)?),
            Some((first, last)) => {
                let (first, last) = (day(first).ok_or_else(wrong)?, day(last).ok_or_else(wrong)?);
                let count = (last + 7 - first) % 7;
                days.extend((0..=count).map(|step| (first + step) % 7));
            }
        }
    }
    if days.is_empty() {
        return Err(wrong());
    }
    Ok(days)
}

fn day(word: &str) -> Option<usize> {
    let word = word.trim().to_ascii_lowercase();
    let long = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let is_it = |(short, long): (&&str, &&str)| {
        word.len() >= 3 && long.starts_with(&*word) && word.starts_with(*short)
    };
    DAYS.iter().zip(long.iter()).position(is_it)
}

/// The windows of one key, a list or a single one; with the position of a wrong one.
fn windows(node: &Node) -> Result<Vec<Window>, (Option<usize>, Complaint)> {
    let Value::List(items) = &node.value else {
        let window = window(node).map_err(|complaint| (None, complaint))?;
        return Ok(vec![window]);
    };
    let items = items.iter().enumerate();
    items
        .map(|(at, item)| window(item).map_err(|complaint| (Some(at), complaint)))
        .collect()
}

fn window(node: &Node) -> Result<Window, Complaint> {
    let hint = "write it like \"08:00-12:00\"; a night is two windows: \"22:00-24:00\" and, a day later, \"00:00-06:00\"";
    let Value::Text(text) = &node.value else {
        return Err(expected("hours", &node.value).hint(hint));
    };
    let malformed = || Complaint::new(format!("{:?} is not a window of hours", text.as_str()));
    let ends = text.split_once('-');
    let ends = ends.and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    let (from, to) = ends.ok_or_else(|| malformed().hint(hint))?;
    if to <= from {
        let message = format!("the window {:?} ends before it starts", text.as_str());
        return Err(Complaint::new(message).hint(hint));
    }
    Ok(Window { from, to })
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let is_short = |part: &str| (1..=2).contains(&part.len());
    if !is_short(hour) || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let whole = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && whole <= DAY_MINUTES).then_some(whole)
}

/// Days on which nothing counts.
fn holidays_of(spot: &Spot<'_>) -> Result<Vec<i32>, Complaint> {
    match &spot.node.value {
        Value::Table(table) => {
            let is_known = |key: &str| matches!(key, "file" | "dates" | "days");
            if let Some(key) = table.keys().find(|key| !is_known(key.as_str())) {
                let message = format!("`{key}` is not known here");
                return Err(Complaint::new(message).hint(HOLIDAYS_HINT));
            }
            let mut days = Vec::new();
            for (key, (_, node)) in table {
                let items = match &node.value {
                    Value::List(items) => items.iter().collect(),
                    Value::Text(_)
                    | Value::Integer(_)
                    | Value::Float
                    | Value::Flag(_)
                    | Value::Date
                    | Value::Table(_) => vec![node],
                };
                for item in items {
                    match key.as_str() {
                        "file" => days.extend(from_file(spot, item)?),
                        _ => days.push(date(item)?),
                    }
                }
            }
            Ok(days)
        }
        Value::List(items) => items.iter().map(date).collect(),
        Value::Text(_) => from_file(spot, spot.node),
        other @ (Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date) => {
            Err(expected("holidays", other).hint(HOLIDAYS_HINT))
        }
    }
}

fn from_file(spot: &Spot<'_>, node: &Node) -> Result<Vec<i32>, Complaint> {
    let Value::Text(path) = &node.value else {
        return Err(expected("a path", &node.value).hint(HOLIDAYS_HINT));
    };
    let path = spot.reading.files.resolve(node.at.file, path);
    let text = files::read_text(&path, FILE_BYTES_MAX).map_err(|cause| {
        Complaint::new(format!("cannot read {}: {cause}", path.display()))
            .hint("check the path and who may read it")
    })?;
    let days = holidays::read(&text).map_err(|message| {
        Complaint::new(format!("{}: {message}", path.display())).hint(
            "an iCalendar file holds BEGIN:VEVENT ... DTSTART;VALUE=DATE:20261225 ... END:VEVENT",
        )
    })?;
    if days.is_empty() {
        let message = format!("{} holds no event", path.display());
        return Err(Complaint::new(message).hint("name a file with VEVENT entries"));
    }
    Ok(days)
}

fn date(node: &Node) -> Result<i32, Complaint> {
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        Value::Date => node.raw.as_deref().unwrap_or_default(),
        other @ (Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::List(_)
        | Value::Table(_)) => return Err(expected("a date", other).hint(HOLIDAYS_HINT)),
    };
    text.parse::<Date>()
        .map(holidays::day_of)
        .map_err(|_| Complaint::new(format!("{text:?} is not a date")).hint(HOLIDAYS_HINT))
}
