//! Causes that have no alert themselves: inferred from what depends on them.
//!
//! A silent cause must pay for itself: every condition that it explains, and that nothing with an alert explains,
//! speaks for it; that it is silent, and every direct dependent that is well, speak against it. So a power feed is
//! not blamed for a dead switch, and a hub needs breadth. Must not count what has an alerted explanation already.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::family::Family;
use crate::core::correlate::judge::{
    is_apart, judge, kind_of_silent as kind_of, recent_change, weight_for,
};
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::weight::{
    ONE, for_family, log2, of_edge, of_evidence, of_families, times,
};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::time::Span;

/// Conditions looked at for one silent cause.
const SUPPORTERS_MAX: usize = 200;
/// Causes looked at for one condition.
const CAUSES_MAX: usize = 16;
/// Distinct CIs that a silent cause must explain at least.
const CIS_MIN: usize = 3;
/// The same for one that was changed shortly before.
const CIS_MIN_CHANGED: usize = 2;
/// Weaker dependents say nothing about a silent cause.
const WEIGHT_MIN: u32 = 3_000;
/// What a silent cause explains less well than this is no support.
const SHARE_MIN: u32 = 3_000;
/// Conditions further apart in time have no common silent cause.
const WINDOW: Span = Span::from_mins(5);
/// How unlikely an unexplained condition is by chance: one in so many.
const CHANCE: u32 = 1_000;
/// What it costs that a CI fails without a word, in 1/1,024 bits.
const SILENCE: i32 = 16 * 1_024;
/// What a dependent that should have spoken and did not costs, in 1/1,024 bits.
const WELL: i64 = 1_500;
/// How many of those that suffer are expected to speak, in 1/10,000.
const SPEAKING: u32 = 7_000;
/// Dependents looked at to estimate how many would suffer; more do not matter any more.
const ASKED_MAX: usize = 400;
/// Conditions that move from a silent cause to the alert that turns up at its CI.
const UNVEILED_MAX: usize = 200;
/// Effects less probable than this are not followed further.
const PASSED_ON: u32 = 5_000;

struct Support {
    net: i64,
    fan_in: usize,
    ci: CiNumber,
    nodes: Vec<(NodeId, u16)>,
}

/// About how many CIs suffer when this one fails, in 1/10,000: a bounded walk towards the dependents.
fn population(graph: &Graph, cause: CiNumber) -> u32 {
    let mut sum = 0_u32;
    let mut seen = BTreeSet::from([cause]);
    let mut open = std::collections::VecDeque::from([(cause, ONE)]);
    while let Some((at, weight)) = open.pop_front() {
        for edge in graph.dependents(at).iter().take(ASKED_MAX) {
            if seen.len() > ASKED_MAX || !seen.insert(edge.ci) {
                continue;
            }
            let edges = graph.providers(edge.ci);
            let own = edges.iter().filter(|back| back.ci == at);
            let share = own.map(|back| of_edge(back, edges)).max().unwrap_or(0);
            let further = times(weight, share);
            sum = sum.saturating_add(further);
            if further >= PASSED_ON {
                open.push_back((edge.ci, further));
            }
        }
    }
    sum
}

