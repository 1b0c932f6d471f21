//! What an incident is about, judged from its tree: roots, reach, title, priority.
//!
//! Judged at every change while the incident is small, and each time it has grown by a tenth when it is large, so
//! the cost per alert stays the same. Must not change what belongs together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::cause::{Cause, RootCandidate, SERVICES_MAX};
use crate::core::correlate::node::{Node, NodeId};
use crate::core::correlate::people::force;
use crate::core::correlate::reached::services_reached;
use crate::core::correlate::weight::{ONE, times};
use crate::core::correlate::words;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::reason::Reason;
use crate::core::time::Span;

/// Up to so many nodes an incident is judged at every change.
const SMALL: usize = 40;
/// Nodes that are asked for the root of their tree; of a larger incident every so many.
const ROOTED_MAX: usize = 4_000;
/// Nodes asked how well a candidate explains them.
const SAMPLE_MAX: usize = 64;
/// Candidates compared.
const CANDIDATES_MAX: usize = 12;
/// Roots nearer than this to each other are undecided.
const MARGIN: u32 = 1_000;

/// The conditions of one incident at a glance.
struct Picture {
    nodes: Vec<NodeId>,
    /// Roots with the size of their trees.
    roots: BTreeMap<NodeId, usize>,
    cis: BTreeSet<CiNumber>,
}

struct Ranked {
    id: NodeId,
    score: u32,
}

