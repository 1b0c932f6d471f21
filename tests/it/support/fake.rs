//! A product's HTTP API as a function: what was asked goes in, an answer comes out, and everything is remembered.
//!
//! Must not know any product.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::task::JoinSet;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// The server's own address, for pages that name the next one.
    pub(crate) origin: String,
}

impl Asked {
    /// A number in the query, or a default.
    pub(crate) fn number(&self, key: &str, default: usize) -> usize {
        self.query
            .get(key)
            .map_or(default, |text| text.parse().unwrap())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Told {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.to_string(),
        }
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A running server.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _run: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let one = read(request, address).await;
                let told = answer(&one);
                seen.lock().unwrap().push(one);
                let mut response = Response::builder().status(told.status);
                for (name, value) in told.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(told.body)).unwrap()
            }
        });
        let mut run = JoinSet::new();
        run.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            asked,
            _run: run,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(request: Request, address: SocketAddr) -> Asked {
    let (head, body) = request.into_parts();
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let headers = head.headers.iter();
    Asked {
        path: head.uri.path().to_owned(),
        query: query.into_owned().collect(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        origin: format!("http://{address}"),
    }
}
