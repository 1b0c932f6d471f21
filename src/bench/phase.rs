//! Many connections against one server for a time or a number of requests.
//!
//! Must not mix servers: each phase has one endpoint and one tally.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::endpoint::{Answer, Endpoint, Failure};
use super::error::BenchError;
use super::lane::Lane;
use super::ledger::Ledger;
use super::numbers::micros;
use super::plan::{Plan, Sequence, Slice};
use super::supply::Supply;

/// The longest latency told apart, in microseconds; ten minutes.
const LATENCY_MAX_US: u64 = 600_000_000;
/// How often the caller hears of progress and the ledger is synced.
const TICK: Duration = Duration::from_secs(1);

/// What the connections of a phase share.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) endpoint: Endpoint,
    pub(super) supply: Supply,
    pub(super) plan: Plan,
    pub(super) sequence: Arc<Sequence>,
    /// Where the sequence stood at the start.
    pub(super) first_index: u64,
    /// The first request that is not sent any more.
    pub(super) end_index: Option<u64>,
    pub(super) began: Instant,
    /// Nothing is sent from here on.
    pub(super) deadline: Option<Instant>,
    /// From one scheduled request to the next; `None` in the closed loop.
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Duration,
    pub(super) retry_503: Option<Duration>,
    pub(super) stops_on_disconnect: bool,
    /// The ledger, and the instant from which its times count.
    pub(super) ledger: Option<(Arc<Ledger>, Instant)>,
    pub(super) is_stopped: AtomicBool,
    pub(super) tally: Mutex<Tally>,
}

/// What the server said so far.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) alerts: u64,
    pub(super) requests: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) disconnects: u64,
    pub(super) timeouts: u64,
    pub(super) lanes_lost: u64,
    /// Microseconds; acknowledged requests only.
    pub(super) latency: Histogram<u64>,
    /// The first answer or connection that was no acknowledgement, for people.
    pub(super) first_refusal: Option<String>,
    failure: Option<BenchError>,
}

/// How a phase ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) took: Duration,
    /// Scheduled requests that were never sent, since the server was too slow for the schedule.
    pub(super) unsent: u64,
    /// The server went away.
    pub(super) is_cut: bool,
}

/// An empty histogram of microseconds with three significant digits.
pub(super) fn new_histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).map_err(io::Error::other)
}

/// Runs `work` over `connections` connections; `on_tick` hears the acknowledged alerts about every second.
pub(super) async fn run_phase(
    work: Work,
    connections: u64,
    mut on_tick: impl FnMut(u64, Duration),
) -> Result<Outcome, BenchError> {
    let work = Arc::new(work);
    let mut lanes = JoinSet::new();
    for _ in 0..connections {
        let lane = Lane::new(Arc::clone(&work)).map_err(BenchError::Generator)?;
        lanes.spawn(lane.run());
    }
    let mut ticks = tokio::time::interval_at(work.began + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            lane = lanes.join_next() => match lane {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(BenchError::Generator(io::Error::other(error))),
            },
            _tick = ticks.tick() => {
                on_tick(work.tally().alerts, work.began.elapsed());
                sync_ledger(work.ledger.as_ref()).await?;
            }
        }
    }
    let took = work.began.elapsed();
    on_tick(work.tally().alerts, took);
    sync_ledger(work.ledger.as_ref()).await?;
    drop(lanes);
    finish(&work, connections, took)
}

fn finish(work: &Work, connections: u64, took: Duration) -> Result<Outcome, BenchError> {
    let mut tally = std::mem::replace(&mut *work.tally(), Tally::new()?);
    if let Some(error) = tally.failure.take() {
        return Err(error);
    }
    let is_scheduled = work.interval.is_some();
    let unsent = work.end_index.filter(|_| is_scheduled).unwrap_or(0);
    Ok(Outcome {
        is_cut: !work.is_running() || tally.lanes_lost >= connections,
        unsent: unsent.saturating_sub(work.sequence.position()),
        tally,
        took,
    })
}

async fn sync_ledger(ledger: Option<&(Arc<Ledger>, Instant)>) -> Result<(), BenchError> {
    let Some((ledger, _)) = ledger else {
        return Ok(());
    };
    let ledger = Arc::clone(ledger);
    tokio::task::spawn_blocking(move || ledger.sync())
        .await
        .map_err(|error| BenchError::Generator(io::Error::other(error)))?
}

impl Work {
    /// Whether nobody stopped the phase.
    fn is_running(&self) -> bool {
        !self.is_stopped.load(Ordering::Relaxed)
    }

    /// Whether the deadline is ahead and nobody stopped the phase.
    pub(super) fn has_time(&self) -> bool {
        self.is_running()
            && self
                .deadline
                .is_none_or(|deadline| Instant::now() < deadline)
    }

    /// Whether there is something left to claim.
    pub(super) fn has_more(&self) -> bool {
        self.has_time()
            && self
                .end_index
                .is_none_or(|end| self.sequence.position() < end)
    }

    /// Takes the next request.
    pub(super) fn claim(&self) -> Option<u64> {
        self.has_more()
            .then(|| self.sequence.claim(self.end_index))
            .flatten()
    }

    /// Ends the phase after the requests under way.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Ends the phase and makes `error` its result.
    pub(super) fn fail(&self, error: BenchError) {
        self.tally().failure.get_or_insert(error);
        self.stop();
    }

    /// Counts a fully read answer to `slice` and writes it down if it is an acknowledgement.
    pub(super) fn record(&self, slice: Slice, answer: Answer, began: Instant) {
        let now = Instant::now();
        let mut tally = self.tally();
        *tally.statuses.entry(answer.status).or_default() += 1;
        if !answer.is_acknowledged() {
            let text = answer.sample.unwrap_or_default();
            tally
                .first_refusal
                .get_or_insert_with(|| format!("{} {text}", answer.status));
            return;
        }
        tally.requests += 1;
        tally.alerts += slice.count;
        tally
            .latency
            .saturating_record(micros(now.saturating_duration_since(began)));
        drop(tally);
        if let Some((ledger, origin)) = &self.ledger {
            let at = now.saturating_duration_since(*origin);
            if let Err(error) = ledger.append(slice, answer.status, at) {
                self.fail(error);
            }
        }
    }

    /// The counters; held for a few instructions only.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Starts at zero.
    pub(super) fn new() -> Result<Self, BenchError> {
        Ok(Self {
            alerts: 0,
            requests: 0,
            statuses: BTreeMap::new(),
            disconnects: 0,
            timeouts: 0,
            lanes_lost: 0,
            latency: new_histogram().map_err(BenchError::Generator)?,
            first_refusal: None,
            failure: None,
        })
    }

    /// Counts a request without an answer.
    pub(super) fn add_failure(&mut self, failure: Failure) {
        match failure {
            Failure::Disconnected => self.disconnects += 1,
            Failure::TimedOut => self.timeouts += 1,
        }
    }

    /// Counts a connection that could not be opened.
    pub(super) fn add_refused_connection(&mut self, reason: String) {
        self.disconnects += 1;
        self.first_refusal.get_or_insert(reason);
    }
}
