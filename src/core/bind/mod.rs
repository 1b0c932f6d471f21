//! Which CI an alert is about, and why.
//!
//! The answer is a function of the alert's text, the rules and the graph, and is kept with the alert until one of them
//! changes. Tried in this order: what the source itself says, the labels of [`labels::LABELS`], the operator's
//! [`rule`]s. What fits several CIs is unbound with its candidates, never a guess; retired CIs never are bound; key and
//! summary are never looked at. Must not change anything.

mod find;
pub mod labels;
pub mod rule;

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::bind::find::{Finder, Found};
use crate::core::bind::rule::BindRule;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;

/// Candidates that are kept.
pub const CANDIDATES_MAX: usize = 10;

/// What looking for an alert's CI came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindingOutcome {
    /// It is about exactly one CI.
    Bound,
    /// Nothing of the CMDB fits.
    Unbound,
    /// Several CIs fit equally well.
    Ambiguous,
}

impl BindingOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Bound, Self::Unbound, Self::Ambiguous];

    /// The word used in API, metrics and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Unbound => "unbound",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// Reads the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

/// Which CI an alert is about, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The CI.
    pub ci: Option<CiNumber>,
    /// What the search came to.
    pub outcome: BindingOutcome,
    /// Why, in one sentence.
    pub reason: Arc<str>,
    /// What else would have fitted, best first; at most [`CANDIDATES_MAX`].
    pub candidates: Vec<CiNumber>,
}

/// What binding reads of an alert, and the rules it follows.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The labels.
    pub labels: &'a [(SmolStr, SmolStr)],
    /// The annotations.
    pub annotations: &'a [(SmolStr, SmolStr)],
    /// What the source itself says about the CI.
    pub hint: Option<&'a str>,
    /// The operator's rules, tried last, in order.
    pub rules: &'a [BindRule],
}

/// Looks for the CI that an alert is about.
pub fn bind(graph: &Graph, subject: &Subject<'_>) -> Binding {
    search(Finder::new(graph, subject, None))
}

/// The same with every step that was tried, one line each.
pub fn bind_traced(graph: &Graph, subject: &Subject<'_>) -> (Binding, Vec<String>) {
    let mut steps = Vec::new();
    let binding = search(Finder::new(graph, subject, Some(&mut steps)));
    steps.push(format!("{}: {}", binding.outcome.word(), binding.reason));
    (binding, steps)
}

fn search(mut finder: Finder<'_, '_>) -> Binding {
    let subject = finder.subject;
    if let Some(hint) = subject.hint
        && let Some(binding) = finder.attempt("hint", hint, false)
    {
        return binding;
    }
    // Labels in the order of the list; of a name in several spellings the first one counts.
    let mut ranked: [Option<(&str, &str)>; labels::LABELS.len()] = [None; labels::LABELS.len()];
    for (name, value) in subject.labels {
        if let Some(place) = labels::rank(name).and_then(|rank| ranked.get_mut(rank))
            && place.is_none()
        {
            *place = Some((name.as_str(), value.as_str()));
        }
    }
    if let Some(binding) = finder.attempt_interface(&ranked) {
        return binding;
    }
    for (rank, (name, value)) in ranked
        .iter()
        .enumerate()
        .filter_map(|(rank, it)| Some((rank, (*it)?)))
    {
        if let Some(binding) = finder.attempt(name, value, labels::is_service(rank)) {
            return binding;
        }
    }
    for rule in subject.rules {
        let text = match rule.apply(subject) {
            Ok(text) => text,
            Err(error) => {
                finder.say(|| format!("rule {} failed: {error}", rule.name));
                continue;
            }
        };
        match text {
            Some(text) => {
                if let Some(binding) = finder.attempt(&rule.name, &text, false) {
                    return binding;
                }
            }
            None => finder.say(|| format!("rule {} does not apply", rule.name)),
        }
    }
    finder.nothing()
}

/// What one text came to.
fn bound(found: &Found, reason: String) -> Binding {
    Binding {
        ci: Some(found.ci),
        outcome: BindingOutcome::Bound,
        reason: reason.into(),
        candidates: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
