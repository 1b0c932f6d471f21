//! Several imports made into one: which records describe the same CI, and whose word counts.
//!
//! Records are the same CI when they have the same id, or share an identifier that only one record of each import has
//! (serial, hardware address, domain name). A chain of identifiers that would join two records of one import joins
//! nothing: never a guess. For each field the most trusted import that says anything wins; who says otherwise is listed.
//! The result does not depend on the order in which imports came. Must not number anything.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use smol_str::SmolStr;

use crate::core::cmdb::ci::{Identifier, IdentifierKind};
use crate::core::cmdb::normal;
use crate::core::cmdb::record::{CiRecord, Picture, Problem, RelationRecord};

/// Conflicts and problems kept in full; more are only counted.
pub const LISTED_MAX: usize = 1_000;

/// Whose word counts, most trusted first; imports that are not named come after, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precedence {
    /// For everything.
    pub imports: Vec<SmolStr>,
    /// For single fields or attributes, before `imports`.
    pub attributes: BTreeMap<SmolStr, Vec<SmolStr>>,
}

/// Two imports that say different things about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The CI's id.
    pub ci: SmolStr,
    /// The field or attribute.
    pub field: SmolStr,
    /// Whose word counts.
    pub kept_from: SmolStr,
    /// What it says.
    pub kept: SmolStr,
    /// Who says otherwise.
    pub other_from: SmolStr,
    /// And what.
    pub other: SmolStr,
}

/// One CI of all imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedCi {
    /// What they say together.
    pub record: CiRecord,
    /// The imports that name it, most trusted first.
    pub imports: Vec<SmolStr>,
    /// Every id that they give it; the first is the one that counts.
    pub ids: Vec<SmolStr>,
}

/// All imports as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// By id.
    pub cis: Vec<MergedCi>,
    /// Sorted, each once, both ends in `cis`.
    pub relations: Vec<RelationRecord>,
    /// The first [`LISTED_MAX`].
    pub conflicts: Vec<Conflict>,
    /// How many, listed or not.
    pub conflict_count: usize,
    /// Relations without an end, and identifiers that would join what is not one; the first [`LISTED_MAX`].
    pub problems: Vec<Problem>,
    /// How many, listed or not.
    pub problem_count: usize,
}

/// Makes one of several imports, given by name.
pub fn merge(mut imports: Vec<(SmolStr, Picture)>, precedence: &Precedence) -> Merged {
    let rank = |list: &[SmolStr], name: &SmolStr| {
        let place = list.iter().position(|other| other == name);
        place.unwrap_or(usize::MAX)
    };
    imports.sort_by(|(left, _), (right, _)| {
        let left_rank = rank(&precedence.imports, left);
        (left_rank, left).cmp(&(rank(&precedence.imports, right), right))
    });
    if let [(name, picture)] = imports.as_mut_slice()
        && is_each_once(picture)
    {
        return alone(name, std::mem::take(picture));
    }
    let names: Vec<SmolStr> = imports.iter().map(|(name, _)| name.clone()).collect();
    let mut merged = Merged::default();
    let mut records = Vec::new();
    let mut relations = Vec::new();
    for (import, (_, picture)) in imports.into_iter().enumerate() {
        records.extend(picture.cis.into_iter().map(|record| (import, record)));
        if relations.is_empty() {
            // As it is: a copy of the only import would be as large as everything else together.
            relations = picture.relations;
        } else {
            relations.extend(picture.relations);
        }
    }
    let groups = group(&records, names.len(), &mut merged);
    let mut members: Vec<Vec<(usize, CiRecord)>> = Vec::new();
    let mut place_of_root: HashMap<usize, usize> = HashMap::new();
    let mut place_of_id: HashMap<SmolStr, usize> = HashMap::with_capacity(records.len());
    for ((import, record), root) in records.into_iter().zip(groups) {
        let place = *place_of_root.entry(root).or_insert_with(|| {
            members.push(Vec::with_capacity(1));
            members.len().saturating_sub(1)
        });
        place_of_id.entry(record.id.clone()).or_insert(place);
        if let Some(of_ci) = members.get_mut(place) {
            of_ci.push((import, record));
        }
    }
    drop(place_of_root);
    let mut cis: Vec<(usize, MergedCi)> = Vec::with_capacity(members.len());
    for (place, of_ci) in members.into_iter().enumerate() {
        let joined = join(of_ci, &names, precedence, &mut merged);
        cis.push((place, joined));
    }
    let mut final_ids: Vec<SmolStr> = vec![SmolStr::default(); cis.len()];
    for (place, ci) in &cis {
        if let Some(id) = final_ids.get_mut(*place) {
            id.clone_from(&ci.record.id);
        }
    }
    link(relations, &place_of_id, &final_ids, &mut merged);
    merged.cis = cis.into_iter().map(|(_, ci)| ci).collect();
    merged
        .cis
        .sort_by(|left, right| left.record.id.cmp(&right.record.id));
    merged
        .conflicts
        .sort_by(|left, right| (&left.ci, &left.field).cmp(&(&right.ci, &right.field)));
    merged
}

