//! How long the steps from an alert to its end take.
//!
//! The histograms without labels, registered together; [`Metrics`](super::metrics::Metrics) hands them out. Must not
//! read a clock.

use prometheus_client::metrics::histogram::Histogram;

use super::metrics::{MACHINE_BUCKETS_S, PEOPLE_BUCKETS_S, Registrar};

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
