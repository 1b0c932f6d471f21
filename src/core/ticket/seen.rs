//! What somebody changed in a ticket, taken over: one difference per decision, in the name of whoever made it.
//!
//! Every difference is a command like a person's, decided with what the last one left. Must not take over what we wrote
//! ourselves, nor guess: a status that is in no table changes nothing.

use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

use super::follow::is_over;
use super::report::{RemoteNote, named, put};
use super::rules::ConnectorRule;
use super::{Block, Face, Link, NOTES_KNOWN_MAX, Record, TicketChange, is_satisfied};
use crate::core::command::decide_command;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::IdFeed;
use crate::core::incident::StateWord;
use crate::core::input::{Command, CommandGiven};
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// Takes over the first difference between a ticket and what was known of it.
pub(super) fn seen(
    world: World<'_>,
    mut link: Link,
    (record, notes): (&Record, &[RemoteNote]),
    rule: &ConnectorRule,
    (now, ids): (Timestamp, &mut IdFeed),
) -> Decision {
    let Some(known) = link.record.clone() else {
        return Decision::refused(Reason::TicketUnknown);
    };
    if matches!(link.block, Some(Block::Detached(_))) {
        // It is there after all.
        link.block = None;
    }
    if let Some(decision) = take_notes(world, &mut link, (record, notes), rule, ids) {
        return decision;
    }
    let actor = actor(record.author.as_ref(), &link.connector);
    let mut step = Step {
        world,
        link,
        actor,
        now,
        ids,
    };
    if known.assignee != record.assignee {
        step.note(|known| known.assignee.clone_from(&record.assignee));
        let assign = record.assignee.clone().map(|assignee| Command::Assign {
            assignee: Some(assignee),
            team: None,
        });
        if let Some(command) = assign.filter(|_| rule.owners.assignee.is_taken())
            && let Some(decision) = step.carry_out(command)
        {
            return decision;
        }
    }
    if known.priority != record.priority {
        step.note(|known| known.priority = record.priority);
        if !rule.owners.priority.is_taken() {
            step.set_back(|sent| sent.priority = None);
        } else if let Some(command) = priority_command(world, &step.link, &known, record)
            && let Some(decision) = step.carry_out(command)
        {
            return decision;
        }
    }
    if known.status != record.status {
        step.note(|known| {
            known.status = record.status.clone();
            known.state = record.state;
            known.is_refused = record.is_refused;
            known.resolution.clone_from(&record.resolution);
        });
        let command = state_command(world, &step.link, record);
        if let Some(command) = command.filter(|_| rule.owners.state.is_taken())
            && let Some(decision) = step.carry_out(command)
        {
            return decision;
        }
    }
    let Step { link, .. } = step;
    settled(world, link, record, rule)
}

/// Keeps what is left, which is of no consequence here: times, numbers, texts.
fn settled(world: World<'_>, mut link: Link, record: &Record, rule: &ConnectorRule) -> Decision {
    if link.record.as_ref() != Some(record) {
        link.record = Some(record.clone());
        if !rule.owners.state.is_taken() {
            drifted(&mut link, record);
        }
    }
    let mut decision = Decision::because(Reason::TicketInStep);
    let held = world.state.tickets().get(link.incident, &link.connector);
    // A platform's times are coarse: a status may have changed and nothing else, so the whole is compared.
    if held.is_none_or(|held| **held != link) {
        put(world, &mut decision, link);
    }
    decision
}

/// Whoever may not change a field there has it set back.
fn drifted(link: &mut Link, record: &Record) {
    let is_apart = |want: StateWord| record.state.is_some_and(|is| !is_satisfied(want, is));
    let over = record.state.is_some_and(is_over);
    if !over
        && link.wanted.state.is_some_and(is_apart)
        && let Some(sent) = &mut link.sent
    {
        sent.state = None;
    }
}

/// Takes over what people wrote there since the last look.
fn take_notes(
    world: World<'_>,
    link: &mut Link,
    (record, notes): (&Record, &[RemoteNote]),
    rule: &ConnectorRule,
    ids: &mut IdFeed,
) -> Option<Decision> {
    let fresh: Vec<_> = notes
        .iter()
        .filter(|note| !link.notes_known.contains(&note.id))
        .collect();
    if fresh.is_empty() {
        return None;
    }
    let mut decision = Decision::because(Reason::TicketNoteAdded);
    let incident = world.state.incident(link.incident);
    for note in fresh {
        link.notes_known.push(note.id.clone());
        if !rule.owners.notes.is_taken() {
            continue;
        }
        let entry = decision.entry(ids, incident, None, Reason::TicketNoteAdded);
        entry.incident = Some(link.incident);
        let author = note.author.as_ref().or(record.author.as_ref());
        entry.actor = Some(actor(author, &link.connector));
        entry.note = Some(Arc::from(note.text.as_str()));
    }
    let excess = link.notes_known.len().saturating_sub(NOTES_KNOWN_MAX);
    link.notes_known.drain(..excess);
    put(world, &mut decision, link.clone());
    Some(decision)
}

