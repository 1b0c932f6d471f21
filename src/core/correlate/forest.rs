//! Every active condition with the indexes that make looking around cheap.
//!
//! The indexes follow from the nodes and the graph alone, so loading the nodes rebuilds them. Must not decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::family::Family;
use crate::core::correlate::habit::{HABITS_MAX, Habit};
use crate::core::correlate::node::{Node, NodeId};
use crate::core::correlate::upstream::Upstream;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::time::{Span, Timestamp};

/// How long a change is remembered at most; a later one of the same CI makes it forgotten.
pub const CHANGES_KEPT: Span = Span::from_hours(24);
/// How surely data goes missing when the monitoring server fails that collects it, in 1/10,000.
pub const WATCHER_WEIGHT: u16 = 9_500;
/// Changes remembered per CI, the latest.
pub const CHANGES_MAX: usize = 3;

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// Where alerts of one name come in crowds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BurstKey {
    /// The name of the alert.
    pub name: SmolStr,
    /// Hash of the place.
    pub place: u64,
}

/// A change of a CI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentChange {
    /// When it was recorded.
    pub at: Timestamp,
    /// The id that its source gave it.
    pub id: SmolStr,
}

/// All nodes.
#[derive(Clone, Debug, Default)]
pub struct Forest {
    nodes: BTreeMap<NodeId, Node>,
    by_alert: Map<AlertId, NodeId>,
    by_ci: Map<CiNumber, Vec<NodeId>>,
    by_incident: BTreeMap<IncidentId, BTreeSet<NodeId>>,
    /// What must not be mixed with another text of the same rule, by incident, and how many nodes say so.
    bars: Bars,
    bonds: Map<u64, BTreeSet<NodeId>>,
    children: Map<NodeId, BTreeSet<NodeId>>,
    watchers: Map<CiNumber, BTreeMap<NodeId, u16>>,
    unexplained: Map<CiNumber, u32>,
    bursts: BTreeMap<BurstKey, BTreeSet<(Timestamp, NodeId)>>,
    /// Every condition but those of upkeep, by when it began.
    by_onset: BTreeSet<(Timestamp, NodeId)>,
    upstream: Map<CiNumber, Arc<Upstream>>,
    changes: BTreeMap<CiNumber, Vec<RecentChange>>,
    habits: BTreeMap<u64, Habit>,
    habits_by_age: BTreeSet<(Timestamp, u64)>,
    due: BTreeSet<(Timestamp, NodeId)>,
}

impl Forest {
    /// The node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Every node, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node that an alert belongs to.
    pub fn node_of(&self, alert: AlertId) -> Option<&Node> {
        self.nodes.get(self.by_alert.get(&alert)?)
    }

    /// The nodes of a CI, by id.
    pub fn nodes_at(&self, ci: CiNumber) -> &[NodeId] {
        self.by_ci.get(&ci).map_or(&[], Vec::as_slice)
    }

    /// The nodes of an incident, by id.
    pub fn nodes_in(&self, incident: IncidentId) -> impl DoubleEndedIterator<Item = NodeId> {
        self.by_incident
            .get(&incident)
            .into_iter()
            .flatten()
            .copied()
    }

    /// How many nodes an incident has.
    pub fn count_in(&self, incident: IncidentId) -> usize {
        self.by_incident.get(&incident).map_or(0, BTreeSet::len)
    }

    /// The texts of a rule that are in an incident, with how many nodes have each.
    pub fn bars(&self, incident: IncidentId, rule: u64) -> Option<&BTreeMap<u64, u32>> {
        self.bars.get(&(incident, rule))
    }

    /// The nodes that a rule brings together by this text, latest first.
    pub fn bonded(&self, text: u64) -> impl Iterator<Item = NodeId> {
        self.bonds.get(&text).into_iter().flatten().rev().copied()
    }

