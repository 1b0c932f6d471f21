//! Schedules against a reference that walks through time minute by minute and only looks at the clock on the wall.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use smol_str::SmolStr;

use super::hours::{Hours, Window};
use super::overrides::{Override, OverrideId};
use super::rotation::Rotation;
use super::schedule::{Event, Ground, Layer, Plan, Schedule};
use super::zone::{Local, local, weekday};
use crate::core::time::{Span, Timestamp};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60;
/// Zones with changes of an hour, of half an hour, at midnight, and a lost day.
const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Pacific/Apia",
];

fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Minutes of the week in which somebody is on, and what the wall has shown at most so far.
struct Walker<'a> {
    schedule: &'a Schedule,
    overrides: &'a [Override],
    shown_max: Vec<i64>,
}

impl Walker<'_> {
    /// Who is on at minute `index` after `from`; clocks that repeat an hour have shown it already.
    fn people(&self, from: Timestamp, index: usize) -> Vec<SmolStr> {
        let now = from.plus(Span::from_mins(i64::try_from(index).unwrap()));
        let shown = self.shown_max[index];
        let mut people = Vec::new();
        for layer in &self.schedule.layers {
            let on = Self::on(layer, shown, now);
            if !on.is_empty() {
                people = on;
            }
        }
        for it in self.overrides {
            if !(it.from <= now && now < it.to) {
                continue;
            }
            match &it.replaces {
                None => people = it.person.iter().cloned().collect(),
                Some(off) => {
                    if people.contains(off) {
                        people.retain(|person| person != off && Some(person) != it.person.as_ref());
                        people.extend(it.person.clone());
                    }
                }
            }
        }
        people
    }

    fn on(layer: &Layer, shown: i64, now: Timestamp) -> Vec<SmolStr> {
        if layer.until.is_some_and(|until| until <= now) {
            return Vec::new();
        }
        if let Some(hours) = &layer.hours {
            let is_open = hours.windows().iter().any(|window| {
                (0..=2).any(|back| {
                    let day = shown.div_euclid(DAY) - back;
                    let passed = shown - day * DAY;
                    weekday(day) == window.weekday
                        && window.from.as_millis() / MINUTE <= passed
                        && passed < window.to.as_millis() / MINUTE
                })
            });
            if !is_open {
                return Vec::new();
            }
        }
        match &layer.plan {
            Plan::Rotation(rotation) => {
                let passed = shown - rotation.start.as_millis() / MINUTE;
                if passed < 0 {
                    return Vec::new();
                }
                let turn = passed / (rotation.length.as_millis() / MINUTE);
                let turn = usize::try_from(turn).unwrap() % rotation.turns.len();
                rotation.turns[turn].clone()
            }
            Plan::Events(events) => {
                let on = events.iter().filter(|it| it.from <= now && now < it.to);
                let mut on: Vec<_> = on.map(|it| it.person.clone()).collect();
                on.sort();
                on.dedup();
                on
            }
        }
    }
}

/// What the wall has shown at most, minute by minute, beginning two days earlier so that the begin is right.
fn shown(zone: &TimeZone, from: Timestamp, minutes: usize) -> Vec<i64> {
    let lead = usize::try_from(2 * DAY).unwrap();
    let start = from.minus(Span::from_mins(2 * DAY));
    let mut max = i64::MIN;
    let mut shown = Vec::with_capacity(minutes);
    for index in 0..minutes + lead {
        let now = start.plus(Span::from_mins(i64::try_from(index).unwrap()));
        max = max.max(local(zone, now).as_millis().div_euclid(MINUTE));
        if index >= lead {
            shown.push(max);
        }
    }
    shown
}

fn name() -> impl Strategy<Value = SmolStr> {
    prop::sample::select(vec!["ana", "ben", "cem", "dina"]).prop_map(SmolStr::from)
}

fn hours() -> impl Strategy<Value = Hours> {
    let window = (0..7_u8, 0..24 * 4_i64, 1..48 * 4_i64).prop_map(|(weekday, from, length)| {
        let to = (from + length).min(48 * 4);
        Window {
            weekday,
            from: Span::from_mins(from * 15),
            to: Span::from_mins(to * 15),
        }
    });
    prop::collection::vec(window, 1..5).prop_map(Hours::new)
}

