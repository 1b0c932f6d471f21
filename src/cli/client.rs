//! Requests to a daemon's API, and what a person is told when they fail.
//!
//! Must not follow redirects (a token would travel along), and must not look up proxies for this machine's own
//! addresses.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use crate::cli::failure::{Failure, chain};
use crate::cli::machine::random_bytes;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::target::{self, Target};
use crate::cli::text::clean;
use crate::config::{Env, Secret};

/// Time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for sending or reading a whole CMDB.
const LONG_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes of an answer; a longer one is not from our API.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A connection to one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    shown: String,
    token: Option<Secret>,
}

impl Client {
    /// A client for the daemon that the options or the configuration name.
    ///
    /// # Errors
    /// The address or the certificate cannot be used, or the configuration tells no listener.
    pub fn new(args: &DaemonArgs, config: Option<&Path>, env: &Env) -> Result<Self, Failure> {
        if args.output == Output::Csv {
            let text = "only reports can be printed as comma-separated values";
            return Err(Failure::usage(text).next("use --output table or --output json"));
        }
        let target = target::find(args, config, env)?;
        Self::to(&target, args.token.clone(), args.ca.as_deref())
    }

    /// A client for a known address.
    ///
    /// # Errors
    /// The address or the certificate cannot be used.
    pub fn to(target: &Target, token: Option<Secret>, ca: Option<&Path>) -> Result<Self, Failure> {
        let bad = |error: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "the address {} cannot be used: {error}",
                target.url
            ))
        };
        let base = Url::parse(&target.url).map_err(|error| bad(&error))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("watchbell/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT);
        if target.pinned.is_some() || is_this_machine(&base) {
            builder = builder.no_proxy();
        }
        if let Some((name, address)) = &target.pinned {
            builder = builder.resolve(name, *address);
        }
        if let Some(file) = ca.filter(|file| !file.as_os_str().is_empty()) {
            builder = builder.tls_certs_merge(read_certificates(file)?);
        } else if base.scheme() == "http" {
            // Plain HTTP needs no authorities; reading the system's takes time, and fails where there are none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            Failure::unreachable(format!("TLS cannot be set up: {}", chain(&error)))
                .next("install the system's CA certificates, or pass one with --ca")
        })?;
        Ok(Self {
            http,
            base,
            shown: target.url.clone(),
            token: token.filter(|token| !token.expose().is_empty()),
        })
    }

    /// The daemon's address as shown to people.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Reads something below `/api/v1`.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<String, Failure> {
        let request = self.request(Method::GET, path)?.query(query);
        let answer = request.send().await;
        self.read(answer.map_err(|error| self.no_answer(&error))?)
            .await
    }

    /// Reads something large below `/api/v1`.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn download(&self, path: &[&str]) -> Result<String, Failure> {
        let request = self.request(Method::GET, path)?.timeout(LONG_TIMEOUT);
        let answer = request
            .send()
            .await
            .map_err(|error| self.no_answer(&error))?;
        if answer.status().is_success() {
            return answer.text().await.map_err(|error| self.no_answer(&error));
        }
        self.read(answer).await
    }

    /// Sends a file below `/api/v1`, as it is; `encoding` says how it is compressed.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn upload(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        file: Vec<u8>,
        encoding: Option<&'static str>,
    ) -> Result<String, Failure> {
        let mut request = self.request(Method::POST, path)?.query(query);
        if let Some(encoding) = encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        let answer = request.body(file).timeout(LONG_TIMEOUT).send().await;
        self.read(answer.map_err(|error| self.no_answer(&error))?)
            .await
    }

    /// Gives a command below `/api/v1`; sent again once when the connection breaks, which does no harm, since both
    /// carry one idempotency key.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<String, Failure> {
        let key = hex::encode(random_bytes::<16>()?);
        let send = async || {
            let request = self.request(Method::POST, path)?;
            let request = request.header("idempotency-key", &key).json(body);
            Ok::<_, Failure>(request.send().await)
        };
        let answer = match send().await? {
            Err(error) if !error.is_timeout() && !error.is_builder() => send().await?,
            answer => answer,
        };
        self.read(answer.map_err(|error| self.no_answer(&error))?)
            .await
    }

    /// Ends something below `/api/v1`; sent again once when the connection breaks, since it can only end once.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub async fn delete(&self, path: &[&str]) -> Result<String, Failure> {
        let send = async || Ok::<_, Failure>(self.request(Method::DELETE, path)?.send().await);
        let answer = match send().await? {
            Err(error) if !error.is_timeout() && !error.is_builder() => send().await?,
            answer => answer,
        };
        self.read(answer.map_err(|error| self.no_answer(&error))?)
            .await
    }

    /// Asks `/readyz`: whether it is ready, and what it says.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub async fn ready(&self) -> Result<(StatusCode, String), reqwest::Error> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("readyz");
        }
        let answer = self.http.get(url).send().await?;
        let status = answer.status();
        Ok((status, answer.text().await?))
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<reqwest::RequestBuilder, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let request = self
            .http
            .request(method, url)
            .header(ACCEPT, "application/json, application/problem+json");
        let Some(token) = &self.token else {
            return Ok(request);
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Failure::usage("the token holds a line break or another odd character"))?;
        value.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, value))
    }

    async fn read(&self, mut answer: Response) -> Result<String, Failure> {
        let status = answer.status();
        let media = answer.headers().get(CONTENT_TYPE).cloned();
        let media = media.as_ref().and_then(|media| media.to_str().ok());
        let is_json = media.is_some_and(|media| {
            media.starts_with("application/json") || media.starts_with("application/problem+json")
        });
        let mut body = Vec::new();
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|error| self.no_answer(&error))?
        {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(self.not_ours("answered with more than 64 MiB"));
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() && is_json {
            return Ok(body);
        }
        let problem = if is_json {
            serde_json::from_str(&body).unwrap_or_default()
        } else {
            Problem::default()
        };
        Err(self.refused(status, &problem, is_json))
    }

    fn refused(&self, status: StatusCode, problem: &Problem, is_json: bool) -> Failure {
        let said = problem.detail.as_ref().or(problem.title.as_ref());
        let said = said.map_or_else(|| status.to_string(), |text| clean(text));
        match status {
            StatusCode::UNAUTHORIZED => {
                let text = match self.token {
                    Some(_) => "the daemon does not know this token, or it is no longer valid",
                    None => "the daemon asks for a token",
                };
                let next = "pass one with --token or in WATCHBELL_TOKEN; \
                            `watchbell token create --role responder` makes one";
                Failure::unreachable(text).next(next)
            }
            StatusCode::FORBIDDEN => Failure::failed(format!("the daemon refused: {said}"))
                .next("use a token with another role (`watchbell token create --role ...`)"),
            _ if status.is_redirection() => self.not_ours(&format!("answered {status}")),
            _ if !is_json && !status.is_server_error() => {
                self.not_ours(&format!("answered {status}"))
            }
            StatusCode::BAD_REQUEST => Failure::usage(format!("the daemon refused: {said}")),
            StatusCode::SERVICE_UNAVAILABLE => Failure::unreachable(format!("not now: {said}"))
                .next("try again in a moment; `watchbell doctor` tells more"),
            _ if status.is_server_error() => {
                Failure::unreachable(format!("the daemon failed: {said}"))
                    .next("its log tells more (journalctl -u watchbell)")
            }
            StatusCode::CONFLICT => Failure::failed(said)
                .next("look at it as it is now, for example with `watchbell incident N`"),
            _ => Failure::failed(said),
        }
    }

    fn not_ours(&self, what: &str) -> Failure {
        Failure::unreachable(format!(
            "what listens at {} {what}, unlike Watchbell",
            self.shown
        ))
        .next("say where the daemon is with --url or WATCHBELL_URL")
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        no_answer(&self.shown, error)
    }
}

