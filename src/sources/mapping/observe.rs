//! Runs a mapping over payloads: each item becomes an observation, or says why not.
//!
//! A field that cannot be computed costs the field, with a note; only the key, the status and the conditions cost the
//! item. Must not look at a field that the mapping does not name.

use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use super::engine::{Expr, Scope, Variables};
use super::filters::pair_of;
use super::value::{self, Budget, SHOWN_BYTES_MAX, is_missing, shown};
use super::{ITEMS_MAX, Mapping, Pairs};
use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation, clean, clean_pairs};
use crate::core::severity::Severity;
use crate::core::time::Timestamp;
use crate::sources::severity_words;
use crate::sources::status_words::{Status, status_of};
use crate::sources::tried::TriedItem;
use crate::sources::{
    DETAILS_MAX, DecodeError, Decoded, Message, Note, Problem, RAW_BYTES_MAX, time_text,
};

const HINT: &str = "does the mapping fit what this sender sends?";

/// Where a payload stood in its message; empty for the whole of it.
#[derive(Clone, Debug, Default)]
pub(in crate::sources) struct Origin(pub(in crate::sources) String);

/// The place of one item, made into text only when it is told.
struct Place<'o> {
    origin: &'o str,
    position: Option<usize>,
}

impl Place<'_> {
    fn field(&self, field: &str) -> String {
        let item = self.position.map(|position| format!("alerts[{position}]"));
        [self.origin, item.as_deref().unwrap_or(""), field]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(".")
    }

    fn problem(&self, field: &str, problem: String) -> Problem {
        Problem {
            path: self.field(field),
            problem,
        }
    }
}

/// What an item turned out to be.
#[derive(Clone, Debug)]
pub(in crate::sources) enum Outcome {
    /// A claim about an alert.
    Observed(Box<Observation>),
    /// Left out by `when`.
    Skipped,
    /// Somebody took notice.
    Acknowledged,
    /// A test of the connection.
    Test,
}

/// Turns the payloads of one message into observations.
pub(in crate::sources) struct Observer<'m> {
    mapping: &'m Mapping,
    message: &'m Message<'m>,
    /// What every payload of the message sees.
    around: Variables,
    budget: Arc<Budget>,
    index: usize,
    /// What was made of each item, when somebody wants to know.
    trace: Option<Vec<TriedItem>>,
    scratch: Vec<u8>,
    decoded: Decoded,
}

impl<'m> Observer<'m> {
    /// An observer of one message.
    pub(in crate::sources) fn new(
        mapping: &'m Mapping,
        message: &'m Message<'m>,
        budget: Arc<Budget>,
    ) -> Self {
        let envelope = message.envelope;
        let object = |pairs: &[(SmolStr, SmolStr)]| {
            let entries = pairs
                .iter()
                .map(|(name, text)| (Value::from(name.as_str()), Value::from(text.as_str())));
            value::map(entries.collect(), Some(&budget))
        };
        let around = Variables {
            labels: object(&envelope.captures),
            headers: object(&envelope.headers),
            query: object(&envelope.query),
            topic: if envelope.topic.is_empty() {
                Value::UNDEFINED
            } else {
                Value::from(envelope.topic.as_str())
            },
            ..Variables::default()
        };
        Self {
            mapping,
            message,
            around,
            budget,
            index: 0,
            trace: None,
            scratch: Vec::new(),
            decoded: Decoded::default(),
        }
    }

