//! The last resort for symptoms that no relation and no crowd explains: the one outage that is going on.
//!
//! A CMDB lacks relations and names. When many conditions of one outage began just then and hardly any of others, a
//! symptom without a cause of its own most probably belongs to it. Hosts that nobody knows are not drawn in by time
//! alone, nor what was changed shortly before. Must not be asked before everything better has had its time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::correlate::family::Family;
use crate::core::correlate::judge::is_apart;
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::time::Span;

/// How long before a symptom the outage may have begun, and how long after.
const BEFORE: Span = Span::from_mins(4);
const AFTER: Span = Span::from_mins(2);
/// Conditions looked at.
const SEEN_MAX: usize = 256;
/// Explained conditions that make an outage: for a symptom of something unknown ...
const COMPANY_UNKNOWN: usize = 3;
/// ... and of a known CI.
const COMPANY_KNOWN: usize = 5;
/// Conditions of a tree that joins.
const TREE_MAX: usize = 12;
/// What company explains, in 1/10,000: anything else explains better.
const SCORE: u16 = 2_000;

impl Draft<'_> {
    /// Lets a symptom join the one outage that is going on.
    pub(crate) fn join_company(&mut self, id: NodeId) -> bool {
        let Some(node) = self.grove.node(id).cloned() else {
            return false;
        };
        let is_free = node.link.is_none() && !node.is_pinned && node.change.is_none();
        if node.family != Family::Symptom || !is_free {
            return false;
        }
        let tree = self.grove.subtree(id, TREE_MAX + 1);
        if tree.len() > TREE_MAX || !tree.iter().all(|&it| self.is_mere_symptom(it)) {
            return false;
        }
        let (from, until) = (node.onset.minus(BEFORE), node.onset.plus(AFTER));
        let mut by_incident: BTreeMap<IncidentId, (usize, NodeId)> = BTreeMap::new();
        for other in self.grove.begun(from, until, SEEN_MAX) {
            let is_other = other.incident != node.incident && !is_apart(&node, other);
            if !is_other || !self.is_alike(&node, other) {
                continue;
            }
            let explained = usize::from(other.link.is_some());
            let entry = by_incident.entry(other.incident).or_insert((0, other.id));
            entry.0 = entry.0.saturating_add(explained);
        }
        let all: usize = by_incident.values().map(|&(count, _)| count).sum();
        let most = by_incident.into_iter();
        let most = most.filter(|&(incident, _)| self.is_open(incident));
        let Some((_, (count, some))) =
            most.max_by_key(|&(id, (count, _))| (count, std::cmp::Reverse(id)))
        else {
            return false;
        };
        let least = if node.ci.is_none() {
            COMPANY_UNKNOWN
        } else {
            COMPANY_KNOWN
        };
        if count < least || count * 4 < all * 3 {
            return false;
        }
        let parent = self.grove.root_of(some);
        let graph = self.grove.graph();
        let why = format!(
            "{} has no cause of its own, and {count} of {all} explained conditions of that time belong to the outage of \
             {}. Weak evidence: score {}.",
            words::of_node(graph, &node),
            words::of_id(&self.grove, parent),
            words::share(u32::from(SCORE)),
        );
        let why = Arc::from(why);
        self.hang_by(
            id,
            Link {
                parent,
                score: SCORE,
                why,
            },
        );
        self.grove.node(id).is_some_and(|node| node.link.is_some())
    }

    /// Whether a condition says nothing but that something does badly.
    fn is_mere_symptom(&self, id: NodeId) -> bool {
        let node = self.grove.node(id);
        node.is_some_and(|node| {
            node.family == Family::Symptom && node.change.is_none() && !node.is_pinned
        })
    }

    /// Whether a condition counts as company: anything for what nobody knows, else the same class at the same place.
    /// For what is surely no noise, since a second monitor or something that depends on it says so too, anywhere.
    fn is_alike(&self, node: &Node, other: &Node) -> bool {
        let graph = self.grove.graph();
        let class = |node: &Node| {
            node.ci
                .and_then(|ci| graph.ci(ci))
                .map(|ci| ci.class.clone())
        };
        let is_near = || {
            let is_sure = node.voices >= 2 || self.grove.has_children(node.id);
            is_sure || node.place == other.place
        };
        node.ci.is_none() || (class(node) == class(other) && is_near())
    }
}
