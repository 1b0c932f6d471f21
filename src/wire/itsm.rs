//! One request to a ticket platform: secrets put in where their marks stand, sizes and times bounded, addresses guarded.
//!
//! It goes to the configured server only and never follows a redirect. Tells apart what certainly never left from what
//! may have arrived. Must not decide what an answer means, and must not send anything twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value as Json;
use url::Url;

use super::chain;
use super::guard::Guard;
use crate::connectors::{Answer, Body, Request, secret_mark};
use crate::runtime::pin;

/// Bytes of one answer: pages hold a few hundred tickets.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The step of a request that asks for a token.
const LOGIN: &str = "login";
/// What is shown in place of a secret.
const MASK: &str = "***";

/// Where a connector goes, and with which secrets.
#[derive(Clone)]
pub struct ItsmSetup {
    /// The configured address.
    pub base: Url,
    /// Where logins go that are not below it.
    pub login_at: Option<Url>,
    /// Secrets by the names that profiles use.
    pub secrets: BTreeMap<String, String>,
    /// Whether private and loopback addresses may be reached.
    pub allow_private: bool,
    /// Certificates of authorities that are trusted besides the system's, in PEM.
    pub ca: Option<Vec<u8>>,
    /// How long one answer may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for ItsmSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ItsmSetup")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The request certainly never arrived.
    #[error("{0}")]
    NotSent(String),
    /// It may have arrived.
    #[error("{0}")]
    Lost(String),
}

/// The way out to one platform.
pub struct Itsm {
    client: Client,
    guard: Guard,
    base: Url,
    login_at: Option<Url>,
    secrets: BTreeMap<String, String>,
}

impl std::fmt::Debug for Itsm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Itsm")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// A request as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Method and address.
    pub line: String,
    /// Headers, secrets masked.
    pub headers: Vec<(String, String)>,
    /// The body, secrets masked.
    pub body: String,
}

