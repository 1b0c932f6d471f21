//! An owned copy of one log record, so that it can wait in a queue.
//!
//! Invariants: every text is cut at a limit, so the queue is bounded in bytes, not only in records; a field whose name
//! says that it holds a secret is masked. Must not print or write anything.

use std::fmt::{self, Write};

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

/// Longest message and longest text field kept, in bytes; the rest is cut and the cut is marked.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Most fields kept of one record; further ones are left out.
pub const FIELDS_MAX: usize = 32;
/// What stands at the end of a text that was cut.
const CUT_MARK: &str = "…(cut)";
/// Field names (last dotted part) whose value is never written.
const SECRET_NAMES: [&str; 6] = [
    "authorization",
    "cookie",
    "password",
    "routing_key",
    "secret",
    "token",
];

/// The value of one field, as far as the output formats tell types apart.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A truth value.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Signed(i64),
    /// A finite number with a fraction.
    Float(f64),
    /// Anything else, as the text it displays.
    Text(String),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// One log record with everything it borrowed copied.
#[derive(Clone, Debug)]
pub struct OwnedRecord {
    /// When it was logged, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Its level.
    pub level: Level,
    /// Who logged it, by default the module path.
    pub target: String,
    /// The module, where known.
    pub module: Option<String>,
    /// Source file and line, where known.
    pub place: Option<(String, u32)>,
    /// The message, not yet escaped.
    pub message: String,
    /// Fields in the order they were given; names are unique.
    pub fields: Vec<(String, FieldValue)>,
}

impl OwnedRecord {
    /// Copies `record`, logged at `at_ms`.
    pub fn capture(record: &Record<'_>, at_ms: i64) -> Self {
        let mut fields = Fields(Vec::new());
        // Only a failing visitor or source reports an error; what was collected until then is still worth writing.
        record.key_values().visit(&mut fields).unwrap_or_default();
        Self {
            at_ms,
            level: record.level(),
            target: limited(&record.target()),
            module: record.module_path().map(str::to_owned),
            place: record.file().map(str::to_owned).zip(record.line()),
            message: limited(record.args()),
            fields: fields.0,
        }
    }
}

struct Fields(Vec<(String, FieldValue)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let name = key.as_str();
        if self.0.len() < FIELDS_MAX && !self.0.iter().any(|(known, _)| known == name) {
            let value = if is_secret(name) {
                FieldValue::Text("***".to_owned())
            } else {
                field_value(&value)
            };
            self.0.push((name.to_owned(), value));
        }
        Ok(())
    }
}

fn is_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    SECRET_NAMES
        .iter()
        .any(|secret| last.eq_ignore_ascii_case(secret))
}

fn field_value(value: &Value<'_>) -> FieldValue {
    if let Some(text) = value.to_borrowed_str() {
        FieldValue::Text(limited(&text))
    } else if let Some(value) = value.to_bool() {
        FieldValue::Bool(value)
    } else if let Some(value) = value.to_u64() {
        FieldValue::Unsigned(value)
    } else if let Some(value) = value.to_i64() {
        FieldValue::Signed(value)
    } else if let Some(value) = value.to_f64().filter(|value| value.is_finite()) {
        FieldValue::Float(value)
    } else {
        FieldValue::Text(limited(value))
    }
}

/// Displays `value`, cut at a character when longer than [`TEXT_BYTES_MAX`].
fn limited(value: &dyn fmt::Display) -> String {
    let mut sink = Limited(String::new());
    if write!(sink, "{value}").is_err() {
        sink.0.push_str(CUT_MARK);
    }
    sink.0
}

struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_BYTES_MAX.saturating_sub(self.0.len());
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(fields: &[(&str, Value<'_>)]) -> OwnedRecord {
        let record = Record::builder()
            .args(format_args!("hello"))
            .target("watchbell::test")
            .key_values(&fields)
            .build();
        OwnedRecord::capture(&record, 5)
    }

    #[test]
    fn types_of_fields_survive() {
        let record = capture(&[
            ("a", Value::from(true)),
            ("b", Value::from(7u32)),
            ("c", Value::from(-7i64)),
            ("d", Value::from(0.5)),
            ("e", Value::from("7")),
            ("f", Value::from(f64::NAN)),
            ("a", Value::from("again")),
        ]);
        let values: Vec<_> = record.fields.into_iter().map(|(_, value)| value).collect();
        assert_eq!(
            values,
            [
                FieldValue::Bool(true),
                FieldValue::Unsigned(7),
                FieldValue::Signed(-7),
                FieldValue::Float(0.5),
                FieldValue::Text("7".into()),
                FieldValue::Text("NaN".into()),
            ]
        );
    }

    #[test]
    fn secrets_are_masked_by_name() {
        let record = capture(&[
            ("source.token", Value::from("s3cret")),
            ("Authorization", Value::from("Bearer s3cret")),
            ("token_count", Value::from(3u32)),
        ]);
        assert!(!format!("{record:?}").contains("s3cret"));
        assert_eq!(record.fields[2].1, FieldValue::Unsigned(3));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = "ü".repeat(TEXT_BYTES_MAX);
        let text = limited(&format!("x{long}"));
        assert!(text.len() <= TEXT_BYTES_MAX + CUT_MARK.len());
        assert!(text.ends_with("ü…(cut)"));
        assert_eq!(limited(&"short"), "short");
    }

    #[test]
    fn many_fields_are_bounded() {
        let names: Vec<String> = (0..100).map(|n| format!("f{n}")).collect();
        let fields: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Value::from(1u8)))
            .collect();
        assert_eq!(capture(&fields).fields.len(), FIELDS_MAX);
    }
}