impl Draft<'_> {
    /// Judges an incident anew if that is worth while.
    pub(crate) fn assess(&mut self, id: IncidentId) {
        if !self.is_open(id) || self.grove.count_in(id) == 0 {
            return;
        }
        let before = self.world.state.cause(id).cloned();
        if let Some(before) = &before
            && !self.is_worth(id, before)
        {
            return;
        }
        let picture = self.picture(id);
        let ranked = self.rank(&picture);
        let Some(cause) = self.cause(&picture, &ranked, before.as_ref()) else {
            return;
        };
        let was = before.as_ref().and_then(|before| before.root_node);
        if before.is_some() && was != cause.root_node {
            let root = ranked.first().and_then(|top| self.grove.node(top.id));
            let graph = self.grove.graph();
            let name = root.map(|root| words::of_node(graph, root));
            self.say(Some(id), None, Reason::RootChanged).note = name.map(Into::into);
        }
        if before.as_ref() == Some(&cause) {
            return;
        }
        let title = cause.title.clone();
        let is_new_title = before.as_ref().map(|before| &before.title) != Some(&title);
        if is_new_title && !title.is_empty() {
            self.decision.change(Change::TitleChanged {
                incident: id,
                title,
            });
            // A title is written with its incident.
            self.touch(id);
        }
        self.put_cause(id, cause);
        self.prioritise(id, None);
    }

    fn is_worth(&self, id: IncidentId, before: &Cause) -> bool {
        let count = self.grove.count_in(id);
        let touched = self.grove.touched();
        if !touched.iter().any(|&node| self.is_news(node, id)) {
            return false;
        }
        if count <= SMALL {
            return true;
        }
        let judged = usize::try_from(before.nodes).unwrap_or(usize::MAX);
        let has_grown = count.saturating_mul(10) >= judged.saturating_mul(11);
        let has_shrunk = count.saturating_mul(11) <= judged.saturating_mul(10);
        let is_root_gone = before.root_node.is_none_or(|root| {
            let node = self.grove.node(root);
            node.is_none_or(|node| node.link.is_some() || node.incident != id)
        });
        has_grown || has_shrunk || (is_root_gone && self.has_new_root(id))
    }

    /// Whether a touched node came to the incident or hangs elsewhere in it than before; what is over is no news.
    fn is_news(&self, node: NodeId, id: IncidentId) -> bool {
        let Some(after) = self.grove.node(node).filter(|node| node.incident == id) else {
            return false;
        };
        let before = self.world.state.forest().node(node);
        let hangs_anew = |before: &Node| after.link.is_some() && before.parent() != after.parent();
        !after.has_ended()
            && before.is_none_or(|before| {
                before.incident != id || hangs_anew(before) || before.evidence != after.evidence
            })
    }

    /// Whether a node that this decision touched is a root with children.
    fn has_new_root(&self, id: IncidentId) -> bool {
        let mut touched = self.grove.touched().into_iter();
        touched.any(|node| {
            let is_root = self
                .grove
                .node(node)
                .is_some_and(|it| it.incident == id && it.link.is_none());
            is_root && self.grove.has_children(node)
        })
    }

    fn picture(&self, id: IncidentId) -> Picture {
        let nodes = self.grove.nodes_in(id);
        let mut roots: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut cis = BTreeSet::new();
        let step = nodes.len().div_ceil(ROOTED_MAX).max(1);
        for (index, &node) in nodes.iter().enumerate() {
            if index % step == 0 {
                let root = self.grove.root_of(node);
                let size = roots.entry(root).or_insert(0);
                *size = size.saturating_add(step);
            }
            if let Some(node) = self.grove.node(node).filter(|node| !node.is_silent()) {
                cis.extend(node.ci);
            }
        }
        Picture { nodes, roots, cis }
    }

    /// The most probable roots, best first.
    fn rank(&mut self, picture: &Picture) -> Vec<Ranked> {
        let mut roots: Vec<_> = picture
            .roots
            .iter()
            .map(|(&id, &size)| (size, id))
            .collect();
        roots.sort_by_key(|&(size, id)| (std::cmp::Reverse(size), id));
        let mut candidates: Vec<NodeId> = Vec::new();
        for &(_, root) in roots.iter().take(4) {
            candidates.push(root);
            let children = self.grove.children(root).into_iter();
            let strong = children.filter(|&child| {
                let node = self.grove.node(child);
                let is_strong = node.is_some_and(|it| it.family.is_hard() || it.change.is_some());
                is_strong || self.grove.has_children(child)
            });
            candidates.extend(strong.take(6));
        }
        candidates.truncate(CANDIDATES_MAX);
        let earliest = picture.nodes.iter().filter_map(|&id| self.grove.node(id));
        let earliest = earliest.map(|node| node.onset).min();
        let step = picture.nodes.len().div_ceil(SAMPLE_MAX).max(1);
        let sample: Vec<_> = picture.nodes.iter().copied().step_by(step).collect();
        let mut ranked = Vec::new();
        for id in candidates {
            let Some(node) = self.grove.node(id).cloned() else {
                continue;
            };
            let explained = self.explained(&node, &sample);
            let late = earliest.map_or(Span::ZERO, |first| node.onset.since(first));
            let late = u32::try_from(late.as_millis() / 1_000)
                .unwrap_or(0)
                .min(300);
            let early = ONE.saturating_sub(late.saturating_mul(ONE) / 300);
            let change = if node.change.is_some() { ONE } else { 0 };
            let mut score = times(4_000, u32::from(node.evidence))
                .saturating_add(times(3_500, explained))
                .saturating_add(times(1_500, change))
                .saturating_add(times(1_000, early));
            if node.link.is_none() {
                score = score.saturating_add(1_000);
            }
            ranked.push(Ranked { id, score });
        }
        ranked.sort_by_key(|it| (std::cmp::Reverse(it.score), it.id));
        ranked
    }

    /// How well a node explains the others, on average.
    fn explained(&mut self, node: &Node, sample: &[NodeId]) -> u32 {
        let mut sum = 0_u32;
        for &other in sample {
            let below = self.grove.is_at_or_above(node.id, other);
            let own = self.grove.node(other).and_then(|it| it.ci);
            let weight = match (own, node.ci) {
                (Some(own), Some(ci)) if own != ci => {
                    let upstream = self.grove.upstream(own);
                    upstream.get(ci).map_or(0, |reach| u32::from(reach.weight))
                }
                _ => 0,
            };
            sum = sum.saturating_add(if below { weight.max(9_000) } else { weight });
        }
        sum / u32::try_from(sample.len().max(1)).unwrap_or(u32::MAX)
    }

    fn cause(
        &mut self,
        picture: &Picture,
        ranked: &[Ranked],
        before: Option<&Cause>,
    ) -> Option<Cause> {
        let graph = self.grove.graph();
        let top = self.grove.node(ranked.first()?.id)?.clone();
        let mut roots = Vec::new();
        for it in ranked.iter().take(3) {
            let node = self.grove.node(it.id)?;
            roots.push(RootCandidate {
                ci: node.ci,
                alert: node.alerts.first().copied(),
                score: u16::try_from(it.score.min(ONE)).unwrap_or(10_000),
                is_inferred: node.is_silent(),
            });
        }
        let mut services = services_reached(graph, top.ci, &picture.cis);
        let criticality = |ci: &CiNumber| graph.ci(*ci).and_then(|ci| ci.criticality);
        services.sort_by_key(|ci| (criticality(ci).unwrap_or(u8::MAX), *ci));
        let is_vital = services.first().and_then(criticality) == Some(1);
        let reached = services.len();
        let confirmed = services.iter().filter(|ci| picture.cis.contains(ci));
        let confirmed = u32::try_from(confirmed.count()).unwrap_or(u32::MAX);
        services.truncate(SERVICES_MAX);
        services.sort_unstable();
        let is_lone = picture.nodes.len() <= 1 || picture.cis.len() <= 1;
        let title = if is_lone && !top.is_silent() {
            before
                .map(|before| before.title.clone())
                .unwrap_or_default()
        } else {
            self.headline(&top, picture, reached)
        };
        if let Some(before) = before.filter(|before| self.is_past(before, picture)) {
            return Some(before.clone());
        }
        let why = self.reasons(&top, picture, ranked);
        let mut cause = Cause {
            roots,
            services,
            cis: u32::try_from(picture.cis.len()).unwrap_or(u32::MAX),
            why,
            title,
            nodes: u32::try_from(picture.nodes.len()).unwrap_or(u32::MAX),
            root_node: Some(top.id),
            is_vital,
            confirmed,
            forced: before.and_then(|before| before.forced),
        };
        force(&mut cause);
        Some(cause)
    }

    /// Whether an incident has seen its climax: its root is over and gone, and what is left is a smaller part of it.
    fn is_past(&self, before: &Cause, picture: &Picture) -> bool {
        let root = before.root_node.and_then(|root| self.grove.node(root));
        let judged = usize::try_from(before.nodes).unwrap_or(usize::MAX);
        root.is_none_or(Node::has_ended) && picture.nodes.len() < judged
    }

    /// Cause, scale and services in one line.
    fn headline(&self, top: &Node, picture: &Picture, services: usize) -> SmolStr {
        let graph = self.grove.graph();
        let name = top.ci.and_then(|ci| graph.ci(ci)).map(|ci| ci.name.clone());
        let name = name.unwrap_or_else(|| SmolStr::from(words::of_node(graph, top)));
        let mut counts: BTreeMap<SmolStr, usize> = BTreeMap::new();
        for ci in picture.cis.iter().filter(|&&ci| Some(ci) != top.ci) {
            if let Some(ci) = graph.ci(*ci).filter(|ci| !ci.is_service()) {
                let count = counts.entry(ci.class.clone()).or_default();
                *count = count.saturating_add(1);
            }
        }
        let mut parts = words::classes(&counts);
        if services > 0 {
            parts.push(words::counted(services, "service"));
        }
        let state = words::state_of(top.family);
        if parts.is_empty() {
            return SmolStr::from(format!("{name} {state}"));
        }
        SmolStr::from(format!("{name} {state}: {} affected", parts.join(", ")))
    }

    fn reasons(&self, top: &Node, picture: &Picture, ranked: &[Ranked]) -> Vec<Arc<str>> {
        let graph = self.grove.graph();
        let mut why: Vec<Arc<str>> = Vec::new();
        let children = self.grove.children(top.id);
        let name = words::of_node(graph, top);
        let mut first = if top.is_silent() {
            format!(
                "{name} has no alert itself; {} conditions that depend on it have no other cause",
                children.len()
            )
        } else {
            format!("{name} is the condition upstream of the others")
        };
        if picture.nodes.len() <= 1 {
            first = format!("{name} is the only condition");
        }
        if let Some(change) = &top.change {
            first.push_str(&format!(
                ", and its CI was changed shortly before ({change})"
            ));
        }
        first.push('.');
        why.push(first.into());
        let rival = ranked
            .get(1)
            .and_then(|it| Some((it.score, self.grove.node(it.id)?)));
        if let (Some(best), Some((score, rival))) = (ranked.first(), rival) {
            let margin = best.score.min(ONE).saturating_sub(score);
            let rival = words::of_node(graph, rival);
            let margin_words = words::share(margin);
            why.push(if margin < MARGIN {
                format!("Undecided between {name} and {rival}: margin {margin_words}.").into()
            } else {
                format!("Next best is {rival}, by a margin of {margin_words}.").into()
            });
        }
        let links = children.iter().filter_map(|&child| self.grove.node(child));
        let links = links.filter_map(|child| child.link.as_ref());
        why.extend(links.take(3).map(|link| Arc::clone(&link.why)));
        why
    }
}
