//! The one task that writes: it takes all that waits, commits it together, and only then answers.
//!
//! Group commit is what makes `synchronous=FULL` fast: hundreds of requests share one sync. Nobody cancels this
//! task, so a transaction is never left half open (sqlx 0.9.0, #4385). Every transaction of a store that others can
//! open carries the fencing number. A commit whose outcome is unknown counts as failed, and what the log really holds
//! is read again before the next one.
//!
//! Must not decide anything, and must not answer before the commit has returned.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::audit;
use super::change_cursor;
use super::dead_letters;
use super::inbox::{self, InputKind, NewInput, StoredBody};
pub use super::jobs::{Appended, Committing, Progress, Receipt, Waiter, WriteError, WriterHandle};
use super::jobs::{Job, answer, inputs, refuse};
use super::lease::{self, Lease};
use super::outbox;
use super::retention;
use super::{Db, OwnedConn, StoreError, Tx, cmdb, dialect};

/// Jobs that may wait; more are refused, which is overload.
const QUEUE: usize = 4_096;
/// Bytes of input bodies in one transaction.
const BYTES_PER_COMMIT: usize = 32 * 1024 * 1024;
/// Inputs in one transaction.
const INPUTS_PER_COMMIT: usize = 4_096;
/// Bytes of bodies that may wait decoded for the engine; beyond that it reads them from the log again.
const HANDED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a failed store is tried again, and how often an idle lease is renewed.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// The writing task.
pub struct Writer {
    db: Db,
    holder: String,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    on_commit: Box<dyn Fn(Duration) + Send + Sync>,
    conn: Option<OwnedConn>,
    lease: Lease,
    last_at: Option<Timestamp>,
    last_letter: i64,
    jobs: mpsc::Receiver<Job>,
    engine: mpsc::Sender<Appended>,
    progress: Arc<Progress>,
    waiters: Arc<Mutex<BTreeMap<Seq, Waiter>>>,
    trouble: watch::Sender<Option<StoreError>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// What the writer needs from the shell.
pub struct WriterSetup {
    /// The store.
    pub db: Db,
    /// The partition to write.
    pub partition: i64,
    /// A name for this process, unique per start.
    pub holder: String,
    /// The clock that stamps inputs; must never go backwards.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Told how long each commit took.
    pub on_commit: Box<dyn Fn(Duration) + Send + Sync>,
}

impl std::fmt::Debug for WriterSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterSetup")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Takes the lease; `None` when another process holds it.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn claim(
        setup: WriterSetup,
    ) -> Result<Option<(Self, WriterHandle, mpsc::Receiver<Appended>)>, StoreError> {
        let mut conn = setup.db.connect().await?;
        // A SQLite file is guarded by a lock file: whoever gets here is alone.
        let force = setup.db.file().is_some();
        let mut tx = dialect::begin(&mut conn).await?;
        let claimed = lease::claim(
            &mut tx,
            setup.partition,
            &setup.holder,
            (setup.now)(),
            force,
        )
        .await?;
        dialect::commit(tx).await?;
        let Some(lease) = claimed else {
            dialect::close(conn).await?;
            return Ok(None);
        };
        let (jobs_in, jobs) = mpsc::channel(QUEUE);
        let (engine, appended) = mpsc::channel(QUEUE);
        let (trouble, trouble_out) = watch::channel(None);
        let progress = Arc::new(Progress::default());
        let waiters = Arc::default();
        let handle = WriterHandle {
            jobs: jobs_in,
            waiters: Arc::clone(&waiters),
            progress: Arc::clone(&progress),
            trouble: trouble_out,
        };
        let mut writer = Self {
            db: setup.db,
            holder: setup.holder,
            now: setup.now,
            on_commit: setup.on_commit,
            conn: Some(conn),
            lease,
            last_at: None,
            last_letter: 0,
            jobs,
            engine,
            progress,
            waiters,
            trouble,
        };
        writer.look_again().await?;
        Ok(Some((writer, handle, appended)))
    }

    /// Works until it is told to stop, and then through what waits.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another process has taken over; then this one must not go on.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        let is_shared = self.db.file().is_none();
        loop {
            let is_troubled = self.trouble.borrow().is_some();
            let pause = if is_troubled {
                PROBE_EVERY
            } else {
                RENEW_EVERY
            };
            // Only the wait for a job is ever cancelled, never the work on one.
            let job = tokio::select! {
                biased;
                job = self.jobs.recv() => job,
                () = stop.cancelled(), if !self.jobs.is_closed() => {
                    self.jobs.close();
                    continue;
                }
                () = tokio::time::sleep(pause), if is_troubled || is_shared => {
                    self.probe().await?;
                    continue;
                }
            };
            let Some(job) = job else {
                // When all who could ask have gone first, this is still not the one to end the process.
                stop.cancelled().await;
                break;
            };
            let jobs = self.gather(job);
            self.work(jobs).await?;
        }
        self.stop().await;
        Ok(())
    }

    /// Takes what waits, up to the bounds of one transaction.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut jobs = vec![first];
        let mut bytes = 0_usize;
        while jobs.len() < INPUTS_PER_COMMIT && bytes < BYTES_PER_COMMIT {
            let Ok(job) = self.jobs.try_recv() else { break };
            if let Job::Append(append) = &job {
                bytes = bytes.saturating_add(append.input.body.len());
            }
            jobs.push(job);
        }
        jobs
    }

    async fn work(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let started = Instant::now();
        let outcome = self.transact(&jobs).await;
        match outcome {
            Ok(done) => {
                (self.on_commit)(started.elapsed());
                self.settle(jobs, done).await;
                let was_troubled = |trouble: &mut Option<StoreError>| trouble.take().is_some();
                if self.trouble.send_if_modified(was_troubled) {
                    log::info!("commits work again");
                }
                Ok(())
            }
            Err(error) => {
                self.give_up_connection().await;
                if jobs.len() > 1 && !error.is_retryable() {
                    // One of them is poison; the others must not suffer.
                    for job in jobs {
                        Box::pin(self.work(vec![job])).await?;
                    }
                    return Ok(());
                }
                self.show_trouble(&error);
                refuse(jobs, &error);
                if matches!(error, StoreError::Fenced) {
                    Err(error)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Told once for as long as it stays the same: senders try again all the time, and the log may lie on the disk
    /// that is full.
    fn show_trouble(&self, error: &StoreError) {
        let text = error.to_string();
        let before = self.trouble.send_replace(Some(error.clone()));
        if before.is_none_or(|before| before.to_string() != text) {
            log::warn!(error:% = error; "a commit failed: {error}");
        } else {
            log::debug!(error:% = error; "a commit failed again: {error}");
        }
    }

    /// One transaction over all jobs.
    async fn transact(&mut self, jobs: &[Job]) -> Result<Done, StoreError> {
        self.look_again().await?;
        let at = (self.now)();
        let at = self.last_at.map_or(at, |last| last.max(at));
        let first = self.progress.appended().next();
        let partition = self.lease.partition;
        let mut done = Done {
            at,
            first,
            letters: self.last_letter,
            letter_ids: Vec::new(),
            replayed: Vec::new(),
            decided: self.lease.decided,
            retained: Vec::new(),
            revived: Vec::new(),
        };
        let Some(conn) = self.conn.as_mut() else {
            return Err(StoreError::Unavailable("no connection".into()));
        };
        let mut tx = dialect::begin(conn).await?;
        done.replayed = take_letters(&mut tx, partition, first, jobs).await?;
        let inputs = inputs(jobs, &done.replayed);
        inbox::append(&mut tx, partition, first, at, &inputs).await?;
        for job in jobs {
            match job {
                Job::Append(..) | Job::Replay(_) | Job::Position(_) => {}
                Job::Commit(batch, _) => {
                    batch.write(&mut tx, partition).await?;
                    for (at, letter) in batch.letters() {
                        let id = done.next_letter();
                        dead_letters::insert(&mut tx, partition, id, *at, letter).await?;
                    }
                    done.decided = batch.decided;
                }
                Job::DeadLetter(letter, _) => {
                    let id = done.next_letter();
                    done.letter_ids.push(id);
                    dead_letters::insert(&mut tx, partition, id, at, letter).await?;
                }
                Job::Amend(letter, detail, _) => {
                    dead_letters::amend(tx.lend(), *letter, detail).await?;
                }
                Job::Outbox(step, _) => {
                    let revived = outbox::work::write(&mut tx, partition, step).await?;
                    done.revived.push(revived);
                }
                Job::Audit(entry, _) => {
                    audit::append(&mut tx, partition, &[(None, at, entry)]).await?;
                }
                Job::ChangesRead(connector, until, _) => {
                    change_cursor::write(&mut tx, connector, *until).await?;
                }
                Job::Stage(stage, _) => cmdb::stage::write(&mut tx, partition, at, stage).await?,
                Job::Retain(limits, _) => {
                    done.retained
                        .push(retention::step(&mut tx, partition, done.decided, *limits).await?);
                }
            }
        }
        // Where nobody else can open the store, only a moved cursor and a probe have something to write here: one
        // statement and one page less for each acknowledgement.
        let is_shared = self.db.file().is_none();
        if is_shared || jobs.is_empty() || done.decided != self.lease.decided {
            let lease = Lease {
                decided: done.decided,
                ..self.lease.clone()
            };
            lease::renew(&mut tx, &lease, at).await?;
        }
        dialect::commit(tx).await?;
        Ok(done)
    }

    /// Answers after the commit, and hands the inputs on to the engine.
    async fn settle(&mut self, jobs: Vec<Job>, done: Done) {
        self.lease.decided = done.decided;
        self.progress
            .decided
            .store(done.decided.get(), Ordering::Release);
        let mut seq = done.first;
        self.last_letter = done.letters;
        let mut letters = done.letter_ids.into_iter();
        let mut replayed = done.replayed.into_iter();
        let mut retained = done.retained.into_iter();
        let mut revived = done.revived.into_iter();
        for job in jobs {
            match job {
                Job::Append(append) => {
                    self.last_at = Some(done.at);
                    if let Some(waiter) = append.waiter {
                        let mut waiters =
                            self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
                        waiters.insert(seq, waiter);
                    }
                    self.progress.appended.store(seq.get(), Ordering::Release);
                    answer(append.reply, Ok(Receipt::new(seq, done.at)));
                    let (input, observations) = (append.input, append.observations);
                    self.hand_on(Appended {
                        seq,
                        at: done.at,
                        input,
                        observations,
                    });
                    seq = seq.next();
                }
                Job::Commit(_, reply)
                | Job::Stage(_, reply)
                | Job::Audit(_, reply)
                | Job::ChangesRead(_, _, reply) => {
                    answer(reply, Ok(()));
                }
                Job::DeadLetter(_, reply) => {
                    answer(reply, Ok(letters.next().unwrap_or(0)));
                }
                Job::Amend(_, _, reply) => answer(reply, Ok(())),
                Job::Replay(replay) => {
                    let receipt = replayed.next().unwrap_or(false).then(|| {
                        self.last_at = Some(done.at);
                        self.progress.appended.store(seq.get(), Ordering::Release);
                        Receipt::new(seq, done.at)
                    });
                    answer(replay.reply, Ok(receipt));
                    if receipt.is_some() {
                        self.hand_on(Appended {
                            seq,
                            at: done.at,
                            input: replay.input,
                            observations: Some(replay.observations),
                        });
                        seq = seq.next();
                    }
                }
                Job::Retain(_, reply) => answer(reply, Ok(retained.next().unwrap_or(0))),
                Job::Outbox(_, reply) => answer(reply, Ok(revived.next().unwrap_or(0))),
                Job::Position(reply) => answer(reply, self.read_lease().await),
            }
        }
    }

    /// Gives an input to the engine, unless too much waits there; then it reads the log when it gets so far.
    fn hand_on(&self, appended: Appended) {
        let bytes = appended.input.body.len();
        let waiting = self
            .progress
            .handed_bytes
            .fetch_add(bytes, Ordering::AcqRel);
        if waiting.saturating_add(bytes) > HANDED_BYTES_MAX
            || self.engine.try_send(appended).is_err()
        {
            self.progress.taken(bytes);
        }
    }

    /// After a failure: connects again and reads what the log really holds.
    async fn look_again(&mut self) -> Result<(), StoreError> {
        if self.conn.is_some() && self.last_at.is_some() {
            return Ok(());
        }
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reconnect().await?,
        };
        let (last, at) = inbox::find_last(conn.lend(), self.lease.partition).await?;
        self.last_letter = dead_letters::find_last_id(conn.lend()).await?;
        // A commit whose answer was lost may have moved the cursor; writing the old one would decide inputs twice.
        self.lease.decided = lease::find_decided(conn.lend(), &self.lease).await?;
        // Inputs may all have been deleted by retention; positions go on after the last decided one.
        let last = last.max(self.lease.decided);
        self.progress.appended.store(last.get(), Ordering::Release);
        self.progress
            .decided
            .store(self.lease.decided.get(), Ordering::Release);
        self.last_at = at.or_else(|| Some((self.now)()));
        self.conn = Some(conn);
        Ok(())
    }

    /// A new connection, with which no transaction of the lost one can commit any more.
    async fn reconnect(&mut self) -> Result<OwnedConn, StoreError> {
        let mut conn = self.db.connect().await?;
        let mut tx = dialect::begin(&mut conn).await?;
        let lease = lease::retake(&mut tx, &self.lease, &self.holder).await?;
        dialect::commit(tx).await?;
        self.lease = lease;
        Ok(conn)
    }

    async fn read_lease(&mut self) -> Result<Lease, StoreError> {
        let Some(conn) = self.conn.as_mut() else {
            return Err(StoreError::Unavailable("no connection".into()));
        };
        let decided = lease::find_decided(conn.lend(), &self.lease).await?;
        self.lease.decided = decided;
        self.progress
            .decided
            .store(decided.get(), Ordering::Release);
        Ok(self.lease.clone())
    }

    /// Writes the lease only: renews it, and finds out whether a failed store works again.
    async fn probe(&mut self) -> Result<(), StoreError> {
        let is_full = matches!(*self.trouble.borrow(), Some(StoreError::Full));
        if is_full
            && self
                .db
                .file()
                .is_some_and(|file| !dialect::has_space(file, dialect::ROOM_FOR_A_COMMIT))
        {
            return Ok(());
        }
        self.work(Vec::new()).await
    }

    async fn give_up_connection(&mut self) {
        self.last_at = None;
        // SQLite's writer is the only one; its connection is kept if it can be rolled back.
        if let Some(conn) = self.conn.as_mut()
            && (self.db.file().is_none() || dialect::rollback(conn).await.is_err())
        {
            self.conn = None;
        }
    }

    /// Gives the lease back; what was acknowledged is stored, so a store that is away now is no failure.
    async fn stop(mut self) {
        let Some(conn) = self.conn.take() else {
            return;
        };
        let holder = self.holder.as_str();
        match release(conn, &self.lease).await {
            Ok(()) => log::info!(holder = holder; "the store is closed"),
            Err(error) => {
                log::warn!(holder = holder, error:% = error; "the lease could not be given back: {error}");
            }
        }
    }
}

async fn release(mut conn: OwnedConn, lease: &Lease) -> Result<(), StoreError> {
    let mut tx = dialect::begin(&mut conn).await?;
    lease::release(&mut tx, lease).await?;
    dialect::commit(tx).await?;
    dialect::close(conn).await
}

/// What a transaction came to, until it is told.
struct Done {
    at: Timestamp,
    first: Seq,
    /// The last dead letter.
    letters: i64,
    /// The numbers of those that somebody waits for, in order.
    letter_ids: Vec<i64>,
    /// For each letter that was to be replayed: whether it was there.
    replayed: Vec<bool>,
    decided: Seq,
    retained: Vec<u64>,
    revived: Vec<u64>,
}

impl Done {
    fn next_letter(&mut self) -> i64 {
        self.letters = self.letters.saturating_add(1);
        self.letters
    }
}

/// Takes the letters that become inputs off their list; says for each whether it was there.
async fn take_letters(
    tx: &mut Tx<'_>,
    partition: i64,
    first: Seq,
    jobs: &[Job],
) -> Result<Vec<bool>, StoreError> {
    let mut taken = Vec::new();
    let mut seq = first;
    for job in jobs {
        if let Job::Replay(replay) = job {
            let received_at = dead_letters::take(tx.lend(), replay.letter).await?;
            taken.push(received_at.is_some());
            let Some(received_at) = received_at else {
                continue;
            };
            let letter = replay.letter;
            dead_letters::note_replayed(tx.lend(), partition, seq, letter, received_at).await?;
            seq = seq.next();
        } else if let Job::Append(_) = job {
            seq = seq.next();
        }
    }
    Ok(taken)
}

/// The kind of input that a deadline or a start is logged as: it has no body.
pub fn marker(kind: InputKind) -> NewInput {
    NewInput {
        kind,
        source: None,
        content_type: None,
        envelope: None,
        body: StoredBody::default(),
    }
}
