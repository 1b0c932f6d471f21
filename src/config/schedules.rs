//! Reads `[[schedule]]` into the core's schedules.
//!
//! A schedule with one rotation may leave its layer out and write the keys of the layer at the schedule itself. Must
//! not accept a layer that nobody can tell the meaning of: every handover has a day, a time and a zone.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use smol_str::{SmolStr, format_smolstr};

use crate::config::error::Complaint;
use crate::config::feeds::{self, RotaFeed};
use crate::config::hours::{clock, hours, weekday};
use crate::config::reader::{Spot, TableReader};
use crate::config::rota;
use crate::config::tree::Value;
use crate::config::units::parse_duration;
use crate::config::values;
use crate::core::oncall::rotation::{Rotation, TURN_MAX, TURN_MIN, Turn};
use crate::core::oncall::zone::{Local, weekday as weekday_of};
use crate::core::oncall::{Layer, Plan, Schedule, StandIn};
use crate::core::time::{Span, Timestamp};

/// Layers of one schedule; more are refused.
const LAYERS_MAX: usize = 50;
/// People of one layer; more are refused.
const TURNS_MAX: usize = 500;
/// A Monday; turns without a start of their own are counted from there.
const FIRST_MONDAY: &str = "2024-01-01";
/// When turns change if nobody says when.
const HANDOVER: Span = Span::from_hours(9);
/// Other names of `zone`.
pub(super) const ZONE: &[&str] = &["timezone", "time_zone", "tz"];
/// Other names of `members`.
const MEMBERS: &[&str] = &[
    "users",
    "user",
    "people",
    "persons",
    "participants",
    "member",
    "rota",
];

/// Other names of `rotation`, the length of a turn.
const LENGTH: &[&str] = &[
    "type", "kind", "every", "length", "shift", "turn", "period", "interval",
];
/// Other names of `handover`.
const HANDOVER_WORDS: &[&str] = &[
    "handoff",
    "handover_time",
    "handoff_time",
    "handover_at",
    "at",
];
/// Other names of `start` and `until`.
const START: &[&str] = &[
    "starts_at",
    "start_at",
    "start_date",
    "starts",
    "from",
    "begin",
];
const UNTIL: &[&str] = &["ends_at", "end_at", "end_date", "ends", "end", "to"];

/// What the rotation of a schedule itself is called.
const ROTATION: SmolStr = SmolStr::new_static("rotation");

/// Reads all schedules, by name.
pub(super) fn read(tables: Vec<TableReader<'_>>) -> (BTreeMap<SmolStr, Schedule>, Vec<RotaFeed>) {
    let (mut schedules, mut feeds) = (BTreeMap::new(), Vec::new());
    let mut places = BTreeMap::new();
    for mut table in tables {
        let schedule = schedule(&mut table, &mut feeds);
        if let Some(schedule) = schedule {
            once(&table, &mut places, &schedule.name, "schedule");
            schedules.insert(schedule.name.clone(), schedule);
        }
        table.finish();
    }
    (schedules, feeds)
}

/// Refuses a name that was used before.
pub(super) fn once(
    table: &TableReader<'_>,
    places: &mut BTreeMap<SmolStr, String>,
    name: &SmolStr,
    what: &str,
) {
    if let Some(place) = places.insert(name.clone(), table.place()) {
        let message = format!("the name {name:?} is used at {place} already");
        let hint = format!("every {what} needs a name of its own");
        table.refuse(Some("name"), Complaint::new(message).hint(hint));
    }
}

