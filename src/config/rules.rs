//! Settings to the core's policy value.
//!
//! Must not decide anything: every field is copied, so that what is configured is what is obeyed.

use smol_str::SmolStr;

use crate::config::settings::{Settings, SourceSettings};
use crate::core::rules::{Rules, SourceRules};

/// The policy that these settings ask for.
pub fn rules(settings: &Settings) -> Rules {
    let named = |source: &SourceSettings| (SmolStr::from(&source.name), source_rules(source));
    Rules {
        correlation: settings.correlation.clone(),
        sources: settings.sources.iter().map(named).collect(),
        incident: settings.incident,
        settle: settings.settle,
        cmdb: settings.cmdb.clone(),
    }
}

fn source_rules(source: &SourceSettings) -> SourceRules {
    SourceRules {
        expire_after: source.expire_after,
        reorder_window: source.reorder_window,
        is_reconciled: source.reconcile.is_some(),
    }
}
