//! Comparing a source's own list of active alerts with ours, and what a difference comes to.
//!
//! Absence from a message never means resolved; absence from the source's own list does, unless the source has
//! restarted since it told us of the alert and may not have learned of it again. Must not fetch anything.

use std::collections::BTreeMap;

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::decide::World;
use crate::core::decision::Decision;
use crate::core::draft::Draft;
use crate::core::identity::KeyHash;
use crate::core::ids::{AlertId, IdFeed, SourceId};
use crate::core::input::PollDifference;
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::silence;
use crate::core::state::State;
use crate::core::time::Timestamp;

/// One answer of a source about what is active.
#[derive(Clone, Debug)]
pub struct Poll {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When the source itself started, if it says so; on our clock, corrected by whoever asked.
    pub source_started_at: Option<Timestamp>,
    /// Its active alerts, and whether it mutes them.
    pub active: BTreeMap<KeyHash, bool>,
}

/// Finds where the poll disagrees with the state; at most [`limits::DEADLINES_PER_DECISION`] of each kind, so the
/// caller compares again after applying until nothing is left.
pub fn compare(state: &State, source: SourceId, poll: &Poll) -> PollDifference {
    let mut difference = PollDifference {
        asked_at: Some(poll.asked_at),
        ..PollDifference::default()
    };
    for alert in state.alerts().filter(|alert| alert.source == source) {
        let active = poll.active.get(&alert.key).copied();
        let list = match (alert.status, active) {
            (AlertStatus::Firing, None) if is_gone(alert, poll) => &mut difference.gone,
            // First of all: an overdue alert must not expire between two rounds.
            (AlertStatus::Firing, Some(_)) if expires_soon(state, alert, poll.asked_at) => {
                &mut difference.renewed
            }
            (AlertStatus::Firing, Some(true)) if !alert.is_muted_upstream => &mut difference.muted,
            (AlertStatus::Firing, Some(false)) if alert.is_muted_upstream => {
                &mut difference.unmuted
            }
            (AlertStatus::Ended(_), Some(_))
                if returns(state, alert).is_some() && !is_news(alert, poll.asked_at) =>
            {
                &mut difference.confirmed
            }
            (AlertStatus::Ended(_), None)
                if alert.late != Late::None && !is_news(alert, poll.asked_at) =>
            {
                &mut difference.denied
            }
            (AlertStatus::Firing | AlertStatus::Ended(_), _) => continue,
        };
        if list.len() < limits::DEADLINES_PER_DECISION {
            list.push(alert.id);
        }
    }
    difference
}

/// Decides what a difference comes to; what has changed since the comparison is left alone.
pub(super) fn decide_difference(
    world: World<'_>,
    difference: &PollDifference,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let mut draft = Draft::new(world, now, ids, Reason::SourceReconciled);
    let asked_at = difference.asked_at.unwrap_or(now);
    let held = |id: &AlertId| world.state.alert(*id).cloned();
    let lease = |alert: &Alert| {
        let source = world.state.source_name(alert.source);
        // Twice, so that a short expiry is not renewed with every poll.
        let shortest = limits::LEASE_RENEWED.times(2);
        now.plus(world.rules.source(source).expire_after.max(shortest))
    };
    for mut alert in difference.gone.iter().filter_map(held) {
        if alert.is_firing() && alert.last_seen_at <= asked_at {
            draft.end(
                &mut alert,
                EndedBy::Reconciled,
                now,
                Reason::AlertReconciled,
            );
            draft.put_alert(alert);
        }
    }
    for mut alert in difference.confirmed.iter().filter_map(held) {
        let Some(reason) = returns(world.state, &alert).filter(|_| !is_news(&alert, asked_at))
        else {
            continue;
        };
        alert.lease_at = lease(&alert);
        alert.status = AlertStatus::Firing;
        alert.ends_at = None;
        alert.late = Late::None;
        draft.attach(&mut alert, None);
        silence::alert_without_labels(&mut draft, &alert);
        draft.say(alert.incident, Some(alert.id), reason);
        draft.put_alert(alert);
    }
    for mut alert in difference.denied.iter().filter_map(held) {
        if alert.late == Late::None || is_news(&alert, asked_at) {
            continue;
        }
        if let Late::Parked(_) = alert.late {
            draft.say(alert.incident, Some(alert.id), Reason::LateFiringDiscarded);
        }
        alert.late = Late::None;
        draft.put_alert(alert);
    }
    for mut alert in difference.renewed.iter().filter_map(held) {
        if alert.is_firing() && expires_soon(world.state, &alert, asked_at) {
            alert.lease_at = lease(&alert);
            draft.put_alert(alert);
        }
    }
    let muted = difference.muted.iter().map(|id| (id, true));
    let unmuted = difference.unmuted.iter().map(|id| (id, false));
    for (id, is_muted) in muted.chain(unmuted) {
        if let Some(mut alert) =
            held(id).filter(|alert| alert.is_firing() && alert.is_muted_upstream != is_muted)
        {
            alert.is_muted_upstream = is_muted;
            let reason = if is_muted {
                Reason::MutedUpstream
            } else {
                Reason::UnmutedUpstream
            };
            draft.say(alert.incident, Some(alert.id), reason);
            if let Some(incident) = alert.incident {
                draft.touch(incident);
            }
            draft.put_alert(alert);
        }
    }
    draft.finish()
}

/// A firing alert that the source no longer lists.
fn is_gone(alert: &Alert, poll: &Poll) -> bool {
    // A restarted Alertmanager starts with an empty list and learns again as its senders repeat.
    let knew_it = poll.source_started_at.is_none_or(|started_at| {
        alert.last_seen_at >= started_at
            || poll.asked_at >= started_at.plus(limits::SOURCE_RELEARNS)
    });
    knew_it && alert.last_seen_at <= poll.asked_at
}

/// Why an ended alert fires again when the source's own list holds it; nothing when the source's resolve stands.
fn returns(state: &State, alert: &Alert) -> Option<Reason> {
    match (alert.status, alert.late) {
        (AlertStatus::Firing, _) => None,
        (AlertStatus::Ended(EndedBy::Expired), _) => Some(Reason::ExpiredEpisodeReturned),
        (AlertStatus::Ended(EndedBy::Reconciled), _)
        | (AlertStatus::Ended(_), Late::Parked(_) | Late::Discarded) => {
            Some(Reason::LateFiringConfirmed)
        }
        (AlertStatus::Ended(EndedBy::Resolved), Late::None) => None,
        // What a person ended stays so until a person opens it again.
        (AlertStatus::Ended(EndedBy::Person), Late::None) => alert
            .incident
            .and_then(|id| state.incident(id))
            .filter(|incident| incident.state.is_open())
            .map(|_| Reason::LateFiringConfirmed),
    }
}

/// Whether something was heard or noted of an ended alert after the poll was sent.
fn is_news(alert: &Alert, asked_at: Timestamp) -> bool {
    alert.last_seen_at.max(alert.lease_at) > asked_at
}

fn expires_soon(state: &State, alert: &Alert, asked_at: Timestamp) -> bool {
    alert.due_at(state.started_at()) < asked_at.plus(limits::LEASE_RENEWED)
}
