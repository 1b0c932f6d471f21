//! The dependency graph in memory: adjacency by CI number in both directions, changed by differences.
//!
//! A walk costs what it visits: neighbours lie in one vector per CI, sorted, so that iteration is deterministic.
//! Cycles are normal. Must not walk by itself, and must not fail: relations to unknown CIs and to oneself are
//! dropped and counted by [`Graph::apply`].

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::cmdb::ci::{Ci, CiNumber};
use crate::core::cmdb::gear::Gear;
use crate::core::cmdb::index::{Index, Meaning};
use crate::core::cmdb::relation::{Relation, RelationKind, Role};

/// One end of a relation, as seen from the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The CI at the other end.
    pub ci: CiNumber,
    /// How.
    pub kind: RelationKind,
    /// In more detail.
    pub role: Role,
    /// Redundancy group among the relations of the dependent.
    pub group: Option<u32>,
    /// How many of that group, or of those alike, must be left for the dependent to go on.
    pub min: Option<NonZeroU8>,
    /// How sure the CMDB is, in 1/10,000.
    pub confidence: u16,
}

/// What changes from one version of the graph to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The version that it makes; 0 counts one on.
    #[serde(default)]
    pub version: u64,
    /// Relations that are gone, compared in full.
    #[serde(default)]
    pub unlinked: Vec<Relation>,
    /// CIs that are gone; their relations go with them.
    #[serde(default)]
    pub removed: Vec<CiNumber>,
    /// CIs that are new or changed, whole; shared with the graph, which may be large.
    #[serde(default)]
    pub put: Vec<Arc<Ci>>,
    /// Relations that are new.
    #[serde(default)]
    pub linked: Vec<Relation>,
}

/// CIs and the relations between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    slots: Vec<Option<Slot>>,
    by_id: HashMap<SmolStr, CiNumber, foldhash::fast::FixedState>,
    index: Index,
    relation_count: usize,
    links: BTreeSet<CiNumber>,
    gear: Gear,
    version: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    ci: Arc<Ci>,
    providers: Vec<Edge>,
    dependents: Vec<Edge>,
}

impl Graph {
    /// The CI with that number.
    pub fn ci(&self, number: CiNumber) -> Option<&Ci> {
        Some(&self.slot(number)?.ci)
    }

    /// The number of the CI with exactly that id.
    pub fn find(&self, id: &str) -> Option<CiNumber> {
        self.by_id.get(id).copied()
    }

    /// What a text may mean, most telling first; the text is normalised by [`crate::core::cmdb::normal`].
    pub fn meanings(&self, text: &str) -> &[Meaning] {
        self.index.find(text)
    }

    /// Texts that may mean several CIs in use, in no order; names without their domain are left out.
    pub fn shared_texts(&self) -> impl Iterator<Item = (&SmolStr, Vec<CiNumber>)> {
        let is_used = |number: CiNumber| self.ci(number).is_some_and(|ci| !ci.is_retired);
        self.index.shared().filter_map(move |(text, mut cis)| {
            cis.retain(|ci| is_used(*ci));
            (cis.len() > 1).then_some((text, cis))
        })
    }

    /// Every CI, by number.
    pub fn cis(&self) -> impl Iterator<Item = &Ci> {
        self.slots.iter().flatten().map(|slot| &*slot.ci)
    }

    /// What a CI depends on, by number.
    pub fn providers(&self, number: CiNumber) -> &[Edge] {
        self.slot(number).map_or(&[], |slot| &slot.providers)
    }

    /// What depends on a CI, by number.
    pub fn dependents(&self, number: CiNumber) -> &[Edge] {
        self.slot(number).map_or(&[], |slot| &slot.dependents)
    }

    /// The CIs that are links between sites, by number.
    pub fn links(&self) -> impl Iterator<Item = CiNumber> {
        self.links.iter().copied()
    }

    /// Network gear by the place that it serves.
    pub fn gear(&self) -> &Gear {
        &self.gear
    }

    /// How many CIs there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many relations there are.
    pub fn relation_count(&self) -> usize {
        self.relation_count
    }

    /// One more than the largest number of a CI.
    pub fn number_bound(&self) -> usize {
        self.slots.len()
    }

