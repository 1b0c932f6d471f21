//! Memory and CPU time of a process, from /proc.
//!
//! Must not fail a run once it has begun: a killed server simply has no reading any more.

use std::fs;
use std::io;
use std::time::Duration;

/// What a process holds and used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Resident memory in bytes.
    pub(super) rss_bytes: u64,
    /// User and system time of all its threads.
    pub(super) cpu: Duration,
}

/// Reads the figures of process `pid`.
pub(super) fn read_usage(pid: u32) -> io::Result<Usage> {
    read(&pid.to_string())
}

/// Reads the figures of this process.
pub(super) fn read_own_usage() -> io::Result<Usage> {
    read("self")
}

fn read(process: &str) -> io::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "unreadable figures in /proc");
    Ok(Usage {
        rss_bytes: rss_bytes(&status).ok_or_else(unreadable)?,
        cpu: cpu_time(&stat).ok_or_else(unreadable)?,
    })
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Fields 14 and 15 of `stat`; the name in field 2 may hold spaces and brackets.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_name, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(
        (user + system).saturating_mul(1000) / per_second,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_an_odd_name() {
        assert_eq!(
            rss_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"),
            Some(2048 * 1024)
        );
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 9 1 1";
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(200_000 / ticks)));
    }

    #[test]
    fn this_process_has_figures_and_none_is_an_error() {
        assert!(read_own_usage().unwrap().rss_bytes > 0);
        assert!(read_usage(u32::MAX).is_err());
    }
}
