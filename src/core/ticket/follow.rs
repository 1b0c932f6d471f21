//! What follows for tickets from a decision about incidents.
//!
//! Called at the end of every draft, when the incidents are as the decision leaves them. Must not change an incident.

use std::sync::Arc;

use smol_str::SmolStr;

use super::rules::{ConnectorRule, ReopenPolicy};
use super::{Block, Face, GENERATIONS_MAX, Link, TicketChange, is_satisfied, is_told};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision, Entry};
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::incident::{Incident, StateWord};
use crate::core::reason::Reason;

/// What a decision says about an incident that a ticket shows.
struct News {
    is_retitled: bool,
    last_note: Option<i64>,
}

/// Looks at the tickets of every incident that this decision touches.
pub(in crate::core) fn look(draft: &mut Draft<'_>) {
    let world = draft.world;
    let (rules, tickets) = (&world.rules.connectors, world.state.tickets());
    if rules.is_empty() && tickets.is_empty() {
        return;
    }
    for id in draft.touched_ids() {
        for rule in rules {
            look_at(draft, id, rule);
        }
        for link in tickets.of(id) {
            if !rules.iter().any(|rule| rule.name == link.connector) {
                keep_up(draft, link);
            }
        }
    }
}

/// Lets a ticket's level follow its incident while its connector is not configured, so that it is brought there when
/// the connector is back. Which fields are ours to write is what it was before.
fn keep_up(draft: &mut Draft<'_>, held: &Link) {
    let Some(incident) = draft.peek(held.incident) else {
        return;
    };
    let mut link = held.clone();
    link.wanted.state = link.wanted.state.map(|_| incident.state.word());
    link.wanted.priority = link.wanted.priority.map(|_| incident.priority);
    if link != *held {
        link.changed_at = draft.now;
        put(&mut draft.decision, link);
    }
}

fn look_at(draft: &mut Draft<'_>, id: IncidentId, rule: &ConnectorRule) {
    let (world, now) = (draft.world, draft.now);
    let Some(incident) = draft.peek(id).cloned() else {
        return;
    };
    let Some(held) = world.state.tickets().get(id, &rule.name) else {
        if is_due(draft, &incident, rule) {
            let mut link = Link::new(id, incident.opened_at, &rule.name, now);
            link.wanted = face(&incident, rule, 1);
            put(&mut draft.decision, link);
        }
        return;
    };
    let news = news(draft, id, rule);
    let mut link = (**held).clone();
    let title = link
        .wanted
        .title
        .saturating_add(u32::from(news.is_retitled));
    link.wanted = face(&incident, rule, title);
    if let Some(note) = news.last_note.filter(|_| rule.owners.notes.is_sent()) {
        link.notes_wanted = note;
    }
    if link == **held {
        return;
    }
    link.changed_at = now;
    if matches!(link.block, Some(Block::Failed(_))) {
        link.block = None;
    }
    if incident.state.is_open() {
        reopen(draft, &mut link, &incident, rule);
    }
    put(&mut draft.decision, link);
}

/// Whether an incident without a ticket gets one: it has settled, people can still do something, and the rule wants it.
fn is_due(draft: &mut Draft<'_>, incident: &Incident, rule: &ConnectorRule) -> bool {
    if incident.announced_at.is_none() || !incident.state.is_open() {
        return false;
    }
    let facts = draft.facts(incident.id, &jiff::tz::TimeZone::UTC);
    facts.is_some_and(|facts| draft.holds(&rule.when, &facts))
}

/// What the ticket shall be.
fn face(incident: &Incident, rule: &ConnectorRule, title: u32) -> Face {
    let owners = &rule.owners;
    let owner = incident.owner.as_deref();
    let assignee = owner.and_then(|owner| owner.assignee.clone());
    Face {
        state: owners.state.is_sent().then(|| incident.state.word()),
        priority: owners.priority.is_sent().then_some(incident.priority),
        assignee: assignee.filter(|_| owners.assignee.is_sent()),
        title: if owners.title.is_sent() { title } else { 0 },
    }
}

fn news(draft: &Draft<'_>, id: IncidentId, rule: &ConnectorRule) -> News {
    let title = |world: World<'_>| world.state.cause(id).map(|cause| cause.title.clone());
    let before = title(draft.world);
    let is_retitled = draft.decision.changes.iter().any(|change| {
        if let Change::TitleChanged { incident, .. } = change {
            return *incident == id;
        }
        if let Change::CauseChanged { incident, cause } = change {
            return *incident == id && before.as_ref() != Some(&cause.title);
        }
        false
    });
    let entries = draft.decision.entries.iter();
    let notes = entries.filter(|entry| entry.incident == Some(id) && is_note(entry, rule));
    News {
        is_retitled,
        last_note: notes.map(|entry| entry.id).max(),
    }
}

/// Whether an entry is told in the ticket; not what came from there.
fn is_note(entry: &Entry, rule: &ConnectorRule) -> bool {
    let from_there = |actor: &SmolStr| is_from(actor, &rule.name);
    is_told(entry.reason, rule.extras) && !entry.actor.as_ref().is_some_and(from_there)
}

/// Whether somebody acts through a connector.
pub(super) fn is_from(actor: &str, connector: &str) -> bool {
    let actor = actor.strip_suffix(')');
    let actor = actor.and_then(|actor| actor.strip_suffix(connector));
    actor.is_some_and(|actor| actor.ends_with('('))
}

/// What becomes of a ticket that is over while the incident is not.
fn reopen(draft: &mut Draft<'_>, link: &mut Link, incident: &Incident, rule: &ConnectorRule) {
    let Some(record) = &link.record else {
        return;
    };
    let Some(state) = record.state.filter(|state| is_over(*state)) else {
        return;
    };
    if link.block.is_some()
        || link
            .wanted
            .state
            .is_none_or(|want| is_satisfied(want, state))
    {
        return;
    }
    let number = record.number.clone();
    if record.is_refused || rule.reopen == ReopenPolicy::Never {
        let text = if record.is_refused {
            format!("{number} was closed there as not to be done, and is not opened again")
        } else {
            format!("{number} is over there, and reopen is \"never\"")
        };
        let text: Arc<str> = text.into();
        link.block = Some(Block::Closed(Arc::clone(&text)));
        let entry = draft.say(Some(incident.id), None, Reason::TicketLeftClosed);
        entry.note = Some(text);
        return;
    }
    let can_reopen = rule.reopen == ReopenPolicy::Reopen && rule.reopenable.from(state);
    if !can_reopen && link.generation < GENERATIONS_MAX {
        link.renew(incident.opened_at, draft.now);
    }
}

/// Whether a ticket in this state is over.
pub(super) const fn is_over(state: StateWord) -> bool {
    matches!(state, StateWord::Resolved | StateWord::Closed)
}

fn put(decision: &mut Decision, link: Link) {
    let change = TicketChange::Changed(Arc::new(link));
    decision.change(Change::Ticket(change));
}

/// Lets go of the tickets of an incident that is closed for good, as far as they are in step.
pub(in crate::core) fn forget(world: World<'_>, id: IncidentId, decision: &mut Decision) {
    for link in world.state.tickets().of(id) {
        if !link.has_work() {
            let change = TicketChange::Forgotten(id, link.connector.clone());
            decision.change(Change::Ticket(change));
        }
    }
}
