//! The words that senders use for how bad something is, as one table.
//!
//! Shared by every source whose severity is free text. Must not be extended with words that are not severities;
//! a word of one product with another meaning there belongs to that source.

use crate::core::severity::Severity;

/// What an alert is when its sender names no severity, or a word that is not in the table: someone should look,
/// nobody should be woken. The word itself stays visible among the labels.
pub const DEFAULT: Severity = Severity::Warning;

/// Words beside those of the ladder, in lower case.
pub const WORDS: &[(&str, Severity)] = &[
    ("crit", Severity::Critical),
    ("page", Severity::Critical),
    ("pager", Severity::Critical),
    ("fatal", Severity::Critical),
    ("emergency", Severity::Critical),
    ("emerg", Severity::Critical),
    ("disaster", Severity::Critical),
    ("blocker", Severity::Critical),
    ("p0", Severity::Critical),
    ("p1", Severity::Critical),
    ("sev0", Severity::Critical),
    ("sev1", Severity::Critical),
    ("error", Severity::High),
    ("err", Severity::High),
    ("major", Severity::High),
    ("severe", Severity::High),
    ("p2", Severity::High),
    ("sev2", Severity::High),
    ("warn", Severity::Warning),
    ("minor", Severity::Warning),
    ("average", Severity::Warning),
    ("medium", Severity::Warning),
    ("moderate", Severity::Warning),
    ("p3", Severity::Warning),
    ("sev3", Severity::Warning),
    ("ticket", Severity::Low),
    ("p4", Severity::Low),
    ("sev4", Severity::Low),
    ("information", Severity::Info),
    ("informational", Severity::Info),
    ("notice", Severity::Info),
    ("none", Severity::Info),
    ("debug", Severity::Info),
    ("ok", Severity::Info),
    ("p5", Severity::Info),
    ("sev5", Severity::Info),
];

/// The severity that a word means: first the ladder, then the table, else [`DEFAULT`]. Letter case and blanks
/// around the word do not matter.
pub fn severity_of(word: &str) -> Severity {
    known(word).unwrap_or(DEFAULT)
}

/// The severity that a word means, if it means one.
pub fn known(word: &str) -> Option<Severity> {
    let word = word.trim();
    Severity::from_word(word).or_else(|| {
        WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|&(_, severity)| severity)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_map_in_any_case_and_unknown_ones_are_the_default() {
        assert_eq!(severity_of("CRITICAL"), Severity::Critical);
        assert_eq!(severity_of(" Page "), Severity::Critical);
        assert_eq!(severity_of("error"), Severity::High);
        assert_eq!(severity_of("none"), Severity::Info);
        assert_eq!(severity_of("P4"), Severity::Low);
        assert_eq!(severity_of("purple"), DEFAULT);
        assert_eq!(severity_of(""), DEFAULT);
    }

    #[test]
    fn each_word_stands_once_in_lower_case_and_is_no_ladder_word() {
        for (index, (word, _)) in WORDS.iter().enumerate() {
            assert_eq!(*word, word.to_lowercase());
            assert_eq!(Severity::from_word(word), None, "{word}");
            assert!(
                !WORDS[index + 1..].iter().any(|(other, _)| other == word),
                "{word}"
            );
        }
    }
}
