//! Whom a step tells, and by which of their ways.
//!
//! Quiet hours and the priority choose among the ways of a person, but never leave none: silence is no choice. Must not
//! tell anybody.

use smol_str::SmolStr;

use crate::core::escalate::ladder::Notify;
use crate::core::escalate::run::Loudness;
use crate::core::incident::Incident;
use crate::core::oncall::Person;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::tell::Listener;
use crate::core::time::Timestamp;

/// Whom a step reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// Each way once, in the order of the step.
    pub(super) listeners: Vec<Listener>,
    /// Who, for people.
    pub(super) names: Vec<String>,
    /// Why somebody was not reached, one clause each.
    pub(super) missing: Vec<String>,
    /// Whether somebody was told whatever their quiet hours are.
    pub(super) is_loud: bool,
}

/// What a step is looked at with.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) rules: &'a Rules,
    pub(super) state: &'a State,
    pub(super) incident: &'a Incident,
    pub(super) loudness: Loudness,
    pub(super) now: Timestamp,
}

/// Looks up whom a step tells.
pub(super) fn reach(look: Look<'_>, notify: &[Notify]) -> Reached {
    let mut reached = Reached::default();
    for it in notify {
        reached.add(look, it);
    }
    reached
}

impl Reached {
    fn add(&mut self, look: Look<'_>, notify: &Notify) {
        match notify {
            Notify::Person(name) => self.person(look, name),
            Notify::Schedule(name) => self.schedule(look, name),
            Notify::Team(name) => self.team(look, name),
            Notify::OwnTeam => {
                match look
                    .incident
                    .owner
                    .as_ref()
                    .and_then(|owner| owner.team.clone())
                {
                    Some(team) => self.team(look, &team),
                    None => self.missing.push("the incident has no team".to_owned()),
                }
            }
            Notify::Assignee => {
                let owner = look.incident.owner.as_ref();
                match owner.and_then(|owner| owner.assignee.clone()) {
                    Some(name) => self.person(look, &name),
                    None => self.missing.push("nobody has the incident".to_owned()),
                }
            }
            Notify::Target(name) => self.target(look, name),
        }
    }

    fn target(&mut self, look: Look<'_>, name: &SmolStr) {
        if !look.rules.tell.targets.contains_key(name) {
            self.missing.push(format!("there is no target {name}"));
            return;
        }
        self.is_loud = true;
        self.names.push(format!("target {name}"));
        self.listen(Listener {
            target: name.clone(),
            recipient: SmolStr::default(),
        });
    }

    fn listen(&mut self, listener: Listener) {
        if !self.listeners.contains(&listener) {
            self.listeners.push(listener);
        }
    }

    fn schedule(&mut self, look: Look<'_>, name: &SmolStr) {
        let Some(schedule) = look.rules.on_call.schedules.get(name) else {
            self.missing.push(format!("there is no schedule {name}"));
            return;
        };
        let held = look.state.on_call().overrides().of(name);
        let (people, _) = schedule.at(&held, look.now);
        if people.is_empty() {
            self.missing
                .push(format!("nobody is on call on schedule {name}"));
        }
        for person in people {
            self.person(look, &person);
        }
    }

    fn team(&mut self, look: Look<'_>, name: &SmolStr) {
        let Some(team) = look.rules.on_call.teams.get(name) else {
            self.missing.push(format!("there is no team {name}"));
            return;
        };
        if let Some(schedule) = &team.schedule {
            self.schedule(look, schedule);
            return;
        }
        for target in &team.targets {
            self.target(look, target);
        }
        if !team.targets.is_empty() {
            return;
        }
        if team.members.is_empty() {
            self.missing.push(format!("team {name} has nobody in it"));
        }
        for person in &team.members {
            self.person(look, person);
        }
    }

    fn person(&mut self, look: Look<'_>, name: &SmolStr) {
        let Some(person) = look.rules.on_call.people.get(name) else {
            self.missing.push(format!("there is no person {name}"));
            return;
        };
        let known = &look.rules.tell.targets;
        let priority = look.loudness.priority.min(look.incident.priority);
        let is_quiet = !look.loudness.is_loud && person.is_quiet(look.now, priority);
        let ways = ways(person, priority, is_quiet);
        let ways: Vec<_> = ways
            .into_iter()
            .filter(|way| known.contains_key(&way.target))
            .collect();
        if ways.is_empty() {
            self.missing.push(format!("{name} has no way to be told"));
            return;
        }
        self.is_loud |= !is_quiet;
        self.names.push(name.to_string());
        for way in ways {
            self.listen(way.clone());
        }
    }
}

/// The ways by which a person is told.
fn ways(
    person: &Person,
    priority: crate::core::severity::Priority,
    is_quiet: bool,
) -> Vec<&Listener> {
    let of = |is_wanted: &dyn Fn(&crate::core::oncall::Contact) -> bool| -> Vec<&Listener> {
        let contacts = person.contacts.iter().filter(|contact| is_wanted(contact));
        contacts.map(|contact| &contact.way).collect()
    };
    let quiet = of(&|contact| is_quiet && contact.is_quiet && priority <= contact.through);
    if !quiet.is_empty() {
        return quiet;
    }
    let urgent = of(&|contact| priority <= contact.through);
    if urgent.is_empty() {
        of(&|_| true)
    } else {
        urgent
    }
}
