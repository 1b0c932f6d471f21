//! The `when` conditions of rules: what they are, and the values that they see of an incident.
//!
//! `incident` has the shape of the incident in the API, as far as memory knows it: a condition that was written while
//! looking at that JSON means what it says. A field that is not known is undefined, not an error. What cannot be
//! evaluated counts as false and is a [`Fault`], which is counted and logged. Must not hold anything but values: a
//! condition cannot look around.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
pub use minijinja::Value;
use smol_str::SmolStr;

use crate::core::alert::Alert;
use crate::core::cmdb::ci::{Ci, CiNumber};
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::cause::{Cause, RootCandidate};
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::expr::Expr;
use crate::core::flap;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::{Incident, IncidentState};
use crate::core::mute;
use crate::core::observation::AlertText;
use crate::core::priority::Given;
use crate::core::records::major;
use crate::core::severity::{Grade, Severity};
use crate::core::state::State;
use crate::core::time::Timestamp;

/// The variables of a condition.
pub const VARIABLES: [&str; 12] = [
    "incident", "ci", "service", "services", "team", "tier", "priority", "severity", "kind",
    "labels", "source", "now",
];

pub use crate::core::alert_facts::Labels;
pub(crate) use crate::core::alert_facts::Opener;

/// Which kind of rule a condition belongs to; a label of the metric that counts faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `[[sla]]`
    Sla,
    /// `[[route]]`
    Route,
    /// `[[connector]]`
    Connector,
    /// `[[escalation]]`
    Escalation,
    /// Everything else that has a condition.
    Other,
}

impl Section {
    /// The word used in metrics and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sla => "sla",
            Self::Route => "route",
            Self::Connector => "connector",
            Self::Escalation => "escalation",
            Self::Other => "other",
        }
    }
}

/// When a rule applies; without an expression it always does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    section: Section,
    rule: SmolStr,
    expr: Option<Arc<Expr>>,
}

/// A condition that could not be evaluated and counted as false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind of rule.
    pub section: Section,
    /// Which rule, for people: `sla[2]`.
    pub rule: SmolStr,
    /// What is wrong.
    pub message: Arc<str>,
}

impl Condition {
    /// Compiles the condition of a rule, which people know as `rule`.
    ///
    /// # Errors
    /// It is no expression, or uses a variable, filter or test that does not exist; in words.
    pub fn compile(section: Section, rule: &str, source: &str) -> Result<Self, String> {
        Self::compile_with(section, rule, source, &VARIABLES)
    }

    /// The same for a rule that sees other variables.
    ///
    /// # Errors
    /// As [`Condition::compile`].
    pub fn compile_with(
        section: Section,
        rule: &str,
        source: &str,
        variables: &[&str],
    ) -> Result<Self, String> {
        let expr = Expr::compile(source, variables)?;
        expr.probe(&sample())?;
        Ok(Self {
            expr: Some(Arc::new(expr)),
            ..Self::always(section, rule)
        })
    }

    /// The condition of a rule without `when`.
    pub fn always(section: Section, rule: &str) -> Self {
        Self {
            section,
            rule: SmolStr::new(rule),
            expr: None,
        }
    }

    /// The name of its rule.
    pub fn rule(&self) -> &SmolStr {
        &self.rule
    }

    /// The expression as written; `None` when it is always true.
    pub fn source(&self) -> Option<&str> {
        self.expr.as_deref().map(Expr::source)
    }

    /// Whether it looks at this variable.
    pub fn reads(&self, variable: &str) -> bool {
        let expr = self.expr.as_deref();
        expr.is_some_and(|expr| expr.variables().iter().any(|name| name == variable))
    }

    /// Whether it is true of these values.
    ///
    /// # Errors
    /// It cannot be evaluated; it then counts as false.
    pub fn holds(&self, facts: &Facts) -> Result<bool, Fault> {
        let Some(expr) = &self.expr else {
            return Ok(true);
        };
        expr.is_true(&facts.0).map_err(|message| Fault {
            section: self.section,
            rule: self.rule.clone(),
            message: message.into(),
        })
    }
}

/// The values that conditions see of one incident at one time.
#[derive(Clone, Debug)]
pub struct Facts(pub(in crate::core) Value);