    /// Also remembers what was made of each item.
    pub(in crate::sources) fn with_trace(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    /// Sets the topic, for senders that name theirs in the message.
    pub(in crate::sources) fn set_topic(&mut self, topic: &str) {
        self.around.topic = value::text(topic);
    }

    /// What the message says, and the trace.
    pub(in crate::sources) fn finish(self) -> (Decoded, Vec<TriedItem>) {
        (self.decoded, self.trace.unwrap_or_default())
    }

    /// Remembers an oddity.
    pub(in crate::sources) fn note(&mut self, path: &str, problem: String) {
        self.decoded.note(|| Note {
            path: path.to_owned(),
            problem,
        });
    }

    /// Counts something that says nothing about an alert.
    pub(in crate::sources) fn skip(&mut self) {
        self.index = self.index.saturating_add(1);
        self.decoded.skip_count = self.decoded.skip_count.saturating_add(1);
    }

    /// Sets a part of the message aside.
    pub(in crate::sources) fn reject(&mut self, problem: Problem, raw: &Value) {
        if let Some(trace) = &mut self.trace {
            trace.push(TriedItem::rejected(self.index, &problem));
        }
        self.put_aside(problem, raw);
    }

    fn put_aside(&mut self, problem: Problem, raw: &Value) {
        let index = self.index;
        self.index = index.saturating_add(1);
        let raw = if self.decoded.rejects.len() < DETAILS_MAX {
            shown(raw, RAW_BYTES_MAX)
        } else {
            String::new()
        };
        self.decoded.reject(index, problem, &raw);
    }

    /// Takes one payload: every alert in it.
    ///
    /// # Errors
    /// The mapping finds no list of alerts in it.
    pub(in crate::sources) fn payload(
        &mut self,
        payload: &Value,
        origin: &Origin,
    ) -> Result<(), DecodeError> {
        let mapping = self.mapping;
        let budget = Arc::clone(&self.budget);
        let around = Variables {
            payload: payload.clone(),
            ..self.around.clone()
        };
        let scope_of = |item: &Value| {
            let variables = Variables {
                item: item.clone(),
                ..around.clone()
            };
            Scope::new(variables, &budget)
        };
        let whole = scope_of(payload);
        let mut place = Place {
            origin: &origin.0,
            position: None,
        };
        let Some(alerts) = &mapping.fields.alerts else {
            self.item(&whole, payload, &place);
            return Ok(());
        };
        let list = match listed(alerts, &whole) {
            Ok(list) => list,
            Err(problem) => {
                // A test message often has no list.
                if let Ok(Some(outcome)) = self.entrance(&whole, &place) {
                    self.record(&whole, payload, Ok(outcome), &place);
                    return Ok(());
                }
                return Err(DecodeError::WrongShape {
                    path: place.field("alerts"),
                    problem,
                    hint: HINT,
                });
            }
        };
        for (position, item) in list.iter().enumerate() {
            place.position = Some(position);
            self.item(&scope_of(item), item, &place);
        }
        Ok(())
    }

    fn item(&mut self, scope: &Scope, item: &Value, place: &Place<'_>) {
        let outcome = self.outcome(scope, place);
        self.record(scope, item, outcome, place);
    }

    fn record(
        &mut self,
        scope: &Scope,
        item: &Value,
        outcome: Result<Outcome, Problem>,
        place: &Place<'_>,
    ) {
        let index = self.index;
        if let Some(trace) = &mut self.trace
            && trace.len() < DETAILS_MAX
        {
            trace.push(self.mapping.traced(index, scope, outcome.as_ref()));
        }
        match outcome {
            Ok(Outcome::Observed(observation)) => {
                self.decoded.observations.push(*observation);
                self.index = index.saturating_add(1);
            }
            Ok(Outcome::Skipped) => self.skip(),
            Ok(Outcome::Acknowledged) => {
                self.skip();
                self.note(
                    &place.field("status"),
                    "acknowledges the alert; acknowledgements of this source are not taken over yet"
                        .to_owned(),
                );
            }
            Ok(Outcome::Test) => {
                self.decoded.test_count = self.decoded.test_count.saturating_add(1);
                self.index = index.saturating_add(1);
            }
            Err(problem) => self.put_aside(problem, item),
        }
    }

    /// What an item is that makes no claim about an alert; `None` when it makes one.
    fn entrance(&self, scope: &Scope, place: &Place<'_>) -> Result<Option<Outcome>, Problem> {
        let fields = &self.mapping.fields;
        if flag(fields.test.as_ref(), "test", scope, place)? == Some(true) {
            return Ok(Some(Outcome::Test));
        }
        if flag(fields.when.as_ref(), "when", scope, place)? == Some(false) {
            return Ok(Some(Outcome::Skipped));
        }
        if flag(fields.acknowledge.as_ref(), "acknowledge", scope, place)? == Some(true) {
            return Ok(Some(Outcome::Acknowledged));
        }
        Ok(None)
    }

    fn outcome(&mut self, scope: &Scope, place: &Place<'_>) -> Result<Outcome, Problem> {
        if let Some(outcome) = self.entrance(scope, place)? {
            return Ok(outcome);
        }
        let claim = match self.status(scope, place)? {
            Status::Firing => Claim::Firing,
            Status::Resolved => Claim::Resolved,
            Status::Acknowledged => return Ok(Outcome::Acknowledged),
        };
        let fields = &self.mapping.fields;
        let key = self.key(scope, place)?;
        let starts_at = self.time(fields.starts_at.as_ref(), "starts_at", scope, place);
        let ends_at = self.time(fields.ends_at.as_ref(), "ends_at", scope, place);
        let text = self.alert_text(scope, place, &key);
        let severity = self.severity(scope, place, text.label("severity"));
        let observation = Observation {
            key,
            claim,
            starts_at,
            ends_at: match claim {
                Claim::Resolved => ends_at,
                // An end that has passed does not go with a firing alert; only one to come bounds its validity.
                Claim::Firing => ends_at.filter(|&end| end > self.message.received_at),
            },
            severity,
            text_hash: hash_of(&text, &mut self.scratch),
            text: Arc::new(text),
            undelivered: 0,
        };
        Ok(Outcome::Observed(Box::new(observation)))
    }

    fn status(&self, scope: &Scope, place: &Place<'_>) -> Result<Status, Problem> {
        let Some(expr) = &self.mapping.fields.status else {
            return Ok(Status::Firing);
        };
        let value = expr.eval(scope).map_err(|cause| {
            place.problem(
                "status",
                format!("cannot be computed: {cause}{}", inputs(expr, scope)),
            )
        })?;
        match value.kind() {
            ValueKind::Bool if value.is_true() => Ok(Status::Firing),
            ValueKind::Bool => Ok(Status::Resolved),
            _ => {
                let word = shown(&value, 64);
                let what = if word.is_empty() {
                    "gives nothing".to_owned()
                } else {
                    format!("gives {word:?}, which is no status")
                };
                let advice = "map what this sender says to 'firing' or 'resolved', or leave such items out with `when`";
                status_of(&word).ok_or_else(|| {
                    place.problem("status", format!("{what}{}; {advice}", inputs(expr, scope)))
                })
            }
        }
    }

    fn key(&self, scope: &Scope, place: &Place<'_>) -> Result<AlertKey, Problem> {
        let expr = &self.mapping.fields.key;
        let wrong = |cause: &str| {
            let advice = "map the key to something that every message of this sender has";
            place.problem("key", format!("{cause}{}; {advice}", inputs(expr, scope)))
        };
        let value = expr
            .eval(scope)
            .map_err(|cause| wrong(&format!("gives no key: {cause}")))?;
        let key = shown(&value, SHOWN_BYTES_MAX);
        let key = key.trim();
        if key.is_empty() {
            return Err(wrong("gives nothing"));
        }
        Ok(AlertKey::new(self.message.source, key))
    }

    fn severity(&mut self, scope: &Scope, place: &Place<'_>, label: Option<&str>) -> Severity {
        let Some(map) = &self.mapping.fields.severity else {
            return severity_words::severity_of(label.unwrap_or_default());
        };
        let word = self.text(Some(&map.from), "severity", scope, place);
        let word = word.trim();
        let listed = map
            .table
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|&(_, severity)| severity);
        if let Some(severity) = listed.or_else(|| severity_words::known(word)) {
            return severity;
        }
        let severity = map.default.unwrap_or(severity_words::DEFAULT);
        if map.default.is_none() && !word.is_empty() {
            let word = word.to_owned();
            self.note(
                &place.field("severity"),
                format!("{word:?} is in no table; taken as {}", severity.word()),
            );
        }
        severity
    }

