//! Signals of the operating system, turned into a stop and a reload.
//!
//! SIGTERM and SIGINT ask for an orderly stop; a second one ends the process at once. SIGHUP asks for a reload.
//! Must not end the process itself: the outcome goes back to `main`, which knows the exit code.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop in order (SIGTERM, SIGINT).
    Stop,
    /// Load the configuration again (SIGHUP).
    Reload,
}

/// The installed handlers. They stay for the life of the process: a later signal never kills it by default.
#[derive(Debug)]
pub struct Signals {
    term: Stream,
    int: Stream,
    hup: Stream,
}

impl Signals {
    /// Installs the handlers; inside the runtime, before anything that a signal must not tear.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal; loses none when dropped while waiting.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.term.recv() => Signal::Stop,
            _ = self.int.recv() => Signal::Stop,
            _ = self.hup.recv() => Signal::Reload,
        }
    }
}

/// Asks for a reload and waits for such a request. Several requests before one wait are one. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ReloadRequest(Arc<Notify>);

impl ReloadRequest {
    /// No request yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a reload.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Waits until a reload is asked for. One task waits.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// How [`serve_signals`] ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The work ended by itself or after the first stop signal.
    Finished(T),
    /// A second stop signal came; the work was dropped where it stood.
    Forced,
}

/// Runs `work` while turning signals into `stop` and `reload`.
///
/// `next` gives the signals, normally [`Signals::next`].
pub async fn serve_signals<T>(
    mut next: impl AsyncFnMut() -> Signal,
    stop: CancellationToken,
    reload: ReloadRequest,
    work: impl Future<Output = T>,
) -> Outcome<T> {
    let signals = async {
        loop {
            match next().await {
                Signal::Reload => reload.raise(),
                Signal::Stop if stop.is_cancelled() => {
                    log::warn!("second stop signal: the process ends at once");
                    break;
                }
                Signal::Stop => {
                    log::info!(
                        "stop signal: the process stops in order; a second signal ends it at once"
                    );
                    stop.cancel();
                }
            }
        }
    };
    tokio::select! {
        biased;
        output = work => Outcome::Finished(output),
        () = signals => Outcome::Forced,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use rustix::process::{Signal as Number, getpid, kill_process};
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn stop_then_stop_again() {
        let (send, mut receive) = mpsc::channel(4);
        let (stop, reload) = (CancellationToken::new(), ReloadRequest::new());
        let next = async || receive.recv().await.unwrap();
        let work = async {
            send.send(Signal::Reload).await.unwrap();
            reload.wait().await;
            assert!(!stop.is_cancelled());
            send.send(Signal::Stop).await.unwrap();
            stop.cancelled().await;
            7
        };
        let outcome = serve_signals(next, stop.clone(), reload.clone(), work).await;
        assert_eq!(outcome, Outcome::Finished(7));

        let (send, mut receive) = mpsc::channel(4);
        let stop = CancellationToken::new();
        send.send(Signal::Stop).await.unwrap();
        send.send(Signal::Stop).await.unwrap();
        let next = async || receive.recv().await.unwrap();
        let outcome = serve_signals(next, stop, reload, pending::<()>()).await;
        assert_eq!(outcome, Outcome::Forced);
    }

    #[tokio::test]
    async fn real_signals_arrive() {
        let mut signals = Signals::install().unwrap();
        for (number, signal) in [
            (Number::HUP, Signal::Reload),
            (Number::TERM, Signal::Stop),
            (Number::INT, Signal::Stop),
        ] {
            kill_process(getpid(), number).unwrap();
            assert_eq!(signals.next().await, signal);
        }
    }
}
