//! What people and programs order about records.
//!
//! An order that changes nothing is carried out all the same and writes nothing, so that a sender may repeat itself.
//! Must not know who may do what; that is checked at the door.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::change::ChangeWanted;
use super::known::KnownErrorWanted;
use super::major::{ActionWanted, MajorWanted, id_of};
use super::problem::ProblemWanted;
use super::put_change::put_change;
use super::rating::{RatingWanted, rate};
use super::request::RequestWanted;
use super::suspect::judge;
use super::{Record, RecordChange, RecordId, Role};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision, Entry};
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IdFeed, IncidentId};
use crate::core::input::Rebound;
use crate::core::reason::Reason;
use crate::core::rebind;
use crate::core::tell::Telling;
use crate::core::tell::event::Event;
use crate::core::time::Timestamp;

/// An order with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordGiven {
    /// What is wanted.
    pub order: RecordOrder,
    /// Who wants it: the token's name, or the source.
    pub actor: SmolStr,
    /// What the store holds of the record when it is no longer held in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Box<Record>>,
    /// Whether the store knows the incident that the order names, should it be closed for good.
    #[serde(default)]
    pub is_past_incident: bool,
}

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum RecordOrder {
    /// Make a change, or change the one that is there.
    PutChange {
        /// What it shall be.
        wanted: Box<ChangeWanted>,
    },
    /// Make a request, or change one.
    PutRequest {
        /// What it shall be.
        wanted: Box<RequestWanted>,
    },
    /// Make a problem, or change one.
    PutProblem {
        /// What it shall be.
        wanted: Box<ProblemWanted>,
    },
    /// Make a known error, or change one.
    PutKnownError {
        /// What it shall be.
        wanted: Box<KnownErrorWanted>,
    },
    /// Declare a major incident, or do something with one.
    Major {
        /// The incident.
        incident: IncidentId,
        /// What is wanted.
        wanted: Box<MajorWanted>,
    },
    /// Make an action, or change one.
    PutAction {
        /// What it shall be.
        wanted: Box<ActionWanted>,
    },
    /// Say which CI an alert is about.
    Bind {
        /// The alert, as the store holds it.
        alert: Box<Rebound>,
        /// The CI's id; nothing to let the rules decide again.
        ci: Option<SmolStr>,
        /// Why.
        reason: Box<str>,
    },
    /// Say what a change has to do with an incident.
    JudgeChange {
        /// The incident.
        incident: IncidentId,
        /// The change.
        change: RecordId,
        /// What it has to do with it.
        role: Role,
        /// Why.
        reason: Box<str>,
    },
    /// Say how well an incident was handled.
    Rate {
        /// The incident.
        incident: IncidentId,
        /// What is said.
        wanted: Box<RatingWanted>,
    },
}

impl RecordOrder {
    /// What it is called in the audit.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::PutChange { .. } => "change.put",
            Self::JudgeChange { .. } => "change.judge",
            Self::PutRequest { .. } => "request.put",
            Self::PutProblem { .. } => "problem.put",
            Self::PutKnownError { .. } => "known_error.put",
            Self::Major { .. } => "incident.major",
            Self::PutAction { .. } => "action.put",
            Self::Bind { .. } => "alert.bind",
            Self::Rate { .. } => "incident.rate",
        }
    }

    /// Why, in the words of whoever orders it.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::PutChange { .. } | Self::PutProblem { .. } | Self::PutKnownError { .. } => None,
            Self::PutRequest { wanted } => wanted.note.as_deref(),
            Self::PutAction { wanted } => wanted.note.as_deref(),
            Self::Major { wanted, .. } => wanted.reason.as_deref(),
            Self::JudgeChange { reason, .. } | Self::Bind { reason, .. } => Some(reason),
            Self::Rate { wanted, .. } => Some(&wanted.comment),
        }
    }

    /// The record or incident that it names.
    pub fn subject(&self) -> Option<SmolStr> {
        match self {
            Self::PutChange { .. }
            | Self::PutRequest { .. }
            | Self::PutProblem { .. }
            | Self::PutKnownError { .. }
            | Self::PutAction { .. } => None,
            Self::JudgeChange { incident, .. }
            | Self::Major { incident, .. }
            | Self::Rate { incident, .. } => Some(SmolStr::new(incident.to_string())),
            Self::Bind { alert, .. } => Some(SmolStr::new(alert.alert.to_string())),
        }
    }
}

