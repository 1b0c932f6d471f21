//! From a written test to what differs from what it expects.
//!
//! Must not decide anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};

use super::drive::Drive;
use super::file::{
    AlertStep, ChangeStep, CommandStep, CountOrMany, Expect, START, Step, Test, time as read_time,
};
use super::table::{self, Facts, is_as};
use crate::core::cmdb::graph::Difference;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::input::{Command, CommandGiven, Input};
use crate::core::observation::Claim;
use crate::core::records::change::ChangeWanted;
use crate::core::records::{ChangeState, Kind, RecordGiven, RecordOrder};
use crate::core::rules::Rules;
use crate::core::time::{Span, Timestamp};
use crate::lab::event::AlertSaid;
use crate::sources::severity_words::{DEFAULT, severity_of};
use crate::sources::status_words::{Status, status_of};

/// Reads a length of time as the configuration does.
pub type ReadSpan<'a> = &'a dyn Fn(&str) -> Result<Span, String>;

/// One thing that is not as expected, or a test that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// At which step, from 1.
    pub step: usize,
    /// How long after the begin.
    pub after: Span,
    /// What differs.
    pub text: String,
}

/// A test being played.
struct Trial<'a> {
    drive: Drive,
    start: Timestamp,
    span: ReadSpan<'a>,
    step: usize,
    misses: Vec<Miss>,
}

/// Plays a test.
pub fn run(test: &Test, rules: Arc<Rules>, cmdb: &Difference, span: ReadSpan<'_>) -> Vec<Miss> {
    let zero = Timestamp::from_millis(0);
    let start = test.start.as_deref().unwrap_or(START);
    let mut trial = Trial {
        drive: Drive::new(rules),
        start: zero,
        span,
        step: 0,
        misses: Vec::new(),
    };
    match start.parse::<jiff::Timestamp>() {
        Ok(at) => trial.start = Timestamp::from_millis(at.as_millisecond()),
        Err(_) => trial.miss(format!(
            "start {start:?} is no time; write it like {START:?}"
        )),
    }
    if !cmdb.put.is_empty() {
        trial.drive.state_mut().change_graph(cmdb);
    }
    let begin = trial.start;
    trial.drive.pass(begin);
    let mut at = begin;
    for (index, step) in test.steps.iter().enumerate() {
        trial.step = index.saturating_add(1);
        if !trial.misses.is_empty() && trial.misses.iter().any(|miss| miss.step == 0) {
            break;
        }
        at = match &step.at {
            None => at,
            Some(value) => match read_time(value, begin, span) {
                Ok(then) if then < at => {
                    trial.miss("is earlier than the step before it".to_owned());
                    at
                }
                Ok(then) => then,
                Err(problem) => {
                    trial.miss(problem);
                    at
                }
            },
        };
        trial.drive.pass(at);
        trial.play(step, at);
    }
    trial.misses
}

