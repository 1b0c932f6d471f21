//! Lines of timelines and inputs of the log, as they go over the wire.

use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use crate::core::ids::{AlertId, IncidentId};
use crate::store::query::timeline::{InputView, TimelineView};

/// One line of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// Its number, in order of happening.
    id: i64,
    /// When it was decided.
    at: Time,
    /// The input that led to it.
    seq: i64,
    /// Why, as a stable word.
    reason: &'static str,
    /// Why, as a sentence.
    text: &'static str,
    /// The incident's state afterwards.
    #[schema(value_type = Option<super::words::State>)]
    state: Option<String>,
    /// Who, if it was a person or program.
    actor: Option<String>,
    /// What they said, or a detail in words.
    note: Option<String>,
    /// The incident.
    incident: Option<String>,
    /// The alert.
    alert: Option<String>,
}

/// An input of the log, without its body.
#[derive(Debug, Serialize, ToSchema)]
pub struct InputRef {
    /// Its position in the log.
    seq: i64,
    /// When it was accepted.
    at: Time,
    /// `message`, `poll`, `command`, `deadline` or `started`.
    kind: String,
    /// The source, for messages and polls.
    source: Option<String>,
}

impl From<TimelineView> for TimelineEntry {
    fn from(view: TimelineView) -> Self {
        Self {
            id: view.id,
            at: view.at.into(),
            seq: view.seq,
            reason: view.reason.code(),
            text: view.reason.sentence(),
            state: view.state,
            actor: view.actor,
            note: view.note,
            incident: view.incident.as_ref().map(IncidentId::to_string),
            alert: view.alert.as_ref().map(AlertId::to_string),
        }
    }
}

impl InputRef {
    /// An input at its position.
    pub fn new(seq: i64, view: InputView) -> Self {
        Self {
            seq,
            at: view.at.into(),
            kind: view.kind,
            source: view.source,
        }
    }
}
