//! What a person's command comes to.
//!
//! A refused command changes nothing (but its answer is remembered when it has an idempotency key). Must not know
//! who may do what; that is checked at the door.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::alert::EndedBy;
use crate::core::answers::Remembered;
use crate::core::correlate::people;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::incident::{Incident, IncidentState, Owner, permit};
use crate::core::input::{Command, CommandGiven};
use crate::core::past::{continue_as_new, decide_past};
use crate::core::priority::Given;
use crate::core::reason::Reason;
use crate::core::severity::Priority;
use crate::core::time::Timestamp;

/// Decides a command.
pub(super) fn decide_command(
    world: World<'_>,
    given: &CommandGiven,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    if let Some(key) = given.idempotency
        && let Some(answer) = world.state.remembered(key)
    {
        return if answer.command == key.command {
            Decision {
                is_refused: answer.is_refused,
                incident: Some(answer.incident),
                ..Decision::because(answer.reason)
            }
        } else {
            Decision {
                incident: Some(given.incident),
                ..Decision::refused(Reason::IdempotencyKeyReused)
            }
        };
    }
    let mut decision = match (check(world, given, now), &given.past) {
        (Ok(incident), _) => carry_out(world, incident, given, now, ids),
        (Err(Reason::UnknownIncident), Some(past)) => decide_past(world, past, given, now, ids),
        (Err(reason), _) => Decision::refused(reason),
    };
    let incident = decision.incident.unwrap_or(given.incident);
    decision.incident = Some(incident);
    if let Some(key) = given.idempotency {
        let (reason, is_refused) = (decision.reason, decision.is_refused);
        decision.change(Change::CommandRemembered {
            key: key.key,
            answer: Remembered {
                at: now,
                command: key.command,
                incident,
                reason,
                is_refused,
            },
        });
    }
    decision
}

fn check<'a>(
    world: World<'a>,
    given: &CommandGiven,
    now: Timestamp,
) -> Result<&'a Incident, Reason> {
    let incident = world
        .state
        .incident(given.incident)
        .ok_or(Reason::UnknownIncident)?;
    if given
        .expected_version
        .is_some_and(|version| version != incident.version)
    {
        return Err(Reason::StaleVersion);
    }
    permit(&incident.state, &given.command)?;
    match given.command {
        Command::Reopen { .. } if incident.merged_into.is_some() => Err(Reason::AlreadyMerged),
        Command::Reopen { .. } if is_continued(world, incident.id) => Err(Reason::AlreadyContinued),
        Command::Acknowledge { until: Some(until) }
        | Command::Hold {
            until: Some(until), ..
        } if until <= now => Err(Reason::TimeNotInFuture),
        Command::Acknowledge { .. }
        | Command::Assign { .. }
        | Command::Start
        | Command::Hold { .. }
        | Command::Resume
        | Command::Resolve { .. }
        | Command::Close
        | Command::Reopen { .. }
        | Command::Priority { .. }
        | Command::Note { .. } => Ok(incident),
        Command::Merge { .. }
        | Command::Split { .. }
        | Command::Unlink { .. }
        | Command::Pin { .. }
        | Command::Root { .. } => {
            people::check(world, incident.id, &given.command).map(|()| incident)
        }
    }
}

/// Whether the problem has an open incident already; a second one beside it would be a second ticket.
pub(super) fn is_continued(world: World<'_>, id: IncidentId) -> bool {
    let mut incidents = world.state.continuations(id);
    incidents.any(|incident| incident.state.is_open())
}

