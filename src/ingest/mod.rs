//! The way in: who may send, how much, and the answer after commit.
//!
//! A message is read with a cap, decoded once to tell the sender what is wrong with it, stored raw, and only then
//! acknowledged. What can never be understood is put aside with its bytes. Must not decide what a claim means.

pub mod alertmanager;
pub mod body;
pub mod churn;
pub mod door;
pub mod heartbeat;
pub mod http;
mod incoming;
pub mod limits;
pub mod mqtt;
pub mod opsgenie;
mod opsgenie_answers;
mod opsgenie_heartbeats;
mod opsgenie_list;
pub mod pagerduty;
pub mod proof;
pub mod reconcile;
pub mod replay;
pub mod seen;
pub mod signature;
pub mod sns;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use smol_str::format_smolstr;

use crate::core::heartbeat::SOURCE;
use crate::core::identity::AlertKey;
use crate::core::input::{Command, CommandGiven};
use crate::core::observation::Observation;
use crate::core::records::change::ChangeWanted;
use crate::core::records::{RecordGiven, RecordOrder};
use crate::core::time::Timestamp;
use crate::engine::handle::{EngineHandle, SubmitError, Undecodable};
use crate::runtime::clock::Clock;
use crate::sources::{DecodeError, Decoded, Envelope};
use crate::store::dead_letters::NewDeadLetter;
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::writer::WriteError;
use crate::telemetry::metrics::Metrics;

use body::Budget;
use door::{Around, Door, KeyDigest, SourceSetup};
use heartbeat::HeartbeatSetup;
use incoming::Rejects;
pub use incoming::{Accepted, Incoming};
use limits::{PeerLimit, Rate};
use seen::Seen;
use sns::Sns;

/// Bodies above this are decoded on a thread that may block: parsing takes a microsecond and a half per alert.
const BLOCKING_BYTES: usize = 256 * 1024;

/// All doors with what they share. Cheap to clone.
#[derive(Clone)]
pub struct Ingest(Arc<Shared>);

struct Shared {
    engine: EngineHandle,
    doors: ArcSwap<BTreeMap<String, Arc<Door>>>,
    heartbeats: ArcSwap<BTreeMap<String, HeartbeatSetup>>,
    metrics: Arc<Metrics>,
    clock: Clock,
    budget: Budget,
    peers: ArcSwapOption<PeerLimit>,
    sns: Sns,
    body_max: AtomicUsize,
    inbox_rows: AtomicI64,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest")
            .field("doors", &self.0.doors.load().len())
            .finish_non_exhaustive()
    }
}

/// What is configured for all doors together.
#[derive(Debug)]
pub struct IngestSetup {
    /// The sources.
    pub sources: Vec<SourceSetup>,
    /// The heartbeats that are waited for.
    pub heartbeats: Vec<HeartbeatSetup>,
    /// Bytes of a body after decompression.
    pub body_max: usize,
    /// How much one address may send.
    pub peer_rate: Option<Rate>,
    /// Undecided inputs beyond which senders are told to come again.
    pub inbox_rows: i64,
}

