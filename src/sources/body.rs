//! The ways senders wrap a message: JSON under any label, forms, multipart, a query, plain text.
//!
//! The label is believed only where the bytes cannot tell. A field that holds the whole message as JSON (`payload` of
//! GitHub, `data` of Uptime Kuma) is unwrapped. Must not interpret what is inside.

use std::borrow::Cow;

use mailparse::{ParsedMail, parse_content_type, parse_mail};
use smol_str::SmolStr;

use crate::sources::{DecodeError, Message, json};

/// Bytes of a multipart body; the senders that use it write far less.
pub const MULTIPART_BYTES_MAX: usize = 1 << 20;
/// Fields of a form or a multipart body.
pub const FIELDS_MAX: usize = 2_000;

/// A message without its wrapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// JSON, not yet parsed.
    Json(Cow<'a, str>),
    /// Named texts of a form or a query.
    Fields(Vec<(String, String)>),
    /// Anything else that is text.
    Text(Cow<'a, str>),
}

const HINT: &str = "send JSON, a form, or plain text in UTF-8";

/// Unwraps a message.
///
/// # Errors
/// The body is empty and there is no query; it is no text; it is labelled as something that it is not.
pub fn read<'a>(message: &Message<'a>) -> Result<Body<'a>, DecodeError> {
    let label = message.content_type.unwrap_or_default();
    let media = label.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    if media == "multipart/form-data" {
        return multipart(message.body, label).map(unwrapped);
    }
    let text = match json::text(message.body) {
        Err(DecodeError::Empty) if !message.envelope.query.is_empty() => {
            return Ok(unwrapped(query(&message.envelope.query)));
        }
        text => text?,
    };
    if media.contains("json") || looks_like_json(text) {
        return Ok(Body::Json(Cow::Borrowed(text)));
    }
    if media == "application/x-www-form-urlencoded" && text.contains('=') {
        return form(text).map(unwrapped);
    }
    Ok(Body::Text(Cow::Borrowed(text.trim())))
}

/// Whether a text can only be meant as JSON: an object, or a list of anything that JSON has; not `[WARN] disk full`.
pub fn looks_like_json(text: &str) -> bool {
    let text = text.trim_ascii_start();
    match text.strip_prefix('[') {
        None => text.starts_with('{'),
        Some(rest) => {
            rest.trim_ascii_start().starts_with(['{', '[', '"', ']'])
                || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        }
    }
}