    /// The nodes that a node explains, by id.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.children.get(&id).into_iter().flatten().copied()
    }

    /// How many nodes a node explains.
    pub fn child_count(&self, id: NodeId) -> usize {
        self.children.get(&id).map_or(0, BTreeSet::len)
    }

    /// The nodes whose CI depends on this one, newest first, each with how strongly.
    pub fn watchers(&self, ci: CiNumber) -> impl Iterator<Item = (NodeId, u16)> {
        let watchers = self.watchers.get(&ci).into_iter().flatten();
        watchers.rev().map(|(&id, &weight)| (id, weight))
    }

    /// How many unexplained nodes depend on this CI.
    pub fn unexplained(&self, ci: CiNumber) -> u32 {
        self.unexplained.get(&ci).copied().unwrap_or(0)
    }

    /// The nodes of one name and place that began from `since` on, earliest first.
    pub fn burst(
        &self,
        key: &BurstKey,
        since: Timestamp,
    ) -> impl DoubleEndedIterator<Item = (Timestamp, NodeId)> {
        let crowd = self.bursts.get(key).into_iter();
        crowd.flat_map(move |crowd| crowd.range((since, NodeId::MIN)..).copied())
    }

    /// The nodes that began within a time, earliest first.
    pub fn begun(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = NodeId> {
        let nodes = self.by_onset.range((from, NodeId::MIN)..);
        let nodes = nodes.take_while(move |&&(at, _)| at <= until);
        nodes.map(|&(_, id)| id)
    }

    /// What a CI with nodes depends on.
    pub fn upstream(&self, ci: CiNumber) -> Option<&Arc<Upstream>> {
        self.upstream.get(&ci)
    }

    /// The latest changes of a CI.
    pub fn changes(&self, ci: CiNumber) -> &[RecentChange] {
        self.changes.get(&ci).map_or(&[], Vec::as_slice)
    }

    /// When the next node is to be looked at.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|&(at, _)| at)
    }

    /// The nodes that are to be looked at by `now`, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = NodeId> {
        let due = self.due.iter().take_while(move |&&(at, _)| at <= now);
        due.map(|&(_, id)| id)
    }

    /// Puts a node in place.
    pub fn put(&mut self, graph: &Graph, node: Node) {
        let held = self.nodes.remove(&node.id);
        if let Some(held) = held {
            self.unindex(&held);
            if (held.ci, held.watcher) == (node.ci, node.watcher) {
                // What moves with its whole tree depends on the same CIs as before: only that is not done again.
                self.recount(&held, &node);
                self.index(&node);
                self.nodes.insert(node.id, node);
                return;
            }
            self.unreach(&held);
        }
        if let Some(ci) = node.ci {
            let upstream = self.upstream.entry(ci);
            upstream.or_insert_with(|| Arc::new(Upstream::of(graph, ci)));
        }
        self.index(&node);
        self.reach(&node);
        self.nodes.insert(node.id, node);
    }

    /// Takes a node out.
    pub fn forget(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.remove(&id) {
            self.unindex(&node);
            self.unreach(&node);
        }
    }

    /// Notes a change; of one CI the latest few are kept.
    pub fn put_change(&mut self, ci: CiNumber, change: RecentChange) {
        let changes = self.changes.entry(ci).or_default();
        let since = change.at.minus(CHANGES_KEPT);
        changes.retain(|held| held.id != change.id && held.at >= since);
        changes.push(change);
        changes.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        if changes.len() > CHANGES_MAX {
            changes.remove(0);
        }
    }

    /// With what a condition has come before.
    pub fn habit(&self, sign: u64) -> Option<&Habit> {
        self.habits.get(&sign)
    }

    /// Notes with what a condition has come; of too many the one seen longest ago is forgotten.
    pub fn put_habit(&mut self, habit: Habit) {
        let (sign, at) = (habit.sign, habit.at);
        if let Some(before) = self.habits.insert(sign, habit) {
            self.habits_by_age.remove(&(before.at, sign));
        }
        self.habits_by_age.insert((at, sign));
        if self.habits.len() > HABITS_MAX
            && let Some((_, oldest)) = self.habits_by_age.pop_first()
        {
            self.habits.remove(&oldest);
        }
    }

    /// Every CI with its latest changes.
    pub fn all_changes(&self) -> impl Iterator<Item = (CiNumber, &[RecentChange])> {
        self.changes
            .iter()
            .map(|(&ci, changes)| (ci, changes.as_slice()))
    }

    /// Builds everything anew that follows from the graph.
    pub fn regraph(&mut self, graph: &Graph) {
        if self.nodes.is_empty() {
            return;
        }
        let nodes = std::mem::take(&mut self.nodes);
        let changes = std::mem::take(&mut self.changes);
        let habits = std::mem::take(&mut self.habits);
        let habits_by_age = std::mem::take(&mut self.habits_by_age);
        *self = Self {
            changes,
            habits,
            habits_by_age,
            ..Self::default()
        };
        for (_, node) in nodes {
            self.put(graph, node);
        }
    }

    /// Everything but where it stands in the graph.
    fn index(&mut self, node: &Node) {
        let id = node.id;
        for &alert in &node.alerts {
            self.by_alert.insert(alert, id);
        }
        self.by_incident
            .entry(node.incident)
            .or_default()
            .insert(id);
        for (rule, text) in node.bars() {
            let texts = self.bars.entry((node.incident, rule)).or_default();
            let count = texts.entry(text).or_default();
            *count = count.saturating_add(1);
        }
        for mark in &node.marks {
            self.bonds.entry(mark.text).or_default().insert(id);
        }
        if let Some(parent) = node.parent() {
            self.children.entry(parent).or_default().insert(id);
        }
        if let Some(at) = node.due_at {
            self.due.insert((at, id));
        }
        if let Some(key) = burst_key(node) {
            self.bursts.entry(key).or_default().insert((node.onset, id));
        }
        if is_company(node) {
            self.by_onset.insert((node.onset, id));
        }
    }

    /// Where it stands in the graph.
    fn reach(&mut self, node: &Node) {
        let Some(ci) = node.ci else {
            return;
        };
        let here = self.by_ci.entry(ci).or_default();
        if let Err(place) = here.binary_search(&node.id) {
            here.insert(place, node.id);
        }
        let is_open = is_unexplained(node);
        for (ci, weight) in self.providers(node, ci) {
            self.watchers.entry(ci).or_default().insert(node.id, weight);
            if is_open {
                count_one(&mut self.unexplained, ci);
            }
        }
    }

    fn unindex(&mut self, node: &Node) {
        let id = node.id;
        for alert in &node.alerts {
            if self.by_alert.get(alert) == Some(&id) {
                self.by_alert.remove(alert);
            }
        }
        take(&mut self.by_incident, &node.incident, &id);
        unmark(&mut self.bars, &mut self.bonds, node);
        if let Some(parent) = node.parent()
            && let Some(children) = self.children.get_mut(&parent)
        {
            children.remove(&id);
            if children.is_empty() {
                self.children.remove(&parent);
            }
        }
        if let Some(at) = node.due_at {
            self.due.remove(&(at, id));
        }
        if let Some(key) = burst_key(node) {
            take(&mut self.bursts, &key, &(node.onset, id));
        }
        self.by_onset.remove(&(node.onset, id));
    }

    fn unreach(&mut self, node: &Node) {
        let Some(ci) = node.ci else {
            return;
        };
        let was_open = is_unexplained(node);
        for (ci, _) in self.providers(node, ci) {
            if let Some(watchers) = self.watchers.get_mut(&ci) {
                watchers.remove(&node.id);
                if watchers.is_empty() {
                    self.watchers.remove(&ci);
                }
            }
            if was_open {
                discount_one(&mut self.unexplained, ci);
            }
        }
        if let Some(here) = self.by_ci.get_mut(&ci) {
            here.retain(|&other| other != node.id);
            if here.is_empty() {
                self.by_ci.remove(&ci);
                self.upstream.remove(&ci);
            }
        }
    }

    /// Counts anew what of a node has no explanation, if that is another answer than before.
    fn recount(&mut self, before: &Node, after: &Node) {
        let (was, is) = (is_unexplained(before), is_unexplained(after));
        let Some(ci) = after.ci.filter(|_| was != is) else {
            return;
        };
        for (ci, _) in self.providers(after, ci) {
            if is {
                count_one(&mut self.unexplained, ci);
            } else {
                discount_one(&mut self.unexplained, ci);
            }
        }
    }

    /// Everything that a node's condition may come from, with weights.
    fn providers(&self, node: &Node, ci: CiNumber) -> Vec<(CiNumber, u16)> {
        let upstream = self.upstream.get(&ci).into_iter();
        let reaches = upstream.flat_map(|upstream| upstream.iter());
        let reaches = reaches.map(|reach| (reach.ci, reach.weight));
        let reaches = reaches.filter(|&(ci, _)| Some(ci) != node.watcher);
        let watcher = node.watcher.map(|ci| (ci, WATCHER_WEIGHT));
        reaches.chain(watcher).collect()
    }
}

