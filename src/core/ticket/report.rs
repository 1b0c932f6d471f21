//! What came of talking with another system about one ticket.
//!
//! A report that shows several differences takes over one per decision; whoever reports repeats it until it changes
//! nothing. So every difference is a command like a person's, decided with what the last one left. Must not guess: a
//! status that is in no table changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::seen::seen;
use super::{Block, Face, Link, Record, TicketChange};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::{IdFeed, IncidentId};
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

pub(super) fn named(link: &Link) -> String {
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
pub(super) fn put(world: World<'_>, decision: &mut Decision, link: Link) {
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
