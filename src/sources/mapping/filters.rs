//! What expressions may call: filters and tests that are bounded in memory, and nothing else.
//!
//! Of the language's own filters those are left out that can make much from little (`indent`, `format`, `zip`, `batch`
//! ...) and those that call others by name. Must not look anything up outside of the arguments.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{Environment, Error, ErrorKind, State, filters, tests};

use crate::sources::json;
use crate::sources::mapping::value::{self, Budget, SHOWN_BYTES_MAX};

/// Items of a list that a filter makes; a longer one is an error.
const LIST_MAX: usize = 10_000;

/// Adds every filter and test.
pub(super) fn install(env: &mut Environment<'static>) {
    texts(env);
    lists(env);
    env.add_filter("default", filters::default);
    env.add_filter("d", filters::default);
    env.add_filter("int", filters::int);
    env.add_filter("float", filters::float);
    env.add_filter("times", times);
    env.add_filter("bool", filters::bool);
    env.add_filter("known", known);
    env.add_filter("pick", |value: &Value, paths: Rest<String>| {
        pick(value, &paths)
    });
    env.add_filter("tojson", to_json);
    env.add_filter("fromjson", from_json);
    env.add_test("defined", tests::is_defined);
    env.add_test("undefined", tests::is_undefined);
    env.add_test("none", value::is_missing);
    env.add_test("true", tests::is_true);
    env.add_test("false", tests::is_false);
    env.add_test("boolean", tests::is_boolean);
    env.add_test("number", tests::is_number);
    env.add_test("string", tests::is_string);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("in", tests::is_in);
    // What `select` and its kin compare with.
    env.add_test("eq", tests::is_eq);
    env.add_test("ne", tests::is_ne);
    env.add_test("lt", tests::is_lt);
    env.add_test("le", tests::is_le);
    env.add_test("gt", tests::is_gt);
    env.add_test("ge", tests::is_ge);
}

fn texts(env: &mut Environment<'static>) {
    env.add_filter("lower", filters::lower);
    env.add_filter("upper", filters::upper);
    env.add_filter("capitalize", filters::capitalize);
    env.add_filter("trim", filters::trim);
    env.add_filter("string", filters::string);
    env.add_filter("replace", replace);
    env.add_filter("join", join);
    env.add_filter("before", before);
    env.add_filter("after", after);
}

fn lists(env: &mut Environment<'static>) {
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_filter("first", |items: &Value| ends(items).map(|(first, _)| first));
    env.add_filter("last", |items: &Value| ends(items).map(|(_, last)| last));
    env.add_filter("split", split);
    env.add_filter("pairs", pairs);
    env.add_filter("map", |items: &Value, how: Kwargs| map(items, &how));
    env.add_filter(
        "sort",
        |state: &State<'_, '_>, items: Value, how: Kwargs| {
            bounded(&filters::sort(state, items, how)?)
        },
    );
    env.add_filter(
        "unique",
        |state: &State<'_, '_>, items: Value, how: Kwargs| {
            bounded(&filters::unique(state, items, how)?)
        },
    );
    type Test<'t> = Option<&'t str>;
    env.add_filter(
        "selectattr",
        |state: &mut State<'_, '_>,
         items: &Value,
         name: &str,
         test: Test<'_>,
         args: Rest<Value>| { picked(state, items, (name, test, &args), true) },
    );
    env.add_filter(
        "rejectattr",
        |state: &mut State<'_, '_>,
         items: &Value,
         name: &str,
         test: Test<'_>,
         args: Rest<Value>| { picked(state, items, (name, test, &args), false) },
    );
}

fn refused(problem: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// A list of ours with the same items, so that showing it is bounded too.
fn bounded(items: &Value) -> Result<Value, Error> {
    Ok(value::list(items_of(items)?, None))
}

/// The items of a list, if they are not too many.
fn items_of(items: &Value) -> Result<Vec<Value>, Error> {
    let read: Vec<Value> = items.try_iter()?.take(LIST_MAX + 1).collect();
    if read.len() > LIST_MAX {
        return Err(refused(format!(
            "a list of more than {LIST_MAX} items is too long here"
        )));
    }
    Ok(read)
}

fn bounded_text(text: &str) -> Value {
    value::text(text)
}

fn length(items: &Value) -> Result<usize, Error> {
    if value::is_missing(items) {
        return Ok(0);
    }
    filters::length(items)
}

/// The first and the last item; undefined when there is none.
fn ends(items: &Value) -> Result<(Value, Value), Error> {
    let items = items_of(items)?;
    let end = |item: Option<&Value>| item.cloned().unwrap_or_default();
    Ok((end(items.first()), end(items.last())))
}

fn replace(text: &Value, from: &str, to: &str) -> Result<Value, Error> {
    let Some(text) = text.as_str() else {
        return Ok(text.clone());
    };
    if from.is_empty() {
        return Err(refused("replace needs a text to look for"));
    }
    let mut out = String::new();
    let mut parts = text.split(from);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(to);
        out.push_str(part);
        if out.len() > SHOWN_BYTES_MAX {
            break;
        }
    }
    Ok(bounded_text(&out))
}

fn join(items: &Value, joiner: Option<&str>) -> Result<Value, Error> {
    let mut out = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(joiner.unwrap_or_default());
        }
        let left = SHOWN_BYTES_MAX.saturating_sub(out.len());
        out.push_str(&value::shown(&item, left));
        if out.len() >= SHOWN_BYTES_MAX {
            break;
        }
    }
    Ok(bounded_text(&out))
}