    fn time(
        &mut self,
        expr: Option<&Expr>,
        field: &str,
        scope: &Scope,
        place: &Place<'_>,
    ) -> Option<Timestamp> {
        let text = self.text(expr, field, scope, place);
        time_text::read(&text).unwrap_or_else(|_| {
            self.note(
                &place.field(field),
                "is not a time that can be read; taken as not set".to_owned(),
            );
            None
        })
    }

    fn alert_text(&mut self, scope: &Scope, place: &Place<'_>, key: &AlertKey) -> AlertText {
        let fields = &self.mapping.fields;
        let whole = self.text(fields.summary.as_ref(), "summary", scope, place);
        let mut text = AlertText {
            summary: SmolStr::new(whole.trim().lines().next().unwrap_or_default().trim_end()),
            generator_url: self.text(fields.url.as_ref(), "url", scope, place),
            labels: self.message.envelope.captures.clone(),
            ..AlertText::default()
        };
        self.pairs(&fields.labels, "labels", (scope, place), &mut text.labels);
        self.pairs(
            &fields.annotations,
            "annotations",
            (scope, place),
            &mut text.annotations,
        );
        text.is_cut |= clean_pairs(&mut text.labels, limits::LABEL_BYTES_MAX);
        text.is_cut |= clean_pairs(&mut text.annotations, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean(&mut text.generator_url, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean(&mut text.summary, limits::TEXT_BYTES_MAX);
        if text.summary.is_empty() {
            text.summary = key.text().clone();
        }
        text
    }

    fn pairs(
        &mut self,
        pairs: &Pairs,
        field: &str,
        (scope, place): (&Scope, &Place<'_>),
        into: &mut Vec<(SmolStr, SmolStr)>,
    ) {
        let mut push = |name: &str, text: SmolStr| {
            if !text.is_empty() {
                into.push((SmolStr::new(name), text));
            }
        };
        if let Some(expr) = &pairs.spread {
            let value = self.value(expr, field, scope, place);
            match value.kind() {
                ValueKind::Map => {
                    for name in value.try_iter().into_iter().flatten() {
                        let text = value.get_item(&name).unwrap_or_default();
                        push(&shown(&name, limits::NAME_BYTES_MAX), text_of(&text));
                    }
                }
                ValueKind::Seq | ValueKind::Iterable => {
                    for (name, text) in value
                        .try_iter()
                        .into_iter()
                        .flatten()
                        .filter_map(|item| pair_of(&item))
                    {
                        push(&shown(&name, limits::NAME_BYTES_MAX), text_of(&text));
                    }
                }
                _ if is_missing(&value) => {}
                kind => self.note(
                    &place.field(field),
                    format!(
                        "`{}` gives {kind}, not an object or a list of pairs; left empty",
                        expr.source()
                    ),
                ),
            }
        }
        for (name, expr) in &pairs.each {
            let value = self.value(expr, &format!("{field}.{name}"), scope, place);
            push(name, text_of(&value));
        }
    }

    fn text(
        &mut self,
        expr: Option<&Expr>,
        field: &str,
        scope: &Scope,
        place: &Place<'_>,
    ) -> SmolStr {
        expr.map_or_else(SmolStr::default, |expr| {
            text_of(&self.value(expr, field, scope, place))
        })
    }

    fn value(&mut self, expr: &Expr, field: &str, scope: &Scope, place: &Place<'_>) -> Value {
        expr.eval(scope).unwrap_or_else(|cause| {
            self.note(
                &place.field(field),
                format!(
                    "`{}` cannot be computed: {cause}; left empty",
                    expr.source()
                ),
            );
            Value::UNDEFINED
        })
    }
}

/// The alerts of a payload; the error says what there is in place of a list.
fn listed(alerts: &Expr, whole: &Scope) -> Result<Vec<Value>, String> {
    let source = alerts.source();
    let list = alerts
        .eval(whole)
        .map_err(|cause| format!("`{source}` cannot be computed: {cause}"))?;
    let items: Vec<Value> = match list.kind() {
        ValueKind::Seq | ValueKind::Iterable => list
            .try_iter()
            .into_iter()
            .flatten()
            .take(ITEMS_MAX + 1)
            .collect(),
        ValueKind::Map => vec![list],
        _ if is_missing(&list) => return Err(format!("`{source}` gives nothing")),
        kind => return Err(format!("`{source}` gives a {kind}, not a list")),
    };
    if items.len() > ITEMS_MAX {
        return Err(format!("holds more than {ITEMS_MAX} alerts in one message"));
    }
    Ok(items)
}

fn flag(
    expr: Option<&Expr>,
    field: &str,
    scope: &Scope,
    place: &Place<'_>,
) -> Result<Option<bool>, Problem> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    match expr.eval(scope) {
        Ok(value) => Ok(Some(value.is_true())),
        Err(cause) => Err(place.problem(
            field,
            format!("`{}` cannot be computed: {cause}", expr.source()),
        )),
    }
}

/// What an expression had to work with, for people.
fn inputs(expr: &Expr, scope: &Scope) -> String {
    let paths = expr.inputs();
    let told = paths.iter().map(|path| match scope.show(path, 100) {
        None => format!("`{path}` is missing"),
        Some(value) => format!("`{path}` is {value:?}"),
    });
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() {
        told
    } else {
        format!(" ({told})")
    }
}

fn text_of(value: &Value) -> SmolStr {
    match value.as_str() {
        Some(text) => SmolStr::new(text),
        None => SmolStr::from(shown(value, SHOWN_BYTES_MAX)),
    }
}

/// Hash of what people read, without times and status, so that a mere repeat hashes equal. The marks between the
/// parts are bytes that no UTF-8 text holds.
fn hash_of(text: &AlertText, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    for pairs in [&text.labels, &text.annotations] {
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            scratch.extend_from_slice(part.as_bytes());
            scratch.push(0xff);
        }
        scratch.push(0xfe);
    }
    scratch.extend_from_slice(text.summary.as_bytes());
    scratch.push(0xff);
    scratch.extend_from_slice(text.generator_url.as_bytes());
    xxh3_64(scratch)
}
