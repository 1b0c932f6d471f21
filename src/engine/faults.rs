//! Conditions that could not be evaluated, and the labels that conditions look at.
//!
//! A fault is counted each time and logged once per rule, until the rules change. Must not influence a decision.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::condition::Fault;
use crate::store::load::load_labels;
use crate::store::writer::WriteError;
use crate::telemetry::metrics::Metrics;

use super::Engine;

/// What was said about faults so far.
pub(super) struct Faults {
    metrics: Arc<Metrics>,
    told: BTreeSet<SmolStr>,
    /// Whether the labels of open incidents are held.
    has_labels: bool,
}

impl Faults {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            told: BTreeSet::new(),
            has_labels: false,
        }
    }

    /// Counts the faults of one decision.
    pub(super) fn note(&mut self, faults: &[Fault]) {
        for fault in faults {
            self.metrics.condition_errors(fault.section.word()).inc();
            if self.told.insert(fault.rule.clone()) {
                let (rule, message) = (&fault.rule, &fault.message);
                log::warn!(rule:% = rule; "the condition of {rule} cannot be evaluated and counts as false: {message}");
            }
        }
    }
}

impl Engine {
    /// Loads the labels of open incidents once some condition looks at them; decisions keep them up from then on.
    pub(super) async fn heed_labels(&mut self) -> Result<(), WriteError> {
        let wants_labels = {
            if self.rules.has_changed().unwrap_or(false) {
                self.faults.told.clear();
            }
            self.rules.borrow_and_update().read_labels()
        };
        if wants_labels == self.faults.has_labels {
            return Ok(());
        }
        if wants_labels {
            // Only what is committed can be read.
            self.settle().await?;
            let mut conn = self.db.connect().await?;
            load_labels(conn.lend(), self.partition, &mut self.state).await?;
        }
        self.faults.has_labels = wants_labels;
        Ok(())
    }

    /// Forgets which labels are held, with everything else that is.
    pub(super) fn drop_labels(&mut self) {
        self.faults.has_labels = false;
    }
}
