//! Which CI an alert is about, and why.
//!
//! The answer is a function of the alert's text and the graph, and is kept with the alert until its text or the CMDB
//! changes. What fits several CIs is unbound with its candidates, never a guess; retired CIs never are bound. Must
//! not change anything.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::observation::AlertText;

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
    /// What else would have fitted, best first.
    pub candidates: Vec<CiNumber>,
}

/// The labels that name a CI by its id.
const ID_LABELS: [&str; 2] = ["ci", "ci_id"];

/// Looks for the CI that an alert is about.
pub fn bind(graph: &Graph, text: &AlertText) -> Binding {
    for label in ID_LABELS {
        let Some(id) = text.label(label) else {
            continue;
        };
        let ci = graph.find(id).and_then(|number| graph.ci(number));
        if let Some(ci) = ci.filter(|ci| !ci.is_retired) {
            return Binding {
                ci: Some(ci.number),
                outcome: BindingOutcome::Bound,
                reason: format!("The label {label} names the CI {}.", SmolStr::clone(&ci.id))
                    .into(),
                candidates: Vec::new(),
            };
        }
    }
    Binding {
        ci: None,
        outcome: BindingOutcome::Unbound,
        reason: "No CI has an id or name that the alert mentions.".into(),
        candidates: Vec::new(),
    }
}
