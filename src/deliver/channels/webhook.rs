//! The incident as JSON, signed as the Standard Webhooks specification says.
//!
//! Must not send anything but what the contract names.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use url::Url;

use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace, rfc3339};
use crate::wire::post::{Outgoing, Poster};

use super::http;

/// What marks a key that is written in Base64.
const KEY_PREFIX: &str = "whsec_";

/// The key of signatures.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    /// Reads a key: `whsec_` and Base64, or the bytes of the text itself.
    pub fn read(secret: &str) -> Self {
        let decoded = secret
            .strip_prefix(KEY_PREFIX)
            .and_then(|rest| STANDARD.decode(rest).ok());
        Self(decoded.unwrap_or_else(|| secret.as_bytes().to_vec()))
    }

    /// The signature of a message.
    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        Some(format!(
            "v1,{}",
            STANDARD.encode(mac.finalize().into_bytes())
        ))
    }
}

/// What a webhook is made of.
#[derive(Clone, Debug)]
pub struct WebhookSetup {
    /// Where to.
    pub url: Url,
    /// Headers besides, secrets marked.
    pub headers: HeaderMap,
    /// The key of signatures.
    pub key: Option<SigningKey>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The way out.
    pub poster: Poster,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    setup: WebhookSetup,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: &'a Value,
}

impl Webhook {
    /// A webhook.
    pub fn new(setup: WebhookSetup) -> Self {
        Self { setup }
    }

    pub(in crate::deliver) async fn send(&self, parcel: &Parcel) -> Attempt {
        match self.request(parcel) {
            Ok(outgoing) => {
                let shown = http::show_url(&self.setup.url, false);
                http::send(
                    &self.setup.poster,
                    outgoing,
                    self.setup.timeout,
                    &shown,
                    |_| None,
                )
                .await
            }
            Err(error) => Attempt {
                outcome: Outcome::Failed(Failure {
                    error,
                    is_final: true,
                    is_own_fault: true,
                    ..Failure::default()
                }),
                status: None,
                trace: Trace::default(),
            },
        }
    }

    fn request(&self, parcel: &Parcel) -> Result<Outgoing, String> {
        let said = Value::String(parcel.note.clone().unwrap_or_default());
        let nothing = serde_json::json!({ "message": said });
        let body = Body {
            kind: parcel.event.word(),
            timestamp: rfc3339(parcel.at),
            data: parcel.briefing.as_ref().map_or(&nothing, |it| &it.incident),
        };
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        let seconds = parcel.now.as_millis().div_euclid(1_000);
        let mut headers = self.setup.headers.clone();
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("webhook-id", parcel.id.clone());
        put("webhook-timestamp", seconds.to_string());
        if let Some(url) = &parcel.answer_url {
            put("watchbell-answer-url", url.clone());
        }
        if let Some(url) = &parcel.rating_url {
            put("watchbell-rating-url", url.clone());
        }
        let signature = self.setup.key.as_ref();
        if let Some(signature) = signature.and_then(|key| key.sign(&parcel.id, seconds, &body)) {
            put("webhook-signature", signature);
        }
        if parcel.is_repeat {
            put("webhook-repeat", "true".to_owned());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Outgoing {
            method: Method::POST,
            url: self.setup.url.clone(),
            headers,
            body: Bytes::from(body),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_the_specification() {
        // The example of the specification's own libraries.
        let key = SigningKey::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = key.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed.as_deref(), Some(expected));
    }
}
