//! Reads `[[escalation]]` into the core's ladders.
//!
//! Times count from the begin of the ladder, so they only grow. Must not decide whom a name reaches when a step is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, nearest};
use crate::config::schedules::once;
use crate::config::settings::Settings;
use crate::config::tree::{Node, Value};
use crate::config::values;
use crate::core::escalate::ladder::{REPEAT_MAX, STEPS_MAX};
use crate::core::escalate::{Ladder, Notify, Step, ladder_of_team};
use crate::core::oncall::{OnCallRules, Team};
use crate::core::tell::route::Route;
use crate::core::time::Span;

const DAY: Span = Span::from_days(1);
/// Longest time from the begin of a ladder to a step.
const LONGEST: Span = Span::from_days(30);
/// How long after the last step a ladder begins anew or gives up.
const REPEAT_AFTER: Span = Span::from_mins(15);
/// How often a ladder that is not written begins anew.
const IMPLIED_REPEAT: u32 = 3;
const NOTIFY_HINT: &str = "write names of targets, people, schedules or teams, like \"ops-chat\" or \"schedule:network\", \
     or { schedule = \"network\" }";

/// Everything that a step can name.
pub(super) struct Names<'a> {
    pub(super) on_call: &'a OnCallRules,
    pub(super) targets: BTreeSet<&'a str>,
    pub(super) calendars: BTreeSet<&'a str>,
}

/// Reads all ladders, by name.
pub(super) fn read(
    tables: Vec<TableReader<'_>>,
    names: &Names<'_>,
) -> BTreeMap<SmolStr, Arc<Ladder>> {
    let mut ladders = BTreeMap::new();
    let mut places = BTreeMap::new();
    for mut table in tables {
        if let Some(ladder) = ladder(&mut table, names) {
            once(&table, &mut places, &ladder.name, "escalation");
            ladders.insert(ladder.name.clone(), Arc::new(ladder));
        }
        table.finish();
    }
    ladders
}

fn ladder(table: &mut TableReader<'_>, names: &Names<'_>) -> Option<Ladder> {
    table.also("step", &["steps", "level", "levels", "rule", "rules"]);
    table.also("repeat", &["repeats", "repeat_times", "times", "loops"]);
    table.also("repeat_after", &["repeat_every", "repeat_delay"]);
    table.also(
        "fallback",
        &["fallbacks", "fallback_target", "fallback_targets"],
    );
    let name = table.required("name", values::text).map(SmolStr::from);
    let mut steps = Vec::new();
    let mut last = Span::ZERO;
    let mut pause = Span::ZERO;
    for mut below in table.tables("step") {
        let step = step(&mut below, names, last.plus(pause));
        pause = below.optional("wait", duration()).unwrap_or(Span::ZERO);
        if step.after < last {
            let complaint = Complaint::new("the step is due before the one above it");
            let hint = "`after` counts from the begin of the ladder, not from the step before";
            below.refuse(Some("after"), complaint.hint(hint));
        }
        last = step.after;
        below.finish();
        steps.push(step);
    }
    let notify = table.list("notify", |spot| notify(spot, names));
    if !notify.is_empty() {
        steps.insert(
            0,
            Step {
                after: Span::ZERO,
                notify,
                calendar: None,
                skips: false,
            },
        );
    }
    if steps.is_empty() {
        let complaint = Complaint::new("the ladder has no step");
        let hint =
            "write steps = [{ after = \"0s\", notify = [\"ops-chat\"] }], or [[escalation.step]]";
        table.refuse(None, complaint.hint(hint));
    }
    if steps.len() > STEPS_MAX {
        let message = format!("has more than {STEPS_MAX} steps");
        table.refuse(None, Complaint::new(message));
    }
    Some(Ladder {
        name: name?,
        steps,
        repeat: table.optional("repeat", repeat).unwrap_or_default(),
        repeat_after: table
            .optional("repeat_after", values::duration(Span::from_secs(1)..=DAY))
            .unwrap_or(REPEAT_AFTER),
        fallback: table.list("fallback", |spot| self::notify(spot, names)),
    })
}

fn duration() -> impl FnOnce(&Spot<'_>) -> Result<Span, Complaint> {
    values::duration(Span::ZERO..=LONGEST)
}

/// A number; `true` is the usual one.
fn repeat(spot: &Spot<'_>) -> Result<u32, Complaint> {
    match spot.node.value {
        Value::Flag(is_repeated) => Ok(if is_repeated { IMPLIED_REPEAT } else { 0 }),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => values::count(0..=REPEAT_MAX)(spot),
    }
}