    /// Grows with every difference; what is derived from the graph is good for one version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Makes a difference true; returns how many relations were dropped because an end is unknown or both are one.
    pub fn apply(&mut self, difference: &Difference) -> usize {
        self.version = match difference.version {
            0 => self.version.saturating_add(1),
            version => version,
        };
        for relation in &difference.unlinked {
            self.unlink(relation);
        }
        for &number in &difference.removed {
            self.remove(number);
        }
        self.make_room(difference);
        for ci in &difference.put {
            self.put(Arc::clone(ci));
        }
        self.make_room_for_links(&difference.linked);
        let linked = difference.linked.iter();
        linked.filter(|relation| !self.link(relation)).count()
    }

    fn slot(&self, number: CiNumber) -> Option<&Slot> {
        self.slots.get(number.index())?.as_ref()
    }

    fn slot_mut(&mut self, number: CiNumber) -> Option<&mut Slot> {
        self.slots.get_mut(number.index())?.as_mut()
    }

    /// Room for exactly what a large difference puts: what grows by doubling holds half as much again.
    fn make_room(&mut self, difference: &Difference) {
        let is_large = difference.put.len() > self.by_id.len();
        let last = difference.put.iter().map(|ci| ci.number.index()).max();
        if let (true, Some(last)) = (is_large, last) {
            let more = last.saturating_add(1).saturating_sub(self.slots.len());
            self.slots.reserve_exact(more);
        }
    }

    /// The same for the edges of each CI.
    fn make_room_for_links(&mut self, linked: &[Relation]) {
        if linked.len() <= self.relation_count {
            return;
        }
        let mut counts = vec![(0_usize, 0_usize); self.slots.len()];
        for relation in linked {
            if let Some((providers, _)) = counts.get_mut(relation.from.index()) {
                *providers = providers.saturating_add(1);
            }
            if let Some((_, dependents)) = counts.get_mut(relation.to.index()) {
                *dependents = dependents.saturating_add(1);
            }
        }
        for (slot, (providers, dependents)) in self.slots.iter_mut().zip(counts) {
            if let Some(slot) = slot {
                slot.providers.reserve_exact(providers);
                slot.dependents.reserve_exact(dependents);
            }
        }
    }

    fn put(&mut self, ci: Arc<Ci>) {
        let (number, index) = (ci.number, ci.number.index());
        if self.slots.len() <= index {
            self.slots.resize_with(index.saturating_add(1), || None);
        }
        let Some(place) = self.slots.get_mut(index) else {
            return;
        };
        let id = ci.id.clone();
        if is_link(&ci.class) {
            self.links.insert(number);
        } else {
            self.links.remove(&number);
        }
        match place {
            Some(slot) => {
                self.index.remove(&slot.ci);
                self.index.add(&ci);
                self.gear.remove(&slot.ci);
                self.gear.add(&ci);
                let before = std::mem::replace(&mut slot.ci, ci);
                if before.id != id && self.by_id.get(&before.id) == Some(&number) {
                    self.by_id.remove(&before.id);
                }
            }
            None => {
                self.index.add(&ci);
                self.gear.add(&ci);
                *place = Some(Slot {
                    ci,
                    providers: Vec::new(),
                    dependents: Vec::new(),
                });
            }
        }
        self.by_id.insert(id, number);
    }

    fn remove(&mut self, number: CiNumber) {
        let Some(slot) = self.slots.get_mut(number.index()).and_then(Option::take) else {
            return;
        };
        self.by_id.remove(&slot.ci.id);
        self.links.remove(&number);
        self.index.remove(&slot.ci);
        self.gear.remove(&slot.ci);
        for edge in &slot.providers {
            if let Some(other) = self.slot_mut(edge.ci) {
                other.dependents.retain(|back| back.ci != number);
            }
        }
        for edge in &slot.dependents {
            if let Some(other) = self.slot_mut(edge.ci) {
                other.providers.retain(|forth| forth.ci != number);
            }
        }
        let gone = slot.providers.len().saturating_add(slot.dependents.len());
        self.relation_count = self.relation_count.saturating_sub(gone);
    }

