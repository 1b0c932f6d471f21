//! Which upstream condition best explains a condition, and hanging it there.
//!
//! Of the candidates those of one incident support each other: a service with three of five machines down belongs
//! where the three are. Moving from one explanation to another needs a clear gain, so that nothing swings to and fro.
//! Must not look at more than the upstream set and the conditions of the CI itself.

use std::collections::BTreeMap;

use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::family::Family;
use crate::core::correlate::forest::WATCHER_WEIGHT;
use crate::core::correlate::grove::{DEPTH_MAX, Grove};
use crate::core::correlate::judge::{Judgement, judge};
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::weight::{ONE, either, times};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;

/// Nodes that move to another incident with one link; a larger tree keeps its number.
pub(crate) const MOVED_MAX: usize = 1_000;
/// Nodes looked at when a new condition may explain what is there already; the rest finds it at its own next look.
pub(crate) const ADOPTED_MAX: usize = 600;
/// Less than this is no evidence, in 1/10,000; many traces do not make one.
const SCORE_MIN: u32 = 1_000;
/// A better explanation must be better by this share within an incident ...
const GAIN_INSIDE: u32 = 10_500;
/// ... and by this share when it leads to another incident.
const GAIN_ACROSS: u32 = 12_500;

/// How far the service that labels name may stand in for a CI that nobody knows, in 1/10,000.
const ABOUT: u32 = 6_000;

/// What explains a node best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Best {
    pub(crate) parent: NodeId,
    pub(crate) judgement: Judgement,
    /// The share of everything in its incident that explains the node.
    pub(crate) support: u32,
}

