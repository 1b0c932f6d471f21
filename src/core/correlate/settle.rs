//! From conditions to incidents: alerts follow their nodes, incidents that lose all of theirs are merged away.
//!
//! Done once at the end of a decision, so that what moves to and fro within it leaves no trace. Must not decide what
//! belongs together.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::alert::Alert;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::IncidentState;
use crate::core::reason::Reason;

/// Alerts that get an entry of their own in the timeline when they move; of a larger crowd only the merge is told.
const TOLD_MAX: usize = 20;

impl Draft<'_> {
    /// Brings the incidents in step with the nodes.
    pub(crate) fn settle(&mut self) {
        if !self.grove.is_touched() {
            return;
        }
        let mut moves: Vec<(AlertId, IncidentId)> = Vec::new();
        let mut into: BTreeMap<IncidentId, IncidentId> = BTreeMap::new();
        let mut concerned: BTreeSet<IncidentId> = BTreeSet::new();
        for id in self.grove.touched() {
            if let Some(before) = self.world.state.forest().node(id) {
                concerned.insert(before.incident);
            }
            let Some(node) = self.grove.node(id) else {
                continue;
            };
            concerned.insert(node.incident);
            for &alert in &node.alerts {
                moves.push((alert, node.incident));
            }
        }
        moves.retain(|&(alert, to)| {
            let from = self.held(alert).and_then(|alert| alert.incident);
            from.is_some_and(|from| from != to)
        });
        moves.sort_unstable();
        let is_crowd = moves.len() > TOLD_MAX;
        for (alert, to) in moves {
            if let Some(alert) = self.held(alert).cloned() {
                if let Some(from) = alert.incident {
                    into.insert(from, to);
                }
                self.regroup(alert, to, is_crowd);
            }
        }
        for (from, to) in into {
            self.merge_away(from, to);
        }
        for incident in concerned {
            self.assess(incident);
        }
    }

    /// An alert's record as this decision leaves it.
    pub(crate) fn held(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id).or_else(|| self.world.state.alert(id))
    }

    /// Moves an alert from one open incident to another.
    pub(crate) fn regroup(&mut self, mut alert: Alert, to: IncidentId, is_crowd: bool) {
        let (id, now) = (alert.id, self.now);
        let Some(from) = alert.incident.replace(to) else {
            return;
        };
        let (is_firing, severity) = (alert.is_firing(), alert.severity);
        self.decision.change(Change::AlertMoved {
            incident: from,
            alert: id,
        });
        let recover_after = self.world.rules.incident.recover_after;
        if let Some(incident) = self.touch(from) {
            incident.total = incident.total.saturating_sub(1);
            if is_firing {
                incident.firing = incident.firing.saturating_sub(1);
            }
            if incident.firing == 0 && incident.state.is_open() {
                incident.recovers_at.get_or_insert(now.plus(recover_after));
            }
        }
        if let Some(incident) = self.touch(to) {
            incident.grow(now);
            if is_firing {
                incident.firing = incident.firing.saturating_add(1);
                incident.recovers_at = None;
            }
        }
        self.regrade(to, severity, id);
        self.joins.push(Change::AlertJoined {
            incident: to,
            alert: id,
            at: now,
        });
        if !is_crowd {
            let node = self.grove.node_of(id);
            let node = node.and_then(|node| self.grove.node(node));
            let why = node.and_then(|node| node.link.as_ref().map(|link| link.why.clone()));
            let entry = self.say(Some(to), Some(id), Reason::AlertMoved);
            entry.note = why.or_else(|| Some(format!("from {from}").into()));
        }
        self.put_alert(alert);
    }

    /// Closes an incident whose alerts have all gone to another one.
    pub(crate) fn merge_away(&mut self, from: IncidentId, to: IncidentId) {
        let is_left = self.grove.count_in(from) > 0;
        let Some(incident) = self.peek(from) else {
            return;
        };
        if is_left || incident.firing > 0 || !incident.state.is_open() {
            return;
        }
        self.close_merged(from, to);
        self.say(Some(from), None, Reason::IncidentMerged).note = Some(format!("into {to}").into());
        self.say(Some(to), None, Reason::IncidentAbsorbed).note = Some(format!("{from}").into());
    }

    /// Closes an incident in favour of another one.
    pub(crate) fn close_merged(&mut self, from: IncidentId, to: IncidentId) {
        let now = self.now;
        let reopenable_until = now.plus(self.world.rules.incident.reopen_window);
        let owner = self.peek(from).and_then(|incident| incident.owner.clone());
        if let Some(incident) = self.touch(from) {
            incident.enter(IncidentState::Closed { reopenable_until }, now);
            incident.merged_into = Some(to);
        }
        // Work that was begun on the merged one goes on.
        if let Some(owner) = owner
            && let Some(incident) = self.touch(to)
        {
            incident.owner.get_or_insert(owner);
        }
    }

    /// The incident that took over, if this one was merged.
    pub(crate) fn survivor(&self, id: IncidentId) -> IncidentId {
        let mut at = id;
        for _ in 0..32 {
            match self.peek(at).and_then(|incident| incident.merged_into) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }
}
