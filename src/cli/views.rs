//! The API's answers, as far as commands show them.
//!
//! Lenient on purpose: a field that is missing is shown as empty, an unknown one is left out, so that a command also
//! talks to a daemon of a neighbouring release. Must not be used by the API itself.

use jiff::Timestamp as Rfc3339;
use serde::Deserialize;

use crate::cli::scope::Scope;
use crate::cli::table::Paint;
use crate::core::reason::Reason;
use crate::core::silence::Operator;
use crate::core::time::Timestamp;

/// An incident.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Incident {
    /// `INC-42`.
    pub number: String,
    /// `new`, `acknowledged`, ...
    pub state: String,
    /// `P1` to `P5`.
    pub priority: String,
    /// One line.
    pub title: String,
    /// How many alerts.
    pub alerts: Counts,
    /// Who has it.
    pub assignee: Option<String>,
    /// Whose it is.
    pub team: Option<String>,
    /// Services reached.
    pub services: Vec<String>,
    /// When it was opened.
    pub opened_at: Option<Rfc3339>,
    /// When a person took notice.
    pub acknowledged_at: Option<Rfc3339>,
    /// When it was resolved.
    pub resolved_at: Option<Rfc3339>,
    /// When it was closed.
    pub closed_at: Option<Rfc3339>,
    /// When work goes on by itself, while on hold.
    pub hold_until: Option<Rfc3339>,
    /// Until when the acknowledgement holds.
    pub acknowledged_until: Option<Rfc3339>,
    /// When it resolves if no alert fires before.
    pub recovers_at: Option<Rfc3339>,
    /// When it closes by itself, while resolved.
    pub closes_at: Option<Rfc3339>,
    /// Why it is on hold.
    pub hold_reason: Option<String>,
    /// The incident before it.
    pub previous: Option<String>,
    /// How often it changed.
    pub version: u64,
}

/// Alerts of an incident.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Still firing.
    pub firing: u64,
    /// All of them.
    pub total: u64,
}

/// A silence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Silence {
    /// Its UUID.
    pub id: String,
    /// `pending`, `active` or `expired`.
    pub state: String,
    /// From then on.
    pub starts_at: Option<Rfc3339>,
    /// Until then.
    pub ends_at: Option<Rfc3339>,
    /// When it was changed last.
    pub updated_at: Option<Rfc3339>,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Firing alerts that it hides.
    pub alerts: u64,
    matchers: Vec<Matcher>,
    scope: Scope,
}

/// A condition of a silence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Matcher {
    name: String,
    value: String,
    is_regex: bool,
    is_equal: bool,
}

impl Silence {
    /// Its matchers and scope as people write them.
    pub fn matchers(&self) -> Vec<String> {
        let mut written: Vec<String> = self.matchers.iter().map(Matcher::written).collect();
        written.extend(self.scope.words());
        written
    }
}

impl Matcher {
    /// As people write it.
    pub(super) fn written(&self) -> String {
        let sign = Operator::new(self.is_regex, self.is_equal).sign();
        format!("{}{sign}{:?}", self.name, self.value)
    }
}

/// An alert.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// `A-17`.
    pub id: String,
    /// Its source.
    pub source: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// What ended it.
    pub ended_by: Option<String>,
    /// `critical` to `info`.
    pub severity: String,
    /// One line.
    pub summary: String,
    /// Its incident.
    pub incident: Option<String>,
    /// When its episode began.
    pub starts_at: Option<Rfc3339>,
    /// How often it was reported.
    pub count: u64,
}

/// An entry of a timeline, or a decision of an explanation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Its number, in order of happening.
    pub id: i64,
    /// When it was decided.
    pub at: Option<Rfc3339>,
    /// The reason's code.
    pub reason: String,
    /// The reason's sentence, if the daemon gives one.
    pub text: Option<String>,
    /// The state that was entered.
    pub state: Option<String>,
    /// The alert it is about.
    pub alert: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// What was said.
    pub note: Option<String>,
}

impl Entry {
    /// One line that tells what happened, why and by whom.
    pub fn line(&self) -> String {
        let known = || Reason::from_code(&self.reason).map(|reason| reason.sentence().to_owned());
        let sentence = self.text.clone().or_else(known);
        let mut line = sentence.unwrap_or_else(|| self.reason.clone());
        if let Some(note) = filled(self.note.as_ref()) {
            line.push_str(&format!(" \"{note}\""));
        }
        let about = [
            filled(self.actor.as_ref()).map(|actor| format!("by {actor}")),
            filled(self.alert.as_ref()).cloned(),
            filled(self.state.as_ref()).map(|state| format!("now {}", words(state))),
        ];
        let about: Vec<String> = about.into_iter().flatten().collect();
        if !about.is_empty() {
            line.push_str(&format!(" ({})", about.join(", ")));
        }
        line
    }
}

/// What `explain` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// The answer in one or two sentences.
    pub summary: String,
    /// Every decision.
    pub decisions: Vec<Entry>,
    /// Whether earlier decisions are left out.
    pub truncated: bool,
}

/// A dead letter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeadLetter {
    /// `D-3`.
    pub id: String,
    /// When it was put aside.
    pub at: Option<Rfc3339>,
    /// Its source.
    pub source: String,
    /// The kind of trouble.
    pub reason: String,
    /// What is wrong, and where.
    pub detail: String,
    /// The declared type of the body.
    pub content_type: Option<String>,
    /// How long the body was.
    pub body_bytes: u64,
    /// The body as text.
    pub body: String,
}

/// A source.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// When its last message came.
    pub last_message_at: Option<Rfc3339>,
    /// When the last test message came.
    pub last_test_at: Option<Rfc3339>,
    /// Messages a second over the last minutes.
    pub rate: f64,
    /// Seconds by which its clock is ahead.
    pub skew_s: Option<f64>,
    /// What was wrong.
    pub errors: SourceErrors,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// What was wrong with messages of a source.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SourceErrors {
    /// How many messages could not be used in whole.
    pub count: u64,
    /// When the last one came.
    pub last_at: Option<Rfc3339>,
    /// What was wrong with it.
    pub last_reason: Option<String>,
}

/// A time of the API as a value.
pub fn time(at: Rfc3339) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

/// A state as people write it.
pub fn words(state: &str) -> String {
    state.replace('_', " ")
}

/// A text that is there and not empty.
pub fn filled(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

/// The colour of a priority.
pub fn priority_paint(priority: &str) -> Paint {
    match priority {
        "P1" => Paint::Alarm,
        "P2" => Paint::Red,
        "P3" => Paint::Yellow,
        "P5" => Paint::Dim,
        _ => Paint::Plain,
    }
}

/// The colour of a severity.
pub fn severity_paint(severity: &str) -> Paint {
    match severity {
        "critical" => Paint::Alarm,
        "high" => Paint::Red,
        "warning" => Paint::Yellow,
        "info" => Paint::Dim,
        _ => Paint::Plain,
    }
}