fn schedule(table: &mut TableReader<'_>, feeds: &mut Vec<RotaFeed>) -> Option<Schedule> {
    table.also("zone", ZONE);
    table.also("members", MEMBERS);
    table.also("layer", &["layers", "rotations"]);
    table.also("override", &["overrides"]);
    table.skip("description");
    let name = table.required("name", values::text).map(SmolStr::from);
    let zone = table.optional("zone", zone).unwrap_or(TimeZone::UTC);
    let mut layers = Vec::new();
    let mut below = Vec::new();
    match table.peek("rotation") {
        // People know rotations also as what a layer is here.
        Some(Value::List(_)) => below.extend(table.tables("rotation")),
        Some(Value::Table(_)) if table.has("members") => {
            let turns = table.list("members", turn);
            if let Some(mut below) = table.table("rotation") {
                layers.extend(layer(&mut below, &zone, ROTATION, Some(turns)));
                below.finish();
            }
        }
        Some(Value::Table(_)) => below.extend(table.table("rotation")),
        Some(_) | None if table.has("members") => {
            layers.extend(layer(table, &zone, ROTATION, None));
        }
        Some(_) | None => {}
    }
    below.extend(table.tables("layer"));
    for (number, mut below) in (1..).zip(below) {
        let name = below.optional("name", values::text).map(SmolStr::from);
        let name = name.unwrap_or_else(|| format_smolstr!("layer {number}"));
        layers.extend(layer(&mut below, &zone, name, None));
        below.finish();
    }
    let rota = table.optional("ics", |spot| match feeds::read(spot)? {
        Some(feed) => Ok((Some(feed), None)),
        None => rota::layer(spot, &zone).map(|layer| (None, Some(layer))),
    });
    let (feed, layer) = rota.unwrap_or_default();
    layers.extend(layer);
    if let (Some(feed), Some(schedule)) = (feed, name.clone()) {
        let zone = zone.clone();
        feeds.push(RotaFeed {
            feed,
            schedule,
            zone,
        });
    }
    if layers.len() > LAYERS_MAX {
        let message = format!("has more than {LAYERS_MAX} layers");
        table.refuse(None, Complaint::new(message));
    }
    if layers.is_empty()
        && !["layer", "rotation", "ics"]
            .iter()
            .any(|key| table.has(key))
    {
        let complaint = Complaint::new("the schedule has nobody in it");
        let hint =
            "write members = [\"ana\", \"ben\"], or [[schedule.layer]] for several rotations";
        table.refuse(None, complaint.hint(hint));
    }
    let stand_ins = table.tables("override").into_iter();
    let stand_ins = stand_ins.filter_map(|below| stand_in(below, &zone));
    Some(Schedule {
        name: name?,
        stand_ins: stand_ins.collect(),
        zone,
        layers,
    })
}

/// Somebody stands in, as it is known beforehand.
fn stand_in(mut table: TableReader<'_>, zone: &TimeZone) -> Option<StandIn> {
    table.also("person", &["user", "member", "name", "who"]);
    table.also("replaces", &["instead_of", "for"]);
    table.also("start", START);
    table.also("until", UNTIL);
    let moment = |spot: &Spot<'_>| moment(spot, zone);
    let person = table.optional("person", values::text).map(SmolStr::from);
    let replaces = table.optional("replaces", values::text).map(SmolStr::from);
    let from = table.required("start", moment);
    let to = table.required("until", moment);
    if person.is_none() && replaces.is_none() {
        let complaint = Complaint::new("it is not said who stands in");
        table.refuse(None, complaint.hint("write person = \"ana\""));
    }
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        let complaint = Complaint::new("ends before it begins");
        table.refuse(Some("until"), complaint);
    }
    table.finish();
    Some(StandIn {
        person,
        replaces,
        from: from?,
        to: to?,
    })
}

