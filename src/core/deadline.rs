//! What happens because time has passed: expiry, discarding, recovery, closing, forgetting.
//!
//! Every record says itself when it is due; a deadline is only a reminder to look, so an early or repeated look
//! changes nothing. Must not handle more than [`limits::DEADLINES_PER_DECISION`] at once.

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::escalate;
use crate::core::flap;
use crate::core::heartbeat;
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::incident::{Incident, IncidentState};
use crate::core::limits;
use crate::core::mute;
use crate::core::reason::Reason;
use crate::core::review;
use crate::core::rules::IncidentRules;
use crate::core::time::Timestamp;
use crate::core::variant::VariantChange;
use crate::core::{priority, silence, sla, ticket};

/// Looks at the earliest deadlines that have come.
pub(super) fn decide_due(world: World<'_>, now: Timestamp, ids: &mut IdFeed) -> Decision {
    if let Some(decision) = heartbeat::decide_due(world, now, ids) {
        return decision;
    }
    let mut draft = Draft::new(world, now, ids, Reason::DeadlinesChecked);
    mute::plan::decide_due(&mut draft);
    if draft.decision.changes.is_empty() {
        silence::decide_due(&mut draft);
    }
    if draft.decision.changes.is_empty() {
        flap::decide_due(&mut draft);
    }
    draft.records_are_due();
    if !draft.decision.changes.is_empty() {
        // What is due besides is looked at with what was decided here in place.
        return draft.finish();
    }
    let is_any_clock_due = sla::decide_due(&mut draft);
    if priority::decide_due(&mut draft) || is_any_clock_due {
        return draft.finish();
    }
    let due = world.state.due(now, limits::DEADLINES_PER_DECISION);
    if due.pages > 0 {
        draft.decision.change(Change::DeadlinesTaken(due.pages));
    }
    if due.pages == 0 {
        // In a decision of their own, so that no record is changed by two hands.
        draft.look_at_due();
        escalate::touch_due(&mut draft);
        // What is due at a time of its own does not wait for all that is open.
        if draft.is_untouched() {
            review::decide_due(&mut draft);
        }
    }
    for alert in due.alerts.iter().filter_map(|&id| world.state.alert(id)) {
        alert_is_due(&mut draft, alert.clone());
    }
    for id in due.incidents {
        incident_is_due(&mut draft, id);
    }
    draft.finish()
}

fn alert_is_due(draft: &mut Draft<'_>, mut alert: Alert) {
    match (alert.status, alert.late) {
        (AlertStatus::Firing, _) => {
            let now = draft.now;
            draft.end(&mut alert, EndedBy::Expired, now, Reason::AlertExpired);
            draft.put_alert(alert);
        }
        (AlertStatus::Ended(_), Late::Parked(_)) => {
            alert.late = Late::Discarded;
            draft.say(alert.incident, Some(alert.id), Reason::LateFiringDiscarded);
            draft.put_alert(alert);
        }
        (AlertStatus::Ended(_), Late::None | Late::Discarded) => {
            // Its next firing must find the incident again, or one identity would have two open ones.
            if alert.incident.is_some_and(|id| draft.may_return_to(id)) {
                alert.lease_at = draft.now;
                draft.put_alert(alert);
                return;
            }
            draft.say(alert.incident, Some(alert.id), Reason::AlertForgotten);
            if draft.world.state.variants().of(alert.id).is_some() {
                let gone = VariantChange::Gone(alert.id);
                draft.decision.change(Change::Variant(gone));
            }
            draft.decision.change(Change::AlertForgotten(alert.id));
        }
    }
}

fn incident_is_due(draft: &mut Draft<'_>, id: IncidentId) {
    let (now, rules) = (draft.now, draft.world.rules.incident);
    let Some(incident) = draft
        .peek(id)
        .filter(|incident| incident.due_at().is_some_and(|due| due <= now))
    else {
        return;
    };
    if let IncidentState::Closed { .. } = incident.state {
        draft.say(Some(id), None, Reason::IncidentForgotten);
        draft.decision.change(Change::IncidentForgotten(id));
        ticket::forget(draft.world, id, &mut draft.decision);
        return;
    }
    let is_settled = incident.announce_at.is_some_and(|at| at <= now);
    let is_all = incident
        .due_but_for_announcing()
        .is_none_or(|due| due > now);
    if is_settled && is_all {
        draft.touch(id);
        return;
    }
    let Some(incident) = draft.peek(id) else {
        return;
    };
    let has_waited = incident.recovers_at.is_some_and(|at| at <= now);
    let is_recovered = has_waited && draft.is_nearly_over(id);
    if is_recovered && !draft.evict_stragglers(id) {
        draft.touch(id);
        return;
    }
    let moved = draft
        .touch(id)
        .and_then(|incident| move_on(incident, now, rules, is_recovered));
    if let Some(reason) = moved {
        draft.say(Some(id), None, reason);
    }
}

/// What time alone does to an incident that is due, and why.
fn move_on(
    incident: &mut Incident,
    now: Timestamp,
    rules: IncidentRules,
    is_recovered: bool,
) -> Option<Reason> {
    let reason = match &incident.state {
        IncidentState::Resolved { .. } => {
            let reopenable_until = incident
                .resolved_at
                .unwrap_or(now)
                .plus(rules.reopen_window);
            incident.enter(IncidentState::Closed { reopenable_until }, now);
            Reason::ClosedAfterResolve
        }
        IncidentState::Closed { .. } => return None,
        IncidentState::New
        | IncidentState::Acknowledged { .. }
        | IncidentState::InProgress
        | IncidentState::OnHold { .. }
            if is_recovered =>
        {
            incident.enter(
                IncidentState::Resolved {
                    close_at: now.plus(rules.close_after),
                },
                now,
            );
            Reason::RecoverySustained
        }
        IncidentState::Acknowledged { .. } => {
            incident.enter(IncidentState::New, now);
            Reason::AcknowledgeExpired
        }
        IncidentState::OnHold { .. } => {
            incident.enter(IncidentState::InProgress, now);
            Reason::HoldEnded
        }
        IncidentState::New | IncidentState::InProgress => {
            incident.recovers_at = None;
            return None;
        }
    };
    Some(reason)
}
