//! The two line formats for stderr: text for people, JSON for collectors.
//!
//! Both end without a line break and hold no unsafe character, except the colour codes of the text format, which the
//! writer removes when nobody looks at a terminal. Must not read a clock or decide where a line goes.

use log::Level;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::escape::{escaped, is_unsafe, push_escaped, push_json_escaped};
use super::record::{FieldValue, OwnedRecord};

/// Names that a JSON line uses itself; a field of the same name gets `field.` in front.
const RESERVED: [&str; 4] = ["level", "message", "target", "ts"];

/// One record as text: time, level in colour, target, message, `name=value` pairs.
pub fn text_line(record: &OwnedRecord) -> String {
    let mut line = rfc3339(record.at_ms);
    line.push(' ');
    line.push_str(colour(record.level));
    line.push_str(level_name(record.level));
    line.push_str("\u{1b}[0m ");
    push_escaped(&mut line, &record.target);
    line.push_str(": ");
    push_escaped(&mut line, &record.message);
    for (name, value) in &record.fields {
        line.push(' ');
        push_escaped(&mut line, name);
        line.push('=');
        push_value(&mut line, value);
    }
    line
}

/// One record as a JSON object: `ts`, `level`, `target`, `message`, then the fields by their own names.
pub fn json_line(record: &OwnedRecord) -> String {
    // Only values that are no JSON could fail here, and FieldValue has none.
    let json = serde_json::to_string(&JsonRecord(record)).unwrap_or_default();
    let mut line = String::with_capacity(json.len());
    push_json_escaped(&mut line, &json);
    line
}

fn push_value(line: &mut String, value: &FieldValue) {
    let text = match value {
        FieldValue::Text(text) => text,
        FieldValue::Bool(_)
        | FieldValue::Unsigned(_)
        | FieldValue::Signed(_)
        | FieldValue::Float(_) => {
            line.push_str(&value.to_string());
            return;
        }
    };
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=' | '\\') && !is_unsafe(c);
    if !text.is_empty() && text.chars().all(plain) {
        line.push_str(text);
    } else {
        line.push('"');
        line.push_str(&escaped(&text.replace('\\', "\\\\").replace('"', "\\\"")));
        line.push('"');
    }
}

/// `ms` since the Unix epoch as RFC 3339 UTC with milliseconds.
fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| format!("{ms}ms"), |at| format!("{at:.3}"))
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\u{1b}[1;31m",
        Level::Warn => "\u{1b}[33m",
        Level::Info => "\u{1b}[32m",
        Level::Debug => "\u{1b}[34m",
        Level::Trace => "\u{1b}[36m",
    }
}

struct JsonRecord<'a>(&'a OwnedRecord);

impl Serialize for JsonRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ts", &rfc3339(record.at_ms))?;
        map.serialize_entry("level", &record.level.as_str().to_ascii_lowercase())?;
        map.serialize_entry("target", &record.target)?;
        map.serialize_entry("message", &record.message)?;
        for (name, value) in &record.fields {
            if RESERVED.contains(&name.as_str()) {
                map.serialize_entry(&format!("field.{name}"), &JsonValue(value))?;
            } else {
                map.serialize_entry(name, &JsonValue(value))?;
            }
        }
        map.end()
    }
}

struct JsonValue<'a>(&'a FieldValue);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FieldValue::Bool(value) => serializer.serialize_bool(*value),
            FieldValue::Unsigned(value) => serializer.serialize_u64(*value),
            FieldValue::Signed(value) => serializer.serialize_i64(*value),
            FieldValue::Float(value) => serializer.serialize_f64(*value),
            FieldValue::Text(value) => serializer.serialize_str(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> OwnedRecord {
        OwnedRecord {
            at_ms: 1_700_000_000_120,
            level: Level::Warn,
            target: "watchbell::api".into(),
            module: None,
            place: None,
            message: "body\nforged \u{1b}[2J line".into(),
            fields: vec![
                ("source.name".into(), FieldValue::Text("grid".into())),
                (
                    "message".into(),
                    FieldValue::Text("a \"b\"\r\u{202e}".into()),
                ),
                ("count".into(), FieldValue::Unsigned(3)),
            ],
        }
    }

    #[test]
    fn text_is_readable_and_one_line() {
        assert_eq!(
            text_line(&record()),
            "2023-11-14T22:13:20.120Z \u{1b}[33mWARN \u{1b}[0m watchbell::api: body\\nforged \
             \\u{1b}[2J line source.name=grid message=\"a \\\"b\\\"\\r\\u{202e}\" count=3"
        );
    }

    #[test]
    fn json_is_one_line_and_keeps_the_original_text() {
        let line = json_line(&record());
        assert!(!line.chars().any(is_unsafe), "{line}");
        assert!(line.starts_with(r#"{"ts":"2023-11-14T22:13:20.120Z","level":"warn""#));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["message"], "body\nforged \u{1b}[2J line");
        assert_eq!(value["field.message"], "a \"b\"\r\u{202e}");
        assert_eq!(value["source.name"], "grid");
        assert_eq!(value["count"], 3);
    }
}
