//! What rules see of an alert that has no incident yet. Must not hold anything but values.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::alert::Alert;
use crate::core::condition::{Facts, Seen, VARIABLES, item, null, object};
use crate::core::expr::{Expr, Value};
use crate::core::ids::{AlertId, IncidentId, SourceId};
use crate::core::incident::Incident;
use crate::core::observation::AlertText;
use crate::core::severity::Grade;
use crate::core::state::State;
use crate::core::time::Timestamp;

/// The alert that an incident of this decision was opened for.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    pub(crate) alert: AlertId,
    pub(crate) source: SourceId,
    pub(crate) labels: Labels,
}

/// Labels by name.
pub type Labels = Arc<[(SmolStr, SmolStr)]>;

/// The variables of a rule that is asked about an alert which has no incident yet.
pub const ALERT_VARIABLES: [&str; 13] = [
    "alert", "incident", "ci", "service", "services", "team", "tier", "priority", "severity",
    "kind", "labels", "source", "now",
];

impl Facts {
    /// What a rule sees of an alert that has no incident yet: the values of an incident that it would open, and `alert`.
    pub fn of_alert(state: &State, alert: &Alert, told: &AlertText, now: Timestamp) -> Self {
        let incident = Incident::open(IncidentId::FIRST, alert.severity, now);
        let seen = Seen {
            incident: &incident,
            kind: "alert",
            grade: Grade::of_severity(alert.severity),
            cause: None,
            graph: state.graph(),
            first: Some(alert.id),
            source: state.source_name(alert.source),
            labels: &told.labels,
            given: None,
            is_major: false,
            is_flapping: false,
            suppressed_by: Vec::new(),
            now,
        };
        let of_incident = seen.facts(&TimeZone::UTC).0;
        let named = |name: &'static str| (name, of_incident.get_attr(name).unwrap_or_default());
        let mut values: BTreeMap<&str, Value> = VARIABLES.into_iter().map(named).collect();
        let pairs = |pairs: &[(SmolStr, SmolStr)]| {
            let pairs = pairs.iter();
            object(pairs.map(|(name, value)| (name.as_str(), Value::from(value.as_str()))))
        };
        let ci = alert.ci.and_then(|ci| state.graph().ci(ci));
        let ci = ci.map_or_else(null, item);
        values.insert("ci", ci.clone());
        let about = object([
            ("id", Value::from(alert.id.to_string())),
            ("summary", Value::from(told.summary.as_str())),
            ("severity", Value::from(alert.severity.word())),
            ("labels", pairs(&told.labels)),
            ("annotations", pairs(&told.annotations)),
            ("source", Value::from(state.source_name(alert.source))),
            ("ci", ci),
        ]);
        values.insert("alert", about);
        Self(object(values))
    }

    /// The text that an expression gives of these values.
    pub fn text(&self, expr: &Expr) -> Option<String> {
        expr.text(&self.0).ok().flatten()
    }
}
