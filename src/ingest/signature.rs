//! Signatures of messages: a keyed hash over the very bytes that came, compared in constant time.
//!
//! The hash is fed while the body arrives and before any compression is undone, so that nothing is parsed of what is
//! not proven; a sender that compresses after it has signed is believed too, since only it has the secret. Every
//! secret is tried against every signature, whichever fits, so that secrets can be changed one after the other. Must
//! not say which part did not fit, and must not hold a secret where it can be printed.
//! Source: the senders' documents on webhook signatures; standard-webhooks/standard-webhooks `spec/standard-webhooks.md`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::core::time::{Span, Timestamp};

/// Signatures of one message that are looked at; senders write one per secret while they change them.
const SIGNATURES_MAX: usize = 8;

/// How a signature is written and what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The body, as hex or Base64 behind a fixed text.
    Body {
        /// The header, in lower case.
        header: String,
        /// What stands before the signature.
        prefix: String,
    },
    /// `<seconds>:<body>`, with the seconds in a header of their own.
    Timed {
        /// The header of the signature, in lower case.
        header: String,
        /// What stands before the signature.
        prefix: String,
        /// The header of the time, in lower case.
        timestamp_header: String,
    },
    /// `<id>.<seconds>.<body>`, the headers `webhook-*` or `svix-*`.
    StandardWebhooks,
}

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// What proves the messages of a source.
#[derive(Clone)]
pub struct Signature {
    /// How it is written.
    pub scheme: Scheme,
    /// Which hash.
    pub algorithm: Algorithm,
    /// The keys, any of which will do.
    pub keys: Vec<Zeroizing<Vec<u8>>>,
    /// How far a signed time may be from ours, both ways.
    pub tolerance: Span,
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signature")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// The message is not proven; there is no more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has no valid signature")]
pub struct Unproven;

impl Signature {
    /// Starts to check a message by its headers.
    ///
    /// # Errors
    /// They hold no signature that could fit.
    pub fn begin(&self, headers: &HeaderMap, now: Timestamp) -> Result<Running, Unproven> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (before, given) = match &self.scheme {
            Scheme::Body { header, prefix } => {
                let value = text(header).ok_or(Unproven)?.trim();
                let given = value.strip_prefix(prefix.as_str()).ok_or(Unproven)?;
                (String::new(), vec![self.decode(given)?])
            }
            Scheme::Timed {
                header,
                prefix,
                timestamp_header,
            } => {
                let seconds = text(timestamp_header).ok_or(Unproven)?.trim();
                self.check_time(seconds, now)?;
                let value = text(header).ok_or(Unproven)?.trim();
                let given = self.decode(value.strip_prefix(prefix.as_str()).ok_or(Unproven)?)?;
                (format!("{seconds}:"), vec![given])
            }
            Scheme::StandardWebhooks => {
                let part = |name: &str| {
                    let own = text(&format!("webhook-{name}"));
                    own.or_else(|| text(&format!("svix-{name}")))
                        .ok_or(Unproven)
                };
                let (id, seconds) = (part("id")?, part("timestamp")?.trim());
                self.check_time(seconds, now)?;
                let entries = part("signature")?.split(' ');
                let given =
                    entries.filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok());
                (
                    format!("{id}.{seconds}."),
                    given.take(SIGNATURES_MAX).collect(),
                )
            }
        };
        if given.is_empty() {
            return Err(Unproven);
        }
        let macs = self
            .keys
            .iter()
            .filter_map(|key| State::new(self.algorithm, key));
        let mut running = Running {
            macs: macs.collect(),
            given,
        };
        running.update(before.as_bytes());
        Ok(running)
    }

    /// Checks a message that is there as a whole.
    pub fn fits(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
        self.begin(headers, now).is_ok_and(|mut running| {
            running.update(body);
            running.fits()
        })
    }

    fn check_time(&self, seconds: &str, now: Timestamp) -> Result<(), Unproven> {
        let seconds: i64 = seconds.parse().map_err(|_| Unproven)?;
        let at = Timestamp::from_millis(seconds.checked_mul(1000).ok_or(Unproven)?);
        let is_near = now.since(at).abs() <= self.tolerance;
        is_near.then_some(()).ok_or(Unproven)
    }

    /// Hex in any case, or Base64; the lengths differ, so one cannot pass for the other.
    fn decode(&self, given: &str) -> Result<Vec<u8>, Unproven> {
        let bytes = match self.algorithm {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        };
        let decoded = if given.len() == 2 * bytes {
            hex::decode(given).ok()
        } else {
            STANDARD.decode(given).ok()
        };
        decoded
            .filter(|decoded| decoded.len() == bytes)
            .ok_or(Unproven)
    }
}

/// A check that waits for the body.
pub struct Running {
    macs: Vec<State>,
    given: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running(***)")
    }
}

#[derive(Clone)]
enum State {
    Sha256(Box<Hmac<Sha256>>),
    Sha512(Box<Hmac<Sha512>>),
}

impl State {
    fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Sha256 => Self::Sha256(Box::new(Hmac::new_from_slice(key).ok()?)),
            Algorithm::Sha512 => Self::Sha512(Box::new(Hmac::new_from_slice(key).ok()?)),
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    fn is(&self, given: &[u8]) -> bool {
        match self.clone() {
            Self::Sha256(mac) => mac.finalize().into_bytes().as_slice().ct_eq(given),
            Self::Sha512(mac) => mac.finalize().into_bytes().as_slice().ct_eq(given),
        }
        .into()
    }
}