/// Decides an order.
pub(in crate::core) fn decide_given(
    world: World<'_>,
    given: &RecordGiven,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    match &given.order {
        RecordOrder::PutChange { wanted } => put_change(world, given, wanted, now, ids),
        RecordOrder::PutRequest { wanted } => {
            let mut draft = Draft::new(world, now, ids, Reason::RequestChanged);
            match named(world, wanted.id, given) {
                Err(reason) => return Decision::refused(reason),
                Ok(record) => {
                    let before = record.as_deref().and_then(Record::as_request);
                    draft.decision.record = Some(draft.put_request(before, wanted));
                }
            }
            draft.finish()
        }
        RecordOrder::PutProblem { wanted } => {
            let mut draft = Draft::new(world, now, ids, Reason::ProblemChanged);
            match named(world, wanted.id, given) {
                Err(reason) => return Decision::refused(reason),
                Ok(record) => {
                    let before = record.as_deref().and_then(Record::as_problem);
                    draft.decision.record = Some(draft.put_problem(before, wanted));
                }
            }
            draft.finish()
        }
        RecordOrder::PutKnownError { wanted } => {
            let mut draft = Draft::new(world, now, ids, Reason::KnownErrorChanged);
            match named(world, wanted.id, given) {
                Err(reason) => return Decision::refused(reason),
                Ok(record) => {
                    let before = record.as_deref().and_then(Record::as_known_error);
                    draft.decision.record = Some(draft.put_known_error(before, wanted));
                }
            }
            draft.finish()
        }
        RecordOrder::PutAction { wanted } => {
            let mut draft = Draft::new(world, now, ids, Reason::ActionChanged);
            match named(world, wanted.id, given) {
                Err(reason) => return Decision::refused(reason),
                Ok(record) => {
                    let before = record.as_deref().and_then(Record::as_action);
                    draft.decision.record = Some(draft.put_action(before, wanted));
                }
            }
            draft.finish()
        }
        RecordOrder::Major { incident, wanted } => {
            order_major(world, given, (*incident, wanted), now, ids)
        }
        RecordOrder::Bind { alert, ci, reason } => {
            let said = (&**alert, ci.as_ref(), &**reason);
            rebind::by_person(world, said, &given.actor, (now, ids))
        }
        RecordOrder::JudgeChange {
            incident,
            change,
            role,
            reason,
        } => {
            let said = (*incident, *change, *role, &**reason);
            judge(world, given, said, (now, ids))
        }
        RecordOrder::Rate { incident, wanted } => {
            rate(world, given, (*incident, wanted), (now, ids))
        }
    }
}

/// The record that an order names; nothing when it wants a new one.
fn named(
    world: World<'_>,
    id: Option<RecordId>,
    given: &RecordGiven,
) -> Result<Option<Arc<Record>>, Reason> {
    let Some(id) = id else {
        return Ok(None);
    };
    held(world, id, given)
        .map(Some)
        .ok_or(Reason::UnknownRecord)
}

fn order_major(
    world: World<'_>,
    given: &RecordGiven,
    (incident, wanted): (IncidentId, &MajorWanted),
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let record = held(world, id_of(incident), given);
    let before = record.as_deref().and_then(Record::as_major);
    let open = world.state.incident(incident);
    match (before, open) {
        (None, None) if given.is_past_incident => return Decision::refused(Reason::AlreadyClosed),
        (None, None) => return Decision::refused(Reason::UnknownIncident),
        (None, Some(open)) if !open.state.is_open() => {
            return Decision::refused(Reason::AlreadyResolved);
        }
        (None, Some(_)) | (Some(_), _) => {}
    }
    let mut draft = Draft::new(world, now, ids, Reason::MajorDeclared);
    draft.order_major(incident, before, wanted, &given.actor);
    draft.decision.incident = Some(incident);
    draft.decision.record = Some(id_of(incident));
    draft.finish()
}