fn is_each_once(picture: &Picture) -> bool {
    let mut seen = HashSet::with_capacity(picture.cis.len());
    picture.cis.iter().all(|ci| seen.insert(ci.id.as_str()))
}

/// The only import there is: nothing is joined, and no second copy of a large one is made.
fn alone(name: &SmolStr, picture: Picture) -> Merged {
    let mut merged = Merged::default();
    let Picture { cis, relations, .. } = picture;
    let cis = cis.into_iter().map(|mut record| {
        finish(&mut record);
        MergedCi {
            imports: vec![name.clone()],
            ids: vec![record.id.clone()],
            record,
        }
    });
    merged.cis = cis.collect();
    merged
        .cis
        .sort_by(|left, right| left.record.id.cmp(&right.record.id));
    let ids: Vec<SmolStr> = merged.cis.iter().map(|ci| ci.record.id.clone()).collect();
    let places = ids.iter().enumerate();
    let place_of_id = places.map(|(place, id)| (id.clone(), place)).collect();
    link(relations, &place_of_id, &ids, &mut merged);
    merged
}

fn finish(record: &mut CiRecord) {
    if record.name.is_empty() {
        record.name = record.id.clone();
    }
    record.identifiers.sort_unstable();
    record.identifiers.dedup();
}

/// Which records are one CI: for each record the index of the first one of its group.
fn group(records: &[(usize, CiRecord)], import_count: usize, merged: &mut Merged) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..records.len()).collect();
    let mut first_of_id: HashMap<&str, usize> = HashMap::with_capacity(records.len());
    for (index, (_, record)) in records.iter().enumerate() {
        let first = *first_of_id.entry(record.id.as_str()).or_insert(index);
        unite(&mut roots, first, index);
    }
    if import_count < 2 {
        return roots;
    }
    let by_id: Vec<usize> = (0..records.len())
        .map(|index| find(&mut roots, index))
        .collect();
    let mut carriers: BTreeMap<(IdentifierKind, SmolStr), Vec<usize>> = BTreeMap::new();
    for (index, (_, record)) in records.iter().enumerate() {
        for key in record.identifiers.iter().filter_map(matching_form) {
            let places = carriers.entry(key).or_default();
            if places.last() != Some(&index) {
                places.push(index);
            }
        }
    }
    for places in carriers.values() {
        let mut imports = HashSet::new();
        let is_unique = places.iter().all(|&index| {
            records
                .get(index)
                .is_some_and(|(import, _)| imports.insert(*import))
        });
        if is_unique {
            for pair in places.windows(2) {
                if let [left, right] = *pair {
                    unite(&mut roots, left, right);
                }
            }
        }
    }
    // A chain may have joined two records of one import.
    let mut of_group: HashMap<(usize, usize), usize> = HashMap::new();
    let mut mixed = HashSet::new();
    for (index, (import, _)) in records.iter().enumerate() {
        let root = find(&mut roots, index);
        let own = by_id.get(index).copied().unwrap_or(index);
        if *of_group.entry((root, *import)).or_insert(own) != own && mixed.insert(root) {
            let ids = records
                .get(root)
                .map_or("", |(_, record)| record.id.as_str());
            merged.problem_count = merged.problem_count.saturating_add(1);
            if merged.problems.len() < LISTED_MAX {
                merged.problems.push(Problem {
                    place: ids.into(),
                    text: "its serials, hardware addresses or names would join several CIs of one import; nothing was joined by them".into(),
                });
            }
        }
    }
    (0..records.len())
        .map(|index| {
            let root = find(&mut roots, index);
            match mixed.contains(&root) {
                true => by_id.get(index).copied().unwrap_or(index),
                false => root,
            }
        })
        .collect()
}

