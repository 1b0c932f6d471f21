//! The way to the writer: what it can be asked to do, and what it tells.
//!
//! Must not touch the database; that is the writer's alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::audit::AuditEntry;
use crate::core::decision::CommandAnswer;
use crate::core::ids::Seq;
use crate::core::observation::Observation;
use crate::core::time::Timestamp;

use super::cmdb::stage::Stage;
use super::commit::Batch;
use super::dead_letters::NewDeadLetter;
use super::inbox::NewInput;
use super::lease::Lease;
use super::outbox::work::OutboxStep;
use super::{StoreError, retention};

/// An input whose row is committed, on its way to the engine.
#[derive(Debug)]
pub struct Appended {
    /// Its position.
    pub seq: Seq,
    /// Its recorded time.
    pub at: Timestamp,
    /// What was appended.
    pub input: NewInput,
    /// What a message claims, if it was decoded at the door.
    pub observations: Option<Vec<Observation>>,
}

/// Proof that a row is committed: only the writer makes it, and a sender is told yes only with one in hand.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    seq: Seq,
    at: Timestamp,
}

impl Receipt {
    pub(super) fn new(seq: Seq, at: Timestamp) -> Self {
        Self { seq, at }
    }

    /// The position of the input.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Its recorded time.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// Why a job was not taken or not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Too much waits already.
    #[error("too many messages wait to be stored")]
    Overloaded,
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Told when the engine has committed its decision on an input.
pub type Waiter = oneshot::Sender<CommandAnswer>;

pub(super) struct Append {
    pub(super) input: NewInput,
    pub(super) observations: Option<Vec<Observation>>,
    pub(super) waiter: Option<Waiter>,
    pub(super) reply: oneshot::Sender<Result<Receipt, WriteError>>,
}

/// A dead letter that becomes an input.
pub(super) struct Replay {
    pub(super) letter: i64,
    pub(super) input: NewInput,
    pub(super) observations: Vec<Observation>,
    pub(super) reply: oneshot::Sender<Result<Option<Receipt>, StoreError>>,
}

pub(super) enum Job {
    Append(Append),
    Commit(Box<Batch>, oneshot::Sender<Result<(), StoreError>>),
    DeadLetter(NewDeadLetter, oneshot::Sender<Result<i64, StoreError>>),
    Replay(Replay),
    Amend(i64, String, oneshot::Sender<Result<(), StoreError>>),
    Retain(retention::Limits, oneshot::Sender<Result<u64, StoreError>>),
    Outbox(Box<OutboxStep>, oneshot::Sender<Result<u64, StoreError>>),
    Stage(Box<Stage>, oneshot::Sender<Result<(), StoreError>>),
    Audit(Box<AuditEntry>, oneshot::Sender<Result<(), StoreError>>),
    ChangesRead(SmolStr, Timestamp, oneshot::Sender<Result<(), StoreError>>),
    Position(oneshot::Sender<Result<Lease, StoreError>>),
}

/// What is known about the writer at any time.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) appended: AtomicI64,
    pub(super) decided: AtomicI64,
    pub(super) handed_bytes: AtomicUsize,
}

impl Progress {
    /// The last input in the log.
    pub fn appended(&self) -> Seq {
        Seq::new(self.appended.load(Ordering::Acquire))
    }

    /// The last input that is decided.
    pub fn decided(&self) -> Seq {
        Seq::new(self.decided.load(Ordering::Acquire))
    }

    /// Inputs that wait for a decision.
    pub fn depth(&self) -> i64 {
        self.appended()
            .get()
            .saturating_sub(self.decided().get())
            .max(0)
    }

    /// Notes that the engine has taken a handed-on input out of the queue.
    pub fn taken(&self, body_bytes: usize) {
        self.handed_bytes.fetch_sub(body_bytes, Ordering::AcqRel);
    }
}

