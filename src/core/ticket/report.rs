//! What came of talking with another system about one ticket.
//!
//! A report that shows several differences takes over one per decision; whoever reports repeats it until it changes
//! nothing. So every difference is a command like a person's, decided with what the last one left. Must not guess: a
//! status that is in no table changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use super::follow::is_over;
use super::rules::ConnectorRule;
use super::{Block, Face, Link, NOTES_KNOWN_MAX, Record, TicketChange, is_satisfied};
use crate::core::command::decide_command;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::incident::StateWord;
use crate::core::input::{Command, CommandGiven};
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// What came of one look at a ticket, or of bringing it up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketReport {
    /// The incident.
    pub incident: IncidentId,
    /// The connector.
    pub connector: SmolStr,
    /// Which of the incident's tickets.
    pub generation: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// What was said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// The ticket is there: it was made, or found by its key.
    Made {
        /// The ticket.
        record: Record,
        /// What it was made to be.
        face: Face,
        /// The last note that its text holds.
        note: i64,
        /// Whether it was there already.
        is_found: bool,
        /// What is not as it should be.
        #[serde(default)]
        warning: Option<SmolStr>,
    },
    /// It was brought to what it shall be, or as far as was possible.
    Brought {
        /// The ticket as it is now.
        record: Record,
        /// What it was brought to.
        face: Face,
        /// The last note that it holds.
        note: i64,
        /// Why the rest was not possible.
        #[serde(default)]
        stuck: Option<SmolStr>,
    },
    /// It was read.
    Seen {
        /// The ticket as it was known when it was asked for.
        known: Record,
        /// The ticket as it is now.
        record: Record,
        /// Its notes that people there wrote.
        #[serde(default)]
        notes: Vec<RemoteNote>,
    },
    /// The platform refused.
    Refused {
        /// What it said.
        why: SmolStr,
    },
    /// It came to nothing, and is tried again.
    Tried {
        /// What was wrong.
        why: SmolStr,
        /// The last note that it holds by now.
        #[serde(default)]
        note: i64,
    },
    /// It is not there any more.
    Gone {
        /// What the platform said.
        why: SmolStr,
    },
}

/// A note that somebody wrote in a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteNote {
    /// Its id there.
    pub id: SmolStr,
    /// What it says.
    pub text: SmolStr,
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<SmolStr>,
}

/// One request and what came back, without secrets and bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// When it was sent.
    pub at: Timestamp,
    /// What for: `create`, `find`, `read`, ...
    pub step: SmolStr,
    /// The method.
    pub method: SmolStr,
    /// The path, without the query.
    pub path: SmolStr,
    /// The status of the answer; 0 when none came.
    pub status: u16,
    /// How long it took.
    pub took_ms: i64,
    /// What was wrong with it.
    #[serde(default)]
    pub error: Option<SmolStr>,
}

/// Decides a report.
pub(in crate::core) fn decide_report(
    world: World<'_>,
    report: &TicketReport,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let mut decision = decide(world, report, now, ids);
    if !report.exchanges.is_empty() {
        decision.change(Change::Ticket(TicketChange::Exchanged {
            incident: report.incident,
            connector: report.connector.clone(),
            exchanges: report.exchanges.clone(),
        }));
    }
    decision
}

fn decide(world: World<'_>, report: &TicketReport, now: Timestamp, ids: &mut IdFeed) -> Decision {
    let held = world
        .state
        .tickets()
        .get(report.incident, &report.connector)
        .filter(|link| link.generation == report.generation);
    let mut rules = world.rules.connectors.iter();
    let rule = rules.find(|rule| rule.name == report.connector);
    let (Some(held), Some(rule)) = (held, rule) else {
        return Decision::refused(Reason::TicketUnknown);
    };
    let link = (**held).clone();
    let mut decision = match &report.outcome {
        Outcome::Made { .. } => made(world, link, &report.outcome, ids),
        Outcome::Brought { .. } => brought(world, link, &report.outcome, ids),
        Outcome::Refused { why } => refused(world, link, why, ids),
        Outcome::Gone { why } => gone(world, link, why, ids),
        Outcome::Tried { why, note } => tried(world, link, why, *note),
        Outcome::Seen { known, record, .. } if is_stale(&link, known, record) => {
            Decision::because(Reason::TicketInStep)
        }
        Outcome::Seen { record, notes, .. } => seen(world, link, (record, notes), rule, (now, ids)),
    };
    decision.incident = Some(report.incident);
    decision
}