fn find(roots: &mut [usize], index: usize) -> usize {
    let mut at = index;
    while let Some(&next) = roots.get(at)
        && next != at
    {
        at = next;
    }
    if let Some(root) = roots.get_mut(index) {
        *root = at;
    }
    at
}

fn unite(roots: &mut [usize], left: usize, right: usize) {
    let (left, right) = (find(roots, left), find(roots, right));
    if let Some(root) = roots.get_mut(left.max(right)) {
        *root = left.min(right);
    }
}

fn matching_form(identifier: &Identifier) -> Option<(IdentifierKind, SmolStr)> {
    let text = match identifier.kind {
        IdentifierKind::Serial | IdentifierKind::Fqdn => normal::name(&identifier.text),
        IdentifierKind::Mac => normal::mac(&identifier.text),
        // Names repeat, and addresses are given out again.
        IdentifierKind::Alias | IdentifierKind::Ip => None,
    };
    text.map(|text| (identifier.kind, text))
}

/// Makes one of the records of one CI, which are in the order of trust.
fn join(
    mut of_ci: Vec<(usize, CiRecord)>,
    names: &[SmolStr],
    precedence: &Precedence,
    merged: &mut Merged,
) -> MergedCi {
    let mut imports: Vec<SmolStr> = Vec::with_capacity(1);
    let mut ids: Vec<SmolStr> = Vec::with_capacity(1);
    for (import, record) in &of_ci {
        if let Some(name) = names.get(*import).filter(|name| !imports.contains(name)) {
            imports.push(name.clone());
        }
        if !ids.contains(&record.id) {
            ids.push(record.id.clone());
        }
    }
    let mut record = if of_ci.len() == 1 {
        of_ci.pop().map(|(_, record)| record).unwrap_or_default()
    } else {
        let mut joining = Joining {
            of_ci: &of_ci,
            names,
            precedence,
            merged,
            id: ids.first().cloned().unwrap_or_default(),
        };
        joining.join(&ids)
    };
    finish(&mut record);
    MergedCi {
        record,
        imports,
        ids,
    }
}

struct Joining<'a> {
    of_ci: &'a [(usize, CiRecord)],
    names: &'a [SmolStr],
    precedence: &'a Precedence,
    merged: &'a mut Merged,
    id: SmolStr,
}

