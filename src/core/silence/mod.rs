//! Silences: matchers on labels with a begin and an end, which keep people from being told of alerts.
//!
//! A silence never keeps anything from being recorded. Its matchers never change: other matchers are another silence.
//! Labels are not held in memory, so an alert is compared when a message brings its labels, and alerts that fire
//! already are found by a reader of the store ([`Sweep`]), which proposes and does not decide. What is held is only
//! which firing alerts are silenced by what. Must not look at a clock or at texts beyond labels.

pub mod given;
mod held;
pub mod matcher;
pub mod parse;
mod rules;
mod sweep;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::core::ids::{AlertId, SilenceId};
use crate::core::time::Timestamp;

pub use self::held::Silences;
use self::matcher::Matcher;
pub use self::matcher::{BadMatcher, Operator, all_match};
pub use self::parse::{parse_matcher, parse_matchers, parse_word};
pub use self::sweep::{Sweep, SweepMatch};

pub(super) use self::given::decide_given;
pub(super) use self::rules::{alert_ended, alert_heard, alert_without_labels, decide_due};
pub(super) use self::sweep::decide_sweep;

/// Silences that are pending or active at once. Every alert that begins is compared with each that is not bound to
/// another `alertname`; beyond it new ones are refused.
pub const SILENCES_MAX: usize = 1_000;
/// Matchers of one silence; more are refused.
pub const MATCHERS_MAX: usize = 32;
/// Bytes of the name of whoever made a silence; more are refused.
pub const CREATED_BY_BYTES_MAX: usize = 256;
/// Bytes of a silence's comment; more are refused.
pub const COMMENT_BYTES_MAX: usize = 4 * 1024;

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Row number in order of making.
    pub id: SilenceId,
    /// The name under which people and programs know it.
    pub uuid: SilenceUuid,
    /// All of them must match.
    pub matchers: Arc<[Matcher]>,
    /// From then on.
    pub starts_at: Timestamp,
    /// Until then.
    pub ends_at: Timestamp,
    /// Who wants it, in their own words.
    pub created_by: SmolStr,
    /// Why.
    pub comment: SmolStr,
    /// When it was made or changed last.
    pub updated_at: Timestamp,
    /// Whether its begin was reached and noticed.
    pub is_started: bool,
    /// Whether the alerts that fired at its begin were all compared.
    pub is_swept: bool,
    /// Hash of maker, `Idempotency-Key` and content: the same order makes one silence.
    pub once: Option<u64>,
}

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceState {
    /// It has not begun.
    Pending,
    /// It holds.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Expired];

    /// Where something stands that holds from one time until another.
    pub fn at(starts_at: Timestamp, ends_at: Timestamp, now: Timestamp) -> Self {
        if now >= ends_at {
            Self::Expired
        } else if now < starts_at {
            Self::Pending
        } else {
            Self::Active
        }
    }

    /// The word used in the API, which is Alertmanager's.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }

    /// Reads a state's word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl Silence {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        SilenceState::at(self.starts_at, self.ends_at, now)
    }

    /// Whether an alert with these labels is silenced by it while it is active.
    pub fn is_match<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        all_match(&self.matchers, label)
    }

    /// How people speak of it.
    pub fn name(&self) -> String {
        format!("silence {} of {}", self.uuid, self.created_by)
    }

    /// When time alone has something to do here.
    pub fn due_at(&self) -> Timestamp {
        if self.is_started {
            self.ends_at
        } else {
            self.starts_at.min(self.ends_at)
        }
    }
}

/// The public name of a silence, which clients of Alertmanager expect to be a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceUuid(u128);

impl SilenceUuid {
    /// The name of the silence with that number, made at that time: the same for the same two, so that a replay gives
    /// the same names.
    pub fn derive(id: SilenceId, made_at: Timestamp) -> Self {
        let digest = Sha256::new()
            .chain_update("watchbell silence ")
            .chain_update(id.get().to_be_bytes())
            .chain_update(made_at.as_millis().to_be_bytes())
            .finalize();
        let bits = digest
            .iter()
            .take(16)
            .fold(0_u128, |bits, &byte| (bits << 8) | u128::from(byte));
        // Version 8 (of the maker's own) and the variant of RFC 9562.
        let bits = bits & !(0xf << 76) | (0x8 << 76);
        Self(bits & !(0x3 << 62) | (0x2 << 62))
    }
}

impl fmt::Display for SilenceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xffff,
            bits >> 64 & 0xffff,
            bits >> 48 & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for SilenceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a silence: expected a UUID like 4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b")]
pub struct NotAUuid;

impl FromStr for SilenceUuid {
    type Err = NotAUuid;

    fn from_str(text: &str) -> Result<Self, NotAUuid> {
        let dashes = text.char_indices().filter(|(_, letter)| *letter == '-');
        let is_formed = text.len() == 36 && dashes.map(|(at, _)| at).eq([8, 13, 18, 23]);
        let digits = text.replace('-', "");
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_formed || !is_hex {
            return Err(NotAUuid);
        }
        u128::from_str_radix(&digits, 16)
            .map(Self)
            .map_err(|_| NotAUuid)
    }
}

impl Serialize for SilenceUuid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SilenceUuid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One change of what is silenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceChange {
    /// A silence was made or changed.
    Changed(Arc<Silence>),
    /// A silence is over and has let go of its last alert; it is no longer held in memory.
    Over(SilenceId),
    /// A silence keeps people from being told of a firing alert.
    Silenced(AlertId, SilenceId),
    /// It no longer does.
    Unsilenced(AlertId, SilenceId),
    /// An alert fires and its labels are not at hand: a reader has to compare it.
    Unchecked(AlertId),
    /// That was done.
    Checked(AlertId),
}

impl SilenceChange {
    /// The alert and the silence between which something begins (`true`) or ends.
    pub(in crate::core) fn pair(&self) -> Option<(AlertId, SilenceId, bool)> {
        match self {
            Self::Silenced(alert, silence) => Some((*alert, *silence, true)),
            Self::Unsilenced(alert, silence) => Some((*alert, *silence, false)),
            Self::Changed(_) | Self::Over(_) | Self::Unchecked(_) | Self::Checked(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uuids_that_read_back_and_differ() {
        let id = SilenceId::new(7).unwrap();
        let at = Timestamp::from_millis(1_777_852_800_000);
        let uuid = SilenceUuid::derive(id, at);
        assert_eq!(uuid, SilenceUuid::derive(id, at));
        assert_ne!(uuid, SilenceUuid::derive(SilenceId::new(8).unwrap(), at));
        assert_ne!(uuid, SilenceUuid::derive(id, Timestamp::from_millis(1)));
        let text = uuid.to_string();
        assert_eq!(text.parse(), Ok(uuid));
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
        assert_eq!((text.len(), text.as_bytes()[14]), (36, b'8'), "{text}");
        for bad in [
            "",
            "7",
            "4f0d1a2b3c4d8e5f9a6b7c8d9e0f1a2b",
            &format!("{text}0"),
            "zf0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b",
        ] {
            assert_eq!(bad.parse::<SilenceUuid>(), Err(NotAUuid), "{bad}");
        }
    }

    #[test]
    fn states_follow_the_clock() {
        let at = Timestamp::from_millis;
        for (now, expected) in [(1, "pending"), (2, "active"), (3, "active"), (4, "expired")] {
            assert_eq!(SilenceState::at(at(2), at(4), at(now)).word(), expected);
        }
    }
}
