//! What a reader of the store found out about alerts that fire already: which silences match their labels.
//!
//! A proposal: what has changed since it was made is left alone. The hash of the text says which labels were compared.
//! Must not compare labels itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rules::{release, silence_alert};
use super::{SilenceChange, SilenceState};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IdFeed, SilenceId};
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// A part of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// Alerts that silences match.
    #[serde(default)]
    pub matches: Vec<SweepMatch>,
    /// Alerts that silences hold, and do not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<SweepMatch>,
    /// Silences that have now been compared with every alert that fired at their begin.
    #[serde(default)]
    pub swept: Vec<SilenceId>,
    /// Alerts that have now been compared with every active silence.
    #[serde(default)]
    pub checked: Vec<AlertId>,
}

/// A silence that matches the labels of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepMatch {
    /// The silence.
    pub silence: SilenceId,
    /// The alert.
    pub alert: AlertId,
    /// Hash of its text when it was compared.
    pub text_hash: u64,
}

/// Decides what was found.
pub(in crate::core) fn decide_sweep(
    world: World<'_>,
    sweep: &Sweep,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let mut draft = Draft::new(world, now, ids, Reason::SilencesSwept);
    let silences = world.state.silences();
    for found in &sweep.matches {
        let alert = world.state.alert(found.alert);
        let alert = alert.filter(|it| it.is_firing() && it.text_hash == found.text_hash);
        let silence = silences.get(found.silence);
        let silence = silence.filter(|it| it.state(now) == SilenceState::Active);
        if let (Some(alert), Some(silence)) = (alert, silence)
            && !silences.has(alert.id, silence.id)
        {
            silence_alert(&mut draft, alert, silence);
        }
    }
    for found in &sweep.mismatches {
        let alert = world.state.alert(found.alert);
        let alert = alert.filter(|it| it.is_firing() && it.text_hash == found.text_hash);
        if let (Some(alert), Some(silence)) = (alert, silences.get(found.silence))
            && silences.has(alert.id, silence.id)
        {
            let mut others = silences.of(alert.id).filter(|it| it.id != silence.id);
            let rest = others.find(|it| it.state(now) == SilenceState::Active);
            release(&mut draft, alert, silence, rest);
        }
    }
    for silence in sweep.swept.iter().filter_map(|id| silences.get(*id)) {
        let mut silence = (**silence).clone();
        silence.is_swept = true;
        let change = SilenceChange::Changed(Arc::new(silence));
        draft.decision.change(Change::Silence(change));
    }
    for &alert in &sweep.checked {
        let change = SilenceChange::Checked(alert);
        draft.decision.change(Change::Silence(change));
    }
    draft.finish()
}
