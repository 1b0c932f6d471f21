//! Causes that have no alert themselves: inferred from what depends on them.
//!
//! A silent cause must pay for itself: every condition that it explains, and that nothing with an alert explains,
//! speaks for it; that it is silent, and every direct dependent that is well, speak against it. So a power feed is
//! not blamed for a dead switch, and a hub needs breadth. Must not count what has an alerted explanation already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::family::Family;
use crate::core::correlate::grove::Grove;
use crate::core::correlate::judge::{
    is_apart, judge, kind_of_silent as kind_of, recent_change, weight_for,
};
use crate::core::correlate::link::MOVED_MAX;
use crate::core::correlate::node::{LOOKS, Link, Node, NodeId};
use crate::core::correlate::weight::{
    ONE, for_family, log2, of_edge, of_evidence, of_families, times,
};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::time::{Span, Timestamp};

/// Conditions looked at for one silent cause.
const SUPPORTERS_MAX: usize = 200;
/// Causes looked at for one condition.
const CAUSES_MAX: usize = 16;
/// Distinct CIs that a silent cause must explain at least.
const CIS_MIN: usize = 3;
/// The same for one that was changed some time before, or that has no other dependents.
const CIS_MIN_CHANGED: usize = 2;
/// A change so long before what suffers from it is a suspect by itself.
const JUST_CHANGED: Span = Span::from_mins(6);
/// Weaker dependents say nothing about a silent cause.
const WEIGHT_MIN: u32 = 3_000;
/// What a silent cause explains less well than this is no support.
const SHARE_MIN: u32 = 3_000;
/// Conditions further apart in time have no common silent cause.
const WINDOW: Span = Span::from_mins(5);
/// How unlikely an unexplained condition is by chance: one in so many.
const CHANCE: u32 = 1_000;
/// The same beside an outage that explains more than is left.
const LEFT_OVER: u32 = 30;
/// CIs asked for their way from one cause to another.
const WITNESSES: usize = 4;
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
/// From this share on two CIs are enough, if they are all that depends on the cause.
const SURE_OF_TWO: u32 = 8_500;
/// The same for those that are inferred themselves, by more than two witnesses each.
const SURE_OF_SILENT: u32 = 7_000;
/// Effects less probable than this are not followed further.
const PASSED_ON: u32 = 5_000;