/// Somebody of the other side, as our timeline names them.
fn actor(author: Option<&SmolStr>, connector: &SmolStr) -> SmolStr {
    let author = author.map_or("somebody", SmolStr::as_str);
    format_smolstr!("{author} ({connector})")
}

/// What a changed priority there means for the incident; a first one is what the platform made of ours.
fn priority_command(
    world: World<'_>,
    link: &Link,
    known: &Record,
    record: &Record,
) -> Option<Command> {
    let incident = world.state.incident(link.incident)?;
    let is = record.priority.filter(|_| known.priority.is_some())?;
    let is_other = incident.priority != is && incident.state.is_open();
    is_other.then(|| Command::Priority {
        priority: Some(is),
        reason: format!("set in {}", named(link)).into(),
    })
}

/// What a changed status there means for the incident; nothing when it is where the ticket says.
fn state_command(world: World<'_>, link: &Link, record: &Record) -> Option<Command> {
    let is = record.state?;
    let incident = world.state.incident(link.incident)?;
    let have = incident.state.word();
    // While something of ours is on its way, a state that serves is ours; else somebody there moved it.
    let sent = link.sent.as_ref().and_then(|sent| sent.state);
    if have == is || (sent != link.wanted.state && is_satisfied(have, is)) {
        return None;
    }
    let said = |fallback: &str| -> Box<str> {
        match &record.resolution {
            Some(text) => text.as_str().into(),
            None => format!("{fallback} {}", named(link)).into(),
        }
    };
    let is_open = incident.state.is_open();
    match is {
        // What was said when it was resolved may still stand there, and is no reason now.
        StateWord::New | StateWord::Acknowledged | StateWord::InProgress if !is_open => {
            Some(Command::Reopen {
                reason: Some(format!("reopened in {}", named(link)).into()),
            })
        }
        StateWord::New => (have == StateWord::OnHold).then_some(Command::Resume),
        StateWord::Acknowledged => {
            (have == StateWord::New).then_some(Command::Acknowledge { until: None })
        }
        StateWord::InProgress => (have != StateWord::InProgress).then_some(Command::Start),
        StateWord::OnHold => (is_open && have != StateWord::OnHold).then(|| Command::Hold {
            reason: format!("on hold in {}", named(link)).into(),
            until: None,
        }),
        StateWord::Resolved | StateWord::Closed => is_open.then(|| Command::Resolve {
            note: Some(said(if is == StateWord::Closed {
                "closed in"
            } else {
                "resolved in"
            })),
        }),
    }
}

/// One difference that is taken over.
struct Step<'a> {
    world: World<'a>,
    link: Link,
    actor: SmolStr,
    now: Timestamp,
    ids: &'a mut IdFeed,
}

impl Step<'_> {
    /// Keeps what is known by now.
    fn note(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.link.record {
            change(record);
        }
    }

    /// Lets a field that is ours alone be written again.
    fn set_back(&mut self, change: impl FnOnce(&mut Face)) {
        if let Some(sent) = &mut self.link.sent {
            change(sent);
        }
    }

    /// Carries out what was done there; `None` when it is of no consequence here.
    fn carry_out(&mut self, command: Command) -> Option<Decision> {
        let given = CommandGiven {
            incident: self.link.incident,
            command,
            actor: self.actor.clone(),
            expected_version: None,
            idempotency: None,
            past: None,
        };
        let mut decision = decide_command(self.world, &given, self.now, self.ids);
        if decision.is_refused {
            return None;
        }
        // What followed for the ticket from the command itself is the base of what is known of it now.
        let incident = self.link.incident;
        let connector = self.link.connector.clone();
        let mut wanted = None;
        decision.changes.retain(|change| {
            if let Change::Ticket(TicketChange::Changed(link)) = change
                && link.incident == incident
                && link.connector == connector
            {
                wanted = Some(Arc::clone(link));
                return false;
            }
            true
        });
        let mut link = self.link.clone();
        if let Some(followed) = wanted {
            link.wanted = followed.wanted.clone();
            link.notes_wanted = followed.notes_wanted;
            link.changed_at = followed.changed_at;
        }
        agree(&mut link);
        put(self.world, &mut decision, link);
        Some(decision)
    }
}

/// What the ticket already is need not be sent.
fn agree(link: &mut Link) {
    let (Some(record), Some(sent)) = (&link.record, &mut link.sent) else {
        return;
    };
    if let (Some(want), Some(is)) = (link.wanted.state, record.state)
        && is_satisfied(want, is)
    {
        sent.state = Some(want);
    }
    if link.wanted.assignee == record.assignee {
        sent.assignee.clone_from(&link.wanted.assignee);
    }
    if link.wanted.priority == record.priority {
        sent.priority = link.wanted.priority;
    }
}
