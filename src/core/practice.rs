//! What the state holds of each incident besides its record: where its priority comes from, its service level clocks,
//! and the labels that conditions look at.
//!
//! Must not decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::condition::Labels;
use crate::core::ids::IncidentId;
use crate::core::outcome::{CostRules, OutcomeState};
use crate::core::priority::{PriorityRules, Standings};
use crate::core::sla::{SlaRules, SlaState};
use crate::core::time::Timestamp;

/// How soon people must act, and how long it may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PracticeRules {
    /// `[priority]`
    pub priority: PriorityRules,
    /// `[[sla]]` and `[[calendar]]`
    pub sla: SlaRules,
    /// `[report]`
    pub cost: CostRules,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Practice {
    /// Where priorities come from.
    pub standings: Standings,
    /// The service level clocks.
    pub sla: SlaState,
    /// Which incidents were escalated, and who rated them.
    pub outcomes: OutcomeState,
    labels: BTreeMap<IncidentId, Labels>,
}

/// Labels are looked up again when they are needed.
impl PartialEq for Practice {
    fn eq(&self, other: &Self) -> bool {
        self.standings == other.standings
            && self.sla == other.sla
            && self.outcomes == other.outcomes
    }
}

impl Practice {
    /// The labels of the alert that an incident was opened for, if some condition looks at them.
    pub fn labels_of(&self, incident: IncidentId) -> &[(SmolStr, SmolStr)] {
        self.labels.get(&incident).map_or(&[], |labels| labels)
    }

    /// Keeps the labels of the alert that an incident was opened for; also used to load.
    pub fn keep_labels(&mut self, incident: IncidentId, labels: &Labels) {
        self.labels.insert(incident, Arc::clone(labels));
    }

    /// When time alone has something to do here.
    pub fn next_due(&self) -> Option<Timestamp> {
        let dues = [self.standings.next_due(), self.sla.next_due()];
        dues.into_iter().flatten().min()
    }

    /// Lets go of an incident that is closed for good.
    pub fn forget(&mut self, incident: IncidentId) {
        self.standings.forget(incident);
        self.sla.forget(incident);
        self.outcomes.forget(incident);
        self.labels.remove(&incident);
    }
}
