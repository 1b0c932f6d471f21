//! Who sent a message, and whether it may send so much: what is asked before a message is taken.
//!
//! A message that is over the limit of its source is counted apart, since nothing is wrong with it. Must not take
//! anything.

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::Next;

use crate::runtime::problem::Problem;
use crate::sources::sns::SnsEnvelope;

use super::Ingest;
use super::door::Door;
use super::http::{RETRY_AFTER_S, Tally};
use super::limits::{Told, over};
use super::seen::Subscription;
use super::signature::{Passing, Scheme, watch};
use super::sns::SnsError;

/// Where sources by name are posted to.
const INGEST: &str = "/ingest/";
/// Where the source that owns the API of Alertmanager is posted to.
const ALERTMANAGER: &str = "/api/v2/alerts";

/// Starts to check the signature of a message; before its compression is undone.
pub(super) async fn begin(
    State(ingest): State<Ingest>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let path = request.uri().path();
    let door = match path.strip_prefix(INGEST) {
        Some(name) => ingest.door(name),
        None if path == ALERTMANAGER => ingest.api_door(),
        None => None,
    };
    let signature = door.as_ref().and_then(|door| door.signature.as_ref());
    let request = match signature {
        Some(signature) => watch(request, signature, ingest.0.clock.now()),
        None => request,
    };
    next.run(request).await
}

impl Ingest {
    /// Whether a message that was read is proven to be of its source.
    ///
    /// # Errors
    /// It is not, or that cannot be told now.
    pub(super) async fn prove(
        &self,
        door: &Door,
        parts: &Parts,
        body: &[u8],
    ) -> Result<(), Problem> {
        if let Some(signature) = &door.signature {
            let passing = parts.extensions.get::<Passing>();
            let now = self.0.clock.now();
            // Of a sender that signs and then compresses, the body is signed as it is now.
            // A query that stands in for a body is not signed.
            let is_signed = !body.is_empty() || parts.uri.query().is_none();
            let is_proven =
                passing.is_some_and(Passing::fits) || signature.fits(&parts.headers, body, now);
            if !is_proven || !is_signed {
                return Err(unproven(
                    "the message has no valid signature; compare the secret, and the clock, of the sender with the source's [[source]] entry",
                ));
            }
        }
        if !door.sns.is_verified {
            return Ok(());
        }
        match self.0.sns.check(body).await {
            Ok(()) => Ok(()),
            Err(error @ SnsError::Unproven) => Err(unproven(&error.to_string())),
            Err(error @ SnsError::NoCertificate(_)) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not-verified",
                "Cannot be verified now",
                format!("the message was not stored, send it again: {error}"),
            )
            .retry_after(RETRY_AFTER_S)),
        }
    }

    /// Counts a message against the limit of its source; with its tally if it may pass.
    ///
    /// # Errors
    /// It is over the limit.
    pub(super) fn within_rate<'a>(
        &self,
        door: &Door,
        tally: Tally<'a>,
    ) -> Result<Tally<'a>, Problem> {
        let is_throttled = door.has_keys()
            || door
                .signature
                .as_ref()
                .is_some_and(|signature| signature.scheme == Scheme::StandardWebhooks);
        let told = if is_throttled {
            Told::TooMany
        } else {
            Told::Unavailable
        };
        self.within_rate_as(told, door, tally)
    }

    /// The same at a path whose clients are told in one way, whatever the source.
    ///
    /// # Errors
    /// It is over the limit.
    pub(super) fn within_rate_as<'a>(
        &self,
        told: Told,
        door: &Door,
        tally: Tally<'a>,
    ) -> Result<Tally<'a>, Problem> {
        let checked = door.limit.as_ref().map_or(Ok(()), |limit| limit.check());
        let Err(wait) = checked else {
            return Ok(tally);
        };
        tally.limited();
        Err(over(told, &format!("source {:?}", door.name), wait))
    }

    /// Shows a subscription that Amazon SNS asks to confirm, and confirms it if that was configured.
    pub(super) async fn note_subscription(&self, door: &Door, body: &[u8]) {
        let envelope = str::from_utf8(body).ok().and_then(SnsEnvelope::read);
        let wanted = envelope.filter(|envelope| envelope.kind == "SubscriptionConfirmation");
        let Some((topic, url)) = wanted.and_then(|it| Some((it.topic_arn, it.subscribe_url?)))
        else {
            return;
        };
        let source = door.name.as_str();
        let is_confirmable = door.sns.is_verified && door.sns.confirmed_topics.contains(&topic);
        let mut is_confirmed = false;
        if is_confirmable {
            match self.0.sns.confirm(&url).await {
                Ok(()) => {
                    is_confirmed = true;
                    log::info!(source = source; "the subscription of {source} to {topic} was confirmed");
                }
                Err(error) => {
                    log::warn!(source = source; "the subscription of {source} to {topic} could not be confirmed: {error}");
                }
            }
        }
        if !is_confirmed {
            log::warn!(source = source; "the subscription of {source} to {topic} waits to be confirmed: open {url} within two days");
        }
        door.seen.note_subscription(Subscription {
            topic,
            url,
            at: self.0.clock.now(),
            is_confirmed,
        });
    }
}

fn unproven(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Not allowed to send here",
        detail,
    )
}