fn carry_out(
    world: World<'_>,
    incident: &Incident,
    given: &CommandGiven,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let mut draft = Draft::new(world, now, ids, Reason::NoteAdded);
    let id = incident.id;
    let (reason, note) = match &given.command {
        Command::Note { text } => {
            draft.touch(id);
            (Reason::NoteAdded, Some(Arc::from(&**text)))
        }
        Command::Assign { assignee, team } => {
            let owner = owner_after(incident, assignee.as_ref(), team.as_ref(), given);
            let words = [&owner.assignee, &owner.team].into_iter().flatten();
            let note = words
                .map(|word| word.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            if let Some(incident) = draft.touch(id) {
                incident.owner = Some(Arc::new(owner));
            }
            (Reason::Assigned, Some(Arc::from(note)))
        }
        Command::Reopen { reason } => {
            let note = reason.as_deref().map(Arc::from);
            let reopen_window = world.rules.incident.reopen_window;
            if incident
                .resolved_at
                .is_none_or(|at| now >= at.plus(reopen_window))
            {
                return link(draft, incident, given, note);
            }
            enter(&mut draft, id, IncidentState::New);
            if let Some(incident) = draft.touch(id) {
                incident.reopen_count = incident.reopen_count.saturating_add(1);
            }
            (Reason::ReopenedByPerson, note)
        }
        Command::Resolve { note } => {
            let close_at = now.plus(world.rules.incident.close_after);
            enter(&mut draft, id, IncidentState::Resolved { close_at });
            end_alerts(&mut draft, id);
            if let Some(incident) = draft.touch(id) {
                incident.acknowledged_at.get_or_insert(now);
            }
            (Reason::ResolvedByPerson, note.as_deref().map(Arc::from))
        }
        Command::Close => {
            let resolved_at = incident.resolved_at.unwrap_or(now);
            let reopenable_until = resolved_at.plus(world.rules.incident.reopen_window);
            enter(&mut draft, id, IncidentState::Closed { reopenable_until });
            end_alerts(&mut draft, id);
            (Reason::ClosedByPerson, None)
        }
        Command::Priority { priority, reason } => {
            prioritise(&mut draft, incident, *priority, (&**reason, given))
        }
        work @ (Command::Acknowledge { .. }
        | Command::Start
        | Command::Hold { .. }
        | Command::Resume) => move_forward(&mut draft, id, work),
        order @ (Command::Merge { .. }
        | Command::Split { .. }
        | Command::Unlink { .. }
        | Command::Pin { .. }
        | Command::Root { .. }) => regroup(&mut draft, id, order),
    };
    say(&mut draft, id, reason, given, note);
    draft.decision.reason = reason;
    draft.finish()
}

/// A priority that a person sets, or takes back.
fn prioritise(
    draft: &mut Draft<'_>,
    incident: &Incident,
    priority: Option<Priority>,
    (reason, given): (&str, &CommandGiven),
) -> (Reason, Option<Arc<str>>) {
    let set = priority.map(|priority| Given {
        priority,
        by: given.actor.clone(),
        reason: Arc::from(reason),
        at: draft.now,
    });
    let word = priority.map_or("by the rules", Priority::word);
    let note = match reason {
        "" => format!("{} to {word}", incident.priority.word()),
        reason => format!("{} to {word}: {reason}", incident.priority.word()),
    };
    let reason = draft.prioritise_by_person(incident.id, set);
    (reason, Some(Arc::from(note)))
}

/// The commands about what belongs together.
fn regroup(draft: &mut Draft<'_>, id: IncidentId, order: &Command) -> (Reason, Option<Arc<str>>) {
    draft.touch(id);
    match order {
        Command::Merge { into } => {
            let note = draft.merge_by_person(id, *into);
            (Reason::MergedByPerson, Some(note))
        }
        Command::Split { alerts } => {
            let note = draft.split_by_person(id, alerts, false);
            (Reason::SplitByPerson, Some(note))
        }
        Command::Unlink { alerts } => {
            let note = draft.split_by_person(id, alerts, true);
            (Reason::UnlinkedByPerson, Some(note))
        }
        Command::Pin { alerts } => {
            let note = draft.pin_by_person(id, alerts);
            (Reason::PinnedByPerson, Some(note))
        }
        Command::Root { ci, reason } => {
            if let Some(number) = draft.world.state.graph().find(ci) {
                draft.root_by_person(id, number);
            }
            (
                Reason::RootNamedByPerson,
                Some(format!("{ci}: {reason}").into()),
            )
        }
        Command::Acknowledge { .. }
        | Command::Assign { .. }
        | Command::Start
        | Command::Hold { .. }
        | Command::Resume
        | Command::Resolve { .. }
        | Command::Close
        | Command::Reopen { .. }
        | Command::Priority { .. }
        | Command::Note { .. } => (Reason::NoteAdded, None),
    }
}

/// The commands that only move an open incident from state to state.
fn move_forward(
    draft: &mut Draft<'_>,
    id: IncidentId,
    work: &Command,
) -> (Reason, Option<Arc<str>>) {
    let (state, reason, note) = match work {
        Command::Acknowledge { until } => {
            let holds = draft.world.rules.incident.acknowledge_for;
            let until = until.or_else(|| holds.map(|span| draft.now.plus(span)));
            let state = IncidentState::Acknowledged { until };
            (state, Reason::Acknowledged, None)
        }
        Command::Hold { reason, until } => {
            let reason: Arc<str> = Arc::from(&**reason);
            let state = IncidentState::OnHold {
                until: *until,
                reason: reason.clone(),
            };
            (state, Reason::PutOnHold, Some(reason))
        }
        Command::Resume => (IncidentState::InProgress, Reason::Resumed, None),
        Command::Start
        | Command::Assign { .. }
        | Command::Resolve { .. }
        | Command::Close
        | Command::Reopen { .. }
        | Command::Merge { .. }
        | Command::Split { .. }
        | Command::Unlink { .. }
        | Command::Pin { .. }
        | Command::Root { .. }
        | Command::Priority { .. }
        | Command::Note { .. } => (IncidentState::InProgress, Reason::WorkStarted, None),
    };
    enter(draft, id, state);
    (reason, note)
}

/// Who has it after an assignment; one that names nobody means the person who asks.
fn owner_after(
    incident: &Incident,
    assignee: Option<&SmolStr>,
    team: Option<&SmolStr>,
    given: &CommandGiven,
) -> Owner {
    let mut owner = incident.owner.as_deref().cloned().unwrap_or_default();
    if assignee.is_some() || team.is_some() {
        owner.assignee = assignee.cloned().or(owner.assignee);
        owner.team = team.cloned().or(owner.team);
    } else {
        owner.assignee = Some(given.actor.clone());
    }
    owner
}

/// Opens a new incident that continues one resolved too long ago, and moves the alerts over.
fn link(
    mut draft: Draft<'_>,
    old: &Incident,
    given: &CommandGiven,
    note: Option<Arc<str>>,
) -> Decision {
    let members = draft.world.state.alerts_of(old.id);
    let id = continue_as_new(&mut draft, old.id, old.severity, old.owner.clone(), members);
    say(&mut draft, id, Reason::LinkedByPerson, given, note);
    draft.decision.reason = Reason::LinkedByPerson;
    draft.finish()
}

fn enter(draft: &mut Draft<'_>, id: IncidentId, state: IncidentState) {
    let now = draft.now;
    if let Some(incident) = draft.touch(id) {
        incident.enter(state, now);
    }
}

/// Ends the alerts of an incident that a person has declared over; it must not be open any more, or its timeline
/// would speak of a recovery.
fn end_alerts(draft: &mut Draft<'_>, id: IncidentId) {
    let state = draft.world.state;
    let now = draft.now;
    for alert in state
        .alerts_of(id)
        .iter()
        .filter_map(|&alert| state.alert(alert))
    {
        if alert.is_firing() && alert.incident == Some(id) {
            let mut alert = alert.clone();
            draft.end(&mut alert, EndedBy::Person, now, Reason::EndedByPerson);
            draft.put_alert(alert);
        }
    }
}

fn say(
    draft: &mut Draft<'_>,
    id: IncidentId,
    reason: Reason,
    given: &CommandGiven,
    note: Option<Arc<str>>,
) {
    draft.decision.incident = Some(id);
    let entry = draft.say(Some(id), None, reason);
    entry.actor = Some(given.actor.clone());
    entry.note = note;
}
