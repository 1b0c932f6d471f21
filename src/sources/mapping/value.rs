//! JSON as values of the expression language, bounded in size and in the work they cause.
//!
//! A missing key and `null` are the same: undefined. A list or an object that is shown as text becomes JSON, cut at
//! [`SHOWN_BYTES_MAX`]; going through its items is charged to the [`Budget`] of the message. Must not know a field of
//! a mapping.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::sources::DecodeError;
use crate::sources::json::{self, Scalar};

/// Bytes of a text that expressions see; the rest is cut, and since no field takes as much, the alert is flagged.
pub const SHOWN_BYTES_MAX: usize = 32 * 1024;
/// Values in one message; no real sender comes near, and each costs memory.
pub const VALUES_MAX: usize = 1_000_000;
/// Work that any message may cause, in items visited and bytes written.
const WORK_BASE: i64 = 4 << 20;
/// Work that each byte of a message adds.
const WORK_PER_BYTE: i64 = 32;

/// The work that one message may still cause; shared by all values of it.
#[derive(Debug)]
pub struct Budget(AtomicI64);

impl Budget {
    /// The budget of a message of so many bytes.
    pub fn of_body(bytes: usize) -> Arc<Self> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let work = bytes
            .saturating_mul(WORK_PER_BYTE)
            .saturating_add(WORK_BASE);
        Arc::new(Self(AtomicI64::new(work)))
    }

    /// Takes note of work.
    pub fn charge(&self, work: usize) {
        let work = i64::try_from(work).unwrap_or(i64::MAX);
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(work), Ordering::Relaxed);
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }
}

/// Reads JSON text that [`json::text`] took.
///
/// # Errors
/// The text is not JSON, or holds more than [`VALUES_MAX`] values.
pub fn read(text: &str, budget: &Arc<Budget>) -> Result<Value, DecodeError> {
    let parse = |text: &str| {
        let count = Cell::new(0);
        let reader = Reader {
            budget,
            count: &count,
        };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = reader.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    };
    parse(text).or_else(|error: serde_json::Error| {
        // Half a character is the one fault that can be mended.
        let mended = json::mend_surrogates(text);
        if mended == text {
            return Err(json::error_of(&error, "send less in one message"));
        }
        parse(&mended).map_err(|error| json::error_of(&error, "send less in one message"))
    })
}

/// A text, cut to [`SHOWN_BYTES_MAX`] at a character.
pub fn text(text: &str) -> Value {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    Value::from(text.get(..end).unwrap_or_default())
}

/// An object of the given entries; of equal names the last one counts.
pub fn map(mut entries: Vec<(Value, Value)>, budget: Option<&Arc<Budget>>) -> Value {
    if !entries.is_sorted_by(|(left, _), (right, _)| name(left) < name(right)) {
        entries.reverse();
        entries.sort_by(|(left, _), (right, _)| name(left).cmp(name(right)));
        entries.dedup_by(|(later, _), (earlier, _)| name(later) == name(earlier));
    }
    Value::from_object(Map {
        entries,
        budget: budget.cloned(),
    })
}

/// A list of the given items.
pub fn list(items: Vec<Value>, budget: Option<&Arc<Budget>>) -> Value {
    Value::from_object(List {
        items,
        budget: budget.cloned(),
    })
}

/// The value as text: texts as they are, other values as JSON, cut to `bytes_max`; nothing when there is none.
pub fn shown(value: &Value, bytes_max: usize) -> String {
    let mut shown = String::new();
    if let Some(text) = value.as_str() {
        shown.push_str(
            text.get(..text.floor_char_boundary(bytes_max))
                .unwrap_or(""),
        );
    } else if !is_missing(value) {
        let mut capped = Capped {
            out: &mut shown,
            left: bytes_max,
        };
        // The only error is the reached limit.
        write_json(value, &mut capped).ok();
    }
    shown
}

/// What a value can be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It says nothing.
    Missing,
    /// True or false.
    Flag,
    /// A text, a number, or anything else that prints.
    Text,
    /// A list.
    List,
    /// An object.
    Map,
}

impl Form {
    /// In words for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Flag => "true or false",
            Self::Text => "a text or number",
            Self::List => "a list",
            Self::Map => "an object",
        }
    }
}

/// What a value can be used as.
pub fn form(value: &Value) -> Form {
    let kind = value.kind();
    if is_missing(value) {
        Form::Missing
    } else if kind == ValueKind::Bool {
        Form::Flag
    } else if kind == ValueKind::Map {
        Form::Map
    } else if kind == ValueKind::Seq || kind == ValueKind::Iterable {
        Form::List
    } else {
        Form::Text
    }
}

/// Whether a value says nothing.
pub fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

fn name(key: &Value) -> &str {
    key.as_str().unwrap_or_default()
}

#[derive(Debug)]
struct Map {
    entries: Vec<(Value, Value)>,
    budget: Option<Arc<Budget>>,
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = self
            .entries
            .binary_search_by(|(known, _)| name(known).cmp(key));
        let (_, value) = self.entries.get(found.ok()?)?;
        Some(value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if is_out_of(self.budget.as_ref(), self.entries.len()) {
            return Enumerator::Empty;
        }
        Enumerator::Values(self.entries.iter().map(|(key, _)| key.clone()).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.entries.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(&Value::from_dyn_object(Arc::clone(self)), f)
    }
}

#[derive(Debug)]
struct List {
    items: Vec<Value>,
    budget: Option<Arc<Budget>>,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if is_out_of(self.budget.as_ref(), self.items.len()) {
            return Enumerator::Empty;
        }
        Enumerator::Seq(self.items.len())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render(&Value::from_dyn_object(Arc::clone(self)), f)
    }
}