impl Trial<'_> {
    fn miss(&mut self, text: String) {
        let now = self.drive.now().unwrap_or(self.start);
        self.misses.push(Miss {
            step: self.step,
            after: now.since(self.start),
            text,
        });
    }

    fn play(&mut self, step: &Step, at: Timestamp) {
        for alert in step.alert.as_slice().iter().chain(step.alerts.as_slice()) {
            match alert_said(alert) {
                Ok(said) => {
                    let input = Input::ObservationReceived {
                        source: said.source.clone(),
                        observation: said.observation(),
                    };
                    self.drive.happen(at, &input);
                }
                Err(problem) => self.miss(problem),
            }
        }
        if let Some(change) = &step.change {
            match change_given(change) {
                Ok(given) => drop(self.drive.happen(at, &Input::RecordGiven(given))),
                Err(problem) => self.miss(problem),
            }
        }
        if let Some(command) = &step.command {
            self.command(command, at);
        }
        if let Some(expect) = &step.expect {
            self.expect(expect);
        }
    }

    fn command(&mut self, step: &CommandStep, at: Timestamp) {
        let incident = match self.named_incident(step.incident.as_ref()) {
            Ok(incident) => incident,
            Err(problem) => return self.miss(problem),
        };
        let command = match self.read_command(step) {
            Ok(command) => command,
            Err(problem) => return self.miss(problem),
        };
        let given = CommandGiven {
            incident,
            command,
            actor: step
                .by
                .clone()
                .unwrap_or_else(|| SmolStr::new_static("test")),
            expected_version: None,
            idempotency: None,
            past: None,
        };
        let decision = self.drive.happen(at, &Input::CommandGiven(given));
        let (verb, reason) = (&step.verb, decision.reason.code());
        match (&step.refused, decision.is_refused) {
            (None, true) => self.miss(format!("{verb} {incident} was refused: {reason}")),
            (Some(_), false) => self.miss(format!("{verb} {incident} was not refused")),
            (Some(expected), true) if expected.as_str() != reason => {
                self.miss(format!(
                    "{verb} {incident} was refused with {reason}, not {expected}"
                ));
            }
            (Some(_), true) | (None, false) => {}
        }
    }

    /// A command with the fields of the API; times may be written as lengths after the begin.
    fn read_command(&self, step: &CommandStep) -> Result<Command, String> {
        let verb = match step.verb.as_str() {
            "ack" => "acknowledge",
            "notes" => "note",
            verb => verb,
        };
        let mut fields = serde_json::Map::new();
        fields.insert("do".to_owned(), Value::from(verb));
        for (name, value) in &step.fields {
            let value = match name.as_str() {
                "until" => {
                    let at = read_time(value, self.start, self.span)?;
                    Value::from(at.as_millis())
                }
                "into" => {
                    let into = self.named_incident(Some(value))?;
                    Value::from(into.get())
                }
                "alerts" => {
                    let names = value.as_array().cloned().unwrap_or_default();
                    let ids: Result<Vec<_>, _> =
                        names.iter().map(|name| self.named_alert(name)).collect();
                    ids?.into_iter().map(|id| Value::from(id.get())).collect()
                }
                _ => value.clone(),
            };
            fields.insert(name.clone(), value);
        }
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| format!("command {:?} cannot be read: {error}", step.verb))
    }

    fn named_alert(&self, name: &Value) -> Result<AlertId, String> {
        let text = name.as_str().unwrap_or_default();
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let mut alerts = self.drive.told().keys.keys();
        alerts
            .find(|id| table::name(&self.drive, **id) == text)
            .copied()
            .ok_or_else(|| format!("there is no alert {name}"))
    }

    fn named_incident(&self, named: Option<&Value>) -> Result<IncidentId, String> {
        let told = self.drive.told();
        match named {
            None => {
                let mut ids = told.standing();
                match (ids.next(), ids.next()) {
                    (Some(id), None) => Ok(id),
                    (None, _) => Err("there is no incident".to_owned()),
                    (Some(_), Some(_)) => {
                        Err("there are several incidents; name one as incident".to_owned())
                    }
                }
            }
            Some(Value::String(text)) => {
                let bare = text.parse().ok().and_then(IncidentId::new);
                text.parse()
                    .ok()
                    .or(bare)
                    .ok_or_else(|| format!("{text:?} is no incident"))
            }
            Some(Value::Number(number)) => number
                .as_i64()
                .and_then(IncidentId::new)
                .ok_or_else(|| format!("{number} is no incident")),
            Some(Value::Object(fields)) => {
                let alert = fields.get("alert").unwrap_or(&Value::Null);
                let alert = self.named_alert(alert)?;
                let held = self.drive.state().alert(alert);
                held.and_then(|alert| alert.incident)
                    .ok_or_else(|| "the alert has no incident".to_owned())
            }
            Some(other @ (Value::Null | Value::Bool(_) | Value::Array(_))) => {
                Err(format!("{other} is no incident"))
            }
        }
    }

    fn expect(&mut self, expect: &Expect) {
        let told = self.drive.told();
        let open = told
            .incidents
            .values()
            .filter(|it| it.state.is_open())
            .count();
        let ids: Vec<_> = told.standing().collect();
        let pages = told.pages.len();
        let mut targets: Vec<String> = told
            .pages
            .iter()
            .map(|page| page.target.to_string())
            .collect();
        targets.retain(|target| !target.is_empty());
        targets.sort_unstable();
        targets.dedup();
        self.count("open incidents", expect.open, open);
        self.count("pages", expect.pages, pages);
        if let Some(wanted) = &expect.told {
            let mut wanted = wanted.clone();
            wanted.sort_unstable();
            wanted.dedup();
            if wanted != targets {
                self.miss(format!("told {targets:?}, expected {wanted:?}"));
            }
        }
        match &expect.incidents {
            None => {}
            Some(CountOrMany::Count(count)) => self.count("incidents", Some(*count), ids.len()),
            Some(CountOrMany::Each(each)) => {
                self.count("incidents", Some(each.len()), ids.len());
                for wanted in each {
                    self.find_incident(wanted, &ids);
                }
            }
        }
        for wanted in expect.incident.as_slice() {
            self.find_incident(wanted, &ids);
        }
        for wanted in expect.alert.as_slice() {
            self.expect_alert(wanted);
        }
        self.expect_requests(expect.requests.as_ref());
    }

    fn expect_alert(&mut self, wanted: &BTreeMap<String, Value>) {
        let name = wanted.get("name").or_else(|| wanted.get("key"));
        match self.named_alert(name.unwrap_or(&Value::Null)) {
            Ok(id) => {
                let facts = table::alert(&self.drive, id).unwrap_or_default();
                let what = format!("alert {}", table::name(&self.drive, id));
                self.compare(&what, wanted, &facts);
            }
            Err(problem) => self.miss(problem),
        }
    }

    fn expect_requests(&mut self, expected: Option<&CountOrMany>) {
        let records = self.drive.told().records.values();
        let requests: Vec<Facts> = records
            .filter(|record| record.id().kind == Kind::Request)
            .map(|record| table::record(record))
            .collect();
        match expected {
            None => {}
            Some(CountOrMany::Count(count)) => {
                self.count("requests", Some(*count), requests.len());
            }
            Some(CountOrMany::Each(each)) => {
                self.count("requests", Some(each.len()), requests.len());
                for (wanted, facts) in each.iter().zip(&requests) {
                    self.compare("request", wanted, facts);
                }
            }
        }
    }

    fn count(&mut self, what: &str, expected: Option<usize>, actual: usize) {
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            self.miss(format!("{what}: {actual}, expected {expected}"));
        }
    }

    /// Compares the incident that a table names: by number, by an alert, by its root, else the only one.
    fn find_incident(&mut self, wanted: &BTreeMap<String, Value>, ids: &[IncidentId]) {
        let by_alert = wanted.get("alert").map(|name| {
            let mut fields = serde_json::Map::new();
            fields.insert("alert".to_owned(), name.clone());
            Value::Object(fields)
        });
        let named = wanted.get("number").cloned().or(by_alert);
        let by_fields = || {
            let as_time = self.as_time();
            let mut fitting = ids.iter().filter(|id| {
                let facts = table::incident(&self.drive, **id).unwrap_or_default();
                let mut fields = ["root", "title"].into_iter();
                fields.all(|name| {
                    let wanted = wanted.get(name);
                    wanted
                        .is_none_or(|it| facts.get(name).is_some_and(|is| is_as(it, is, &as_time)))
                })
            });
            fitting.next().copied()
        };
        let id = match (named, ids) {
            (Some(named), _) => self.named_incident(Some(&named)),
            (None, [only]) => Ok(*only),
            (None, _) => by_fields()
                .ok_or_else(|| "no incident fits; name one by number or alert".to_owned()),
        };
        match id {
            Ok(id) => match table::incident(&self.drive, id) {
                Some(facts) => self.compare(&id.to_string(), wanted, &facts),
                None => self.miss(format!("there is no {id}")),
            },
            Err(problem) => self.miss(problem),
        }
    }

    fn as_time(&self) -> impl Fn(&str) -> Option<Value> + use<'_> {
        |text: &str| {
            let value = Value::from(text);
            let at = read_time(&value, self.start, self.span).ok()?;
            Some(table::time(Some(at)))
        }
    }

    fn compare(&mut self, what: &str, wanted: &BTreeMap<String, Value>, facts: &Facts) {
        let mut texts = Vec::new();
        let as_time = self.as_time();
        for (name, expected) in wanted {
            match facts.get(name.as_str()) {
                // By this it was found.
                None if name == "alert" => {}
                None => {
                    let known: Vec<_> = facts.keys().copied().collect();
                    texts.push(format!("{what} has no {name}; it has {}", known.join(", ")));
                }
                Some(actual) if is_as(expected, actual, &as_time) => {}
                Some(actual) => texts.push(format!("{what} {name}: {actual}, expected {expected}")),
            }
        }
        drop(as_time);
        texts.into_iter().for_each(|text| self.miss(text));
    }
}