struct Support {
    net: i64,
    fan_in: usize,
    ci: CiNumber,
    nodes: Vec<(NodeId, u16)>,
    /// What each of its CIs says for it, in 1/1,024 bits.
    gains: BTreeMap<CiNumber, i64>,
    /// What speaks against it, its silence included.
    against: i64,
    is_slow: bool,
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
        if self.grove.is_tired() {
            return false;
        }
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
            if count >= least || is_just_changed(&self.grove, cause, node.onset) {
                causes.push((count, cause));
            }
        }
        causes.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        causes.truncate(CAUSES_MAX);
        let mut found: Vec<Support> = Vec::new();
        for (_, cause) in causes {
            found.extend(self.support(&node, cause));
        }
        found.sort_by_key(|it| (std::cmp::Reverse(it.net), it.fan_in, it.ci));
        let best = (0..found.len()).find(|&index| !self.is_explained_away(index, &found));
        let Some(best) = best.and_then(|index| found.get(index)) else {
            return false;
        };
        self.materialise(best);
        self.grove.node(id).is_some_and(|node| node.link.is_some())
    }

    /// Whether causes further down explain what a cause explains, and better: a dead switch needs no dead router above
    /// it, and what is left must pay for the router by itself.
    fn is_explained_away(&self, index: usize, found: &[Support]) -> bool {
        let Some(cause) = found.get(index) else {
            return false;
        };
        let mut covered: BTreeSet<CiNumber> = BTreeSet::new();
        let mut total = 0_i64;
        for (place, other) in found.iter().enumerate() {
            let is_below = place != index && self.is_below(other, cause.ci);
            if !is_below {
                continue;
            }
            let fresh = other.gains.iter().filter(|(ci, _)| !covered.contains(ci));
            let gain: i64 = fresh.map(|(_, gain)| gain).sum();
            let net = gain.saturating_sub(other.against);
            if net > 0 {
                total = total.saturating_add(net);
                covered.extend(other.gains.keys());
            }
        }
        total > 0 && {
            let left = cause.gains.iter().filter(|(ci, _)| !covered.contains(ci));
            let left: i64 = left.map(|(_, gain)| gain).sum();
            // What is left over may as well have causes of its own.
            total.saturating_add(left / 2) >= cause.net
        }
    }

    fn support(&self, node: &Node, cause: CiNumber) -> Option<Support> {
        let graph = self.grove.graph();
        if self.is_speaking(node, cause) || graph.ci(cause).is_none_or(|ci| ci.is_retired) {
            return None;
        }
        let watchers = self.grove.watchers(cause, SUPPORTERS_MAX);
        let supporters: Vec<(&Node, u16)> = watchers
            .iter()
            .filter_map(|&(id, weight)| Some((self.grove.node(id)?, weight)))
            .filter(|(other, _)| self.is_supporter(node, other))
            .collect();
        let soft = supporters.iter().filter(|(it, _)| is_soft(it)).count();
        let is_slow = soft > supporters.len().saturating_sub(soft).saturating_mul(2);
        let speaking = self.speaking(cause, &watchers, node.onset);
        let explained = speaking.saturating_sub(supporters.len().saturating_mul(2));
        let mut nodes = Vec::new();
        let mut gains: BTreeMap<CiNumber, i64> = BTreeMap::new();
        let mut first = node.onset;
        let mut are_sure = true;
        for (other, weight) in supporters {
            let kind = kind_of(&self.grove, other, cause);
            let for_it = weight_for(&self.grove, other, cause, weight);
            let share = times(for_it, kind);
            let bits = self.bits(other.id, share, explained);
            let is_other_kind = is_slow && !is_soft(other) || self.has_own_cause(other, cause);
            if share < SHARE_MIN || is_other_kind || bits <= 0 {
                continue;
            }
            let Some(ci) = other.ci else {
                continue;
            };
            let gain = gains.entry(ci).or_insert(0);
            *gain = (*gain).max(i64::from(bits));
            are_sure &= match other.is_silent() {
                true => share >= SURE_OF_SILENT,
                false => other.family.is_hard() && share >= SURE_OF_TWO,
            };
            first = first.min(other.onset);
            nodes.push((other.id, weight));
        }
        let is_changed = recent_change(&self.grove, cause, first).is_some();
        let fan_in = graph.dependents(cause).len();
        let are_all = are_sure && fan_in <= gains.len();
        let is_just_changed = is_just_changed(&self.grove, cause, first);
        let least = match (is_just_changed, is_changed || are_all) {
            (true, _) => 1,
            (false, true) => CIS_MIN_CHANGED,
            (false, false) => CIS_MIN,
        };
        if gains.len() < least {
            return None;
        }
        let is_concluded = fan_in == 0 && node.watcher != Some(cause);
        let silence = match is_just_changed {
            true => SILENCE / 4,
            false => silence(is_changed, is_concluded),
        };
        let against = self.against(cause, speaking, first);
        let against = against.saturating_add(i64::from(silence));
        let gain: i64 = gains.values().sum();
        let net = gain.saturating_sub(against);
        (net > 2 * 1_024).then_some(Support {
            net,
            fan_in,
            ci: cause,
            nodes,
            gains,
            against,
            is_slow,
        })
    }

    /// Whether a cause has an alert that may explain a condition, or is inferred already.
    fn is_speaking(&self, node: &Node, cause: CiNumber) -> bool {
        let nodes = self.grove.nodes_at(cause).into_iter();
        let mut nodes = nodes.filter_map(|id| self.grove.node(id));
        nodes.any(|there| {
            let may_explain = of_families(node.family, there.family) >= SHARE_MIN;
            !there.has_ended() && (may_explain || there.is_silent())
        })
    }

    /// Whether a change explains a condition that would not be gone with the cause.
    fn has_own_cause(&self, node: &Node, cause: CiNumber) -> bool {
        let reach = node.ci.and_then(|own| self.grove.reach_of(own, cause));
        let is_below = reach.is_some_and(|reach| reach.is_hard) && node.family.is_hard();
        node.change.is_some() && !is_below
    }

    /// What one condition says for a cause, in 1/1,024 bits. Beside an outage that is explained already, one that stands
    /// alone is most probably a part of it whose relation the CMDB lacks, and says little for anything else.
    fn bits(&self, id: NodeId, share: u32, explained: usize) -> i32 {
        let is_left_over = explained > 0 && !self.grove.has_children(id);
        let chance = if is_left_over { LEFT_OVER } else { CHANCE };
        log2(share).saturating_sub(log2(10_000 / chance))
    }

    /// Whether a cause lies on the way from what it explains to another cause.
    fn is_below(&self, cause: &Support, other: CiNumber) -> bool {
        let some = cause.gains.keys().take(WITNESSES);
        let mut paths = some.map(|&ci| self.grove.path(ci, other));
        paths.any(|path| path.contains(&cause.ci) && path.last() != Some(&cause.ci))
    }

    /// How many CIs that depend on a cause say that something is wrong, whatever explains them.
    fn speaking(&self, cause: CiNumber, watchers: &[(NodeId, u16)], at: Timestamp) -> usize {
        let nodes = watchers.iter().filter_map(|&(id, weight)| {
            let node = self
                .grove
                .node(id)
                .filter(|_| u32::from(weight) >= WEIGHT_MIN)?;
            let is_of_it = node.onset.since(at).abs() <= WINDOW
                && !node.has_ended()
                && node.ci != Some(cause)
                && node.family != Family::Config;
            node.ci.filter(|_| is_of_it && !node.is_silent())
        });
        nodes.collect::<BTreeSet<CiNumber>>().len()
    }

    /// What the silence of those that should suffer says against a cause, in 1/1,024 bits.
    fn against(&self, cause: CiNumber, speaking: usize, first: Timestamp) -> i64 {
        // Not by `times`: a site is more than its numbers hold.
        let suffering = i64::from(population(self.grove.graph(), cause));
        let expected = suffering * i64::from(SPEAKING) / i64::from(ONE) / 10;
        let seen = i64::try_from(speaking).unwrap_or(0) * 1_000;
        let well = expected.saturating_sub(seen).max(0);
        // Monitors need minutes to notice: early on, silence of the others says little.
        let age = self.now.since(first).as_millis().clamp(30_000, 150_000);
        well.saturating_mul(WELL) / 1_000 * age / 150_000
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
        node.is_slow = found.is_slow;
        self.grove.put(node);
        for (index, &(child, weight)) in found.nodes.iter().enumerate() {
            if self.grove.is_tired() && index >= CIS_MIN {
                self.fall_behind(id);
                break;
            }
            let pair = self.grove.node(child).zip(self.grove.node(id));
            let Some((below, above)) = pair else {
                continue;
            };
            let judgement = judge(&self.grove, below, above, u32::from(weight));
            self.hang(child, id, judgement, judgement.score.max(1));
        }
        // Two dead hosts may be all that hangs on one dead switch.
        if !self.relink(id) {
            self.infer_silent(id);
        }
    }

    /// Dissolves a silent cause that nothing is left of; of others it is asked soon whether they are worth it.
    pub(crate) fn thin_out(&mut self, id: NodeId) {
        let Some(node) = self.grove.node(id).filter(|node| node.is_silent()) else {
            return;
        };
        let least = least_of(node);
        let children = self.grove.children(id);
        let now = self.now;
        if children.len() >= least {
            if let Some(node) = self.grove.edit(id) {
                node.due_at = Some(now);
            }
            return;
        }
        for child in children {
            self.grove.link(child, None);
        }
        self.grove.forget(id);
    }

    /// Dissolves a silent cause that is not worth it any more: what it explained goes its own ways.
    pub(crate) fn weigh_again(&mut self, id: NodeId) {
        let Some(node) = self.grove.node(id).filter(|node| node.is_silent()).cloned() else {
            return;
        };
        let children = self.grove.children(id);
        let least = least_of(&node);
        if children.len() < least {
            self.thin_out(id);
        } else if !self.is_paid(&node, &children) {
            for &child in &children {
                self.grove.link(child, None);
            }
            self.grove.forget(id);
            self.release(&children, node.incident);
        }
    }

    /// Whether what a silent cause explains is still worth that it is believed.
    fn is_paid(&self, node: &Node, children: &[NodeId]) -> bool {
        let Some(cause) = node.ci.filter(|_| !self.grove.is_tired()) else {
            return true;
        };
        let mut gains: BTreeMap<CiNumber, i64> = BTreeMap::new();
        let watchers = self.grove.watchers(cause, SUPPORTERS_MAX);
        if watchers.len() >= SUPPORTERS_MAX {
            return true;
        }
        let speaking = self.speaking(cause, &watchers, node.onset);
        let explained = speaking.saturating_sub(children.len().saturating_mul(2));
        for child in children.iter().filter_map(|&child| self.grove.node(child)) {
            let reach = child.ci.and_then(|own| self.grove.reach_of(own, cause));
            let (Some(ci), Some(reach)) = (child.ci, reach) else {
                // Joined by other evidence: it says as much as the least.
                continue;
            };
            let kind = kind_of(&self.grove, child, cause);
            let share = times(weight_for(&self.grove, child, cause, reach.weight), kind);
            let bits = self.bits(child.id, share, explained);
            let gain = gains.entry(ci).or_insert(0);
            *gain = (*gain).max(i64::from(bits.max(0)));
        }
        if gains.is_empty() {
            return true;
        }
        let gain: i64 = gains.values().sum();
        gain > self.against(cause, speaking, node.onset)
    }

    /// Lets trees that a dissolved cause held together go their own ways; the largest keeps the incident.
    fn release(&mut self, roots: &[NodeId], from: IncidentId) {
        let mut left = Vec::new();
        for &root in roots {
            let is_there = self.grove.node(root).is_some_and(|it| it.incident == from);
            if is_there && !self.relink(root) {
                left.push((self.grove.subtree(root, MOVED_MAX), root));
            }
        }
        let largest = left
            .iter()
            .map(|(tree, root)| (tree.len(), std::cmp::Reverse(*root)))
            .max();
        for (tree, root) in left {
            let is_largest = largest.is_some_and(|(_, std::cmp::Reverse(it))| it == root);
            let is_held = |id: &NodeId| self.grove.node(*id).is_some_and(|it| it.is_pinned);
            if is_largest || tree.len() >= MOVED_MAX || tree.iter().any(is_held) {
                continue;
            }
            let now = self.now;
            if let Some(node) = self.grove.edit(root) {
                node.looks = 0;
                node.due_at = (!node.has_ended())
                    .then(|| now.plus(LOOKS[0]))
                    .or(node.due_at);
            }
            if tree.len() >= self.grove.count_in(from) {
                continue;
            }
            let into = self.open_for(root, Some(from));
            for id in tree {
                self.grove.move_to(id, into);
            }
        }
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
        // It is the same incident as before: nothing has to move.
        let is_new = self.provisional == Some(node.incident);
        if is_new && self.is_open(veiled.incident) && !self.is_barred(&[id], veiled.incident) {
            self.grove.move_to(id, veiled.incident);
        }
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

/// How many conditions an inferred cause must have to be kept.
fn least_of(node: &Node) -> usize {
    if node.change.is_some() {
        1
    } else {
        CIS_MIN_CHANGED
    }
}

/// Whether a CI was changed so shortly before a condition began that a single witness is enough.
fn is_just_changed(grove: &Grove<'_>, cause: CiNumber, onset: Timestamp) -> bool {
    let mut changes = grove.changes(cause).iter();
    changes.any(|change| {
        let before = onset.since(change.at);
        before <= JUST_CHANGED && before >= Span::from_mins(-1)
    })
}

/// Whether a condition says that something does badly, not that it is gone.
fn is_soft(node: &Node) -> bool {
    node.family == Family::Symptom || node.family == Family::Resource
}

/// What it costs that a cause fails without a word, in 1/1,024 bits; more when that something depends on it at all is
/// only concluded.
const fn silence(is_changed: bool, is_concluded: bool) -> i32 {
    match (is_changed, is_concluded) {
        (true, _) => SILENCE / 2,
        (false, true) => SILENCE + SILENCE / 4,
        (false, false) => SILENCE,
    }
}
