//! A whole run: wait for the servers, load them, then the measured rounds in turn.
//!
//! Must not print or log; the caller hears of progress through a closure and shows the report.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::alerts::Population;
use super::args::{Checked, IngestArgs, Target};
use super::body::Renderer;
use super::disk::DiskProbe;
use super::endpoint::Endpoint;
use super::error::BenchError;
use super::ledger::Ledger;
use super::numbers::float;
use super::phase::{Outcome, Tally, Work, new_histogram, run_phase};
use super::plan::Sequence;
use super::process::{Usage, read_own_usage, read_usage};
use super::report::{Ended, Latency, Load, PhaseReport, Ratio, Report, Spread, TargetReport};
use super::supply::Supply;

/// Pause between attempts while a server starts.
const WAIT_PAUSE: Duration = Duration::from_millis(5);
/// How long a server may take to accept the first connection without `--wait`.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// A scheduled round that is behind is given up after this many times its length.
const OVERTIME: u32 = 2;

/// How far a phase is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The server that is being loaded.
    pub target: Target,
    /// The measured round, from 1; `None` in the load phase.
    pub round: Option<u32>,
    /// Acknowledged alerts of this phase.
    pub alerts: u64,
    /// Time since the phase began.
    pub elapsed: Duration,
}

/// Runs the load that `args` describes and returns the figures.
///
/// `progress` is called about every second and at the end of each phase. Needs a tokio runtime with I/O and time; a
/// current-thread one leaves most of the machine to the server.
pub async fn run(
    args: &IngestArgs,
    mut progress: impl FnMut(Progress),
) -> Result<Report, BenchError> {
    let checked = args.check()?;
    let mut run = Run::prepare(args, checked)?;
    for side in &mut run.sides {
        side.become_ready(&run.shared).await?;
    }
    // Only now: making bodies takes time that would count as the start of a server.
    for side in &mut run.sides {
        side.supply.keep(run.shared.checked.plan);
    }
    let mut ended = Ended::Finished;
    if run.shared.checked.preload {
        for side in &mut run.sides {
            ended = ended.and(side.phase(&run.shared, None, &mut progress).await?);
        }
    }
    let probe = args
        .probe_disk
        .as_deref()
        .map(DiskProbe::start)
        .transpose()?;
    'rounds: for round in 1..=args.rounds {
        for side in &mut run.sides {
            if ended == Ended::Disconnected {
                break 'rounds;
            }
            ended = side.phase(&run.shared, Some(round), &mut progress).await?;
        }
    }
    let disk = match probe {
        Some(probe) => Some(probe.finish().await?),
        None => None,
    };
    let mut reports = run.sides.into_iter().map(|side| side.finish(args));
    let Some(target) = reports.next() else {
        return Err(BenchError::Option {
            option: "--url",
            reason: "is missing".to_owned(),
        });
    };
    let peer = reports.next();
    let ratio = peer.as_ref().and_then(|peer| Ratio::of(&target, peer));
    Ok(Report {
        load: load(args),
        ended,
        target,
        peer,
        ratio,
        disk,
    })
}

fn load(args: &IngestArgs) -> Load {
    Load {
        active: (!args.new).then_some(args.active),
        per_request: args.per_request,
        connections: args.connections,
        rate: args.rate,
        resolve: args.resolve,
        churn: args.churn == 1,
        seed: args.seed,
    }
}

impl Ended {
    fn and(self, other: Self) -> Self {
        match self {
            Self::Finished => other,
            Self::Disconnected => self,
        }
    }
}

struct Run {
    shared: Shared,
    sides: Vec<Side>,
}

/// What both servers have in common.
struct Shared {
    checked: Checked,
    connections: u64,
    requests: Option<u64>,
    retry_503: Option<Duration>,
    stops_on_disconnect: bool,
}

/// One server and what is known of it.
struct Side {
    endpoint: Endpoint,
    supply: Supply,
    sequence: Arc<Sequence>,
    pid: Option<u32>,
    ledger: Option<(Arc<Ledger>, Instant)>,
    latency: Histogram<u64>,
    report: TargetReport,
}

