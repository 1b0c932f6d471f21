//! One request to another system and its answer: no redirect followed, sizes and times bounded, addresses guarded.
//!
//! Tells apart what was certainly not received from what may have been. Must not decide what an answer means, and must
//! not try again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method};
use tokio::time::timeout;
use url::Url;

use super::chain;
use super::guard::Guard;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A request in full, secrets included.
#[derive(Clone)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The pause that it asks for, in seconds.
    pub retry_after_s: Option<u64>,
    /// Its body, or the beginning of it.
    pub body: Vec<u8>,
    /// Whether all of the body was read.
    pub is_whole: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The request never left: it may be sent again without fear.
    #[error("{0}")]
    NotSent(String),
    /// The address is not to be reached.
    #[error("{0}")]
    Refused(String),
    /// It was sent, and what became of it is not known.
    #[error("{0}")]
    Lost(String),
}

/// The way out.
#[derive(Clone, Debug)]
pub struct Poster {
    client: Client,
    guard: Guard,
}

impl Poster {
    /// A way out that reaches private and loopback addresses only if so wanted.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self, String> {
        let guard = Guard { allow_private };
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(guard))
            // A proxy would look names up by itself.
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("watchbell/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client can be made: {}", chain(&error)))?;
        Ok(Self { client, guard })
    }

    /// Sends a request; all of it, answer included, may take so long.
    ///
    /// # Errors
    /// No answer came; whether it was received is in the error.
    pub async fn send(&self, outgoing: Outgoing, within: Duration) -> Result<Reply, PostError> {
        self.guard
            .check(&outgoing.url)
            .map_err(PostError::Refused)?;
        let request = self
            .client
            .request(outgoing.method, outgoing.url)
            .headers(outgoing.headers)
            .body(outgoing.body);
        let started = tokio::time::Instant::now();
        let sent = timeout(within, request.send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(judge(&error)),
            Err(_) => {
                return Err(PostError::Lost(format!(
                    "no answer within {} s",
                    within.as_secs()
                )));
            }
        };
        let mut reply = Reply {
            status: response.status().as_u16(),
            retry_after_s: retry_after(response.headers()),
            body: Vec::new(),
            is_whole: false,
        };
        let left = within.saturating_sub(started.elapsed());
        // A body that drips costs its own time only; the status is known.
        if let Ok(is_whole) = timeout(left, read(response, &mut reply.body)).await {
            reply.is_whole = is_whole;
        }
        Ok(reply)
    }
}

async fn read(mut response: reqwest::Response, body: &mut Vec<u8>) -> bool {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
                body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
                if chunk.len() > room {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// The pause that an answer asks for: seconds, or a date, which is compared with the answer's own.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds);
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    let date = headers.get(reqwest::header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(date).ok()?;
    let wait = at
        .timestamp()
        .as_second()
        .saturating_sub(date.timestamp().as_second());
    u64::try_from(wait).ok()
}

fn judge(error: &reqwest::Error) -> PostError {
    let text = chain(error);
    if error.is_connect() || error.is_builder() {
        if text.contains("is not reached") {
            return PostError::Refused(text);
        }
        return PostError::NotSent(text);
    }
    PostError::Lost(text)
}