/// A step; `last` is when it is due unless it says so: with the one before it, or so long after it as that waits.
fn step(table: &mut TableReader<'_>, names: &Names<'_>, last: Span) -> Step {
    table.also("after", &["at"]);
    table.also("notify", &["to", "who", "tell", "page"]);
    table.also("schedule", &["schedules", "on_call", "oncall"]);
    table.also("person", &["persons", "people", "user", "users"]);
    table.also("team", &["teams"]);
    table.also("targets", &["target"]);
    table.also("calendar", &["business_hours", "hours"]);
    let delay = table.optional("delay", duration());
    let after = table.optional("after", duration());
    let after = after.or_else(|| delay.map(|delay| last.plus(delay)));
    let after = after.or(Some(last));
    let mut notify = table.list("notify", |spot| notify(spot, names));
    for (key, kind) in [
        ("targets", "target"),
        ("schedule", "schedule"),
        ("person", "person"),
        ("team", "team"),
    ] {
        notify.extend(table.list(key, |spot| named(kind, spot.text("a name")?, names)));
    }
    let calendar = table.optional("calendar", |spot| calendar(spot, names));
    let skips = table.optional(
        "outside_hours",
        values::word(&[("wait", false), ("skip", true)]),
    );
    if notify.is_empty() {
        let complaint = Complaint::new("the step tells nobody");
        table.refuse(None, complaint.hint(NOTIFY_HINT));
    }
    Step {
        after: after.unwrap_or(Span::ZERO),
        notify,
        calendar,
        skips: skips.unwrap_or_default(),
    }
}

fn calendar(spot: &Spot<'_>, names: &Names<'_>) -> Result<SmolStr, Complaint> {
    let name = spot.text("the name of a calendar")?;
    if names.calendars.contains(name) {
        return Ok(name.into());
    }
    let message = format!("there is no calendar {name:?}");
    Err(Complaint::new(message).hint("write the name of a [[calendar]]"))
}

/// Who is told: a name, `kind:name`, or `{ kind = "name" }`.
fn notify(spot: &Spot<'_>, names: &Names<'_>) -> Result<Notify, Complaint> {
    match &spot.node.value {
        Value::Text(text) => match text.split_once(':') {
            Some((kind, name)) if is_kind(kind.trim()) => named(kind.trim(), name.trim(), names),
            Some(_) | None => bare(text, names),
        },
        Value::Table(table) => {
            let mut entries = table.iter();
            let (Some((kind, (_, node))), None) = (entries.next(), entries.next()) else {
                return Err(Complaint::new("names not exactly one").hint(NOTIFY_HINT));
            };
            match text_of(node) {
                Some(name) => named(kind, name, names),
                None => Err(Complaint::new("is no name").hint(NOTIFY_HINT)),
            }
        }
        Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date | Value::List(_) => {
            Err(Complaint::new("is no name").hint(NOTIFY_HINT))
        }
    }
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => None,
    }
}

fn is_kind(kind: &str) -> bool {
    matches!(kind, "person" | "user" | "schedule" | "team" | "target")
}

fn named(kind: &str, name: &str, names: &Names<'_>) -> Result<Notify, Complaint> {
    let on_call = names.on_call;
    let (is_known, notify) = match kind {
        "person" | "user" => (
            on_call.people.contains_key(name),
            Notify::Person(name.into()),
        ),
        "schedule" => (
            on_call.schedules.contains_key(name),
            Notify::Schedule(name.into()),
        ),
        "team" => (on_call.teams.contains_key(name), Notify::Team(name.into())),
        "target" => (names.targets.contains(name), Notify::Target(name.into())),
        _ => {
            let message = format!("{kind:?} cannot be told");
            return Err(Complaint::new(message).hint(NOTIFY_HINT));
        }
    };
    if is_known {
        return Ok(notify);
    }
    Err(Complaint::new(format!("there is no {kind} {name:?}")).hint(near(name, names)))
}

/// A name alone, of whatever it is the name of.
fn bare(name: &str, names: &Names<'_>) -> Result<Notify, Complaint> {
    if name == "assignee" {
        return Ok(Notify::Assignee);
    }
    if name == "team" {
        return Ok(Notify::OwnTeam);
    }
    let kinds = ["target", "schedule", "team", "person"];
    let mut found: Vec<Notify> = kinds
        .iter()
        .filter_map(|kind| named(kind, name, names).ok())
        .collect();
    match (found.pop(), found.pop()) {
        (Some(notify), None) => Ok(notify),
        (Some(one), Some(other)) => {
            let message = format!("{name:?} is the name of more than one thing: {other}, {one}");
            let hint = format!("write which one is meant, like \"schedule:{name}\"");
            Err(Complaint::new(message).hint(hint))
        }
        (None, _) => {
            let message = format!("there is no target, person, schedule or team {name:?}");
            Err(Complaint::new(message).hint(near(name, names)))
        }
    }
}

