//! The way out to other systems' HTTP: secrets put in, sizes and times bounded, addresses guarded.
//!
//! A conversation says what to send; this sends it, to the configured server only, and never follows a redirect. Must
//! not decide what an answer means, and must not show a secret.

mod document;
mod guard;
pub mod itsm;
pub mod post;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::core::cmdb::record::Picture;
use crate::importers::conversation::{Answer, Conversation, Method, Request, Step, is_same_server};
use crate::wire::guard::Guard;
pub use crate::wire::guard::{is_public, resolve};

/// Bytes of one answer, decompressed: a page of a thousand large items has a few.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of all answers of one conversation.
const CONVERSATION_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one answer may take; rendering a page of large items takes servers a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long one conversation may take.
const CONVERSATION_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Times that one request is sent again when the server is busy or the connection breaks.
const RETRIES: u32 = 3;
/// The longest pause that a server may ask for; who wants more is asked again at the next import.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Headers of an answer that conversations look at.
const HEADERS: [&str; 4] = ["link", "x-total-count", "content-range", "location"];

/// Where a conversation goes, and with which secret.
#[derive(Clone)]
pub struct EgressSetup {
    /// The configured address; nothing is sent to another server.
    pub base: Url,
    /// Headers with the secret.
    pub secrets: Vec<(&'static str, String)>,
    /// Whether private and loopback addresses may be reached.
    pub allow_private: bool,
    /// The first pause before a request is sent again; the next ones are longer.
    pub pause: Duration,
}

impl std::fmt::Debug for EgressSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressSetup")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Why a conversation came to nothing; whatever it is, there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address or a secret cannot be used.
    #[error("{0}")]
    Setup(String),
    /// The server could not be reached, or its answer broke off.
    #[error("{place}: {cause}")]
    Broken {
        /// The path that was asked for.
        place: String,
        /// What happened, and what to do.
        cause: String,
    },
    /// What came back cannot be used.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("it took longer than {} minutes; nothing was changed", .0.as_secs() / 60)]
    Late(Duration),
}

/// The way out to one server.
pub struct Egress {
    client: Client,
    guard: Guard,
    base: Url,
    secrets: HeaderMap,
    pause: Duration,
}

impl Egress {
    /// Makes ready to speak with a server.
    ///
    /// # Errors
    /// A secret does not fit into a header, or TLS cannot be set up.
    pub fn new(setup: EgressSetup) -> Result<Self, FetchError> {
        let guard = Guard {
            allow_private: setup.allow_private,
        };
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(guard))
            // A proxy would look names up by itself.
            .no_proxy()
            .user_agent(concat!("watchbell/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                FetchError::Setup(format!("no HTTP client can be made: {}", chain(&error)))
            })?;
        let mut secrets = HeaderMap::new();
        for (name, value) in setup.secrets {
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                FetchError::Setup("the secret has characters that a header cannot carry".to_owned())
            })?;
            value.set_sensitive(true);
            secrets.insert(HeaderName::from_static(name), value);
        }
        Ok(Self {
            client,
            guard,
            base: setup.base,
            secrets,
            pause: setup.pause,
        })
    }

    /// Holds a conversation to its end; `progress` hears before each request what was read so far.
    ///
    /// # Errors
    /// Any request failed: then there is no picture at all.
    pub async fn converse(
        &self,
        conversation: &mut dyn Conversation,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Picture, FetchError> {
        let talk = self.talk(conversation, progress);
        timeout(CONVERSATION_TIMEOUT, talk)
            .await
            .unwrap_or(Err(FetchError::Late(CONVERSATION_TIMEOUT)))
    }

    async fn talk(
        &self,
        conversation: &mut dyn Conversation,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<Picture, FetchError> {
        let mut answer: Option<Answer> = None;
        let mut bytes = 0_usize;
        loop {
            let step = tokio::task::block_in_place(|| conversation.next(answer.as_ref()));
            match step {
                Step::Fetch(request) => {
                    progress(&conversation.progress());
                    let came = self.send(&request).await?;
                    bytes = bytes.saturating_add(came.body.len());
                    if bytes > CONVERSATION_BYTES_MAX {
                        return Err(FetchError::Refused(
                            "the server gave more than 4 GiB; nothing was changed".to_owned(),
                        ));
                    }
                    answer = Some(came);
                }
                Step::Done(picture) => return Ok(picture),
                Step::Failed(cause) => return Err(FetchError::Refused(cause)),
            }
        }
    }

    /// Sends one request, again when the server is busy.
    async fn send(&self, request: &Request) -> Result<Answer, FetchError> {
        let broken = |cause: String| FetchError::Broken {
            place: request.place(),
            cause,
        };
        if !is_same_server(&self.base, &request.url) || request.url.scheme() != self.base.scheme() {
            return Err(broken(
                "it is not on the configured server and was not asked".to_owned(),
            ));
        }
        self.guard.check(&request.url).map_err(broken)?;
        let started = Instant::now();
        let mut attempt = 0_u32;
        loop {
            let sent = self.build(request).send().await;
            let is_last = attempt >= RETRIES || started.elapsed() > ANSWER_TIMEOUT;
            let pause = match sent {
                Ok(response) => match self.asked_pause(&response, attempt).filter(|_| !is_last) {
                    Some(pause) => pause,
                    None => return read(response).await.map_err(broken),
                },
                Err(error) if is_last || !is_worth_retry(&error) => {
                    return Err(broken(chain(&error)));
                }
                Err(_) => self.backoff(attempt),
            };
            sleep(pause).await;
            attempt = attempt.saturating_add(1);
        }
    }

    fn build(&self, request: &Request) -> RequestBuilder {
        let mut builder = match request.method {
            Method::Get => self.client.get(request.url.clone()),
            Method::Post => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (key, value) in &request.form {
                    form.append_pair(key, value);
                }
                self.client
                    .post(request.url.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form.finish())
            }
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if request.is_authenticated {
            builder = builder.headers(self.secrets.clone());
        }
        builder
    }

    /// How long to wait when the server is busy; `None` when its answer is one.
    fn asked_pause(&self, response: &Response, attempt: u32) -> Option<Duration> {
        if !matches!(response.status().as_u16(), 429 | 502..=504) {
            return None;
        }
        let asked = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let asked = asked
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        match asked {
            Some(asked) if asked > PAUSE_MAX => None,
            Some(asked) => Some(asked),
            None => Some(self.backoff(attempt)),
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        self.pause
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(PAUSE_MAX)
    }
}

/// Whether the same request may fare better: not when the address is refused.
fn is_worth_retry(error: &reqwest::Error) -> bool {
    let text = chain(error);
    (error.is_connect() || error.is_request())
        && !error.is_timeout()
        && !text.contains("is not reached")
}

async fn read(mut response: Response) -> Result<Answer, String> {
    let mut answer = Answer {
        status: response.status().as_u16(),
        ..Answer::default()
    };
    for name in HEADERS {
        let value = response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        answer
            .headers
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if answer.body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(format!(
                "the answer is larger than {} MiB",
                ANSWER_BYTES_MAX >> 20
            ));
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// An error with its causes, without the address, which the reader knows.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(one) = next {
        let said = one.to_string();
        let said = said.split(" for url (").next().unwrap_or(&said);
        if !text.contains(said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(said);
        }
        next = one.source();
    }
    text
}
