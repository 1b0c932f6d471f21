//! The only one who decides: takes inputs in order, decides, applies, commits, answers.
//!
//! Memory runs ahead of the store by one batch at most. When a commit fails, or its outcome is unknown, memory is
//! thrown away and loaded again by the same code as at start; the inputs are in the log and are decided again.
//! Must not know HTTP or any source's format; raw inputs are read again through the decode function it is given.

pub mod cmdb;
mod faults;
mod figures;
pub mod handle;
pub mod heard;
pub mod own;
pub mod pulses;
pub mod rebind;
mod recover;
mod setup;
pub mod sweep;
mod tell;
mod tickets;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::decision::CommandAnswer;
use crate::core::identity::KeyHash;
use crate::core::ids::{IdFeed, Seq};
use crate::core::observation::Observation;
use crate::core::reason::Reason;
use crate::core::reconcile::compare;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::Timestamp;
use crate::runtime::clock::Clock;
use crate::store::inbox::{InputKind, NewInput, StoredInput};
use crate::store::writer::{Appended, Committing, Waiter, WriteError, WriterHandle, marker};
use crate::store::{Db, inbox};

use cmdb::Imports;
use faults::Faults;
use figures::Figures;
use handle::{EngineHandle, EngineStatus, FindRequest, Found, Request, Undecodable};
use pulses::Pulses;
pub use setup::EngineSetup;
use sweep::Sweeps;
use turn::Turn;

/// Reads a stored message again: recovery and replay meet bodies, not observations.
pub type Decode =
    Arc<dyn Fn(&NewInput, Timestamp) -> Result<Vec<Observation>, Undecodable> + Send + Sync>;

/// Hears which targets have something to do.
pub type OnTold = Box<dyn Fn(&[SmolStr]) + Send + Sync>;

/// Marks an input that records a change; the body is a [`crate::core::input::ChangeRecord`] as JSON.
pub const CHANGE: &str = "application/x-watchbell-change+json";
/// Inputs read from the log at once when the engine is behind.
const INPUTS_PER_READ: i64 = 64;
/// How often the engine looks for inputs that were not handed on, and shows that it is alive.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Small batches are committed no oftener than this; nobody waits for them, commands are not held up.
const PACE: Duration = Duration::from_millis(20);
/// A batch of so many rows is committed at once.
const ROWS_WORTH_A_COMMIT: usize = 500;
/// How long a commit of decisions should take at most: what senders wait for stands behind it.
const COMMIT_AIM: Duration = Duration::from_millis(100);
/// How long a failed store is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// What the engine is made of.
pub struct Engine {
    db: Db,
    partition: i64,
    writer: WriterHandle,
    appended: mpsc::Receiver<Appended>,
    requests: mpsc::Receiver<Request>,
    rules: watch::Receiver<Arc<Rules>>,
    decode: Decode,
    clock: Clock,
    pulses: watch::Sender<Arc<Pulses>>,
    figures: Figures,
    faults: Faults,
    /// Rows of a commit at most.
    batch_rows: usize,
    /// The same for now: few enough that acknowledgements do not wait long behind it.
    rows_now: usize,
    status: watch::Sender<EngineStatus>,
    parked: Arc<Notify>,
    sweeps: Arc<Sweeps>,
    tickets: watch::Sender<u64>,
    imports: Arc<Imports>,
    on_told: OnTold,
    on_turn: Box<dyn Fn() + Send + Sync>,
    state: State,
    ids: IdFeed,
    decided: Seq,
    pending: Option<Pending>,
    committed_at: Instant,
}

/// A batch that is being committed, with those who wait for it.
struct Pending {
    commit: Committing,
    handed_on: Instant,
    wants_sweep: bool,
    wants_tickets: bool,
    told: Vec<SmolStr>,
    answers: Vec<(Waiter, CommandAnswer)>,
    outcomes: BTreeMap<(SmolStr, Reason), u64>,
    opened: Vec<Timestamp>,
    started: Instant,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("decided", &self.decided)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that has not loaded yet, and the way to it.
    pub fn new(setup: EngineSetup) -> (Self, EngineHandle) {
        let (status, status_out) = watch::channel(EngineStatus::Loading);
        let (pulses, pulses_out) = watch::channel(Arc::default());
        let (requests_in, requests) = mpsc::channel(16);
        let parked = Arc::new(Notify::new());
        let sweeps = Arc::new(Sweeps::default());
        let (tickets, tickets_out) = watch::channel(0);
        let handle = EngineHandle::new(
            setup.writer.clone(),
            requests_in,
            (status_out, pulses_out),
            (Arc::clone(&parked), Arc::clone(&sweeps), tickets_out),
            Imports {
                db: setup.db.clone(),
                rules: setup.rules.clone(),
                one_at_a_time: tokio::sync::Mutex::default(),
                heard: tokio::sync::Mutex::default(),
                changed: Notify::new(),
                given: cmdb::Given::default(),
            },
        );
        let imports = Arc::clone(&handle.imports);
        let engine = Self {
            db: setup.db,
            partition: setup.partition,
            writer: setup.writer,
            appended: setup.appended,
            requests,
            rules: setup.rules,
            decode: setup.decode,
            clock: setup.clock,
            pulses,
            faults: Faults::new(Arc::clone(&setup.metrics)),
            figures: Figures::new(setup.metrics),
            batch_rows: setup.batch_rows,
            rows_now: setup.batch_rows,
            status,
            parked,
            sweeps,
            tickets,
            imports,
            on_told: setup.on_told,
            on_turn: setup.on_turn,
            state: State::default(),
            ids: IdFeed::default(),
            decided: Seq::default(),
            pending: None,
            committed_at: Instant::now(),
        };
        (engine, handle)
    }

