//! How long the steps from an alert to its end take.
//!
//! The histograms without labels, registered together; [`Metrics`](super::metrics::Metrics) hands them out. Must not
//! read a clock.

use prometheus_client::metrics::histogram::Histogram;

use super::metrics::Registrar;

/// Bucket bounds for what people do, in seconds: half a minute to a week.
pub(super) const PEOPLE_BUCKETS_S: [f64; 12] = [
    30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0,
    604_800.0,
];
/// Bucket bounds for what machines do, in seconds: half a millisecond to a minute.
pub(super) const MACHINE_BUCKETS_S: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Bucket bounds for telling people, in seconds: from at once to a day; an incident settles for up to ten minutes.
pub(super) const TELLING_BUCKETS_S: [f64; 14] = [
    0.1, 0.5, 1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 14_400.0, 86_400.0,
];

/// The histograms of the way of an alert, once registered.
pub(super) struct Durations {
    pub(super) acknowledge: Histogram,
    pub(super) resolve: Histogram,
    pub(super) inbox_commit: Histogram,
    pub(super) engine_batch: Histogram,
    pub(super) alert_to_incident: Histogram,
}

impl Durations {
    pub(super) fn new(ours: &mut Registrar<'_>) -> Self {
        Self {
            acknowledge: ours.histogram(
                "incident_acknowledge_seconds",
                "Time from open to acknowledged",
                &PEOPLE_BUCKETS_S,
            ),
            resolve: ours.histogram(
                "incident_resolve_seconds",
                "Time from open to resolved",
                &PEOPLE_BUCKETS_S,
            ),
            inbox_commit: ours.histogram(
                "inbox_commit_seconds",
                "Duration of one group commit of the inbox",
                &MACHINE_BUCKETS_S,
            ),
            engine_batch: ours.histogram(
                "engine_batch_seconds",
                "Duration of one batch of the engine, commit included",
                &MACHINE_BUCKETS_S,
            ),
            alert_to_incident: ours.histogram(
                "alert_to_incident_seconds",
                "Time from the receipt of an alert to the commit of its incident",
                &MACHINE_BUCKETS_S,
            ),
        }
    }
}
