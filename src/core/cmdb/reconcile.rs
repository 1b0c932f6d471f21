//! What changes in the graph when imports say something new.
//!
//! [`merge()`](crate::core::cmdb::merge::merge) makes one picture of all imports, [`reconcile`] compares it with what is known and gives
//! numbers; [`first_difference`] is both for a graph that is empty. The same imports give the same graph in any order
//! (numbers aside, which follow first arrival). Must not change anything, and must not delete by itself: a caller holds
//! an import back when [`delete_share`] is too large.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use smol_str::SmolStr;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::core::cmdb::ci::{Ci, CiNumber};
use crate::core::cmdb::graph::{Difference, Graph};
use crate::core::cmdb::merge::{Merged, MergedCi, Precedence, merge};
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::core::cmdb::relation::{Relation, RelationKind, Role};

/// An import that would delete more than this share of its CIs, in percent, is held for confirmation.
pub const DELETE_PERCENT_MAX: usize = 20;

/// What is known before an import.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The number that each id ever had.
    pub numbers: HashMap<SmolStr, CiNumber>,
    /// The highest number ever given.
    pub last: u32,
    /// The CIs that are there, with the hash of all that is known of them.
    pub present: HashMap<CiNumber, u64>,
    /// The relations that are there, with the hash of their words.
    pub relations: Vec<(u64, Relation)>,
}

impl Known {
    /// What a graph knows; hashes are missing, so everything counts as changed.
    pub fn of(graph: &Graph) -> Self {
        let mut known = Self::default();
        for ci in graph.cis() {
            known.numbers.insert(ci.id.clone(), ci.number);
            known.last = known.last.max(ci.number.get());
            known.present.insert(ci.number, 0);
            for edge in graph.providers(ci.number) {
                let relation = Relation {
                    from: ci.number,
                    to: edge.ci,
                    kind: edge.kind,
                    role: edge.role,
                    group: edge.group,
                    min: edge.min,
                    confidence: edge.confidence,
                };
                known.relations.push((0, relation));
            }
        }
        known
    }
}

/// A CI that is new or changed, for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutCi {
    /// Its number.
    pub number: CiNumber,
    /// Its place in [`Merged::cis`].
    pub place: usize,
    /// The hash of all that is known of it.
    pub hash: u64,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// A relation that is new, for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutRelation {
    /// Its place in [`Merged::relations`].
    pub place: usize,
    /// The hash of its words.
    pub hash: u64,
    /// As the graph knows it.
    pub relation: Relation,
}

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// For the graph.
    pub difference: Difference,
    /// CIs that are new or changed.
    pub cis: Vec<PutCi>,
    /// Relations that are new.
    pub relations: Vec<PutRelation>,
    /// Relations that are gone: their dependents, and the hashes of their words.
    pub gone_relations: Vec<(CiNumber, u64)>,
    /// Ids that have a number for the first time, or another one.
    pub numbered: Vec<(SmolStr, CiNumber)>,
}

impl Reconciled {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.cis.is_empty()
            && self.relations.is_empty()
            && self.gone_relations.is_empty()
            && self.difference.removed.is_empty()
    }
}

/// The difference that a first import makes.
pub fn first_difference(picture: &Picture) -> Difference {
    let merged = merge(
        vec![(SmolStr::default(), picture.clone())],
        &Precedence::default(),
    );
    reconcile(&merged, &Known::default()).difference
}

/// Compares what all imports say with what is known.
pub fn reconcile(merged: &Merged, known: &Known) -> Reconciled {
    let mut out = Reconciled::default();
    let numbers = give_numbers(merged, known, &mut out);
    for (place, (ci, &number)) in merged.cis.iter().zip(&numbers).enumerate() {
        let hash = hash_ci(ci);
        let before = known.present.get(&number);
        if before != Some(&hash) {
            let put = Arc::new(graph_ci(number, &ci.record));
            out.difference.put.push(put);
            out.cis.push(PutCi {
                number,
                place,
                hash,
                is_new: before.is_none(),
            });
        }
    }
    let there: HashSet<CiNumber> = numbers.iter().copied().collect();
    let gone = known.present.keys().copied();
    out.difference.removed = gone.filter(|number| !there.contains(number)).collect();
    out.difference.removed.sort_unstable();
    drop(there);
    compare_relations(merged, known, &numbers, &mut out);
    out
}

/// How many of the CIs that an import named before it names no more, and of how many.
pub fn delete_share<'a>(
    before: impl Iterator<Item = &'a str>,
    picture: &Picture,
) -> (usize, usize) {
    let named: HashSet<&str> = picture.cis.iter().map(|ci| ci.id.as_str()).collect();
    before.fold((0, 0), |(gone, all), id| {
        let is_gone = usize::from(!named.contains(id));
        (gone.saturating_add(is_gone), all.saturating_add(1))
    })
}

/// Whether so many deletes need a person's word.
pub fn is_held((gone, all): (usize, usize)) -> bool {
    gone.saturating_mul(100) > all.saturating_mul(DELETE_PERCENT_MAX)
}