/// What to tell when an address does not answer.
fn no_answer(shown: &str, error: &reqwest::Error) -> Failure {
    if is_refused(error) {
        return Failure::unreachable(format!("no Watchbell answers at {shown}"))
            .next("is it running? start it with `watchbell serve`, or pass --url");
    }
    let text = format!("no answer from {shown}: {}", cause(error));
    let failure = Failure::unreachable(text);
    if error.is_timeout() {
        failure.next("is the address right, and is the daemon busy or stuck?")
    } else if cause(error).contains("CaUsedAsEndEntity") {
        failure.next(
            "the daemon's certificate is that of an authority and cannot be a server's as well: make it with \
             `openssl req -x509 -addext basicConstraints=critical,CA:FALSE ...`, or let an authority sign one",
        )
    } else if cause(error).contains("certificate") {
        failure.next(
            "pass the authority's certificate with --ca, and the name in the daemon's with --url",
        )
    } else {
        failure.next("check the address, or pass another with --url")
    }
}

/// Whether nothing listens at the address.
pub fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The innermost cause, which says most: the outer ones only repeat the URL.
pub fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// An RFC 9457 body, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn read_certificates(file: &Path) -> Result<Vec<Certificate>, Failure> {
    let shown = file.display();
    let pem = fs::read(file)
        .map_err(|error| Failure::unreachable(format!("{shown} cannot be read: {error}")))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| {
        Failure::unreachable(format!("{shown} is not a PEM file: {}", chain(&error)))
    })?;
    if certificates.is_empty() {
        return Err(Failure::unreachable(format!(
            "{shown} holds no certificate"
        )));
    }
    Ok(certificates)
}

/// Reads an answer of the API.
///
/// # Errors
/// It has another shape than this release knows.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::unreachable(format!("the daemon's answer cannot be understood: {error}"))
            .next("is it of another release? `--output json` shows the answer as it is")
    })
}
