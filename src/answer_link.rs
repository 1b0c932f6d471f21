//! Links by which people answer a message: which incident, who was told, until when, and a signature over all of it.
//!
//! Whoever holds a link may acknowledge, resolve and annotate that one incident until it expires, and nothing else; a link
//! to rate how it was handled has a key and a folder of its own and allows just that. The key is derived from the installation's secret, so that links and API tokens never stand in for one another. Must not
//! look anything up or read a clock.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use smol_str::SmolStr;
use zeroize::Zeroizing;

use crate::core::ids::IncidentId;
use crate::core::time::Timestamp;

/// The folder of the links to answer by, before the token.
pub const PATH: &str = "/answer/";
/// The folder of the links to rate by.
pub const RATING_PATH: &str = "/rate/";
/// What is signed begins with this, so that no other text of ours has the same signature.
const DOMAIN: &str = "watchbell answer 1|";
/// The id of a thread of mails begins with this.
const THREAD: &str = "watchbell.";
/// Bytes of a signature that are kept: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;
/// Bytes of the longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 512;

/// What a link is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answerable {
    /// The incident.
    pub incident: IncidentId,
    /// Who was told: a person or a target; recorded with what they do.
    pub who: SmolStr,
    /// Until when the link works.
    pub expires_at: Timestamp,
}

/// Why a link does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// Somebody changed it, or a program cut it.
    #[error("this link is not complete or was not made here")]
    Forged,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
}

/// The key that links are signed with, and where they lead.
#[derive(Clone)]
pub struct LinkKey(Zeroizing<[u8; 32]>, &'static str);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

impl LinkKey {
    /// Derives it from the installation's secret.
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(Zeroizing::new(mac(secret, b"watchbell answer links")), PATH)
    }

    /// The key of the links to rate by: what is signed with the one is nothing to the other.
    #[must_use]
    pub fn for_ratings(&self) -> Self {
        let key = mac(&self.0, b"watchbell rating links");
        Self(Zeroizing::new(key), RATING_PATH)
    }

    /// The token of a link.
    pub fn sign(&self, about: &Answerable) -> String {
        let text = format!(
            "{}|{}|{}",
            about.incident.get(),
            about.expires_at.as_millis() / 1000,
            about.who
        );
        let signature = self.signature(&text);
        let mut token = URL_SAFE_NO_PAD.encode(text);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        token
    }

    /// The address of a link below that of the daemon, which has no slash at its end.
    pub fn url(&self, base: &str, about: &Answerable) -> String {
        format!("{base}{}{}", self.1, self.sign(about))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// It was not signed by this key, or its time is over.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Answerable, BadLink> {
        let about = self.open(token).ok_or(BadLink::Forged)?;
        if about.expires_at <= now {
            return Err(BadLink::Expired);
        }
        Ok(about)
    }

    /// The id of an incident's thread of mails, for what stands before the `@`: nobody else can make one up.
    pub fn thread(&self, incident: IncidentId) -> String {
        let signature = self.signature(&format!("thread {incident}"));
        format!("{THREAD}{incident}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Reads the id of a thread.
    pub fn read_thread(&self, id: &str) -> Option<IncidentId> {
        let (incident, _) = id.strip_prefix(THREAD)?.split_once('.')?;
        let incident: IncidentId = incident.parse().ok()?;
        let own = self.thread(incident);
        let is_ours = subtle::ConstantTimeEq::ct_eq(own.as_bytes(), id.as_bytes());
        bool::from(is_ours).then_some(incident)
    }

    fn open(&self, token: &str) -> Option<Answerable> {
        let (text, signature) = token
            .split_once('.')
            .filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_ours = subtle::ConstantTimeEq::ct_eq(&*self.signature(&text), &*signature);
        if !bool::from(is_ours) {
            return None;
        }
        let mut parts = text.splitn(3, '|');
        let number: i64 = parts.next()?.parse().ok()?;
        let seconds: i64 = parts.next()?.parse().ok()?;
        Some(Answerable {
            incident: IncidentId::new(number)?,
            expires_at: Timestamp::from_millis(seconds.checked_mul(1000)?),
            who: SmolStr::new(parts.next()?),
        })
    }

    fn signature(&self, text: &str) -> Vec<u8> {
        let mut whole = mac(&self.0, format!("{DOMAIN}{text}").as_bytes()).to_vec();
        whole.truncate(SIGNATURE_BYTES);
        whole
    }
}

fn mac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    // A key of any length is fine for HMAC; the other arm cannot be.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut mac| {
        mac.update(text);
        mac.finalize().into_bytes().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> Answerable {
        Answerable {
            incident: IncidentId::new(42).unwrap(),
            who: "ana | the first".into(),
            expires_at: Timestamp::from_millis(10_000),
        }
    }

    #[test]
    fn a_link_says_what_was_signed_until_it_expires() {
        let key = LinkKey::derive(&[7; 32]);
        let token = key.sign(&about());
        assert_eq!(key.read(&token, Timestamp::from_millis(9_999)), Ok(about()));
        let late = key.read(&token, Timestamp::from_millis(10_000));
        assert_eq!(late, Err(BadLink::Expired));
        assert!(
            token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        );
        assert_eq!(
            key.url("https://w", &about()),
            format!("https://w/answer/{token}")
        );
    }

    #[test]
    fn a_link_to_rate_is_no_link_to_answer() {
        let key = LinkKey::derive(&[7; 32]);
        let now = Timestamp::from_millis(1);
        let token = key.for_ratings().sign(&about());
        assert_eq!(key.read(&token, now), Err(BadLink::Forged));
        assert_eq!(key.for_ratings().read(&token, now), Ok(about()));
        let url = key.for_ratings().url("https://w", &about());
        assert_eq!(url, format!("https://w/rate/{token}"));
    }

    #[test]
    fn the_thread_of_an_incident_is_its_own_only() {
        let (key, incident) = (LinkKey::derive(&[7; 32]), IncidentId::new(42).unwrap());
        let id = key.thread(incident);
        assert!(id.starts_with("watchbell.INC-42."));
        assert_eq!(key.read_thread(&id), Some(incident));
        assert_eq!(key.read_thread(&id.replace("42", "43")), None);
        assert_eq!(LinkKey::derive(&[8; 32]).read_thread(&id), None);
        for bad in ["", "watchbell.", "watchbell.INC-42", "watchbell.INC-42."] {
            assert_eq!(key.read_thread(bad), None, "{bad}");
        }
    }

    #[test]
    fn any_other_text_or_key_is_refused() {
        let key = LinkKey::derive(&[7; 32]);
        let token = key.sign(&about());
        let now = Timestamp::from_millis(1);
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            // The last letter of Base64 may hold bits that mean nothing; those are refused as well.
            assert_eq!(key.read(&forged, now), Err(BadLink::Forged), "{place}");
        }
        assert_eq!(
            LinkKey::derive(&[8; 32]).read(&token, now),
            Err(BadLink::Forged)
        );
        let (text, signature) = token.split_once('.').unwrap();
        for bad in [
            "",
            ".",
            text,
            &format!("{text}."),
            &format!(".{signature}"),
            &"A".repeat(600),
        ] {
            assert_eq!(key.read(bad, now), Err(BadLink::Forged), "{bad}");
        }
    }
}
