//! What was seen of a source: its last message and test, rate, clock, errors, and labels that never stay the same.
//!
//! Memory only, and bounded; what has to be right after a restart is restored from the store. Must not decide anything.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use crate::core::limits;
use crate::core::observation::Observation;
use crate::core::time::{Span, Timestamp};
use crate::telemetry::metrics::SourceMetrics;

use super::Incoming;
use super::churn::{Churn, Volatile};

/// A byte-identical message inside this time counts as a duplicate delivery; its claims count all the same.
const DUPLICATE_WINDOW: Span = Span::from_mins(5);
/// Hashes of messages remembered per source; the oldest is forgotten first.
const REMEMBERED: usize = 256;
/// Messages over which the least delay is taken as the source's skew.
const SKEW_MESSAGES: usize = 20;
/// The time over which the rate is taken.
const RATE_WINDOW: Span = Span::from_mins(5);
/// Messages are counted in steps of this.
const RATE_STEP: Span = Span::from_secs(10);
/// Bytes of a test message that are kept.
const TEST_BYTES_MAX: usize = 4 * 1024;
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 500;

/// What was seen of a source since the start.
#[derive(Debug)]
pub struct Seen(Mutex<Facts>);

#[derive(Debug)]
struct Facts {
    summary: Summary,
    /// Since when the source is known.
    since: Timestamp,
    hashes: VecDeque<(u128, Timestamp)>,
    delays: VecDeque<Span>,
    /// Messages by the step in which they came.
    steps: VecDeque<(i64, u32)>,
    churn: Churn,
    is_skew_told: bool,
}

/// What is shown of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// When the last message came that was understood.
    pub last_message_at: Option<Timestamp>,
    /// Messages understood since the start.
    pub messages: u64,
    /// Messages a second over the last five minutes.
    pub rate: f64,
    /// When the last test message came.
    pub last_test_at: Option<Timestamp>,
    /// That message as it came, cut.
    pub last_test: Option<String>,
    /// Test messages since the start.
    pub tests: u64,
    /// Messages since the start that could not be used in whole.
    pub errors: u64,
    /// What was wrong with the last one.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// How far the source's clock is ahead of ours; negative when it is behind.
    pub skew: Option<Span>,
    /// The last subscription that Amazon SNS asked to confirm.
    pub subscription: Option<Subscription>,
    /// Labels by which the same alert comes as ever new ones.
    pub volatile: Vec<Volatile>,
}

/// A subscription that wants to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: String,
    /// The address that confirms it when it is opened.
    pub url: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// Whether it was confirmed from here.
    pub is_confirmed: bool,
}

impl Seen {
    /// Notes a subscription.
    pub fn note_subscription(&self, subscription: Subscription) {
        self.lock().summary.subscription = Some(subscription);
    }

