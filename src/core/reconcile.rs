//! Comparing a source's own list of active alerts with ours, and what a difference comes to.
//!
//! Absence from a message never means resolved; absence from the source's own list does, unless the source has
//! restarted since it told us of the alert and may not have learned of it again. Must not fetch anything.

use std::collections::BTreeMap;

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::identity::KeyHash;
use crate::core::ids::{AlertId, IdFeed, SourceId};
use crate::core::input::PollDifference;
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Timestamp;

/// One answer of a source about what is active.
#[derive(Clone, Debug)]
pub struct Poll {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When the source itself started, if it says so.
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
            (AlertStatus::Firing, Some(true)) if !alert.is_muted_upstream => &mut difference.muted,
            (AlertStatus::Firing, Some(false)) if alert.is_muted_upstream => {
                &mut difference.unmuted
            }
            (AlertStatus::Ended(_), active) if is_parked(alert, poll) => match active {
                Some(_) => &mut difference.confirmed,
                None => &mut difference.denied,
            },
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
    for mut alert in difference.gone.iter().filter_map(held) {
        if alert.is_firing() && alert.last_seen_at <= asked_at {
            draft.end(
                &mut alert,
                EndedBy::Reconciled,
                now,
                Reason::AlertReconciled,
            );
            draft.decision.change(Change::AlertChanged(alert));
        }
    }
    for mut alert in difference.confirmed.iter().filter_map(held) {
        if let (AlertStatus::Ended(_), Late::Parked(_)) = (alert.status, alert.late) {
            let source = world.state.source_name(alert.source);
            alert.lease_at = now.plus(world.rules.source(source).expire_after);
            alert.status = AlertStatus::Firing;
            alert.ends_at = None;
            alert.late = Late::None;
            draft.attach(&mut alert, None);
            draft.say(alert.incident, Some(alert.id), Reason::LateFiringConfirmed);
            draft.decision.change(Change::AlertChanged(alert));
        }
    }
    for mut alert in difference.denied.iter().filter_map(held) {
        if let (AlertStatus::Ended(_), Late::Parked(_)) = (alert.status, alert.late) {
            alert.late = Late::None;
            draft.say(alert.incident, Some(alert.id), Reason::LateFiringDiscarded);
            draft.decision.change(Change::AlertChanged(alert));
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
            draft.decision.change(Change::AlertChanged(alert));
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

fn is_parked(alert: &Alert, poll: &Poll) -> bool {
    matches!(alert.late, Late::Parked(_)) && alert.last_seen_at <= poll.asked_at
}