/// Layers around a day, counted in minutes from it.
fn layer(day: i64) -> impl Strategy<Value = Layer> {
    let lengths = prop::sample::select(vec![1_i64, 5, 12, 24, 48, 168]);
    let turns = prop::collection::vec(prop::collection::vec(name(), 1..3), 1..4);
    let rotation = (-6 * DAY..2 * DAY, lengths, turns).prop_map(move |(minute, hours, turns)| {
        Plan::Rotation(Rotation {
            start: Local::of_day(day).plus(Span::from_mins(minute - minute.rem_euclid(30))),
            length: Span::from_hours(hours),
            turns: turns
                .into_iter()
                .map(|mut turn| {
                    turn.dedup();
                    turn
                })
                .collect(),
        })
    });
    let midnight = Timestamp::from_millis(Local::of_day(day).as_millis());
    let event = (-DAY..4 * DAY, 1..2 * DAY, name()).prop_map(move |(from, length, person)| Event {
        from: midnight.plus(Span::from_mins(from)),
        to: midnight.plus(Span::from_mins(from + length)),
        person,
    });
    let events = prop::collection::vec(event, 0..4).prop_map(|mut events| {
        events.sort();
        Plan::Events(events.into())
    });
    let until = prop::option::weighted(0.2, 0..3 * DAY);
    let plan = prop_oneof![3 => rotation, 1 => events];
    (plan, prop::option::of(hours()), until).prop_map(move |(plan, hours, until)| Layer {
        name: "layer".into(),
        plan,
        hours,
        until: until.map(|minute| midnight.plus(Span::from_mins(minute))),
    })
}

fn stand_in(day: i64) -> impl Strategy<Value = Override> {
    let midnight = Timestamp::from_millis(Local::of_day(day).as_millis());
    let people = prop_oneof![
        (name(), prop::option::of(name())).prop_map(|(person, off)| (Some(person), off)),
        name().prop_map(|off| (None, Some(off))),
    ];
    (-DAY..4 * DAY, 1..DAY, people).prop_map(move |(from, length, (person, replaces))| Override {
        id: OverrideId::new(1),
        schedule: "s".into(),
        person,
        replaces,
        from: midnight.plus(Span::from_mins(from)),
        to: midnight.plus(Span::from_mins(from + length)),
        created_by: "ana".into(),
        comment: "".into(),
        made_at: midnight,
    })
}

#[derive(Debug)]
struct Case {
    schedule: Schedule,
    overrides: Vec<Override>,
    from: Timestamp,
}