fn query(pairs: &[(SmolStr, SmolStr)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn wrong(problem: &str) -> DecodeError {
    DecodeError::WrongShape {
        path: "body".to_owned(),
        problem: problem.to_owned(),
        hint: HINT,
    }
}

fn form(text: &str) -> Result<Vec<(String, String)>, DecodeError> {
    let fields = url::form_urlencoded::parse(text.trim().as_bytes()).into_owned();
    let fields: Vec<_> = fields.take(FIELDS_MAX + 1).collect();
    if fields.len() > FIELDS_MAX {
        return Err(wrong("is a form of too many fields"));
    }
    Ok(fields)
}

fn multipart(body: &[u8], label: &str) -> Result<Vec<(String, String)>, DecodeError> {
    if body.len() > MULTIPART_BYTES_MAX {
        return Err(wrong("is a multipart body of more than 1 MiB"));
    }
    if !parse_content_type(label).params.contains_key("boundary") {
        return Err(wrong("is labelled multipart and names no boundary"));
    }
    let lines = body.split(|&byte| byte == b'\n');
    if lines.filter(|line| line.starts_with(b"--")).count() > FIELDS_MAX {
        return Err(wrong("is a multipart body of too many parts"));
    }
    let head = format!("Content-Type: {}\r\n\r\n", label.replace(['\r', '\n'], " "));
    let whole = [head.as_bytes(), body].concat();
    let mail = parse_mail(&whole).map_err(|_| wrong("is no multipart body"))?;
    if mail.subparts.is_empty() {
        return Err(wrong("is a multipart body without parts"));
    }
    mail.subparts.iter().map(part).collect()
}

fn part(part: &ParsedMail<'_>) -> Result<(String, String), DecodeError> {
    let disposition = part.get_content_disposition();
    let name = disposition.params.get("name").cloned().unwrap_or_default();
    let value = part
        .get_body_raw()
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| wrong("has a part that is no text"))?;
    Ok((name, value))
}

/// Takes the whole message out of a field, if one holds it.
fn unwrapped<'a>(fields: Vec<(String, String)>) -> Body<'a> {
    let is_whole = |(name, value): &&(String, String)| {
        looks_like_json(value) && (fields.len() == 1 || matches!(name.as_str(), "payload" | "data"))
    };
    match fields.iter().find(is_whole) {
        Some((_, value)) => Body::Json(Cow::Owned(value.clone())),
        None => Body::Fields(fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Timestamp;
    use crate::sources::Envelope;

    fn read_as<'a>(content_type: &'a str, body: &'a [u8]) -> Result<Body<'a>, DecodeError> {
        read(&Message {
            content_type: Some(content_type).filter(|label| !label.is_empty()),
            ..Message::new("s", body, Timestamp::MAX)
        })
    }

    fn fields(of: &[(&str, &str)]) -> Body<'static> {
        let owned = of
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Body::Fields(owned.collect())
    }

    #[test]
    fn json_is_json_under_any_label() {
        for label in [
            "",
            "text/plain; charset=UTF-8",
            "application/x-www-form-urlencoded",
            "application/JSON",
        ] {
            let body = b" {\"a\": \"b=c&d\"}";
            assert!(matches!(read_as(label, body), Ok(Body::Json(_))), "{label}");
        }
        assert!(matches!(read_as("", b"[1, 2]"), Ok(Body::Json(_))));
        assert!(matches!(
            read_as("application/json", b"5"),
            Ok(Body::Json(_))
        ));
    }

    #[test]
    fn texts_stay_texts() {
        for text in ["[WARN] disk full", "[2026-01-01] x", "online", "1", "a=b"] {
            assert_eq!(
                read_as("text/plain", text.as_bytes()),
                Ok(Body::Text(text.into()))
            );
        }
        let label = "application/x-www-form-urlencoded";
        assert_eq!(
            read_as(label, b"disk full"),
            Ok(Body::Text("disk full".into()))
        );
        assert!(read_as("", b"\xff").is_err());
    }

    #[test]
    fn a_field_that_holds_the_message_is_unwrapped() {
        let label = "application/x-www-form-urlencoded";
        let json = Body::Json("{\"a\":1}".into());
        assert_eq!(
            read_as(label, b"payload=%7B%22a%22%3A1%7D&x=1"),
            Ok(json.clone())
        );
        assert_eq!(
            read_as(label, b"anything=%7B%22a%22:1%7D"),
            Ok(json.clone())
        );
        assert_eq!(
            read_as(label, b"a=1+2&b=%7B%7D"),
            Ok(fields(&[("a", "1 2"), ("b", "{}")]))
        );
        let parts =
            b"--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"a\":1}\r\n--x--\r\n";
        assert_eq!(read_as("multipart/form-data; boundary=x", parts), Ok(json));
    }

    #[test]
    fn parts_are_fields_and_bad_ones_are_refused() {
        let label = "multipart/form-data; boundary=\"--a b\"";
        let parts = b"----a b\r\nContent-Disposition: form-data; name=\"one\"\r\nContent-Type: text/plain\r\n\r\n1\r\n2\r\n\
                      ----a b\r\ncontent-disposition: form-data; name=two\r\n\r\n\r\n----a b--";
        assert_eq!(
            read_as(label, parts),
            Ok(fields(&[("one", "1\r\n2"), ("two", "")]))
        );
        for (label, body) in [
            ("multipart/form-data", &b"--x\r\n"[..]),
            ("multipart/form-data; boundary=x", b"no parts"),
            (
                "multipart/form-data; boundary=x",
                &b"--x\n".repeat(FIELDS_MAX + 1),
            ),
            (
                "multipart/form-data; boundary=x",
                &vec![b'a'; MULTIPART_BYTES_MAX + 1],
            ),
        ] {
            assert!(matches!(
                read_as(label, body),
                Err(DecodeError::WrongShape { .. })
            ));
        }
    }

    #[test]
    fn an_empty_body_has_the_query_or_nothing() {
        let envelope = Envelope::of_request([], Some("a=1&data=%7B%7D"));
        let message = Message {
            envelope: &envelope,
            ..Message::new("s", b" ", Timestamp::MAX)
        };
        assert_eq!(read(&message), Ok(Body::Json("{}".into())));
        assert_eq!(read_as("", b""), Err(DecodeError::Empty));
    }
}
