//! Texts and trees of a profile: JSON whose string leaves are Jinja.
//!
//! A leaf that is one expression keeps the type of its value; a leaf whose value is missing is left out. Statements do
//! not exist here: a profile is a table, not a program. Values are put into a tree, never into the text of JSON.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

/// Steps of one evaluation.
const FUEL: u64 = 100_000;
/// Bytes of one text.
const SOURCE_BYTES_MAX: usize = 16 * 1024;
/// What stays as it is in a part of a path.
const PATH_PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("cut", cut);
    environment.add_filter("oneline", oneline);
    environment.add_filter("html", html);
    environment.add_filter("adf", adf);
    environment.add_filter("time", time);
    environment.add_filter("ms", ms);
    environment.add_filter("json", json);
    environment
});

/// JSON, or anything like it, as a value of expressions.
pub(super) fn value_of(of: impl serde::Serialize) -> Value {
    Value::from(Serde(of))
}

/// At most so many characters.
fn cut(text: &str, at_most: usize) -> String {
    text.chars().take(at_most).collect()
}

/// Without line breaks.
fn oneline(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text as HTML that shows it as it is.
fn html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    format!("<p>{}</p>", escaped.replace('\n', "<br>"))
}

/// Text as the smallest document of Atlassian's format.
fn adf(text: &str) -> Value {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let paragraph = |line: &str| serde_json::json!({"type": "paragraph", "content": [{"type": "text", "text": line}]});
    let content: Vec<Json> = lines.map(paragraph).collect();
    value_of(serde_json::json!({"type": "doc", "version": 1, "content": content}))
}

/// Milliseconds since 1970 as a text of this form, in UTC or in a named zone.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the expression language hands its arguments over"
)]
fn time(ms: i64, form: &str, options: Kwargs) -> Result<String, Error> {
    let zone: Option<String> = options.get("zone")?;
    options.assert_all_used()?;
    let wrong = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let at = jiff::Timestamp::from_millisecond(ms).map_err(wrong)?;
    let zone = zone.as_deref().filter(|zone| !zone.is_empty());
    let zoned = at.in_tz(zone.unwrap_or("UTC")).map_err(wrong)?;
    jiff::fmt::strtime::format(form, &zoned).map_err(wrong)
}

/// A time of RFC 3339 as milliseconds since 1970.
fn ms(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

/// A value as the text of JSON.
fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

/// Which variables a text may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// Names.
    pub(super) names: &'a [&'a str],
    /// What stands below `set`.
    pub(super) set: &'a Map<String, Json>,
}

/// A compiled expression.
pub(super) struct Rule {
    source: String,
    inner: Expression<'static, 'static>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rule").field(&self.source).finish()
    }
}

impl Rule {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It is none, or uses a variable that does not exist.
    pub(super) fn compile(source: &str, known: Known<'_>) -> Result<Self, String> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(format!("is longer than {SOURCE_BYTES_MAX} bytes"));
        }
        let inner = ENVIRONMENT
            .compile_expression_owned(source.to_owned())
            .map_err(|error| format!("`{source}` is not a Jinja expression: {error}"))?;
        let mut names: Vec<String> = inner.undeclared_variables(true).into_iter().collect();
        names.sort();
        for name in names {
            let mut parts = name.split('.');
            let first = parts.next().unwrap_or_default();
            if !known.names.contains(&first) {
                let listed = known.names.join(", ");
                return Err(format!(
                    "`{source}`: `{first}` is not a variable; known here: {listed}"
                ));
            }
            if let ("set", Some(key)) = (first, parts.next())
                && !known.set.contains_key(key)
            {
                let listed: Vec<_> = known.set.keys().map(String::as_str).collect();
                return Err(format!(
                    "`{source}`: there is no `{key}` under [set]; known there: {}",
                    listed.join(", ")
                ));
            }
        }
        Ok(Self {
            source: source.to_owned(),
            inner,
        })
    }

    /// Whether it is a setting alone: that is the operator's own word and may have slashes in paths.
    fn is_setting(&self) -> bool {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        self.source.starts_with("set.") && self.source.chars().all(plain)
    }

    fn value(&self, vars: &Value) -> Result<Value, String> {
        self.inner
            .eval(vars)
            .map_err(|error| format!("`{}`: {error}", self.source))
    }

    /// Its value; nothing when it is missing or null.
    pub(super) fn json(&self, vars: &Value) -> Result<Option<Json>, String> {
        let value = self.value(vars)?;
        if value.is_undefined() || value.is_none() {
            return Ok(None);
        }
        serde_json::to_value(&value)
            .map(Some)
            .map_err(|error| format!("`{}`: {error}", self.source))
    }

    /// Its value as text; nothing when it is missing, null or empty.
    pub(super) fn text(&self, vars: &Value) -> Result<Option<String>, String> {
        let value = self.value(vars)?;
        if value.is_undefined() || value.is_none() {
            return Ok(None);
        }
        if matches!(value.kind(), ValueKind::Map | ValueKind::Seq) {
            return Ok(None);
        }
        let text = value.to_string().replace('\0', "");
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Whether it is true.
    pub(super) fn is_true(&self, vars: &Value) -> Result<bool, String> {
        self.value(vars).map(|value| value.is_true())
    }
}