    fn link(&mut self, relation: &Relation) -> bool {
        let (from, to) = (relation.from, relation.to);
        if from == to || self.slot(from).is_none() || self.slot(to).is_none() {
            return false;
        }
        let is_new = self
            .slot_mut(from)
            .is_some_and(|slot| insert(&mut slot.providers, edge(relation, to)));
        if is_new {
            if let Some(slot) = self.slot_mut(to) {
                insert(&mut slot.dependents, edge(relation, from));
            }
            self.relation_count = self.relation_count.saturating_add(1);
        }
        true
    }

    fn unlink(&mut self, relation: &Relation) {
        let (from, to) = (relation.from, relation.to);
        let is_gone = self
            .slot_mut(from)
            .is_some_and(|slot| take(&mut slot.providers, edge(relation, to)));
        if is_gone {
            if let Some(slot) = self.slot_mut(to) {
                take(&mut slot.dependents, edge(relation, from));
            }
            self.relation_count = self.relation_count.saturating_sub(1);
        }
    }
}

/// Whether a CI of that class carries traffic between sites.
fn is_link(class: &str) -> bool {
    class == "link"
        || ["wan", "circuit", "mpls", "leased"]
            .iter()
            .any(|word| class.contains(word))
}

fn edge(relation: &Relation, ci: CiNumber) -> Edge {
    Edge {
        ci,
        kind: relation.kind,
        role: relation.role,
        group: relation.group,
        min: relation.min,
        confidence: relation.confidence,
    }
}

/// Adds an edge in its place; `false` when it is there already.
fn insert(edges: &mut Vec<Edge>, edge: Edge) -> bool {
    match edges.binary_search(&edge) {
        Ok(_) => false,
        Err(place) => {
            edges.insert(place, edge);
            true
        }
    }
}

/// Takes an edge out; `false` when it is not there.
fn take(edges: &mut Vec<Edge>, edge: Edge) -> bool {
    edges
        .binary_search(&edge)
        .is_ok_and(|place| edges.remove(place) == edge)
}

/// Two graphs are equal when they hold the same CIs and relations.
impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.cis().eq(other.cis())
            && self
                .cis()
                .all(|ci| self.providers(ci.number) == other.providers(ci.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ci(number: u32, id: &str) -> Arc<Ci> {
        Arc::new(Ci {
            number: CiNumber::new(number).unwrap(),
            id: id.into(),
            name: id.into(),
            class: "host".into(),
            site: None,
            rack: None,
            environment: None,
            criticality: None,
            owner: None,
            is_retired: false,
            identifiers: Vec::new(),
        })
    }

    fn relation(from: u32, to: u32) -> Relation {
        Relation {
            from: CiNumber::new(from).unwrap(),
            to: CiNumber::new(to).unwrap(),
            kind: RelationKind::RunsOn,
            role: Role::Host,
            group: None,
            min: None,
            confidence: Relation::SURE,
        }
    }

    #[test]
    fn differences_keep_both_directions_and_counts_in_step() {
        let mut graph = Graph::default();
        let first = Difference {
            put: vec![ci(1, "a"), ci(2, "b"), ci(3, "c")],
            linked: vec![
                relation(1, 2),
                relation(2, 3),
                relation(3, 1),
                relation(1, 1),
                relation(1, 9),
                relation(1, 2),
            ],
            ..Difference::default()
        };
        assert_eq!(graph.apply(&first), 2, "to itself, and to an unknown one");
        assert_eq!((graph.len(), graph.relation_count()), (3, 3));
        let two = CiNumber::new(2).unwrap();
        assert_eq!(graph.dependents(two).len(), 1);
        let second = Difference {
            unlinked: vec![relation(2, 3)],
            removed: vec![CiNumber::new(1).unwrap()],
            put: vec![ci(2, "bb")],
            ..Difference::default()
        };
        assert_eq!(graph.apply(&second), 0);
        assert_eq!((graph.len(), graph.relation_count()), (2, 0));
        assert_eq!((graph.find("b"), graph.find("bb")), (None, Some(two)));
        assert!(graph.dependents(two).is_empty() && graph.providers(two).is_empty());
        assert_eq!(graph.version(), 2);
    }
}
