//! What a changed CMDB means: the graph's next version, and alerts that are compared with it again.
//!
//! An import is one decision, so that every other one sees the graph before or after it, never between. Alerts follow
//! in pages, each an input of its own; their texts come with the input, since memory holds none. Must not compare imports;
//! that was done before, with a version that must still hold.

use std::sync::Arc;

use crate::core::alert::Alert;
use smol_str::SmolStr;

use crate::core::bind::{Binding, BindingOutcome, Subject, bind};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::IdFeed;
use crate::core::input::{CmdbImported, Rebound};
use crate::core::observation::AlertText;
use crate::core::reason::Reason;
use crate::core::records::RecordChange;
use crate::core::time::Timestamp;

/// Makes an import true, unless the CMDB has changed since it was compared.
pub(super) fn import(world: World<'_>, imported: &CmdbImported) -> Decision {
    if world.state.graph().version() != imported.base {
        return Decision::refused(Reason::StaleCmdb);
    }
    let mut decision = Decision::because(Reason::CmdbImported);
    decision.change(Change::GraphChanged(Arc::clone(&imported.difference)));
    decision
}

/// Looks again for the CIs of these alerts; writes only what came out differently.
pub(super) fn compare(
    world: World<'_>,
    alerts: &[Rebound],
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let mut draft = Draft::new(world, now, ids, Reason::AlertsRebound);
    for rebound in alerts {
        let Some(alert) = world.state.alert(rebound.alert) else {
            continue;
        };
        if world.state.records().forced(alert.id).is_some() {
            continue;
        }
        let subject = Subject {
            source: &rebound.source,
            labels: &rebound.labels,
            annotations: &rebound.annotations,
            hint: rebound.hint.as_deref(),
            rules: &world.rules.cmdb.bind,
        };
        let binding = bind(world.state.graph(), &subject);
        if binding.ci == alert.ci && rebound.reason.as_deref() == Some(&*binding.reason) {
            continue;
        }
        if binding.ci != alert.ci {
            change(&mut draft, rebound, alert, &binding);
        }
        draft.decision.change(Change::AlertBound {
            alert: alert.id,
            binding: Arc::new(binding),
        });
    }
    draft.finish()
}

/// Makes true what a person says about the CI of an alert, or lets the rules decide again. It holds until a person says
/// otherwise: neither another text of the alert nor a changed CMDB undoes it.
pub(super) fn by_person(
    world: World<'_>,
    (told, ci, reason): (&Rebound, Option<&SmolStr>, &str),
    actor: &SmolStr,
    (now, ids): (Timestamp, &mut IdFeed),
) -> Decision {
    let Some(alert) = world.state.alert(told.alert) else {
        return Decision::refused(Reason::UnknownAlert);
    };
    let graph = world.state.graph();
    let number = ci.and_then(|ci| graph.find(ci));
    if ci.is_some() && number.is_none() {
        return Decision::refused(Reason::UnknownCi);
    }
    let (why, binding) = match number {
        Some(number) => {
            let why = format!("{actor} says so: {reason}");
            let binding = Binding {
                ci: Some(number),
                outcome: BindingOutcome::Bound,
                reason: why.into(),
                candidates: Vec::new(),
            };
            (Reason::BoundByPerson, binding)
        }
        None => {
            let subject = Subject {
                source: &told.source,
                labels: &told.labels,
                annotations: &told.annotations,
                hint: told.hint.as_deref(),
                rules: &world.rules.cmdb.bind,
            };
            (Reason::UnboundByPerson, bind(graph, &subject))
        }
    };
    let mut draft = Draft::new(world, now, ids, why);
    draft.record(RecordChange::Forced(alert.id, ci.cloned()));
    let entry = draft.say(alert.incident, Some(alert.id), why);
    entry.actor = Some(actor.clone());
    entry.note = Some(reason.into());
    if binding.ci != alert.ci {
        change(&mut draft, told, alert, &binding);
    }
    draft.decision.incident = alert.incident;
    draft.decision.alert = Some(alert.id);
    draft.decision.change(Change::AlertBound {
        alert: alert.id,
        binding: Arc::new(binding),
    });
    draft.finish()
}

fn change(draft: &mut Draft<'_>, rebound: &Rebound, alert: &Alert, binding: &Binding) {
    let graph = draft.world.state.graph();
    let name = |ci| graph.ci(ci).map_or("no longer known", |ci| ci.id.as_str());
    let before = alert.ci.map_or("no CI", name);
    let after = binding.ci.map_or("no CI", name);
    let entry = draft.say(alert.incident, Some(alert.id), Reason::BindingChanged);
    entry.note = Some(format!("{before} to {after}").into());
    let alert = Alert {
        ci: binding.ci,
        ..alert.clone()
    };
    draft.put_alert(alert.clone());
    if alert.is_firing() {
        let text = AlertText {
            labels: rebound.labels.clone(),
            annotations: rebound.annotations.clone(),
            ..AlertText::default()
        };
        draft.place_anew(&alert, &text);
    }
}
