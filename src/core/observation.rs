//! What a source claims about one alert, already in our words.
//!
//! Sources build these; the core decides what they mean. Texts are cleaned on entry: NUL is removed (Postgres
//! refuses it), overlong texts are cut at a character and flagged, never refused. Must not parse any format.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::severity::Severity;
use crate::core::time::Timestamp;

/// What is claimed to be the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// The alert is active.
    Firing,
    /// The alert has ended.
    Resolved,
}

/// One claim of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which alert it is about.
    pub key: AlertKey,
    /// What is claimed.
    pub claim: Claim,
    /// The source's own start of the episode, if it says one.
    pub starts_at: Option<Timestamp>,
    /// The source's own end of the episode; for a firing alert in the future: valid until then.
    pub ends_at: Option<Timestamp>,
    /// How bad, on our ladder.
    pub severity: Severity,
    /// Hash of the text, to tell a repeat from a change without comparing.
    pub text_hash: u64,
    /// The text itself.
    pub text: Arc<AlertText>,
    /// How many alerts of the same group the source left out of this message.
    pub undelivered: u32,
    /// Whether it tells a state that somebody kept, not an event: it then never begins again what has ended.
    pub is_retained: bool,
}

/// The descriptive part of an alert; stored and shown, never held in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertText {
    /// One line for people.
    pub summary: SmolStr,
    /// Labels, sorted by name, each name once.
    pub labels: Vec<(SmolStr, SmolStr)>,
    /// Annotations, sorted by name, each name once.
    pub annotations: Vec<(SmolStr, SmolStr)>,
    /// Link to where the alert was made, or empty.
    pub generator_url: SmolStr,
    /// What the source itself says about which CI it is about: an id, a name or an address; never empty.
    pub ci_hint: Option<SmolStr>,
    /// Whether something was too long or too many and has been cut.
    pub is_cut: bool,
}

impl AlertText {
    /// Whether it says nothing at all, like the text of a resolve that only names its alert; what is known stays then.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Takes the first hint that says something; cut like a label.
    pub fn hint(&mut self, hints: impl IntoIterator<Item = SmolStr>) {
        let mut hints = hints.into_iter().map(|hint| match hint.trim() {
            whole if whole.len() == hint.len() => hint,
            trimmed => SmolStr::new(trimmed),
        });
        self.ci_hint = hints.find(|hint| !hint.is_empty()).map(|mut hint| {
            self.is_cut |= clean(&mut hint, limits::LABEL_BYTES_MAX);
            hint
        });
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let index = self
            .labels
            .binary_search_by(|(label, _)| label.as_str().cmp(name))
            .ok()?;
        self.labels.get(index).map(|(_, value)| value.as_str())
    }
}

/// Cleans pairs of names and values: NUL removed, cut to the limits, sorted, the last of equal names kept.
///
/// Returns whether anything was cut.
pub fn clean_pairs(pairs: &mut Vec<(SmolStr, SmolStr)>, value_bytes_max: usize) -> bool {
    if !is_in_order(pairs) {
        pairs.reverse();
        keep_first_of_each(pairs);
    }
    let mut is_cut = false;
    for (name, value) in pairs.iter_mut() {
        is_cut |= clean(name, limits::NAME_BYTES_MAX);
        is_cut |= clean(value, value_bytes_max);
    }
    // Names that differed may be equal now. Which one stays must not depend on the order in which they came.
    if !is_in_order(pairs) {
        keep_first_of_each(pairs);
    }
    if pairs.len() > limits::LABELS_MAX {
        pairs.truncate(limits::LABELS_MAX);
        is_cut = true;
    }
    is_cut
}

fn is_in_order(pairs: &[(SmolStr, SmolStr)]) -> bool {
    pairs.is_sorted_by(|(left, _), (right, _)| left < right)
}

fn keep_first_of_each(pairs: &mut Vec<(SmolStr, SmolStr)>) {
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    pairs.dedup_by(|(later, _), (earlier, _)| later == earlier);
}

/// Cleans one text in place; returns whether it was cut.
pub fn clean(text: &mut SmolStr, bytes_max: usize) -> bool {
    if text.as_bytes().contains(&0) {
        *text = text.chars().filter(|&letter| letter != '\0').collect();
    }
    if text.len() <= bytes_max {
        return false;
    }
    let end = text.floor_char_boundary(bytes_max);
    *text = SmolStr::new(text.get(..end).unwrap_or_default());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<(SmolStr, SmolStr)> {
        of.iter()
            .map(|(name, value)| (SmolStr::new(name), SmolStr::new(value)))
            .collect()
    }

    #[test]
    fn pairs_are_sorted_and_the_last_of_equal_names_wins() {
        let mut got = pairs(&[("b", "1"), ("a", "2"), ("b", "3")]);
        assert!(!clean_pairs(&mut got, 100));
        assert_eq!(got, pairs(&[("a", "2"), ("b", "3")]));
    }

    #[test]
    fn names_that_become_equal_do_not_depend_on_the_order_they_came_in() {
        let mut one = pairs(&[(".", "first"), (".\0", "second")]);
        let mut other = pairs(&[(".\0", "second"), (".", "first")]);
        clean_pairs(&mut one, 100);
        clean_pairs(&mut other, 100);
        assert_eq!(one, pairs(&[(".", "first")]));
        assert_eq!(one, other);
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_nul_is_removed() {
        let mut got = pairs(&[("a", "xäöü"), ("n\0ul", "v\0")]);
        assert!(clean_pairs(&mut got, 4));
        assert_eq!(got, pairs(&[("a", "xä"), ("nul", "v")]));
    }

    #[test]
    fn too_many_labels_are_cut_and_flagged() {
        let mut got: Vec<_> = (0..500)
            .map(|n| (SmolStr::new(format!("l{n:03}")), SmolStr::default()))
            .collect();
        assert!(clean_pairs(&mut got, 100));
        assert_eq!(got.len(), limits::LABELS_MAX);
    }
}
