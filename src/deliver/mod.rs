//! The way out to people: works the outbox off, target by target.
//!
//! Each target has a worker of its own, so that none starves another. Before a message is sent its incident is looked at
//! again, and the intent to send is committed; what a crash finds under way may have arrived and is sent once more,
//! marked as a repeat. Must not decide who is told; that is the core's.

pub mod board;
pub mod channel;
mod channels;
mod plan;
mod queue;
mod retry;
mod rows;
pub mod strays;
pub mod text;
mod worker;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::core::ids::IncidentId;
use crate::core::tell::event::Event;
use crate::core::tell::undelivered::Undelivered;
use crate::core::time::{Span, Timestamp};
use crate::runtime::clock::Clock;
use crate::store::writer::WriterHandle;
use crate::store::{Db, StoreError};
use crate::telemetry::metrics::Metrics;

use board::Deliveries;
use channel::Channel;
use worker::Worker;

/// What is known of an incident when it is told of.
#[derive(Clone, Debug)]
pub struct Briefing {
    /// The incident in the form of the API.
    pub incident: Value,
    /// Its first alerts in the form of the API, the most severe that fire first.
    pub alerts: Vec<Value>,
    /// Whether it still needs people.
    pub is_open: bool,
    /// Whether nobody has taken notice.
    pub is_new: bool,
    /// When its first alert was received.
    pub opened_at: Timestamp,
}

/// Incidents as they are now, by number.
pub type Briefings = BTreeMap<IncidentId, Briefing>;
/// Reads incidents as they are now, with their first alerts if so wanted.
pub type Brief = Arc<
    dyn Fn(
            Vec<IncidentId>,
            bool,
        ) -> Pin<Box<dyn Future<Output = Result<Briefings, StoreError>> + Send>>
        + Send
        + Sync,
>;

/// Makes the link by which somebody answers: of which incident, who, and when it is sent.
pub type AnswerLink = Arc<dyn Fn(IncidentId, &str, Timestamp) -> String + Send + Sync>;

/// Names the thread of an incident's mails, before the `@` of its id.
pub type Thread = Arc<dyn Fn(IncidentId) -> String + Send + Sync>;

/// Makes the link by which somebody rates how an incident was handled: of which, who, and when it is sent; nothing for a
/// target whose readers are not asked.
pub type RatingLink = Arc<dyn Fn(IncidentId, Asked<'_>, Timestamp) -> Option<String> + Send + Sync>;

/// Who is asked how an incident was handled.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// By which target.
    pub target: &'a str,
    /// The person there, or the target itself.
    pub who: &'a str,
}

/// Takes in word of a message that was given up.
pub type Lost = Arc<dyn Fn(Undelivered) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The same for every attempt; what a target that knows it can tell repeats by.
    pub id: String,
    /// What happened.
    pub event: Event,
    /// When it was decided.
    pub at: Timestamp,
    /// When it is sent.
    pub now: Timestamp,
    /// A detail in words.
    pub note: Option<String>,
    /// The address of one person, or empty.
    pub recipient: String,
    /// Whether it may have arrived before.
    pub is_repeat: bool,
    /// What it is about.
    pub incident: Option<IncidentId>,
    /// How that stands now.
    pub briefing: Option<Arc<Briefing>>,
    /// Where whoever is told can answer, while the incident needs people.
    pub answer_url: Option<String>,
    /// Where whoever is told can rate how it was handled, once it is over.
    pub rating_url: Option<String>,
    /// The thread of the incident's mails.
    pub thread: Option<String>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Arrived,
    /// It does not have it, or may not have it.
    Failed(Failure),
}

/// Why a target does not have a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, without secrets.
    pub error: String,
    /// Whether it may have arrived all the same.
    pub may_have_arrived: bool,
    /// Whether trying again is of no use.
    pub is_final: bool,
    /// Whether this message is to blame, not the target.
    pub is_own_fault: bool,
    /// The pause that the target asks for.
    pub asked: Option<Span>,
}

/// One attempt, with what went over the wire when somebody wants to see it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it came to.
    pub outcome: Outcome,
    /// The answer as a number, where there is one.
    pub status: Option<i64>,
    /// What was sent and what came back, secrets masked.
    pub trace: Trace,
}

/// What went over the wire, for `send-test`.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What was sent.
    pub request: String,
    /// What came back.
    pub response: String,
}

/// A target, ready to be sent to.
#[derive(Clone, Debug)]
pub struct TargetSetup {
    /// Its name.
    pub name: String,
    /// Its kind, for people.
    pub kind: String,
    /// How it is spoken to.
    pub channel: Channel,
    /// Messages on their way at once.
    pub width: usize,
    /// Messages each second, and at once.
    pub rate: Option<(NonZeroU32, NonZeroU32)>,
    /// How long a message is tried.
    pub retry_for: Span,
}

/// What the shell gives.
#[derive(Clone)]
pub struct DeliverSetup {
    /// The store, for reading.
    pub db: Db,
    /// The partition.
    pub partition: i64,
    /// The way to the writer.
    pub writer: WriterHandle,
    /// Reads incidents.
    pub brief: Brief,
    /// Makes links to answer by.
    pub answer: AnswerLink,
    /// Makes links to rate by.
    pub rating: RatingLink,
    /// Names threads of mails.
    pub thread: Thread,
    /// Takes in word of what is given up.
    pub lost: Lost,
    /// The clock.
    pub clock: Clock,
    /// Figures.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for DeliverSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliverSetup").finish_non_exhaustive()
    }
}

/// A time as RFC 3339 with milliseconds, in UTC.
pub fn rfc3339(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    format!("{at:.3}")
}

/// How long messages on their way may take to end when the daemon stops or the targets change.
const LAST_WAIT: Duration = Duration::from_secs(7);

/// Works for these targets until it is told to stop.
pub async fn run(
    setup: DeliverSetup,
    targets: Vec<TargetSetup>,
    deliveries: Deliveries,
    stop: CancellationToken,
) {
    deliveries.configure(&targets, &setup).await;
    let mut workers = JoinSet::new();
    for target in targets {
        let Some(post) = deliveries.post(&target.name) else {
            continue;
        };
        let worker = Worker::new(setup.clone(), target, post);
        workers.spawn(worker.run(stop.clone()));
    }
    stop.cancelled().await;
    while workers.join_next().await.is_some() {}
}
