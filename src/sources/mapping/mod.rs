//! Field mappings: what a generic message means, as expressions.
//!
//! A mapping is written by an operator, or comes with a preset; it is compiled once and then turns any number of
//! payloads into observations. The variables are `payload`, `item` (the payload where `alerts` is not mapped),
//! `labels` (captures of topic or path), `topic`, `headers` and `query`. What is missing is undefined and never an
//! error, except in `key`: there it sets the item aside, so that two alerts are never taken for one.
//! Everything that a message or an expression can make large is bounded: see `value`, `scan` and `engine`.
//! Must not do I/O, read a clock, or know a product; products are presets.

mod change;
mod compile;
mod engine;
mod filters;
mod judge;
mod observe;
mod scan;
mod text;
mod texts;
mod trace;
pub mod value;

use std::collections::BTreeSet;

use smol_str::SmolStr;

pub use self::compile::MappingError;
pub use self::engine::{Expr, ExprError, Missing, SOURCE_BYTES_MAX, Scope, VARIABLES, Variables};
pub(in crate::sources) use self::observe::{Observer, Origin};
pub use self::text::{HintsText, MappingText, PairsText, SeverityText};
use crate::core::severity::Severity;

/// Alerts in one message; a message with more is refused, since deciding it would hold up others.
pub const ITEMS_MAX: usize = 50_000;

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    text: MappingText,
    example: String,
    /// The kind whose messages it was written for; empty when it does not matter.
    wrapping: &'static str,
    fields: Fields,
    /// The variables that any of the fields reads.
    read: BTreeSet<String>,
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.example == other.example && self.wrapping == other.wrapping
    }
}

impl Eq for Mapping {}

impl Mapping {
    /// Compiles and checks every field.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn compile(text: &MappingText) -> Result<Self, Vec<MappingError>> {
        let fields = compile::compile(text)?;
        Ok(Self {
            read: fields.variables(),
            fields,
            text: text.clone(),
            example: String::new(),
            wrapping: "",
        })
    }

    /// The same with a message that it fits, for people.
    #[must_use]
    pub fn with_example(mut self, example: &str) -> Self {
        example.clone_into(&mut self.example);
        self
    }

    /// The same for messages that come wrapped like those of a kind.
    #[must_use]
    pub fn with_wrapping(mut self, kind: &'static str) -> Self {
        self.wrapping = kind;
        self
    }

    /// The kind whose messages it was written for.
    pub fn wrapping(&self) -> &'static str {
        self.wrapping
    }

    /// Whether any field reads the variable.
    pub fn reads(&self, variable: &str) -> bool {
        self.read.contains(variable)
    }

    /// What it was compiled from.
    pub fn text(&self) -> &MappingText {
        &self.text
    }

    /// A message that it fits, or nothing.
    pub fn example(&self) -> &str {
        &self.example
    }
}

/// The compiled fields.
#[derive(Debug)]
struct Fields {
    set: Vec<(SmolStr, Expr)>,
    alerts: Option<Expr>,
    key: Expr,
    status: Option<Expr>,
    severity: Option<SeverityMap>,
    summary: Option<Expr>,
    labels: Pairs,
    annotations: Pairs,
    starts_at: Option<Expr>,
    ends_at: Option<Expr>,
    ci: Vec<Hint>,
    acknowledge: Option<Expr>,
    url: Option<Expr>,
    when: Option<Expr>,
    test: Option<Expr>,
    change: Option<change::ChangeMap>,
}

#[derive(Debug)]
struct SeverityMap {
    from: Expr,
    table: Vec<(SmolStr, Severity)>,
    default: Option<Severity>,
}

/// Labels or annotations: many from one expression, then one from each.
#[derive(Debug, Default)]
struct Pairs {
    spread: Option<Expr>,
    each: Vec<(SmolStr, Expr)>,
}

#[derive(Debug)]
struct Hint {
    name: Option<SmolStr>,
    expr: Expr,
}

#[cfg(test)]
mod tests;