/// Charges a walk through items. Out of budget there are none; the evaluation then fails for that reason.
fn is_out_of(budget: Option<&Arc<Budget>>, items: usize) -> bool {
    budget.is_some_and(|budget| {
        budget.charge(items);
        budget.is_spent()
    })
}

fn render(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&shown(value, SHOWN_BYTES_MAX))
}

/// Writes into a text until the limit, then fails.
struct Capped<'o> {
    out: &'o mut String,
    left: usize,
}

impl Write for Capped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(self.left);
        self.out.push_str(text.get(..end).unwrap_or_default());
        self.left = self.left.saturating_sub(end);
        if end < text.len() {
            self.left = 0;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

fn write_json(value: &Value, out: &mut Capped<'_>) -> fmt::Result {
    if let Some(text) = value.as_str() {
        return write_quoted(text, out);
    }
    match form(value) {
        Form::Missing => out.write_str("null"),
        Form::Flag => out.write_str(if value.is_true() { "true" } else { "false" }),
        Form::Map => write_items(value, ('{', '}'), out),
        Form::List => write_items(value, ('[', ']'), out),
        Form::Text => write!(out, "{value}"),
    }
}

fn write_items(value: &Value, (open, close): (char, char), out: &mut Capped<'_>) -> fmt::Result {
    out.write_char(open)?;
    for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
        if index > 0 {
            out.write_char(',')?;
        }
        if open == '{' {
            write_quoted(name(&item), out)?;
            out.write_char(':')?;
            write_json(&value.get_item(&item).unwrap_or_default(), out)?;
        } else {
            write_json(&item, out)?;
        }
    }
    out.write_char(close)
}

fn write_quoted(text: &str, out: &mut Capped<'_>) -> fmt::Result {
    let end = text.floor_char_boundary(out.left);
    let fits = text.get(..end).unwrap_or_default();
    out.write_str(&serde_json::to_string(fits).map_err(|_| fmt::Error)?)
}

/// Builds values while reading, so that no second tree is made.
#[derive(Clone, Copy)]
struct Reader<'b> {
    budget: &'b Arc<Budget>,
    count: &'b Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let count = self.count.get().saturating_add(1);
        self.count.set(count);
        if count > VALUES_MAX {
            return Err(D::Error::custom(format!(
                "holds more than {VALUES_MAX} values"
            )));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::from(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E>(self, whole: &str) -> Result<Value, E> {
        Ok(text(whole))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            read.push(item);
        }
        Ok(list(read, Some(self.budget)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = object.next_key::<Scalar<'_>>()? {
            let value = object.next_value_seed(self)?;
            if !value.is_none() {
                entries.push((Value::from(&*key.0), value));
            }
        }
        Ok(map(entries, Some(self.budget)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        read(text, &Budget::of_body(text.len())).unwrap()
    }

    #[test]
    fn json_comes_back_as_it_was_with_names_sorted_and_null_gone() {
        let got =
            value(r#"{"b":[1,-2,0.5,true,null,"x\"\u003c"],"a":{"n":null},"b2":"","b2":"last"}"#);
        assert_eq!(
            shown(&got, 1000),
            r#"{"a":{},"b":[1,-2,0.5,true,null,"x\"<"],"b2":"last"}"#
        );
        assert_eq!(format!("{got}"), shown(&got, 1000));
        assert!(
            got.get_attr("a")
                .unwrap()
                .get_attr("n")
                .unwrap()
                .is_undefined()
        );
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let long = format!(r#"{{"a":["{}"]}}"#, "ä".repeat(SHOWN_BYTES_MAX));
        let got = value(&long);
        assert!(format!("{got}").len() <= SHOWN_BYTES_MAX);
        let text = got.get_attr("a").unwrap().get_item_by_index(0).unwrap();
        assert_eq!(text.as_str().unwrap().len(), SHOWN_BYTES_MAX);
        assert_eq!(shown(&got, 9), r#"{"a":["ä"#);
    }

    #[test]
    fn too_many_values_are_refused_and_half_characters_mended() {
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        let error = read(&many, &Budget::of_body(0)).unwrap_err();
        assert!(
            error.to_string().contains("more than 1000000 values"),
            "{error}"
        );
        assert_eq!(shown(&value(r#""a\ud83d""#), 100), "a\u{fffd}");
    }

    #[test]
    fn walks_are_charged_and_a_spent_budget_shows() {
        let budget = Budget::of_body(0);
        let items = read("[1,2,3]", &budget).unwrap();
        assert_eq!(items.try_iter().unwrap().count(), 3);
        assert!(!budget.is_spent());
        budget.charge(usize::MAX);
        assert!(budget.is_spent());
        assert_eq!(items.try_iter().unwrap().count(), 0);
        assert_eq!(items.len(), Some(3));
    }
}
