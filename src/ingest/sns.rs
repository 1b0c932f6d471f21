//! Amazon SNS: proof of a message by the certificate that it names, and confirmation of subscriptions.
//!
//! A certificate is only fetched, and a subscription only confirmed, at an address of SNS itself: anything else would
//! let a sender make us open what it likes. Keys are kept by address, in a bounded number; while one cannot be fetched
//! the answer is 503, which SNS tries again. Must not believe a message that is not signed.
//! Source: AWS "Verifying the signatures of Amazon SNS messages"; aws/aws-js-sns-message-validator.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::Instant;
use url::{Host, Url};
use webpki::EndEntityCert;

use crate::sources::sns::SnsEnvelope;

/// Keys that are kept; SNS has one per region, and changes them now and then.
const KEYS_MAX: usize = 16;
/// How long a key is believed without being fetched again.
const KEY_KEPT: Duration = Duration::from_hours(24);
/// How long an address that gave none is left alone.
const FAILURE_KEPT: Duration = Duration::from_secs(10);
/// Bytes of a certificate file.
const PEM_BYTES_MAX: usize = 64 * 1024;
/// How long a fetch may take; SNS waits for 15 seconds.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What is done with the messages of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnsPolicy {
    /// Whether messages must be signed by SNS.
    pub is_verified: bool,
    /// Topics whose subscriptions are confirmed without a person.
    pub confirmed_topics: Vec<String>,
}

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnsError {
    /// It is not proven; there is no more to say.
    #[error("the message has no valid signature of Amazon SNS")]
    Unproven,
    /// It cannot be told now.
    #[error("the certificate of Amazon SNS could not be fetched: {0}")]
    NoCertificate(String),
}

/// What an address gave.
pub type Fetched = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;
/// Opens an address.
pub type Fetch = Arc<dyn Fn(Url) -> Fetched + Send + Sync>;

/// Checks messages and confirms subscriptions.
#[derive(Clone)]
pub struct Sns(Arc<Shared>);

struct Shared {
    fetch: Fetch,
    kept: Mutex<VecDeque<Kept>>,
    gate: tokio::sync::Mutex<()>,
}

struct Kept {
    url: String,
    key: Result<Arc<[u8]>, String>,
    since: Instant,
}

impl std::fmt::Debug for Sns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sns")
    }
}

impl Default for Sns {
    fn default() -> Self {
        Self::new(Arc::new(|url| Box::pin(fetch(url))))
    }
}

impl Sns {
    /// Opens addresses by this.
    pub fn new(fetch: Fetch) -> Self {
        Self(Arc::new(Shared {
            fetch,
            kept: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
        }))
    }

    /// Whether a message comes from SNS.
    ///
    /// # Errors
    /// It does not, or its certificate cannot be fetched now.
    pub async fn check(&self, body: &[u8]) -> Result<(), SnsError> {
        let text = str::from_utf8(body).map_err(|_| SnsError::Unproven)?;
        let envelope = SnsEnvelope::read(text).ok_or(SnsError::Unproven)?;
        let url = Url::parse(&envelope.signing_cert_url).map_err(|_| SnsError::Unproven)?;
        let algorithm = match envelope.signature_version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(SnsError::Unproven),
        };
        if !is_of_sns(&url) || !url.path().ends_with(".pem") || url.query().is_some() {
            return Err(SnsError::Unproven);
        }
        let signature = STANDARD
            .decode(&envelope.signature)
            .map_err(|_| SnsError::Unproven)?;
        let key = self.key(url).await.map_err(SnsError::NoCertificate)?;
        UnparsedPublicKey::new(algorithm, &*key)
            .verify(envelope.signed_text().as_bytes(), &signature)
            .map_err(|_| SnsError::Unproven)
    }

    /// Opens the address that confirms a subscription.
    ///
    /// # Errors
    /// It is not one of SNS, or does not answer.
    pub async fn confirm(&self, subscribe_url: &str) -> Result<(), String> {
        let url = Url::parse(subscribe_url).map_err(|error| error.to_string())?;
        if !is_of_sns(&url) {
            return Err("the address is not one of Amazon SNS".to_owned());
        }
        (self.0.fetch)(url).await.map(drop)
    }

    async fn key(&self, url: Url) -> Result<Arc<[u8]>, String> {
        if let Some(kept) = self.kept(url.as_str()) {
            return kept;
        }
        // One at a time: a flood of invented addresses opens one connection.
        let _gate = self.0.gate.lock().await;
        if let Some(kept) = self.kept(url.as_str()) {
            return kept;
        }
        let fetched = (self.0.fetch)(url.clone()).await;
        let key = fetched.and_then(|pem| public_key(&pem));
        let mut all = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|kept| kept.url != url.as_str());
        if all.len() >= KEYS_MAX {
            all.pop_front();
        }
        all.push_back(Kept {
            url: url.into(),
            key: key.clone(),
            since: Instant::now(),
        });
        key
    }

    fn kept(&self, url: &str) -> Option<Result<Arc<[u8]>, String>> {
        let all = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.iter().find(|kept| kept.url == url)?;
        let for_long = if kept.key.is_ok() {
            KEY_KEPT
        } else {
            FAILURE_KEPT
        };
        (kept.since.elapsed() < for_long).then(|| kept.key.clone())
    }
}

