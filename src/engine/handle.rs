//! The way to the engine: submit and wait for the answer after commit.
//!
//! Must not decide anything; it only appends inputs and waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub use crate::core::decision::CommandAnswer;
use crate::core::identity::KeyHash;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::input::{CommandGiven, PollDifference};
use crate::core::oncall::OverrideGiven;
use crate::core::reconcile::Poll;
use crate::core::records::RecordGiven;
use crate::core::rules::Rules;
use crate::core::silence::given::SilenceGiven;
use crate::core::state::State;
use crate::engine::pulses::Pulses;
use crate::store::StoreError;
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::writer::{WriteError, WriterHandle};

use super::cmdb::Imports;
pub use super::cmdb::{ImportCounts, ImportOutcome, ImportRefused, ImportRequest};
use super::sweep::Sweeps;

/// What the body of an order about silences is, to tell it from a command to an incident.
pub(super) const SILENCE: &str = "application/x-watchbell-silence+json";
/// The same of an order about overrides of schedules.
pub(super) const OVERRIDE: &str = "application/x-watchbell-override+json";
/// The same of an order about records.
pub(super) const RECORD: &str = "application/x-watchbell-record+json";
/// How long a reader or an order waits for what follows from the inputs before.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked whether everything so far is decided.
const DECIDED_LOOK: Duration = Duration::from_millis(5);
/// How long somebody who looks an alert up waits for that; senders give up after ten seconds or later.
const DECIDED_WITHIN: Duration = Duration::from_secs(5);

/// Whether the engine decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineStatus {
    /// It loads its state.
    Loading,
    /// It decides.
    Ready,
    /// It waits for the store; the text says why.
    Waiting(String),
}

/// A stored message that says nothing any more; it is put aside together with the cursor that passes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    /// The kind of trouble, as a stable word.
    pub reason: &'static str,
    /// What is wrong.
    pub detail: String,
}

/// Why a command or poll got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Too much waits already; nothing was stored.
    #[error("too much waits to be stored; try again in a moment")]
    Overloaded,
    /// The daemon is stopping; nothing was stored.
    #[error("the daemon is stopping; try again in a moment")]
    Stopping,
    /// The engine cannot decide now; nothing was stored.
    #[error("not ready: {0}")]
    NotReady(String),
    /// The store refused; nothing is known to be stored.
    #[error(transparent)]
    Store(StoreError),
    /// It was stored but the answer got lost; read the incident to see what it came to.
    #[error(
        "the command was stored but its answer was lost; read the incident to see what it came to"
    )]
    Unknown,
}

impl From<WriteError> for SubmitError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Overloaded => Self::Overloaded,
            WriteError::Stopping => Self::Stopping,
            WriteError::Store(error) => Self::Store(error),
        }
    }
}

/// A poll to be compared with what is known.
#[derive(Debug)]
pub struct CompareRequest {
    pub(super) source: String,
    pub(super) poll: Poll,
    reply: Mutex<Option<oneshot::Sender<PollDifference>>>,
}

impl CompareRequest {
    pub(super) fn reply(&self, difference: PollDifference) {
        let reply = self
            .reply
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(reply) = reply {
            drop(reply.send(difference));
        }
    }
}

/// What the engine is asked beside inputs.
#[derive(Debug)]
pub enum Request {
    /// To compare a poll.
    Compare(CompareRequest),
    /// To look an alert up.
    Find(FindRequest),
    /// To look at the state.
    Look(Look),
}

/// Work that looks at the state; must take milliseconds only, since decisions wait for it.
pub struct Look(Box<dyn FnOnce(&State) + Send>);

impl Look {
    pub(super) fn at(self, state: &State) {
        (self.0)(state);
    }
}

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Look")
    }
}

/// An alert that is looked for in memory.
#[derive(Debug)]
pub struct FindRequest {
    pub(super) key: KeyHash,
    pub(super) reply: oneshot::Sender<Option<Found>>,
}

