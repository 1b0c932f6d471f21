//! Imports: compared off the engine, staged beside acknowledgements, made true by one input.
//!
//! One import at a time. It is compared with the active version; if another one became true meanwhile the core refuses,
//! and it is compared again. A kill at any instant leaves the last version whole: rows of a version that never became true
//! are seen by nobody and are discarded before the next import. Must not decide which CIs there are; reconciliation in the
//! core does.

mod outcome;
mod packed;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::{Mutex, Notify, watch};

use crate::core::cmdb::graph::Difference;
use crate::core::cmdb::merge::{Merged, merge};
use crate::core::cmdb::reconcile::{Reconciled, delete_share, is_held, reconcile};
use crate::core::cmdb::record::Picture;
use crate::core::ids::Seq;
use crate::core::input::CmdbImported;
use crate::core::rules::Rules;
use crate::store::cmdb::read;
use crate::store::cmdb::stage::{CiRow, NewImport, RelationRow, STEP_ROWS, Stage};
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::{Db, StoreError};

pub use self::outcome::{ImportCounts, ImportOutcome, ImportRefused};
use self::outcome::{names_of, summary, tell};
use self::packed::{Packed, pack, unpack};
use super::handle::{EngineHandle, SubmitError};
use super::heard::Heard;

/// Marks the command that makes an import true.
pub(super) const IMPORT: &str = "application/x-watchbell-cmdb+json";
/// CIs of one import, and relations: beyond, the graph would not fit the memory that it is meant for.
const CIS_MAX: usize = 1_500_000;
const RELATIONS_MAX: usize = 6_000_000;
/// Packed parts written in one step.
const PARTS_PER_STEP: usize = 16;
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
    /// The import that is on its way to be decided, so that nobody has to read it again.
    pub(super) given: Given,
}

/// An import with the body that says it.
#[derive(Debug, Default)]
pub(super) struct Given(std::sync::Mutex<Option<(StoredBody, CmdbImported)>>);

impl Given {
    fn set(&self, given: Option<(StoredBody, CmdbImported)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = given;
    }

    /// The import that this very body says; `None` for a body that was read from the store.
    pub(super) fn of(&self, body: &StoredBody) -> Option<CmdbImported> {
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, imported) = given.as_ref()?;
        said.is_same(body).then(|| imported.clone())
    }
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
        let imported = CmdbImported {
            base,
            difference,
            name,
            actor,
        };
        self.decide(imported).await?;
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

    /// Puts an import into the log and waits until it is decided.
    async fn decide(&self, imported: CmdbImported) -> Result<(), ImportRefused> {
        let written = imported.clone();
        let body = blocking(move || StoredBody::of_json(&written));
        let body = body.await?.map_err(|_| SubmitError::Unknown)?;
        let input = NewInput {
            body: body.clone(),
            ..marked(InputKind::Command, IMPORT)
        };
        self.imports.given.set(Some((body, imported)));
        let decided = async {
            let receipt = self.writer().append(input, None, None).await;
            let receipt = receipt.map_err(SubmitError::from)?;
            let decided = self.until_decided(receipt.seq()).await;
            decided.map_err(|_| SubmitError::Unknown)
        };
        let decided = decided.await;
        self.imports.given.set(None);
        Ok(decided?)
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