/// The way to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    pub(super) jobs: mpsc::Sender<Job>,
    /// Commands whose decision somebody waits for.
    pub(super) waiters: Arc<Mutex<BTreeMap<Seq, Waiter>>>,
    /// Positions, for depth and readiness.
    pub progress: Arc<Progress>,
    /// The last failure of the store, until it works again.
    pub trouble: watch::Receiver<Option<StoreError>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Append(..) => "Append",
            Self::Commit(..) => "Commit",
            Self::DeadLetter(..) => "DeadLetter",
            Self::Replay(..) => "Replay",
            Self::Amend(..) => "Amend",
            Self::Retain(..) => "Retain",
            Self::Outbox(..) => "Outbox",
            Self::Stage(..) => "Stage",
            Self::Audit(..) => "Audit",
            Self::ChangesRead(..) => "ChangesRead",
            Self::Position(..) => "Position",
        })
    }
}

/// A commit on its way.
#[derive(Debug)]
pub struct Committing(oneshot::Receiver<Result<(), StoreError>>);

impl Committing {
    /// Waits for its outcome; may be dropped and called again while waiting.
    ///
    /// # Errors
    /// What the store says; then nothing of the batch may be believed.
    pub async fn done(&mut self) -> Result<(), WriteError> {
        match (&mut self.0).await {
            Ok(result) => result.map_err(WriteError::Store),
            Err(_) => Err(WriteError::Stopping),
        }
    }
}

impl WriterHandle {
    /// Takes out whoever waits for the decision on an input.
    pub fn waiter(&self, seq: Seq) -> Option<Waiter> {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.remove(&seq)
    }

    /// Appends an input; returns when its row is committed.
    ///
    /// # Errors
    /// [`WriteError::Overloaded`] at once when too much waits; otherwise what the store says.
    pub async fn append(
        &self,
        input: NewInput,
        observations: Option<Vec<Observation>>,
        waiter: Option<Waiter>,
    ) -> Result<Receipt, WriteError> {
        let (reply, answer) = oneshot::channel();
        let append = Append {
            input,
            observations,
            waiter,
            reply,
        };
        match self.jobs.try_send(Job::Append(append)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(WriteError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(WriteError::Stopping),
        }
        answer.await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Appends an input of the engine's own; waits for room, since overload must not keep time from passing.
    ///
    /// # Errors
    /// What the store says.
    pub async fn append_own(&self, input: NewInput) -> Result<Receipt, WriteError> {
        let (reply, answer) = oneshot::channel();
        let append = Append {
            input,
            observations: None,
            waiter: None,
            reply,
        };
        let sent = self.jobs.send(Job::Append(append)).await;
        sent.map_err(|_| WriteError::Stopping)?;
        answer.await.unwrap_or(Err(WriteError::Stopping))
    }

    /// Commits decisions.
    ///
    /// # Errors
    /// What the store says; then nothing of the batch may be believed.
    pub async fn commit(&self, batch: Batch) -> Result<(), WriteError> {
        self.start_commit(batch).await?.done().await
    }

    /// Hands decisions over to be committed and returns at once.
    ///
    /// # Errors
    /// The daemon is stopping.
    pub async fn start_commit(&self, batch: Batch) -> Result<Committing, WriteError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Commit(Box::new(batch), reply);
        self.jobs
            .send(job)
            .await
            .map_err(|_| WriteError::Stopping)?;
        Ok(Committing(answer))
    }

    /// Puts a message or item aside; returns its number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn dead_letter(&self, letter: NewDeadLetter) -> Result<i64, WriteError> {
        self.ask(|reply| Job::DeadLetter(letter, reply)).await
    }