/// The ticket is there.
fn made(world: World<'_>, mut link: Link, outcome: &Outcome, ids: &mut IdFeed) -> Decision {
    let Outcome::Made {
        record,
        face,
        note,
        is_found,
        warning,
    } = outcome
    else {
        return Decision::because(Reason::TicketInStep);
    };
    let reason = if *is_found {
        Reason::TicketFound
    } else {
        Reason::TicketCreated
    };
    link.record = Some(record.clone());
    link.sent = Some(face.clone());
    link.notes_sent = link.notes_sent.max(*note);
    link.block = None;
    link.trouble = None;
    let mut text = named(&link);
    if let Some(warning) = warning {
        text = format!("{text}: {warning}");
    }
    changed(world, link, reason, Some(text), ids)
}

/// It was brought to what it shall be, or as far as was possible.
fn brought(world: World<'_>, mut link: Link, outcome: &Outcome, ids: &mut IdFeed) -> Decision {
    let Outcome::Brought {
        record,
        face,
        note,
        stuck,
    } = outcome
    else {
        return Decision::because(Reason::TicketInStep);
    };
    link.record = Some(record.clone());
    link.notes_sent = link.notes_sent.max(*note);
    link.sent = Some(face.clone());
    link.trouble = None;
    let Some(why) = stuck else {
        return changed(world, link, Reason::TicketBrought, None, ids);
    };
    let text = format!("{}: {why}", named(&link));
    link.block = Some(Block::Failed(Arc::from(why.as_str())));
    changed(world, link, Reason::TicketRefused, Some(text), ids)
}

/// It came to nothing but perhaps a note; that is shown, and changes nothing else.
fn tried(world: World<'_>, mut link: Link, why: &str, note: i64) -> Decision {
    let mut decision = Decision::because(Reason::TicketInStep);
    let why: Arc<str> = Arc::from(why);
    if link.trouble.as_ref() != Some(&why) || note > link.notes_sent {
        link.trouble = Some(why);
        link.notes_sent = link.notes_sent.max(note);
        put(world, &mut decision, link);
    }
    decision
}

/// The platform refused.
fn refused(world: World<'_>, mut link: Link, why: &str, ids: &mut IdFeed) -> Decision {
    let block = Block::Failed(Arc::from(why));
    if link.block.as_ref() == Some(&block) {
        return Decision::because(Reason::TicketRefused);
    }
    link.block = Some(block);
    let text = format!("{}: {why}", named(&link));
    changed(world, link, Reason::TicketRefused, Some(text), ids)
}

/// The ticket is not there any more.
fn gone(world: World<'_>, mut link: Link, why: &str, ids: &mut IdFeed) -> Decision {
    if matches!(link.block, Some(Block::Detached(_))) {
        return Decision::because(Reason::TicketInStep);
    }
    link.block = Some(Block::Detached(Arc::from(why)));
    let text = format!("{}: {why}", named(&link));
    changed(world, link, Reason::TicketDetached, Some(text), ids)
}

fn named(link: &Link) -> String {
    match &link.record {
        Some(record) => format!("{} {}", link.connector, record.number),
        None => link.connector.to_string(),
    }
}

/// The decision that a ticket's record changed; it stands in the timeline when there is something to say.
fn changed(
    world: World<'_>,
    link: Link,
    reason: Reason,
    text: Option<String>,
    ids: &mut IdFeed,
) -> Decision {
    let mut decision = Decision::because(reason);
    let incident = world.state.incident(link.incident);
    if let Some(text) = text {
        let entry = decision.entry(ids, incident, None, reason);
        entry.incident = Some(link.incident);
        entry.note = Some(text.into());
    }
    put(world, &mut decision, link);
    decision
}

/// Keeps a ticket's record, or lets go of it when its incident was closed for good and nothing is left to do.
fn put(world: World<'_>, decision: &mut Decision, link: Link) {
    let is_over = world.state.incident(link.incident).is_none() && !link.has_work();
    let (incident, connector) = (link.incident, link.connector.clone());
    let change = TicketChange::Changed(Arc::new(link));
    decision.change(Change::Ticket(change));
    if is_over {
        let change = TicketChange::Forgotten(incident, connector);
        decision.change(Change::Ticket(change));
    }
}

/// Whether the ticket was written to since it was asked for: then what was seen may be older than that.
fn is_stale(link: &Link, known: &Record, record: &Record) -> bool {
    let Some(held) = &link.record else {
        return true;
    };
    let is_status = held.status == known.status || held.status == record.status;
    let is_assignee = held.assignee == known.assignee || held.assignee == record.assignee;
    let is_priority = held.priority == known.priority || held.priority == record.priority;
    !(is_status && is_assignee && is_priority)
}

/// Takes over the first difference between a ticket and what was known of it.
fn seen(
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
