//! Evidence from the side, for what no known dependency explains: a CMDB always misses relations.
//!
//! A condition joins a crowd of the same alert at the same place and time when most of the crowd is explained by one
//! incident, and when the relation that explains the crowd is just what the CMDB does not know of this CI. Must not
//! be asked before nothing upstream fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::core::correlate::family::Family;
use crate::core::correlate::forest::burst_key;
use crate::core::correlate::judge::{is_apart, judge};
use crate::core::correlate::link::Best;
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::time::Span;

/// Members of a crowd that are looked at, the latest.
const CROWD_MAX: usize = 64;
/// Fewer are no crowd.
const CROWD_MIN: usize = 3;
/// How far apart in time a crowd may be.
const WINDOW: Span = Span::from_mins(4);
/// What a crowd explains when the CI lacks the very relation that explains the others.
const SCORE_GAP: u16 = 5_000;
/// What a crowd explains when nothing is known about the alert's CI.
const SCORE_UNBOUND: u16 = 3_300;
/// From this evidence on something is surely broken by itself.
const STRONG: u16 = 7_000;
/// So many conditions below it make an inferred one as sure.
const WIDE: usize = 12;
/// Nodes of a tree that are looked at for bridges.
const BRIDGES_MAX: usize = 48;

impl Draft<'_> {
    /// Lets a node without an upstream explanation join the crowd that it came with.
    pub(crate) fn join_crowd(&mut self, id: NodeId) -> bool {
        let Some(node) = self.grove.node(id).cloned() else {
            return false;
        };
        let may = match node.family {
            Family::Reach | Family::Link | Family::Resource | Family::Symptom | Family::NoData => {
                true
            }
            Family::Redundancy | Family::Config | Family::Silent => false,
        };
        let Some(key) = burst_key(&node).filter(|_| may && !node.is_pinned) else {
            return false;
        };
        let crowd = self.grove.burst(&key, node.onset.minus(WINDOW), CROWD_MAX);
        let mut by_incident: BTreeMap<IncidentId, Vec<&Node>> = BTreeMap::new();
        let mut total = 0_usize;
        for other in crowd.iter().filter_map(|&other| self.grove.node(other)) {
            let is_far = other.onset.since(node.onset).abs() > WINDOW;
            if other.id == id || is_far || is_apart(&node, other) {
                continue;
            }
            total = total.saturating_add(1);
            let is_alike = node.ci.is_none() || self.class(&node) == self.class(other);
            let is_explained = is_alike && other.link.is_some() && other.incident != node.incident;
            if is_explained && self.is_open(other.incident) {
                by_incident.entry(other.incident).or_default().push(other);
            }
        }
        let most = by_incident.into_values().max_by_key(Vec::len);
        let Some(most) =
            most.filter(|most| most.len() >= CROWD_MIN && most.len() * 10 >= total * 6)
        else {
            return false;
        };
        let Some((parent, how)) = self.common_parent(&most) else {
            return false;
        };
        let (score, reason) = match node.ci {
            None => (SCORE_UNBOUND, "nothing is known about its own CI"),
            Some(ci) if self.lacks(ci, how) => {
                (SCORE_GAP, "the CMDB lacks just that relation of its CI")
            }
            Some(_) => return false,
        };
        let graph = self.grove.graph();
        let why = format!(
            "{} came with {} of {total} alerts of the same name and place, which {} explains; {reason}. Weak evidence: \
             score {}.",
            words::of_node(graph, &node),
            most.len(),
            words::of_id(&self.grove, parent),
            words::share(u32::from(score)),
        );
        let why = Arc::from(why);
        self.hang_by(id, Link { parent, score, why });
        true
    }

    pub(crate) fn class(&self, node: &Node) -> Option<&str> {
        let ci = self.grove.graph().ci(node.ci?)?;
        Some(ci.class.as_str())
    }

    /// The parent that most of a crowd has, and by what relation its children depend on it.
    pub(crate) fn common_parent(
        &self,
        crowd: &[&Node],
    ) -> Option<(NodeId, Option<(RelationKind, Role)>)> {
        let mut parents: BTreeMap<NodeId, (usize, Option<(RelationKind, Role)>)> = BTreeMap::new();
        for member in crowd {
            let Some(parent) = self.parent_elsewhere(member) else {
                continue;
            };
            let how = self.first_step(member, parent);
            let entry = parents.entry(parent).or_insert((0, how));
            entry.0 = entry.0.saturating_add(1);
        }
        let most = parents
            .into_iter()
            .max_by_key(|&(id, (count, _))| (count, std::cmp::Reverse(id)));
        most.map(|(parent, (_, how))| (parent, how))
    }

    /// What explains a node from another CI: itself, or through other conditions of its own CI.
    fn parent_elsewhere(&self, node: &Node) -> Option<NodeId> {
        let mut at = node.parent()?;
        for _ in 0..4 {
            let above = self.grove.node(at)?;
            if above.ci.is_none() || above.ci != node.ci {
                return Some(at);
            }
            at = above.parent()?;
        }
        None
    }

    /// The relation by which the way from a node to its parent begins.
    fn first_step(&self, node: &Node, parent: NodeId) -> Option<(RelationKind, Role)> {
        let (own, other) = (node.ci?, self.grove.node(parent)?.ci?);
        let first = *self.grove.path(own, other).first()?;
        let edges = self.grove.graph().providers(own).iter();
        let mut edges = edges.filter(|edge| edge.ci == first);
        edges.next().map(|edge| (edge.kind, edge.role))
    }

    /// Whether the CMDB knows no relation of that sort of a CI.
    pub(crate) fn lacks(&self, ci: CiNumber, how: Option<(RelationKind, Role)>) -> bool {
        how.is_some_and(|(kind, role)| {
            let edges = self.grove.graph().providers(ci);
            !edges
                .iter()
                .any(|edge| (edge.kind, edge.role) == (kind, role))
        })
    }

    /// Joins two trees whose conditions could as well be explained by each other's: several CIs bridge them. Two that
    /// are surely broken by themselves stay apart.
    pub(crate) fn bridge(&mut self, root: NodeId) -> bool {
        let Some(top) = self.grove.node(root).cloned() else {
            return false;
        };
        if top.link.is_some() || top.is_pinned {
            return false;
        }
        let tree = self.grove.subtree(root, BRIDGES_MAX);
        let mut by_incident: BTreeMap<IncidentId, (u32, usize, Best)> = BTreeMap::new();
        for &member in &tree {
            let Some(best) = self.best(member, Some(top.incident)) else {
                continue;
            };
            let Some(incident) = self.grove.node(best.parent).map(|node| node.incident) else {
                continue;
            };
            let entry = by_incident.entry(incident).or_insert((0, 0, best));
            entry.0 = entry.0.saturating_add(best.support);
            entry.1 = entry.1.saturating_add(1);
            if best.support > entry.2.support {
                entry.2 = best;
            }
        }
        let strongest = by_incident.into_values().max_by_key(|entry| entry.0);
        strongest.is_some_and(|strongest| self.join_trees(root, tree.len(), strongest))
    }

    /// Joins two trees if what bridges them is enough.
    fn join_trees(&mut self, root: NodeId, size: usize, bridges: (u32, usize, Best)) -> bool {
        let (sum, count, best) = bridges;
        let Some(top) = self.grove.node(root).cloned() else {
            return false;
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        if count < 3 || sum < size.saturating_mul(4_000) {
            return false;
        }
        let other = self.grove.root_of(best.parent);
        let Some(rival) = self.grove.node(other).cloned() else {
            return false;
        };
        if self.is_strong(&top) && self.is_strong(&rival) || is_apart(&top, &rival) {
            return false;
        }
        if judge(&self.grove, &rival, &top, 10_000).kind == 0
            && judge(&self.grove, &top, &rival, 10_000).kind == 0
        {
            return false;
        }
        let graph = self.grove.graph();
        let why = format!(
            "{count} of {size} conditions below {} are explained by {} and what hangs below it as well. Weak evidence: \
             score {}.",
            words::of_node(graph, &top),
            words::of_node(graph, &rival),
            words::share(sum / size.max(1)),
        );
        let score = u16::try_from((sum / size.max(1)).min(5_000)).unwrap_or(5_000);
        let why = Arc::from(why);
        if self.is_strong(&top) {
            self.hang_by(
                other,
                Link {
                    parent: root,
                    score,
                    why,
                },
            );
        } else {
            self.hang_by(
                root,
                Link {
                    parent: best.parent,
                    score,
                    why,
                },
            );
        }
        true
    }

    /// Whether a condition is surely one of its own; what was inferred is, when it explains much.
    pub(crate) fn is_strong(&self, node: &Node) -> bool {
        let is_sure = if node.is_silent() {
            self.grove.children(node.id).len() >= WIDE
        } else {
            node.evidence >= STRONG
        };
        is_sure || node.change.is_some()
    }
}
