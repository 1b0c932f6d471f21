//! Reads `[[person]]`, `[[team]]` and `[[schedule]]`: who can be told, and who is on call.
//!
//! Who is only named in a team or a schedule is a person too, one that cannot be reached by name; `check` says so. Must
//! not look at the clock: what depends on it ([`warnings`]) takes the time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::config::error::Complaint;
use crate::config::feeds::RotaFeed;
use crate::config::hours::hours;
use crate::config::ladders;
use crate::config::reader::{Spot, TableReader, nearest};
use crate::config::schedules::{self, once};
use crate::config::settings::Settings;
use crate::config::target_profiles;
use crate::config::targets::TargetSettings;
use crate::config::values;
use crate::core::oncall::{Contact, OnCallRules, Person, Quiet, Schedule, Team};
use crate::core::severity::Priority;
use crate::core::tell::Listener;
use crate::core::time::Timestamp;

/// People, teams and schedules; more of each are refused.
const EACH_MAX: usize = 10_000;
/// Kinds of targets that people look at by themselves: mail and chats.
const QUIET_KINDS: [&str; 7] = [
    "email",
    "slack",
    "teams",
    "mattermost",
    "rocketchat",
    "discord",
    "matrix",
];
/// Ways of one person; more are refused.
const CONTACTS_MAX: usize = 20;
const PRIORITIES: &[(&str, Priority)] = &[
    ("P1", Priority::P1),
    ("P2", Priority::P2),
    ("P3", Priority::P3),
    ("P4", Priority::P4),
    ("P5", Priority::P5),
];

/// Reads the three sections.
pub(super) fn read(
    root: &mut TableReader<'_>,
    targets: &[TargetSettings],
) -> (OnCallRules, Vec<RotaFeed>) {
    root.also("person", &["people", "persons", "user", "users"]);
    root.also("team", &["teams"]);
    root.also("schedule", &["schedules"]);
    let people = people(root.tables("person"), targets);
    let (schedules, feeds) = schedules::read(root.tables("schedule"));
    let mut on_call = OnCallRules {
        people,
        teams: BTreeMap::new(),
        schedules,
    };
    on_call.teams = teams(root.tables("team"), &on_call, targets);
    let named = on_call.schedules.values().flat_map(|it| it.people());
    let members = on_call.teams.values().flat_map(|it| it.members.clone());
    let named: Vec<SmolStr> = named.chain(members).collect();
    for name in named {
        let person = Person::named(name.clone());
        on_call.people.entry(name).or_insert(person);
    }
    (on_call, feeds)
}

fn people(tables: Vec<TableReader<'_>>, targets: &[TargetSettings]) -> BTreeMap<SmolStr, Person> {
    let mut people = BTreeMap::new();
    let mut places = BTreeMap::new();
    for mut table in tables {
        table.also("zone", schedules::ZONE);
        table.also("targets", &["target", "notify"]);
        table.also("contact", &["contacts", "contact_methods", "methods"]);
        table.also("email", &["mail", "e_mail"]);
        table.also("quiet_up_to", &["quiet_priority"]);
        // For people who read the file.
        for key in ["full_name", "title", "description", "role"] {
            table.skip(key);
        }
        let name = table.required("name", values::text).map(SmolStr::from);
        let zone = table
            .optional("zone", schedules::zone)
            .unwrap_or(TimeZone::UTC);
        let contacts = contacts(&mut table, targets);
        let hours = table.optional("quiet_hours", hours);
        let through = table.optional("quiet_up_to", values::word(PRIORITIES));
        if table.has("quiet_up_to") && !table.has("quiet_hours") {
            let complaint = Complaint::new("the person has no quiet hours");
            table.refuse(
                Some("quiet_up_to"),
                complaint.hint("write quiet_hours, or remove it"),
            );
        }
        if let Some(name) = name {
            once(&table, &mut places, &name, "person");
            let person = Person {
                name: name.clone(),
                contacts,
                quiet: hours.map(|hours| Quiet {
                    hours,
                    zone,
                    through: through.unwrap_or(Priority::P2),
                }),
            };
            people.insert(name, person);
        }
        table.finish();
    }
    people
}

/// The ways of a person: names of targets, or a target, or a kind of target, with the person's own address there.
fn contacts(table: &mut TableReader<'_>, targets: &[TargetSettings]) -> Vec<Contact> {
    let mut contacts = Vec::new();
    let plain = table.list("targets", |spot| known(spot, targets));
    contacts.extend(plain.into_iter().map(|target| Contact {
        is_quiet: disturbs_nobody(targets, &target),
        ..Contact::of(target, SmolStr::default())
    }));
    if let Some(address) = table.optional("email", values::text) {
        match targets.iter().find(|it| it.kind.word() == "email") {
            Some(target) => contacts.push(Contact {
                is_quiet: true,
                ..Contact::of((&target.name).into(), address.into())
            }),
            None => {
                let complaint = Complaint::new("there is no [[target]] of kind email");
                table.refuse(
                    Some("email"),
                    complaint.hint("add one, or remove the address"),
                );
            }
        }
    }
    for mut below in table.tables("contact") {
        contacts.extend(contact(&mut below, targets));
        below.finish();
    }
    if contacts.len() > CONTACTS_MAX {
        let message = format!("has more than {CONTACTS_MAX} contacts");
        table.refuse(None, Complaint::new(message));
    }
    contacts
}

