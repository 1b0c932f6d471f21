//! The options of `watchbell bench ingest`.
//!
//! Must not read files or the network: checking here is arithmetic only.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::BenchError;
use super::plan::Plan;

/// The most alerts in one request; the body stays below the server's limit of 16 MiB.
const PER_REQUEST_MAX: u64 = 20_000;
/// The most connections; each is a task and a socket.
const CONNECTIONS_MAX: u64 = 4096;

/// What speaks at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Watchbell: Alertmanager webhook version 4, posted to `/ingest/SOURCE`
    Watchbell,
    /// Anything with the Alertmanager API: a JSON array, posted to `/api/v2/alerts`
    Alertmanager,
    /// Alerta: one alert per request, posted to `/alert`
    Alerta,
}

/// Send a deterministic stream of alerts and measure how fast they are acknowledged
///
/// Alert N of pass P is the same bytes in every run with the same seed. By default every alert is sent once to load
/// the server (reported as "load"), then again and again for the given seconds. With --peer-url a second server gets
/// the same stream in alternating rounds, and the ratio is printed: on a shared machine only that is worth quoting.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    after_help = "Example, side by side with an Alertmanager on its usual port:\n  \
    watchbell bench ingest --peer-url http://127.0.0.1:9093 --rounds 3 -r 0.1 --churn 1"
)]
pub struct IngestArgs {
    /// Base URL of the server (plain HTTP)
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// What the server at --url is
    #[arg(long, value_enum, default_value_t = Target::Watchbell)]
    pub target: Target,
    /// Source name in the path /ingest/NAME of Watchbell
    #[arg(long, value_name = "NAME", default_value = "alertmanager")]
    pub source: String,
    /// Bearer token for Watchbell; never sent to an Alertmanager
    #[arg(long, env = "WATCHBELL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Base URL of a second server which gets the same load, round by round in turn
    #[arg(long, value_name = "URL")]
    pub peer_url: Option<String>,
    /// What the server at --peer-url is
    #[arg(long, value_enum, default_value_t = Target::Alertmanager)]
    pub peer_target: Target,
    /// Distinct alerts; after the last one the next pass begins with the first
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub active: u64,
    /// Alerts in one request
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub per_request: u64,
    /// Connections, each with one request under way
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub connections: u64,
    /// Length of a round in seconds
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub seconds: f64,
    /// Requests of a round, instead of --seconds
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Rounds per server
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: u32,
    /// Open loop: this many alerts per second on a fixed schedule, whether or not the server keeps up; the latency
    /// counts from the scheduled time. Default: closed loop, each connection sends when it got its answer
    #[arg(long, value_name = "ALERTS_PER_S")]
    pub rate: Option<f64>,
    /// Share of the alerts that each pass after the first sends as resolved, 0 to 1
    #[arg(short = 'r', long, value_name = "SHARE", default_value_t = 0.0)]
    pub resolve: f64,
    /// 1: every text changes with every pass; 0: repeats are identical
    #[arg(long, value_name = "0|1", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub churn: u8,
    /// Every alert is a new one; --active and passes have no meaning then
    #[arg(long)]
    pub new: bool,
    /// 1: send all alerts once before the measured rounds; 0: do not. Default 1, but 0 with --new or --requests
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub preload: Option<u8>,
    /// Number of the first pass, to go on where an earlier run ended
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first_pass: u64,
    /// Another seed is another set of alerts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The earliest start of an alert
    #[arg(long, value_name = "RFC3339", default_value = "2026-01-01T00:00:00Z")]
    pub epoch: jiff::Timestamp,
    /// Append one line per acknowledged request of --url: first alert, count, pass, status, ms since the start
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Write the hosts of these alerts with their switches as a CMDB for `watchbell cmdb import`, and send nothing
    #[arg(long, value_name = "FILE")]
    pub write_cmdb: Option<PathBuf>,
    /// Process id of the server, to report its memory and CPU time
    #[arg(long)]
    pub pid: Option<u32>,
    /// Process id of the second server
    #[arg(long, value_name = "PID")]
    pub peer_pid: Option<u32>,
    /// Measure overwrite + fdatasync of 4 KiB in this folder beside the load
    #[arg(long, value_name = "DIR")]
    pub probe_disk: Option<PathBuf>,
    /// Wait up to S seconds for the first acknowledgement of each server and report how long it took
    #[arg(long, value_name = "S")]
    pub wait: Option<f64>,
    /// Give up on an answer after S seconds
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    pub timeout: f64,
    /// On 503 send the same request again after MS milliseconds; without this nothing is sent twice
    #[arg(long, value_name = "MS")]
    pub retry_503: Option<u64>,
    /// End the run with a normal report as soon as a connection breaks, for tests that kill the server
    #[arg(long)]
    pub stop_on_disconnect: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl IngestArgs {
    /// Checks all values and makes the derived ones.
    pub(super) fn check(&self) -> Result<Checked, BenchError> {
        within("--active", self.active, u64::from(u32::MAX))?;
        within("--per-request", self.per_request, PER_REQUEST_MAX)?;
        let is_single = self.target == Target::Alerta
            || (self.peer_url.is_some() && self.peer_target == Target::Alerta);
        if is_single && self.per_request != 1 {
            return Err(refuse(
                "--per-request",
                "has to be 1: Alerta takes one alert per request",
            ));
        }
        within("--connections", self.connections, CONNECTIONS_MAX)?;
        within("--rounds", u64::from(self.rounds), 1000)?;
        if !(0.0..=1.0).contains(&self.resolve) {
            return Err(refuse(
                "--resolve",
                "has to be a share from 0 to 1, 0.1 for 10 %",
            ));
        }
        let epoch_s = u64::try_from(self.epoch.as_second())
            .map_err(|_| refuse("--epoch", "has to be 1970 or later"))?;
        let interval = match self.rate {
            Some(rate) if rate.is_normal() && rate > 0.0 => Some(length(
                "--rate",
                super::numbers::float(self.per_request) / rate,
            )?),
            Some(_) => return Err(refuse("--rate", "has to be more than 0 alerts per second")),
            None => None,
        };
        Ok(Checked {
            plan: Plan {
                active: (!self.new).then_some(self.active),
                per_request: self.per_request,
                first_pass: self.first_pass,
            },
            epoch_s,
            resolve_share: length("--resolve", self.resolve)?,
            interval,
            round: length("--seconds", self.seconds)?,
            timeout: length("--timeout", self.timeout)?,
            wait: self.wait.map(|wait| length("--wait", wait)).transpose()?,
            preload: match self.preload {
                Some(chosen) => chosen == 1 && !self.new,
                None => !self.new && self.requests.is_none(),
            },
        })
    }
}

/// Options after checking, in the units that the run needs.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) plan: Plan,
    pub(super) epoch_s: u64,
    /// Seconds of the duration = share.
    pub(super) resolve_share: Duration,
    /// From one scheduled request to the next; `None` in a closed loop.
    pub(super) interval: Option<Duration>,
    pub(super) round: Duration,
    pub(super) timeout: Duration,
    pub(super) wait: Option<Duration>,
    pub(super) preload: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Watchbell => "watchbell",
            Self::Alertmanager => "alertmanager",
            Self::Alerta => "alerta",
        })
    }
}

fn within(option: &'static str, value: u64, max: u64) -> Result<(), BenchError> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(refuse(
        option,
        &format!("has to be from 1 to {max}, not {value}"),
    ))
}

fn length(option: &'static str, seconds: f64) -> Result<Duration, BenchError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| refuse(option, &format!("{seconds} is out of range")))
}

fn refuse(option: &'static str, reason: &str) -> BenchError {
    BenchError::Option {
        option,
        reason: reason.to_owned(),
    }
}
