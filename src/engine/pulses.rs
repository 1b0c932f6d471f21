//! How the heartbeats do, for those who show it; and what the engine does for them.
//!
//! Must not decide anything: when one is missing the core tells, and it is shown after the commit.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::decide::World;
use crate::core::heartbeat::{self, Feed, Heartbeat, HeartbeatRule};
use crate::core::identity::AlertKey;
use crate::core::ids::Seq;
use crate::core::input::Input;
use crate::core::mute::plan;
use crate::core::review;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

use super::{Engine, Turn};

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
    /// Since when its job runs.
    pub begun_at: Option<Timestamp>,
    /// How long its last run took.
    pub last_run: Option<Span>,
    /// What its job said when it failed.
    pub failure: Option<SmolStr>,
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
        begun_at: held.and_then(|held| held.begun_at),
        last_run: held.and_then(|held| held.last_run),
        failure: held.and_then(|held| held.failure.clone()),
        key: AlertKey::new(heartbeat::SOURCE, &rule.name).text().clone(),
        rule: rule.clone(),
    }
}

impl Engine {
    /// Whether heartbeats are not waited for, windows not planned or incidents not looked at as the policy asks, which
    /// looking at deadlines mends.
    pub(super) fn is_outdated(&self) -> bool {
        let rules = Arc::clone(&self.rules.borrow());
        let world = World {
            state: &self.state,
            rules: &rules,
        };
        heartbeat::is_outdated(world) || plan::is_outdated(world) || review::is_outdated(world)
    }

    /// Tells the core of a message whose source must not fall silent.
    pub(super) fn hear(&mut self, turn: &mut Turn, seq: Seq, at: Timestamp, source: &SmolStr) {
        if !self.rules.borrow().heartbeats.listens_to(source) {
            return;
        }
        let source = source.clone();
        let decision = self.step(at, &Input::SourceHeard { source });
        self.note(turn, seq, at, decision);
    }

    /// Shows how the heartbeats do.
    pub(super) fn show_heartbeats(&self) {
        let rules = Arc::clone(&self.rules.borrow());
        let pulses = Pulses::of(&self.state, &rules);
        if **self.pulses.borrow() != pulses {
            self.figures.show_heartbeats(&pulses);
            self.pulses.send_replace(Arc::new(pulses));
        }
    }
}