/// What is held of an alert in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub alert: AlertId,
    /// Whether it fires.
    pub is_firing: bool,
    /// The incident that it belongs to, if that is open.
    pub open_incident: Option<IncidentId>,
}

/// The way to the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    writer: WriterHandle,
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<EngineStatus>,
    pulses: watch::Receiver<Arc<Pulses>>,
    parked: Arc<Notify>,
    sweeps: Arc<Sweeps>,
    pub(super) tickets: watch::Receiver<u64>,
    pub(super) imports: Arc<Imports>,
}

impl EngineHandle {
    pub(super) fn new(
        writer: WriterHandle,
        requests: mpsc::Sender<Request>,
        (status, pulses): (watch::Receiver<EngineStatus>, watch::Receiver<Arc<Pulses>>),
        (parked, sweeps, tickets): (Arc<Notify>, Arc<Sweeps>, watch::Receiver<u64>),
        imports: Imports,
    ) -> Self {
        Self {
            writer,
            requests,
            status,
            pulses,
            parked,
            sweeps,
            tickets,
            imports: Arc::new(imports),
        }
    }

    /// The way to the writer, for those who append messages.
    pub fn writer(&self) -> &WriterHandle {
        &self.writer
    }

    /// Gives a command and waits until its decision is committed.
    ///
    /// # Errors
    /// [`SubmitError::Unknown`] when it was stored but the decision was lost; in all other cases nothing happened.
    pub async fn command(&self, given: CommandGiven) -> Result<CommandAnswer, SubmitError> {
        self.give(&given, None).await
    }

    /// Gives an order about silences and waits until its decision is committed.
    ///
    /// # Errors
    /// As [`EngineHandle::command`].
    pub async fn silence(&self, given: SilenceGiven) -> Result<CommandAnswer, SubmitError> {
        self.give(&given, Some(SILENCE)).await
    }

    /// Gives an order about overrides of schedules and waits until its decision is committed.
    ///
    /// # Errors
    /// As [`EngineHandle::command`].
    pub async fn override_schedule(
        &self,
        given: OverrideGiven,
    ) -> Result<CommandAnswer, SubmitError> {
        self.give(&given, Some(OVERRIDE)).await
    }

    /// Gives an order about records and waits until its decision is committed.
    ///
    /// # Errors
    /// As [`EngineHandle::command`].
    pub async fn record(&self, given: RecordGiven) -> Result<CommandAnswer, SubmitError> {
        self.give(&given, Some(RECORD)).await
    }

    pub(super) async fn give(
        &self,
        given: &impl Serialize,
        content_type: Option<&str>,
    ) -> Result<CommandAnswer, SubmitError> {
        self.readiness().map_err(SubmitError::NotReady)?;
        let body = serde_json::to_vec(given).map_err(|_| SubmitError::Unknown)?;
        let input = NewInput {
            kind: InputKind::Command,
            source: None,
            content_type: content_type.map(str::to_owned),
            envelope: None,
            body: StoredBody::new(Bytes::from(body)),
        };
        let (waiter, answer) = oneshot::channel();
        self.writer.append(input, None, Some(waiter)).await?;
        answer.await.map_err(|_| SubmitError::Unknown)
    }

    /// Compares a poll of a source with what is known, and has the differences decided.
    ///
    /// Returns how many differences there were.
    ///
    /// # Errors
    /// The engine or the store does not answer.
    pub async fn reconcile(&self, source: &str, poll: Poll) -> Result<usize, SubmitError> {
        let mut count = 0_usize;
        loop {
            let difference = self.compare(source, poll.clone()).await?;
            if difference.is_empty() {
                return Ok(count);
            }
            count = count.saturating_add(difference.len());
            let body = serde_json::to_vec(&difference).map_err(|_| SubmitError::Unknown)?;
            let input = NewInput {
                kind: InputKind::Poll,
                source: Some(source.to_owned()),
                content_type: None,
                envelope: None,
                body: StoredBody::new(Bytes::from(body)),
            };
            let receipt = self.writer.append(input, None, None).await?;
            // The engine must have decided these before the rest is compared.
            self.until_decided(receipt.seq()).await?;
        }
    }

