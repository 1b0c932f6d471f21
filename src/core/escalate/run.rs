//! A run of a ladder: where it stands and when it goes on. Every function gives the run as it is afterwards.
//!
//! Must not know an incident, or whom a step reaches.

use std::sync::Arc;

use crate::core::escalate::RunKey;
use crate::core::escalate::ladder::{Ladder, Step};
use crate::core::ids::IncidentId;
use crate::core::severity::Priority;
use crate::core::time::{Span, Timestamp};

/// A run of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The incident.
    pub incident: IncidentId,
    /// The ladder as it was when the run began.
    pub ladder: Arc<Ladder>,
    /// When it began, or began anew because an acknowledgement ended.
    pub began_at: Timestamp,
    /// How often the ladder was climbed to its end since then.
    pub round: u32,
    /// The step that is next, counted from zero; the number of steps: the end of the round is next.
    pub step: u32,
    /// Whether and when it goes on.
    pub phase: Phase,
    /// How loud people were told so far.
    pub loudness: Loudness,
}

/// Whether and when a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The next step is due then.
    Climbing(Timestamp),
    /// The incident is on hold or held; the next step is due so long after that ends.
    Paused(Span),
    /// Somebody has taken the incident.
    Stopped,
    /// All steps and repeats were told and nobody answered.
    Exhausted,
}

/// How loud people were told: somebody higher up is never told less loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loudness {
    /// The most urgent priority that decided about ways to tell people.
    pub priority: Priority,
    /// Whether quiet hours were passed over, or were none.
    pub is_loud: bool,
}

impl Loudness {
    /// Nobody was told yet.
    pub const NONE: Self = Self {
        priority: Priority::P5,
        is_loud: false,
    };
}

impl Phase {
    /// The word in API and store.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Climbing(_) => "climbing",
            Self::Paused(_) => "paused",
            Self::Stopped => "stopped",
            Self::Exhausted => "exhausted",
        }
    }
}

/// What a run does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It tells a step.
    Step(Step),
    /// It begins anew.
    Again,
    /// It gives up.
    GiveUp,
}

impl Run {
    /// A run that begins now.
    pub fn begin(incident: IncidentId, ladder: Arc<Ladder>, now: Timestamp) -> Self {
        let first = ladder.steps.first().map_or(Span::ZERO, |step| step.after);
        Self {
            incident,
            ladder,
            began_at: now,
            round: 0,
            step: 0,
            phase: Phase::Climbing(now.plus(first)),
            loudness: Loudness::NONE,
        }
    }

    /// Which run it is.
    pub fn key(&self) -> RunKey {
        (self.incident, self.ladder.name.clone())
    }

    /// When it goes on; `None` while it does not.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Climbing(at) => Some(at),
            Phase::Paused(_) | Phase::Stopped | Phase::Exhausted => None,
        }
    }

    /// What it does when it goes on.
    pub fn next(&self) -> Next {
        match self.step_of(self.step) {
            Some(step) => Next::Step(step.clone()),
            None if self.round < self.ladder.repeat => Next::Again,
            None => Next::GiveUp,
        }
    }

    fn step_of(&self, number: u32) -> Option<&Step> {
        let number = usize::try_from(number).ok()?;
        self.ladder.steps.get(number)
    }

    /// It did what was due then.
    pub(super) fn done(&mut self, due: Timestamp) {
        match self.next() {
            Next::Step(step) => {
                let after = step.after;
                let next = self.step.saturating_add(1);
                let wait = match self.step_of(next) {
                    Some(following) => Span::from_millis(
                        following
                            .after
                            .as_millis()
                            .saturating_sub(after.as_millis()),
                    ),
                    None => self.ladder.repeat_after,
                };
                self.step = next;
                self.phase = Phase::Climbing(due.plus(wait));
                if self.next() == Next::GiveUp && self.ladder.fallback.is_empty() {
                    self.phase = Phase::Exhausted;
                }
            }
            Next::Again => {
                self.round = self.round.saturating_add(1);
                self.step = 0;
                let first = self.step_of(0).map_or(Span::ZERO, |step| step.after);
                self.phase = Phase::Climbing(due.plus(first));
            }
            Next::GiveUp => self.phase = Phase::Exhausted,
        }
    }

    /// It waits until then for its step; the later ones keep their distance.
    pub(super) fn wait_until(&mut self, until: Timestamp) {
        self.phase = Phase::Climbing(until);
    }

    pub(super) fn pause(&mut self, now: Timestamp) {
        if let Phase::Climbing(due) = self.phase {
            self.phase = Phase::Paused(Span::from_millis(due.since(now).as_millis().max(0)));
        }
    }

    pub(super) fn resume(&mut self, now: Timestamp) {
        if let Phase::Paused(left) = self.phase {
            self.phase = Phase::Climbing(now.plus(left));
        }
    }

    /// Its number of steps told, of how many, for people: `2 of 3`.
    pub fn place(&self) -> String {
        let of = self.ladder.steps.len();
        let step = usize::try_from(self.step)
            .unwrap_or(of)
            .saturating_add(1)
            .min(of);
        if self.round == 0 {
            format!("step {step} of {of}")
        } else {
            format!(
                "step {step} of {of}, round {}",
                self.round.saturating_add(1)
            )
        }
    }
}
