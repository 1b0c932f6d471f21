//! Waking at a scheduled instant, to some ten microseconds.
//!
//! Tokio's timers work in whole milliseconds, which is more than the acknowledgements to be measured. The kernel's
//! timer file is exact and costs no spinning on a core that the server needs. Must not be used for anything but the
//! open loop: each one is a file descriptor.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer of one connection.
#[derive(Debug)]
pub(super) struct PreciseTimer {
    file: AsyncFd<OwnedFd>,
}

impl PreciseTimer {
    /// Makes a timer; needs the runtime's I/O.
    #[expect(
        deprecated,
        reason = "the new constructor is unsafe for types that could swap their descriptor; an OwnedFd cannot"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            file: AsyncFd::new(file)?,
        })
    }

    /// Waits until `at`; returns at once if that is past.
    pub(super) async fn sleep_until(&self, at: Instant) -> io::Result<()> {
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        timerfd_settime(
            self.file.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: zero,
                it_value: value,
            },
        )?;
        loop {
            let mut ready = self.file.readable().await?;
            let mut count = [0u8; 8];
            let read = ready.try_io(|file| Ok(rustix::io::read(file.get_ref(), &mut count)?));
            if let Ok(result) = read {
                return result.map(drop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn wakes_after_the_instant_and_again() {
        let timer = PreciseTimer::new().unwrap();
        for _ in 0..3 {
            let at = Instant::now() + Duration::from_micros(700);
            timer.sleep_until(at).await.unwrap();
            assert!(Instant::now() >= at);
        }
        timer.sleep_until(Instant::now()).await.unwrap();
    }
}
