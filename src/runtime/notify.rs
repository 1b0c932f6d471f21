//! What systemd is told: ready, reloading, stopping, a status line, and that the loops move.
//!
//! Protocol: `sd_notify(3)` and `systemd.service(5)`. Without a socket (no systemd) every notice is a quiet no-op.
//! The watchdog ping is fed by the loops themselves: a timer that pings by itself would keep a hung process alive.
//! Must not fail the process when a notice cannot be sent; systemd's own timeouts deal with that.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Longest wait for systemd's socket to take a notice.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends notices to the service manager. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    socket: Option<Arc<OsStr>>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Sends to `socket`: a path, or an abstract name that begins with `@`; `None` sends nothing.
    ///
    /// `watchdog` is the time after which systemd gives up on a silent service.
    pub fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> Self {
        Self {
            socket: socket.map(Arc::from),
            watchdog,
        }
    }

    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`, which systemd sets.
    #[expect(
        clippy::disallowed_methods,
        reason = "set by the service manager, not configuration"
    )]
    pub fn from_env() -> Self {
        Self::new(
            std::env::var_os("NOTIFY_SOCKET"),
            sd_notify::watchdog_enabled(),
        )
    }

    /// Start-up is complete, or a reload is over, whether it succeeded or not.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// A reload begins; [`Notifier::ready`] must follow, also when the reload fails.
    pub fn reloading(&self) {
        // Type=notify-reload waits for ever unless both arrive in one message.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => log::warn!("the monotonic clock could not be read: {error}"),
        }
    }

    /// The process begins to stop.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// A line for `systemctl status`.
    pub fn status(&self, text: &str) {
        // A line break would begin another assignment of the protocol.
        let line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.send(&[NotifyState::Status(&line)]);
    }

    /// Pings the watchdog at half its time while every heartbeat moves, until `stop` is cancelled.
    ///
    /// Without a watchdog it only waits, so that it can be a named task either way. Let it outlive the other tasks.
    pub async fn watch(self, heartbeats: Heartbeats, stop: CancellationToken) {
        let Some(limit) = self.watchdog.filter(|limit| !limit.is_zero()) else {
            return stop.cancelled().await;
        };
        let mut ticks = interval(limit / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once, before a loop had time to move.
        ticks.tick().await;
        self.send(&[NotifyState::Watchdog]);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let stuck = heartbeats.take_stuck();
            if stuck.is_empty() {
                self.send(&[NotifyState::Watchdog]);
            } else {
                log::error!(
                    "no watchdog ping: {} did not move for {:?}; systemd restarts the process if this goes on",
                    stuck.join(", "),
                    limit / 2
                );
            }
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if let Some(socket) = &self.socket
            && let Err(error) = send_to(socket, states)
        {
            log::warn!(
                "systemd could not be notified over {}: {error}",
                socket.display()
            );
        }
    }
}

/// Sends one datagram. The crate's own function only knows the environment, and no abstract names.
fn send_to(socket: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    let datagram = UnixDatagram::unbound()?;
    datagram.set_write_timeout(Some(SEND_TIMEOUT))?;
    datagram.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

/// The loops that must move for the process to count as alive. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats(Arc<Mutex<Vec<Beat>>>);

#[derive(Debug)]
struct Beat {
    name: String,
    count: Arc<AtomicU64>,
    seen: u64,
}

impl Heartbeats {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a loop; it stays on the list until the heartbeat is dropped.
    pub fn register(&self, name: &str) -> Heartbeat {
        let count = Arc::new(AtomicU64::new(1));
        let beat = Beat {
            name: name.to_owned(),
            count: Arc::clone(&count),
            seen: 0,
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(beat);
        Heartbeat {
            count,
            list: self.clone(),
        }
    }

    /// Names of the loops that did not move since the last call.
    pub fn take_stuck(&self) -> Vec<String> {
        let mut stuck = Vec::new();
        for beat in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter_mut()
        {
            let count = beat.count.load(Ordering::Relaxed);
            if count == beat.seen {
                stuck.push(beat.name.clone());
            }
            beat.seen = count;
        }
        stuck
    }
}

/// The sign of life of one loop, held by that loop.
#[derive(Debug)]
pub struct Heartbeat {
    count: Arc<AtomicU64>,
    list: Heartbeats,
}

impl Heartbeat {
    /// How often an idle loop touches; a watchdog of less than twice this would see idle loops as stuck.
    pub const IDLE_TOUCH: Duration = Duration::from_secs(2);

    /// Says that the loop moved; costs one atomic addition.
    pub fn touch(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for `work` and touches every [`Heartbeat::IDLE_TOUCH`] meanwhile.
    ///
    /// For waiting on input only: around work that can hang it would hide the hang.
    pub async fn while_idle<F: Future>(&self, work: F) -> F::Output {
        tokio::pin!(work);
        loop {
            self.touch();
            if let Ok(output) = tokio::time::timeout(Self::IDLE_TOUCH, &mut work).await {
                self.touch();
                return output;
            }
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let mut list = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|beat| !Arc::ptr_eq(&beat.count, &self.count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FakeSystemd {
        socket: UnixDatagram,
        _folder: tempfile::TempDir,
    }

    impl FakeSystemd {
        fn start(watchdog: Option<Duration>) -> (Self, Notifier) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            let notifier = Notifier::new(Some(path.into_os_string()), watchdog);
            (
                Self {
                    socket,
                    _folder: folder,
                },
                notifier,
            )
        }

        /// The next message, if one was sent.
        fn message(&self) -> Option<String> {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        }
    }

    #[test]
    fn notices_are_what_the_protocol_wants() {
        let (systemd, notifier) = FakeSystemd::start(None);
        notifier.ready();
        assert_eq!(systemd.message().unwrap(), "READY=1\n");
        notifier.stopping();
        assert_eq!(systemd.message().unwrap(), "STOPPING=1\n");
        notifier.status("accepting\nMAINPID=1");
        assert_eq!(systemd.message().unwrap(), "STATUS=accepting MAINPID=1\n");
        assert_eq!(systemd.message(), None);
    }

    #[test]
    fn reloading_and_its_time_are_one_message() {
        let (systemd, notifier) = FakeSystemd::start(None);
        notifier.reloading();
        let message = systemd.message().unwrap();
        let usec = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(usec.trim_end().parse::<u64>().unwrap() > 0);
        notifier.ready();
        assert_eq!(systemd.message().unwrap(), "READY=1\n");
    }

    #[test]
    fn abstract_sockets_and_missing_ones_are_fine() {
        let name = format!("watchbell-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(Some(format!("@{name}").into()), None).ready();
        let mut buffer = [0; 64];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 8);
        Notifier::new(Some("/nonexistent/notify".into()), None).ready();
        Notifier::new(None, None).ready();
    }

    #[tokio::test(start_paused = true)]
    async fn ping_goes_out_only_while_every_loop_moves() {
        let limit = Duration::from_secs(10);
        let (systemd, notifier) = FakeSystemd::start(Some(limit));
        let heartbeats = Heartbeats::new();
        let (engine, ingest) = (heartbeats.register("engine"), heartbeats.register("ingest"));
        let stop = CancellationToken::new();
        let watch = notifier.watch(heartbeats.clone(), stop.clone());
        let script = async {
            let half = limit / 2;
            let ping = Some("WATCHDOG=1\n".to_owned());
            // Between two ticks of the watch, so that order does not matter.
            tokio::time::sleep(half / 2).await;
            assert_eq!(systemd.message(), ping, "at start");
            engine.touch();
            ingest.touch();
            tokio::time::sleep(half).await;
            assert_eq!(systemd.message(), ping, "both moved");
            engine.touch();
            tokio::time::sleep(half).await;
            assert_eq!(systemd.message(), None, "ingest hangs");
            engine.touch();
            ingest.touch();
            tokio::time::sleep(half).await;
            assert_eq!(systemd.message(), ping, "it recovered");
            drop(ingest);
            engine.touch();
            tokio::time::sleep(half).await;
            assert_eq!(systemd.message(), ping, "ended loops do not count");
            stop.cancel();
        };
        tokio::join!(watch, script);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_loop_counts_as_moving() {
        let heartbeats = Heartbeats::new();
        let beat = heartbeats.register("engine");
        let idle = beat.while_idle(tokio::time::sleep(Duration::from_secs(60)));
        let script = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                assert!(heartbeats.take_stuck().is_empty());
            }
        };
        tokio::join!(idle, script);
        assert!(heartbeats.take_stuck().is_empty());
        assert_eq!(heartbeats.take_stuck(), ["engine"]);
    }
}
