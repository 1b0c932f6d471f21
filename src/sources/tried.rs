//! What a source makes of a message, told to the person who sets it up.
//!
//! The answer of `watchbell source try` and of its API twin. Must not be stored: its form may change with any version.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::observation::{Claim, Observation};
use crate::core::time::Timestamp;
use crate::sources::{Decoded, Message, Note, Problem, Source};

/// What was made of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The name of the source.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// Whether all of it was understood.
    pub understood: bool,
    /// Why the message as a whole makes no sense: place, what is wrong, what to do.
    pub error: Option<String>,
    /// Items that became observations.
    pub observed: usize,
    /// Items that could not be used.
    pub rejected: usize,
    /// Items that rightly say nothing about an alert.
    pub skipped: usize,
    /// Test messages of the product.
    pub tests: usize,
    /// The items, in the order of the message; the first hundred.
    pub items: Vec<TriedItem>,
    /// Oddities that were passed over, like `alerts[3].starts_at: is not a time`.
    pub notes: Vec<String>,
    /// What would make more of it.
    pub advice: Vec<String>,
}

/// What was made of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TriedItem {
    /// Position in the message, from 0.
    pub index: usize,
    /// `firing`, `resolved`, `acknowledged`, `skipped`, `test` or `rejected`.
    pub outcome: &'static str,
    /// What is claimed of the alert, `firing` or `resolved`; nothing where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Why it was rejected: place, what is wrong, what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The alert key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the key was made from, with the values found; empty for kinds without a mapping.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_inputs: Vec<TriedInput>,
    /// Word of the ladder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<&'static str>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Start as the sender has it, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// End as the sender has it, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Link for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What tells which CI it is about, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ci_hints: Vec<TriedHint>,
    /// Whether something was too long and has been cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// What the mapping looks for and this item has not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<TriedMissing>,
}

/// An input of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedInput {
    /// Dotted path, like `item.host`.
    pub path: String,
    /// What was found there; `null` for nothing.
    pub value: Option<String>,
}

/// A hint to a CI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedHint {
    /// What the mapping calls it, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is looked for; nothing where the kind itself knows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expression: String,
    /// The value found; `null` for nothing.
    pub value: Option<String>,
}

impl TriedHint {
    /// A hint that the kind's own format has a field for.
    fn given(hint: &smol_str::SmolStr) -> Self {
        Self {
            name: None,
            expression: String::new(),
            value: Some(hint.to_string()),
        }
    }
}

/// Something that a field looks for in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedMissing {
    /// The field of the mapping.
    pub field: String,
    /// Dotted path, like `item.host`.
    pub path: String,
}

impl TriedItem {
    /// An item that could not be used.
    pub(in crate::sources) fn rejected(index: usize, problem: &Problem) -> Self {
        Self {
            index,
            outcome: "rejected",
            problem: Some(format!("{}: {}", problem.path, problem.problem)),
            ..Self::default()
        }
    }

    /// An item that became an observation.
    pub(in crate::sources) fn observed(index: usize, it: &Observation) -> Self {
        let table = |pairs: &[(smol_str::SmolStr, smol_str::SmolStr)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        let status = match it.claim {
            Claim::Firing => "firing",
            Claim::Resolved => "resolved",
        };
        Self {
            index,
            outcome: status,
            status: Some(status),
            key: Some(it.key.text().to_string()),
            severity: Some(it.severity.word()),
            summary: Some(it.text.summary.to_string()),
            starts_at: it.starts_at.map(rfc3339),
            ends_at: it.ends_at.map(rfc3339),
            labels: table(&it.text.labels),
            annotations: table(&it.text.annotations),
            url: Some(it.text.generator_url.to_string()).filter(|url| !url.is_empty()),
            ci_hints: it.text.ci_hint.iter().map(TriedHint::given).collect(),
            is_cut: it.text.is_cut,
            ..Self::default()
        }
    }
}

impl From<Decoded> for Tried {
    /// Of a kind without a mapping; observations come first, since where rejected items stood among them is not known.
    fn from(decoded: Decoded) -> Self {
        let observed = decoded.observations.iter().enumerate();
        let observed = observed.map(|(index, it)| TriedItem::observed(index, it));
        let rejected = decoded.rejects.iter().map(|reject| {
            let problem = Problem {
                path: reject.path.clone(),
                problem: reject.problem.clone(),
            };
            TriedItem::rejected(reject.index, &problem)
        });
        let items = observed.take(super::DETAILS_MAX).chain(rejected).collect();
        Self::new(&decoded, items)
    }
}

impl Tried {
    /// Tries a message; never fails, what is wrong is told.
    pub fn of(source: &dyn Source, message: &Message<'_>) -> Self {
        let mut tried = match source.explain(message) {
            Ok(tried) => Self {
                understood: tried.rejected == 0,
                ..tried
            },
            Err(error) => Self {
                error: Some(error.to_string()),
                ..Self::default()
            },
        };
        let is_silent = tried.observed + tried.rejected + tried.skipped + tried.tests == 0;
        if is_silent && tried.understood {
            let nothing = "the message holds no alert: is it really what this sender sends?";
            tried.advice.push(nothing.to_owned());
        }
        message.source.clone_into(&mut tried.source);
        source.kind().clone_into(&mut tried.kind);
        tried
    }

    /// Says of every item what its key is made from, for kinds whose format says it.
    pub(in crate::sources) fn key_from(
        &mut self,
        inputs: impl Fn(&TriedItem) -> Vec<(String, String)>,
    ) {
        for item in &mut self.items {
            let inputs = inputs(item).into_iter().map(|(path, value)| TriedInput {
                path,
                value: Some(value),
            });
            item.key_inputs = inputs.collect();
        }
    }

    /// The counts and notes of a decoded message, with its items.
    pub(in crate::sources) fn new(decoded: &Decoded, items: Vec<TriedItem>) -> Self {
        let told = |note: &Note| format!("{}: {}", note.path, note.problem);
        Self {
            observed: decoded.observations.len(),
            rejected: decoded.reject_count,
            skipped: decoded.skip_count,
            tests: decoded.test_count,
            items,
            notes: decoded.notes.iter().map(told).collect(),
            ..Self::default()
        }
    }
}

impl TriedItem {
    /// The part of the key that the sender decides.
    pub(in crate::sources) fn key_payload(&self) -> &str {
        let key = self.key.as_deref().unwrap_or_default();
        key.splitn(3, ':').nth(2).unwrap_or_default()
    }
}

fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| at.as_millis().to_string(), |at| format!("{at:.3}"))
}
