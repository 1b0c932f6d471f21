//! What of a change is told: the incident before and after, side by side.
//!
//! Must not judge whether a message still makes sense later; only what this decision changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::flap::{self, FlapChange};
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::{Incident, Owner, StateWord};
use crate::core::reason::Reason;

use super::event::Event;
use super::route::Routed;
use super::{Listener, Telling, Told};

/// Entries of the timeline that targets may ask to be told of, besides what follows from the states.
const BY_REASON: [(Reason, Event); 4] = [
    (Reason::FlappingStarted, Event::FlappingStarted),
    (Reason::FlappingEnded, Event::FlappingEnded),
    (Reason::SlaWarned, Event::SlaWarning),
    (Reason::SlaBreached, Event::SlaBreached),
];

/// What the timeline says that targets may ask for, by incident.
type Said = BTreeMap<IncidentId, Vec<(Event, Option<Arc<str>>)>>;

impl Draft<'_> {
    /// Tells of every incident that this decision touches.
    pub(in crate::core) fn tell_people(&mut self) {
        if self.world.rules.tell.is_silent() {
            return;
        }
        let mut said = self.said();
        for id in self.touched_ids() {
            let Some(after) = self.peek(id).cloned() else {
                continue;
            };
            let before = self.world.state.incident(id);
            self.give_to_team(before, &after);
            if after.announced_at.is_some() {
                self.tell_of(before, &after);
                for (event, note) in said.remove(&id).unwrap_or_default() {
                    self.tell_audience(id, event, note.as_deref());
                }
            }
        }
    }

    /// Gives a new or newly announced incident to the team of its route, unless somebody has it.
    fn give_to_team(&mut self, before: Option<&Incident>, after: &Incident) {
        let is_new = before.is_none();
        let is_announced =
            after.announced_at.is_some() && before.is_none_or(|it| it.announced_at.is_none());
        let has_team = after.owner.as_ref().is_some_and(|it| it.team.is_some());
        let is_asked = self
            .world
            .rules
            .tell
            .routes
            .iter()
            .any(|it| it.team.is_some());
        if !is_asked || has_team || !(is_new || is_announced) {
            return;
        }
        let Some(team) = self.route(after.id).team else {
            return;
        };
        if let Some(incident) = self.touch(after.id) {
            let owner = incident.owner.as_deref().cloned().unwrap_or_default();
            incident.owner = Some(Arc::new(Owner {
                team: Some(team),
                ..owner
            }));
        }
    }

    /// Where the routes send an incident as it is now.
    fn route(&mut self, id: IncidentId) -> Routed {
        let routed = self.world.rules.tell.route(|zone| self.facts(id, zone));
        let faults = routed.tried.iter().filter_map(|it| it.fault.clone());
        self.decision.faults.extend(faults);
        routed
    }

    fn tell_of(&mut self, before: Option<&Incident>, after: &Incident) {
        let id = after.id;
        let is_open = after.state.is_open();
        let was_open = before.is_some_and(|it| it.state.is_open());
        let was_announced = before.is_some_and(|it| it.announced_at.is_some());
        if is_open && !(was_announced && was_open) {
            self.tell_open(after);
        } else if is_open {
            self.tell_worse(before, after);
        } else if was_open {
            self.tell_over(after);
        }
        let word = after.state.word();
        let was = before.map(|it| it.state.word());
        if was.is_some_and(|was| was != word) {
            match word {
                StateWord::Acknowledged if was == Some(StateWord::New) => {
                    self.tell_audience(id, Event::Acknowledged, None);
                }
                StateWord::Closed => self.tell_audience(id, Event::Closed, None),
                StateWord::New
                | StateWord::Acknowledged
                | StateWord::InProgress
                | StateWord::OnHold
                | StateWord::Resolved => {}
            }
        }
    }

    /// It is announced, or open again after it was told over.
    fn tell_open(&mut self, after: &Incident) {
        let mut told = self.told(after.id, after.priority);
        let routed = self.route(after.id);
        told.escalations = routed.escalations;
        for target in routed.targets {
            told.add(Listener {
                target,
                recipient: Default::default(),
            });
        }
        told.priority = after.priority;
        // Who has taken notice before anybody was told needs no page.
        let is_new = after.state.word() == StateWord::New;
        told.is_open |= is_new && !told.audience.is_empty();
        let audience = told.audience.clone();
        self.put_told(told);
        if is_new {
            self.tell_each(after.id, &audience, Event::Opened, None);
            self.note_told(after.id, &audience);
        }
    }

    /// It became more urgent, or whoever took notice has let go of it.
    fn tell_worse(&mut self, before: Option<&Incident>, after: &Incident) {
        let mut told = self.told(after.id, after.priority);
        let was = before.map(|it| it.state.word());
        let is_new = after.state.word() == StateWord::New;
        if is_new && was == Some(StateWord::Acknowledged) {
            let event = if told.is_open {
                Event::Escalated
            } else {
                Event::Opened
            };
            told.is_open = !told.audience.is_empty();
            let audience = told.audience.clone();
            self.put_told(told.clone());
            let note = "the acknowledgement has ended and nobody has the incident";
            // A ladder begins anew with its first step; those further up are told when it is their turn.
            if self.world.state.escalations().of(after.id).next().is_none() {
                self.tell_each(after.id, &audience, event, Some(note));
            }
        }
        if after.priority < told.priority {
            self.tell_raised(told, after);
        }
    }

    /// Tells those who know of a higher priority, and those whom only its routes bring in that it is open.
    fn tell_raised(&mut self, mut told: Told, after: &Incident) {
        let note = format!("{} to {}", told.priority.word(), after.priority.word());
        let before = told.audience.clone();
        told.priority = after.priority;
        let routed = self.route(after.id);
        let mut new = Vec::new();
        for target in routed.targets {
            let listener = Listener {
                target,
                recipient: Default::default(),
            };
            if told.add(listener.clone()) {
                new.push(listener);
            }
        }
        for escalation in routed.escalations {
            if !told.escalations.contains(&escalation) {
                told.escalations.push(escalation);
            }
        }
        let was_open = told.is_open;
        let is_new = after.state.word() == StateWord::New;
        told.is_open |= is_new && !new.is_empty();
        self.put_told(told);
        if was_open {
            self.tell_each(after.id, &before, Event::PriorityRaised, Some(&note));
        }
        if is_new && !new.is_empty() {
            self.tell_each(after.id, &new, Event::Opened, None);
            self.note_told(after.id, &new);
        }
    }

    /// It is over: whoever was told that it is open is told so.
    fn tell_over(&mut self, after: &Incident) {
        let mut told = self.told(after.id, after.priority);
        if !told.is_open {
            return;
        }
        told.is_open = false;
        let audience = told.audience.clone();
        self.put_told(told);
        let note = after.merged_into.map(|into| format!("merged into {into}"));
        self.tell_each(after.id, &audience, Event::Resolved, note.as_deref());
    }

    /// What the timeline says besides, by incident.
    fn said(&self) -> Said {
        let mut said: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in &self.decision.entries {
            if let Some(id) = entry.incident
                && let Some((_, event)) = BY_REASON.iter().find(|(it, _)| *it == entry.reason)
            {
                let events: &mut Vec<_> = said.entry(id).or_default();
                let is_again =
                    event.is_of_flapping() && events.iter().any(|(told, _)| told == event);
                if !is_again && self.is_told_of(id, *event) {
                    events.push((*event, entry.note.clone()));
                }
            }
        }
        said
    }

    /// Alerts flap one by one, but people are told once: of the first that begins and of the last that ends.
    fn is_told_of(&self, id: IncidentId, event: Event) -> bool {
        let state = self.world.state;
        match event {
            Event::FlappingStarted => !flap::is_flapping(state, id),
            Event::FlappingEnded => {
                let changes = self.decision.changes.iter();
                let calm: BTreeSet<AlertId> = changes
                    .filter_map(|change| {
                        let Change::Flap(FlapChange::Calm(alert)) = change else {
                            return None;
                        };
                        Some(*alert)
                    })
                    .collect();
                let mut alerts = state.alerts_of(id).iter();
                !alerts.any(|alert| state.flaps().is_flapping(*alert) && !calm.contains(alert))
            }
            Event::Opened
            | Event::Escalated
            | Event::PriorityRaised
            | Event::Resolved
            | Event::Acknowledged
            | Event::Closed
            | Event::SlaWarning
            | Event::SlaBreached
            | Event::Update
            | Event::Trouble
            | Event::Test => true,
        }
    }

    /// Tells the targets that know of an incident and ask for this event.
    pub(in crate::core) fn tell_audience(
        &mut self,
        id: IncidentId,
        event: Event,
        note: Option<&str>,
    ) {
        let told = self
            .world
            .rules
            .tell
            .targets
            .values()
            .any(|it| it.has(event));
        if !told {
            return;
        }
        let Some(priority) = self.peek(id).map(|it| it.priority) else {
            return;
        };
        let audience = self.told(id, priority).audience;
        self.tell_each(id, &audience, event, note);
    }

    fn tell_each(&mut self, id: IncidentId, to: &[Listener], event: Event, note: Option<&str>) {
        let Some(priority) = self.peek(id).map(|it| it.priority) else {
            return;
        };
        let note: Option<Arc<str>> = note.map(Into::into);
        for listener in to {
            let wants = self.world.rules.tell.targets.get(&listener.target);
            // A person who was paged hears of the end, whatever the target's own channel gets.
            let is_wanted = wants.is_some_and(|wants| {
                wants.has(event) || (!listener.recipient.is_empty() && event == Event::Resolved)
            });
            if is_wanted {
                let telling = Telling {
                    incident: id,
                    target: listener.target.clone(),
                    recipient: listener.recipient.clone(),
                    event,
                    note: note.clone(),
                };
                self.queue(id, priority, telling);
            }
        }
    }

    /// Says in the timeline who is told.
    fn note_told(&mut self, id: IncidentId, audience: &[Listener]) {
        if audience.is_empty() {
            return;
        }
        let names: Vec<&str> = audience.iter().map(|it| it.target.as_str()).collect();
        self.say(Some(id), None, Reason::PeopleTold).note = Some(names.join(", ").into());
    }
}