impl Itsm {
    /// Makes ready to speak with a platform.
    ///
    /// # Errors
    /// The certificates cannot be read, or TLS cannot be set up.
    pub fn new(setup: ItsmSetup) -> Result<Self, String> {
        let guard = Guard {
            allow_private: setup.allow_private,
        };
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(setup.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(guard))
            // A proxy would look names up by itself.
            .no_proxy()
            .user_agent(concat!("watchbell/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = &setup.ca {
            let tls = pin::trusting(ca).map_err(|error| format!("ca: {error}"))?;
            client = client.tls_backend_preconfigured(tls);
        }
        let client = client.build();
        let client =
            client.map_err(|error| format!("no HTTP client can be made: {}", chain(&error)))?;
        let mut secrets = setup.secrets;
        if let (Some(user), Some(password)) = (secrets.get("user"), secrets.get("password")) {
            let basic = STANDARD.encode(format!("{user}:{password}"));
            secrets.insert("basic".to_owned(), basic);
        }
        if let Some(token) = secrets.get("token") {
            // A key as the user, with any password.
            let basic = STANDARD.encode(format!("{token}:X"));
            secrets.insert("token_basic".to_owned(), basic);
        }
        Ok(Self {
            client,
            guard,
            base: setup.base,
            login_at: setup.login_at,
            secrets,
        })
    }

    /// Sends one request with these headers besides its own.
    ///
    /// # Errors
    /// No answer came; whether the request may have arrived is in the error.
    pub async fn send(
        &self,
        request: &Request,
        headers: &[(String, String)],
        session: Option<&str>,
    ) -> Result<Answer, SendError> {
        let fill = |text: &str| self.fill(text, session);
        let built = self.build(request, headers, &fill);
        let built = built.map_err(SendError::NotSent)?;
        let mut response = match self.client.execute(built).await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(SendError::NotSent(chain(&error)));
            }
            Err(error) if error.is_timeout() => {
                return Err(SendError::Lost("no answer came in time".to_owned()));
            }
            Err(error) => return Err(SendError::Lost(chain(&error))),
        };
        let shown = response.headers().iter();
        let shown = shown.filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: shown.collect(),
            body: Vec::new(),
        };
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if answer.body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                        let most = ANSWER_BYTES_MAX >> 20;
                        let why = format!("the answer is larger than {most} MiB");
                        return Err(SendError::Lost(why));
                    }
                    answer.body.extend_from_slice(&chunk);
                }
                Ok(None) => return Ok(answer),
                Err(error) => return Err(SendError::Lost(chain(&error))),
            }
        }
    }

    /// The request as it would be sent, with every secret masked.
    pub fn show(&self, request: &Request, headers: &[(String, String)]) -> Shown {
        let mask = |text: &str| self.mask(text);
        let line = match self.url(request, &mask) {
            Ok(url) => format!(
                "{} {}",
                request.method,
                url.as_str().replace("%2A%2A%2A", MASK)
            ),
            Err(why) => format!("{} {why}", request.method),
        };
        let all = headers.iter().chain(&request.headers);
        let (kind, body) = encode(&request.body, &mask);
        let mut headers: Vec<_> = all
            .filter(|(_, value)| self.has_secrets(value))
            .map(|(name, value)| (name.clone(), mask(value)))
            .collect();
        headers.extend(kind.map(|kind| ("Content-Type".to_owned(), kind)));
        Shown {
            line,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// A text of the other side without any secret that stands in it.
    pub fn mask_secrets(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, secret) in &self.secrets {
            if name != "user" && secret.len() >= 4 {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }

    /// Whether every secret that a text names was given; a header of one that was not is left out.
    fn has_secrets(&self, text: &str) -> bool {
        let mut names = text.split('\0').skip(1).step_by(2);
        names.all(|name| name == "session" || self.secrets.contains_key(name))
    }

    fn fill(&self, text: &str, session: Option<&str>) -> String {
        if !text.contains('\0') {
            return text.to_owned();
        }
        let mut text = text.to_owned();
        for (name, secret) in &self.secrets {
            text = text.replace(&secret_mark(name), secret);
        }
        text.replace(&secret_mark("session"), session.unwrap_or_default())
            .replace('\0', "")
    }

    fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in self
            .secrets
            .keys()
            .map(String::as_str)
            .chain(["session", "basic", "token", "password"])
        {
            let shown = if name == "user" {
                self.secrets.get(name).map_or(MASK, String::as_str)
            } else {
                MASK
            };
            text = text.replace(&secret_mark(name), shown);
        }
        text.replace('\0', "")
    }

    /// The address of a request: below the configured one, or a path of the same server that it gave itself.
    fn url(&self, request: &Request, fill: &impl Fn(&str) -> String) -> Result<Url, String> {
        if let Some(url) = self.login_at.as_ref().filter(|_| request.step == LOGIN) {
            self.guard.check(url)?;
            return Ok(url.clone());
        }
        let path = fill(&request.path);
        let mut url = self.base.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
        let whole = format!("{}{}", self.base.path().trim_end_matches('/'), path);
        url.set_path(&whole);
        url.set_query(query);
        if !request.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &request.query {
                pairs.append_pair(name, &fill(value));
            }
        }
        self.guard.check(&url)?;
        Ok(url)
    }

    fn build(
        &self,
        request: &Request,
        headers: &[(String, String)],
        fill: &impl Fn(&str) -> String,
    ) -> Result<reqwest::Request, String> {
        let url = self.url(request, fill)?;
        let method = Method::from_bytes(request.method.as_bytes());
        let method = method.map_err(|_| format!("{:?} is no method", request.method))?;
        let mut built = reqwest::Request::new(method, url);
        let all = headers.iter().chain(&request.headers);
        for (name, value) in all.filter(|(_, value)| self.has_secrets(value)) {
            let name = HeaderName::try_from(name.as_str());
            let name = name.map_err(|_| "a header's name is none".to_owned())?;
            let value = HeaderValue::try_from(fill(value));
            let mut value =
                value.map_err(|_| format!("header {name} has characters that it cannot carry"))?;
            value.set_sensitive(true);
            built.headers_mut().insert(name, value);
        }
        let (kind, body) = encode(&request.body, fill);
        if let Some(kind) = kind {
            let kind = HeaderValue::try_from(kind).map_err(|_| "a content type is none")?;
            built
                .headers_mut()
                .entry(reqwest::header::CONTENT_TYPE)
                .or_insert(kind);
            *built.body_mut() = Some(body.into());
        }
        Ok(built)
    }
}

/// A body with its type.
fn encode(body: &Body, fill: &impl Fn(&str) -> String) -> (Option<String>, Vec<u8>) {
    match body {
        Body::Empty => (None, Vec::new()),
        Body::Json(json) => {
            let text = fill_json(json, fill).to_string();
            (Some("application/json".to_owned()), text.into_bytes())
        }
        Body::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &fill(value));
            }
            let kind = "application/x-www-form-urlencoded".to_owned();
            (Some(kind), form.finish().into_bytes())
        }
        Body::Multipart(part, json) => {
            let json = fill_json(json, fill).to_string();
            // JSON has no line that begins with dashes, since its strings escape line breaks.
            let boundary = "watchbell-0b8f2e6c1a5d4937";
            let text = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{part}\"\r\nContent-Type: application/json\r\n\r\n{json}\r\n--{boundary}--\r\n"
            );
            let kind = format!("multipart/form-data; boundary={boundary}");
            (Some(kind), text.into_bytes())
        }
    }
}

fn fill_json(json: &Json, fill: &impl Fn(&str) -> String) -> Json {
    match json {
        Json::String(text) => Json::String(fill(text)),
        Json::Array(items) => Json::Array(items.iter().map(|item| fill_json(item, fill)).collect()),
        Json::Object(fields) => {
            let fields = fields.iter();
            Json::Object(
                fields
                    .map(|(name, value)| (name.clone(), fill_json(value, fill)))
                    .collect(),
            )
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}