fn case() -> impl Strategy<Value = Case> {
    // Three days around the clock changes of the zones, and some ordinary ones.
    let days = [
        "2026-03-28",
        "2026-10-24",
        "2026-03-07",
        "2026-10-31",
        "2026-04-04",
        "2026-10-03",
        "2026-09-05",
        "2011-12-29",
        "2026-11-30",
    ];
    let days = days.map(|day| Local::of(format!("{day}T00:00").parse().unwrap()).day());
    (
        prop::sample::select(ZONES.to_vec()),
        prop::sample::select(days.to_vec()),
    )
        .prop_flat_map(|(zone, day)| {
            let layers = prop::collection::vec(layer(day), 1..4);
            let overrides = prop::collection::vec(stand_in(day), 0..4);
            (layers, overrides).prop_map(move |(layers, mut overrides)| {
                for (number, it) in (1..).zip(&mut overrides) {
                    it.id = OverrideId::new(number);
                }
                Case {
                    schedule: Schedule {
                        name: "s".into(),
                        zone: TimeZone::get(zone).unwrap(),
                        layers,
                        stand_ins: Vec::new(),
                    },
                    overrides,
                    from: Timestamp::from_millis(Local::of_day(day).as_millis()),
                }
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn shifts_are_what_a_walk_minute_by_minute_sees(case in case()) {
        let Case { schedule, overrides, from } = &case;
        let minutes = usize::try_from(3 * DAY).unwrap();
        let to = from.plus(Span::from_mins(3 * DAY));
        let walker = Walker {
            schedule,
            overrides,
            shown_max: shown(&schedule.zone, *from, minutes),
        };
        let held: Vec<&Override> = overrides.iter().collect();
        let shifts = schedule.shifts(&held, *from, to);
        prop_assert_eq!(shifts.first().map(|it| it.from), Some(*from));
        prop_assert_eq!(shifts.last().map(|it| it.to), Some(to));
        prop_assert!(shifts.windows(2).all(|pair| pair[0].to == pair[1].from));
        for minute in 0..minutes {
            let now = from.plus(Span::from_mins(i64::try_from(minute).unwrap()));
            let shift = shifts.iter().find(|it| it.from <= now && now < it.to).unwrap();
            let expected = walker.people(*from, minute);
            prop_assert_eq!(&shift.people, &expected, "minute {} of {:?}", minute, shift);
            if minute % 97 == 0 {
                prop_assert_eq!(&schedule.at(&held, now).0, &expected);
                let whole = schedule.shift(&held, now);
                prop_assert_eq!(&whole.people, &expected);
                prop_assert!(whole.from <= now && now < whole.to);
            }
        }
    }
}

fn weekly() -> Schedule {
    Schedule {
        name: "net".into(),
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        layers: vec![Layer {
            name: "all".into(),
            plan: Plan::Rotation(Rotation {
                start: Local::of("2026-03-23T09:00".parse().unwrap()),
                length: Span::from_days(7),
                turns: vec![vec!["ana".into()], vec!["ben".into()]],
            }),
            hours: None,
            until: None,
        }],
        stand_ins: Vec::new(),
    }
}

#[test]
fn handover_stays_at_its_local_time_when_clocks_change() {
    let schedule = weekly();
    let shift = schedule.shift(&[], at("2026-03-28T12:00:00Z"));
    assert_eq!(shift.people, ["ana"]);
    assert_eq!(shift.from, at("2026-03-23T08:00:00Z"));
    assert_eq!(shift.to, at("2026-03-30T07:00:00Z"), "09:00 in summer");
    assert_eq!(schedule.at(&[], at("2026-03-30T07:00:00Z")).0, ["ben"]);
    let (people, ground) = schedule.at(&[], at("2026-03-23T07:59:59Z"));
    assert_eq!(
        (people, ground),
        (Vec::new(), Ground::Nobody),
        "before the first turn"
    );
}

#[test]
fn later_layers_and_overrides_stand_above() {
    let mut schedule = weekly();
    schedule.layers.push(Layer {
        name: "office".into(),
        plan: Plan::Rotation(Rotation {
            start: Local::of("2026-03-23T00:00".parse().unwrap()),
            length: Span::from_hours(24),
            turns: vec![vec!["cem".into()]],
        }),
        hours: Some(Hours::new(vec![Window {
            weekday: 0,
            from: Span::from_hours(9),
            to: Span::from_hours(17),
        }])),
        until: None,
    });
    let monday = at("2026-03-23T10:00:00Z");
    assert_eq!(schedule.at(&[], monday).1, Ground::Layer("office".into()));
    let it = Override {
        id: OverrideId::new(7),
        schedule: "net".into(),
        person: Some("dina".into()),
        replaces: Some("cem".into()),
        from: at("2026-03-23T09:00:00Z"),
        to: at("2026-03-24T09:00:00Z"),
        created_by: "cem".into(),
        comment: "".into(),
        made_at: at("2026-03-20T09:00:00Z"),
    };
    assert_eq!(schedule.at(&[&it], monday).0, ["dina"]);
    // In the evening it is ana's turn, and only cem is stood in for.
    assert_eq!(schedule.at(&[&it], at("2026-03-23T20:00:00Z")).0, ["ana"]);
    let shifts = schedule.shifts(
        &[&it],
        at("2026-03-23T07:00:00Z"),
        at("2026-03-23T23:00:00Z"),
    );
    let names: Vec<_> = shifts.iter().map(|it| it.people.join("+")).collect();
    assert_eq!(names, ["", "cem", "dina", "ana"]);
}
