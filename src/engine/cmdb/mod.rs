//! Imports: compared off the engine, staged beside acknowledgements, made true by one input.
//!
//! One import at a time. It is compared with the active version; if another one became true meanwhile the core refuses,
//! and it is compared again. A kill at any instant leaves the last version whole: rows of a version that never became true
//! are seen by nobody and are discarded before the next import. Must not decide which CIs there are; reconciliation in the
//! core does.

mod packed;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use smol_str::SmolStr;
use tokio::sync::{Mutex, Notify, watch};

use crate::core::cmdb::graph::Difference;
use crate::core::cmdb::merge::{Conflict, Merged, merge};
use crate::core::cmdb::reconcile::{Known, Reconciled, delete_share, is_held, reconcile};
use crate::core::cmdb::record::{Picture, Problem};
use crate::core::ids::Seq;
use crate::core::input::CmdbImported;
use crate::core::rules::Rules;
use crate::store::cmdb::read;
use crate::store::cmdb::stage::{CiRow, NewImport, RelationRow, STEP_ROWS, Stage};
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::{Db, StoreError};

use self::packed::{Packed, exact_json, pack, unpack};
use super::handle::{EngineHandle, SubmitError};
use super::heard::Heard;

/// Marks the command that makes an import true.
pub(super) const IMPORT: &str = "application/x-watchbell-cmdb+json";
/// CIs of one import, and relations: beyond, the graph would not fit the memory that it is meant for.
const CIS_MAX: usize = 1_500_000;
const RELATIONS_MAX: usize = 6_000_000;
/// Packed parts written in one step.
const PARTS_PER_STEP: usize = 16;
/// Ids of each kind of change that are listed.
const EXAMPLES_MAX: usize = 100;
/// How often an import is compared again because another one was faster.
const ATTEMPTS: usize = 3;
/// How often it is looked whether an input is decided.
const DECIDED_LOOK: Duration = Duration::from_millis(5);

/// What imports share.
#[derive(Debug)]
pub(super) struct Imports {
    pub(super) db: Db,
    pub(super) rules: watch::Receiver<Arc<Rules>>,
    pub(super) one_at_a_time: Mutex<()>,
    /// The bytes that said last what an import says now.
    pub(super) heard: Mutex<Vec<Heard>>,
    /// Told when the CMDB has changed.
    pub(super) changed: Notify,
}

/// An import that is wanted.
#[derive(Debug)]
pub struct ImportRequest {
    /// Its name: what it said before under this name is replaced.
    pub name: String,
    /// The format, for the record.
    pub format: String,
    /// All that it says now.
    pub picture: Picture,
    /// Whether only the difference is wanted.
    pub is_dry_run: bool,
    /// Whether many deletes are meant.
    pub confirm_deletes: bool,
    /// Whether a problem with any row refuses all.
    pub is_strict: bool,
    /// Who wants it.
    pub actor: String,
}

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

/// An import on its way.
struct Compared {
    merged: Merged,
    changes: Reconciled,
    base: u64,
    version: u64,
    replaced: Option<u64>,
}

impl EngineHandle {
    /// Makes an import true, or says what it would change.
    ///
    /// The picture must be a whole one: what it does not name is deleted. Not to be cancelled; run it as tracked work.
    ///
    /// # Errors
    /// Nothing was changed, unless the error is [`SubmitError::Unknown`].
    pub async fn import_cmdb(
        &self,
        mut request: ImportRequest,
    ) -> Result<ImportOutcome, ImportRefused> {
        let _one = self.imports.one_at_a_time.lock().await;
        self.readiness().map_err(SubmitError::NotReady)?;
        self.until_decided(self.writer().progress.appended())
            .await?;
        let (cis, relations) = (request.picture.cis.len(), request.picture.relations.len());
        if cis > CIS_MAX || relations > RELATIONS_MAX {
            return Err(ImportRefused::TooLarge { cis, relations });
        }
        let mut picture = std::mem::take(&mut request.picture);
        let mut picture = blocking(move || {
            picture.clean();
            picture
        })
        .await?;
        let problems = std::mem::take(&mut picture.problems);
        if request.is_strict && !problems.is_empty() {
            return Err(ImportRefused::Strict(problems));
        }
        let (picture, packed) = blocking(move || pack(picture)).await?;
        let counts = ImportCounts {
            cis: picture.cis.len(),
            relations: picture.relations.len(),
            problems: problems.len(),
            ..ImportCounts::default()
        };
        let mut outcome = ImportOutcome {
            is_dry_run: request.is_dry_run,
            counts,
            problems,
            ..ImportOutcome::default()
        };
        let mut picture = Some(picture);
        for _ in 0..ATTEMPTS {
            let picture = match picture.take() {
                Some(picture) => picture,
                None => unpack(&packed)?,
            };
            let done = self
                .attempt(&request, picture, &packed, &mut outcome)
                .await?;
            if done {
                return Ok(outcome);
            }
        }
        Err(SubmitError::NotReady("other imports were faster every time".to_owned()).into())
    }

