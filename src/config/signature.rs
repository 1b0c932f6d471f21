//! Reads `signature = { kind = ... }`: how the messages of a source are proven.
//!
//! Must not show a secret, and must not accept a key that a sender of that kind would never use.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::error::Complaint;
use crate::config::reader::TableReader;
use crate::config::secret::Secret;
use crate::config::settings::{SignatureHash, SignatureKind, SignatureSettings};
use crate::config::values;
use crate::core::time::Span;

const KINDS: &[(&str, SignatureKind)] = &[
    ("github", SignatureKind::GitHub),
    ("grafana", SignatureKind::Grafana),
    ("sentry", SignatureKind::Sentry),
    ("standard-webhooks", SignatureKind::StandardWebhooks),
    ("hmac", SignatureKind::Hmac),
];
const HASHES: &[(&str, SignatureHash)] = &[
    ("sha256", SignatureHash::Sha256),
    ("sha512", SignatureHash::Sha512),
];
const TOLERANCE: Span = Span::from_mins(5);
const SECOND: Span = Span::from_secs(1);
const DAY: Span = Span::from_days(1);
/// What stands before the key of Standard Webhooks.
const KEY_PREFIX: &str = "whsec_";

/// Reads one.
pub(super) fn read(
    mut table: TableReader<'_>,
    header_name: fn(&crate::config::reader::Spot<'_>) -> Result<String, Complaint>,
) -> Option<SignatureSettings> {
    let kind = table.required("kind", values::word(KINDS));
    let mut secrets = table.list("secrets", values::remote_secret);
    secrets.extend(table.optional("secret", values::remote_secret));
    let header = table.optional("header", header_name);
    let timestamp_header = table.optional("timestamp_header", header_name);
    let prefix = table.optional("prefix", values::text);
    let hash = table.optional("algorithm", values::word(HASHES));
    let tolerance = table.optional("tolerance", values::duration(SECOND..=DAY));
    if !table.has("secret") && (!table.has("secrets") || table.is_empty_list("secrets")) {
        let complaint = Complaint::new("a signature needs a secret");
        let hint = "write secret = \"...\", or secrets = [\"new\", \"old\"] while you change it";
        table.refuse(None, complaint.hint(hint));
    }
    let kind = kind?;
    check_kind(&table, kind);
    let keys = keys(&table, kind, &secrets);
    table.finish();
    let usual = match kind {
        SignatureKind::GitHub => "x-hub-signature-256",
        SignatureKind::Grafana => "x-grafana-alerting-signature",
        SignatureKind::Sentry => "sentry-hook-signature",
        SignatureKind::StandardWebhooks | SignatureKind::Hmac => "",
    };
    Some(SignatureSettings {
        kind,
        keys,
        header: header.unwrap_or_else(|| usual.to_owned()),
        timestamp_header,
        prefix: prefix.unwrap_or_else(|| match kind {
            SignatureKind::GitHub => "sha256=".to_owned(),
            SignatureKind::Grafana
            | SignatureKind::Sentry
            | SignatureKind::StandardWebhooks
            | SignatureKind::Hmac => String::new(),
        }),
        hash: hash.unwrap_or_default(),
        tolerance: tolerance.unwrap_or(TOLERANCE),
    })
}

/// Keys that mean something for one kind only.
fn check_kind(table: &TableReader<'_>, kind: SignatureKind) {
    let is_hmac = kind == SignatureKind::Hmac;
    if is_hmac && !table.has("header") {
        let complaint = Complaint::new("kind \"hmac\" needs the header of the signature");
        table.refuse(None, complaint.hint("write header = \"X-Signature\""));
    }
    let has_time = is_hmac || kind == SignatureKind::Grafana;
    let is_standard = kind == SignatureKind::StandardWebhooks;
    for (key, is_known) in [
        ("algorithm", is_hmac),
        ("prefix", is_hmac),
        ("timestamp_header", has_time),
        ("header", !is_standard),
        ("tolerance", is_standard || table.has("timestamp_header")),
    ] {
        if table.has(key) && !is_known {
            let complaint = Complaint::new(format!("this kind of signature takes no {key}"));
            table.refuse(Some(key), complaint.hint("remove it"));
        }
    }
}

/// The secrets as the bytes that are hashed with.
fn keys(table: &TableReader<'_>, kind: SignatureKind, secrets: &[Secret]) -> Vec<Secret> {
    if kind != SignatureKind::StandardWebhooks {
        return secrets.to_vec();
    }
    let is_key = |secret: &Secret| {
        let text = secret
            .expose()
            .strip_prefix(KEY_PREFIX)
            .unwrap_or(secret.expose());
        STANDARD
            .decode(text)
            .is_ok_and(|key| !Zeroizing::new(key).is_empty())
    };
    if !secrets.iter().all(is_key) {
        let complaint = Complaint::new("a secret of Standard Webhooks is whsec_ and Base64");
        table.refuse(None, complaint.hint("copy it as the sender shows it"));
    }
    secrets.to_vec()
}

impl SignatureSettings {
    /// The keys as the bytes that are hashed with.
    pub fn key_bytes(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let bytes = |secret: &Secret| {
            let text = secret.expose();
            Zeroizing::new(match self.kind {
                SignatureKind::StandardWebhooks => STANDARD
                    .decode(text.strip_prefix(KEY_PREFIX).unwrap_or(text))
                    .unwrap_or_default(),
                SignatureKind::GitHub
                | SignatureKind::Grafana
                | SignatureKind::Sentry
                | SignatureKind::Hmac => text.as_bytes().to_vec(),
            })
        };
        self.keys.iter().map(bytes).collect()
    }
}
