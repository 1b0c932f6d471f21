//! Asking a source what is really active, on a timer and when a late firing waits to be confirmed.
//!
//! A poll that fails, or that cannot be read whole, closes nothing. Must not decide what a difference means.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use tokio_util::sync::CancellationToken;

use crate::core::reconcile::Poll;
use crate::core::time::Timestamp;
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::sources::alertmanager::poll::{active_alerts, started_at};

/// Bytes of an answer: a hundred thousand alerts with long labels.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long one poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// A parked firing asks for a poll, but not more often than this.
const NUDGE_PAUSE: Duration = Duration::from_secs(1);

/// One source to be polled.
#[derive(Clone)]
pub struct PollSetup {
    /// The source's name.
    pub source: String,
    /// Base URL of its Alertmanager API, without a slash at the end.
    pub url: String,
    /// Time between two polls.
    pub every: Duration,
    /// The whole `Authorization` header to send.
    pub authorization: Option<String>,
}

impl std::fmt::Debug for PollSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollSetup")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why a poll came to nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer cannot be read: {0}")]
    Answer(#[from] crate::sources::DecodeError),
    #[error(transparent)]
    Engine(#[from] crate::engine::handle::SubmitError),
}

/// Polls a source until it is told to stop.
pub async fn run(setup: PollSetup, engine: EngineHandle, clock: Clock, stop: CancellationToken) {
    let client = match Client::builder()
        .timeout(POLL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
    {
        Ok(client) => client,
        Err(error) => {
            log::error!(source = setup.source.as_str(), error:% = error; "source {} cannot be polled", setup.source);
            return stop.cancelled().await;
        }
    };
    let mut is_failing = false;
    while !stop.is_cancelled() {
        let poll = poll_once(&setup, &client, &engine, &clock);
        // A source that does not answer must not hold up the stop.
        let Some(polled) = stop.run_until_cancelled(poll).await else {
            break;
        };
        match polled {
            Ok(count) => {
                if is_failing {
                    log::info!(source = setup.source.as_str(); "source {} answers polls again", setup.source);
                }
                if count > 0 {
                    let noun = if count == 1 { "alert" } else { "alerts" };
                    log::info!(source = setup.source.as_str(), alerts = count; "a poll of {} corrected {count} {noun}", setup.source);
                }
                is_failing = false;
            }
            Err(error) => {
                if !is_failing {
                    log::warn!(source = setup.source.as_str(), error:% = error; "source {} could not be polled, nothing is closed: {error}", setup.source);
                }
                is_failing = true;
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(setup.every) => {}
            () = engine.parked() => tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(NUDGE_PAUSE) => {}
            }
        }
    }
}

async fn poll_once(
    setup: &PollSetup,
    client: &Client,
    engine: &EngineHandle,
    clock: &Clock,
) -> Result<usize, PollError> {
    let asked_at = clock.now();
    let url = &setup.url;
    // An Alertmanager without the status call is believed at once.
    let status = fetch(setup, client.get(format!("{url}/api/v2/status"))).await;
    let source_started_at: Option<Timestamp> = status.ok().and_then(|body| started_at(&body).ok());
    let body = fetch(setup, client.get(format!("{url}/api/v2/alerts"))).await?;
    let alerts = active_alerts(&setup.source, &body)?;
    let active: BTreeMap<_, _> = alerts
        .into_iter()
        .map(|alert| (alert.key.hash(), alert.is_muted))
        .collect();
    let poll = Poll {
        asked_at,
        source_started_at,
        active,
    };
    Ok(engine.reconcile(&setup.source, poll).await?)
}

async fn fetch(setup: &PollSetup, request: RequestBuilder) -> Result<Vec<u8>, PollError> {
    let request = match &setup.authorization {
        Some(value) => request.header(reqwest::header::AUTHORIZATION, value),
        None => request,
    };
    let mut response = request.send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(PollError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
