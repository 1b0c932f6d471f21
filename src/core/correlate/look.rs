//! Looking again: what nothing explains well is judged anew with what others have said since, and what is long over
//! is forgotten.
//!
//! Monitors notice one outage over minutes, so the first guess often lacks the witness that arrives next. Must not
//! handle more than [`LOOKS_PER_DECISION`] nodes at once.

use crate::core::correlate::node::{ENDED_NODE_KEPT, FLAP_WINDOW, LOOKS, Node, NodeId};
use smol_str::SmolStr;

use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::Incident;
use crate::core::reason::Reason;
use crate::core::severity::Severity;
use crate::core::time::Span;

/// Nodes looked at in one decision.
pub(crate) const LOOKS_PER_DECISION: usize = 200;
/// Explanations judged in one decision before further looks wait for the next one, which follows at once.
const WORK_PER_DECISION: usize = 10_000;
/// From this look on the outage that is going on may be taken for the cause of what has none.
const LATE_LOOK: u8 = 1;
/// Conditions that leave an incident which is over in one decision.
const EVICTED_PER_DECISION: usize = 50;
/// What is explained better than this needs no second look.
const SURE: u32 = 6_000;
/// How often a silent cause is looked at.
const SILENT_EVERY: Span = Span::from_mins(3);

impl Draft<'_> {
    /// Looks at the nodes whose time has come.
    pub(crate) fn look_at_due(&mut self) {
        let due = self.world.state.forest().due(self.now);
        let due: Vec<_> = due.take(LOOKS_PER_DECISION).collect();
        for id in due {
            self.look(id);
            if self.grove.work() >= WORK_PER_DECISION || self.grove.is_tired() {
                break;
            }
        }
    }

    fn look(&mut self, id: NodeId) {
        let Some(node) = self.grove.node(id) else {
            return;
        };
        if node.is_behind {
            self.catch_up(id);
        } else if node.is_silent() {
            self.look_at_silent(id);
        } else if node.has_ended() {
            self.look_at_ended(id);
        } else {
            self.look_again(id);
        }
    }

    fn look_again(&mut self, id: NodeId) {
        let is_joined = !self.is_enabled()
            || self.relink(id)
            || self.infer_silent(id)
            || self.join_crowd(id)
            || self.join_alike(id)
            || self.bridge(id);
        let looks = self.grove.node(id).map_or(0, |node| node.looks);
        if looks == LATE_LOOK {
            self.note_habit(id);
        }
        if !is_joined && !self.join_habit(id) && looks >= LATE_LOOK {
            self.join_company(id);
        }
        if let Some(node) = self.grove.edit(id) {
            node.looks = node.looks.saturating_add(1);
            let next = LOOKS.get(usize::from(node.looks)).copied();
            let next = next.filter(|_| node.score() < SURE);
            // What this very look left to be done comes first.
            if !node.is_behind {
                node.due_at = next.map(|age| node.heard_at.plus(age));
            }
        }
    }

    fn look_at_silent(&mut self, id: NodeId) {
        let now = self.now;
        let children = self.grove.children(id);
        let is_live = |child: &NodeId| self.grove.node(*child).is_some_and(|it| !it.has_ended());
        let live = children.iter().any(is_live);
        if children.is_empty() {
            self.grove.forget(id);
            return;
        }
        if self
            .grove
            .node(id)
            .is_some_and(|node| node.looks == LATE_LOOK)
        {
            self.note_habit(id);
        }
        if live {
            self.weigh_again(id);
            if self.grove.node(id).is_some() && !self.relink(id) && !self.infer_silent(id) {
                self.bridge(id);
            }
        } else {
            let is_done = self.grove.node(id).is_some_and(|node| self.is_done(node));
            if is_done {
                self.fell(id);
                return;
            }
        }
        if let Some(node) = self.grove.edit(id) {
            node.ended_at = if live {
                None
            } else {
                node.ended_at.or(Some(now))
            };
            node.looks = node.looks.saturating_add(1);
            let next = LOOKS.get(usize::from(node.looks)).copied();
            let next = next
                .map(|age| node.heard_at.plus(age))
                .filter(|&at| at > now);
            if !node.is_behind {
                node.due_at = Some(next.unwrap_or_else(|| now.plus(SILENT_EVERY)));
            }
        }
    }

    fn look_at_ended(&mut self, id: NodeId) {
        let now = self.now;
        // It was over before it was asked what came with it.
        if self
            .grove
            .node(id)
            .is_some_and(|node| node.looks <= LATE_LOOK)
        {
            self.note_habit(id);
        }
        if self.grove.node(id).is_some_and(|node| self.is_done(node)) {
            self.fell(id);
        } else if let Some(node) = self.grove.edit(id) {
            node.looks = node.looks.max(LATE_LOOK.saturating_add(1));
            node.due_at = Some(now.plus(FLAP_WINDOW));
        }
    }

    /// Whether nothing can come back to an ended node any more.
    fn is_done(&self, node: &Node) -> bool {
        let Some(ended_at) = node.ended_at else {
            return false;
        };
        let age = self.now.since(ended_at);
        age >= ENDED_NODE_KEPT || (age >= FLAP_WINDOW && !self.may_return_to(node.incident))
    }

    /// Notes at an alert's node that it has ended.
    pub(crate) fn end_at_node(&mut self, alert: AlertId) {
        let Some(id) = self.grove.node_of(alert) else {
            return;
        };
        let now = self.now;
        if let Some(node) = self.grove.edit(id) {
            node.firing = node.firing.saturating_sub(1);
            if node.firing == 0 {
                node.ended_at = Some(now);
                node.due_at = Some(now.plus(FLAP_WINDOW));
            }
        }
    }

    /// Whether an incident is over but for a few stragglers: its root has recovered, and nearly all members.
    pub(crate) fn is_nearly_over(&self, id: IncidentId) -> bool {
        let Some(incident) = self.peek(id) else {
            return false;
        };
        if incident.firing == 0 {
            return true;
        }
        if incident.firing.saturating_mul(20) > incident.total {
            return false;
        }
        let root = self.world.state.cause(id).and_then(|cause| cause.root_node);
        let Some(root) = root.and_then(|root| self.grove.node(root)) else {
            return false;
        };
        if root.is_silent() {
            let children = self.grove.children(root.id);
            let ended = children.iter().filter_map(|&child| self.grove.node(child));
            return ended.filter(|child| child.has_ended()).count() * 20 >= children.len() * 19;
        }
        root.has_ended()
    }

    /// Takes what still fires out of an incident that is nearly over: it hangs elsewhere, or is an incident of its own.
    /// Says whether all of it is out; of many the next decision, which follows at once, takes the next.
    pub(crate) fn evict_stragglers(&mut self, id: IncidentId) -> bool {
        let mut evicted = 0_usize;
        for node in self.grove.nodes_in(id) {
            let is_straggler = self.grove.node(node).is_some_and(|it| it.firing > 0);
            if !is_straggler {
                continue;
            }
            if evicted >= EVICTED_PER_DECISION || self.grove.is_tired() {
                return false;
            }
            evicted = evicted.saturating_add(1);
            self.evict(node, id);
        }
        true
    }

    /// Moves one node out of an incident.
    fn evict(&mut self, id: NodeId, from: IncidentId) {
        for child in self.grove.children(id) {
            if let Some(node) = self.grove.edit(child) {
                node.link = None;
            }
        }
        if let Some(node) = self.grove.edit(id) {
            node.link = None;
            node.is_pinned = false;
        }
        let to = self
            .best(id, Some(from))
            .and_then(|best| Some((best, self.grove.node(best.parent)?.incident)));
        match to {
            Some((best, to)) => {
                self.grove.move_to(id, to);
                self.hang(id, best.parent, best.judgement, best.support);
            }
            None => {
                let to = self.open_for(id, Some(from));
                self.grove.move_to(id, to);
            }
        }
    }

    /// Opens an incident for a node that is there already.
    pub(crate) fn open_for(&mut self, id: NodeId, previous: Option<IncidentId>) -> IncidentId {
        let alerts = self.grove.node(id).map(|node| node.alerts.clone());
        let alerts = alerts.unwrap_or_default();
        let held = alerts.iter().filter_map(|&alert| self.held(alert));
        let severity = held.map(|alert| alert.severity).min();
        let severity = severity.unwrap_or(Severity::Warning);
        let number = self.ids.incident();
        let mut incident = Incident::open(number, severity, self.now);
        incident.previous = previous;
        self.insert(incident);
        let name = self
            .grove
            .node(id)
            .map(|node| words::of_node(self.grove.graph(), node));
        self.title(number, name.map(SmolStr::from).as_ref());
        self.say(Some(number), alerts.first().copied(), Reason::StragglerLeft)
            .note = previous.map(|previous| format!("from {previous}").into());
        number
    }
}