    /// Decides until it is told to stop, and then what is left over.
    ///
    /// # Errors
    /// The writer has ended.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), WriteError> {
        // What is in memory can be believed: it was loaded, and every decision since then was committed.
        let mut is_sound = self.recover(&stop).await?;
        while !stop.is_cancelled() {
            (self.on_turn)();
            if self.heed_labels().await.is_err() {
                is_sound = self.recover(&stop).await?;
            }
            let wait = self.until_deadline();
            let is_committing = self.pending.is_some();
            // Only waiting is cancelled here: what a branch got is worked through before the next look.
            let done = tokio::select! {
                () = stop.cancelled() => break,
                Some(request) = self.requests.recv() => {
                    self.answer(request);
                    Ok(())
                }
                Some(appended) = self.appended.recv() => self.take_turn(Some(appended)).await,
                outcome = committed(&mut self.pending), if is_committing => self.tell(outcome),
                () = tokio::time::sleep(wait) => self.look_around().await,
            };
            if done.is_err() {
                is_sound = self.recover(&stop).await?;
            }
        }
        while is_sound && (self.writer.progress.depth() > 0 || self.pending.is_some()) {
            if self.take_turn(None).await.is_err() {
                log::warn!("stopping with undecided inputs; they are decided at the next start");
                break;
            }
        }
        Ok(())
    }

    fn until_deadline(&self) -> Duration {
        if self.is_outdated() {
            return Duration::ZERO;
        }
        let Some((due, _)) = self.state.next_deadline() else {
            return LOOK_EVERY;
        };
        let ms = due.since(self.clock.now()).as_millis();
        Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(LOOK_EVERY)
    }

    /// Looks for reached deadlines, and for inputs that were not handed on.
    async fn look_around(&mut self) -> Result<(), WriteError> {
        let now = self.clock.now();
        let is_due = self
            .state
            .next_deadline()
            .is_some_and(|(due, _)| due <= now);
        if is_due || self.is_outdated() {
            self.writer.append_own(marker(InputKind::Deadline)).await?;
        }
        if self.writer.progress.appended() > self.decided {
            self.take_turn(None).await?;
        }
        self.show_heartbeats();
        self.figures.audit(&self.state, &self.rules.borrow(), now);
        Ok(())
    }

    /// Decides what waits, up to one batch, and commits it.
    async fn take_turn(&mut self, first: Option<Appended>) -> Result<(), WriteError> {
        let started = Instant::now();
        let mut turn = Turn::default();
        let mut next = first;
        while turn.batch.row_count() < self.rows_now {
            let appended = match next.take() {
                Some(appended) => appended,
                None => match self.appended.try_recv() {
                    Ok(appended) => appended,
                    Err(_) => break,
                },
            };
            self.take(&mut turn, appended).await?;
        }
        // A commit for every single message would stand in the way of the acknowledgements of the next ones.
        let pause_until = self.committed_at + PACE;
        while turn.answers.is_empty() && turn.batch.row_count() < ROWS_WORTH_A_COMMIT {
            match tokio::time::timeout_at(pause_until, self.appended.recv()).await {
                Ok(Some(appended)) => self.take(&mut turn, appended).await?,
                Ok(None) | Err(_) => break,
            }
        }
        if turn.batch.row_count() == 0 && self.writer.progress.appended() > self.decided {
            let through = self.writer.progress.appended().next();
            self.catch_up(&mut turn, through).await?;
        }
        self.finish(turn, started).await
    }

    /// Decides an input that was handed on, after those that were not.
    async fn take(&mut self, turn: &mut Turn, appended: Appended) -> Result<(), WriteError> {
        self.writer.progress.taken(appended.input.body.len());
        if appended.seq > self.decided.next() {
            self.catch_up(turn, appended.seq).await?;
        }
        if appended.seq == self.decided.next() {
            self.decide_one(turn, appended);
        }
        Ok(())
    }

    /// Decides inputs before `until` from the log: they were not handed on because the engine was behind.
    async fn catch_up(&mut self, turn: &mut Turn, until: Seq) -> Result<(), WriteError> {
        while self.decided.next() < until {
            (self.on_turn)();
            let mut reader = self.db.reader().await?;
            let rows =
                inbox::list_after(reader.lend(), self.partition, self.decided, INPUTS_PER_READ)
                    .await?;
            drop(reader);
            if rows.is_empty() {
                break;
            }
            for StoredInput { seq, at, input } in rows {
                if seq < until {
                    // A hole can only be left by retention, which deletes decided inputs only.
                    self.decide_one(
                        turn,
                        Appended {
                            seq,
                            at,
                            input,
                            observations: None,
                        },
                    );
                }
                // One message may hold a thousand alerts, so this is asked after each.
                if turn.batch.row_count() >= self.rows_now {
                    let full = std::mem::take(turn);
                    self.finish(full, Instant::now()).await?;
                }
            }
        }
        Ok(())
    }

    /// Hands a batch over to be committed, once the one before is through: were both under way and the first failed,
    /// the second would be built on nothing.
    async fn finish(&mut self, turn: Turn, started: Instant) -> Result<(), WriteError> {
        self.settle().await?;
        if turn.batch.decided == Seq::default() {
            return Ok(());
        }
        let Turn {
            batch,
            answers,
            outcomes,
            opened,
        } = turn;
        self.committed_at = Instant::now();
        self.pending = Some(Pending {
            wants_sweep: batch.wants_sweep(),
            wants_tickets: batch.wants_tickets(),
            told: batch.told_targets(),
            handed_on: Instant::now(),
            commit: self.writer.start_commit(batch).await?,
            answers,
            outcomes,
            opened,
            started,
        });
        Ok(())
    }

    /// Waits for the commit that is under way.
    async fn settle(&mut self) -> Result<(), WriteError> {
        let outcome = committed(&mut self.pending).await;
        self.tell(outcome)
    }

    /// Tells everybody concerned what a commit came to; never before it is through.
    fn tell(&mut self, outcome: Result<(), WriteError>) -> Result<(), WriteError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        outcome?;
        self.size_commits(pending.handed_on.elapsed());
        if pending.wants_sweep {
            self.sweeps.want();
        }
        if pending.wants_tickets {
            self.tickets
                .send_modify(|turn| *turn = turn.wrapping_add(1));
        }
        if !pending.told.is_empty() {
            (self.on_told)(&pending.told);
        }
        for (waiter, answer) in pending.answers {
            if waiter.send(answer).is_err() {
                log::debug!("whoever gave a command has gone away");
            }
        }
        let (now, took) = (self.clock.now(), pending.started.elapsed());
        self.figures
            .batch(pending.outcomes, &pending.opened, now, took);
        self.show();
        Ok(())
    }

    /// Makes commits smaller after one that took long, and larger again after a short one.
    fn size_commits(&mut self, took: Duration) {
        let rows = self.rows_now;
        self.rows_now = if took > COMMIT_AIM {
            (rows / 2).max(ROWS_WORTH_A_COMMIT)
        } else if took < COMMIT_AIM / 2 {
            rows.saturating_mul(2)
        } else {
            rows
        };
        self.rows_now = self.rows_now.min(self.batch_rows);
    }

    /// Shows the figures of the state.
    fn show(&mut self) {
        self.figures
            .show(self.state.counts(), self.writer.progress.depth());
        self.figures.graph(self.state.graph());
        self.figures.clocks(self.state.practice().sla.counts());
        self.show_heartbeats();
    }

    /// Answers from what is in memory.
    fn answer(&self, request: Request) {
        match request {
            Request::Compare(request) => {
                let difference = self
                    .state
                    .source(&request.source)
                    .map(|source| compare(&self.state, source, &request.poll))
                    .unwrap_or_default();
                request.reply(difference);
            }
            Request::Look(look) => look.at(&self.state),
            Request::Find(FindRequest { key, reply }) => {
                // Whoever asked may have gone.
                reply.send(self.found(key)).ok();
            }
        }
    }

    fn found(&self, key: KeyHash) -> Option<Found> {
        let alert = self.state.alert_by_key(key)?;
        let incident = alert.incident.and_then(|id| self.state.incident(id));
        Some(Found {
            alert: alert.id,
            is_firing: alert.is_firing(),
            open_incident: incident
                .filter(|incident| incident.state.is_open())
                .map(|incident| incident.id),
        })
    }
}

/// Waits for the commit that is under way, if there is one; may be dropped while waiting.
async fn committed(pending: &mut Option<Pending>) -> Result<(), WriteError> {
    match pending {
        Some(pending) => pending.commit.done().await,
        None => Ok(()),
    }
}
