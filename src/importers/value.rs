//! Reading JSON values that others wrote, leniently: a number where a text is expected is its text.
//!
//! Must not know any product's fields.

use serde_json::{Map, Value};
use smol_str::{SmolStr, ToSmolStr as _};

use crate::core::cmdb::record::CiRecord;
use crate::importers::draft::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, NAME_BYTES_MAX, cut};

/// An object of a product.
pub type Object = Map<String, Value>;

/// The text of a scalar: texts without surrounding spaces, numbers, true and false; `None` for the rest and for "".
pub fn text(value: &Value) -> Option<SmolStr> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            (!text.is_empty()).then(|| text.into())
        }
        Value::Number(number) => Some(number.to_smolstr()),
        Value::Bool(flag) => Some(flag.to_smolstr()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text of a scalar in an object.
pub fn field(object: &Object, key: &str) -> Option<SmolStr> {
    object.get(key).and_then(text)
}

/// The text of a scalar at a path of keys.
pub fn at(object: &Object, path: &[&str]) -> Option<SmolStr> {
    let (last, keys) = path.split_last()?;
    let mut object = object;
    for key in keys {
        object = object.get(*key)?.as_object()?;
    }
    field(object, last)
}

/// The object below a key.
pub fn object<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    object.get(key)?.as_object()
}

/// The items of a list below a key; nothing when there is none.
pub fn items<'a>(object: &'a Object, key: &str) -> &'a [Value] {
    object
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The objects of a list below a key.
pub fn objects<'a>(object: &'a Object, key: &str) -> impl Iterator<Item = &'a Object> {
    items(object, key).iter().filter_map(Value::as_object)
}

/// Whether a field says yes: `true`, `1`, `"true"`, `"1"`.
pub fn is_true(object: &Object, key: &str) -> bool {
    field(object, key).is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"))
}

/// A whole number, also when it is written as text.
pub fn number(object: &Object, key: &str) -> Option<u64> {
    field(object, key)?.parse().ok()
}

/// Keeps a value as an attribute; empty ones are left out, lists and objects are kept as their JSON.
pub fn keep(record: &mut CiRecord, key: &str, value: &Value) {
    let kept = match value {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(map) if map.is_empty() => None,
        Value::Array(list) if list.iter().all(|item| text(item).is_some()) => {
            let texts: Vec<_> = list.iter().filter_map(text).collect();
            Some(texts.join(", ").into())
        }
        Value::Array(_) | Value::Object(_) => serde_json::to_string(value).ok().map(SmolStr::from),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => text(value),
    };
    if let Some(kept) = kept {
        keep_text(record, key, &kept);
    }
}

/// Keeps a text as an attribute; an empty one is left out.
pub fn keep_text(record: &mut CiRecord, key: &str, text: &str) {
    let has_room = record.attributes.len() < ATTRIBUTES_MAX;
    if has_room && !text.is_empty() && !key.is_empty() {
        record
            .attributes
            .insert(cut(key, NAME_BYTES_MAX), cut(text, ATTRIBUTE_BYTES_MAX));
    }
}

/// Keeps every field that is not one of the `known`.
pub fn keep_rest(record: &mut CiRecord, object: &Object, known: &[&str]) {
    for (key, value) in object {
        if !known.contains(&key.as_str()) {
            keep(record, key, value);
        }
    }
}

/// A criticality as products write it: `1`..`5`, `1 - most critical`, `high`, `P2`.
pub fn criticality(text: &str) -> Option<u8> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.strip_prefix(['p', 't']).unwrap_or(&text);
    let digit = digits
        .chars()
        .next()
        .and_then(|first| first.to_digit(10))
        .filter(|_| {
            !digits
                .chars()
                .nth(1)
                .is_some_and(|next| next.is_ascii_digit())
        });
    let level = match text.as_str() {
        "critical" | "most critical" | "very high" | "mission critical" | "mission-critical" => {
            Some(1)
        }
        "high" | "somewhat critical" | "major" => Some(2),
        "medium" | "moderate" | "normal" | "less critical" => Some(3),
        "low" | "minor" | "not critical" => Some(4),
        "very low" | "none" => Some(5),
        _ => digit,
    }?;
    u8::try_from(level)
        .ok()
        .filter(|level| (1..=5).contains(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criticality_is_read_in_the_words_of_products() {
        let cases = [
            ("1 - most critical", Some(1)),
            ("3", Some(3)),
            ("High", Some(2)),
            ("P4", Some(4)),
            ("tier 1", None),
            ("17", None),
            ("9", None),
            ("", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(criticality(text), wanted, "{text}");
        }
    }

    #[test]
    fn attributes_are_texts_and_empty_ones_are_left_out() {
        let mut record = CiRecord::default();
        let given = serde_json::json!({"a": 1, "b": "", "c": [], "d": ["x", 2], "e": {"f": null}, "g": null});
        keep_rest(&mut record, given.as_object().unwrap(), &["z"]);
        let kept: Vec<_> = record
            .attributes
            .iter()
            .map(|(key, text)| format!("{key}={text}"))
            .collect();
        assert_eq!(kept, ["a=1", "d=x, 2", r#"e={"f":null}"#]);
    }
}
