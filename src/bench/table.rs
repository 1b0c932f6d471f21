//! The report as text of at most 100 columns (long URLs aside).
//!
//! Must not compute figures; they are in the report.

use std::fmt;

use super::args::Target;
use super::numbers::float;
use super::report::{Ended, Latency, Load, PhaseReport, Ratio, Report, Spread, TargetReport};

const MEBIBYTE: f64 = 1_048_576.0;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.load)?;
        for side in self.sides() {
            let kilobytes = float(u64::try_from(side.body_bytes).unwrap_or(u64::MAX)) / 1000.0;
            writeln!(
                f,
                "{}: {}, bodies of {kilobytes:.1} kB",
                side.target, side.url
            )?;
        }
        writeln!(
            f,
            "\n{:<13}{:<6}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>6}",
            "server",
            "round",
            "alerts/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "failed",
            "RSS MiB",
            "CPU us",
            "gen"
        )?;
        for side in self.sides() {
            if let Some(load) = &side.preload {
                write_row(f, side.target, "load", load)?;
            }
        }
        let rounds = self
            .sides()
            .map(|side| side.rounds.len())
            .max()
            .unwrap_or(0);
        for round in 0..rounds {
            for side in self.sides() {
                if let Some(phase) = side.rounds.get(round) {
                    write_row(f, side.target, &(round + 1).to_string(), phase)?;
                }
            }
        }
        writeln!(
            f,
            "CPU us: server's processor time per alert. gen: cores used by the generator.\n"
        )?;
        for side in self.sides() {
            write_summary(f, side)?;
        }
        if let Some(ratio) = &self.ratio {
            write!(f, "ratio: {ratio}")?;
        }
        if let Some(disk) = &self.disk {
            let Latency { p50, p99, max, .. } = disk.latency_ms;
            writeln!(
                f,
                "disk probe (overwrite 4 KiB + fdatasync, {} writes): p50 {p50:.3}, p99 {p99:.3}, \
                 max {max:.1} ms",
                disk.writes
            )?;
        }
        match self.ended {
            Ended::Finished => Ok(()),
            Ended::Disconnected => {
                writeln!(f, "A server went away: the figures are those up to then.")
            }
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.active {
            Some(active) => write!(f, "{active} alerts")?,
            None => f.write_str("new alerts only")?,
        }
        let Self {
            per_request,
            connections,
            resolve,
            churn,
            seed,
            ..
        } = self;
        write!(
            f,
            ", {per_request} per request, {connections} connections, "
        )?;
        match self.rate {
            Some(rate) => write!(f, "{rate} alerts/s on a schedule")?,
            None => f.write_str("closed loop")?,
        }
        write!(
            f,
            ", resolve {resolve}, churn {}, seed {seed}",
            u8::from(*churn)
        )
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alerts/s {}", self.alerts_per_s)?;
        if let Some(p50) = self.p50 {
            write!(f, ", p50 {p50}")?;
        }
        if let Some(p99) = self.p99 {
            write!(f, ", p99 {p99}")?;
        }
        writeln!(f)?;
        if let Some(load) = self.preload_alerts_per_s {
            writeln!(f, "ratio of the load phase: alerts/s x{load:.2}")?;
        }
        if let Some(rss) = self.rss_per_alert {
            writeln!(f, "ratio of the memory per alert: x{rss:.3}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{:.2} ({:.2} - {:.2})", self.median, self.min, self.max)
    }
}

fn write_row(
    f: &mut fmt::Formatter<'_>,
    target: Target,
    name: &str,
    phase: &PhaseReport,
) -> fmt::Result {
    let cell = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let latency = |figure: fn(Latency) -> f64| cell(phase.latency_ms.map(figure), 2);
    writeln!(
        f,
        "{:<13}{name:<6}{:>10.0}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>6}",
        target.to_string(),
        phase.alerts_per_s,
        latency(|all| all.p50),
        latency(|all| all.p99),
        latency(|all| all.p999),
        latency(|all| all.max),
        phase.failures(),
        cell(phase.rss_bytes.map(|bytes| float(bytes) / MEBIBYTE), 0),
        cell(phase.cpu_us_per_alert, 1),
        cell(phase.generator_cores, 2),
    )
}

fn write_summary(f: &mut fmt::Formatter<'_>, side: &TargetReport) -> fmt::Result {
    let name = side.target;
    if let Some(ready) = side.ready_ms {
        writeln!(f, "{name}: first acknowledgement after {ready:.0} ms")?;
    }
    if let Some(Spread { median, min, max }) = side.alerts_per_s {
        write!(f, "{name}: {median:.0} alerts/s ({min:.0} - {max:.0})")?;
        if let Some(Latency { p50, p99, p999, .. }) = side.latency_ms {
            write!(f, ", p50 {p50:.2}, p99 {p99:.2}, p99.9 {p999:.2} ms")?;
        }
        writeln!(f)?;
    }
    if let Some(bytes) = side.rss_per_alert_bytes {
        writeln!(f, "{name}: {bytes:.0} bytes of memory per alert")?;
    }
    for phase in side.preload.iter().chain(&side.rounds) {
        if let Some(refusal) = &phase.first_refusal {
            let shown: String = refusal
                .chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect();
            return writeln!(f, "{name} refused: {shown}");
        }
    }
    Ok(())
}
