//! Reading JSON that others wrote: cheap checks first, then lenient values, borrowed where possible.
//!
//! Every JSON source starts with [`text`]. Must not know any sender's fields.

use std::borrow::Cow;
use std::fmt;
use std::str::from_utf8;

use serde::Serialize;
use serde::Serializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use smol_str::SmolStr;

use crate::sources::DecodeError;

/// Levels of nested objects and lists; real senders need fewer than ten. A deeper body is refused.
pub const DEPTH_MAX: usize = 64;

/// The body as text: not empty, UTF-8, a byte order mark removed, not nested deeper than [`DEPTH_MAX`].
///
/// # Errors
/// Says at which byte the body breaks one of these rules.
pub fn text(body: &[u8]) -> Result<&str, DecodeError> {
    let text = from_utf8(body).map_err(|error| DecodeError::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    if text.trim_ascii().is_empty() {
        return Err(DecodeError::Empty);
    }
    check_depth(text)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Counts brackets outside of strings, so that no parser can be led into deep recursion.
fn check_depth(text: &str) -> Result<(), DecodeError> {
    let mut depth = 0_usize;
    let mut bytes = text.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let offset = text.len() - bytes.len() - 1;
                    return Err(DecodeError::TooDeep { offset });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

/// Turns the parser's error into ours; `hint` is for JSON of the wrong shape.
pub fn error_of(error: &serde_json::Error, hint: &'static str) -> DecodeError {
    let whole = error.to_string();
    let problem = whole.split(" at line ").next().unwrap_or(&whole).to_owned();
    match error.classify() {
        Category::Data => DecodeError::WrongShape {
            path: "body".to_owned(),
            problem,
            hint,
        },
        Category::Io | Category::Syntax | Category::Eof => DecodeError::NotJson {
            line: error.line(),
            column: error.column(),
            problem,
        },
    }
}

/// What kind of JSON value a text is, in words for people.
pub fn kind_of(value: &str) -> &'static str {
    match value.trim_ascii_start().bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A text, or what senders write in place of one: numbers and booleans count as their JSON text, null as empty.
///
/// An object, a list, or a number that has no exact short form is an error here; [`scalar`] takes the latter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scalar<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(Self)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(if truth { "true" } else { "false" }))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

/// An object of texts, as pairs in the order sent; null counts as an empty one. Values are read as [`Scalar`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(pub Vec<(SmolStr, SmolStr)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor).map(Self)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(SmolStr, SmolStr)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<Scalar<'_>, Scalar<'_>>()? {
            if pairs.is_empty() {
                pairs.reserve(8);
            }
            pairs.push((SmolStr::new(&name.0), SmolStr::new(&value.0)));
        }
        Ok(pairs)
    }
}

/// The fields of an object, each value as its own text, in the order sent.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The value of a field; the last one when it is there more than once.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let mut fields = self.0.iter().rev();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value.get())
    }

    /// The same without some fields, to be written again as it came.
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = |(name, _): &&(Cow<'_, str>, &RawValue)| !names.contains(&name.as_ref());
        Self(self.0.iter().filter(kept).cloned().collect())
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<Scalar<'_>, &RawValue>()? {
            fields.push((name.0, value));
        }
        Ok(Fields(fields))
    }
}

/// Reads one JSON value that shall be a text: like [`Scalar`], and any number counts as its JSON text.
///
/// # Errors
/// Fails for an object, a list and a broken text.
pub fn scalar(value: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match kind_of(value) {
        "a number" => Ok(Cow::Borrowed(value)),
        "an object" | "a list" => Err(serde_json::Error::custom(format!(
            "{} instead of a text",
            kind_of(value)
        ))),
        _ => serde_json::from_str::<Scalar<'_>>(value).map(|scalar| scalar.0),
    }
}

/// Replaces escaped halves of UTF-16 pairs that have no other half, which no text can hold, by U+FFFD.
///
/// Some senders cut a text in the middle of an emoji. Takes valid JSON and gives valid JSON.
pub fn mend_surrogates(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = match escaped_unit(text, escape) {
            None => escape + 2,
            Some(0xd800..=0xdbff)
                if matches!(escaped_unit(text, escape + 6), Some(0xdc00..=0xdfff)) =>
            {
                escape + 12
            }
            Some(0xd800..=0xdfff) => {
                mended.push_str(text.get(kept..escape).unwrap_or_default());
                mended.push_str("\\ufffd");
                kept = escape + 6;
                kept
            }
            Some(_) => escape + 6,
        };
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(mended)
}

fn escaped_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at.checked_add(6)?)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings_only() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(text(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(
            text(format!("  {}", deep(DEPTH_MAX + 1)).as_bytes()),
            Err(DecodeError::TooDeep {
                offset: DEPTH_MAX + 2
            })
        );
        let wide = format!("[{}{{}}]", "{},[],".repeat(DEPTH_MAX));
        assert!(text(wide.as_bytes()).is_ok());
        let quoted = format!(r#"{{"a\"{0}":"{0}\\","b":[]}}"#, "[".repeat(500));
        assert!(text(quoted.as_bytes()).is_ok());
        let after_escape = format!(r#"["\\",{}"#, "[".repeat(DEPTH_MAX));
        assert!(text(after_escape.as_bytes()).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_name_their_place() {
        assert_eq!(text(b"{\"a\xff"), Err(DecodeError::NotUtf8 { offset: 3 }));
        assert_eq!(text(b" \n"), Err(DecodeError::Empty));
        assert_eq!(text("\u{feff}{}".as_bytes()), Ok("{}"));
    }

    #[test]
    fn scalars_are_their_json_text() {
        for (value, expected) in [
            (r#""a\n\u003c""#, "a\n<"),
            ("5", "5"),
            ("-7", "-7"),
            ("1.50", "1.50"),
            ("1e999", "1e999"),
            ("true", "true"),
            ("null", ""),
        ] {
            assert_eq!(scalar(value).unwrap(), expected);
        }
        for value in ["{}", "[1]"] {
            assert!(scalar(value).is_err());
        }
    }

    #[test]
    fn pairs_take_scalars_and_refuse_nesting() {
        let pairs: Pairs = serde_json::from_str(r#"{"b":1,"a":null,"b":"\u00e4"}"#).unwrap();
        let expected = [("b", "1"), ("a", ""), ("b", "ä")];
        assert!(
            pairs
                .0
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .eq(expected)
        );
        assert!(serde_json::from_str::<Pairs>(r#"{"a":{}}"#).is_err());
        assert!(serde_json::from_str::<Pairs>(r#"["a"]"#).is_err());
        assert_eq!(
            serde_json::from_str::<Pairs>("null").unwrap(),
            Pairs::default()
        );
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        for (given, expected) in [
            (r#""\ud83d\ude00""#, "😀"),
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00b\uD83Dc""#, "\u{fffd}b\u{fffd}c"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\\ud83d""#, "\\ud83d"),
        ] {
            assert_eq!(
                scalar(&mend_surrogates(given)).unwrap(),
                expected,
                "{given}"
            );
        }
    }
}