    /// One comparison; `false` when another import became true meanwhile.
    async fn attempt(
        &self,
        request: &ImportRequest,
        picture: Picture,
        packed: &Packed,
        outcome: &mut ImportOutcome,
    ) -> Result<bool, ImportRefused> {
        let mut reader = self.imports.db.reader().await?;
        let (base, last) = read::versions(reader.lend()).await?;
        let current = read::current(reader.lend()).await?;
        outcome.version = base;
        let before = current.iter().find(|import| import.name == request.name);
        if let Some(before) = before.filter(|it| it.hash == packed.hash.cast_signed()) {
            outcome.is_unchanged = true;
            let seen = u64::try_from(before.version).unwrap_or_default();
            drop(reader);
            if !request.is_dry_run {
                self.stage(Stage::Seen(seen)).await?;
            }
            return Ok(true);
        }
        if let Some(before) = before {
            let share = self.share(before.version, &picture).await?;
            if is_held(share) && !request.confirm_deletes {
                let (gone, all) = share;
                if !request.is_dry_run {
                    return Err(ImportRefused::Held { gone, all });
                }
                outcome.is_held = true;
            }
        }
        let mut pictures = vec![(SmolStr::new(&request.name), picture)];
        for other in current.iter().filter(|other| other.name != request.name) {
            let said = read::picture(reader.lend(), other.version).await?;
            pictures.push((SmolStr::new(&other.name), said));
        }
        let known = read::known(reader.lend(), base).await?;
        drop(reader);
        let precedence = self.imports.rules.borrow().cmdb.precedence.clone();
        let compare = move || {
            let merged = merge(pictures, &precedence);
            let changes = reconcile(&merged, &known);
            let removed = names_of(&changes, &known);
            (merged, changes, removed)
        };
        let (merged, mut changes, removed) = blocking(compare).await?;
        let version = last.saturating_add(1);
        changes.difference.version = version;
        tell(outcome, &merged, &changes, removed);
        if request.is_strict && merged.problem_count > 0 {
            return Err(ImportRefused::Strict(merged.problems));
        }
        if request.is_dry_run {
            return Ok(true);
        }
        let compared = Compared {
            merged,
            changes,
            base,
            version,
            replaced: before.and_then(|before| u64::try_from(before.version).ok()),
        };
        self.activate(request, compared, packed, outcome).await
    }

    /// How many of the CIs named before are gone.
    async fn share(&self, version: i64, picture: &Picture) -> Result<(usize, usize), StoreError> {
        let mut reader = self.imports.db.reader().await?;
        let mut ids: Vec<SmolStr> = Vec::new();
        read::parts(reader.lend(), version, |part| {
            ids.extend(part.cis.into_iter().map(|ci| ci.id));
        })
        .await?;
        Ok(delete_share(ids.iter().map(SmolStr::as_str), picture))
    }

