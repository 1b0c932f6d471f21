//! What silences do to alerts as they come and go, and when a silence begins or ends.
//!
//! Every edge is an entry in the timeline of the alerts concerned. Must not end or change an alert.

use std::sync::Arc;

use super::{Silence, SilenceChange, SilenceState};
use crate::core::alert::Alert;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, SilenceId};
use crate::core::limits;
use crate::core::observation::Observation;
use crate::core::reason::Reason;

/// A message told of an alert: compares it with the silences when it has just begun to fire or has other labels.
pub(in crate::core) fn alert_heard(
    draft: &mut Draft<'_>,
    before: Option<&Alert>,
    alert: &Alert,
    observation: &Observation,
) {
    let silences = draft.world.state.silences();
    if silences.is_empty() || !alert.is_firing() {
        return;
    }
    let is_known =
        before.is_some_and(|before| before.is_firing() && before.text_hash == alert.text_hash);
    if is_known {
        return;
    }
    if observation.text.is_blank() {
        alert_without_labels(draft, alert);
        return;
    }
    let matching = silences.matching(draft.now, |name| observation.text.label(name));
    let held: Vec<SilenceId> = silences.of(alert.id).map(|silence| silence.id).collect();
    for id in held.iter().filter(|id| !matching.contains(id)) {
        if let Some(silence) = silences.get(*id) {
            let rest = matching.first().and_then(|other| silences.get(*other));
            release(draft, alert, silence, rest);
        }
    }
    for id in matching.iter().filter(|id| !held.contains(id)) {
        if let Some(silence) = silences.get(*id) {
            silence_alert(draft, alert, silence);
        }
    }
}

/// An alert fires (again) and nobody knows its labels here: a reader of the store has to compare it.
pub(in crate::core) fn alert_without_labels(draft: &mut Draft<'_>, alert: &Alert) {
    if draft.world.state.silences().is_any_active(draft.now) {
        let change = SilenceChange::Unchecked(alert.id);
        draft.decision.change(Change::Silence(change));
    }
}

/// An alert has ended: nothing silences it any more. That is no news for anybody.
pub(in crate::core) fn alert_ended(draft: &mut Draft<'_>, alert: AlertId) {
    let silences = draft.world.state.silences();
    for silence in silences.of(alert) {
        let change = SilenceChange::Unsilenced(alert, silence.id);
        draft.decision.change(Change::Silence(change));
    }
}

/// Begins and ends what is due; at most so many alerts in one decision, the rest stays due.
pub(in crate::core) fn decide_due(draft: &mut Draft<'_>) {
    let silences = draft.world.state.silences();
    let mut left = limits::DEADLINES_PER_DECISION;
    for silence in silences.due(draft.now) {
        if left == 0 {
            return;
        }
        left = left.saturating_sub(1);
        if silence.state(draft.now) == SilenceState::Expired {
            let released = release_all(draft, silence, left);
            left = left.saturating_sub(released);
        } else {
            draft.decision.change(Change::Silence(started(silence)));
        }
    }
}

/// The silence as it is once it has begun.
fn started(silence: &Silence) -> SilenceChange {
    let mut silence = silence.clone();
    silence.is_started = true;
    SilenceChange::Changed(Arc::new(silence))
}

/// Lets go of the alerts of a silence that is over, and of itself after the last; returns how many.
fn release_all(draft: &mut Draft<'_>, silence: &Silence, at_most: usize) -> usize {
    let silences = draft.world.state.silences();
    let mut count = 0_usize;
    for id in silences.alerts_of(silence.id) {
        if count == at_most {
            return count;
        }
        count = count.saturating_add(1);
        match draft.world.state.alert(id).cloned() {
            Some(alert) if alert.is_firing() => {
                let mut others = silences.of(id).filter(|other| other.id != silence.id);
                let rest = others.find(|it| it.state(draft.now) == SilenceState::Active);
                release(draft, &alert, silence, rest);
            }
            Some(_) | None => draft
                .decision
                .change(Change::Silence(SilenceChange::Unsilenced(id, silence.id))),
        }
    }
    let over = SilenceChange::Over(silence.id);
    draft.decision.change(Change::Silence(over));
    count
}

/// Keeps people from being told of a firing alert.
pub(super) fn silence_alert(draft: &mut Draft<'_>, alert: &Alert, silence: &Silence) {
    let change = SilenceChange::Silenced(alert.id, silence.id);
    draft.decision.change(Change::Silence(change));
    touch(draft, alert);
    let entry = draft.say(alert.incident, Some(alert.id), Reason::Silenced);
    let Silence {
        uuid,
        created_by,
        comment,
        ..
    } = silence;
    entry.note = Some(format!("suppressed by silence {uuid} of {created_by}: {comment}").into());
}

/// Lets go of an alert that still fires; `rest` is another silence that goes on.
fn release(draft: &mut Draft<'_>, alert: &Alert, silence: &Silence, rest: Option<&Arc<Silence>>) {
    let change = SilenceChange::Unsilenced(alert.id, silence.id);
    draft.decision.change(Change::Silence(change));
    touch(draft, alert);
    let (reason, note) = match rest {
        Some(rest) => (
            Reason::Silenced,
            format!(
                "silence {} no longer applies; still suppressed by silence {}",
                silence.uuid, rest.uuid
            ),
        ),
        None => (
            Reason::Unsilenced,
            format!("no longer suppressed by silence {}", silence.uuid),
        ),
    };
    draft.say(alert.incident, Some(alert.id), reason).note = Some(note.into());
}

/// Has the alert's incident looked at: it may be held from now on, or no longer.
fn touch(draft: &mut Draft<'_>, alert: &Alert) {
    if let Some(incident) = alert.incident {
        draft.touch(incident);
    }
}
