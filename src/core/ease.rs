//! What was worst of an incident has ended, and other things of it fire on.
//!
//! Its severity and priority then fall, once that has lasted for a while. Must not raise anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::alert::Alert;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::severity::Severity;

/// Alerts that are looked through for another one that is as bad; of a larger crowd it is seen when the fall is due.
const LOOKED_AT_MAX: usize = 1_000;

/// Alerts as a decision leaves them.
type Said<'a> = BTreeMap<AlertId, &'a Alert>;

impl Draft<'_> {
    /// Notes which incidents may fall because of what this decision ends.
    pub(super) fn ease(&mut self) {
        let state = self.world.state;
        let mut eased: BTreeSet<IncidentId> = BTreeSet::new();
        for change in &self.decision.changes {
            let Change::AlertChanged(alert) = change else {
                continue;
            };
            let Some(before) = state.alert(alert.id).filter(|before| before.is_firing()) else {
                continue;
            };
            let is_better = !alert.is_firing() || alert.severity > before.severity;
            let incident = alert.incident.and_then(|id| self.peek(id));
            let was_worst = |incident: &&crate::core::incident::Incident| {
                incident.severity == before.severity
                    && incident.state.is_open()
                    && incident.firing > 0
                    && incident.total > 1
            };
            if is_better && let Some(incident) = incident.filter(was_worst) {
                eased.insert(incident.id);
            }
        }
        let said = said_alerts(&self.decision);
        let better: Vec<_> = eased
            .into_iter()
            .filter(|id| !self.is_as_bad_by(*id, &said))
            .collect();
        for id in better {
            self.lower_later(id);
        }
    }

    /// Whether something that is as bad as the incident is said to be fires in it.
    pub(super) fn is_as_bad(&self, id: IncidentId) -> bool {
        self.is_as_bad_by(id, &said_alerts(&self.decision))
    }

    fn is_as_bad_by(&self, id: IncidentId, said: &Said<'_>) -> bool {
        let Some(severity) = self.peek(id).map(|incident| incident.severity) else {
            return false;
        };
        let members = self.world.state.alerts_of(id).iter().rev();
        let mut members = members.take(LOOKED_AT_MAX);
        members.any(|alert| self.firing_in(id, *alert, said) == Some(severity))
            || joined(said, id).any(|it| it.severity == severity)
    }

    /// The worst of what fires in an incident.
    pub(super) fn worst_of(&self, id: IncidentId) -> Option<Severity> {
        let said = said_alerts(&self.decision);
        let members = self.world.state.alerts_of(id).iter();
        let severities = members.filter_map(|alert| self.firing_in(id, *alert, &said));
        severities
            .chain(joined(&said, id).map(|it| it.severity))
            .min()
    }

    /// How bad an alert is, if it fires in an incident as this decision leaves it.
    fn firing_in(&self, id: IncidentId, alert: AlertId, said: &Said<'_>) -> Option<Severity> {
        let said = said.get(&alert).copied();
        let alert = said.or_else(|| self.world.state.alert(alert))?;
        (alert.is_firing() && alert.incident == Some(id)).then_some(alert.severity)
    }
}

/// The alerts of the decision that makes them so, by number.
fn said_alerts(decision: &Decision) -> Said<'_> {
    let alerts = decision.changes.iter().filter_map(|change| {
        if let Change::AlertAdded { alert, .. } | Change::AlertChanged(alert) = change {
            Some((alert.id, alert))
        } else {
            None
        }
    });
    alerts.collect()
}

/// The alerts of a decision that fire in an incident by it.
fn joined<'a>(said: &Said<'a>, id: IncidentId) -> impl Iterator<Item = &'a Alert> {
    let alerts = said.values().copied();
    alerts.filter(move |it| it.is_firing() && it.incident == Some(id))
}
