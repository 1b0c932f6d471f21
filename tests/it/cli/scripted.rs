//! A daemon that answers what it was told to and writes down what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `GET /path?query`.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// A running one; it ends when dropped.
pub(super) struct Scripted {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Status and body by request line, in the order in which they are given.
type Answers = BTreeMap<String, VecDeque<(u16, String)>>;

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Answers `METHOD /path` with a status and a body, one after the other for the same path.
    pub(super) fn start(answers: &[(&str, u16, &str)]) -> Self {
        let mut script = Answers::new();
        for (line, status, body) in answers {
            let queue = script.entry((*line).to_owned()).or_default();
            queue.push_back((*status, (*body).to_owned()));
        }
        let asked = Arc::default();
        let script = Script {
            answers: Arc::new(Mutex::new(script)),
            asked: Arc::clone(&asked),
        };
        let stop = CancellationToken::new();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        socket.set_nonblocking(true).expect("socket");
        let url = format!("http://{}", socket.local_addr().expect("address"));
        let until = stop.clone();
        let thread = std::thread::spawn(move || serve(socket, script, until));
        Self {
            url,
            asked,
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("http://").expect("plain HTTP");
        address.parse().expect("address")
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("lock").clone()
    }

    /// The request lines so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the scripted daemon did not panic");
        }
    }
}

fn serve(socket: std::net::TcpListener, script: Script, stop: CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(socket).expect("listener");
        let router = Router::new().fallback(answer).with_state(script);
        let serving = axum::serve(listener, router).into_future();
        tokio::select! {
            served = serving => served.expect("serving"),
            () = stop.cancelled() => {}
        }
    });
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked {
        line: format!("{method} {uri}"),
        headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    };
    script.asked.lock().expect("lock").push(asked);
    let key = format!("{method} {}", uri.path());
    let next = script
        .answers
        .lock()
        .expect("lock")
        .get_mut(&key)
        .and_then(VecDeque::pop_front);
    let (status, body) = next.unwrap_or_else(|| (599, format!("nothing is scripted for {key}")));
    let status = StatusCode::from_u16(status).expect("status");
    let media = if body.starts_with(['{', '[']) {
        match status.is_success() {
            true => "application/json",
            false => "application/problem+json",
        }
    } else {
        "text/html"
    };
    (status, [(header::CONTENT_TYPE, media)], body).into_response()
}