impl Run {
    fn prepare(args: &IngestArgs, checked: Checked) -> Result<Self, BenchError> {
        let ledger = args.ledger.as_deref().map(Ledger::open).transpose()?;
        let ledger = ledger.map(|ledger| (Arc::new(ledger), Instant::now()));
        let mut sides = vec![Side::new(
            args,
            &checked,
            (args.target, &args.url),
            args.pid,
            ledger,
        )?];
        if let Some(url) = &args.peer_url {
            let peer = (args.peer_target, url.as_str());
            sides.push(Side::new(args, &checked, peer, args.peer_pid, None)?);
        }
        let shared = Shared {
            checked,
            connections: args.connections,
            requests: args.requests,
            retry_503: args.retry_503.map(Duration::from_millis),
            stops_on_disconnect: args.stop_on_disconnect,
        };
        Ok(Self { shared, sides })
    }
}

impl Side {
    fn new(
        args: &IngestArgs,
        checked: &Checked,
        (target, url): (Target, &str),
        pid: Option<u32>,
        ledger: Option<(Arc<Ledger>, Instant)>,
    ) -> Result<Self, BenchError> {
        let endpoint = Endpoint::new(target, url, &args.source, args.token.as_deref())?;
        let population = Population::new(args.seed, checked.epoch_s, checked.resolve_share);
        let renderer = Renderer::new(target, population, args.churn == 1);
        let mut supply = Supply::new(renderer);
        let usage = pid
            .map(|pid| read_usage(pid).map_err(|source| BenchError::Process { pid, source }))
            .transpose()?;
        let report = TargetReport {
            target,
            url: endpoint.url.clone(),
            body_bytes: supply.body(checked.plan.request(0)).len(),
            ready_ms: None,
            rss_before_bytes: usage.map(|usage| usage.rss_bytes),
            rss_per_alert_bytes: None,
            preload: None,
            rounds: Vec::new(),
            alerts_per_s: None,
            latency_ms: None,
        };
        Ok(Self {
            endpoint,
            supply,
            sequence: Arc::new(Sequence::new()),
            pid,
            ledger,
            latency: new_histogram().map_err(BenchError::Generator)?,
            report,
        })
    }

    /// Makes sure that somebody listens; with `--wait` that the first request is acknowledged.
    async fn become_ready(&mut self, shared: &Shared) -> Result<(), BenchError> {
        let unreachable = |reason| BenchError::Unreachable {
            url: self.endpoint.url.clone(),
            reason,
        };
        let Some(wait) = shared.checked.wait else {
            let within = REACH_TIMEOUT.min(shared.checked.timeout);
            return self
                .endpoint
                .connect(within, async |_| ())
                .await
                .map_err(unreachable);
        };
        let began = Instant::now();
        let work = self.work(shared, None)?;
        let slice = work.plan.request(self.sequence.claim(None).unwrap_or(0));
        let body = self.supply.body(slice);
        let mut last = "no attempt".to_owned();
        while began.elapsed() < wait {
            let left = wait.saturating_sub(began.elapsed()).min(work.timeout);
            let attempt = async |mut client: super::endpoint::Client| {
                client.post(&work.endpoint, body.clone(), left).await
            };
            match work.endpoint.connect(left, attempt).await {
                Ok(Ok(answer)) if answer.is_acknowledged() => {
                    work.record(slice, answer, began);
                    self.report.ready_ms = Some(began.elapsed().as_secs_f64() * 1000.0);
                    return Ok(());
                }
                Ok(Ok(answer)) => {
                    last = format!("{} {}", answer.status, answer.sample.unwrap_or_default());
                }
                Ok(Err(failure)) => last = format!("{failure:?}"),
                Err(reason) => last = reason,
            }
            tokio::time::sleep(WAIT_PAUSE).await;
        }
        Err(unreachable(last))
    }