impl Draft<'_> {
    /// What explains a node best, if well enough; `except` names an incident that is out of the question.
    pub(crate) fn best(&mut self, id: NodeId, except: Option<IncidentId>) -> Option<Best> {
        let threshold = self.world.rules.correlation.threshold;
        let is_enabled = self.is_enabled();
        let (child, trust) = stand_in(self.grove.node(id).filter(|_| is_enabled)?);
        let mut by_incident: BTreeMap<IncidentId, Best> = BTreeMap::new();
        let mut branches: BTreeMap<IncidentId, BTreeMap<Option<CiNumber>, u32>> = BTreeMap::new();
        let candidates = self.candidates(&child);
        self.grove.note_work(candidates.len());
        for (parent, weight) in candidates {
            let Some(other) = self.grove.node(parent) else {
                continue;
            };
            let incident = other.incident;
            let is_out = except == Some(incident)
                || (child.is_pinned && incident != child.incident)
                || self.grove.is_at_or_above(id, parent);
            if is_out || !self.is_open(incident) {
                continue;
            }
            let mut judgement = judge(&self.grove, &child, other, weight);
            judgement.score = times(judgement.score, trust);
            judgement.rest = times(judgement.rest, trust);
            if judgement.score < SCORE_MIN {
                continue;
            }
            // What lies on one way says the same thing twice, only different ways add up.
            let way = child.ci.zip(other.ci).and_then(|(own, there)| {
                let path = self.grove.path(own, there);
                path.first().copied().or(Some(there))
            });
            let held = branches
                .entry(incident)
                .or_default()
                .entry(way)
                .or_insert(0);
            *held = (*held).max(judgement.score);
            let found = Best {
                parent,
                judgement,
                support: judgement.kind,
            };
            by_incident
                .entry(incident)
                .and_modify(|best| {
                    best.support = best.support.max(judgement.kind);
                    if judgement.score > best.judgement.score {
                        (best.parent, best.judgement) = (parent, judgement);
                    }
                })
                .or_insert(found);
        }
        for (incident, best) in &mut by_incident {
            let scores = branches
                .get(incident)
                .into_iter()
                .flat_map(|it| it.values());
            let joint = scores.fold(0, |joint, &score| either(joint, score));
            // Many of a kind that hardly explains it do not make one that does.
            best.support = best.judgement.score.max(joint.min(best.support));
        }
        let fitting = by_incident.into_iter();
        let fitting = fitting.filter(|(_, best)| best.support >= threshold);
        // Of equal ones the older incident, which comes first.
        let best = fitting.reduce(|one, other| {
            if other.1.support > one.1.support {
                other
            } else {
                one
            }
        });
        best.map(|(_, best)| best)
    }

    /// The live conditions upstream of a node and on its own CI, with the weight of the way there.
    fn candidates(&mut self, child: &Node) -> Vec<(NodeId, u32)> {
        let Some(ci) = child.ci else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for other in self.grove.nodes_at(ci) {
            if other != child.id {
                found.push((other, ONE));
            }
        }
        if let Some(watcher) = child.watcher {
            for other in self.grove.nodes_at(watcher) {
                found.push((other, u32::from(WATCHER_WEIGHT)));
            }
        }
        let upstream = self.grove.upstream(ci);
        for reach in upstream.iter() {
            for other in self.grove.nodes_at(reach.ci) {
                found.push((other, u32::from(reach.weight)));
            }
        }
        found
    }

    /// Looks for a better explanation and takes it; says whether the node hangs somewhere afterwards.
    pub(crate) fn relink(&mut self, id: NodeId) -> bool {
        let Some(best) = self.best(id, None) else {
            return self.grove.node(id).is_some_and(|node| node.link.is_some());
        };
        let Some(node) = self.grove.node(id) else {
            return false;
        };
        if node.parent() == Some(best.parent) || self.is_gain(node, &best) {
            self.hang(id, best.parent, best.judgement, best.support);
        }
        self.grove.node(id).is_some_and(|node| node.link.is_some())
    }

    /// Whether an explanation is clearly better than the one held.
    fn is_gain(&self, node: &Node, best: &Best) -> bool {
        let Some(held) = &node.link else {
            return true;
        };
        let (Some(from), Some(to)) = (self.grove.node(held.parent), self.grove.node(best.parent))
        else {
            return true;
        };
        let factor = if from.incident == to.incident {
            GAIN_INSIDE
        } else {
            GAIN_ACROSS
        };
        best.support.saturating_mul(ONE) > u32::from(held.score).saturating_mul(factor)
    }

    /// Lets a new or stronger condition explain what is there already.
    pub(crate) fn adopt(&mut self, id: NodeId) {
        let Some(parent) = self.grove.node(id).cloned() else {
            return;
        };
        let Some(ci) = parent.ci else {
            return;
        };
        let threshold = self.world.rules.correlation.threshold;
        let mut children: Vec<(NodeId, u32)> = Vec::new();
        let at_home = self.grove.nodes_at(ci).into_iter();
        children.extend(
            at_home
                .filter(|&other| other != id)
                .map(|other| (other, ONE)),
        );
        let watchers = self.grove.watchers(ci, ADOPTED_MAX).into_iter();
        children.extend(watchers.map(|(other, weight)| (other, u32::from(weight))));
        for (other, weight) in children {
            if self.grove.is_tired() {
                self.fall_behind(id);
                break;
            }
            let Some(child) = self.grove.node(other) else {
                continue;
            };
            let is_taken = child.parent() == Some(id) || child.has_ended();
            if is_taken || !self.may_move(child, &parent) {
                continue;
            }
            let judgement = judge(&self.grove, child, &parent, weight);
            if judgement.score < threshold || self.grove.is_at_or_above(other, id) {
                continue;
            }
            let best = Best {
                parent: id,
                judgement,
                support: judgement.score,
            };
            if self.is_gain(child, &best) {
                self.hang(other, id, judgement, judgement.score);
            }
        }
    }

    /// Whether a rule may hang `child` below `parent`: what a person has placed stays in its incident.
    fn may_move(&self, child: &Node, parent: &Node) -> bool {
        child.incident == parent.incident || (!child.is_pinned && self.is_open(child.incident))
    }

    /// Hangs a node below another; its tree goes to that one's incident.
    pub(crate) fn hang(&mut self, id: NodeId, parent: NodeId, judgement: Judgement, support: u32) {
        let (Some(child), Some(above)) = (self.grove.node(id), self.grove.node(parent)) else {
            return;
        };
        let why = words::of_link(&self.grove, child, above, judgement);
        let link = Link {
            parent,
            score: u16::try_from(support.min(ONE)).unwrap_or(u16::MAX),
            why,
        };
        self.hang_by(id, link);
    }

    /// Hangs a node below another by any evidence.
    pub(crate) fn hang_by(&mut self, id: NodeId, link: Link) {
        let parent = link.parent;
        let (Some(child), Some(above)) = (self.grove.node(id), self.grove.node(parent)) else {
            return;
        };
        if child.is_alone() || above.is_alone() {
            return;
        }
        let (from, to, before) = (child.incident, above.incident, child.parent());
        if depth_of(&self.grove, parent) >= DEPTH_MAX / 2 || self.grove.is_at_or_above(id, parent) {
            return;
        }
        if from != to {
            let tree = self.grove.subtree(id, MOVED_MAX);
            let is_held = |node: NodeId| self.grove.node(node).is_some_and(|it| it.is_pinned);
            if tree.iter().any(|&node| is_held(node)) || self.is_barred(&tree, to) {
                return;
            }
            self.grove.link(id, Some(link));
            self.unite(tree, (from, to), before.is_none());
        } else {
            self.grove.link(id, Some(link));
        }
        if let Some(before) = before.filter(|&before| before != parent) {
            self.thin_out(before);
        }
    }

    /// Brings a tree that was given a new parent into one incident with it; `was_root` says that it hung nowhere before.
    fn unite(&mut self, tree: Vec<NodeId>, (from, to): (IncidentId, IncidentId), was_root: bool) {
        let is_cut = tree.len() >= MOVED_MAX;
        let is_whole = (is_cut && was_root) || tree.len() >= self.grove.count_in(from);
        let is_older = from < to;
        // The older number stays, unless it would drag too many along; a tree too large to move keeps its own.
        let comes_here = is_whole && (is_older || is_cut) && self.grove.count_in(to) <= MOVED_MAX;
        let others = comes_here.then(|| self.grove.nodes_in(to));
        let others = others.filter(|others| {
            let is_held = |node: &NodeId| self.grove.node(*node).is_some_and(|it| it.is_pinned);
            !others.iter().any(is_held)
        });
        let (moved, into) = match others {
            Some(others) => (others, from),
            None => (tree, to),
        };
        self.move_all(&moved, into, is_cut && into == to);
    }

    /// Moves nodes to an incident; what hangs below those that were too many follows at later looks.
    fn move_all(&mut self, nodes: &[NodeId], into: IncidentId, is_cut: bool) {
        for &id in nodes {
            self.grove.move_to(id, into);
        }
        for &id in nodes.iter().filter(|_| is_cut) {
            let is_elsewhere = |child: &NodeId| {
                let child = self.grove.node(*child);
                child.is_some_and(|child| child.incident != into)
            };
            if self.grove.children(id).iter().any(is_elsewhere) {
                self.fall_behind(id);
            }
        }
    }

    /// Notes that a node is to be gone on with at once, by the next decision.
    pub(crate) fn fall_behind(&mut self, id: NodeId) {
        let now = self.now;
        if let Some(node) = self.grove.edit(id) {
            node.is_behind = true;
            node.due_at = Some(now);
        }
    }

    /// Goes on where an earlier decision had to stop: what hangs below a node follows it to its incident, and what it
    /// may explain is asked.
    pub(crate) fn catch_up(&mut self, id: NodeId) {
        let Some(own) = self.grove.node(id).map(|node| node.incident) else {
            return;
        };
        let now = self.now;
        if let Some(node) = self.grove.edit(id) {
            node.is_behind = false;
            node.due_at = Some(now);
        }
        for child in self.grove.children(id) {
            let Some(from) = self.grove.node(child).map(|child| child.incident) else {
                continue;
            };
            if from == own || !self.is_open(own) {
                continue;
            }
            if self.grove.is_tired() {
                self.fall_behind(id);
                return;
            }
            let tree = self.grove.subtree(child, MOVED_MAX);
            let is_held = |node: &NodeId| self.grove.node(*node).is_some_and(|it| it.is_pinned);
            if !tree.iter().any(is_held) && !self.is_barred(&tree, own) {
                let is_cut = tree.len() >= MOVED_MAX;
                self.move_all(&tree, own, is_cut);
            }
        }
        self.adopt(id);
    }

    /// Whether an incident still takes alerts; one that is being opened by this decision does.
    pub(crate) fn is_open(&self, id: IncidentId) -> bool {
        self.provisional == Some(id)
            || self
                .peek(id)
                .is_some_and(|incident| incident.state.is_open())
    }
}

/// What is judged in place of a condition whose CI nobody knows: the service that its labels name does badly, as far as
/// that can be trusted.
fn stand_in(node: &Node) -> (Node, u32) {
    let mut node = node.clone();
    if node.ci.is_some() || node.about.is_none() {
        return (node, ONE);
    }
    node.ci = node.about;
    if node.family != Family::Config {
        node.family = Family::Symptom;
    }
    (node, ABOUT)
}

fn depth_of(grove: &Grove<'_>, id: NodeId) -> usize {
    let mut depth = 0_usize;
    let mut at = id;
    while let Some(parent) = grove.node(at).and_then(Node::parent) {
        depth = depth.saturating_add(1);
        at = parent;
        if depth >= DEPTH_MAX {
            break;
        }
    }
    depth
}
