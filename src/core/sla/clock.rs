//! One clock: it runs, pauses, stops, is warned of and is breached.
//!
//! What has been counted never shrinks. Must not know incidents or rules; targets and calendars come in.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::calendar::{Calendar, after, open_between};
use crate::core::incident::Owner;
use crate::core::sla::ClockKind;
use crate::core::time::{Span, Timestamp};

/// Where a clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockState {
    /// It counts.
    Running,
    /// It waits for something outside.
    Paused,
    /// What it counts for was done in time.
    Met,
    /// The target was missed, whatever happened afterwards.
    Breached,
}

impl ClockState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Met, Self::Breached];

    /// The word used in API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Met => "met",
            Self::Breached => "breached",
        }
    }
}

/// What a clock counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The rule that says so.
    pub rule: SmolStr,
    /// How long it may take.
    pub span: Span,
    /// The name of the calendar; without one all time counts.
    pub calendar: Option<SmolStr>,
}

/// One clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it counts against; nothing while no rule applies.
    pub target: Option<Target>,
    /// When it began to count.
    pub started_at: Timestamp,
    /// What has counted until `since`, or in all while it does not run.
    pub counted: Span,
    /// Since when it runs.
    pub since: Option<Timestamp>,
    /// When the target is missed; stays as it was when the clock has stopped.
    pub due_at: Option<Timestamp>,
    /// When it is warned of next.
    pub warn_at: Option<Timestamp>,
    /// The largest share of the target, in 1/1,000, of which was warned.
    pub warned: u16,
    /// When what it counts for was done.
    pub stopped_at: Option<Timestamp>,
    /// Whether a reopened incident does not let it run again.
    pub is_final: bool,
    /// When the target was missed.
    pub breached_at: Option<Timestamp>,
    /// Who had the incident then.
    pub owner: Option<Arc<Owner>>,
}

/// What time has brought to a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// So much of the target has gone by, in 1/1,000.
    Warned(u16),
    /// The target was missed.
    Breached,
}

impl Clock {
    /// A clock that runs since then and has no target yet.
    pub fn start(at: Timestamp) -> Self {
        Self {
            target: None,
            started_at: at,
            counted: Span::ZERO,
            since: Some(at),
            due_at: None,
            warn_at: None,
            warned: 0,
            stopped_at: None,
            is_final: false,
            breached_at: None,
            owner: None,
        }
    }

    /// Where it stands; `None` while no rule applies.
    pub fn state(&self) -> Option<ClockState> {
        self.target.as_ref()?;
        Some(if self.breached_at.is_some() {
            ClockState::Breached
        } else if self.stopped_at.is_some() {
            ClockState::Met
        } else if self.since.is_some() {
            ClockState::Running
        } else {
            ClockState::Paused
        })
    }

    /// What counts by now, by its own calendar.
    pub fn elapsed(&self, calendar: Option<&Calendar>, now: Timestamp) -> Span {
        let running = self.since.filter(|since| *since < now);
        let running = running.map_or(Span::ZERO, |since| open_between(calendar, since, now));
        self.counted.plus(running)
    }

    /// When time alone has something to do here.
    pub fn next_at(&self) -> Option<Timestamp> {
        if self.since.is_none() || self.breached_at.is_some() || self.target.is_none() {
            return None;
        }
        [self.due_at, self.warn_at].into_iter().flatten().min()
    }

    /// Notes what time has brought by now; `warn_at` are the shares of the rule, sorted.
    pub fn advance(
        &mut self,
        calendar: Option<&Calendar>,
        warn_at: &[u16],
        now: Timestamp,
    ) -> Option<Event> {
        if self.next_at().is_none_or(|at| at > now) {
            return None;
        }
        if let Some(due) = self.due_at.filter(|due| *due <= now) {
            self.breached_at = Some(due);
            self.warn_at = None;
            return Some(Event::Breached);
        }
        let span = self.target.as_ref()?.span;
        let elapsed = self.elapsed(calendar, now);
        let passed = warn_at.iter().copied();
        let passed = passed
            .filter(|share| share_of(span, *share) <= elapsed)
            .max();
        let passed = passed.filter(|share| *share > self.warned);
        self.warned = passed.unwrap_or(self.warned);
        self.plan(calendar, warn_at);
        passed.map(Event::Warned)
    }

