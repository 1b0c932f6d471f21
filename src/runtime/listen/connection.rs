//! The life of one connection: handshake, first bytes, requests, end.
//!
//! Three clocks run over it, whichever protocol it speaks: until the first request, idle after a request, and the
//! stop of the server. Must not outlive the drain: requests of HTTP/2 run in the same tracker as the connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::activity::{Activity, Answer};
use super::body::{BodyError, TimedBody};
use super::sniff::{Version, sniff};
use super::{Limits, PeerAddr, Shared};

/// How long a connection may take to close after it was told to, when nothing is in progress.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Why a connection ended early.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error("the TLS handshake took too long")]
    HandshakeTimeout,
    #[error("the TLS handshake failed: {0}")]
    Handshake(std::io::Error),
    #[error("no complete request head arrived in time")]
    Silent,
    #[error("it stayed open after it was told to close")]
    Lingering,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(BodyError),
}

/// One accepted connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
}

impl Connection {
    /// Serves `stream` until its end.
    pub(super) async fn serve(
        self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
    ) -> Result<(), ConnectionError> {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.shared.limits.write_timeout));
        let stream = Box::pin(stream);
        match tls {
            None => self.serve_cleartext(stream).await,
            Some(acceptor) => self.serve_tls(stream, acceptor).await,
        }
    }

    async fn serve_cleartext<S>(self, stream: S) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let deadline = Instant::now() + self.shared.limits.header_timeout;
        let sniffed = tokio::select! {
            sniffed = sniff(stream) => sniffed?,
            () = sleep_until(deadline) => return Err(ConnectionError::Silent),
            () = self.stopped() => return Ok(()),
        };
        match sniffed {
            None => Ok(()),
            Some((version, stream)) => self.serve_http(stream, version, deadline).await,
        }
    }

    async fn serve_tls<S>(self, stream: S, acceptor: TlsAcceptor) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = Box::pin(acceptor.accept(stream));
        let stream = tokio::select! {
            result = timeout(self.shared.limits.handshake_timeout, handshake) => match result {
                Ok(done) => done.map_err(ConnectionError::Handshake)?,
                Err(_) => return Err(ConnectionError::HandshakeTimeout),
            },
            () = self.stopped() => return Ok(()),
        };
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Version::Http2,
            Some(_) | None => Version::Http1,
        };
        let deadline = Instant::now() + self.shared.limits.header_timeout;
        self.serve_http(stream, version, deadline).await
    }

    /// Ends a moment after the stop: time for a request that is just arriving.
    async fn stopped(&self) {
        self.shared.stop.cancelled().await;
        tokio::time::sleep(CLOSE_GRACE).await;
    }

    /// Chooses the protocol machine; boxed, so that a silent connection costs little memory.
    fn serve_http<S>(
        self,
        stream: S,
        version: Version,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = Result<(), ConnectionError>> + Send>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let service = request_service(&self, Arc::clone(&activity));
        let limits = Arc::clone(&self.shared.limits);
        let stop = self.shared.stop.clone();
        let io = TokioIo::new(stream);
        match version {
            Version::Http1 => {
                let connection = http1_builder(&limits).serve_connection(io, service);
                Box::pin(async move {
                    Guard {
                        activity,
                        limits,
                        stop,
                        deadline,
                    }
                    .watch(connection)
                    .await
                })
            }
            Version::Http2 => {
                let tracked = Tracked {
                    tasks: self.shared.tasks.clone(),
                    cut: self.shared.cut.clone(),
                };
                let connection = http2_builder(&limits, tracked).serve_connection(io, service);
                Box::pin(async move {
                    Guard {
                        activity,
                        limits,
                        stop,
                        deadline,
                    }
                    .watch(connection)
                    .await
                })
            }
        }
    }
}

/// Runs an HTTP connection under its clocks.
struct Guard {
    activity: Arc<Activity>,
    limits: Arc<Limits>,
    stop: CancellationToken,
    /// When the first request must have begun.
    deadline: Instant,
}

impl Guard {
    async fn watch<C>(self, connection: C) -> Result<(), ConnectionError>
    where
        C: GracefulConnection,
        C::Error: Into<BodyError>,
    {
        tokio::pin!(connection);
        let timer = sleep_until(self.deadline);
        tokio::pin!(timer);
        let mut closing = false;
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    return ended.map_err(|error| ConnectionError::Http(error.into()));
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(Instant::now() + CLOSE_GRACE);
                }
                () = timer.as_mut() => match self.at_tick(closing)? {
                    Tick::Again(at) => timer.as_mut().reset(at),
                    Tick::Close => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                        timer.as_mut().reset(Instant::now() + CLOSE_GRACE);
                    }
                },
            }
        }
    }

    /// What to do now that the timer rang.
    fn at_tick(&self, closing: bool) -> Result<Tick, ConnectionError> {
        if !self.activity.served_any() {
            return Err(ConnectionError::Silent);
        }
        let now = Instant::now();
        // The rest of an answer may still be on its way to a slow reader, which the write limit watches.
        let limit = if closing {
            self.limits.write_timeout.saturating_add(CLOSE_GRACE)
        } else {
            self.limits.idle_timeout
        };
        let Some(since) = self.activity.idle_since() else {
            return Ok(Tick::Again(now + limit));
        };
        let due = since + limit;
        if due > now {
            Ok(Tick::Again(due))
        } else if closing {
            Err(ConnectionError::Lingering)
        } else {
            Ok(Tick::Close)
        }
    }
}

enum Tick {
    /// Look again then.
    Again(Instant),
    /// It idled too long: ask it to close.
    Close,
}

type RequestFuture =
    Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send + 'static>>;

/// Hands each request to the router, with its peer, a body under time limits, and a mark that it is in progress.
fn request_service(
    connection: &Connection,
    activity: Arc<Activity>,
) -> impl hyper::service::HttpService<
    Incoming,
    ResBody = Answer,
    Error = Infallible,
    Future = RequestFuture,
> + use<> {
    let router: Router = connection.shared.router.clone();
    let limits = Arc::clone(&connection.shared.limits);
    let peer = PeerAddr(connection.peer);
    service_fn(move |request: Request<Incoming>| -> RequestFuture {
        let in_progress = activity.begin();
        let mut request = request.map(|body| {
            Body::new(TimedBody::new(
                body,
                limits.body_timeout,
                limits.body_total_timeout,
            ))
        });
        request.extensions_mut().insert(peer);
        let answer = router.clone().oneshot(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Answer {
                body,
                _in_progress: in_progress,
            }))
        })
    })
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX))
        .max_headers(limits.headers)
        // Below this the library refuses with a panic.
        .max_buf_size(limits.read_buffer_bytes.max(8192));
    builder
}

fn http2_builder(limits: &Limits, tracked: Tracked) -> http2::Builder<Tracked> {
    let mut builder = http2::Builder::new(tracked);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.h2_ping_interval)
        .keep_alive_timeout(limits.h2_ping_timeout)
        .max_concurrent_streams(limits.h2_streams)
        .max_send_buf_size(limits.h2_send_buffer_bytes.min(1 << 24))
        .max_header_list_size(limits.header_bytes);
    builder
}

/// Runs the requests of HTTP/2 connections where the drain sees them and can cut them off.
#[derive(Clone)]
struct Tracked {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            cut.run_until_cancelled(work).await;
        });
    }
}
