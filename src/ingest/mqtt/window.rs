//! Messages that came and are not acknowledged yet: stored side by side, acknowledged in the order they came.
//!
//! When one cannot be stored now, it and all behind it are stored again in order, so that a resolve never overtakes its
//! firing. What is in here when a connection ends is never acknowledged on another one; the broker sends it again.
//! Must not hold more than its bounds, and must not answer anybody.

use std::collections::VecDeque;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{FuturesOrdered, StreamExt as _};

use super::{NotTaken, Taker};
use crate::ingest::door::Door;
use crate::ingest::{Incoming, Ingest, Refusal};
use crate::store::writer::WriteError;

/// Messages without an answer; v5 brokers are told.
pub(super) const MESSAGES_MAX: u16 = 2_000;
/// Bytes of their bodies.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What has to be done with a message before it is acknowledged.
#[derive(Debug)]
pub(super) enum Work {
    /// It is decoded and stored.
    Take(Incoming),
    /// It cannot be used, and is put aside.
    PutAside {
        /// Word of the dead-letter list.
        reason: &'static str,
        /// For people.
        detail: String,
        /// As far as it is kept.
        message: Incoming,
    },
    /// It is known, or not wanted.
    Nothing,
}

/// A message that came.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) qos: u8,
    pub(super) pkid: u16,
    /// Of topic and payload, to know it when it comes again.
    pub(super) hash: u128,
    pub(super) work: Arc<Work>,
}

impl Entry {
    fn bytes(&self) -> usize {
        match &*self.work {
            Work::Take(message) | Work::PutAside { message, .. } => message.body.len(),
            Work::Nothing => 0,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is committed.
    Stored,
    /// It is committed or known, and the same came a short while ago.
    Duplicate,
    /// It is committed to the dead-letter list.
    Rejected,
}

/// Why a message has no outcome yet.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be stored later.
    Later(String),
    /// We are stopping.
    Stop,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Outcome, Trouble>> + Send>>;

/// The messages of one connection.
pub(super) struct Window {
    ingest: Ingest,
    source: Arc<str>,
    taker: Option<Taker>,
    entries: VecDeque<Entry>,
    /// Attempts at the first entries, in the same order.
    attempts: FuturesOrdered<Attempt>,
    bytes: usize,
}

impl Window {
    /// Of a new connection.
    pub(super) fn new(ingest: Ingest, source: &str, taker: Option<Taker>) -> Self {
        Self {
            ingest,
            source: source.into(),
            taker,
            entries: VecDeque::new(),
            attempts: FuturesOrdered::new(),
            bytes: 0,
        }
    }

    /// Whether another message may be read.
    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < usize::from(MESSAGES_MAX) && self.bytes < BYTES_MAX
    }

    /// Whether an attempt is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// Takes a message in; it is worked on from the next [`Window::next`] on, unless the window is halted.
    pub(super) fn push(&mut self, entry: Entry, is_halted: bool) {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
        if !is_halted {
            self.start();
        }
    }

    /// Begins attempts at all entries that have none.
    pub(super) fn start(&mut self) {
        for entry in self.entries.iter().skip(self.attempts.len()) {
            let taker = self.taker.as_ref();
            self.attempts
                .push_back(attempt(&self.ingest, &self.source, taker, entry));
        }
    }

    /// The oldest message and what became of it, when that is known; never when no attempt is under way.
    ///
    /// Trouble with one gives up the attempts at all: each belongs to the entry in its place, and those behind must not
    /// come first. What was handed to the store is stored all the same, before what is tried again.
    pub(super) async fn next(&mut self) -> Result<(Entry, Outcome), Trouble> {
        let Some(result) = self.attempts.next().await else {
            return std::future::pending().await;
        };
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(trouble) => {
                self.attempts = FuturesOrdered::new();
                return Err(trouble);
            }
        };
        let Some(entry) = self.entries.pop_front() else {
            return std::future::pending().await;
        };
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Ok((entry, outcome))
    }

    /// How many messages have no outcome.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn attempt(ingest: &Ingest, source: &Arc<str>, taker: Option<&Taker>, entry: &Entry) -> Attempt {
    if matches!(&*entry.work, Work::Nothing) {
        return Box::pin(ready(Ok(Outcome::Duplicate)));
    }
    let (ingest, source, work) = (ingest.clone(), Arc::clone(source), Arc::clone(&entry.work));
    let taker = taker.cloned();
    Box::pin(async move {
        if let Some(taker) = taker {
            return handed_on(&ingest, &source, &taker, &work).await;
        }
        let Some(door) = ingest.door(&source) else {
            return Err(Trouble::Stop);
        };
        tried(&ingest, &door, &work).await
    })
}

/// Hands a message to a taker, and keeps what it cannot use.
async fn handed_on(
    ingest: &Ingest,
    source: &str,
    taker: &Taker,
    work: &Work,
) -> Result<Outcome, Trouble> {
    let (reason, detail, message) = match work {
        Work::Nothing => return Ok(Outcome::Duplicate),
        Work::PutAside {
            reason,
            detail,
            message,
        } => (*reason, detail.clone(), message),
        Work::Take(message) => match (taker.take)(message.clone()).await {
            Ok(()) => return Ok(Outcome::Stored),
            Err(NotTaken::Later(why)) => return Err(Trouble::Later(why)),
            Err(NotTaken::Bad { reason, detail }) => (reason, detail, message),
        },
    };
    let aside = ingest.keep_letter(source, (reason, detail), message);
    match aside.await {
        Ok(()) => Ok(Outcome::Rejected),
        Err(WriteError::Stopping) => Err(Trouble::Stop),
        Err(error @ (WriteError::Overloaded | WriteError::Store(_))) => {
            Err(Trouble::Later(error.to_string()))
        }
    }
}

async fn tried(ingest: &Ingest, door: &Door, work: &Work) -> Result<Outcome, Trouble> {
    let refusal = match work {
        Work::Nothing => return Ok(Outcome::Duplicate),
        Work::Take(message) => {
            let taken = match ingest.admit() {
                Ok(()) => ingest.take(door, message.clone()).await,
                Err(refusal) => Err(refusal),
            };
            match taken {
                Ok(accepted) if accepted.is_duplicate => return Ok(Outcome::Duplicate),
                Ok(_) => return Ok(Outcome::Stored),
                Err(refusal) => refusal,
            }
        }
        Work::PutAside {
            reason,
            detail,
            message,
        } => {
            let aside = ingest.put_aside(door, reason, detail.clone(), message.clone());
            match aside.await {
                Ok(()) => return Ok(Outcome::Rejected),
                Err(error) => error.into(),
            }
        }
    };
    match refusal {
        Refusal::NotUnderstood(_) | Refusal::NothingUsable { .. } => Ok(Outcome::Rejected),
        Refusal::NotStored(WriteError::Stopping) => Err(Trouble::Stop),
        Refusal::Overloaded(_)
        | Refusal::NotStored(WriteError::Overloaded | WriteError::Store(_)) => {
            Err(Trouble::Later(refusal.to_string()))
        }
    }
}
