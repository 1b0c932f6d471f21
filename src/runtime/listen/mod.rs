//! Our own accept loop for HTTP/1.1 and HTTP/2, with a limit on everything a client can hold.
//!
//! Why not the framework's: its automatic version choice lets a silent client, or half an HTTP/2 preface, hold a
//! socket for ever, and it has no cap, no handshake limit and no drain deadline.
//!
//! Invariants: a connection that has not sent its first whole request head within the limit is closed, whatever the
//! protocol; a body or an answer that does not move is given up; accepting stops at the cap and resumes by itself;
//! a drain ends by its deadline. Must not know routes or the domain: it serves whatever [`axum::Router`] it is given,
//! and puts a [`PeerAddr`] into each request.
//!
//! Start with [`Server::run`]; one connection's life is in `connection`.

mod accept;
mod activity;
mod body;
mod connection;
mod sniff;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use listenfd::ListenFd;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::body::BodyTimeout;
use super::tls::TlsHolder;

/// What a client may use. Times are real time, sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections over all listeners; at the cap nothing is accepted until one closes. Default 10,000.
    pub connections: usize,
    /// From the connection (or the end of its TLS handshake) to the end of the first request head; for HTTP/1 also
    /// how long a later head, and idling before it, may take. Default 10 s.
    pub header_timeout: Duration,
    /// How long a TLS handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long an HTTP/2 connection may idle after its last request. Default 60 s.
    pub idle_timeout: Duration,
    /// How long a request body may stand still. Default 30 s.
    pub body_timeout: Duration,
    /// How long a request body may take as a whole, so that drops of it do not count as progress for ever.
    /// Default 5 min.
    pub body_total_timeout: Duration,
    /// How long the client may refuse to read what is sent to it. Default 30 s.
    pub write_timeout: Duration,
    /// Request head in bytes, request line included; beyond it the answer is 431. Default 16 KiB.
    pub header_bytes: u32,
    /// Header lines of an HTTP/1 request; beyond it the answer is 431. Default 100.
    pub headers: usize,
    /// Read buffer of an HTTP/1 connection in bytes; at least 8 KiB. Default 64 KiB.
    pub read_buffer_bytes: usize,
    /// Requests at a time on one HTTP/2 connection. Default 100.
    pub h2_streams: u32,
    /// Answer bytes buffered for each HTTP/2 request. Default 64 KiB.
    pub h2_send_buffer_bytes: usize,
    /// How often a quiet HTTP/2 peer is pinged. Default 20 s.
    pub h2_ping_interval: Duration,
    /// How long it may take to answer a ping. Default 10 s.
    pub h2_ping_timeout: Duration,
    /// How long requests in progress may take after the stop; then they are cut off. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            body_total_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            headers: 100,
            read_buffer_bytes: 64 * 1024,
            h2_streams: 100,
            h2_send_buffer_bytes: 64 * 1024,
            h2_ping_interval: Duration::from_secs(20),
            h2_ping_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// The other end of the connection; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// A bound socket and whether it speaks TLS.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsHolder>,
}

impl Listener {
    /// Binds `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// When the address is taken or not ours; the message names it.
    pub async fn bind(address: SocketAddr, tls: Option<TlsHolder>) -> io::Result<Self> {
        match TcpListener::bind(address).await {
            Ok(socket) => Ok(Self { socket, tls }),
            Err(error) => {
                let text = format!("cannot listen on {address}: {error}");
                Err(io::Error::new(error.kind(), text))
            }
        }
    }

    /// Takes over a socket that already listens, for example one of [`inherited`].
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn from_std(socket: std::net::TcpListener, tls: Option<TlsHolder>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            tls,
        })
    }

    /// The address it listens on, with the real port.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// TCP sockets handed over by systemd (`LISTEN_FDS`, see `sd_listen_fds(3)`), in the order of the socket unit.
///
/// Clears the variables, so call it once, before the runtime starts its threads.
///
/// # Errors
/// When a handed-over descriptor is no TCP socket.
pub fn inherited() -> io::Result<Vec<std::net::TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        sockets.extend(handed.take_tcp_listener(index)?);
    }
    Ok(sockets)
}

/// How [`Server::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections and requests that were cut off at the drain deadline.
    pub cut: usize,
}

/// Serves one router on any number of listeners.
#[derive(Clone, Debug)]
pub struct Server {
    router: Router,
    limits: Arc<Limits>,
}

impl Server {
    /// A server for `router`.
    pub fn new(router: Router, limits: Limits) -> Self {
        Self {
            router,
            limits: Arc::new(limits),
        }
    }

    /// Accepts on all `listeners` until `stop` is cancelled, then drains.
    ///
    /// Ends within [`Limits::drain_timeout`] after the stop (and a moment for what was cut off).
    pub async fn run(self, listeners: Vec<Listener>, stop: CancellationToken) -> Drained {
        let shared = Arc::new(Shared {
            router: self.router,
            limits: self.limits,
            slots: Arc::new(Semaphore::new(0)),
            tasks: TaskTracker::new(),
            stop,
            cut: CancellationToken::new(),
        });
        shared
            .slots
            .add_permits(shared.limits.connections.min(Semaphore::MAX_PERMITS));
        let mut loops: JoinSet<()> = listeners
            .into_iter()
            .map(|listener| accept::accept_until_stopped(listener, Arc::clone(&shared)))
            .collect();
        while let Some(ended) = loops.join_next().await {
            if let Err(error) = ended {
                // Stopping here lets the supervisor see that a listener is gone.
                log::error!("an accept loop died: {error}");
                shared.stop.cancel();
            }
        }
        shared.stop.cancelled().await;
        shared.drain().await
    }
}

/// What the accept loops and connections of one server have in common.
#[derive(Debug)]
struct Shared {
    router: Router,
    limits: Arc<Limits>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Finish what is in progress.
    stop: CancellationToken,
    /// Drop everything.
    cut: CancellationToken,
}

impl Shared {
    async fn drain(&self) -> Drained {
        self.tasks.close();
        if timeout(self.limits.drain_timeout, self.tasks.wait())
            .await
            .is_ok()
        {
            return Drained { cut: 0 };
        }
        let cut = self.tasks.len();
        log::warn!("{cut} connections or requests did not finish in time and are cut off");
        self.cut.cancel();
        // Cut tasks end at their next await; one that never yields must not hold the process.
        if timeout(Duration::from_secs(1), self.tasks.wait())
            .await
            .is_err()
        {
            log::warn!("{} connections do not yield", self.tasks.len());
        }
        Drained { cut }
    }
}