    /// Runs a measured round, or the load phase if `round` is `None`.
    async fn phase(
        &mut self,
        shared: &Shared,
        round: Option<u32>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Ended, BenchError> {
        let target = self.endpoint.target;
        let server = self.pid.and_then(|pid| read_usage(pid).ok());
        let own = read_own_usage().ok();
        let work = self.work(shared, round)?;
        let on_tick = |alerts, elapsed| {
            progress(Progress {
                target,
                round,
                alerts,
                elapsed,
            });
        };
        let outcome = run_phase(work, shared.connections, on_tick).await?;
        let is_cut = outcome.is_cut;
        let after = self.pid.and_then(|pid| read_usage(pid).ok());
        let own = own.zip(read_own_usage().ok());
        if round.is_some() {
            self.latency
                .add(&outcome.tally.latency)
                .map_err(|error| BenchError::Generator(std::io::Error::other(error)))?;
        }
        let report = phase_report(outcome, server.zip(after), own);
        match round {
            Some(_) => self.report.rounds.push(report),
            None => self.report.preload = Some(report),
        }
        Ok(if is_cut {
            Ended::Disconnected
        } else {
            Ended::Finished
        })
    }

    fn work(&self, shared: &Shared, round: Option<u32>) -> Result<Work, BenchError> {
        let Checked {
            plan,
            interval,
            round: length,
            ..
        } = shared.checked;
        let interval = interval.filter(|_| round.is_some());
        let first_index = self.sequence.position();
        let scheduled = interval.map(|step| length.as_nanos().div_ceil(step.as_nanos().max(1)));
        let scheduled = scheduled.map(|count| u64::try_from(count).unwrap_or(u64::MAX));
        let count = match round {
            None => plan
                .requests_per_pass()
                .map(|pass| pass.saturating_sub(first_index)),
            Some(_) => shared.requests.or(scheduled),
        };
        let length = match (round, shared.requests, interval) {
            (None, _, _) | (Some(_), Some(_), _) => None,
            (Some(_), None, Some(_)) => Some(length * OVERTIME),
            (Some(_), None, None) => Some(length),
        };
        let began = Instant::now();
        Ok(Work {
            endpoint: self.endpoint.clone(),
            supply: self.supply.clone(),
            plan,
            sequence: Arc::clone(&self.sequence),
            first_index,
            end_index: count.map(|count| first_index.saturating_add(count)),
            began,
            deadline: length.map(|length| began + length),
            interval,
            timeout: shared.checked.timeout,
            retry_503: shared.retry_503,
            stops_on_disconnect: shared.stops_on_disconnect,
            ledger: self.ledger.clone(),
            is_stopped: AtomicBool::new(false),
            tally: Mutex::new(Tally::new()?),
        })
    }

    fn finish(self, args: &IngestArgs) -> TargetReport {
        let mut report = self.report;
        let rates = report
            .rounds
            .iter()
            .map(|round| round.alerts_per_s)
            .collect();
        report.alerts_per_s = Spread::of(rates);
        report.latency_ms = (!self.latency.is_empty()).then(|| Latency::of(&self.latency));
        let phases = report.preload.iter().chain(&report.rounds);
        let last = phases.rev().find_map(|phase| phase.rss_bytes);
        let gained = last
            .zip(report.rss_before_bytes)
            .map(|(last, first)| last.saturating_sub(first));
        report.rss_per_alert_bytes = gained
            .filter(|_| report.preload.is_some())
            .map(|gained| float(gained) / float(args.active));
        report
    }
}

fn phase_report(
    outcome: Outcome,
    server: Option<(Usage, Usage)>,
    own: Option<(Usage, Usage)>,
) -> PhaseReport {
    let Outcome {
        tally,
        took,
        unsent,
        ..
    } = outcome;
    let seconds = took.as_secs_f64().max(f64::MIN_POSITIVE);
    let alerts = float(tally.alerts);
    let cpu = |pair: (Usage, Usage)| pair.1.cpu.saturating_sub(pair.0.cpu).as_secs_f64();
    PhaseReport {
        alerts: tally.alerts,
        requests: tally.requests,
        seconds,
        alerts_per_s: alerts / seconds,
        latency_ms: (!tally.latency.is_empty()).then(|| Latency::of(&tally.latency)),
        statuses: tally.statuses,
        disconnects: tally.disconnects,
        timeouts: tally.timeouts,
        unsent,
        first_refusal: tally.first_refusal,
        rss_bytes: server.map(|pair| pair.1.rss_bytes),
        cpu_us_per_alert: server
            .filter(|_| tally.alerts > 0)
            .map(|pair| cpu(pair) * 1e6 / alerts),
        generator_cores: own.map(|pair| cpu(pair) / seconds),
    }
}