impl Joining<'_> {
    fn join(&mut self, ids: &[SmolStr]) -> CiRecord {
        let is_own_name = |record: &CiRecord| !record.name.is_empty() && record.name != record.id;
        let mut record = CiRecord {
            id: self.id.clone(),
            class: self
                .field("class", |it| {
                    (!it.class.is_empty()).then(|| it.class.clone())
                })
                .unwrap_or_default(),
            name: self
                .field("name", |it| is_own_name(it).then(|| it.name.clone()))
                .unwrap_or_else(|| self.id.clone()),
            site: self.field("site", |it| it.site.clone()),
            rack: self.field("rack", |it| it.rack.clone()),
            environment: self.field("environment", |it| it.environment.clone()),
            owner: self.field("owner", |it| it.owner.clone()),
            ..CiRecord::default()
        };
        let criticality = self.field("criticality", |it| {
            it.criticality.map(|level| SmolStr::new(level.to_string()))
        });
        record.criticality = criticality.and_then(|level| level.parse().ok());
        let is_retired = self.field("retired", |it| {
            Some(SmolStr::new(it.is_retired.to_string()))
        });
        record.is_retired = is_retired.is_some_and(|word| word == "true");
        let others = ids.iter().skip(1).map(|id| Identifier {
            kind: IdentifierKind::Alias,
            text: id.clone(),
        });
        record.identifiers.extend(others);
        let of_ci = self.of_ci;
        for (_, other) in of_ci {
            record.identifiers.extend(other.identifiers.iter().cloned());
            for key in other.attributes.keys() {
                if !record.attributes.contains_key(key)
                    && let Some(value) = self.field(key, |it| it.attributes.get(key).cloned())
                {
                    record.attributes.insert(key.clone(), value);
                }
            }
        }
        record
    }

    /// What the most trusted record says that says anything.
    fn field(&mut self, field: &str, of: impl Fn(&CiRecord) -> Option<SmolStr>) -> Option<SmolStr> {
        let trusted = self.precedence.attributes.get(field);
        let rank = |import: usize| {
            let name = self.names.get(import);
            let list = trusted.map_or(&[][..], Vec::as_slice);
            list.iter()
                .position(|it| Some(it) == name)
                .unwrap_or(usize::MAX)
        };
        let said = self.of_ci.iter();
        let said = said.filter_map(|(import, record)| of(record).map(|value| (*import, value)));
        let said: Vec<(usize, SmolStr)> = said.collect();
        let (kept_from, kept) = said.iter().min_by_key(|(import, _)| rank(*import))?;
        for (other_from, other) in &said {
            if other == kept {
                continue;
            }
            self.merged.conflict_count = self.merged.conflict_count.saturating_add(1);
            if self.merged.conflicts.len() < LISTED_MAX {
                let name = |import: &usize| self.names.get(*import).cloned().unwrap_or_default();
                self.merged.conflicts.push(Conflict {
                    ci: self.id.clone(),
                    field: field.into(),
                    kept_from: name(kept_from),
                    kept: kept.clone(),
                    other_from: name(other_from),
                    other: other.clone(),
                });
            }
        }
        Some(kept.clone())
    }
}

/// Keeps the relations whose ends are there, by the ids that count.
fn link(
    mut relations: Vec<RelationRecord>,
    place_of_id: &HashMap<SmolStr, usize>,
    final_ids: &[SmolStr],
    merged: &mut Merged,
) {
    let final_id = |id: &SmolStr| place_of_id.get(id).and_then(|place| final_ids.get(*place));
    // In place: there may be millions.
    relations.retain_mut(|relation| {
        let problem = match (final_id(&relation.from), final_id(&relation.to)) {
            (None, _) => format!("no import has a CI {}", relation.from),
            (_, None) => format!("no import has a CI {}", relation.to),
            (Some(from), Some(to)) if from == to => "both ends are the same CI".to_owned(),
            (Some(from), Some(to)) => {
                relation.from.clone_from(from);
                relation.to.clone_from(to);
                return true;
            }
        };
        merged.problem_count = merged.problem_count.saturating_add(1);
        if merged.problems.len() < LISTED_MAX {
            merged.problems.push(Problem {
                place: format!("{} -> {}", relation.from, relation.to).into(),
                text: format!("{problem}; the relation waits until it is there").into(),
            });
        }
        false
    });
    merged.relations = relations;
    // Of two that differ in confidence only, the surer one stays; full confidence is written as none.
    merged.relations.sort_unstable_by(|left, right| {
        let share = |it: &RelationRecord| it.confidence.unwrap_or(u16::MAX);
        let order = words_of(left).cmp(&words_of(right));
        order.then_with(|| share(right).cmp(&share(left)))
    });
    merged
        .relations
        .dedup_by(|later, kept| words_of(later) == words_of(kept));
}

/// What makes a relation another one; borrowed, since there are many.
fn words_of(it: &RelationRecord) -> impl Ord + '_ {
    (&it.from, &it.to, &it.kind, &it.role, &it.group, it.min)
}
