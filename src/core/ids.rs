//! Typed ids, and the feed that hands out new ones.
//!
//! An alert's id is its row number in order of first arrival, an incident's id is the number people say
//! (`INC-42`): both ascend, so rows written together lie together on disk. Must not draw randomness or read a
//! clock: [`IdFeed`] is restored with the state and the same inputs give the same ids.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::core::records::{Kind, RecordFeed, RecordId};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(NonZeroI64);

        impl $name {
            /// The lowest there can be.
            pub const FIRST: Self = Self(NonZeroI64::MIN);
            /// The highest there can be.
            pub const LAST: Self = Self(NonZeroI64::MAX);

            /// Takes a positive number; anything else is no id.
            pub const fn new(number: i64) -> Option<Self> {
                match NonZeroI64::new(number) {
                    Some(number) if number.get() > 0 => Some(Self(number)),
                    Some(_) | None => None,
                }
            }

            /// The number behind the prefix.
            pub const fn get(self) -> i64 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let digits = match text.get(..$prefix.len()) {
                    Some(head) if head.eq_ignore_ascii_case($prefix) => text.get($prefix.len()..).unwrap_or(""),
                    Some(_) | None => return Err(NotAnId($prefix)),
                };
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(NotAnId($prefix));
                }
                digits.parse().ok().and_then(Self::new).ok_or(NotAnId($prefix))
            }
        }
    };
}

id!(
    /// The id of an alert: `A-17`, numbered in order of first arrival.
    AlertId,
    "A-"
);
id!(
    /// The number of an incident: `INC-42`.
    IncidentId,
    "INC-"
);
id!(
    /// The row number of a silence: `S-3`; outside it is known by its UUID.
    SilenceId,
    "S-"
);

/// A text that is not an id of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected `{0}` and a positive number, like `{0}42`")]
pub struct NotAnId(pub(in crate::core) &'static str);

/// A position in the input log; every input has one and they never repeat.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(i64);

impl Seq {
    /// Takes a log position.
    pub const fn new(position: i64) -> Self {
        Self(position)
    }

    /// The position as a number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The position that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A source's number in the order in which sources were first heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub u16);

/// Hands out new ids; each kind counts for itself, so a new draw of one kind never shifts another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdFeed {
    last_alert: i64,
    last_incident: i64,
    last_entry: i64,
    last_silence: i64,
    last_message: i64,
    records: RecordFeed,
}

impl IdFeed {
    /// Continues after the highest numbers used so far (zero when none).
    pub const fn after(last_alert: i64, last_incident: i64, last_entry: i64) -> Self {
        Self {
            last_alert,
            last_incident,
            last_entry,
            last_silence: 0,
            last_message: 0,
            records: RecordFeed::NONE,
        }
    }

    /// The same, with silences going on after the highest number used so far.
    #[must_use]
    pub const fn silences_after(self, last_silence: i64) -> Self {
        Self {
            last_silence,
            ..self
        }
    }

    /// The same, with messages to people going on after the highest number used so far.
    #[must_use]
    pub const fn messages_after(self, last_message: i64) -> Self {
        Self {
            last_message,
            ..self
        }
    }

    /// The next message's number, in order of deciding.
    pub fn message(&mut self) -> i64 {
        bump(&mut self.last_message).get()
    }

    /// The same, with the records of a kind going on after the highest number used so far.
    #[must_use]
    pub fn records_after(mut self, kind: Kind, last: i64) -> Self {
        self.records.continue_after(kind, last);
        self
    }

    /// The next id of a record.
    pub fn record(&mut self, kind: Kind) -> RecordId {
        self.records.next(kind)
    }

    /// The next alert id.
    pub fn alert(&mut self) -> AlertId {
        AlertId(bump(&mut self.last_alert))
    }

    /// The next incident number.
    pub fn incident(&mut self) -> IncidentId {
        IncidentId(bump(&mut self.last_incident))
    }

    /// The next silence's number.
    pub fn silence(&mut self) -> SilenceId {
        SilenceId(bump(&mut self.last_silence))
    }

    /// The next timeline entry's number, in order of happening.
    pub fn entry(&mut self) -> i64 {
        bump(&mut self.last_entry).get()
    }
}

fn bump(last: &mut i64) -> NonZeroI64 {
    *last = last.saturating_add(1).max(1);
    NonZeroI64::new(*last).unwrap_or(NonZeroI64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_the_same_text() {
        let id: IncidentId = "INC-42".parse().unwrap();
        assert_eq!(id.to_string(), "INC-42");
        assert_eq!("inc-42".parse::<IncidentId>().unwrap(), id);
        for bad in [
            "",
            "42",
            "INC-",
            "INC-0",
            "INC--1",
            "INC-+1",
            "A-42",
            "INC-4x",
            "INC-99999999999999999999",
        ] {
            assert!(
                bad.parse::<IncidentId>().is_err(),
                "{bad:?} is no incident number"
            );
        }
    }

    #[test]
    fn kinds_count_apart() {
        let mut feed = IdFeed::after(5, 0, 0);
        assert_eq!(feed.alert().to_string(), "A-6");
        assert_eq!(feed.incident().to_string(), "INC-1");
        assert_eq!(feed.alert().to_string(), "A-7");
        assert_eq!(size_of::<Option<AlertId>>(), 8);
    }
}