/// What the values are made of.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// What kind of record it is.
    pub kind: &'a str,
    /// Impact and urgency.
    pub grade: Grade,
    /// What it is about, if more than its alert is known.
    pub cause: Option<&'a Cause>,
    /// The CMDB.
    pub graph: &'a Graph,
    /// The alert that came first.
    pub first: Option<AlertId>,
    /// The source of that alert.
    pub source: &'a str,
    /// The labels of that alert; only there when some condition looks at them.
    pub labels: &'a [(SmolStr, SmolStr)],
    /// The priority that a person has set.
    pub given: Option<&'a Given>,
    /// Whether it is a major incident that goes on.
    pub is_major: bool,
    /// Whether it changes too often.
    pub is_flapping: bool,
    /// What keeps people from being told about it.
    pub suppressed_by: Vec<SmolStr>,
    /// The time at which the condition is asked.
    pub now: Timestamp,
}

impl Seen<'_> {
    /// The values; the parts of `now` are those of the clocks in this zone.
    pub fn facts(&self, zone: &TimeZone) -> Facts {
        let root = self.cause.and_then(Cause::root);
        let ci = root.and_then(|root| root.ci);
        let ci = ci.and_then(|ci| self.graph.ci(ci));
        let services = self.services();
        let foremost = self.foremost();
        let owner = self.incident.owner.as_deref();
        let labels = self.labels.iter();
        let labels = labels.map(|(name, value)| (name.as_str(), Value::from(value.as_str())));
        let (priority, severity) = (self.incident.priority, self.incident.severity);
        Facts(object([
            ("incident", self.incident(&services)),
            ("ci", ci.map_or_else(null, item)),
            ("service", text(foremost.map(|ci| &ci.id))),
            ("services", services),
            ("team", text(owner.and_then(|it| it.team.as_ref()))),
            ("tier", Value::from(foremost.and_then(|ci| ci.criticality))),
            ("priority", Value::from(priority.word())),
            ("severity", Value::from(severity.word())),
            ("kind", Value::from(self.kind)),
            ("labels", object(labels)),
            ("source", Value::from(self.source)),
            ("now", moment(self.now, zone)),
        ]))
    }

    fn incident(&self, services: &Value) -> Value {
        let incident = self.incident;
        let owner = incident.owner.as_deref();
        let mut hold_reason = null();
        let (mut hold_until, mut acknowledged_until) = (None, None);
        match &incident.state {
            IncidentState::OnHold { reason, until } => {
                hold_reason = Value::from(&**reason);
                hold_until = *until;
            }
            IncidentState::Acknowledged { until } => acknowledged_until = *until,
            IncidentState::New
            | IncidentState::InProgress
            | IncidentState::Resolved { .. }
            | IncidentState::Closed { .. } => {}
        }
        let title = self.cause.map(|cause| &cause.title);
        let title = title.filter(|title| !title.is_empty());
        let ended = incident.total.saturating_sub(incident.firing);
        let suppressed_by = self.suppressed_by.iter().map(SmolStr::as_str);
        object([
            ("number", shown(Some(incident.id))),
            ("state", Value::from(incident.state.word().word())),
            ("kind", Value::from(self.kind)),
            ("priority", Value::from(incident.priority.word())),
            ("impact", Value::from(self.grade.impact)),
            ("urgency", Value::from(self.grade.urgency)),
            ("severity", Value::from(incident.severity.word())),
            (
                "title",
                title.map_or(Value::UNDEFINED, |it| Value::from(it.as_str())),
            ),
            ("root_cause", self.root_cause()),
            ("services", services.clone()),
            ("cis", Value::from(self.cause.map_or(0, |it| it.cis))),
            (
                "alerts",
                object([
                    ("firing", Value::from(incident.firing)),
                    ("resolved", Value::from(ended)),
                    ("total", Value::from(incident.total)),
                ]),
            ),
            ("team", text(owner.and_then(|it| it.team.as_ref()))),
            ("assignee", text(owner.and_then(|it| it.assignee.as_ref()))),
            ("opened_at", time(Some(incident.opened_at))),
            ("announced_at", time(incident.announced_at)),
            ("acknowledged_at", time(incident.acknowledged_at)),
            ("resolved_at", time(incident.resolved_at)),
            ("closed_at", time(incident.closed_at)),
            ("priority_override", self.given.map_or_else(null, given)),
            ("major", Value::from(self.is_major)),
            ("flapping", Value::from(self.is_flapping)),
            ("suppressed_by", suppressed_by.map(Value::from).collect()),
            ("merged_into", shown(incident.merged_into)),
            ("previous", shown(incident.previous)),
            ("reopen_count", Value::from(incident.reopen_count)),
            ("hold_reason", hold_reason),
            ("hold_until", time(hold_until)),
            ("acknowledged_until", time(acknowledged_until)),
            ("recovers_at", time(incident.recovers_at)),
            ("version", Value::from(incident.version)),
            (
                "age_s",
                Value::from(self.now.since(incident.opened_at).as_millis() / 1_000),
            ),
        ])
    }

    fn root_cause(&self) -> Value {
        let Some((cause, root)) = self.cause.and_then(|it| Some((it, it.root()?))) else {
            return object([
                ("ci", null()),
                ("alert", shown(self.first)),
                ("score", Value::from(1.0)),
                ("inferred", Value::from(false)),
            ]);
        };
        let RootCandidate {
            ci,
            alert,
            score,
            is_inferred,
        } = root;
        let ci = ci.and_then(|ci| self.graph.ci(ci));
        let why = cause.why.iter().map(|why| Value::from(&**why));
        object([
            ("ci", ci.map_or_else(null, item)),
            ("alert", shown(*alert)),
            // The only float: it is compared by people's expressions, and is exact in four digits.
            ("score", Value::from(f64::from(*score) / 10_000.0)),
            ("inferred", Value::from(*is_inferred)),
            ("why", why.collect()),
        ])
    }

    /// The ids of the services reached, as in the API.
    fn services(&self) -> Value {
        let ids = self.reached().map(|ci| Value::from(ci.id.as_str()));
        ids.collect()
    }

    /// The most critical of the services reached.
    fn foremost(&self) -> Option<&Ci> {
        self.reached()
            .min_by_key(|ci| (ci.criticality.unwrap_or(u8::MAX), ci.number))
    }

    fn reached(&self) -> impl Iterator<Item = &Ci> {
        let numbers: &[CiNumber] = self.cause.map_or(&[], |cause| &cause.services);
        numbers.iter().filter_map(|ci| self.graph.ci(*ci))
    }
}