fn contact(table: &mut TableReader<'_>, targets: &[TargetSettings]) -> Option<Contact> {
    table.also("kind", &["type", "method"]);
    table.also("address", &["to", "value", "number", "recipient"]);
    let target = table.optional("target", |spot| known(spot, targets));
    let kind = table.optional("kind", |spot| kind(spot, targets));
    let address = table.optional("address", values::text).map(SmolStr::from);
    let target = target.or(kind).unwrap_or_default();
    let contact = Contact {
        is_quiet: table
            .optional("quiet", values::flag)
            .unwrap_or_else(|| disturbs_nobody(targets, &target)),
        way: Listener {
            target,
            recipient: address.unwrap_or_default(),
        },
        through: table
            .optional("up_to", values::word(PRIORITIES))
            .unwrap_or(Priority::P5),
    };
    if table.has("target") == table.has("kind") {
        let complaint = Complaint::new("it is not said how the person is reached");
        let hint = "write target = \"name of a [[target]]\", or kind = \"email\" for the first one of that kind";
        table.refuse(None, complaint.hint(hint));
    }
    (!contact.way.target.is_empty()).then_some(contact)
}

/// Whether a target is one that people look at by themselves, so that it wakes nobody.
fn disturbs_nobody(targets: &[TargetSettings], name: &str) -> bool {
    let target = targets.iter().find(|target| target.name == name);
    target.is_some_and(|target| QUIET_KINDS.contains(&target.kind.word()))
}

fn known(spot: &Spot<'_>, targets: &[TargetSettings]) -> Result<SmolStr, Complaint> {
    let name = spot.text("the name of a target")?;
    if targets.iter().any(|target| target.name == name) {
        return Ok(name.into());
    }
    let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "write the name of a [[target]]".to_owned(),
    };
    Err(Complaint::new(format!("there is no target {name:?}")).hint(hint))
}

/// The first target of a kind.
fn kind(spot: &Spot<'_>, targets: &[TargetSettings]) -> Result<SmolStr, Complaint> {
    let kind = spot.text("a kind of targets")?;
    let is_kind = |target: &&TargetSettings| {
        let word = target.kind.word();
        word == kind || target_profiles::find(kind).is_some_and(|(found, _)| found == word)
    };
    let target = targets.iter().find(is_kind);
    target
        .map(|target| SmolStr::new(&target.name))
        .ok_or_else(|| {
            let message = format!("there is no target of kind {kind:?}");
            Complaint::new(message).hint("write the kind of a [[target]]")
        })
}

fn teams(
    tables: Vec<TableReader<'_>>,
    on_call: &OnCallRules,
    targets: &[TargetSettings],
) -> BTreeMap<SmolStr, Team> {
    let mut teams = BTreeMap::new();
    let mut places = BTreeMap::new();
    for mut table in tables {
        table.also("members", &["people", "users", "member"]);
        table.also("schedule", &["on_call", "oncall", "on_call_schedule"]);
        table.also("escalation", &["ladder", "escalation_policy"]);
        table.also("targets", &["target", "notify"]);
        table.skip("description");
        let name = table.required("name", values::text).map(SmolStr::from);
        let team = Team {
            name: name.clone().unwrap_or_default(),
            members: table
                .list("members", values::text)
                .into_iter()
                .map(SmolStr::from)
                .collect(),
            schedule: table.optional("schedule", values::text).map(SmolStr::from),
            escalation: table
                .optional("escalation", values::text)
                .map(SmolStr::from),
            targets: table.list("targets", |spot| known(spot, targets)),
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
    let on_call = &settings.on_call;
    // What a calendar behind an address says is not known here.
    let is_known = |schedule: &&Schedule| {
        let mut feeds = settings.rota_feeds.iter();
        !feeds.any(|feed| feed.schedule == schedule.name)
    };
    let gaps = on_call.schedules.values().filter(is_known);
    let gaps = gaps.flat_map(|schedule| schedules::gaps(schedule, now));
    let is_paged = |person: &&Person| {
        let mut schedules = on_call.schedules.values();
        schedules.any(|schedule| schedule.people().contains(&person.name))
    };
    let unreachable = on_call.people.values().filter(|it| it.contacts.is_empty());
    let unreachable = unreachable.filter(is_paged).map(|person| {
        let name = &person.name;
        format!("{name} is on call but cannot be told: add a [[person]] with targets or a [[person.contact]]")
    });
    let ladders = ladders::unknown(settings).into_iter().map(|name| {
        format!("there is no [[escalation]] {name:?}; its team is told once, then again every 15 minutes")
    });
    gaps.chain(unreachable).chain(ladders).collect()
}