fn alert_said(step: &AlertStep) -> Result<AlertSaid, String> {
    let text = |value: &Value| match value {
        Value::String(text) => SmolStr::new(text),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => SmolStr::from(other.to_string()),
    };
    let mut labels: BTreeMap<SmolStr, SmolStr> = step
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    if let Some(name) = &step.name {
        labels
            .entry(SmolStr::new_static("alertname"))
            .or_insert_with(|| name.clone());
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let key = step.key.clone().unwrap_or_else(|| pairs.join(",").into());
    if key.is_empty() {
        return Err("an alert has neither name nor labels nor key".to_owned());
    }
    let status = step.status.as_deref().unwrap_or("firing");
    let claim = match status_of(status) {
        Some(Status::Firing | Status::Acknowledged) => Claim::Firing,
        Some(Status::Resolved) => Claim::Resolved,
        None => return Err(format!("status {status:?}: write firing or resolved")),
    };
    let severity = step.severity.as_ref().or_else(|| labels.get("severity"));
    let severity = severity.map_or(DEFAULT, |word| severity_of(word));
    let name = step.name.clone().unwrap_or_else(|| key.clone());
    Ok(AlertSaid {
        id: key.clone(),
        source: step
            .source
            .clone()
            .unwrap_or_else(|| SmolStr::new_static("test")),
        key,
        claim,
        severity,
        summary: step.summary.clone().unwrap_or(name),
        labels: labels.into_iter().collect(),
        starts_at: None,
        ends_at: None,
        ci: step.ci.clone(),
    })
}

fn change_given(step: &ChangeStep) -> Result<RecordGiven, String> {
    let state = match &step.state {
        None => None,
        Some(word) => Some(
            ChangeState::from_any_word(word)
                .ok_or_else(|| format!("{word:?} is no state of a change"))?,
        ),
    };
    let wanted = ChangeWanted {
        key: Some(format_smolstr!("test:{}", step.id)),
        external_id: Some(step.id.clone()),
        source: SmolStr::new_static("test"),
        summary: step.summary.clone(),
        state,
        cis: Some(vec![step.ci.clone()]),
        ..ChangeWanted::default()
    };
    Ok(RecordGiven {
        order: RecordOrder::PutChange {
            wanted: Box::new(wanted),
        },
        actor: SmolStr::new_static("test"),
        past: None,
        is_past_incident: false,
    })
}