/// `https://sns.<region>.amazonaws.com` or `.com.cn`, on the usual port.
fn is_of_sns(url: &Url) -> bool {
    let Some(Host::Domain(host)) = url.host() else {
        return false;
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    let mut parts = host.split('.');
    let (name, region) = (parts.next(), parts.next().unwrap_or_default());
    let rest: Vec<&str> = parts.collect();
    let is_region = region.len() >= 3
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_amazon = rest == ["amazonaws", "com"] || rest == ["amazonaws", "com", "cn"];
    url.scheme() == "https" && is_bare && name == Some("sns") && is_region && is_amazon
}

/// The public key of the first certificate of a PEM file.
fn public_key(pem: &[u8]) -> Result<Arc<[u8]>, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("it is no certificate: {error}");
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| unusable(&error))?;
    let parsed = EndEntityCert::try_from(&certificate).map_err(|error| unusable(&error))?;
    Ok(Arc::from(parsed.subject_public_key_info().as_ref()))
}

async fn fetch(url: Url) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let client = reqwest::Client::builder()
        .https_only(true)
        .timeout(FETCH_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(told)?;
    let answer = client.get(url).send().await.map_err(told)?;
    if !answer.status().is_success() {
        return Err(format!("the answer is {}", answer.status()));
    }
    let mut answer = answer;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        if bytes.len().saturating_add(chunk.len()) > PEM_BYTES_MAX {
            return Err(format!("the answer is larger than {PEM_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
    use serde_json::{Value, json};

    use super::*;

    const CERT: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem";

    /// A signer with its certificate, and how often that was fetched.
    struct Amazon {
        key: KeyPair,
        sns: Sns,
        fetches: Arc<AtomicUsize>,
    }

    fn amazon() -> Amazon {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let params = CertificateParams::new(["sns.amazonaws.com".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let fetches = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetches);
        let sns = Sns::new(Arc::new(move |url| {
            count.fetch_add(1, Ordering::SeqCst);
            let pem = pem.clone();
            Box::pin(async move {
                let is_there = url.as_str() == CERT;
                is_there.then(|| pem.into_bytes()).ok_or("404".to_owned())
            })
        }));
        Amazon { key, sns, fetches }
    }

    impl Amazon {
        fn message(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
            let mut message = json!({
                "Type": "Notification", "MessageId": "m1", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Subject": "s",
                "Message": "{\"a\":1}\n", "Timestamp": "2026-01-01T00:00:00.000Z", "SignatureVersion": "2",
                "SigningCertURL": CERT, "UnsubscribeURL": "https://x.example/",
            });
            let text = SnsEnvelope::read(&message.to_string())
                .unwrap()
                .signed_text();
            let pair = RsaKeyPair::from_pkcs8(self.key.serialized_der()).unwrap();
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .unwrap();
            message["Signature"] = STANDARD.encode(signature).into();
            change(&mut message);
            message.to_string().into_bytes()
        }
    }

    #[tokio::test]
    async fn what_the_named_certificate_signed_is_believed_and_nothing_else() {
        let amazon = amazon();
        for _ in 0..3 {
            assert_eq!(amazon.sns.check(&amazon.message(|_| ())).await, Ok(()));
        }
        assert_eq!(amazon.fetches.load(Ordering::SeqCst), 1, "the key is kept");
        let changes: [fn(&mut Value); 8] = [
            |it| it["Message"] = "other".into(),
            |it| it["TopicArn"] = "arn:other".into(),
            |it| it["Subject"] = Value::Null,
            |it| it["SignatureVersion"] = "1".into(),
            |it| it["SignatureVersion"] = "3".into(),
            |it| it["Signature"] = "".into(),
            |it| it["SigningCertURL"] = "https://sns.evil.example/a.pem".into(),
            |it| it["Type"] = "Other".into(),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let message = amazon.message(change);
            assert_eq!(
                amazon.sns.check(&message).await,
                Err(SnsError::Unproven),
                "{at}"
            );
        }
        assert_eq!(
            amazon.fetches.load(Ordering::SeqCst),
            1,
            "nothing else is opened"
        );
        let elsewhere = amazon.message(|it| {
            it["SigningCertURL"] = "https://sns.eu-west-2.amazonaws.com/b.pem".into();
        });
        for _ in 0..2 {
            let told = amazon.sns.check(&elsewhere).await;
            assert_eq!(told, Err(SnsError::NoCertificate("404".into())));
        }
        assert_eq!(
            amazon.fetches.load(Ordering::SeqCst),
            2,
            "a failure is kept too"
        );
    }

    #[test]
    fn only_addresses_of_sns_are_opened() {
        let is = |url: &str| Url::parse(url).is_ok_and(|url| is_of_sns(&url));
        for good in [
            CERT,
            "https://sns.cn-north-1.amazonaws.com.cn/?Action=x",
            "https://SNS.us-east-1.AmazonAWS.com/",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in [
            "http://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
            "https://u@sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.amazonaws.com/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://xsns.eu-west-1.amazonaws.com/a.pem",
            "https://127.0.0.1/a.pem",
            "https://sns.eu_west.amazonaws.com/a.pem",
        ] {
            assert!(!is(bad), "{bad}");
        }
    }
}