impl Draft<'_> {
    /// Looks for a silent cause of an unexplained node; says whether one was found.
    pub(crate) fn infer_silent(&mut self, id: NodeId) -> bool {
        let Some(node) = self.grove.node(id).cloned() else {
            return false;
        };
        let Some(ci) = node
            .ci
            .filter(|_| of_families(node.family, Family::Silent) > 0)
        else {
            return false;
        };
        let upstream = self.grove.upstream(ci);
        let mut causes: Vec<(u32, CiNumber)> = Vec::new();
        let least = u32::try_from(CIS_MIN_CHANGED).unwrap_or(u32::MAX);
        let reaches = upstream.iter().filter(|reach| {
            for_family(node.family, u32::from(reach.weight), reach.is_power) >= WEIGHT_MIN
        });
        for cause in reaches.map(|reach| reach.ci).chain(node.watcher) {
            let count = self.grove.unexplained(cause);
            if count >= least {
                causes.push((count, cause));
            }
        }
        causes.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        causes.truncate(CAUSES_MAX);
        let mut best: Option<Support> = None;
        for (_, cause) in causes {
            let Some(found) = self.support(&node, cause) else {
                continue;
            };
            let is_better = best.as_ref().is_none_or(|best| {
                (found.net, best.fan_in, best.ci) > (best.net, found.fan_in, found.ci)
            });
            if is_better {
                best = Some(found);
            }
        }
        let Some(found) = best else {
            return false;
        };
        self.materialise(&found);
        self.grove.node(id).is_some_and(|node| node.link.is_some())
    }

    fn support(&self, node: &Node, cause: CiNumber) -> Option<Support> {
        let graph = self.grove.graph();
        let is_speaking = self.grove.nodes_at(cause).into_iter().any(|id| {
            let there = self.grove.node(id);
            there.is_some_and(|there| there.family != Family::Config && !there.has_ended())
        });
        if is_speaking || graph.ci(cause).is_none_or(|ci| ci.is_retired) {
            return None;
        }
        let mut nodes = Vec::new();
        let mut cis = BTreeSet::new();
        let mut gain = 0_i64;
        let mut first = node.onset;
        for (id, weight) in self.grove.watchers(cause, SUPPORTERS_MAX) {
            let Some(other) = self.grove.node(id) else {
                continue;
            };
            if !self.is_supporter(node, other) {
                continue;
            }
            let kind = kind_of(&self.grove, other, cause);
            let weight_for = weight_for(&self.grove, other, cause, weight);
            let share = times(weight_for, kind);
            if share < SHARE_MIN {
                continue;
            }
            let bits = log2(share).saturating_sub(log2(10_000 / CHANCE));
            let Some(ci) = other.ci.filter(|_| bits > 0) else {
                continue;
            };
            if cis.insert(ci) {
                gain = gain.saturating_add(i64::from(bits));
            }
            first = first.min(other.onset);
            nodes.push((id, weight));
        }
        let is_changed = recent_change(&self.grove, cause, first).is_some();
        if cis.len() < if is_changed { CIS_MIN_CHANGED } else { CIS_MIN } {
            return None;
        }
        let fan_in = graph.dependents(cause).len();
        let expected = i64::from(times(population(graph, cause), SPEAKING)) / 10;
        let seen = i64::try_from(cis.len()).unwrap_or(0) * 1_000;
        let well = expected.saturating_sub(seen).max(0);
        // Monitors need minutes to notice: early on, silence of the others says little.
        let age = self.now.since(first).as_millis().clamp(30_000, 150_000);
        let against = well.saturating_mul(WELL) / 1_000;
        let against = against.saturating_mul(age) / 150_000;
        let silence = match (is_changed, fan_in) {
            (true, _) => SILENCE / 2,
            // That something depends on it at all is only concluded.
            (false, 0) if node.watcher != Some(cause) => SILENCE * 2,
            (false, _) => SILENCE,
        };
        let net = gain
            .saturating_sub(i64::from(silence))
            .saturating_sub(against);
        (net > 2 * 1_024).then_some(Support {
            net,
            fan_in,
            ci: cause,
            nodes,
        })
    }

    fn is_supporter(&self, node: &Node, other: &Node) -> bool {
        let apart = other.onset.since(node.onset).abs();
        other.link.is_none()
            && !other.has_ended()
            && !other.is_pinned
            && apart <= WINDOW
            && of_families(other.family, Family::Silent) > 0
            && !is_apart(node, other)
            && self.is_open(other.incident)
    }

    /// Makes a silent cause a node of its own and hangs its supporters below it.
    fn materialise(&mut self, found: &Support) {
        let supporters = found.nodes.iter();
        let nodes = supporters.filter_map(|&(id, _)| self.grove.node(id));
        let nodes: Vec<_> = nodes
            .map(|node| (node.onset, node.incident, node.scope))
            .collect();
        let Some(onset) = nodes.iter().map(|&(onset, _, _)| onset).min() else {
            return;
        };
        let Some(incident) = nodes.iter().map(|&(_, incident, _)| incident).min() else {
            return;
        };
        let id = NodeId::of_silent(found.ci);
        let evidence = u16::try_from(of_evidence(Family::Silent)).unwrap_or(u16::MAX);
        let mut node = self.blank(id, Family::Silent, onset, incident);
        node.ci = Some(found.ci);
        node.evidence = evidence;
        node.scope = nodes.iter().map(|&(_, _, scope)| scope).max().unwrap_or(0);
        node.change = recent_change(&self.grove, found.ci, onset);
        self.grove.put(node);
        for (index, &(child, weight)) in found.nodes.iter().enumerate() {
            if self.grove.is_tired() && index >= CIS_MIN {
                break;
            }
            let pair = self.grove.node(child).zip(self.grove.node(id));
            let Some((below, above)) = pair else {
                continue;
            };
            let judgement = judge(&self.grove, below, above, u32::from(weight));
            self.hang(child, id, judgement, judgement.score.max(1));
        }
        self.relink(id);
    }

    /// Dissolves a silent cause that has lost its support.
    pub(crate) fn thin_out(&mut self, id: NodeId) {
        let is_silent = self.grove.node(id).is_some_and(Node::is_silent);
        if !is_silent {
            return;
        }
        let children = self.grove.children(id);
        if children.len() >= 2 {
            return;
        }
        for child in children {
            if let Some(node) = self.grove.edit(child) {
                node.link = None;
            }
        }
        self.grove.forget(id);
    }

    /// Gives the children of a silent cause to a condition with an alert that has come up on the same CI.
    pub(crate) fn unveil(&mut self, id: NodeId) {
        let Some(node) = self.grove.node(id) else {
            return;
        };
        let may_explain = of_families(Family::Symptom, node.family) >= 9_000;
        let Some(ci) = node.ci.filter(|_| may_explain) else {
            return;
        };
        let silent = NodeId::of_silent(ci);
        let Some(veiled) = self.grove.node(silent).cloned() else {
            return;
        };
        let children = self.grove.children(silent);
        if children.len() > UNVEILED_MAX {
            // Too many to move: it goes on as a part of what it turned out to be.
            let why = format!(
                "{} has an alert of its own by now.",
                words::of_node(self.grove.graph(), &veiled)
            );
            let link = Link {
                parent: id,
                score: 10_000,
                why: Arc::from(why),
            };
            self.hang_by(silent, link);
            return;
        }
        for child in children {
            let held = self.grove.node(child).and_then(|child| child.link.clone());
            let Some(held) = held else {
                continue;
            };
            let why = format!("{} It has an alert of its own by now.", held.why.trim_end());
            let link = Link {
                parent: id,
                score: held.score,
                why: Arc::from(why),
            };
            self.hang_by(child, link);
        }
        if let Some(link) = veiled.link
            && self.grove.node(id).is_some_and(|node| node.link.is_none())
        {
            self.hang_by(id, link);
        }
        self.grove.forget(silent);
    }
}
