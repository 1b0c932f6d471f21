//! A file of tests as it is written, in TOML or YAML.
//!
//! Must not fill in what a decision depends on, except what `docs/rule-tests.md` says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use smol_str::SmolStr;

use crate::core::time::{Span, Timestamp};

/// A file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The configuration whose rules are tested, from the folder of this file.
    pub config: Option<String>,
    /// The CMDB: a file in the native format, or the same written here.
    pub cmdb: Option<Value>,
    /// The tests.
    #[serde(default, rename = "test", alias = "tests")]
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What it shows.
    pub name: String,
    /// When it begins; 2026-01-05T12:00:00Z, a Monday, when nothing is said.
    pub start: Option<String>,
    /// A CMDB of its own.
    pub cmdb: Option<Value>,
    /// What happens and what is expected, in order of time.
    #[serde(default, rename = "step", alias = "steps")]
    pub steps: Vec<Step>,
}

/// Something that happens, is done or is expected at a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How long after the begin, or when; the time of the step before when nothing is said.
    pub at: Option<Value>,
    /// An alert, or several, that fire or end.
    #[serde(default)]
    pub alert: OneOrMany<AlertStep>,
    /// The same.
    #[serde(default)]
    pub alerts: OneOrMany<AlertStep>,
    /// A change of a CI.
    pub change: Option<ChangeStep>,
    /// A command to an incident.
    pub command: Option<CommandStep>,
    /// What is expected now.
    pub expect: Option<Expect>,
}

/// One, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// As a list.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// An alert that fires or ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertStep {
    /// What it is called; the label `alertname` unless that is given.
    pub name: Option<SmolStr>,
    /// What makes it this alert; its labels when nothing is said.
    pub key: Option<SmolStr>,
    /// Who sends it; `test` when nothing is said.
    pub source: Option<SmolStr>,
    /// `firing`, which it is when nothing is said, or `resolved`.
    pub status: Option<SmolStr>,
    /// A word of the ladder; the label `severity`, else `warning`, when nothing is said.
    pub severity: Option<SmolStr>,
    /// One line for people; the name when nothing is said.
    pub summary: Option<SmolStr>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<SmolStr, Value>,
    /// What the source says about the CI.
    pub ci: Option<SmolStr>,
}

/// A change of a CI.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeStep {
    /// Its id where it comes from.
    pub id: SmolStr,
    /// What it changes.
    pub ci: SmolStr,
    /// One line for people.
    pub summary: Option<SmolStr>,
    /// Where it stands.
    pub state: Option<SmolStr>,
}

/// A command to an incident; the fields are those of the API.
#[derive(Clone, Debug, Deserialize)]
pub struct CommandStep {
    /// The incident, as in the API or `{ alert = NAME }`; the only one when nothing is said.
    pub incident: Option<Value>,
    /// Which command: `acknowledge`, `hold`, ...
    #[serde(rename = "do")]
    pub verb: String,
    /// Who gives it; `test` when nothing is said.
    pub by: Option<SmolStr>,
    /// Whether it must be refused, and with which reason.
    pub refused: Option<SmolStr>,
    /// Its other fields.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

/// What is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How many incidents are open.
    pub open: Option<usize>,
    /// How many incidents there were so far, or what each of them is like.
    pub incidents: Option<CountOrMany>,
    /// What an incident is like.
    #[serde(default)]
    pub incident: OneOrMany<BTreeMap<String, Value>>,
    /// What an alert is like; found by its `name`.
    #[serde(default)]
    pub alert: OneOrMany<BTreeMap<String, Value>>,
    /// How many messages went to people so far.
    pub pages: Option<usize>,
    /// Who was told so far, each once, in any order.
    pub told: Option<Vec<String>>,
    /// How many requests there are, or what each of them is like.
    pub requests: Option<CountOrMany>,
}

/// A number, or one table for each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum CountOrMany {
    /// How many.
    Count(usize),
    /// Each.
    Each(Vec<BTreeMap<String, Value>>),
}

/// When a test begins that does not say.
pub const START: &str = "2026-01-05T12:00:00Z";

/// Reads a time: RFC 3339, a length like `1h30m` after the begin, or seconds after it.
///
/// # Errors
/// What is expected.
pub fn time(
    value: &Value,
    start: Timestamp,
    duration: &dyn Fn(&str) -> Result<Span, String>,
) -> Result<Timestamp, String> {
    match value {
        Value::Number(number) => {
            let seconds = number.as_f64().unwrap_or(-1.0);
            let length = std::time::Duration::try_from_secs_f64(seconds);
            let length = length.map_err(|_| format!("{value} is no time"))?;
            let ms =
                i64::try_from(length.as_millis()).map_err(|_| format!("{value} is no time"))?;
            Ok(start.plus(Span::from_millis(ms)))
        }
        Value::String(text) => {
            if let Ok(at) = text.parse::<jiff::Timestamp>() {
                return Ok(Timestamp::from_millis(at.as_millisecond()));
            }
            duration(text).map(|span| start.plus(span)).map_err(|_| {
                format!("{text:?} is no time: write a length like \"90s\" or \"1h30m\" after the begin, or a time like {START:?}")
            })
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("{value} is no time"))
        }
    }
}