fn layer(
    table: &mut TableReader<'_>,
    zone: &TimeZone,
    name: SmolStr,
    turns: Option<Vec<Turn>>,
) -> Option<Layer> {
    table.also("members", MEMBERS);
    table.also("rotation", LENGTH);
    table.also("handover", HANDOVER_WORDS);
    table.also(
        "handover_day",
        &["handoff_day", "day", "weekday", "start_day"],
    );
    table.also("start", START);
    table.also("until", UNTIL);
    table.also(
        "hours",
        &["restriction", "restrictions", "during", "active"],
    );
    let turns = turns.unwrap_or_else(|| table.list("members", turn));
    let length = table
        .optional("rotation", length)
        .unwrap_or(Span::from_days(7));
    let handover = table.optional("handover", handover);
    let day = table.optional("handover_day", day);
    let handover = match (handover, day) {
        (Some((of_time, time)), day) => Some((day.or(of_time), time)),
        (None, Some(day)) => Some((Some(day), HANDOVER)),
        (None, None) => None,
    };
    let start = table.optional("start", |spot| civil(spot, zone));
    let until = table.optional("until", |spot| moment(spot, zone));
    let hours = table.optional("hours", hours);
    if turns.is_empty() {
        let complaint = Complaint::new("the layer has nobody in it");
        table.refuse(None, complaint.hint("write members = [\"ana\", \"ben\"]"));
        return None;
    }
    if turns.len() > TURNS_MAX {
        let message = format!("has more than {TURNS_MAX} members");
        table.refuse(Some("members"), Complaint::new(message));
    }
    Some(Layer {
        name,
        plan: Plan::Rotation(Rotation {
            start: begin(start, handover),
            length,
            turns,
        }),
        hours,
        until,
    })
}

/// A day of the week.
fn day(spot: &Spot<'_>) -> Result<u8, Complaint> {
    let text = spot.text("a day of the week")?;
    weekday(text.trim()).ok_or_else(|| {
        let message = format!("{text:?} is no day of the week");
        Complaint::new(message).hint("write it like mon or monday")
    })
}

/// The begin of the first turn: the first handover on or after the start.
fn begin(
    start: Option<(Date, Option<jiff::civil::Time>)>,
    handover: Option<(Option<u8>, Span)>,
) -> Local {
    let (date, time) = start.unwrap_or_else(|| (FIRST_MONDAY.parse().unwrap_or_default(), None));
    let of_start = time.map(|time| {
        let of = |part: i8| i64::from(part);
        Span::from_mins(
            of(time.hour())
                .saturating_mul(60)
                .saturating_add(of(time.minute())),
        )
    });
    let (day, time) = match handover {
        Some((day, time)) => (day, time),
        None => (None, of_start.unwrap_or(HANDOVER)),
    };
    let mut midnight = Local::of(date.to_datetime(jiff::civil::Time::midnight()));
    while day.is_some_and(|day| weekday_of(midnight.day()) != day) {
        midnight = midnight.plus(Span::from_days(1));
    }
    midnight.plus(time)
}

/// One person, or several who have a turn together.
fn turn(spot: &Spot<'_>) -> Result<Turn, Complaint> {
    let hint =
        "write a name like \"ana\", or [\"ana\", \"ben\"] for people who have a turn together";
    let name = |text: &str| {
        let is_named = !text.trim().is_empty() && !text.contains(char::is_control);
        is_named
            .then(|| SmolStr::new(text.trim()))
            .ok_or_else(|| Complaint::new("is no name").hint(hint))
    };
    match &spot.node.value {
        Value::Text(text) => Ok(vec![name(text)?]),
        Value::List(items) if !items.is_empty() => {
            let names = items.iter().map(|item| match &item.value {
                Value::Text(text) => name(text),
                Value::Integer(_)
                | Value::Float
                | Value::Flag(_)
                | Value::Date
                | Value::List(_)
                | Value::Table(_) => Err(Complaint::new("is no name").hint(hint)),
            });
            names.collect()
        }
        Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => Err(Complaint::new("is no name").hint(hint)),
    }
}

/// `daily`, `weekly`, or how long a turn is.
fn length(spot: &Spot<'_>) -> Result<Span, Complaint> {
    let hint = "write \"daily\", \"weekly\", or how long a turn is, like \"12h\", \"3d\" or \"2w\"";
    let text = spot.text("a rotation")?;
    let span = match text {
        "daily" | "day" => Span::from_days(1),
        "weekly" | "week" => Span::from_days(7),
        "biweekly" | "fortnightly" => Span::from_days(14),
        "hourly" => Span::from_hours(1),
        _ => parse_duration(text).map_err(|complaint| complaint.hint(hint))?,
    };
    if (TURN_MIN..=TURN_MAX).contains(&span) {
        Ok(span)
    } else {
        let message = format!("{text:?} is too short or too long a turn");
        Err(Complaint::new(message).hint("a turn is from 1h to 366d long"))
    }
}

