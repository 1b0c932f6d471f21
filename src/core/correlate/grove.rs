//! The forest as a decision in the making sees it: the nodes it has touched so far, on top of the state.
//!
//! Must not apply anything; [`Grove::into_changes`] says what is to be applied.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::forest::{
    BurstKey, Forest, RecentChange, WATCHER_WEIGHT, burst_key, is_unexplained,
};
use crate::core::correlate::habit::Habit;
use crate::core::correlate::node::{Link, Node, NodeId};
use crate::core::correlate::upstream::{Reach, Upstream};
use crate::core::decision::Change;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::state::State;
use crate::core::time::Timestamp;

/// The forest with the changes of one decision.
#[derive(Debug)]
pub(crate) struct Grove<'a> {
    state: &'a State,
    touched: BTreeMap<NodeId, Option<Node>>,
    upstream: BTreeMap<CiNumber, Arc<Upstream>>,
    /// The nodes put in place, and how much was looked at; both only make work cheap.
    fresh: Vec<NodeId>,
    /// The nodes that were hung below each by this decision; some may have left again.
    hung: BTreeMap<NodeId, BTreeSet<NodeId>>,
    work: Cell<usize>,
    /// What this decision notes of what has come together.
    habits: BTreeMap<u64, Habit>,
    /// By how much this decision changes the number of nodes of incidents.
    shifts: BTreeMap<IncidentId, isize>,
}

