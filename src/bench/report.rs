//! What a run measured: as values, as JSON (`serde`), and as a table (`Display`, in `table`).
//!
//! Times are milliseconds, memory is bytes, rates are per second. Must not compute more than percentiles and ratios;
//! judging against a target is the reader's part.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::args::Target;
use super::numbers::float;

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was sent.
    pub load: Load,
    /// Whether the run came to its planned end.
    pub ended: Ended,
    /// The server at `--url`.
    pub target: TargetReport,
    /// The server at `--peer-url`.
    pub peer: Option<TargetReport>,
    /// Target against peer, round by round.
    pub ratio: Option<Ratio>,
    /// The disk probe beside the measured rounds.
    pub disk: Option<DiskReport>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// All rounds were done.
    Finished,
    /// A server went away; the figures are those up to then.
    Disconnected,
}

/// The shape of the load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Distinct alerts; `None` if every alert was new.
    pub active: Option<u64>,
    /// Alerts per request.
    pub per_request: u64,
    /// Connections per server.
    pub connections: u64,
    /// Scheduled alerts per second; `None` in the closed loop.
    pub rate: Option<f64>,
    /// Share of resolved alerts per pass.
    pub resolve: f64,
    /// Whether every pass changed every text.
    pub churn: bool,
    /// The seed of the alerts.
    pub seed: u64,
}

/// One server.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// What it is.
    pub target: Target,
    /// Where requests went.
    pub url: String,
    /// Bytes of its first request body.
    pub body_bytes: usize,
    /// From the start of waiting to the first acknowledgement, with `--wait`.
    pub ready_ms: Option<f64>,
    /// Resident memory before the first request, with a process id.
    pub rss_before_bytes: Option<u64>,
    /// Resident memory gained since then per distinct alert; needs the load phase.
    pub rss_per_alert_bytes: Option<f64>,
    /// Sending all alerts once.
    pub preload: Option<PhaseReport>,
    /// The measured rounds.
    pub rounds: Vec<PhaseReport>,
    /// Alerts per second over the rounds.
    pub alerts_per_s: Option<Spread>,
    /// Acknowledgements of all rounds together.
    pub latency_ms: Option<Latency>,
}

/// One phase against one server.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Acknowledged alerts.
    pub alerts: u64,
    /// Acknowledged requests.
    pub requests: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Acknowledged alerts per second.
    pub alerts_per_s: f64,
    /// Time to the acknowledgement; `None` without one.
    pub latency_ms: Option<Latency>,
    /// Requests by status of their answer.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections that broke or could not be opened.
    pub disconnects: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Scheduled requests that were never sent, since the server was too slow.
    pub unsent: u64,
    /// The first answer or connection that was no acknowledgement.
    pub first_refusal: Option<String>,
    /// Resident memory of the server at the end.
    pub rss_bytes: Option<u64>,
    /// Processor time of the server per acknowledged alert, in microseconds.
    pub cpu_us_per_alert: Option<f64>,
    /// Cores that the generator itself used.
    pub generator_cores: Option<f64>,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half are faster.
    pub p50: f64,
    /// 99 % are faster.
    pub p99: f64,
    /// 99.9 % are faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// The middle and the ends of a figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle round.
    pub median: f64,
    /// The lowest round.
    pub min: f64,
    /// The highest round.
    pub max: f64,
}

/// Target divided by peer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// Alerts per second; more is better.
    pub alerts_per_s: Spread,
    /// Middle acknowledgement; less is better.
    pub p50: Option<Spread>,
    /// 99th percentile of the acknowledgement; less is better.
    pub p99: Option<Spread>,
    /// Alerts per second of the load phase.
    pub preload_alerts_per_s: Option<f64>,
    /// Memory per distinct alert; less is better.
    pub rss_per_alert: Option<f64>,
}

/// What the disk probe saw.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DiskReport {
    /// Measured writes.
    pub writes: u64,
    /// Overwrite of 4 KiB and fdatasync.
    pub latency_ms: Latency,
}

impl Report {
    /// Whether every request was acknowledged and the run came to its end.
    pub fn is_clean(&self) -> bool {
        let phases = self
            .sides()
            .flat_map(|side| side.preload.iter().chain(&side.rounds));
        self.ended == Ended::Finished && phases.into_iter().all(|phase| phase.failures() == 0)
    }

    /// The server, and its peer if there is one.
    pub(super) fn sides(&self) -> impl Iterator<Item = &TargetReport> {
        std::iter::once(&self.target).chain(&self.peer)
    }
}

impl PhaseReport {
    /// Requests that were not acknowledged, for any reason.
    pub fn failures(&self) -> u64 {
        let answered: u64 = self.statuses.values().sum();
        answered.saturating_sub(self.requests) + self.disconnects + self.timeouts + self.unsent
    }
}

impl Latency {
    /// The percentiles of a histogram of microseconds.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| float(histogram.value_at_quantile(quantile)) / 1000.0;
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: float(histogram.max()) / 1000.0,
        }
    }
}

impl Spread {
    /// The spread of `values`; `None` without any.
    pub(super) fn of(values: Vec<f64>) -> Option<Self> {
        let min = values.iter().copied().min_by(f64::total_cmp)?;
        let max = values.iter().copied().max_by(f64::total_cmp)?;
        Some(Self {
            median: super::numbers::median(values)?,
            min,
            max,
        })
    }
}

impl Ratio {
    /// Compares two servers round by round; `None` if they have no round in common.
    pub(super) fn of(target: &TargetReport, peer: &TargetReport) -> Option<Self> {
        let each = |figure: fn(&PhaseReport) -> Option<f64>| {
            let rounds = target.rounds.iter().zip(&peer.rounds);
            Spread::of(
                rounds
                    .filter_map(|(a, b)| divide(figure(a)?, figure(b)?))
                    .collect(),
            )
        };
        let preload_rate = |side: &TargetReport| Some(side.preload.as_ref()?.alerts_per_s);
        Some(Self {
            alerts_per_s: each(|round| Some(round.alerts_per_s))?,
            p50: each(|round| Some(round.latency_ms?.p50)),
            p99: each(|round| Some(round.latency_ms?.p99)),
            preload_alerts_per_s: preload_rate(target)
                .zip(preload_rate(peer))
                .and_then(|(a, b)| divide(a, b)),
            rss_per_alert: target
                .rss_per_alert_bytes
                .zip(peer.rss_per_alert_bytes)
                .and_then(|(a, b)| divide(a, b)),
        })
    }
}

fn divide(a: f64, b: f64) -> Option<f64> {
    (b > 0.0).then(|| a / b)
}