    /// What is to be compared with silences, for the one who does it.
    pub(super) fn sweeps(&self) -> &Sweeps {
        &self.sweeps
    }

    /// Waits until the firing alerts are compared with every silence that has begun by now; not for long, since an
    /// answer that comes before is as good.
    pub async fn until_swept(&self) {
        drop(tokio::time::timeout(SETTLED_WITHIN, self.sweeps.settled()).await);
    }

    /// Waits until everything that is appended by now is decided; not for long, since readers get what there is.
    pub async fn until_settled(&self) {
        let appended = self.writer.progress.appended();
        drop(tokio::time::timeout(SETTLED_WITHIN, self.until_decided(appended)).await);
    }

    async fn compare(&self, source: &str, poll: Poll) -> Result<PollDifference, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let request = CompareRequest {
            source: source.to_owned(),
            poll,
            reply: Mutex::new(Some(reply)),
        };
        self.requests
            .send(Request::Compare(request))
            .await
            .map_err(|_| SubmitError::Stopping)?;
        answer.await.map_err(|_| SubmitError::Stopping)
    }

    /// Looks an alert up once everything that is appended by now is decided.
    ///
    /// `None` when it was never heard of, or ended longer ago than memory holds.
    ///
    /// # Errors
    /// The engine does not get that far in time.
    pub async fn find(&self, key: KeyHash) -> Result<Option<Found>, SubmitError> {
        let until = self.writer.progress.appended();
        let is_behind = || self.readiness().is_err() || self.writer.progress.decided() < until;
        let found = async {
            while is_behind() {
                tokio::time::sleep(DECIDED_LOOK).await;
                if self.requests.is_closed() {
                    return Err(SubmitError::Stopping);
                }
            }
            let (reply, answer) = oneshot::channel();
            self.requests
                .send(Request::Find(FindRequest { key, reply }))
                .await
                .map_err(|_| SubmitError::Stopping)?;
            answer.await.map_err(|_| SubmitError::Stopping)
        };
        tokio::time::timeout(DECIDED_WITHIN, found)
            .await
            .map_err(|_| {
                let why = self.readiness().err();
                SubmitError::NotReady(why.unwrap_or_else(|| "decisions are behind".to_owned()))
            })?
    }

    /// How the heartbeats do.
    pub fn pulses(&self) -> Arc<Pulses> {
        Arc::clone(&self.pulses.borrow())
    }

    /// Looks at what is in memory; must take milliseconds only, since decisions wait for it.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, SubmitError> {
        self.readiness().map_err(SubmitError::NotReady)?;
        let (reply, answer) = oneshot::channel();
        let look = Look(Box::new(move |state| {
            // Whoever asked may have gone.
            reply.send(look(state)).ok();
        }));
        let sent = self.requests.send(Request::Look(look)).await;
        sent.map_err(|_| SubmitError::Stopping)?;
        answer.await.map_err(|_| SubmitError::Stopping)
    }

    /// The rules as they are now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.imports.rules.borrow())
    }

    /// Whether the engine has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.requests.is_closed()
    }

    /// Waits until the CMDB has changed.
    pub(super) async fn changed(&self) {
        self.imports.changed.notified().await;
    }

    /// Waits until a late firing was parked, which a poll of its source can settle.
    pub async fn parked(&self) {
        self.parked.notified().await;
    }

    /// Waits until decisions are made for the first time.
    pub async fn ready(&mut self) {
        // An engine that has ended is never ready; its end stops the process.
        if self
            .status
            .wait_for(|status| *status == EngineStatus::Ready)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Whether decisions are made and stored.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn readiness(&self) -> Result<(), String> {
        if let Some(trouble) = &*self.writer.trouble.borrow() {
            return Err(trouble.to_string());
        }
        match &*self.status.borrow() {
            EngineStatus::Ready => Ok(()),
            EngineStatus::Loading => Err("the state is being loaded".to_owned()),
            EngineStatus::Waiting(why) => Err(why.clone()),
        }
    }
}