    /// Stages the rows and has the import decided.
    async fn activate(
        &self,
        request: &ImportRequest,
        compared: Compared,
        packed: &Packed,
        outcome: &mut ImportOutcome,
    ) -> Result<bool, ImportRefused> {
        let (base, version, replaced) = (compared.base, compared.version, compared.replaced);
        let mut reader = self.imports.db.reader().await?;
        let left_over = read::unfinished(reader.lend()).await?;
        drop(reader);
        for version in left_over {
            self.stage(Stage::Discard(version)).await?;
        }
        let import = NewImport {
            version,
            name: request.name.clone(),
            format: request.format.clone(),
            actor: request.actor.clone(),
            hash: packed.hash,
            summary: summary(outcome),
        };
        self.stage(Stage::Import(import)).await?;
        let mut first = 0_i64;
        for parts in packed.parts.chunks(PARTS_PER_STEP) {
            self.stage(Stage::Parts(version, first, parts.to_vec()))
                .await?;
            first = first.saturating_add(i64::try_from(parts.len()).unwrap_or(0));
        }
        let difference = self.stage_rows(version, compared).await?;
        let difference = Arc::new(difference);
        let (name, actor) = (SmolStr::new(&request.name), SmolStr::new(&request.actor));
        let body = blocking(move || {
            let imported = CmdbImported {
                base,
                difference,
                name,
                actor,
            };
            exact_json(&imported).map(|json| StoredBody::new(Bytes::from(json)))
        })
        .await?;
        let input = NewInput {
            body: body.map_err(|_| SubmitError::Unknown)?,
            ..marked(InputKind::Command, IMPORT)
        };
        let receipt = self.writer().append(input, None, None).await;
        let receipt = receipt.map_err(SubmitError::from)?;
        self.until_decided(receipt.seq())
            .await
            .map_err(|_| SubmitError::Unknown)?;
        let mut reader = self.imports.db.reader().await?;
        let (active, _) = read::versions(reader.lend()).await?;
        drop(reader);
        if active != version {
            return Ok(false);
        }
        outcome.version = version;
        if let Some(replaced) = replaced {
            self.stage(Stage::ForgetParts(replaced)).await?;
        }
        Ok(true)
    }

    /// Stages what changes, in steps, and gives back what the graph needs.
    async fn stage_rows(
        &self,
        version: u64,
        compared: Compared,
    ) -> Result<Difference, ImportRefused> {
        let Compared {
            mut merged,
            changes,
            ..
        } = compared;
        for numbers in changes.numbered.chunks(STEP_ROWS) {
            self.stage(Stage::Numbers(numbers.to_vec())).await?;
        }
        let ended = changes
            .cis
            .iter()
            .filter(|put| !put.is_new)
            .map(|put| put.number);
        let ended: Vec<_> = ended
            .chain(changes.difference.removed.iter().copied())
            .collect();
        for numbers in ended.chunks(STEP_ROWS) {
            self.stage(Stage::CisEnd(version, numbers.to_vec())).await?;
        }
        for puts in changes.cis.chunks(STEP_ROWS) {
            let rows = puts.iter().filter_map(|put| {
                let ci = merged.cis.get_mut(put.place)?;
                Some(CiRow {
                    number: put.number,
                    hash: put.hash,
                    record: std::mem::take(&mut ci.record),
                    imports: std::mem::take(&mut ci.imports),
                })
            });
            let rows = rows.collect();
            self.stage(Stage::Cis(version, rows)).await?;
        }
        merged.cis = Vec::new();
        for gone in changes.gone_relations.chunks(STEP_ROWS) {
            self.stage(Stage::RelationsEnd(version, gone.to_vec()))
                .await?;
        }
        for puts in changes.relations.chunks(STEP_ROWS) {
            let rows = puts.iter().filter_map(|put| {
                let record = merged.relations.get_mut(put.place)?;
                Some(RelationRow {
                    hash: put.hash,
                    relation: put.relation,
                    record: std::mem::take(record),
                })
            });
            let rows = rows.collect();
            self.stage(Stage::Relations(version, rows)).await?;
        }
        Ok(changes.difference)
    }

    pub(super) async fn stage(&self, stage: Stage) -> Result<(), ImportRefused> {
        let staged = self.writer().stage(stage).await;
        Ok(staged.map_err(SubmitError::from)?)
    }

    /// Waits until an input is decided and committed.
    pub(super) async fn until_decided(&self, seq: Seq) -> Result<(), SubmitError> {
        while self.writer().progress.decided() < seq {
            tokio::time::sleep(DECIDED_LOOK).await;
            if self.is_ended() {
                return Err(SubmitError::Stopping);
            }
        }
        Ok(())
    }
}

/// An input of our own making, marked with what its body is.
pub(super) fn marked(kind: InputKind, mark: &str) -> NewInput {
    NewInput {
        content_type: Some(mark.to_owned()),
        ..crate::store::writer::marker(kind)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SubmitError> {
    // A panic in it is a defect that the task's own report tells.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| SubmitError::Unknown)
}

/// Ids of the first CIs that are gone.
fn names_of(changes: &Reconciled, known: &Known) -> Vec<SmolStr> {
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

fn tell(outcome: &mut ImportOutcome, merged: &Merged, changes: &Reconciled, removed: Vec<SmolStr>) {
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
fn summary(outcome: &ImportOutcome) -> String {
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
