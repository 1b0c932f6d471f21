//! The answers given to commands with an idempotency key, the oldest forgotten first.
//!
//! Must not decide whether an answer fits a command.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::IncidentId;
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// The answer that was given to a command with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// When it was given.
    pub at: Timestamp,
    /// Digest of the command.
    pub command: u64,
    /// The incident of the answer.
    pub incident: IncidentId,
    /// The reason of the answer.
    pub reason: Reason,
    /// Whether it was a refusal.
    pub is_refused: bool,
}

/// Answers by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    by_key: BTreeMap<u64, Remembered>,
    by_age: BTreeSet<(Timestamp, u64)>,
}

impl Answers {
    pub(super) fn get(&self, key: u64) -> Option<Remembered> {
        self.by_key.get(&key).copied()
    }

    /// Keeps an answer, and forgets what is too old or too much by then.
    pub(super) fn put(&mut self, key: u64, remembered: Remembered) {
        let now = remembered.at;
        if let Some(before) = self.by_key.insert(key, remembered) {
            self.by_age.remove(&(before.at, key));
        }
        self.by_age.insert((now, key));
        while let Some(&(at, oldest)) = self.by_age.first()
            && (self.by_key.len() > limits::IDEMPOTENCY_KEYS_MAX
                || at.plus(limits::IDEMPOTENCY_KEPT) < now)
        {
            self.by_age.remove(&(at, oldest));
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Span;

    #[test]
    fn old_and_surplus_answers_are_forgotten() {
        let mut answers = Answers::default();
        let start = Timestamp::from_millis(1_000);
        let put = |answers: &mut Answers, key: u64, at: Timestamp| {
            let remembered = Remembered {
                at,
                command: key,
                incident: IncidentId::new(1).unwrap(),
                reason: Reason::Assigned,
                is_refused: false,
            };
            answers.put(key, remembered);
        };
        let last = u64::try_from(limits::IDEMPOTENCY_KEYS_MAX).unwrap();
        for key in 0..=last {
            put(&mut answers, key, start);
        }
        assert_eq!((answers.get(0), answers.by_age.len()), (None, 10_000));
        assert_eq!(answers.get(last).map(|it| it.command), Some(last));
        let later = start.plus(limits::IDEMPOTENCY_KEPT.times(2));
        put(&mut answers, 7, later.plus(Span::from_secs(1)));
        assert_eq!((answers.by_key.len(), answers.by_age.len()), (1, 1));
    }
}
