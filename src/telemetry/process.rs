//! Metrics of the process itself, read from the kernel at each scrape.
//!
//! Names follow the convention of Prometheus client libraries and carry no prefix of ours. A value that cannot be
//! read is left out, since a zero would be a lie. Must not keep state between scrapes, except the start time.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Reads the four process metrics on demand.
#[derive(Debug)]
pub struct ProcessCollector {
    start_time_s: Option<f64>,
}

impl ProcessCollector {
    /// Remembers when this process started.
    pub fn new() -> Self {
        Self {
            start_time_s: start_time_s(),
        }
    }
}

impl Default for ProcessCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let cpu = ConstCounter::new(cpu_seconds());
        let metric = encoder.encode_descriptor(
            "process_cpu_seconds",
            "User and system CPU time used, in seconds.",
            None,
            cpu.metric_type(),
        )?;
        cpu.encode(metric)?;
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Memory in RAM, in bytes.",
                resident_bytes(),
            ),
            ("process_open_fds", "Open file descriptors.", open_fds()),
            (
                "process_start_time_seconds",
                "When the process started, in seconds since the Unix epoch.",
                self.start_time_s,
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
                gauge.encode(metric)?;
            }
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    std::time::Duration::try_from(used).map_or(0.0, |used| used.as_secs_f64())
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn open_fds() -> Option<f64> {
    // The listing itself holds one descriptor.
    let count = std::fs::read_dir("/proc/self/fd")
        .ok()?
        .count()
        .saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

/// Boot time plus field 22 of `/proc/self/stat` (start, in clock ticks after boot; see proc(5)).
fn start_time_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command name (field 2) may hold spaces and brackets; what follows the last bracket is field 3.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: f64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    let per_second = f64::from(u32::try_from(clock_ticks_per_second()).ok()?);
    // Not from /proc/stat: a sandbox with ProcSubset=pid hides it.
    let boot_s = clock_s(ClockId::Realtime)? - clock_s(ClockId::Boottime)?;
    Some(boot_s + ticks / per_second)
}

fn clock_s(clock: ClockId) -> Option<f64> {
    let time = std::time::Duration::try_from(clock_gettime(clock)).ok()?;
    Some(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_plausible() {
        assert!(resident_bytes().unwrap() > 100_000.0);
        assert!(open_fds().unwrap() >= 3.0);
        let now_s = clock_s(ClockId::Realtime).unwrap();
        let age_s = now_s - start_time_s().unwrap();
        assert!((-1.0..3600.0).contains(&age_s), "started {age_s} s ago");
        assert!(cpu_seconds() > 0.0);
    }
}