impl Running {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.macs.iter_mut().for_each(|mac| mac.update(bytes));
    }

    /// Whether any secret fits any signature; all are compared.
    pub fn fits(&self) -> bool {
        let pairs = self
            .macs
            .iter()
            .flat_map(|mac| self.given.iter().map(move |given| (mac, given)));
        pairs.fold(false, |fits, (mac, given)| mac.is(given) | fits)
    }
}

/// The check of a request whose body goes by.
#[derive(Clone, Debug)]
pub(super) struct Passing(Arc<Mutex<Running>>);

impl Passing {
    pub(super) fn fits(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fits()
    }
}

/// Has the bytes of a request's body checked as they go by; the check is with the request from then on.
pub(super) fn watch(
    request: Request<Body>,
    signature: &Signature,
    now: Timestamp,
) -> Request<Body> {
    let Ok(running) = signature.begin(request.headers(), now) else {
        return request;
    };
    let passing = Passing(Arc::new(Mutex::new(running)));
    let mut request = request.map(|inner| {
        Body::new(Watched {
            inner,
            passing: passing.clone(),
        })
    });
    request.extensions_mut().insert(passing);
    request
}

struct Watched {
    inner: Body,
    passing: Passing,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let mut running = self
                .passing
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            running.update(data);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"type":"alert.fired","data":{"host":"db1"}}"#;
    const SIGNED: &str = "e96d30bbba4348739f82fd8890be37729c5e43be8a07ed86ccfa992a10e95c03";
    const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn signature(scheme: Scheme, keys: &[&[u8]]) -> Signature {
        Signature {
            scheme,
            algorithm: Algorithm::Sha256,
            keys: keys.iter().map(|key| key.to_vec().into()).collect(),
            tolerance: Span::from_mins(5),
        }
    }

    fn body(prefix: &str) -> Scheme {
        Scheme::Body {
            header: "x-sig".into(),
            prefix: prefix.into(),
        }
    }

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn published_vectors_fit_and_nothing_else_does() {
        let github = signature(body("sha256="), &[b"It's a Secret to Everybody"]);
        let value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(github.fits(&headers(&[("x-sig", value)]), b"Hello, World!", AT));
        assert!(!github.fits(&headers(&[("x-sig", value)]), b"Hello, World?", AT));
        assert!(!github.fits(
            &headers(&[("x-sig", value.trim_start_matches("sha256="))]),
            b"Hello, World!",
            AT
        ));
        let plain = signature(body(""), &[b"other", b"topsecret"]);
        for value in [SIGNED.to_owned(), SIGNED.to_uppercase()] {
            assert!(plain.fits(&headers(&[("x-sig", &value)]), BODY.as_bytes(), AT));
        }
        let base64 = STANDARD.encode(hex::decode(SIGNED).unwrap());
        assert!(plain.fits(&headers(&[("x-sig", &base64)]), BODY.as_bytes(), AT));
        for value in [
            "",
            "zz",
            SIGNED.trim_start_matches("e9"),
            &format!("{SIGNED}00"),
        ] {
            assert!(
                !plain.fits(&headers(&[("x-sig", value)]), BODY.as_bytes(), AT),
                "{value}"
            );
        }
        assert!(!plain.fits(&HeaderMap::new(), BODY.as_bytes(), AT));
        let netbox = Signature {
            algorithm: Algorithm::Sha512,
            ..signature(body(""), &[b"topsecret"])
        };
        let value = "3354cb58efe1bf4132436e09691283b7b32f65c54ec9ebec4609c97fc100480427994adb3e3684b4ab6d37ad0795456944adfa111d269adf2f79e9f905a9ff07";
        assert!(netbox.fits(&headers(&[("x-sig", value)]), BODY.as_bytes(), AT));
    }

    #[test]
    fn a_signed_time_holds_for_a_while_only() {
        let scheme = Scheme::Timed {
            header: "x-sig".into(),
            prefix: String::new(),
            timestamp_header: "x-at".into(),
        };
        let grafana = signature(scheme, &[b"topsecret"]);
        let value = "48422f8552a7dfa97d4f37dfa7b3127942e44d5dfb98eb0187e13d0734053fce";
        let sent = headers(&[("x-sig", value), ("x-at", "1767225600")]);
        let minutes = |minutes: i64| AT.plus(Span::from_mins(minutes));
        for (at, fits) in [(0, true), (5, true), (-5, true), (6, false), (-6, false)] {
            assert_eq!(
                grafana.fits(&sent, BODY.as_bytes(), minutes(at)),
                fits,
                "{at}"
            );
        }
        let later = headers(&[("x-sig", value), ("x-at", "1767225601")]);
        assert!(
            !grafana.fits(&later, BODY.as_bytes(), AT),
            "the time is signed too"
        );
    }

    #[test]
    fn standard_webhooks_take_any_of_several_signatures() {
        let key = STANDARD
            .decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
            .unwrap();
        let standard = signature(Scheme::StandardWebhooks, &[b"old", &key]);
        let value = "v1,AAAA v1a,xyz v2,new v1,WYVIYgCQVLhsj7GRJXw1ZFUvtwozdnvLkrpS0mHdS9Y=";
        for family in ["webhook", "svix"] {
            let named = |part: &str| format!("{family}-{part}");
            let sent: HeaderMap = [
                (named("id"), "msg_1"),
                (named("timestamp"), "1767225600"),
                (named("signature"), value),
            ]
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
            assert!(standard.fits(&sent, BODY.as_bytes(), AT), "{family}");
            assert!(!standard.fits(&sent, b"{}", AT));
        }
    }
}
