//! The words that senders use for the state of an alert, as one table.
//!
//! Shared by every source whose status is free text. Must not hold a word that means opposite things in two products,
//! and no bare numbers: those are mapped where their meaning is known.

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The alert is active.
    Firing,
    /// The alert has ended.
    Resolved,
    /// Somebody took notice of an active alert.
    Acknowledged,
}

/// The words, in lower case.
pub const WORDS: &[(&str, Status)] = &[
    ("firing", Status::Firing),
    ("fired", Status::Firing),
    ("alerting", Status::Firing),
    ("alert", Status::Firing),
    ("alarm", Status::Firing),
    ("problem", Status::Firing),
    ("open", Status::Firing),
    ("opened", Status::Firing),
    ("new", Status::Firing),
    ("created", Status::Firing),
    ("active", Status::Firing),
    ("activated", Status::Firing),
    ("trigger", Status::Firing),
    ("triggered", Status::Firing),
    ("raised", Status::Firing),
    ("down", Status::Firing),
    ("unreachable", Status::Firing),
    ("offline", Status::Firing),
    ("failing", Status::Firing),
    ("failed", Status::Firing),
    ("unhealthy", Status::Firing),
    ("degraded", Status::Firing),
    ("critical", Status::Firing),
    ("crit", Status::Firing),
    ("error", Status::Firing),
    ("warning", Status::Firing),
    ("warn", Status::Firing),
    ("resolved", Status::Resolved),
    ("resolve", Status::Resolved),
    ("recovered", Status::Resolved),
    ("recovery", Status::Resolved),
    ("closed", Status::Resolved),
    ("close", Status::Resolved),
    ("cleared", Status::Resolved),
    ("clear", Status::Resolved),
    ("ok", Status::Resolved),
    ("normal", Status::Resolved),
    ("up", Status::Resolved),
    ("online", Status::Resolved),
    ("healthy", Status::Resolved),
    ("inactive", Status::Resolved),
    ("deactivated", Status::Resolved),
    ("ended", Status::Resolved),
    ("acknowledged", Status::Acknowledged),
    ("acknowledge", Status::Acknowledged),
    ("acknowledgement", Status::Acknowledged),
    ("acked", Status::Acknowledged),
    ("ack", Status::Acknowledged),
];

/// The status that a word means, in any letter case.
pub fn status_of(word: &str) -> Option<Status> {
    let word = word.trim();
    WORDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map(|&(_, status)| status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_stands_once_in_lower_case() {
        for (index, (word, status)) in WORDS.iter().enumerate() {
            assert_eq!(*word, word.to_lowercase());
            assert!(!WORDS[index + 1..].iter().any(|(other, _)| other == word));
            assert_eq!(status_of(&word.to_uppercase()), Some(*status));
        }
        assert_eq!(status_of("1"), None);
    }
}
