//! A server on a port chosen by the system, and clients that speak raw bytes or HTTP/2 to it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use watchbell::runtime::listen::{BodyTimeout, Drained, Limits, Listener, PeerAddr, Server};
use watchbell::runtime::tls::TlsHolder;

/// Longer than anything here should ever take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A limit that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// Waits for `work`, which must not hang.
pub(crate) async fn soon<F: Future>(what: &str, work: F) -> F::Output {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("{what}: did not happen in {PATIENCE:?}"))
}

/// What `/slow` waits for, and how a test learns that it was reached.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) entered: Arc<Semaphore>,
    pub(crate) open: Arc<Semaphore>,
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Gate,
    stop: CancellationToken,
    run: JoinSet<Drained>,
}

impl TestServer {
    pub(crate) fn start(limits: Limits, tls: Option<TlsHolder>) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = Listener::from_std(socket, tls).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Gate {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        };
        let stop = CancellationToken::new();
        let server = Server::new(router(gate.clone()), limits);
        let mut run = JoinSet::new();
        run.spawn(server.run(vec![listener], stop.clone()));
        Self {
            address,
            gate,
            stop,
            run,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until a request stands in `/slow`.
    pub(crate) async fn entered(&self) {
        soon("request in progress", self.gate.entered.acquire())
            .await
            .unwrap()
            .forget();
    }

    /// Asks for the stop; the drain goes on in the background.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for the end of the drain.
    pub(crate) async fn drained(&mut self) -> Drained {
        self.stop();
        soon("drain", self.run.join_next()).await.unwrap().unwrap()
    }
}

fn router(gate: Gate) -> Router {
    Router::new()
        .route(
            "/",
            get(async |Extension(PeerAddr(peer)): Extension<PeerAddr>| peer.to_string()),
        )
        .route("/count", post(count))
        .route("/slow", get(slow))
        .route(
            "/big",
            get(async || Body::from(vec![b'x'; 64 * 1024 * 1024])),
        )
        .with_state(gate)
}

async fn count(request: Request<Body>) -> (StatusCode, String) {
    match request.into_body().collect().await {
        Ok(body) => (StatusCode::OK, body.to_bytes().len().to_string()),
        Err(error) if caused_by_timeout(&error) => (StatusCode::REQUEST_TIMEOUT, "slow".into()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn caused_by_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.is::<BodyTimeout>())
}

async fn slow(State(gate): State<Gate>) -> Result<&'static str, Infallible> {
    gate.entered.add_permits(1);
    gate.open.acquire().await.unwrap().forget();
    Ok("finished")
}

/// Reads until the server closes (an abort counts) and returns what came.
pub(crate) async fn read_to_close<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut all = Vec::new();
    // A reset after the last byte is a close as well.
    drop(soon("close by the server", stream.read_to_end(&mut all)).await);
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads one answer with a `content-length`, head and body, and leaves the connection open.
pub(crate) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut all = Vec::new();
    while !is_complete(&all) {
        let read = soon("answer", stream.read_buf(&mut all)).await.unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&all));
    }
    String::from_utf8(all).unwrap()
}

fn is_complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// Sends bytes.
pub(crate) async fn say<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// An HTTP/2 connection with its driver.
pub(crate) struct H2Client {
    pub(crate) send: http2::SendRequest<Empty<Bytes>>,
    driver: JoinSet<Result<(), hyper::Error>>,
}

impl H2Client {
    pub(crate) async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, connection) = soon(
            "h2 handshake",
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)),
        )
        .await
        .unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self { send, driver }
    }

    /// Sends a GET and returns status and body.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(StatusCode, String), hyper::Error> {
        self.request(Request::get(format!("http://localhost{path}")))
            .await
    }

    pub(crate) async fn request(
        &mut self,
        request: axum::http::request::Builder,
    ) -> Result<(StatusCode, String), hyper::Error> {
        let request = request.body(Empty::new()).unwrap();
        let answer = soon("h2 answer", self.send.send_request(request)).await?;
        let status = answer.status();
        let body = soon("h2 body", answer.into_body().collect())
            .await?
            .to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Waits until the connection is over.
    pub(crate) async fn closed(&mut self) {
        drop(soon("h2 close", self.driver.join_next()).await);
    }
}