/// Why a message was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It can never be understood; it was put aside.
    #[error(transparent)]
    NotUnderstood(#[from] DecodeError),
    /// None of its items can be used; it was put aside.
    #[error("no item of the message can be used; the first: {path}: {problem}")]
    NothingUsable {
        /// Where.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Too much is waiting.
    #[error("{0}")]
    Overloaded(String),
    /// It could not be stored.
    #[error(transparent)]
    NotStored(#[from] WriteError),
}

impl Ingest {
    /// Opens the doors.
    pub fn new(
        engine: EngineHandle,
        metrics: Arc<Metrics>,
        clock: Clock,
        setup: IngestSetup,
    ) -> Self {
        let ingest = Self(Arc::new(Shared {
            engine,
            doors: ArcSwap::default(),
            heartbeats: ArcSwap::default(),
            metrics,
            clock,
            budget: Budget::new(),
            peers: ArcSwapOption::empty(),
            sns: Sns::default(),
            body_max: AtomicUsize::new(0),
            inbox_rows: AtomicI64::new(0),
        }));
        ingest.set_up(setup);
        ingest
    }

    /// Changes the sources and limits; what is known of a source that stays is kept.
    pub fn set_up(&self, setup: IngestSetup) {
        let before = self.0.doors.load_full();
        let now = self.0.clock.now();
        let doors: BTreeMap<_, _> = setup
            .sources
            .into_iter()
            .map(|source| {
                let known = before.get(&source.name).map(AsRef::as_ref);
                let seen = known.map(|door| Arc::clone(&door.seen));
                let seen = seen.unwrap_or_else(|| Arc::new(Seen::new(now)));
                let link = known.map(|door| Arc::clone(&door.link));
                let series = self.0.metrics.source(&source.name);
                let about = (seen, link.unwrap_or_default());
                let door = Door::new(source, series, about, known);
                (door.name.clone(), Arc::new(door))
            })
            .collect();
        for name in before.keys().filter(|name| !doors.contains_key(*name)) {
            self.0.metrics.forget_source(name);
        }
        self.0.doors.store(Arc::new(doors));
        let heartbeats = setup.heartbeats.into_iter();
        let heartbeats = heartbeats.map(|heartbeat| (heartbeat.name.clone(), heartbeat));
        self.0.heartbeats.store(Arc::new(heartbeats.collect()));
        let peers = limits::renewed(self.0.peers.load_full().as_ref(), setup.peer_rate);
        self.0.peers.store(peers);
        self.0.body_max.store(setup.body_max, Ordering::Relaxed);
        self.0.inbox_rows.store(setup.inbox_rows, Ordering::Relaxed);
    }

    /// Our time.
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The door of a source.
    pub fn door(&self, name: &str) -> Option<Arc<Door>> {
        self.0.doors.load().get(name).cloned()
    }

    /// The door of the source that owns the API of Alertmanager.
    pub fn api_door(&self) -> Option<Arc<Door>> {
        let doors = self.0.doors.load();
        doors.values().find(|door| door.has_api).cloned()
    }

    /// Every door, by name.
    pub fn doors(&self) -> Vec<Arc<Door>> {
        self.0.doors.load().values().cloned().collect()
    }

    /// The source of a kind that takes a key; every key is compared, whichever fits.
    fn door_by_key(&self, kind: &str, key: &KeyDigest) -> Option<Arc<Door>> {
        let doors = self.0.doors.load();
        let of_kind = doors.values().filter(|door| door.kind() == kind);
        of_kind.fold(None, |found, door| match (door.takes(key), found) {
            (true, _) => Some(Arc::clone(door)),
            (false, found) => found,
        })
    }

    /// Gives a command to the open incident of an alert, once all messages so far are decided.
    ///
    /// Without an open incident, or when the command comes to nothing, that is only logged: so it is with the
    /// services whose APIs this is for.
    ///
    /// # Errors
    /// The engine does not answer; the command may be given again.
    async fn command_alert(
        &self,
        door: &Door,
        key: &AlertKey,
        command: Command,
    ) -> Result<(), SubmitError> {
        let (kind, source) = (door.kind(), door.name.as_str());
        let found = self.0.engine.find(key.hash()).await?;
        let Some(incident) = found.and_then(|found| found.open_incident) else {
            log::info!(source = source; "a command of {source} to {} was passed over: the alert has no open incident", key.text());
            return Ok(());
        };
        let given = CommandGiven {
            incident,
            command,
            actor: format_smolstr!("{kind}:{source}"),
            expected_version: None,
            idempotency: None,
            past: None,
        };
        let answer = self.0.engine.command(given).await?;
        if answer.is_refused {
            log::info!(source = source, reason = answer.reason.code(); "a command of {source} to {incident} came to nothing: {}", answer.reason.code());
        }
        Ok(())
    }

    /// Takes over when each source was last heard of before the start.
    pub fn restore(&self, heard: Vec<(String, Timestamp)>) {
        for (name, at) in heard {
            if let Some(door) = self.door(&name) {
                door.seen.restore(at);
            }
        }
    }

    /// Brings the gauges up to date that only time moves; called before they are shown.
    pub fn refresh_figures(&self) {
        let now = self.0.clock.now();
        for door in self.0.doors.load().values() {
            door.show_silence(now);
        }
    }

    /// Decodes a stored message again, as the engine does at recovery.
    ///
    /// # Errors
    /// The source is gone, or does not understand the message any more.
    pub fn decode_again(
        &self,
        input: &NewInput,
        at: Timestamp,
    ) -> Result<Vec<Observation>, Undecodable> {
        let source = input.source.as_deref().unwrap_or("");
        let unreadable = |error: &dyn std::fmt::Display| {
            log::error!(source = source, error:% = error; "a stored message of {source} cannot be read any more, it was put aside: {error}");
            self.0.metrics.dead_letter(source, "unreadable");
            Undecodable {
                reason: "unreadable",
                detail: error.to_string(),
            }
        };
        let body = input.body.open().map_err(|error| unreadable(&error))?;
        let envelope = input.envelope.as_deref().map(serde_json::from_str);
        let envelope: Envelope = envelope
            .transpose()
            .map_err(|error| unreadable(&error))?
            .unwrap_or_default();
        let around = Around {
            content_type: input.content_type.as_deref(),
            envelope: &envelope,
        };
        let decoded = match self.door(source) {
            Some(door) => door.decode(&body, around, at),
            // Pings of heartbeats that are all gone say nothing any more.
            None if source == SOURCE => return Ok(Vec::new()),
            None => {
                log::error!(source = source; "an undecided message of {source} was put aside: the source is not configured any more");
                self.0.metrics.dead_letter(source, "source_gone");
                return Err(Undecodable {
                    reason: "source_gone",
                    detail: "the source was removed from the configuration before the message was decided".to_owned(),
                });
            }
        };
        let decoded = decoded.map_err(|error| unreadable(&error))?;
        Ok(decoded.observations)
    }

    /// Refuses at once what could not be stored anyway.
    fn admit(&self) -> Result<(), Refusal> {
        let depth = self.0.engine.writer().progress.depth();
        let limit = self.0.inbox_rows.load(Ordering::Relaxed);
        if depth >= limit {
            let text = format!(
                "{depth} messages wait to be decided and the limit is {limit}; send this one again later"
            );
            return Err(Refusal::Overloaded(text));
        }
        Ok(())
    }

    /// Takes a message whose sender was checked: decodes, stores, and returns after the commit.
    ///
    /// # Errors
    /// It cannot be used, or it could not be stored; then it may be sent again.
    pub async fn take(&self, door: &Door, message: Incoming) -> Result<Accepted, Refusal> {
        let now = self.0.clock.now();
        let decoded = match self.read(door, &message, now) {
            Ok(decoded) => decoded,
            Err(error) => {
                let detail = error.to_string();
                self.put_aside(door, "not_understood", detail, message)
                    .await?;
                return Err(error.into());
            }
        };
        let Decoded {
            observations,
            rejects,
            reject_count,
            test_count,
            acknowledged,
            changes,
            ..
        } = decoded;
        let rejects = Rejects {
            first: rejects,
            count: reject_count,
        };
        if let (true, Some(first)) = (observations.is_empty(), rejects.first.first()) {
            let (path, problem) = (first.path.clone(), first.problem.clone());
            let refusal = Refusal::NothingUsable { path, problem };
            self.put_aside(door, "bad_items", refusal.to_string(), message)
                .await?;
            return Err(refusal);
        }
        door.seen
            .note_times(&observations, now, &door.name, &door.series);
        let count = observations.len();
        let input = NewInput {
            kind: InputKind::Message,
            source: Some(door.name.clone()),
            content_type: message.content_type.clone(),
            envelope: door.stored(&message.envelope),
            body: StoredBody::new(message.body.clone()),
        };
        let receipt = self
            .0
            .engine
            .writer()
            .append(input, Some(observations), None)
            .await?;
        door.seen.note_tests(test_count, &message.body, now);
        // Only now: a message that is sent again because it was not stored is no duplicate.
        let is_duplicate = door.seen.is_duplicate(&message, now);
        if rejects.count > 0 {
            self.put_aside(door, "bad_items", rejects.detail(), message)
                .await?;
        }
        self.record_changes(door, changes).await?;
        for key in acknowledged {
            let command = Command::Acknowledge { until: None };
            let given = self.command_alert(door, &key, command).await;
            given.map_err(|error| {
                Refusal::Overloaded(format!(
                    "the message is stored, but what it acknowledges could not be passed on, send it again later: {error}"
                ))
            })?;
        }
        Ok(Accepted::new(receipt, count, &rejects, is_duplicate))
    }

    /// Hands changes on that a message tells of. A sender who gets no answer sends again, which changes nothing.
    async fn record_changes(&self, door: &Door, changes: Vec<ChangeWanted>) -> Result<(), Refusal> {
        for wanted in changes {
            let given = RecordGiven {
                order: RecordOrder::PutChange {
                    wanted: Box::new(wanted),
                },
                actor: format_smolstr!("{}:{}", door.kind(), door.name),
                past: None,
                is_past_incident: false,
            };
            let answer = self.0.engine.record(given).await.map_err(|error| {
                Refusal::Overloaded(format!(
                    "the message is stored, but the change that it tells of could not be passed on, send it again later: {error}"
                ))
            })?;
            if answer.is_refused {
                log::info!(source = door.name.as_str(), reason = answer.reason.code(); "a change that {} tells of came to nothing: {}", door.name, answer.reason.sentence());
            }
        }
        Ok(())
    }

    fn read(
        &self,
        door: &Door,
        message: &Incoming,
        now: Timestamp,
    ) -> Result<Decoded, DecodeError> {
        if message.body.len() > BLOCKING_BYTES {
            tokio::task::block_in_place(|| door.decode(&message.body, message.around(), now))
        } else {
            door.decode(&message.body, message.around(), now)
        }
    }

    /// Keeps a message that cannot be used, so that it can be looked at.
    async fn put_aside(
        &self,
        door: &Door,
        reason: &'static str,
        detail: String,
        message: Incoming,
    ) -> Result<(), WriteError> {
        door.seen.note_error(&detail, self.0.clock.now());
        self.0.metrics.dead_letter(&door.name, reason);
        let source = door.name.clone();
        let letter = NewDeadLetter {
            source,
            reason,
            detail,
            content_type: message.content_type,
            envelope: door.stored(&message.envelope),
            body: message.body,
        };
        self.0.engine.writer().dead_letter(letter).await?;
        Ok(())
    }
}
