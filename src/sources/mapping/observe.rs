//! Runs a mapping over payloads and counts what becomes of each item.
//!
//! What an item means is judged in `judge`, its texts are made in `texts`. Must not leave an item uncounted.

use std::sync::Arc;

use minijinja::value::Value;
use smol_str::SmolStr;

use super::engine::{Expr, Scope, Variables};
use super::value::{self, Budget, Form, shown};
use super::{ITEMS_MAX, Mapping};
use crate::core::identity::AlertKey;
use crate::core::observation::Observation;
use crate::core::records::change::ChangeWanted;
use crate::sources::tried::TriedItem;
use crate::sources::{DETAILS_MAX, DecodeError, Decoded, Message, Note, Problem, RAW_BYTES_MAX};

const HINT: &str = "does the mapping fit what this sender sends?";

/// Where a payload stood in its message; empty for the whole of it.
#[derive(Clone, Debug, Default)]
pub(in crate::sources) struct Origin(pub(in crate::sources) String);

/// The place of one item, made into text only when it is told.
pub(super) struct Place<'o> {
    origin: &'o str,
    position: Option<usize>,
}

impl Place<'_> {
    pub(super) fn field(&self, field: &str) -> String {
        let item = self.position.map(|position| format!("alerts[{position}]"));
        [self.origin, item.as_deref().unwrap_or(""), field]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(".")
    }

    pub(super) fn problem(&self, field: &str, problem: String) -> Problem {
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
    /// Somebody took notice of the alert.
    Acknowledged(AlertKey),
    /// A test of the connection.
    Test,
    /// It tells of a change, not of an alert.
    Changed(Box<ChangeWanted>),
}

/// Turns the payloads of one message into observations.
pub(in crate::sources) struct Observer<'m> {
    pub(super) mapping: &'m Mapping,
    pub(super) message: &'m Message<'m>,
    /// What every payload of the message sees.
    around: Variables,
    budget: Arc<Budget>,
    index: usize,
    /// What was made of each item, when somebody wants to know.
    trace: Option<Vec<TriedItem>>,
    pub(super) scratch: Vec<u8>,
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

    /// Counts a message by which a connection is tested or set up.
    pub(in crate::sources) fn test(&mut self) {
        self.index = self.index.saturating_add(1);
        self.decoded.test_count = self.decoded.test_count.saturating_add(1);
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
            mapping.scope(variables, &budget)
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
            Ok(Outcome::Acknowledged(key)) => {
                self.skip();
                if self.decoded.acknowledged.len() < DETAILS_MAX {
                    self.decoded.acknowledged.push(key);
                } else {
                    let told = "acknowledges one alert too many for a message; passed over";
                    self.note(&place.field("status"), told.to_owned());
                }
            }
            Ok(Outcome::Test) => self.test(),
            Ok(Outcome::Changed(change)) => {
                self.skip();
                self.decoded.changes.push(*change);
            }
            Err(problem) => self.put_aside(problem, item),
        }
    }
}

impl Mapping {
    /// What the fields see: the variables, and the mapping's own. One that cannot be computed is missing.
    fn scope(&self, variables: Variables, budget: &Arc<Budget>) -> Scope {
        let set = &self.fields.set;
        if set.is_empty() {
            return Scope::new(variables, budget);
        }
        let bare = Scope::new(variables.clone(), budget);
        let named = set
            .iter()
            .map(|(name, expr)| (name.clone(), expr.eval(&bare).unwrap_or_default()));
        let own = named.collect();
        Scope::new(Variables { own, ..variables }, budget)
    }
}

/// The alerts of a payload; the error says what there is in place of a list.
fn listed(alerts: &Expr, whole: &Scope) -> Result<Vec<Value>, String> {
    let source = alerts.source();
    let list = alerts
        .eval(whole)
        .map_err(|cause| format!("`{source}` cannot be computed: {cause}"))?;
    let items: Vec<Value> = match value::form(&list) {
        Form::List => list
            .try_iter()
            .into_iter()
            .flatten()
            .take(ITEMS_MAX + 1)
            .collect(),
        Form::Map => vec![list],
        form @ (Form::Missing | Form::Flag | Form::Text) => {
            return Err(format!("`{source}` gives {}, not a list", form.word()));
        }
    };
    if items.len() > ITEMS_MAX {
        return Err(format!("holds more than {ITEMS_MAX} alerts in one message"));
    }
    Ok(items)
}