/// `09:00`, or with a day `mon 09:00`.
fn handover(spot: &Spot<'_>) -> Result<(Option<u8>, Span), Complaint> {
    let text = spot.text("a time of the day")?;
    let bad = || {
        let message = format!("{text:?} is no time of the day");
        Complaint::new(message).hint("write it like 09:00, or with a day like mon 09:00")
    };
    let (day, time) = match text.trim().split_once(' ') {
        Some((day, time)) => (Some(weekday(day).ok_or_else(bad)?), time),
        None => match weekday(text.trim()) {
            Some(day) => return Ok((Some(day), HANDOVER)),
            None => (None, text.trim()),
        },
    };
    let time = clock(time.trim()).ok_or_else(bad)?;
    Ok((day, time))
}

/// A local date, with or without a time; a time with an offset is looked up on the clocks of the zone.
fn civil(spot: &Spot<'_>, zone: &TimeZone) -> Result<(Date, Option<jiff::civil::Time>), Complaint> {
    let hint = "write a local date like \"2026-11-30\" or \"2026-11-30T09:00\"";
    let text = match (&spot.node.value, &spot.node.raw) {
        (Value::Date, Some(raw)) => raw.as_str(),
        _ => spot.text("a date").map_err(|it| it.hint(hint))?,
    };
    let has_time = text.contains([':', 'T']);
    if let (Ok(date), false) = (text.parse::<Date>(), has_time) {
        return Ok((date, None));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        let local = at.to_zoned(zone.clone());
        return Ok((local.date(), Some(local.time())));
    }
    let civil = text.parse::<DateTime>();
    civil
        .map(|civil| (civil.date(), Some(civil.time())))
        .map_err(|_| Complaint::new(format!("{text:?} is no local date")).hint(hint))
}

/// The moment that a date, a local time, or a time with an offset means.
fn moment(spot: &Spot<'_>, zone: &TimeZone) -> Result<Timestamp, Complaint> {
    let (date, time) = civil(spot, zone)?;
    let local = Local::of(date.to_datetime(time.unwrap_or_default()));
    Ok(crate::core::oncall::zone::first(zone, local))
}

/// A zone of the IANA database.
pub(super) fn zone(spot: &Spot<'_>) -> Result<TimeZone, Complaint> {
    let text = spot.text("a time zone")?;
    TimeZone::get(text).map_err(|_| {
        Complaint::new(format!("{text:?} is not a time zone"))
            .hint("write a name of the IANA database, like Europe/Berlin or UTC")
    })
}

/// The gaps of a schedule in the weeks after a time, as one sentence each.
pub(super) fn gaps(schedule: &Schedule, now: Timestamp) -> Vec<String> {
    /// How far gaps are looked for.
    const AHEAD: Span = Span::from_days(35);
    /// Gaps shown for one schedule.
    const SHOWN: usize = 3;
    let shifts = schedule.shifts(&[], now, now.plus(AHEAD));
    let gaps: Vec<_> = shifts.iter().filter(|it| it.people.is_empty()).collect();
    let shown = |at: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        let local = at.to_zoned(schedule.zone.clone());
        local.strftime("%a %Y-%m-%d %H:%M").to_string()
    };
    let name = &schedule.name;
    let mut texts: Vec<String> = gaps
        .iter()
        .take(SHOWN)
        .map(|gap| {
            let (from, to) = (shown(gap.from), shown(gap.to));
            format!("schedule {name}: nobody is on call from {from} to {to}")
        })
        .collect();
    if gaps.len() > SHOWN {
        let more = gaps.len().saturating_sub(SHOWN);
        texts.push(format!(
            "schedule {name}: {more} more gaps in the next 5 weeks"
        ));
    }
    texts
}
