//! The figures of what is told to people.
//!
//! The `target` label is a name from the configuration. Must not carry an address of anybody.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::durations::{MACHINE_BUCKETS_S, TELLING_BUCKETS_S};
use super::metrics::{FloatGauge, Labels, Metrics, Registrar};

/// The target of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TargetLabels {
    target: Arc<str>,
}

/// The target of a series, and what became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabels {
    target: Arc<str>,
    outcome: &'static str,
}

impl Labels for TargetLabels {}
impl Labels for DeliveryLabels {}

/// What is told to people, in figures.
#[derive(Debug)]
pub struct Telling {
    depth: Family<TargetLabels, Gauge>,
    oldest: Family<TargetLabels, FloatGauge>,
    deliveries: Family<DeliveryLabels, Counter>,
    first_attempt: Histogram,
    notified: Histogram,
}

impl Telling {
    pub(super) fn new(ours: &mut Registrar<'_>) -> Self {
        Self {
            depth: ours.gauges("outbox_depth", "Messages to people that wait"),
            oldest: ours.gauges(
                "outbox_oldest_seconds",
                "Age of the oldest message that waits",
            ),
            deliveries: ours.counters("deliveries", "Messages to people by what became of them"),
            first_attempt: ours.histogram(
                "outbox_first_attempt_seconds",
                "Time from the decision to tell to the first attempt",
                &MACHINE_BUCKETS_S,
            ),
            notified: ours.histogram(
                "alert_to_notification_seconds",
                "Time from the receipt of an alert to the arrival of its first message",
                &TELLING_BUCKETS_S,
            ),
        }
    }
}

impl Metrics {
    /// How much waits for a target, and how long the oldest of it has.
    pub fn outbox(&self, target: &str, depth: i64, oldest_ms: i64) {
        let labels = TargetLabels {
            target: Arc::from(target),
        };
        self.telling.depth.get_or_create_owned(&labels).set(depth);
        let oldest = self.telling.oldest.get_or_create_owned(&labels);
        oldest.set(seconds(oldest_ms));
    }

    /// Takes the gauges of a target that is no longer configured off the page.
    pub fn forget_targets(&self) {
        self.telling.depth.clear();
        self.telling.oldest.clear();
    }

    /// Messages to a target by what became of them: `sent`, `failed`, `skipped`, `dead`.
    pub fn deliveries(&self, target: &str, outcome: &'static str) -> Counter {
        let labels = DeliveryLabels {
            target: Arc::from(target),
            outcome,
        };
        self.telling.deliveries.get_or_create_owned(&labels)
    }

    /// A message was tried for the first time, so long after it was decided.
    pub fn first_attempt(&self, waited_ms: i64) {
        self.telling.first_attempt.observe(seconds(waited_ms));
    }

    /// People were told of an incident for the first time, so long after its alert was received.
    pub fn notified(&self, waited_ms: i64) {
        self.telling.notified.observe(seconds(waited_ms));
    }
}

fn seconds(ms: i64) -> f64 {
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}
