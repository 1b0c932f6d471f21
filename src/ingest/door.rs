//! One source as a door: its decoder, who may pass, and what was seen there.
//!
//! Must not hold a secret in the clear: only digests are compared, in constant time.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::mqtt::Link;
use crate::core::time::Timestamp;
use crate::runtime::quiet::Quiet;
use crate::sources::topic::Subscription;
use crate::sources::{DecodeError, Decoded, Envelope, Message, Source};
use crate::telemetry::metrics::SourceMetrics;

use super::limits::{Rate, SourceLimit};
use super::seen::{Seen, seconds};
use super::signature::Signature;
use super::sns::SnsPolicy;

/// A sender that is refused tries again, thousands of times a second: one line of the log in this time.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

/// What a source needs to be a door.
pub struct SourceSetup {
    /// Its name, which is in the path.
    pub name: String,
    /// The path that its senders are given; empty when they publish to a broker.
    pub path: String,
    /// Its decoder.
    pub decoder: Arc<dyn Source>,
    /// Who may send; empty when everybody may.
    pub credentials: Vec<Credential>,
    /// For kinds that speak another service's API: what senders prove themselves with there.
    pub keys: Vec<KeyDigest>,
    /// Whether its own list of alerts is polled.
    pub is_reconciled: bool,
    /// What it subscribes at its broker, if it has one.
    pub filters: Vec<Subscription>,
    /// Whether it owns the API of Alertmanager.
    pub has_api: bool,
    /// What else is asked of its messages.
    pub proof: Proof,
}

/// What is asked of messages besides a credential.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// How they are signed.
    pub signature: Option<Signature>,
    /// What is done with those of Amazon SNS.
    pub sns: SnsPolicy,
    /// How many may come.
    pub rate: Option<Rate>,
}

impl std::fmt::Debug for SourceSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceSetup")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A header and the digest of the value that opens the door.
#[derive(Clone)]
pub struct Credential {
    header: String,
    digest: [u8; 32],
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// A header in lower case with its whole value, like `authorization` and `Bearer abc`.
    pub fn new(header: &str, value: &str) -> Self {
        Self {
            header: header.to_owned(),
            digest: Sha256::digest(value.as_bytes()).into(),
        }
    }

    pub(super) fn opens(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(&self.header)
            .map(|value| value.as_bytes())
            .unwrap_or_default();
        let given = normal(&self.header, given);
        let digest: [u8; 32] = Sha256::digest(&given).into();
        bool::from(digest.ct_eq(&self.digest))
    }
}

/// The scheme of an `Authorization` header is written in any case (RFC 9110, section 11.1).
fn normal(header: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if header == AUTHORIZATION.as_str() {
        for scheme in ["Bearer ", "Basic "] {
            if let Some(head) = value.get_mut(..scheme.len())
                && head.eq_ignore_ascii_case(scheme.as_bytes())
            {
                head.copy_from_slice(scheme.as_bytes());
            }
        }
    }
    value
}

/// The digest of a key that says which source a request is for.
#[derive(Clone)]
pub struct KeyDigest([u8; 32]);

impl std::fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyDigest(***)")
    }
}

impl KeyDigest {
    /// The digest of a key as sent.
    pub fn new(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

/// What is known of a message besides its body.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The declared type of the body.
    pub content_type: Option<&'a str>,
    /// What came around it.
    pub envelope: &'a Envelope,
}

/// One source.
pub struct Door {
    /// Its name.
    pub name: String,
    /// The path that its senders are given.
    pub path: String,
    /// Its series.
    pub series: SourceMetrics,
    /// What was seen there.
    pub seen: Arc<Seen>,
    /// The connection to its broker, if it has one.
    pub link: Arc<Link>,
    /// Whether its own list of alerts is polled.
    pub is_reconciled: bool,
    /// Whether it owns the API of Alertmanager.
    pub has_api: bool,
    /// How its messages are signed.
    pub signature: Option<Signature>,
    /// What is done with those of Amazon SNS.
    pub sns: SnsPolicy,
    /// Lines of the log about what it refuses.
    pub refusals: Quiet,
    /// How many may come.
    pub limit: Option<Arc<SourceLimit>>,
    /// What it subscribes at its broker, if it has one.
    pub filters: Vec<Subscription>,
    decoder: Arc<dyn Source>,
    credentials: Vec<Credential>,
    keys: Vec<KeyDigest>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// A door; what is known of the one before it of the same name is kept.
    pub(super) fn new(
        setup: SourceSetup,
        series: SourceMetrics,
        (seen, link): (Arc<Seen>, Arc<Link>),
        before: Option<&Self>,
    ) -> Self {
        let proof = setup.proof;
        Self {
            refusals: Quiet::new(REFUSALS_EVERY),
            limit: proof.rate.map(|rate| {
                let same = before.and_then(|before| before.limit.as_ref());
                let same = same.filter(|limit| limit.rate() == rate);
                same.map_or_else(|| Arc::new(SourceLimit::new(rate)), Arc::clone)
            }),
            signature: proof.signature,
            sns: proof.sns,
            name: setup.name,
            path: setup.path,
            series,
            seen,
            link,
            decoder: setup.decoder,
            credentials: setup.credentials,
            keys: setup.keys,
            is_reconciled: setup.is_reconciled,
            has_api: setup.has_api,
            filters: setup.filters,
        }
    }

