//! Reads `[[person]]`, `[[team]]` and `[[schedule]]`: who can be told, and who is on call.
//!
//! Who is only named in a team or a schedule is a person too, one that cannot be reached by name; `check` says so. Must
//! not look at the clock: what depends on it ([`warnings`]) takes the time.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::config::error::Complaint;
use crate::config::reader::TableReader;
use crate::config::schedules::{self, once};
use crate::config::settings::Settings;
use crate::config::values;
use crate::core::oncall::{OnCallRules, Person, Team};
use crate::core::time::Timestamp;

/// People, teams and schedules; more of each are refused.
const EACH_MAX: usize = 10_000;

/// Reads the three sections.
pub(super) fn read(root: &mut TableReader<'_>) -> OnCallRules {
    let people = people(root.tables("person"));
    let schedules = schedules::read(root.tables("schedule"));
    let mut on_call = OnCallRules {
        people,
        teams: BTreeMap::new(),
        schedules,
    };
    on_call.teams = teams(root.tables("team"), &on_call);
    let named = on_call.schedules.values().flat_map(|it| it.people());
    let members = on_call.teams.values().flat_map(|it| it.members.clone());
    let named: Vec<SmolStr> = named.chain(members).collect();
    for name in named {
        let person = Person { name: name.clone() };
        on_call.people.entry(name).or_insert(person);
    }
    on_call
}

fn people(tables: Vec<TableReader<'_>>) -> BTreeMap<SmolStr, Person> {
    let mut people = BTreeMap::new();
    let mut places = BTreeMap::new();
    for mut table in tables {
        let name = table.required("name", values::text).map(SmolStr::from);
        if let Some(name) = name {
            once(&table, &mut places, &name, "person");
            people.insert(name.clone(), Person { name });
        }
        table.finish();
    }
    people
}

fn teams(tables: Vec<TableReader<'_>>, on_call: &OnCallRules) -> BTreeMap<SmolStr, Team> {
    let mut teams = BTreeMap::new();
    let mut places = BTreeMap::new();
    for mut table in tables {
        let name = table.required("name", values::text).map(SmolStr::from);
        let names = |table: &mut TableReader<'_>, key| {
            let names = table.list(key, values::text).into_iter();
            names.map(SmolStr::from).collect::<Vec<_>>()
        };
        let team = Team {
            name: name.clone().unwrap_or_default(),
            members: names(&mut table, "members"),
            schedule: table.optional("schedule", values::text).map(SmolStr::from),
            escalation: table
                .optional("escalation", values::text)
                .map(SmolStr::from),
            targets: names(&mut table, "targets"),
        };
        if let Some(schedule) = &team.schedule
            && !on_call.schedules.contains_key(schedule)
        {
            let message = format!("there is no schedule {schedule:?}");
            let hint = "write the name of a [[schedule]]";
            table.refuse(Some("schedule"), Complaint::new(message).hint(hint));
        }
        if let Some(name) = name {
            once(&table, &mut places, &name, "team");
            if teams.len() == EACH_MAX {
                let message = format!("there are more than {EACH_MAX} teams");
                table.refuse(None, Complaint::new(message));
            }
            teams.insert(name, team);
        }
        table.finish();
    }
    teams
}

/// What is allowed but probably not meant, one sentence each: gaps of schedules, people who cannot be reached.
pub fn warnings(settings: &Settings, now: Timestamp) -> Vec<String> {
    let schedules = settings.on_call.schedules.values();
    schedules
        .flat_map(|schedule| schedules::gaps(schedule, now))
        .collect()
}
