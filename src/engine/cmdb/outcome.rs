//! What an import came to, told with its first examples; and why one changed nothing.
//!
//! Must not compare anything.

use serde::Serialize;
use smol_str::SmolStr;

use crate::core::cmdb::merge::{Conflict, Merged};
use crate::core::cmdb::reconcile::{Known, Reconciled};
use crate::core::cmdb::record::Problem;
use crate::engine::handle::SubmitError;
use crate::store::StoreError;

use super::{CIS_MAX, RELATIONS_MAX};

/// Ids of each kind of change that are listed.
const EXAMPLES_MAX: usize = 100;

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportCounts {
    /// CIs that this import names.
    pub cis: usize,
    /// Relations that this import names.
    pub relations: usize,
    /// CIs that are new.
    pub cis_added: usize,
    /// CIs that changed.
    pub cis_changed: usize,
    /// CIs that are gone.
    pub cis_removed: usize,
    /// Relations that are new.
    pub relations_added: usize,
    /// Relations that are gone.
    pub relations_removed: usize,
    /// What was wrong with single rows.
    pub problems: usize,
    /// Fields about which imports disagree.
    pub conflicts: usize,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    /// The version that holds now.
    pub version: u64,
    /// Whether it said nothing new.
    pub is_unchanged: bool,
    /// Whether only the difference was wanted.
    pub is_dry_run: bool,
    /// Whether it would be held because it deletes too much; only of a dry run.
    pub is_held: bool,
    /// How many of each.
    pub counts: ImportCounts,
    /// Ids of the first new CIs.
    pub added: Vec<SmolStr>,
    /// Ids of the first changed CIs.
    pub changed: Vec<SmolStr>,
    /// Ids of the first CIs that are gone.
    pub removed: Vec<SmolStr>,
    /// What was wrong with single rows; the first ones.
    pub problems: Vec<Problem>,
    /// Where imports disagree; the first ones.
    pub conflicts: Vec<Conflict>,
}

/// Why an import changed nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImportRefused {
    /// It would delete too much; confirm that this is meant.
    #[error(
        "this import would delete {gone} of the {all} CIs that it named before; if that is meant, confirm the deletes"
    )]
    Held {
        /// CIs that it names no more.
        gone: usize,
        /// CIs that it named before.
        all: usize,
    },
    /// It is larger than what is meant to be held in memory.
    #[error(
        "this import names {cis} CIs and {relations} relations; at most {CIS_MAX} and {RELATIONS_MAX} are taken, so leave out what no alert is ever about"
    )]
    TooLarge {
        /// CIs that it names.
        cis: usize,
        /// Relations that it names.
        relations: usize,
    },
    /// Some rows are wrong, and all or nothing was asked for.
    #[error("rows are wrong and strict was asked for; nothing was changed: {}", first_of(.0))]
    Strict(Vec<Problem>),
    /// The engine or the store does not answer.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// The first problems in one line, and how many there are.
fn first_of(problems: &[Problem]) -> String {
    let first = problems.iter().take(5);
    let mut texts: Vec<String> = first
        .map(|it| format!("{}: {}", it.place, it.text))
        .collect();
    if problems.len() > texts.len() {
        texts.push(format!("{} in all", problems.len()));
    }
    texts.join("; ")
}

impl From<StoreError> for ImportRefused {
    fn from(error: StoreError) -> Self {
        Self::Submit(SubmitError::Store(error))
    }
}

/// Ids of the first CIs that are gone.
pub(super) fn names_of(changes: &Reconciled, known: &Known) -> Vec<SmolStr> {
    let removed = &changes.difference.removed;
    let gone = known
        .numbers
        .iter()
        .filter(|(_, number)| removed.binary_search(number).is_ok());
    let mut names: Vec<SmolStr> = gone.map(|(id, _)| id.clone()).collect();
    names.sort_unstable();
    names.truncate(EXAMPLES_MAX);
    names
}

pub(super) fn tell(
    outcome: &mut ImportOutcome,
    merged: &Merged,
    changes: &Reconciled,
    removed: Vec<SmolStr>,
) {
    let names = |is_new: bool| {
        let puts = changes.cis.iter().filter(move |put| put.is_new == is_new);
        let ids = puts.filter_map(|put| Some(merged.cis.get(put.place)?.record.id.clone()));
        ids.take(EXAMPLES_MAX).collect()
    };
    outcome.added = names(true);
    outcome.changed = names(false);
    outcome.removed = removed;
    let added = changes.cis.iter().filter(|put| put.is_new).count();
    let room = crate::core::cmdb::merge::LISTED_MAX.saturating_sub(outcome.problems.len());
    outcome
        .problems
        .extend(merged.problems.iter().take(room).cloned());
    outcome.conflicts.clone_from(&merged.conflicts);
    let counts = &mut outcome.counts;
    counts.cis_added = added;
    counts.cis_changed = changes.cis.len().saturating_sub(added);
    counts.cis_removed = changes.difference.removed.len();
    counts.relations_added = changes.relations.len();
    counts.relations_removed = changes.gone_relations.len();
    counts.problems = counts.problems.saturating_add(merged.problem_count);
    counts.conflicts = merged.conflict_count;
}

/// What is kept of the outcome with the import.
pub(super) fn summary(outcome: &ImportOutcome) -> String {
    #[derive(Serialize)]
    struct Kept<'a> {
        counts: &'a ImportCounts,
        problems: &'a [Problem],
        conflicts: Vec<[&'a str; 6]>,
    }
    let conflicts = outcome.conflicts.iter().map(|it| {
        let texts = [
            &it.ci,
            &it.field,
            &it.kept_from,
            &it.kept,
            &it.other_from,
            &it.other,
        ];
        texts.map(SmolStr::as_str)
    });
    let kept = Kept {
        counts: &outcome.counts,
        problems: &outcome.problems,
        conflicts: conflicts.collect(),
    };
    serde_json::to_string(&kept).unwrap_or_default()
}