    /// The kind of the source.
    pub fn kind(&self) -> &'static str {
        self.decoder.kind()
    }

    /// Whether a sender has to prove who it is.
    pub fn is_guarded(&self) -> bool {
        let is_proven = self.signature.is_some() || self.sns.is_verified;
        !self.credentials.is_empty() || is_proven || self.has_keys() || self.is_remote()
    }

    /// Whether its senders publish to a broker instead of coming to us.
    pub fn is_remote(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether its decoder looks at a header.
    pub(super) fn reads_header(&self, name: &str) -> bool {
        self.decoder.reads_header(name)
    }

    /// Whether it is found by a key and has paths of its own.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether messages are posted to the path of sources by name.
    pub fn is_posted_to(&self) -> bool {
        self.path.starts_with("/ingest/")
    }

    /// Whether the key is one of this source's. Every key is compared, whichever fits.
    pub fn takes(&self, key: &KeyDigest) -> bool {
        let fits = |fits, known: &KeyDigest| bool::from(known.0.ct_eq(&key.0)) | fits;
        self.keys.iter().fold(false, fits)
    }

    /// Whether the headers of a request open the door. Every credential is compared, whichever fits.
    pub fn opens(&self, headers: &HeaderMap) -> bool {
        let fits = self
            .credentials
            .iter()
            .fold(false, |fits, credential| credential.opens(headers) | fits);
        fits || (self.credentials.is_empty() && !self.has_keys() && !self.is_remote())
    }

    /// Whether a request knows a secret of this source, and this is not merely a door without one.
    pub fn knows_secret(&self, headers: &HeaderMap) -> bool {
        !self.credentials.is_empty() && self.opens(headers)
    }

    /// Whether a sender has to know a secret beforehand, and not only to sign its messages.
    pub fn asks_for_secret(&self) -> bool {
        !self.credentials.is_empty() || self.has_keys() || self.is_remote()
    }

    /// What a message says.
    ///
    /// # Errors
    /// It makes no sense as a whole.
    pub fn decode(
        &self,
        body: &[u8],
        around: Around<'_>,
        at: Timestamp,
    ) -> Result<Decoded, DecodeError> {
        self.decoder.decode(&self.message(body, around, at))
    }

    fn message<'a>(&'a self, body: &'a [u8], around: Around<'a>, at: Timestamp) -> Message<'a> {
        Message {
            content_type: around.content_type,
            envelope: around.envelope,
            ..Message::new(&self.name, body, at)
        }
    }

    /// The decoder.
    pub fn decoder(&self) -> &dyn Source {
        &*self.decoder
    }

    /// Whether a request without a body is a message too.
    pub fn takes_query(&self) -> bool {
        self.decoder.takes_query()
    }

    /// The form in which an envelope is stored; nothing when the decoder would not look at it.
    pub(super) fn stored(&self, envelope: &Envelope) -> Option<String> {
        if envelope.is_empty() || !self.decoder.reads_envelope() {
            return None;
        }
        serde_json::to_string(envelope).ok()
    }

    pub(super) fn show_silence(&self, now: Timestamp) {
        let silent = now.since(self.seen.heard_at());
        self.series.silent_seconds.set(seconds(silent));
    }
}