    /// Nothing yet, of a source that is known since now.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Facts {
            summary: Summary::default(),
            since: now,
            hashes: VecDeque::new(),
            delays: VecDeque::new(),
            steps: VecDeque::new(),
            churn: Churn::default(),
            is_skew_told: false,
        }))
    }

    /// A copy of what is shown.
    pub fn summary(&self, now: Timestamp) -> Summary {
        let facts = self.lock();
        Summary {
            rate: facts.rate(now),
            volatile: facts.churn.found(now),
            ..facts.summary.clone()
        }
    }

    /// Takes over what the store knows of the time before the start.
    pub fn restore(&self, last_message_at: Timestamp) {
        let mut facts = self.lock();
        let last = &mut facts.summary.last_message_at;
        *last = (*last).max(Some(last_message_at));
    }

    /// When the source was last heard of; when it became known, if never.
    pub fn heard_at(&self) -> Timestamp {
        let facts = self.lock();
        facts.summary.last_message_at.unwrap_or(facts.since)
    }

    /// Notes test messages: some hold a code or an address that a person has to read.
    pub fn note_tests(&self, count: usize, body: &[u8], now: Timestamp) {
        if count > 0 {
            let text = String::from_utf8_lossy(body.get(..TEST_BYTES_MAX).unwrap_or(body));
            let mut facts = self.lock();
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            facts.summary.tests = facts.summary.tests.saturating_add(count);
            facts.summary.last_test_at = Some(now);
            facts.summary.last_test = Some(text.into_owned());
        }
    }

    /// Notes that something came that cannot be used.
    pub fn note_error(&self, error: &str, now: Timestamp) {
        let mut facts = self.lock();
        facts.summary.errors = facts.summary.errors.saturating_add(1);
        facts.summary.last_error = Some(error.chars().take(ERROR_CHARS).collect());
        facts.summary.last_error_at = Some(now);
    }

    /// Notes a message, and how its newest time compares with ours.
    ///
    /// Between an event and its message lies the sender's own delay, so the least of the last delays is taken: what
    /// is left of that is the difference of the clocks.
    pub(super) fn note_times(
        &self,
        observations: &[Observation],
        now: Timestamp,
        source: &str,
        series: &SourceMetrics,
    ) {
        let past = |at: &Timestamp| *at <= now;
        let newest = observations
            .iter()
            .filter_map(|observation| observation.starts_at.max(observation.ends_at.filter(past)))
            .max();
        let mut facts = self.lock();
        facts.summary.last_message_at = Some(now);
        facts.summary.messages = facts.summary.messages.saturating_add(1);
        facts.count(now);
        for found in facts.churn.note(observations, now) {
            log::warn!(source = source, alertname = found.alertname.as_str(), labels = found.labels.join(",").as_str(); "source {source}: {}", found.warning());
        }
        let Some(newest) = newest else { return };
        if facts.delays.len() >= SKEW_MESSAGES {
            facts.delays.pop_front();
        }
        facts.delays.push_back(now.since(newest));
        let least = facts.delays.iter().min().copied().unwrap_or_default();
        let skew = Span::from_millis(least.as_millis().saturating_neg());
        facts.summary.skew = Some(skew);
        series.skew_seconds.set(seconds(skew));
        let is_far = skew > limits::SKEW_WARN;
        if is_far && !facts.is_skew_told {
            let ahead_s = skew.as_millis() / 1000;
            log::warn!(source = source, ahead_s = ahead_s; "the clock of source {source} is {ahead_s} s ahead of ours; its times are shown as they are, ours decide");
        }
        facts.is_skew_told = is_far;
    }

    /// Whether the very same bytes came a short while ago.
    pub(super) fn is_duplicate(&self, message: &Incoming, now: Timestamp) -> bool {
        // Plain payloads of two topics are often the same.
        let topic = message.envelope.topic.as_bytes();
        let hash = xxh3_128(&message.body) ^ xxh3_128(topic).rotate_left(1);
        let mut facts = self.lock();
        let known = facts
            .hashes
            .iter()
            .rev()
            .find(|(known, _)| *known == hash)
            .map(|(_, at)| *at);
        if facts.hashes.len() >= REMEMBERED {
            facts.hashes.pop_front();
        }
        facts.hashes.push_back((hash, now));
        known.is_some_and(|at| now.since(at) <= DUPLICATE_WINDOW)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    /// Counts a message for the rate.
    fn count(&mut self, now: Timestamp) {
        let step = step_of(now);
        match self.steps.back_mut() {
            Some((last, count)) if *last >= step => *count = count.saturating_add(1),
            Some(_) | None => self.steps.push_back((step, 1)),
        }
        let first = step_of(now.minus(RATE_WINDOW));
        while self.steps.front().is_some_and(|(step, _)| *step <= first) {
            self.steps.pop_front();
        }
    }

    /// Messages a second over the window, or over the time that the source is known if that is shorter.
    fn rate(&self, now: Timestamp) -> f64 {
        let first = step_of(now.minus(RATE_WINDOW));
        let recent = self.steps.iter().filter(|(step, _)| *step > first);
        let count: u32 = recent.fold(0, |sum, (_, count)| sum.saturating_add(*count));
        let known = now.since(self.since).max(RATE_STEP).min(RATE_WINDOW);
        f64::from(count) / seconds(known)
    }
}

fn step_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(RATE_STEP.as_millis())
}

pub(super) fn seconds(span: Span) -> f64 {
    let magnitude = std::time::Duration::from_millis(span.as_millis().unsigned_abs()).as_secs_f64();
    if span < Span::ZERO {
        -magnitude
    } else {
        magnitude
    }
}