/// The part before the first separator; the whole text when there is none.
fn before(text: &Value, separator: &str) -> Value {
    let Some(whole) = text.as_str() else {
        return text.clone();
    };
    Value::from(
        whole
            .split_once(separator)
            .map_or(whole, |(before, _)| before),
    )
}

/// The part after the first separator; nothing when there is none.
fn after(text: &Value, separator: &str) -> Value {
    text.as_str()
        .and_then(|text| text.split_once(separator))
        .map_or(Value::UNDEFINED, |(_, after)| Value::from(after))
}

fn split(text: &Value, separator: Option<&str>) -> Result<Value, Error> {
    let text = text.as_str().unwrap_or_default();
    // As many parts as a text can have that expressions see.
    let parts: Vec<Value> = match separator {
        Some("") => return Err(refused("split needs a separator")),
        Some(separator) => text.split(separator).map(Value::from).collect(),
        None => text.split_whitespace().map(Value::from).collect(),
    };
    Ok(value::list(parts, None))
}

/// One attribute of every item, by its name or its dotted path.
fn map(items: &Value, how: &Kwargs) -> Result<Value, Error> {
    let path: &str = how.get("attribute")?;
    how.assert_all_used()?;
    let mut read = Vec::new();
    for item in items_of(items)? {
        read.push(at_path(&item, path));
    }
    Ok(value::list(read, None))
}

/// What a dotted path leads to; undefined where it breaks off.
pub(super) fn at_path(value: &Value, path: &str) -> Value {
    path.split('.').fold(value.clone(), |value, name| {
        let found = match name.parse::<usize>() {
            Ok(index) if value.as_str().is_none() => value.get_item_by_index(index),
            Ok(_) | Err(_) => value.get_attr(name),
        };
        found.unwrap_or_default()
    })
}

/// The items of which an attribute is true or passes a test, or the other items.
fn picked(
    state: &mut State<'_, '_>,
    items: &Value,
    (attribute, test, args): (&str, Option<&str>, &[Value]),
    is_wanted: bool,
) -> Result<Value, Error> {
    let mut read = Vec::new();
    for item in items_of(items)? {
        let value = at_path(&item, attribute);
        let passes = match test {
            None => value.is_true(),
            Some(test) => {
                let mut tested = vec![value];
                tested.extend_from_slice(args);
                state.perform_test(test, &tested)?
            }
        };
        if passes == is_wanted {
            read.push(item);
        }
    }
    Ok(value::list(read, None))
}

/// An object from a list of `{tag, value}` objects or of `name:value` texts, as tags are often written.
fn pairs(items: &Value) -> Result<Value, Error> {
    let mut entries = Vec::new();
    for item in items_of(items)? {
        if let Some((name, value)) = pair_of(&item) {
            entries.push((name, value));
        }
    }
    Ok(value::map(entries, None))
}

/// Names under which lists of pairs carry the name of one.
const PAIR_NAMES: [&str; 4] = ["tag", "name", "key", "label"];

/// A name and a value, if an item of a list is such a pair.
pub(super) fn pair_of(item: &Value) -> Option<(Value, Value)> {
    if let Some(text) = item.as_str() {
        let (name, value) = text.split_once([':', '='])?;
        return Some((Value::from(name.trim()), Value::from(value.trim())));
    }
    let name = PAIR_NAMES
        .iter()
        .map(|name| at_path(item, name))
        .find(|name| name.as_str().is_some())?;
    Some((name, at_path(item, "value")))
}

fn times(number: &Value, factor: f64) -> Result<Value, Error> {
    if value::is_missing(number) {
        return Ok(Value::UNDEFINED);
    }
    let number: f64 = f64::try_from(number.clone())?;
    Ok(Value::from(number * factor))
}

/// The value, unless it is a placeholder that the sender did not fill in: `{EVENT.ID}`, `$ALERT_ID`, `%sensor`,
/// `{{ x }}`, `*UNKNOWN*`, `<no value>`, or nothing but blanks.
fn known(value: &Value) -> Value {
    let Some(text) = value.as_str().map(str::trim) else {
        return value.clone();
    };
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.$#<>:".contains(&byte))
    };
    let is_unfilled = text.is_empty()
        || matches!(text, "*UNKNOWN*" | "<no value>")
        || (text.starts_with("{{") && text.ends_with("}}"))
        || (text.starts_with('{') && text.ends_with('}') && is_name(text.trim_matches(['{', '}'])))
        || text.strip_prefix('%').is_some_and(|name| {
            is_name(name) && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        })
        || text.strip_prefix('$').is_some_and(|name| {
            is_name(name)
                && name.bytes().all(|byte| !byte.is_ascii_lowercase())
                && name.starts_with(|letter: char| letter.is_ascii_uppercase())
        });
    if is_unfilled {
        Value::UNDEFINED
    } else {
        value.clone()
    }
}

/// The first of several fields that says something, for senders that name the same thing in many ways.
fn pick(value: &Value, paths: &[String]) -> Value {
    let found = paths.iter().map(|path| known(&at_path(value, path)));
    let mut found = found.filter(|value| !value::is_missing(value));
    found.next().unwrap_or_default()
}

fn to_json(value: &Value) -> Value {
    if value.as_str().is_some() {
        let list = value::list(vec![value.clone()], None);
        let shown = value::shown(&list, SHOWN_BYTES_MAX);
        return Value::from(shown.trim_start_matches('[').trim_end_matches(']'));
    }
    Value::from(value::shown(value, SHOWN_BYTES_MAX))
}

/// JSON inside a text; what is no text stays, what is no JSON is undefined.
fn from_json(value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return value.clone();
    };
    let text = json::text(text.as_bytes()).unwrap_or_default();
    value::read(text, &Budget::of_body(text.len())).unwrap_or_default()
}