impl Facts {
    /// With a value at a path between dots, in the place of what stands there; for trials.
    #[must_use]
    pub(in crate::core) fn with(self, path: &str, value: &Value) -> Self {
        let path: Vec<&str> = path.split('.').collect();
        Self(put(&self.0, &path, value))
    }
}

fn put(of: &Value, path: &[&str], value: &Value) -> Value {
    let Some((name, below)) = path.split_first() else {
        return value.clone();
    };
    let keys = of.try_iter().into_iter().flatten();
    let fields = keys.filter_map(|key| {
        let name: Arc<str> = key.as_str()?.into();
        Some((name, of.get_item(&key).ok()?))
    });
    let mut fields: BTreeMap<Arc<str>, Value> = fields.collect();
    let old = fields.get(*name).cloned().unwrap_or_default();
    fields.insert((*name).into(), put(&old, below, value));
    Value::from(fields)
}

/// The priority that a person has set, as in the API.
fn given(given: &Given) -> Value {
    object([
        ("priority", Value::from(given.priority.word())),
        ("by", Value::from(given.by.as_str())),
        ("reason", Value::from(&*given.reason)),
        ("at", time(Some(given.at))),
    ])
}

/// What the API shows as null.
pub(in crate::core) fn null() -> Value {
    Value::from(())
}

pub(in crate::core) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = fields.into_iter();
    let fields = fields.map(|(name, value)| (Arc::<str>::from(name), value));
    Value::from(fields.collect::<BTreeMap<Arc<str>, Value>>())
}

fn text(text: Option<&SmolStr>) -> Value {
    text.map_or_else(null, |text| Value::from(text.as_str()))
}

fn shown(thing: Option<impl fmt::Display>) -> Value {
    thing.map_or_else(null, |thing| Value::from(thing.to_string()))
}

/// A CI as in the API, and what else people tell CIs apart by.
pub(in crate::core) fn item(ci: &Ci) -> Value {
    object([
        ("id", Value::from(ci.id.as_str())),
        ("name", Value::from(ci.name.as_str())),
        ("class", Value::from(ci.class.as_str())),
        ("site", text(ci.site.as_ref())),
        ("rack", text(ci.rack.as_ref())),
        ("environment", text(ci.environment.as_ref())),
        ("criticality", Value::from(ci.criticality)),
        ("owner", text(ci.owner.as_ref())),
    ])
}

fn time(at: Option<Timestamp>) -> Value {
    let at = at.map(|at| jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default());
    at.map_or_else(null, |at| Value::from(format!("{at:.3}")))
}

