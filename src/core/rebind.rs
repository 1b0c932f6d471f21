//! What a changed CMDB means: the graph's next version, and alerts that are compared with it again.
//!
//! An import is one decision, so that every other one sees the graph before or after it, never between. Alerts follow
//! in pages, each an input of its own; their texts come with the input, since memory holds none. Must not compare imports;
//! that was done before, with a version that must still hold.

use std::sync::Arc;

use crate::core::alert::Alert;
use crate::core::bind::{Binding, Subject, bind};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::IdFeed;
use crate::core::input::{CmdbImported, Rebound};
use crate::core::reason::Reason;

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
pub(super) fn compare(world: World<'_>, alerts: &[Rebound], ids: &mut IdFeed) -> Decision {
    let mut decision = Decision::because(Reason::AlertsRebound);
    for rebound in alerts {
        let Some(alert) = world.state.alert(rebound.alert) else {
            continue;
        };
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
            change(world, &mut decision, ids, alert, &binding);
        }
        decision.change(Change::AlertBound {
            alert: alert.id,
            binding: Arc::new(binding),
        });
    }
    decision
}

fn change(
    world: World<'_>,
    decision: &mut Decision,
    ids: &mut IdFeed,
    alert: &Alert,
    binding: &Binding,
) {
    let name = |ci| {
        world
            .state
            .graph()
            .ci(ci)
            .map_or("no longer known", |ci| ci.id.as_str())
    };
    let before = alert.ci.map_or("no CI", name);
    let after = binding.ci.map_or("no CI", name);
    let incident = alert.incident.and_then(|id| world.state.incident(id));
    let entry = decision.entry(ids, incident, Some(alert.id), Reason::BindingChanged);
    entry.note = Some(format!("{before} to {after}").into());
    decision.change(Change::AlertChanged(Alert {
        ci: binding.ci,
        ..alert.clone()
    }));
}