fn near(name: &str, names: &Names<'_>) -> String {
    let on_call = names.on_call;
    let known = on_call.people.keys().map(SmolStr::as_str);
    let known = known.chain(on_call.schedules.keys().map(SmolStr::as_str));
    let known = known.chain(on_call.teams.keys().map(SmolStr::as_str));
    let known: BTreeSet<&str> = known.chain(names.targets.iter().copied()).collect();
    match nearest(name, &known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => NOTIFY_HINT.to_owned(),
    }
}

/// The ladders in force: those that are written, and one for each name that is used but not written: whoever copies a
/// route and forgets its ladder must not be met with silence.
pub(super) fn in_force(settings: &Settings) -> BTreeMap<SmolStr, Arc<Ladder>> {
    let mut ladders = settings.ladders.clone();
    for name in unknown(settings) {
        let notify = implied(settings, &name);
        if notify.is_empty() {
            continue;
        }
        let ladder = Ladder {
            name: name.clone(),
            steps: vec![Step {
                after: Span::ZERO,
                notify,
                calendar: None,
                skips: false,
            }],
            repeat: IMPLIED_REPEAT,
            repeat_after: REPEAT_AFTER,
            fallback: Vec::new(),
        };
        ladders.insert(name, Arc::new(ladder));
    }
    let teams = settings.on_call.teams.values();
    for team in teams.filter(|team| team.escalation.is_none() && is_reached(settings, team)) {
        let ladder = of_team(team);
        ladders.insert(ladder.name.clone(), Arc::new(ladder));
    }
    ladders
}

/// A route as it is obeyed: one that ends with a team and says nothing else tells that team, whoever was told before.
pub(super) fn route_in_force(settings: &Settings, route: &Route) -> Route {
    let mut route = route.clone();
    let says_nothing = route.targets.is_empty() && route.escalation.is_none() && !route.goes_on;
    let team = route.team.as_ref().filter(|_| says_nothing);
    if let Some(team) = team.and_then(|team| settings.on_call.teams.get(team)) {
        let implied = || is_reached(settings, team).then(|| ladder_of_team(&team.name));
        route.escalation = team.escalation.clone().or_else(implied);
    }
    route
}

/// The ladder of a team that has none: people are told again while nobody answers, a channel is told once.
fn of_team(team: &Team) -> Ladder {
    let has_people = team.schedule.is_some() || team.targets.is_empty();
    Ladder {
        name: ladder_of_team(&team.name),
        steps: vec![Step {
            after: Span::ZERO,
            notify: vec![Notify::Team(team.name.clone())],
            calendar: None,
            skips: false,
        }],
        repeat: if has_people { IMPLIED_REPEAT } else { 0 },
        repeat_after: REPEAT_AFTER,
        fallback: Vec::new(),
    }
}

/// Whether anybody is told when a team is.
pub(super) fn is_reached(settings: &Settings, team: &Team) -> bool {
    let has_way = |person: &SmolStr| {
        let person = settings.on_call.people.get(person);
        person.is_some_and(|person| !person.contacts.is_empty())
    };
    team.schedule.is_some() || !team.targets.is_empty() || team.members.iter().any(has_way)
}

/// The names of ladders that are used and not written.
pub(super) fn unknown(settings: &Settings) -> BTreeSet<SmolStr> {
    let of_routes = settings
        .routes
        .iter()
        .filter_map(|it| it.escalation.clone());
    let of_teams = settings.on_call.teams.values();
    let of_teams = of_teams.filter_map(|team| team.escalation.clone());
    let names = of_routes.chain(of_teams);
    names
        .filter(|name| !settings.ladders.contains_key(name))
        .collect()
}

/// Whom a ladder tells that is not written: the team that it stands beside, else the targets of its route, else every
/// target.
fn implied(settings: &Settings, name: &SmolStr) -> Vec<Notify> {
    let teams = &settings.on_call.teams;
    let route = settings
        .routes
        .iter()
        .find(|route| route.escalation.as_ref() == Some(name));
    let of_route = route.and_then(|route| route.team.as_ref());
    let of_route = of_route.and_then(|team| teams.get(team));
    let team = of_route.or_else(|| {
        let mut teams = teams.values();
        teams.find(|team| team.escalation.as_ref() == Some(name))
    });
    if let Some(team) = team.filter(|team| is_reached(settings, team)) {
        return vec![Notify::Team(team.name.clone())];
    }
    let of_route = route.map(|route| route.targets.clone()).unwrap_or_default();
    let targets: Vec<SmolStr> = if of_route.is_empty() {
        settings
            .targets
            .iter()
            .map(|it| SmolStr::new(&it.name))
            .collect()
    } else {
        of_route
    };
    targets.into_iter().map(Notify::Target).collect()
}