fn give_numbers(merged: &Merged, known: &Known, out: &mut Reconciled) -> Vec<CiNumber> {
    let mut last = known.last;
    let mut taken: HashSet<CiNumber> = HashSet::with_capacity(merged.cis.len());
    let mut numbers: Vec<Option<CiNumber>> = Vec::with_capacity(merged.cis.len());
    // Whoever has a number under the id that counts keeps it, before others take one over.
    for ci in &merged.cis {
        let own = known.numbers.get(&ci.record.id).copied();
        numbers.push(own.filter(|number| taken.insert(*number)));
    }
    let mut given = Vec::with_capacity(numbers.len());
    for (ci, own) in merged.cis.iter().zip(numbers) {
        let number = own.or_else(|| {
            let known = ci
                .ids
                .iter()
                .filter_map(|id| known.numbers.get(id).copied());
            known.min().filter(|number| taken.insert(*number))
        });
        let number = number.or_else(|| {
            last = last.saturating_add(1);
            CiNumber::new(last)
        });
        let Some(number) = number else { continue };
        if known.numbers.get(&ci.record.id) != Some(&number) {
            out.numbered.push((ci.record.id.clone(), number));
        }
        given.push(number);
    }
    given
}

fn compare_relations(merged: &Merged, known: &Known, numbers: &[CiNumber], out: &mut Reconciled) {
    let ids = merged.cis.iter().map(|ci| ci.record.id.as_str());
    let by_id: HashMap<&str, CiNumber> = ids.zip(numbers.iter().copied()).collect();
    let mut now: Vec<PutRelation> = Vec::with_capacity(merged.relations.len());
    for (place, record) in merged.relations.iter().enumerate() {
        let ends = (
            by_id.get(record.from.as_str()),
            by_id.get(record.to.as_str()),
        );
        if let (Some(&from), Some(&to)) = ends {
            let relation = graph_relation(record, from, to);
            let hash = hash_relation(record, relation);
            now.push(PutRelation {
                place,
                hash,
                relation,
            });
        }
    }
    drop(by_id);
    if known.relations.is_empty() {
        // A first import needs no comparison, and would need the most memory for it.
        out.difference.linked = now.iter().map(|it| it.relation).collect();
        out.difference.linked.sort_unstable();
        out.difference.linked.dedup();
        out.relations = now;
        return;
    }
    let hashes_now: HashSet<u64> = now.iter().map(|it| it.hash).collect();
    let gone = known
        .relations
        .iter()
        .filter(|(hash, _)| !hashes_now.contains(hash));
    out.gone_relations = gone.map(|(hash, it)| (it.from, *hash)).collect();
    drop(hashes_now);
    // Relations that differ in words without a meaning are one edge of the graph.
    let edges_now: HashSet<Relation> = now.iter().map(|it| it.relation).collect();
    let edges_before: HashSet<Relation> = known.relations.iter().map(|(_, it)| *it).collect();
    out.difference.unlinked = edges_before.difference(&edges_now).copied().collect();
    out.difference.unlinked.sort_unstable();
    out.difference.linked = edges_now.difference(&edges_before).copied().collect();
    out.difference.linked.sort_unstable();
    drop((edges_now, edges_before));
    let before: HashSet<u64> = known.relations.iter().map(|(hash, _)| *hash).collect();
    now.retain(|it| !before.contains(&it.hash));
    out.relations = now;
}

/// A CI as the graph holds it.
pub fn graph_ci(number: CiNumber, record: &CiRecord) -> Ci {
    Ci {
        number,
        id: record.id.clone(),
        name: record.name.clone(),
        class: record.class.clone(),
        site: record.site.clone(),
        rack: record.rack.clone(),
        environment: record.environment.clone(),
        criticality: record.criticality,
        owner: record.owner.clone(),
        is_retired: record.is_retired,
        identifiers: record.identifiers.clone(),
    }
}

/// A relation as the graph holds it.
pub fn graph_relation(record: &RelationRecord, from: CiNumber, to: CiNumber) -> Relation {
    let group = record.group.as_deref().map(|group| {
        let hash = xxh3_64(group.as_bytes()) & u64::from(u32::MAX);
        u32::try_from(hash).unwrap_or(0)
    });
    Relation {
        from,
        to,
        kind: RelationKind::from_word(&record.kind),
        role: Role::of_words(&record.kind, record.role.as_deref()),
        group,
        min: record.min,
        confidence: record
            .confidence
            .unwrap_or(Relation::SURE)
            .min(Relation::SURE),
    }
}

fn hash_relation(record: &RelationRecord, relation: Relation) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&relation.from.get().to_le_bytes());
    hash.update(&relation.to.get().to_le_bytes());
    hash.update(&relation.confidence.to_le_bytes());
    feed(&mut hash, &record.kind);
    feed(&mut hash, record.role.as_deref().unwrap_or("\0"));
    feed(&mut hash, record.group.as_deref().unwrap_or("\0"));
    // Left out when unset, so that relations of earlier versions keep their hash.
    if let Some(min) = record.min {
        hash.update(&[min.get()]);
    }
    hash.digest()
}

/// Everything that is known of a CI, as a number that is the same wherever it is computed.
fn hash_ci(ci: &MergedCi) -> u64 {
    let mut hash = Xxh3::new();
    let record = &ci.record;
    feed(&mut hash, &record.id);
    feed(&mut hash, &record.name);
    feed(&mut hash, &record.class);
    for field in [
        &record.site,
        &record.rack,
        &record.environment,
        &record.owner,
    ] {
        feed(&mut hash, field.as_deref().unwrap_or("\0"));
    }
    hash.update(&[record.criticality.unwrap_or(0), u8::from(record.is_retired)]);
    for identifier in &record.identifiers {
        feed(&mut hash, identifier.kind.word());
        feed(&mut hash, &identifier.text);
    }
    for (key, value) in record.attributes.iter() {
        feed(&mut hash, key);
        feed(&mut hash, value);
    }
    for import in &ci.imports {
        feed(&mut hash, import);
    }
    hash.digest()
}

fn feed(hash: &mut Xxh3, text: &str) {
    hash.update(text.as_bytes());
    // No text of UTF-8 holds this byte.
    hash.update(&[0xff]);
}
