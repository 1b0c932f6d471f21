//! Finding the firing alerts that a silence hides: a reader walks through them in pages and proposes what matches.
//!
//! What is left to do stands in the store (silences that are not swept, alerts that are not checked), so a restart
//! goes on where it stopped. Must not decide: what it finds enters the log and is judged there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::core::ids::SilenceId;
use crate::core::silence::{Silence, SilenceState, Subject, Sweep, SweepMatch};
use crate::core::state::State;
use crate::runtime::clock::Clock;
use crate::store::Db;
use crate::store::StoreError;
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::silences::{self, Labelled};
use crate::store::writer::WriteError;

use super::handle::{EngineHandle, SubmitError};

/// What the body of such an input is, to tell it from a poll of a source.
pub(super) const SWEEP: &str = "application/x-watchbell-sweep+json";
/// Alerts of one page.
const PAGE: i64 = 500;
/// Matches in one input; a page against many silences may be several.
const MATCHES_PER_INPUT: usize = 1_000;
/// How often it is looked without being told, for what was left over.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long a failed store is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a sweep was wanted and how far that is done.
#[derive(Debug)]
pub struct Sweeps {
    wanted: AtomicU64,
    told: Notify,
    done: watch::Sender<u64>,
}

impl Default for Sweeps {
    fn default() -> Self {
        Self {
            wanted: AtomicU64::new(0),
            told: Notify::new(),
            done: watch::Sender::new(0),
        }
    }
}

impl Sweeps {
    /// Firing alerts have to be compared with silences; what is wanted stands in the store by now.
    pub(super) fn want(&self) {
        self.wanted.fetch_add(1, Ordering::AcqRel);
        self.told.notify_one();
    }

    /// Waits until everything that is wanted by now is done.
    pub(super) async fn settled(&self) {
        let wanted = self.wanted.load(Ordering::Acquire);
        // The sender lives as long as this does.
        drop(self.done.subscribe().wait_for(|done| *done >= wanted).await);
    }
}

/// What a sweeper is made of.
#[derive(Clone, Debug)]
pub struct Sweeper {
    /// The store, for reading.
    pub db: Db,
    /// The partition.
    pub partition: i64,
    /// The way to the engine.
    pub engine: EngineHandle,
    /// Which silences are active.
    pub clock: Clock,
}

/// Why a sweep was not finished; it is tried again.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl Sweeper {
    /// Works until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        if stop
            .run_until_cancelled(self.engine.ready())
            .await
            .is_none()
        {
            return;
        }
        while !stop.is_cancelled() {
            let sweeps = self.engine.sweeps();
            let wanted = sweeps.wanted.load(Ordering::Acquire);
            let Some(done) = stop.run_until_cancelled(self.sweep()).await else {
                return;
            };
            let pause = match done {
                Ok(()) => {
                    sweeps.done.send_replace(wanted);
                    LOOK_EVERY
                }
                Err(error) => {
                    log::warn!(error:% = error; "silences cannot be compared with alerts yet: {error}");
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sweeps.told.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn sweep(&self) -> Result<(), SweepError> {
        let now = self.clock.now();
        let mut reader = self.db.reader().await?;
        let held = silences::list_held(reader.lend(), self.partition).await?;
        drop(reader);
        let is_active = |it: &&Silence| it.state(now) == SilenceState::Active;
        let active: Vec<&Silence> = held.iter().filter(is_active).collect();
        self.check_alerts(&active).await?;
        let new = active.iter().filter(|it| it.is_started && !it.is_swept);
        let new: Vec<&Silence> = new.copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let mut reader = self.db.reader().await?;
            let page = silences::list_firing(reader.lend(), self.partition, after, PAGE).await?;
            drop(reader);
            let Some(last) = page.last() else { break };
            after = last.alert.get();
            self.compare(&new, page).await?;
        }
        self.submit(&Sweep {
            swept: new.iter().map(|silence| silence.id).collect(),
            ..Sweep::default()
        })
        .await
    }

    /// Compares the alerts that began to fire without labels in hand.
    async fn check_alerts(&self, active: &[&Silence]) -> Result<(), SweepError> {
        loop {
            let mut reader = self.db.reader().await?;
            let (checked, firing) =
                silences::list_unchecked(reader.lend(), self.partition, PAGE).await?;
            drop(reader);
            if checked.is_empty() {
                return Ok(());
            }
            self.compare(active, firing).await?;
            self.submit(&Sweep {
                checked,
                ..Sweep::default()
            })
            .await?;
        }
    }

    /// Compares alerts with silences, scopes by what memory knows of the CMDB, and proposes what differs.
    async fn compare(&self, with: &[&Silence], alerts: Vec<Labelled>) -> Result<(), SweepError> {
        let ids: Vec<SilenceId> = with.iter().map(|silence| silence.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let look = move |state: &State| differences(state, &ids, &alerts);
        let (matches, mismatches) = self.engine.look(look).await?;
        for part in matches.chunks(MATCHES_PER_INPUT) {
            let matches = part.to_vec();
            let sweep = Sweep {
                matches,
                ..Sweep::default()
            };
            self.submit(&sweep).await?;
        }
        for part in mismatches.chunks(MATCHES_PER_INPUT) {
            let mismatches = part.to_vec();
            let sweep = Sweep {
                mismatches,
                ..Sweep::default()
            };
            self.submit(&sweep).await?;
        }
        Ok(())
    }

    /// Appends what was found and waits until it is decided and committed.
    async fn submit(&self, sweep: &Sweep) -> Result<(), SweepError> {
        let body = serde_json::to_vec(sweep).map_err(|_| SubmitError::Unknown)?;
        let input = NewInput {
            kind: InputKind::Poll,
            source: None,
            content_type: Some(SWEEP.to_owned()),
            envelope: None,
            body: StoredBody::new(Bytes::from(body)),
        };
        let receipt = self.engine.writer().append_own(input).await?;
        Ok(self.engine.until_decided(receipt.seq()).await?)
    }
}

/// Which alerts these silences match and do not hold yet, and which they hold and do not match.
fn differences(
    state: &State,
    silences: &[SilenceId],
    alerts: &[Labelled],
) -> (Vec<SweepMatch>, Vec<SweepMatch>) {
    let held = state.silences();
    let (mut matches, mut mismatches) = (Vec::new(), Vec::new());
    for alert in alerts {
        let subject = Subject {
            graph: state.graph(),
            ci: state.alert(alert.alert).and_then(|alert| alert.ci),
            label: |name: &str| alert.labels.get(name).map(String::as_str),
        };
        for silence in silences.iter().filter_map(|id| held.get(*id)) {
            let found = SweepMatch {
                silence: silence.id,
                alert: alert.alert,
                text_hash: alert.text_hash,
            };
            match (
                held.is_match(silence, &subject),
                held.has(alert.alert, silence.id),
            ) {
                (true, false) => matches.push(found),
                (false, true) => mismatches.push(found),
                (true, true) | (false, false) => {}
            }
        }
    }
    (matches, mismatches)
}