#[derive(Debug)]
enum Part {
    Text(String),
    Rule(Rule),
}

/// A text with expressions in it.
#[derive(Debug)]
pub(super) struct Text(Vec<Part>);

impl Text {
    /// Compiles a text.
    ///
    /// # Errors
    /// An expression in it is wrong or not closed, or it has statements.
    pub(super) fn compile(source: &str, known: Known<'_>) -> Result<Self, String> {
        if source.contains("{%") || source.contains("{#") {
            return Err("has a Jinja statement; only {{ expressions }} are possible".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((before, behind)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (inner, after) =
                closed(behind).ok_or_else(|| format!("`{source}`: {{{{ is not closed"))?;
            parts.push(Part::Rule(Rule::compile(inner.trim(), known)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether it has no expression.
    fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The value: typed when it is one expression.
    pub(super) fn json(&self, vars: &Value) -> Result<Option<Json>, String> {
        match self.0.as_slice() {
            [Part::Rule(rule)] => rule.json(vars),
            _ => self.text(vars).map(|text| text.map(Json::String)),
        }
    }

    /// The text; nothing when it is one expression without a value.
    pub(super) fn text(&self, vars: &Value) -> Result<Option<String>, String> {
        if let [Part::Rule(rule)] = self.0.as_slice() {
            return Ok(rule.json(vars)?.map(|value| show(&value)));
        }
        self.joined(vars, |_, part| part.to_owned()).map(Some)
    }

    /// The text as a path: what expressions give is encoded.
    ///
    /// # Errors
    /// A value cannot be computed.
    pub(super) fn path(&self, vars: &Value) -> Result<String, String> {
        self.joined(vars, |rule, part| {
            if rule.is_setting() {
                part.to_owned()
            } else {
                utf8_percent_encode(part, PATH_PART).to_string()
            }
        })
    }

    fn joined(
        &self,
        vars: &Value,
        encode: impl Fn(&Rule, &str) -> String,
    ) -> Result<String, String> {
        let mut joined = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => joined.push_str(text),
                Part::Rule(rule) => {
                    if let Some(value) = rule.json(vars)? {
                        joined.push_str(&encode(rule, &show(&value)));
                    }
                }
            }
        }
        Ok(joined)
    }
}

/// Cuts a text at the end of the expression that it begins with; braces of tables and in quotes do not end it.
fn closed(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quote, mut before) = (0_usize, None, ' ');
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '{') => depth = depth.saturating_add(1),
            (None, '}') if depth > 0 => depth = depth.saturating_sub(1),
            (None, '}') => {
                let (inner, rest) = text.split_at(at);
                return rest.strip_prefix("}}").map(|after| (inner, after));
            }
            (None, _) => {}
        }
        before = letter;
    }
    None
}

/// A value as people write it.
pub(super) fn show(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}

/// A tree of JSON.
#[derive(Debug)]
pub(super) enum Tree {
    /// A value without expressions.
    Constant(Json),
    /// A text.
    Leaf(Text),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Table(Vec<(String, Self)>),
    /// A tree as the text of JSON: `{ "$json" = ... }`.
    Encoded(Box<Self>),
    /// An object laid over another one: `{ "$base" = "{{ ticket }}", ... }`.
    Over(Text, Vec<(String, Self)>),
}

impl Tree {
    /// Compiles a tree.
    ///
    /// # Errors
    /// What is wrong, with the path to it.
    pub(super) fn compile(value: &Json, path: &str, known: Known<'_>) -> Result<Self, String> {
        match value {
            Json::String(source) => {
                let text = Text::compile(source, known).map_err(|why| format!("{path}: {why}"))?;
                Ok(if text.is_constant() {
                    Self::Constant(value.clone())
                } else {
                    Self::Leaf(text)
                })
            }
            Json::Array(items) => {
                let items = items.iter().enumerate();
                let items =
                    items.map(|(at, item)| Self::compile(item, &format!("{path}[{at}]"), known));
                Ok(Self::List(items.collect::<Result<_, _>>()?))
            }
            Json::Object(table) => Self::compile_table(table, path, known),
            Json::Null | Json::Bool(_) | Json::Number(_) => Ok(Self::Constant(value.clone())),
        }
    }

    fn compile_table(
        table: &Map<String, Json>,
        path: &str,
        known: Known<'_>,
    ) -> Result<Self, String> {
        if let (Some(inner), 1) = (table.get("$json"), table.len()) {
            let inner = Self::compile(inner, &format!("{path}.$json"), known)?;
            return Ok(Self::Encoded(Box::new(inner)));
        }
        let fields = table.iter().filter(|(name, _)| *name != "$base");
        let fields = fields.map(|(name, value)| {
            let below = format!("{path}.{name}");
            Ok((name.clone(), Self::compile(value, &below, known)?))
        });
        let fields = fields.collect::<Result<Vec<_>, String>>()?;
        match table.get("$base") {
            None => Ok(Self::Table(fields)),
            Some(Json::String(base)) => {
                let base = Text::compile(base, known);
                let base = base.map_err(|why| format!("{path}.$base: {why}"))?;
                Ok(Self::Over(base, fields))
            }
            Some(_) => Err(format!("{path}.$base: expected an expression")),
        }
    }