/// Whether nothing with an alert of its own explains the node, and something may.
pub fn is_unexplained(node: &Node) -> bool {
    node.link.is_none() && !node.has_ended() && node.family != Family::Config
}

/// Whether a node may be company for another one.
pub fn is_company(node: &Node) -> bool {
    node.family != Family::Config && !node.is_silent()
}

/// Where a node is counted for bursts.
pub fn burst_key(node: &Node) -> Option<BurstKey> {
    let may = !node.name.is_empty() && node.place != 0 && node.family != Family::Config;
    may.then(|| BurstKey {
        name: node.name.clone(),
        place: node.place,
    })
}

fn count_one(counts: &mut Map<CiNumber, u32>, ci: CiNumber) {
    let count = counts.entry(ci).or_default();
    *count = count.saturating_add(1);
}

fn discount_one(counts: &mut Map<CiNumber, u32>, ci: CiNumber) {
    if let Some(count) = counts.get_mut(&ci) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&ci);
        }
    }
}

type Bars = BTreeMap<(IncidentId, u64), BTreeMap<u64, u32>>;

/// Takes a node out of the indexes of what rules make of it.
fn unmark(bars: &mut Bars, bonds: &mut Map<u64, BTreeSet<NodeId>>, node: &Node) {
    for (rule, text) in node.bars() {
        let key = (node.incident, rule);
        let Some(texts) = bars.get_mut(&key) else {
            continue;
        };
        if let Some(count) = texts.get_mut(&text) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                texts.remove(&text);
            }
        }
        if texts.is_empty() {
            bars.remove(&key);
        }
    }
    for mark in &node.marks {
        if let Some(bonded) = bonds.get_mut(&mark.text) {
            bonded.remove(&node.id);
            if bonded.is_empty() {
                bonds.remove(&mark.text);
            }
        }
    }
}

fn take<K: Ord, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

/// Two forests are equal when they hold the same nodes, changes and habits; the indexes follow from those.
impl PartialEq for Forest {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes && self.changes == other.changes && self.habits == other.habits
    }
}
