//! The operator's own rules: when they apply, and the text that names the CI.
//!
//! Must not look at anything but what [`Subject`] holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;
use smol_str::SmolStr;

use crate::core::bind::Subject;
use crate::core::expr::Expr;

/// The variables of both expressions.
pub const VARIABLES: [&str; 4] = ["labels", "annotations", "source", "hint"];

/// One `[[cmdb.bind]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindRule {
    /// For explanations.
    pub name: SmolStr,
    /// Whether it applies; always when there is none.
    pub when: Option<Arc<Expr>>,
    /// The id, name or address of the CI.
    pub ci: Arc<Expr>,
}

impl BindRule {
    /// Compiles a rule.
    ///
    /// # Errors
    /// The key that is wrong, and what is wrong with it.
    pub fn compile(
        name: &str,
        when: Option<&str>,
        ci: &str,
    ) -> Result<Self, (&'static str, String)> {
        let compile = |key, source: &str| {
            let expr = Expr::compile(source, &VARIABLES).map_err(|error| (key, error))?;
            Ok(Arc::new(expr))
        };
        Ok(Self {
            name: name.into(),
            when: when.map(|source| compile("when", source)).transpose()?,
            ci: compile("ci", ci)?,
        })
    }

    /// The text that names the CI, if the rule applies.
    pub(super) fn apply(&self, subject: &Subject<'_>) -> Result<Option<String>, String> {
        let values = values(subject);
        if let Some(when) = &self.when
            && !when.is_true(&values)?
        {
            return Ok(None);
        }
        self.ci.text(&values)
    }
}

fn values(subject: &Subject<'_>) -> Value {
    let object = |pairs: &[(SmolStr, SmolStr)]| {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| (name.to_string(), Value::from(value.as_str())));
        Value::from(pairs.collect::<BTreeMap<String, Value>>())
    };
    let hint = subject.hint.map_or(Value::UNDEFINED, Value::from);
    Value::from(BTreeMap::from([
        ("labels", object(subject.labels)),
        ("annotations", object(subject.annotations)),
        ("source", Value::from(subject.source)),
        ("hint", hint),
    ]))
}