    /// Makes an input of a dead letter, which leaves its list in the same transaction; `None` when it is not there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn replay(
        &self,
        letter: i64,
        input: NewInput,
        observations: Vec<Observation>,
    ) -> Result<Option<Receipt>, WriteError> {
        let replay = |reply| {
            Job::Replay(Replay {
                letter,
                input,
                observations,
                reply,
            })
        };
        self.ask(replay).await
    }

    /// Writes what is wrong today to a dead letter.
    ///
    /// # Errors
    /// What the store says.
    pub async fn amend(&self, letter: i64, detail: String) -> Result<(), WriteError> {
        self.ask(|reply| Job::Amend(letter, detail, reply)).await
    }

    /// Deletes one step's worth of what is too old; returns how many rows went.
    ///
    /// # Errors
    /// What the store says.
    pub async fn retain(&self, limits: retention::Limits) -> Result<u64, WriteError> {
        self.ask(|reply| Job::Retain(limits, reply)).await
    }

    /// Writes what became of messages to people; returns how many dead ones were revived or given up.
    ///
    /// # Errors
    /// What the store says; then nothing of the step may be believed.
    pub async fn outbox(&self, step: OutboxStep) -> Result<u64, WriteError> {
        self.ask(|reply| Job::Outbox(Box::new(step), reply)).await
    }

    /// Writes one step of a CMDB version that is not true yet.
    ///
    /// # Errors
    /// What the store says.
    pub async fn stage(&self, stage: Stage) -> Result<(), WriteError> {
        self.ask(|reply| Job::Stage(Box::new(stage), reply)).await
    }

    /// Writes an entry of the audit that no decision makes, like a changed configuration.
    ///
    /// # Errors
    /// What the store says.
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), WriteError> {
        self.ask(|reply| Job::Audit(Box::new(entry), reply)).await
    }

    /// Notes up to when the change records of a platform were read.
    ///
    /// # Errors
    /// What the store says.
    pub async fn changes_read(&self, connector: SmolStr, at: Timestamp) -> Result<(), WriteError> {
        self.ask(|reply| Job::ChangesRead(connector, at, reply))
            .await
    }

    /// The lease as the store holds it, read again; for start and after a failed commit.
    ///
    /// # Errors
    /// What the store says.
    pub async fn position(&self) -> Result<Lease, WriteError> {
        self.ask(Job::Position).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(job(reply))
            .await
            .map_err(|_| WriteError::Stopping)?;
        match answer.await {
            Ok(result) => result.map_err(WriteError::Store),
            Err(_) => Err(WriteError::Stopping),
        }
    }
}

/// The inputs of these jobs, in their order.
pub(super) fn inputs<'a>(jobs: &'a [Job], replayed: &[bool]) -> Vec<&'a NewInput> {
    let mut replayed = replayed.iter();
    let input = |job: &'a Job| match job {
        Job::Append(Append { input, .. }) => Some(input),
        Job::Replay(replay) => replayed.next().copied()?.then_some(&replay.input),
        Job::Commit(..)
        | Job::Stage(..)
        | Job::Outbox(..)
        | Job::Audit(..)
        | Job::ChangesRead(..)
        | Job::DeadLetter(..)
        | Job::Amend(..)
        | Job::Retain(..)
        | Job::Position(_) => None,
    };
    jobs.iter().filter_map(input).collect()
}

/// Tells everybody who waits for these jobs that they failed.
pub(super) fn refuse(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        match job {
            Job::Append(append) => answer(append.reply, Err(WriteError::Store(error.clone()))),
            Job::Commit(_, reply)
            | Job::Stage(_, reply)
            | Job::Audit(_, reply)
            | Job::ChangesRead(_, _, reply) => {
                answer(reply, Err(error.clone()));
            }
            Job::DeadLetter(_, reply) => answer(reply, Err(error.clone())),
            Job::Amend(_, _, reply) => answer(reply, Err(error.clone())),
            Job::Replay(replay) => answer(replay.reply, Err(error.clone())),
            Job::Retain(_, reply) | Job::Outbox(_, reply) => {
                answer(reply, Err(error.clone()));
            }
            Job::Position(reply) => answer(reply, Err(error.clone())),
        }
    }
}

/// Tells a caller; one that has gone away does not matter, its work is done all the same.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}