    /// Counts up to now and goes on from here.
    fn fold(&mut self, calendar: Option<&Calendar>, now: Timestamp) {
        if let Some(since) = self.since {
            self.counted = self.elapsed(calendar, now);
            self.since = Some(since.max(now));
        }
    }

    /// Takes a target, by the calendar of the one before and its own; what was counted stays. A target that was missed
    /// or met stays what it was.
    pub fn aim(
        &mut self,
        target: Option<&Target>,
        calendars: (Option<&Calendar>, Option<&Calendar>),
        warn_at: &[u16],
        now: Timestamp,
    ) {
        if self.breached_at.is_some() || self.stopped_at.is_some() {
            return;
        }
        self.fold(calendars.0, now);
        self.target = target.cloned();
        self.warned = 0;
        self.plan(calendars.1, warn_at);
        // A warning that would have come before belongs to the target before.
        let span = target.map_or(Span::ZERO, |target| target.span);
        let counted = self.counted;
        let passed = warn_at.iter().copied();
        let passed = passed
            .filter(|share| share_of(span, *share) <= counted)
            .max();
        if let Some(passed) = passed {
            self.warned = passed;
            self.plan(calendars.1, warn_at);
        }
    }

    /// Waits.
    pub fn pause(&mut self, calendar: Option<&Calendar>, now: Timestamp) {
        self.fold(calendar, now);
        self.since = None;
        self.warn_at = None;
        if self.breached_at.is_none() {
            self.due_at = None;
        }
    }

    /// What it counts for is done.
    pub fn stop(&mut self, calendar: Option<&Calendar>, now: Timestamp) {
        self.fold(calendar, now);
        self.since = None;
        self.warn_at = None;
        self.stopped_at = Some(now);
    }

    /// Goes on.
    pub fn resume(&mut self, calendar: Option<&Calendar>, warn_at: &[u16], now: Timestamp) {
        self.since = Some(now);
        self.stopped_at = None;
        if self.breached_at.is_none() {
            self.plan(calendar, warn_at);
        }
    }

    /// Computes when it is due and when it is warned of next.
    fn plan(&mut self, calendar: Option<&Calendar>, warn_at: &[u16]) {
        self.due_at = None;
        self.warn_at = None;
        let (Some(target), Some(since)) = (&self.target, self.since) else {
            return;
        };
        let counted = self.counted;
        let at = |span: Span| after(calendar, since, span.minus(counted));
        self.due_at = at(target.span);
        let mut shares = warn_at.iter().copied();
        let next = shares.find(|share| *share > self.warned);
        self.warn_at = next.and_then(|share| at(share_of(target.span, share)));
    }
}

/// A share of a target, in 1/1,000.
fn share_of(span: Span, share: u16) -> Span {
    Span::from_millis(span.as_millis().saturating_mul(i64::from(share)) / 1_000)
}

/// Both clocks of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Until somebody takes notice.
    pub response: Option<Clock>,
    /// Until the disruption is over.
    pub resolution: Option<Clock>,
}

impl Clocks {
    /// The clock of that kind.
    pub fn get(&self, kind: ClockKind) -> Option<&Clock> {
        match kind {
            ClockKind::Response => self.response.as_ref(),
            ClockKind::Resolution => self.resolution.as_ref(),
        }
    }

    /// The place of the clock of that kind.
    pub fn place(&mut self, kind: ClockKind) -> &mut Option<Clock> {
        match kind {
            ClockKind::Response => &mut self.response,
            ClockKind::Resolution => &mut self.resolution,
        }
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = (ClockKind, &Clock)> {
        let all = ClockKind::ALL.into_iter();
        all.filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    /// When time alone has something to do here.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.iter().filter_map(|(_, clock)| clock.next_at()).min()
    }
}
