//! How the heartbeats do, for those who show it.
//!
//! Must not decide anything; it is told after the commit.

use smol_str::SmolStr;

use crate::core::heartbeat::{Feed, Heartbeat, HeartbeatRule};
use crate::core::identity::AlertKey;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::Timestamp;

/// Whether a heartbeat is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It was never heard.
    New,
    /// It was heard in time.
    Up,
    /// It was not.
    Missing,
}

impl Word {
    /// The word used in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Up => "up",
            Self::Missing => "missing",
        }
    }
}

/// One heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Its name, or that of the source whose silence is watched.
    pub name: SmolStr,
    /// Whether it is heard.
    pub word: Word,
    /// When it was heard last.
    pub heard_at: Option<Timestamp>,
    /// When it counts as missing unless it is heard before.
    pub due_at: Option<Timestamp>,
    /// The policy.
    pub rule: HeartbeatRule,
    /// The key of its alert.
    pub key: SmolStr,
}

/// Every heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulses {
    /// The configured ones, by name.
    pub heartbeats: Vec<Pulse>,
    /// Sources whose silence is watched, by name.
    pub sources: Vec<Pulse>,
}

impl Pulses {
    pub(super) fn of(state: &State, rules: &Rules) -> Self {
        let mut pulses = Self::default();
        let started_at = state.started_at();
        for rule in rules.heartbeats.iter() {
            let held = state.heartbeat(&rule.name);
            let mut pulse = pulse(rule, held, started_at);
            match &rule.feed {
                Feed::Pings | Feed::Watchdog { .. } => pulses.heartbeats.push(pulse),
                Feed::Messages { source } => {
                    pulse.name = source.clone();
                    pulses.sources.push(pulse);
                }
            }
        }
        pulses
    }
}

fn pulse(rule: &HeartbeatRule, held: Option<&Heartbeat>, started_at: Option<Timestamp>) -> Pulse {
    let word = match held {
        Some(held) if held.is_missing => Word::Missing,
        Some(held) if held.is_seen => Word::Up,
        Some(_) | None => Word::New,
    };
    let up = held.filter(|held| !held.is_missing);
    Pulse {
        name: rule.name.clone(),
        word,
        heard_at: held.filter(|held| held.is_seen).map(|held| held.heard_at),
        due_at: up.map(|held| held.due(started_at)),
        key: AlertKey::new(crate::core::heartbeat::SOURCE, &rule.name)
            .text()
            .clone(),
        rule: rule.clone(),
    }
}
