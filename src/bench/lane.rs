//! One connection under load: claim a request, render, send, wait for the answer, write down.
//!
//! Must not send anything twice unless told to with `--retry-503`: a request without an answer may have arrived, and
//! counts as nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::endpoint::{Client, Failure};
use super::pace::PreciseTimer;
use super::phase::Work;
use super::plan::Slice;
use super::supply::Supply;

/// Failed attempts in a row to open a connection before it is given up.
const CONNECTS_MAX: u32 = 5;
/// Pause after the first failed attempt; the second waits twice as long, and so on.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);
const SERVICE_UNAVAILABLE: u16 = 503;

/// A connection and its buffers.
#[derive(Debug)]
pub(super) struct Lane {
    work: Arc<Work>,
    supply: Supply,
    /// Present in the open loop.
    timer: Option<PreciseTimer>,
    /// Answers since the last connect; tells a useless connection from a broken one.
    answers: u64,
}

/// Why a connection is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing more to send.
    Done,
    /// It broke, or an answer did not come in time.
    Broken,
}

impl Lane {
    /// Prepares a connection for `work`; needs the runtime's I/O.
    pub(super) fn new(work: Arc<Work>) -> io::Result<Self> {
        let timer = work.interval.map(|_| PreciseTimer::new()).transpose()?;
        let supply = work.supply.clone();
        Ok(Self {
            work,
            supply,
            timer,
            answers: 0,
        })
    }

    /// Sends until the work is done or the server cannot be reached any more.
    pub(super) async fn run(mut self) {
        let work = Arc::clone(&self.work);
        let mut failures = 0;
        while work.has_more() {
            self.answers = 0;
            let outcome = work
                .endpoint
                .connect(work.timeout, async |client| self.drive(client).await)
                .await;
            match outcome {
                Ok(Left::Done) => return,
                Ok(Left::Broken) if work.stops_on_disconnect => return work.stop(),
                Ok(Left::Broken) if self.answers > 0 => failures = 0,
                Ok(Left::Broken) => failures += 1,
                Err(reason) => {
                    work.tally().add_refused_connection(reason);
                    if work.stops_on_disconnect {
                        return work.stop();
                    }
                    failures += 1;
                }
            }
            if failures >= CONNECTS_MAX {
                work.tally().lanes_lost += 1;
                return;
            }
            if failures > 0 {
                tokio::time::sleep(CONNECT_PAUSE * failures).await;
            }
        }
    }

    async fn drive(&mut self, mut client: Client) -> Left {
        while self.work.has_more() {
            if !client.is_open().await {
                return Left::Broken;
            }
            let Some(index) = self.work.claim() else {
                break;
            };
            let slice = self.work.plan.request(index);
            let began = match self.wait_for_turn(index).await {
                Ok(scheduled) => scheduled,
                Err(error) => {
                    self.work.fail(super::error::BenchError::Generator(error));
                    return Left::Done;
                }
            };
            let body = self.supply.body(slice);
            // In the closed loop the clock starts when the body is ready: rendering is not the server's time.
            let began = began.unwrap_or_else(Instant::now);
            if let Err(failure) = self.exchange(&mut client, slice, body, began).await {
                self.work.tally().add_failure(failure);
                return Left::Broken;
            }
            self.answers += 1;
        }
        Left::Done
    }

    /// Waits for the scheduled instant of request `index` and returns it; `None` in the closed loop.
    async fn wait_for_turn(&self, index: u64) -> io::Result<Option<Instant>> {
        let (Some(timer), Some(interval)) = (&self.timer, self.work.interval) else {
            return Ok(None);
        };
        let steps = index.saturating_sub(self.work.first_index);
        let offset = interval.as_nanos().saturating_mul(u128::from(steps));
        let offset = Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX));
        let scheduled = self.work.began + offset;
        timer.sleep_until(scheduled).await?;
        Ok(Some(scheduled))
    }

    async fn exchange(
        &self,
        client: &mut Client,
        slice: Slice,
        body: Bytes,
        began: Instant,
    ) -> Result<(), Failure> {
        let work = &self.work;
        loop {
            let answer = client
                .post(&work.endpoint, body.clone(), work.timeout)
                .await?;
            let is_busy = answer.status == SERVICE_UNAVAILABLE;
            work.record(slice, answer, began);
            match work.retry_503 {
                Some(pause) if is_busy && work.has_time() => tokio::time::sleep(pause).await,
                Some(_) | None => return Ok(()),
            }
        }
    }
}