/// A record as it is in memory, else as the store holds it.
pub(super) fn held(world: World<'_>, id: RecordId, given: &RecordGiven) -> Option<Arc<Record>> {
    let records = world.state.records();
    let past = || {
        let past = given.past.as_deref().filter(|past| past.id() == id)?;
        Some(Arc::new(past.clone()))
    };
    records.get(id).cloned().or_else(past)
}

impl Draft<'_> {
    /// Adds a change of records.
    pub(in crate::core) fn record(&mut self, change: RecordChange) {
        self.decision.change(Change::Record(change));
    }

    /// Writes what a person did into the timeline of an incident, also of one that is closed for good.
    pub(super) fn tell(
        &mut self,
        incident: IncidentId,
        reason: Reason,
        actor: &SmolStr,
        note: &str,
    ) {
        let state = self.peek(incident).map(|it| it.state.word());
        let id = self.ids.entry();
        self.decision.entries.push(Entry {
            id,
            incident: Some(incident),
            alert: None,
            reason,
            state,
            actor: Some(actor.clone()),
            note: Some(Arc::from(note)),
        });
    }

    /// Looks at the records whose time has come.
    pub(in crate::core) fn records_are_due(&mut self) {
        let records = self.world.state.records();
        let due = records.due(self.now, crate::core::limits::DEADLINES_PER_DECISION);
        for record in due.into_iter().filter_map(|id| records.get(id)) {
            match &**record {
                over if over.is_over() => self.record(RecordChange::Forgotten(over.id())),
                Record::Change(change) if change.forgotten_at() <= self.now => {
                    self.record(RecordChange::Forgotten(change.id));
                }
                Record::Change(change) => {
                    let mut after = change.clone();
                    self.begin_change(&mut after);
                    if after != *change {
                        self.suspect_change(&after);
                        self.record(RecordChange::Put(Arc::new(Record::Change(after))));
                    }
                }
                Record::Request(request) => self.request_is_due(request),
                Record::Major(major) => self.major_is_due(major),
                Record::Action(action) => self.action_is_due(action),
                // They are due only when they are over.
                Record::Problem(_) | Record::KnownError(_) => {}
            }
        }
    }

    /// Whether this decision has put a record beside an incident.
    pub(super) fn is_linked_now(&self, incident: IncidentId, record: RecordId) -> bool {
        self.decision.changes.iter().any(|change| {
            if let Change::Record(RecordChange::Linked(to, id, _)) = change {
                return *to == incident && *id == record;
            }
            false
        })
    }

    /// The alert that this decision opened an incident for.
    pub(super) fn opener_of(&self, incident: IncidentId) -> Option<AlertId> {
        self.decision
            .changes
            .iter()
            .chain(&self.joins)
            .find_map(|change| {
                if let Change::AlertJoined {
                    incident: to,
                    alert,
                    ..
                } = change
                {
                    return (*to == incident).then_some(*alert);
                }
                None
            })
    }

    /// The hash of an alert's key, also of one that this decision adds.
    pub(super) fn key_of(&self, id: AlertId) -> Option<u128> {
        if let Some(alert) = self.world.state.alert(id) {
            return Some(alert.key.0);
        }
        self.decision.changes.iter().find_map(|change| {
            if let Change::AlertAdded { alert, .. } = change {
                return (alert.id == id).then_some(alert.key.0);
            }
            None
        })
    }

    /// Queues a message to one target of stakeholders; without a text the state of things is told.
    pub(super) fn tell_stakeholder(&mut self, incident: IncidentId, target: &SmolStr, text: &str) {
        self.enqueue(Telling {
            incident,
            target: target.clone(),
            recipient: SmolStr::default(),
            event: Event::Update,
            note: (!text.is_empty()).then(|| Arc::from(text)),
        });
    }
}
