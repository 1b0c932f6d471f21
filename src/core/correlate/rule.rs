//! The operator's own rules: which alerts belong together whatever the CMDB says, and which never do.
//!
//! A rule looks at one alert and gives it a text: equal texts are one incident, or different ones never share one. So
//! a rule costs the same however many alerts there are. Must not look at anything but the alert and its CI.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::cmdb::ci::Ci;
use crate::core::correlate::family::name_of;
use crate::core::correlate::node::Mark;
use crate::core::expr::{Expr, Value};
use crate::core::observation::AlertText;
use crate::core::severity::Severity;
use crate::core::time::Span;

/// The variables of both expressions.
pub const VARIABLES: [&str; 7] = [
    "labels",
    "annotations",
    "source",
    "severity",
    "summary",
    "name",
    "ci",
];

/// What a rule does with alerts that it gives a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bond {
    /// Equal texts within this time are one incident.
    Together(Span),
    /// Different texts never share an incident.
    Apart,
    /// Each alert stays alone.
    Alone,
}

/// One `[[correlation.rule]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BondRule {
    /// For explanations.
    pub name: SmolStr,
    /// What it does.
    pub bond: Bond,
    /// Which alerts it is about; all when there is none.
    when: Option<Arc<Expr>>,
    /// The text that is compared.
    by: Option<Arc<Expr>>,
}

/// An alert as rules see it.
#[derive(Debug)]
pub(crate) struct Look<'a> {
    pub(crate) text: &'a AlertText,
    pub(crate) source: &'a str,
    pub(crate) severity: Severity,
    pub(crate) ci: Option<&'a Ci>,
}

impl BondRule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// The key that is wrong, and what is wrong with it.
    pub fn compile(
        name: &str,
        bond: Bond,
        when: Option<&str>,
        by: Option<&str>,
    ) -> Result<Self, (&'static str, String)> {
        let compile = |key, source: &str| {
            let expr = Expr::compile(source, &VARIABLES).map_err(|error| (key, error))?;
            Ok(Arc::new(expr))
        };
        Ok(Self {
            name: name.into(),
            bond,
            when: when.map(|source| compile("when", source)).transpose()?,
            by: by.map(|source| compile("by", source)).transpose()?,
        })
    }

    /// What marks carry of the rule.
    pub(crate) fn hash(&self) -> u64 {
        hash(&[self.name.as_bytes()])
    }

    /// What the rule makes of an alert, if it applies; what cannot be evaluated does not apply.
    pub(crate) fn mark(&self, values: &Value) -> Option<Mark> {
        if let Some(when) = &self.when
            && !when.is_true(values).unwrap_or(false)
        {
            return None;
        }
        let text = match &self.by {
            Some(by) => by.text(values).ok().flatten()?,
            None => String::new(),
        };
        Some(Mark {
            rule: self.hash(),
            text: hash(&[self.name.as_bytes(), text.as_bytes()]),
            bond: self.bond,
        })
    }
}

/// Never 0, which stands for no rule.
fn hash(parts: &[&[u8]]) -> u64 {
    xxh3_64(&parts.join(&0xff_u8)).max(1)
}

/// The values that the expressions see.
pub(crate) fn values(look: &Look<'_>) -> Value {
    let object = |pairs: &[(SmolStr, SmolStr)]| {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| (name.to_string(), Value::from(value.as_str())));
        Value::from(pairs.collect::<BTreeMap<String, Value>>())
    };
    let ci = look.ci.map_or(Value::UNDEFINED, |ci| {
        let text = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
        Value::from(BTreeMap::from([
            ("id", Value::from(ci.id.as_str())),
            ("name", Value::from(ci.name.as_str())),
            ("class", Value::from(ci.class.as_str())),
            ("site", text(ci.site.as_deref())),
            ("environment", text(ci.environment.as_deref())),
        ]))
    });
    Value::from(BTreeMap::from([
        ("labels", object(&look.text.labels)),
        ("annotations", object(&look.text.annotations)),
        ("source", Value::from(look.source)),
        ("severity", Value::from(look.severity.word())),
        ("summary", Value::from(look.text.summary.as_str())),
        ("name", Value::from(name_of(look.text).as_str())),
        ("ci", ci),
    ]))
}
