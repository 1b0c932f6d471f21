//! When two alerts are the same: the typed, versioned alert key.
//!
//! A key reads `source:v1:payload`. The source is part of it, so equal numbers of two monitoring servers stay
//! apart; the sending replica is not, so both halves of an HA pair mean the same alert. The version allows the
//! derivation to change later without meeting old keys. Must not look at anything but its inputs.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};

use crate::core::limits;

/// The identity of an alert as text, with its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertKey {
    text: SmolStr,
    hash: KeyHash,
}

/// The first 128 bits of the SHA-256 of the key text: safe against chosen collisions, small in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

/// The version of the derivation below.
const VERSION: &str = "v1";

impl AlertKey {
    /// Builds the key of a source's alert from the source's own identifier of it.
    ///
    /// A colon in the source's name is written `%3a` (and `%` is `%25`), so that it cannot pass for the separator.
    /// The payload stays readable up to [`limits::KEY_BYTES_MAX`] bytes of printable text; anything else is
    /// replaced by its hash, marked `sha256-`.
    pub fn new(source: &str, payload: &str) -> Self {
        let source = separable(source);
        let is_readable = payload.len() <= limits::KEY_BYTES_MAX
            && !payload.starts_with("sha256-")
            && payload.bytes().all(|byte| byte >= b' ' && byte != 0x7f);
        if is_readable {
            Self::from_text(format_smolstr!("{source}:{VERSION}:{payload}"))
        } else {
            let hash = first_128_bits(payload.as_bytes());
            Self::from_text(format_smolstr!("{source}:{VERSION}:sha256-{hash:032x}"))
        }
    }

    /// Takes a key text that was built before, as stored.
    pub fn from_text(text: SmolStr) -> Self {
        let hash = KeyHash(first_128_bits(text.as_bytes()));
        Self { text, hash }
    }

    /// The key as text.
    pub fn text(&self) -> &SmolStr {
        &self.text
    }

    /// The hash by which the key is held in memory.
    pub fn hash(&self) -> KeyHash {
        self.hash
    }
}

impl fmt::Debug for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn separable(source: &str) -> Cow<'_, str> {
    if source.contains([':', '%']) {
        Cow::Owned(source.replace('%', "%25").replace(':', "%3a"))
    } else {
        Cow::Borrowed(source)
    }
}

fn first_128_bits(bytes: &[u8]) -> u128 {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(16)
        .fold(0, |bits, &byte| (bits << 8) | u128::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_source_version_and_payload() {
        assert_eq!(
            AlertKey::new("alertmanager", "bbeccb151ae67847").text(),
            "alertmanager:v1:bbeccb151ae67847"
        );
    }

    #[test]
    fn different_inputs_never_share_a_key() {
        let long = "x".repeat(limits::KEY_BYTES_MAX + 1);
        let hashed = AlertKey::new("s", &long);
        let posing = AlertKey::new("s", hashed.text().strip_prefix("s:v1:").unwrap());
        assert_ne!(
            hashed, posing,
            "a payload that looks like a hash is hashed itself"
        );
        assert_ne!(
            AlertKey::new("a", "1"),
            AlertKey::new("b", "1"),
            "the source is part of the key"
        );
        assert_ne!(
            AlertKey::new("a:v1:b", "c"),
            AlertKey::new("a", "b:v1:c"),
            "nor can its name reach into the payload"
        );
        assert_eq!(AlertKey::from_text(hashed.text().clone()), hashed);
    }
}
