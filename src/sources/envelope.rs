//! What comes around a message's body: headers, query, topic.
//!
//! Kept with the body for sources that read it, so that a stored message decodes the same again. Must not hold a
//! secret: names that carry one are left out on entry.

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, StrExt};

/// Headers, or query parameters, of one message; further ones are left out.
pub const PAIRS_MAX: usize = 64;
/// Bytes of a header or a query parameter; one with more is left out.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all of them together; what goes beyond is left out, so that an envelope stays small next to its body.
pub const BYTES_MAX: usize = 16 * 1024;

/// Parts of names that carry a secret.
const SECRET_PARTS: [&str; 10] = [
    "authorization",
    "x-auth",
    "credential",
    "token",
    "secret",
    "passw",
    "cookie",
    "api-key",
    "api_key",
    "apikey",
];

/// Headers of one connection, which say nothing about a message.
const OF_TRANSPORT: [&str; 8] = [
    "host",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "accept",
    "accept-encoding",
    "expect",
];

/// The envelope of a message around which nothing came.
pub const NOTHING: &Envelope = {
    static EMPTY: Envelope = Envelope::EMPTY;
    &EMPTY
};

/// What came around a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// Headers of a request, or user properties of a publish; names in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// Query parameters, decoded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(SmolStr, SmolStr)>,
    /// The topic of a publish, or empty.
    #[serde(skip_serializing_if = "SmolStr::is_empty")]
    pub topic: SmolStr,
    /// Levels of the topic, or parts of the path, that a template names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<(SmolStr, SmolStr)>,
    /// Whether a broker had kept the publish for new subscribers, so that it tells a state and not an event.
    #[serde(skip_serializing_if = "is_false")]
    pub is_retained: bool,
}

impl Envelope {
    /// Nothing came around the body.
    pub const EMPTY: Self = Self {
        headers: Vec::new(),
        query: Vec::new(),
        topic: SmolStr::new_static(""),
        captures: Vec::new(),
        is_retained: false,
    };

    /// The envelope of a request; what carries a secret, or is no text, is left out.
    pub fn of_request<'h>(
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        query: Option<&str>,
    ) -> Self {
        let headers = headers.into_iter().filter_map(|(name, value)| {
            let value = str::from_utf8(value).ok()?;
            let name = name.to_lowercase_smolstr();
            (!OF_TRANSPORT.contains(&name.as_str())).then(|| (name, SmolStr::new(value)))
        });
        let query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            headers: kept(headers),
            query: kept(query.map(|(name, value)| (SmolStr::new(name), SmolStr::new(value)))),
            ..Self::EMPTY
        }
    }

    /// The query of a request that has no body, as the body of a form; what carries a secret is left out.
    pub fn query_as_form(query: &str) -> String {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let pairs = pairs.filter(|(name, _)| !is_secret(name));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs).finish()
    }

    /// The envelope of a publish.
    pub fn of_publish(topic: &str, captures: Vec<(SmolStr, SmolStr)>) -> Self {
        Self {
            topic: SmolStr::new(topic),
            captures,
            ..Self::EMPTY
        }
    }

    /// Takes user properties of a publish, names in lower case; what carries a secret is left out.
    pub fn set_headers(&mut self, pairs: impl Iterator<Item = (SmolStr, SmolStr)>) {
        self.headers = kept(pairs);
    }

    /// Whether there is nothing worth keeping.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(value)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn kept(pairs: impl Iterator<Item = (SmolStr, SmolStr)>) -> Vec<(SmolStr, SmolStr)> {
    let is_kept =
        |(name, value): &(SmolStr, SmolStr)| value.len() <= VALUE_BYTES_MAX && !is_secret(name);
    let mut bytes = 0_usize;
    let fits = |(name, value): &(SmolStr, SmolStr)| {
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        bytes <= BYTES_MAX
    };
    let kept = pairs.filter(is_kept).take(PAIRS_MAX);
    kept.take_while(fits).collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase_smolstr();
    name == "auth" || SECRET_PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_stay_small() {
        let value = "x".repeat(VALUE_BYTES_MAX);
        let query = |count: usize| {
            let query: Vec<_> = (0..count).map(|n| format!("a{n}={value}")).collect();
            Envelope::of_request([], Some(&query.join("&"))).query.len()
        };
        assert_eq!(query(1), 1);
        assert_eq!(query(5), 1);
        let many: Vec<_> = (0..100).map(|n| format!("a{n}=1")).collect();
        let kept = Envelope::of_request([], Some(&many.join("&")));
        assert_eq!(kept.query.len(), PAIRS_MAX);
    }

    #[test]
    fn a_query_in_place_of_a_body_carries_no_secret_either() {
        assert_eq!(
            Envelope::query_as_form("host=a%20b&Token=x&flag&auth=1&author=ana&x=%26"),
            "host=a+b&flag=&author=ana&x=%26"
        );
    }

    #[test]
    fn secrets_are_never_kept() {
        let headers: [(&str, &[u8]); 4] = [
            ("Authorization", b"Bearer x"),
            ("X-Api-Key", b"x"),
            ("CE-Type", b"t"),
            ("X-Bin", b"\xff"),
        ];
        let got = Envelope::of_request(headers, Some("access_token=x&a=1%202&b"));
        assert_eq!(got.headers, [("ce-type".into(), "t".into())]);
        assert_eq!(
            got.query,
            [("a".into(), "1 2".into()), ("b".into(), SmolStr::default())]
        );
        assert_eq!(got.header("ce-type"), Some("t"));
    }

    #[test]
    fn an_envelope_survives_storage() {
        let envelope = Envelope::of_publish("a/b", vec![("x".into(), "a".into())]);
        let text = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
        assert_eq!(serde_json::to_string(&Envelope::EMPTY).unwrap(), "{}");
    }
}
