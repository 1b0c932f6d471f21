//! Commands to an incident that was closed for good: memory no longer holds it, so the command brings along what the
//! store still knows.
//!
//! It can be talked about and continued under a new number; nothing else. Must not change the old incident.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::command::is_continued;
use crate::core::decide::World;
use crate::core::decision::Decision;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IdFeed, IncidentId};
use crate::core::incident::{Incident, Owner, StateWord};
use crate::core::input::{Command, CommandGiven};
use crate::core::reason::Reason;
use crate::core::severity::Severity;
use crate::core::time::Timestamp;

/// What the store knows of an incident that was closed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastIncident {
    /// Its version, which no longer changes.
    pub version: i64,
    /// Worst severity.
    pub severity: Severity,
    /// Who had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<SmolStr>,
    /// Which team had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<SmolStr>,
    /// Its alerts, in order of joining.
    #[serde(default)]
    pub alerts: Vec<AlertId>,
}

/// Decides a command to a past incident.
pub(super) fn decide_past(
    world: World<'_>,
    past: &PastIncident,
    given: &CommandGiven,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let is_stale = given
        .expected_version
        .is_some_and(|version| version != past.version);
    if is_stale {
        return Decision::refused(Reason::StaleVersion);
    }
    match &given.command {
        Command::Note { text } => {
            let draft = Draft::new(world, now, ids, Reason::NoteAdded);
            say(draft, given.incident, given, Some(Arc::from(&**text)))
        }
        Command::Reopen { .. } if is_continued(world, given.incident) => {
            Decision::refused(Reason::AlreadyContinued)
        }
        Command::Reopen { reason } => {
            let mut draft = Draft::new(world, now, ids, Reason::LinkedByPerson);
            let owner = Owner {
                assignee: past.assignee.clone(),
                team: past.team.clone(),
            };
            let owner = (owner != Owner::default()).then(|| Arc::new(owner));
            let (old, members) = (given.incident, &past.alerts);
            let id = continue_as_new(&mut draft, old, past.severity, owner, members);
            say(draft, id, given, reason.as_deref().map(Arc::from))
        }
        Command::Acknowledge { .. }
        | Command::Assign { .. }
        | Command::Start
        | Command::Hold { .. }
        | Command::Resume
        | Command::Resolve { .. }
        | Command::Merge { .. }
        | Command::Split { .. }
        | Command::Unlink { .. }
        | Command::Pin { .. }
        | Command::Root { .. }
        | Command::Priority { .. }
        | Command::Close => Decision::refused(Reason::AlreadyClosed),
    }
}

/// Opens an incident that continues an old one, and moves over its members that have not gone on to a later one since.
pub(super) fn continue_as_new(
    draft: &mut Draft<'_>,
    old: IncidentId,
    severity: Severity,
    owner: Option<Arc<Owner>>,
    members: &[AlertId],
) -> IncidentId {
    let id = draft.ids.incident();
    let mut incident = Incident::open(id, severity, draft.now);
    incident.previous = Some(old);
    incident.owner = owner;
    draft.insert(incident);
    let state = draft.world.state;
    for alert in members.iter().filter_map(|&alert| state.alert(alert)) {
        if alert.incident == Some(old) {
            let mut alert = alert.clone();
            let counted = alert.count;
            draft.move_to(&mut alert, id, counted);
            draft.put_alert(alert);
        }
    }
    id
}

fn say(
    mut draft: Draft<'_>,
    id: IncidentId,
    given: &CommandGiven,
    note: Option<Arc<str>>,
) -> Decision {
    let reason = draft.decision.reason;
    let entry = draft.say(Some(id), None, reason);
    if entry.incident.is_none() {
        entry.incident = Some(id);
        entry.state = Some(StateWord::Closed);
    }
    entry.actor = Some(given.actor.clone());
    entry.note = note;
    draft.decision.incident = Some(id);
    draft.finish()
}