/// The time on the clocks of a zone, in parts.
fn moment(now: Timestamp, zone: &TimeZone) -> Value {
    let local = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or_default();
    let local = zone.to_datetime(local);
    let weekday = match local.weekday() {
        jiff::civil::Weekday::Monday => "mon",
        jiff::civil::Weekday::Tuesday => "tue",
        jiff::civil::Weekday::Wednesday => "wed",
        jiff::civil::Weekday::Thursday => "thu",
        jiff::civil::Weekday::Friday => "fri",
        jiff::civil::Weekday::Saturday => "sat",
        jiff::civil::Weekday::Sunday => "sun",
    };
    object([
        ("date", Value::from(local.date().to_string())),
        (
            "time",
            Value::from(format!("{:02}:{:02}", local.hour(), local.minute())),
        ),
        ("hour", Value::from(local.hour())),
        ("minute", Value::from(local.minute())),
        ("day", Value::from(local.day())),
        ("month", Value::from(local.month())),
        ("year", Value::from(local.year())),
        ("weekday", Value::from(weekday)),
        ("weekend", Value::from(matches!(weekday, "sat" | "sun"))),
    ])
}

/// Values to try a condition with at load: what is no filter or test is found before the first incident.
fn sample() -> Value {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let Some(id) = IncidentId::new(1) else {
        return Value::UNDEFINED;
    };
    let incident = Incident::open(id, Severity::Critical, now);
    let seen = Seen {
        incident: &incident,
        kind: "incident",
        grade: Grade::of_severity(Severity::Critical),
        cause: None,
        graph: &Graph::default(),
        first: None,
        source: "source",
        labels: &[],
        given: None,
        is_major: false,
        is_flapping: false,
        suppressed_by: Vec::new(),
        now,
    };
    seen.facts(&TimeZone::UTC).0
}

/// Whether an incident is a major one that goes on.
pub(in crate::core) fn is_major(state: &State, incident: IncidentId) -> bool {
    let record = state.records().get(major::id_of(incident));
    record.is_some_and(|record| record.as_major().is_some_and(|major| major.is_active))
}

impl Draft<'_> {
    /// Notes which alert an incident is opened for, and its labels if some condition looks at them.
    pub(crate) fn note_opener(&mut self, id: IncidentId, alert: &Alert, text: Option<&AlertText>) {
        let text = text.filter(|_| self.world.rules.read_labels());
        let labels: Labels =
            text.map_or_else(Labels::default, |text| text.labels.as_slice().into());
        if !labels.is_empty() {
            self.decision.change(Change::LabelsKept {
                incident: id,
                labels: Arc::clone(&labels),
            });
        }
        let opener = Opener {
            alert: alert.id,
            source: alert.source,
            labels,
        };
        self.openers.insert(id, opener);
    }

    /// What conditions see of an incident as this decision leaves it; `None` when there is no such incident.
    pub(crate) fn facts(&self, id: IncidentId, zone: &TimeZone) -> Option<Facts> {
        let state = self.world.state;
        let incident = self.peek(id)?;
        let opener = self.openers.get(&id);
        let first = opener.map(|opener| opener.alert);
        let first = first.or_else(|| state.alerts_of(id).first().copied());
        let held = first.and_then(|alert| state.alert(alert));
        let source = opener.map_or_else(|| held.map(|alert| alert.source), |it| Some(it.source));
        let labels = match opener {
            Some(opener) => &opener.labels,
            None => state.practice().labels_of(id),
        };
        let seen = Seen {
            incident,
            kind: "incident",
            grade: self.grade(incident),
            cause: self.cause_of(id),
            graph: state.graph(),
            first,
            source: source.map_or("", |source| state.source_name(source)),
            labels,
            given: self.standing(id).and_then(|it| it.given.as_ref()),
            is_major: is_major(state, id),
            is_flapping: flap::is_flapping_in(self, id),
            suppressed_by: if self.mutes.is_held(state, incident) {
                mute::words_of(state, id)
            } else {
                Vec::new()
            },
            now: self.now,
        };
        Some(seen.facts(zone))
    }

    /// Whether a condition is true; one that cannot be evaluated is not, and is noted.
    pub(crate) fn holds(&mut self, condition: &Condition, facts: &Facts) -> bool {
        condition.holds(facts).unwrap_or_else(|fault| {
            self.decision.faults.push(fault);
            false
        })
    }
}

#[cfg(test)]
mod tests;