impl<'a> Grove<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        Self {
            state,
            touched: BTreeMap::new(),
            upstream: BTreeMap::new(),
            fresh: Vec::new(),
            hung: BTreeMap::new(),
            work: Cell::new(0),
            habits: BTreeMap::new(),
            shifts: BTreeMap::new(),
        }
    }

    fn base(&self) -> &'a Forest {
        self.state.forest()
    }

    pub(crate) fn graph(&self) -> &'a Graph {
        self.state.graph()
    }

    pub(crate) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The ids of the nodes that this decision has touched.
    pub(crate) fn touched(&self) -> Vec<NodeId> {
        self.touched.keys().copied().collect()
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        match self.touched.get(&id) {
            Some(node) => node.as_ref(),
            None => self.base().node(id),
        }
    }

    /// The node, to change all but its incident.
    pub(crate) fn edit(&mut self, id: NodeId) -> Option<&mut Node> {
        if !self.touched.contains_key(&id) {
            let node = self.base().node(id)?.clone();
            self.touched.insert(id, Some(node));
        }
        self.touched.get_mut(&id)?.as_mut()
    }

    pub(crate) fn put(&mut self, node: Node) {
        if !self.fresh.contains(&node.id) {
            self.fresh.push(node.id);
        }
        if let Some(parent) = node.parent() {
            self.hung.entry(parent).or_default().insert(node.id);
        }
        self.shift(node.incident, 1);
        let held = self.node(node.id).map(|held| held.incident);
        if let Some(before) = held {
            self.shift(before, -1);
        }
        self.touched.insert(node.id, Some(node));
    }

    /// Brings a node to another incident.
    pub(crate) fn move_to(&mut self, id: NodeId, incident: IncidentId) {
        let Some(node) = self.edit(id) else {
            return;
        };
        let before = std::mem::replace(&mut node.incident, incident);
        self.shift(before, -1);
        self.shift(incident, 1);
    }

    fn shift(&mut self, incident: IncidentId, by: isize) {
        let shift = self.shifts.entry(incident).or_default();
        *shift = shift.saturating_add(by);
    }

    /// Hangs a node below another, or lets it stand alone.
    pub(crate) fn link(&mut self, id: NodeId, link: Option<Link>) {
        if let Some(link) = &link {
            self.hung.entry(link.parent).or_default().insert(id);
        }
        if let Some(node) = self.edit(id) {
            node.link = link;
        }
    }

    pub(crate) fn forget(&mut self, id: NodeId) {
        let held = self.node(id).map(|held| held.incident);
        if let Some(before) = held {
            self.shift(before, -1);
        }
        self.touched.insert(id, None);
    }

    /// The node that an alert belongs to.
    pub(crate) fn node_of(&self, alert: AlertId) -> Option<NodeId> {
        let holds = |node: &&Node| node.alerts.contains(&alert);
        let touched = self.touched.values().flatten().find(holds);
        if let Some(node) = touched {
            return Some(node.id);
        }
        let id = self.base().node_of(alert)?.id;
        (!self.touched.contains_key(&id)).then_some(id)
    }

    /// The ids of `base` without those touched, and of the touched ones those that `is_in` says.
    fn merged(
        &self,
        base: impl Iterator<Item = NodeId>,
        is_in: impl Fn(&Node) -> bool,
    ) -> Vec<NodeId> {
        let mut ids: Vec<_> = base.filter(|id| !self.touched.contains_key(id)).collect();
        self.note_work(ids.len().saturating_add(self.touched.len()));
        let touched = self.touched.values().flatten();
        ids.extend(touched.filter(|node| is_in(node)).map(|node| node.id));
        ids
    }

    pub(crate) fn nodes_at(&self, ci: CiNumber) -> Vec<NodeId> {
        // Only a node that is put in place can have come to a CI.
        let base = self.base().nodes_at(ci).iter().copied();
        self.note_work(base.len().saturating_add(self.fresh.len()));
        let came = self.fresh.iter().copied();
        let came = came.filter(|id| self.base().nodes_at(ci).binary_search(id).is_err());
        let is_here = |id: &NodeId| self.node(*id).is_some_and(|node| node.ci == Some(ci));
        base.chain(came).filter(is_here).collect()
    }

    /// How much this decision has looked at.
    pub(crate) fn work(&self) -> usize {
        self.work.get()
    }

    /// Whether this decision has looked at so much, or changes so much, that the rest has to wait.
    pub(crate) fn is_tired(&self) -> bool {
        self.work() >= WORK_MAX || self.touched.len() >= TOUCHED_MAX
    }

    /// Notes that so much more was looked at.
    pub(crate) fn note_work(&self, more: usize) {
        self.work.set(self.work.get().saturating_add(more));
    }

    pub(crate) fn nodes_in(&self, incident: IncidentId) -> Vec<NodeId> {
        let base = self.base().nodes_in(incident);
        self.merged(base, |node| node.incident == incident)
    }

    /// How many nodes an incident has.
    pub(crate) fn count_in(&self, incident: IncidentId) -> usize {
        let shift = self.shifts.get(&incident).copied().unwrap_or(0);
        self.base().count_in(incident).saturating_add_signed(shift)
    }

    /// Whether an incident holds another text of a rule than this one.
    pub(crate) fn is_barred(&self, incident: IncidentId, rule: u64, text: u64) -> bool {
        self.note_work(self.touched.len());
        let in_touched = self.touched.values().flatten().any(|node| {
            node.incident == incident && node.bars().any(|it| it.0 == rule && it.1 != text)
        });
        let texts = self.base().bars(incident, rule).into_iter().flatten();
        in_touched || {
            texts
                .filter(|&(&other, _)| other != text)
                .any(|(&other, &count)| {
                    // Those that this decision has taken away do not count.
                    let left = self.touched.iter().filter(|(id, node)| {
                        let before = self.base().node(**id);
                        let was = before.is_some_and(|it| {
                            it.incident == incident && it.bars().any(|bar| bar == (rule, other))
                        });
                        let is = node.as_ref().is_some_and(|it| it.incident == incident);
                        was && !is
                    });
                    usize::try_from(count).unwrap_or(usize::MAX) > left.count()
                })
        }
    }

    /// The nodes that a rule brings together by this text, latest first.
    pub(crate) fn bonded(&self, text: u64, at_most: usize) -> Vec<NodeId> {
        let holds = |node: &Node| node.marks.iter().any(|mark| mark.text == text);
        self.merged(self.base().bonded(text).take(at_most), holds)
    }

    pub(crate) fn children(&self, id: NodeId) -> Vec<NodeId> {
        let hung = self.hung.get(&id).into_iter().flatten().copied();
        let came = hung.filter(|child| self.base().node(*child).and_then(Node::parent) != Some(id));
        let all = self.base().children(id).chain(came);
        let children: Vec<_> = all.filter(|child| self.is_child(*child, id)).collect();
        self.note_work(children.len().saturating_add(1));
        children
    }

    fn is_child(&self, child: NodeId, of: NodeId) -> bool {
        self.node(child).and_then(Node::parent) == Some(of)
    }

    /// About how many nodes a node explains: exact but for those touched by this decision.
    pub(crate) fn child_count(&self, id: NodeId) -> usize {
        self.base().child_count(id)
    }

    pub(crate) fn changes(&self, ci: CiNumber) -> &'a [RecentChange] {
        self.base().changes(ci)
    }

    /// With what a condition has come before.
    pub(crate) fn habit(&self, sign: u64) -> Option<&Habit> {
        self.habits.get(&sign).or_else(|| self.base().habit(sign))
    }

    /// Notes with what a condition has come.
    pub(crate) fn learn(&mut self, habit: Habit) {
        self.habits.insert(habit.sign, habit);
    }

    pub(crate) fn has_children(&self, id: NodeId) -> bool {
        let hung = self.hung.get(&id).into_iter().flatten().copied();
        let mut all = self.base().children(id).chain(hung);
        all.any(|child| self.is_child(child, id))
    }

    /// The nodes that depend on a CI, newest first, at most so many.
    pub(crate) fn watchers(&self, ci: CiNumber, at_most: usize) -> Vec<(NodeId, u16)> {
        let mut fresh = Vec::new();
        self.note_work(self.touched.len());
        for node in self.touched.values().flatten().rev() {
            if let Some(weight) = self.reach(node, ci) {
                fresh.push((node.id, weight));
            }
        }
        let base = self.base().watchers(ci);
        let base = base.filter(|(id, _)| !self.touched.contains_key(id));
        let found: Vec<_> = fresh.into_iter().chain(base).take(at_most).collect();
        self.note_work(found.len());
        found
    }

    fn reach(&self, node: &Node, ci: CiNumber) -> Option<u16> {
        if node.watcher == Some(ci) {
            return Some(WATCHER_WEIGHT);
        }
        let own = node.ci?;
        let upstream = self
            .upstream
            .get(&own)
            .or_else(|| self.base().upstream(own))?;
        upstream.get(ci).map(|reach| reach.weight)
    }

    /// About how many unexplained nodes depend on a CI: exact but for those touched by this decision.
    pub(crate) fn unexplained(&self, ci: CiNumber) -> u32 {
        let mut count = self.base().unexplained(ci);
        self.note_work(self.touched.len());
        for node in self.touched.values().flatten() {
            let was = self.base().node(node.id).is_some_and(is_unexplained);
            if is_unexplained(node) && !was && self.reach(node, ci).is_some() {
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// The nodes of one name and place that began from `since` on, latest first, at most so many.
    pub(crate) fn burst(&self, key: &BurstKey, since: Timestamp, at_most: usize) -> Vec<NodeId> {
        let base = self.base().burst(key, since).rev().map(|(_, id)| id);
        let is_in = |node: &Node| node.onset >= since && burst_key(node).as_ref() == Some(key);
        let mut ids = self.merged(base.take(at_most), is_in);
        ids.truncate(at_most);
        ids
    }

    /// The conditions that began within a time, earliest first, at most so many; those that this decision brought
    /// are left out.
    pub(crate) fn begun(&self, from: Timestamp, until: Timestamp, at_most: usize) -> Vec<&Node> {
        let begun = self.base().begun(from, until).take(at_most);
        begun.filter_map(|id| self.node(id)).collect()
    }

    /// What a CI depends on.
    pub(crate) fn upstream(&mut self, ci: CiNumber) -> Arc<Upstream> {
        if let Some(held) = self.base().upstream(ci).or_else(|| self.upstream.get(&ci)) {
            return Arc::clone(held);
        }
        let upstream = Arc::new(Upstream::of(self.graph(), ci));
        self.upstream.insert(ci, Arc::clone(&upstream));
        upstream
    }

    /// How one CI with nodes depends on another.
    pub(crate) fn reach_of(&self, from: CiNumber, to: CiNumber) -> Option<Reach> {
        let held = self
            .base()
            .upstream(from)
            .or_else(|| self.upstream.get(&from));
        held?.get(to).copied()
    }

    /// The CIs on the best way from one that has nodes to one that it depends on.
    pub(crate) fn path(&self, from: CiNumber, to: CiNumber) -> Vec<CiNumber> {
        let held = self
            .base()
            .upstream(from)
            .or_else(|| self.upstream.get(&from));
        held.map(|upstream| upstream.path(to)).unwrap_or_default()
    }

    /// The node and everything below it, at most so many; the node itself first.
    pub(crate) fn subtree(&self, id: NodeId, at_most: usize) -> Vec<NodeId> {
        let mut seen = BTreeSet::from([id]);
        let mut list = vec![id];
        let mut next = 0;
        while let Some(&at) = list.get(next) {
            next = next.saturating_add(1);
            for child in self.children(at) {
                if list.len() >= at_most {
                    return list;
                }
                if seen.insert(child) {
                    list.push(child);
                }
            }
        }
        list
    }

    /// Whether `id` is `of` or lies above it.
    pub(crate) fn is_at_or_above(&self, id: NodeId, of: NodeId) -> bool {
        let mut at = Some(of);
        for _ in 0..DEPTH_MAX {
            match at {
                Some(here) if here == id => return true,
                Some(here) => at = self.node(here).and_then(Node::parent),
                None => return false,
            }
        }
        true
    }

    /// The root of a node's tree.
    pub(crate) fn root_of(&self, id: NodeId) -> NodeId {
        let mut at = id;
        for _ in 0..DEPTH_MAX {
            match self.node(at).and_then(Node::parent) {
                Some(parent) if self.node(parent).is_some() => at = parent,
                Some(_) | None => break,
            }
        }
        at
    }

    /// What is to be applied and stored.
    pub(crate) fn into_changes(self) -> impl Iterator<Item = Change> {
        let state = self.state;
        let touched = self.touched.into_iter();
        let habits = self.habits.into_values().map(Change::HabitChanged);
        let nodes = touched.filter_map(move |(id, node)| match (state.forest().node(id), node) {
            (Some(before), Some(node)) if *before == node => None,
            (_, Some(node)) => Some(Change::NodeChanged(Box::new(node))),
            (Some(_), None) => Some(Change::NodeForgotten(id)),
            (None, None) => None,
        });
        nodes.chain(habits)
    }
}

/// Nodes looked at by one decision before it leaves the rest to later looks.
pub(crate) const WORK_MAX: usize = 40_000;

/// Nodes changed by one decision before it leaves the rest to later looks; one more tree may move with the last.
pub(crate) const TOUCHED_MAX: usize = 500;

/// Steps from a node to its root; longer chains are not made.
pub(crate) const DEPTH_MAX: usize = 64;
