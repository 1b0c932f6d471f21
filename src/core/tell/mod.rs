//! Telling people: which change of an incident is told, and to which targets.
//!
//! What is told is a row in the outbox, decided together with the change that it tells of. Nobody is told of an incident
//! before it is announced, nobody of its end who was not told of its beginning, and what was told open is told over.
//! Whether a message still makes sense when it is its turn is looked at again by `deliver`. Must not know what a target
//! is, how a text reads, or whether anything arrived.

pub mod event;
mod look;
pub mod route;
pub mod trial;
pub mod undelivered;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::severity::Priority;
use crate::core::tell::event::{Event, EventSet};
use crate::core::tell::route::Route;
use crate::core::time::Timestamp;

/// Who is told, and of what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TellRules {
    /// The configured targets, with the events that each of them wants.
    pub targets: BTreeMap<SmolStr, EventSet>,
    /// Tried in order; the first that matches decides unless it says to go on.
    pub routes: Vec<Route>,
}

/// Something to be told to one target, or to one person by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, in order of deciding.
    pub id: i64,
    /// What it is about; `None` when the daemon speaks of itself.
    pub incident: Option<IncidentId>,
    /// The target's name.
    pub target: SmolStr,
    /// The address of one person, in the target's own form; empty when the target has its own.
    pub recipient: SmolStr,
    /// What happened.
    pub event: Event,
    /// A detail in words.
    pub note: Option<Arc<str>>,
    /// The priority when it was decided: the most urgent goes first.
    pub priority: Priority,
    /// When it was decided.
    pub at: Timestamp,
}

/// The id of a message towards others: the same for every attempt, and of no other message. The time tells stores apart
/// that number alike.
pub fn webhook_id(id: i64, at: Timestamp) -> String {
    format!("msg_{id}_{:x}", at.as_millis())
}

/// A target, or one person at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// The target's name.
    pub target: SmolStr,
    /// The address of one person, or empty.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub recipient: SmolStr,
}

/// Who was told of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The incident.
    pub incident: IncidentId,
    /// Whether they were told that it is open, and not yet that it is over.
    pub is_open: bool,
    /// The most urgent priority that they were told of.
    pub priority: Priority,
    /// Who, in order.
    pub audience: Vec<Listener>,
    /// The escalations that its routes named, as they were when it was announced.
    pub escalations: Vec<SmolStr>,
}

impl Told {
    /// Nobody yet.
    pub fn nobody(incident: IncidentId, priority: Priority) -> Self {
        Self {
            incident,
            is_open: false,
            priority,
            audience: Vec::new(),
            escalations: Vec::new(),
        }
    }

    /// Adds somebody; false when they are there already.
    fn add(&mut self, listener: Listener) -> bool {
        match self.audience.binary_search(&listener) {
            Ok(_) => false,
            Err(place) => {
                self.audience.insert(place, listener);
                true
            }
        }
    }
}

/// What a decision changes about telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TellChange {
    /// A message is due.
    Queued(Arc<Message>),
    /// Somebody else was told of an incident, or that it is over.
    Told(Arc<Told>),
}

/// Who was told of which incident; part of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tells(BTreeMap<IncidentId, Arc<Told>>);

impl Tells {
    /// Who was told of an incident.
    pub fn of(&self, incident: IncidentId) -> Option<&Told> {
        self.0.get(&incident).map(|told| &**told)
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &TellChange) {
        match change {
            // The outbox is the store's; memory needs to know who only.
            TellChange::Queued(_) => {}
            TellChange::Told(told) => {
                self.0.insert(told.incident, Arc::clone(told));
            }
        }
    }

    /// Drops what is known about an incident that is no longer held.
    pub fn forget(&mut self, incident: IncidentId) {
        self.0.remove(&incident);
    }
}

/// What somebody is to be told; see [`Draft::enqueue`].
#[derive(Clone, Debug)]
pub(in crate::core) struct Telling {
    pub(in crate::core) incident: IncidentId,
    pub(in crate::core) target: SmolStr,
    pub(in crate::core) recipient: SmolStr,
    pub(in crate::core) event: Event,
    pub(in crate::core) note: Option<Arc<str>>,
}

impl Draft<'_> {
    /// Queues a message to a target, or to one person by it, about an incident; for pages of an escalation and whatever
    /// else is told beside the routes. Who is paged so is told when it is over.
    pub(in crate::core) fn enqueue(&mut self, telling: Telling) {
        let Some(incident) = self.peek(telling.incident) else {
            return;
        };
        let (id, priority) = (incident.id, incident.priority);
        if telling.event.is_page() {
            let mut told = self.told(id, priority);
            let is_new = told.add(Listener {
                target: telling.target.clone(),
                recipient: telling.recipient.clone(),
            });
            if is_new || !told.is_open {
                told.is_open = true;
                self.put_told(told);
            }
        }
        self.queue(id, priority, telling);
    }

    fn queue(&mut self, incident: IncidentId, priority: Priority, telling: Telling) {
        let message = Message {
            id: self.ids.message(),
            incident: Some(incident),
            target: telling.target,
            recipient: telling.recipient,
            event: telling.event,
            note: telling.note,
            priority,
            at: self.now,
        };
        let queued = TellChange::Queued(Arc::new(message));
        self.decision.change(Change::Tell(queued));
    }

    /// Who was told so far, this decision included.
    pub(in crate::core) fn told(&self, incident: IncidentId, priority: Priority) -> Told {
        let here = self.tolds.get(&incident).map(|told| &**told);
        let told = here.or_else(|| self.world.state.tells().of(incident));
        told.cloned()
            .unwrap_or_else(|| Told::nobody(incident, priority))
    }

    fn put_told(&mut self, told: Told) {
        let told = Arc::new(told);
        self.tolds.insert(told.incident, Arc::clone(&told));
        self.decision.change(Change::Tell(TellChange::Told(told)));
    }
}
