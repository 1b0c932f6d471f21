//! API tokens as values: how one is made, and the keyed hash under which it is stored.
//!
//! A token is `wbt_` and 32 random bytes in URL-safe base64; only its HMAC-SHA256 (RFC 2104) is kept, so a stolen
//! store yields no token. Must not draw randomness, read files or look anything up: all of it is passed in.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What every token begins with, so that scanners and people recognise one.
pub const PREFIX: &str = "wbt_";

/// Hex digits of the hash that make up the public id.
const ID_DIGITS: usize = 12;

/// What a token's owner may do; each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Works on incidents: acknowledges, assigns, resolves, adds notes.
    Responder,
    /// Also changes what concerns everybody.
    Admin,
}

impl Role {
    /// Every role, from the least to the most powerful.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Responder, Self::Admin];

    /// The word used on the command line, in the store and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: write viewer, responder or admin")]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(NotARole)
    }
}

/// The token of these random bytes; shown once and never stored.
pub fn mint(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The keyed hash of a token as lower-case hex; `key` is the content of the installation's token key file.
pub fn hash(key: &[u8; 32], token: &str) -> String {
    // A key shorter than a block is padded with zeros (RFC 2104, section 2); done here, nothing can fail.
    let mut block = Zeroizing::new([0; 64]);
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(token.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// The id by which a token is listed and revoked: `tok-` and the beginning of its hash.
pub fn public_id(hash: &str) -> String {
    format!("tok-{}", hash.get(..ID_DIGITS).unwrap_or(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_url_safe_text_with_a_recognisable_beginning() {
        let token = mint([0xff; 32]);
        assert_eq!(token, format!("wbt_{}8", "_".repeat(42)));
        assert_eq!(mint([0; 32]), format!("wbt_{}", "A".repeat(43)));
    }

    #[test]
    fn the_hash_is_hmac_sha256_with_the_key() {
        // RFC 4231, test case 2, uses a shorter key; HMAC pads keys with zeros, so the padded one gives the same.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hash = hash(&key, "what do ya want for nothing?");
        assert_eq!(
            hash,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(public_id(&hash), "tok-5bdcc146bf60");
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(NotARole));
    }
}
