//! What the CMDB lacks just the relation of: the rest of its kind nearby is explained, and by what.
//!
//! Of machines in one place that are gone at once, one may have no host in the CMDB, and monitors name their checks each
//! in their own way. When the others of its class and kind of condition are explained by one incident, and by a relation
//! that its CI has none of, it belongs there. What takes others down with it may be a cause of its own and stays; a symptom
//! must be confirmed. Must not be asked before nothing upstream fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::correlate::family::Family;
use crate::core::correlate::judge::is_apart;
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::words;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::time::Span;

/// How far apart in time it may be.
const WINDOW: Span = Span::from_mins(4);
/// Conditions looked at.
const SEEN_MAX: usize = 256;
/// So many others must be explained by the incident.
const ALIKE_MIN: usize = 2;
/// What that explains, in 1/10,000.
const SCORE: u16 = 3_000;

impl Draft<'_> {
    /// Hangs a condition without a cause where the others of its kind hang; says whether it did.
    pub(crate) fn join_alike(&mut self, id: NodeId) -> bool {
        let Some(node) = self.grove.node(id).filter(|it| self.may_lack(it)).cloned() else {
            return false;
        };
        let (from, until) = (node.onset.minus(WINDOW), node.onset.plus(WINDOW));
        let mut by_incident: BTreeMap<IncidentId, Vec<&Node>> = BTreeMap::new();
        let mut total = 0_usize;
        for other in self.grove.begun(from, until, SEEN_MAX) {
            let is_alike = kind(other.family) == kind(node.family)
                && self.class(&node) == self.class(other)
                && other.place == node.place
                && other.ci != node.ci;
            let is_explained = other.link.is_some() && other.incident != node.incident;
            if is_alike && is_explained && !is_apart(&node, other) && self.is_open(other.incident) {
                total = total.saturating_add(1);
                by_incident.entry(other.incident).or_default().push(other);
            }
        }
        let most = by_incident.into_values().max_by_key(Vec::len);
        let Some(most) = most.filter(|most| most.len() >= ALIKE_MIN && most.len() * 4 >= total * 3)
        else {
            return false;
        };
        let Some((parent, how)) = self.common_parent(&most) else {
            return false;
        };
        if !node.ci.is_some_and(|ci| self.lacks(ci, how)) {
            return false;
        }
        let graph = self.grove.graph();
        let why = format!(
            "{} of {total} of its kind nearby, which began at the same time, are explained by {}; the CMDB lacks just that \
             relation of {}. Weak evidence: score {}.",
            most.len(),
            words::of_id(&self.grove, parent),
            words::of_node(graph, &node),
            words::share(u32::from(SCORE)),
        );
        let (score, why) = (SCORE, Arc::from(why));
        self.hang_by(id, Link { parent, score, why });
        self.grove.node(id).is_some_and(|node| node.link.is_some())
    }

    /// Whether a condition may be one of many.
    fn may_lack(&self, node: &Node) -> bool {
        let is_free = node.link.is_none() && !node.is_pinned && node.change.is_none();
        let takes_others = || {
            let children = self.grove.children(node.id).into_iter();
            let mut children = children.filter_map(|child| self.grove.node(child));
            children.any(|child| child.ci != node.ci)
        };
        let fits = match node.family {
            Family::Reach | Family::Link => !takes_others(),
            Family::Symptom => node.voices >= 2 || self.grove.has_children(node.id),
            Family::Resource | Family::Redundancy | Family::NoData => true,
            Family::Config | Family::Silent => false,
        };
        is_free && fits && node.ci.is_some()
    }
}

/// What is alike: down is down, whatever the monitor says about it.
fn kind(family: Family) -> Family {
    if family.is_hard() {
        Family::Reach
    } else {
        family
    }
}