    /// The tree with its values; nothing when everything in it is missing.
    pub(super) fn render(&self, vars: &Value) -> Result<Option<Json>, String> {
        match self {
            Self::Constant(value) => Ok(Some(value.clone())),
            Self::Leaf(text) => text.json(vars),
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(item.render(vars)?);
                }
                Ok(Some(Json::Array(list)).filter(|_| items.is_empty() || !is_empty(items, vars)))
            }
            Self::Table(fields) => {
                let table = render_fields(fields, vars)?;
                Ok((!table.is_empty() || fields.is_empty()).then_some(Json::Object(table)))
            }
            Self::Encoded(inner) => Ok(inner
                .render(vars)?
                .map(|value| Json::String(value.to_string()))),
            Self::Over(base, fields) => {
                let over = Json::Object(render_fields(fields, vars)?);
                let mut whole = base.json(vars)?.unwrap_or_else(|| Json::Object(Map::new()));
                merge(&mut whole, over);
                let is_empty = whole.as_object().is_some_and(Map::is_empty);
                Ok((!is_empty).then_some(whole))
            }
        }
    }
}

/// Whether a list has items and none has a value.
fn is_empty(items: &[Tree], vars: &Value) -> bool {
    items
        .iter()
        .all(|item| matches!(item.render(vars), Ok(None)))
}

fn render_fields(fields: &[(String, Tree)], vars: &Value) -> Result<Map<String, Json>, String> {
    let mut table = Map::new();
    for (name, tree) in fields {
        if let Some(value) = tree.render(vars)? {
            table.insert(name.clone(), value);
        }
    }
    Ok(table)
}

/// Lays one tree over another: objects are merged, everything else is replaced.
pub(super) fn merge(under: &mut Json, over: Json) {
    match (under, over) {
        (Json::Object(under), Json::Object(over)) => {
            for (name, value) in over {
                match under.get_mut(&name) {
                    Some(held) => merge(held, value),
                    None => {
                        under.insert(name, value);
                    }
                }
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known(set: &Map<String, Json>) -> Known<'_> {
        Known {
            names: &["title", "n", "set", "ticket"],
            set,
        }
    }

    #[test]
    fn leaves_keep_types_and_missing_ones_are_left_out() {
        let set = Map::new();
        let source = json!({"a": "{{ n }}", "b": "{{ n }}!", "c": "{{ ticket.x }}", "d": {"e": "{{ ticket.y }}"},
            "f": {"$json": {"g": "{{ title }}"}}, "h": {"$base": "{{ ticket.z }}", "i": 1}});
        let tree = Tree::compile(&source, "body", known(&set)).unwrap();
        let vars =
            value_of(json!({"n": 3, "title": "say \"hi\"", "ticket": {"z": {"i": 0, "k": 2}}}));
        let got = tree.render(&vars).unwrap().unwrap();
        let want =
            json!({"a": 3, "b": "3!", "f": "{\"g\":\"say \\\"hi\\\"\"}", "h": {"i": 1, "k": 2}});
        assert_eq!(got, want);
    }

    #[test]
    fn wrong_names_statements_and_open_braces_are_found_at_load() {
        let mut set = Map::new();
        set.insert("queue".to_owned(), json!("x"));
        for wrong in [
            "{{ tilte }}",
            "{% if n %}",
            "{{ n",
            "{{ set.quue }}",
            "{{ n | nofilter }}",
        ] {
            let done = Text::compile(wrong, known(&set));
            let is_late = wrong.contains("nofilter");
            assert!(done.is_err() || is_late, "{wrong}");
        }
        assert!(Text::compile("{{ set.queue }}", known(&set)).is_ok());
    }

    #[test]
    fn braces_of_tables_and_quotes_do_not_end_an_expression() {
        let set = Map::new();
        let source = "{{ {'a': {'b': title}} }}-{{ '}}' ~ n }}";
        let text = Text::compile(source, known(&set)).unwrap();
        let vars = value_of(json!({"title": "x", "n": 1}));
        assert_eq!(
            text.text(&vars).unwrap().unwrap(),
            "{\"a\":{\"b\":\"x\"}}-}}1"
        );
    }

    #[test]
    fn values_in_paths_are_encoded() {
        let set = Map::new();
        let text = Text::compile("/a/{{ title }}/b", known(&set)).unwrap();
        let vars = value_of(json!({"title": "../x?y=1"}));
        assert_eq!(text.path(&vars).unwrap(), "/a/..%2Fx%3Fy%3D1/b");
    }
}
