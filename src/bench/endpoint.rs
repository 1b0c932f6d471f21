//! One address to send to, and one HTTP/1.1 connection to it.
//!
//! hyper's connection is driven directly, in the same task that waits for the answers: no pool, no hop between
//! tasks. Must not retry or reconnect; that is the lane's decision.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::args::Target;
use super::error::BenchError;

/// The most bytes kept of an answer that is not 2xx.
const SAMPLE_BYTES_MAX: usize = 300;

/// Where requests go.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) target: Target,
    /// The whole address, for people.
    pub(super) url: String,
    authority: String,
    host: HeaderValue,
    path: Uri,
    authorization: Option<HeaderValue>,
}

/// An open connection; requests go one after the other.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

/// A fully read answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The beginning of the body if the status is not 2xx.
    pub(super) sample: Option<String>,
}

/// Why a request has no answer; whether it arrived is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Disconnected,
    TimedOut,
}

impl Endpoint {
    /// Takes a base URL with an optional path in front; `token` goes to Watchbell only.
    pub(super) fn new(
        target: Target,
        base_url: &str,
        source: &str,
        token: Option<&str>,
    ) -> Result<Self, BenchError> {
        let refuse = |reason: &str| BenchError::Option {
            option: "--url",
            reason: format!("`{base_url}` {reason}"),
        };
        let base: Uri = base_url.parse().map_err(|_| refuse("is not a URL"))?;
        if base.scheme_str() != Some("http") {
            return Err(refuse(
                "has to begin with http:// (TLS would measure the cipher)",
            ));
        }
        let authority = base.authority().ok_or_else(|| refuse("has no host"))?;
        let tail = match target {
            Target::Watchbell => format!("/ingest/{source}"),
            Target::Alertmanager => "/api/v2/alerts".to_owned(),
            Target::Alerta => "/alert".to_owned(),
        };
        let path = format!("{}{tail}", base.path().trim_end_matches('/'));
        let authorization = match (target, token) {
            (Target::Watchbell, Some(token)) => {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                        BenchError::Option {
                            option: "--token",
                            reason: "has characters that cannot be sent".to_owned(),
                        }
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
            (Target::Watchbell | Target::Alertmanager | Target::Alerta, _) => None,
        };
        let host = authority.host();
        Ok(Self {
            target,
            url: format!("http://{authority}{path}"),
            authority: format!("{host}:{}", authority.port_u16().unwrap_or(80)),
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| refuse("has no host"))?,
            path: path.parse().map_err(|_| refuse("makes no valid path"))?,
            authorization,
        })
    }

    /// Opens a connection and runs `work` on it; the connection ends with the work.
    pub(super) async fn connect<T>(
        &self,
        within: Duration,
        work: impl AsyncFnOnce(Client) -> T,
    ) -> Result<T, String> {
        let stream = tokio::time::timeout(within, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| "no connection in time".to_owned())?
            .map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let mut work = pin!(work(Client { sender }));
        let connection = async move {
            // Dropped at its end, which is what tells the work: it fails the request under way, and no other can begin.
            drop(connection.await);
        };
        let mut connection = Some(Box::pin(connection));
        loop {
            let ended = async {
                match connection.as_mut() {
                    Some(connection) => connection.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = ended => connection = None,
                result = &mut work => return Ok(result),
            }
        }
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("watchbell-bench"));
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        request
    }
}

impl Client {
    /// Waits until another request can be sent; false when the server has closed the connection, as some do after each
    /// answer.
    pub(super) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends `body` and reads the answer to its end.
    pub(super) async fn post(
        &mut self,
        endpoint: &Endpoint,
        body: Bytes,
        within: Duration,
    ) -> Result<Answer, Failure> {
        tokio::time::timeout(within, self.exchange(endpoint.request(body)))
            .await
            .map_err(|_| Failure::TimedOut)?
            .map_err(|_| Failure::Disconnected)
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.sender.ready().await?;
        let mut response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut sample = BytesMut::new();
        while let Some(frame) = response.body_mut().frame().await {
            if let Some(chunk) = frame?.data_ref()
                && !status.is_success()
            {
                let room = SAMPLE_BYTES_MAX.saturating_sub(sample.len());
                sample.extend(chunk.iter().take(room));
            }
        }
        let text = String::from_utf8_lossy(&sample).trim().to_owned();
        let sample = (!status.is_success()).then_some(text);
        Ok(Answer {
            status: status.as_u16(),
            sample,
        })
    }
}

impl Answer {
    /// Whether the server took the alerts.
    pub(super) fn is_acknowledged(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(target: Target, url: &str) -> Result<Endpoint, BenchError> {
        Endpoint::new(target, url, "alertmanager", Some("secret"))
    }

    #[test]
    fn paths_follow_the_target_and_keep_a_prefix() {
        let ours = endpoint(Target::Watchbell, "http://127.0.0.1:8080").unwrap();
        assert_eq!(ours.url, "http://127.0.0.1:8080/ingest/alertmanager");
        let theirs = endpoint(Target::Alertmanager, "http://am/prefix/").unwrap();
        assert_eq!(theirs.url, "http://am/prefix/api/v2/alerts");
        assert_eq!(theirs.authority, "am:80");
    }

    #[test]
    fn the_token_goes_to_watchbell_only_and_is_not_shown() {
        let ours = endpoint(Target::Watchbell, "http://127.0.0.1:8080").unwrap();
        assert!(
            ours.request(Bytes::new())
                .headers()
                .contains_key(AUTHORIZATION)
        );
        assert!(!format!("{ours:?}").contains("secret"));
        let theirs = endpoint(Target::Alertmanager, "http://127.0.0.1:9093").unwrap();
        assert!(
            !theirs
                .request(Bytes::new())
                .headers()
                .contains_key(AUTHORIZATION)
        );
    }

    #[test]
    fn other_schemes_are_refused_with_a_reason() {
        let error = endpoint(Target::Watchbell, "https://127.0.0.1").unwrap_err();
        assert!(error.to_string().contains("http://"), "{error}");
    }
}
