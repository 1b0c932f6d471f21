//! Looks at the clocks of every incident that a decision touches.
//!
//! First time takes its course up to now, with the clocks as they ran; only then what has been decided is heeded. So
//! what comes after a deadline has missed it, whether or not somebody looked in between. Must not decide what an
//! incident's state is.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::core::condition::Facts;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::incident::{Incident, StateWord};
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::sla::clock::{Clock, Clocks, Event, Target};
use crate::core::sla::words;
use crate::core::sla::{ClockKind, SlaChange, SlaRule, SlaRules};
use crate::core::time::Timestamp;

/// What a clock should do, by the state of its incident.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    Pause,
    Stop,
}

/// Touches the incidents whose clocks are due; the look at the end of the decision does the rest.
pub(in crate::core) fn decide_due(draft: &mut Draft<'_>) -> bool {
    let state = draft.world.state;
    let due = state.practice().sla.due(draft.now);
    let due: Vec<_> = due.take(limits::DEADLINES_PER_DECISION).collect();
    for id in &due {
        draft.touch(*id);
    }
    !due.is_empty()
}

impl<'a> Draft<'a> {
    /// Looks at the clocks of an incident that this decision touches.
    pub(in crate::core) fn look_at_clocks(&mut self, id: IncidentId) {
        let rules = &self.world.rules.sla;
        let before = self.world.state.practice().sla.get(id);
        if before.is_none() && rules.rules.is_empty() {
            return;
        }
        let Some(incident) = self.peek(id).cloned() else {
            return;
        };
        let is_open = incident.state.is_open();
        if before.is_none() && !is_open {
            return;
        }
        let mut clocks = before.map_or_else(Clocks::default, |clocks| (**clocks).clone());
        for kind in ClockKind::ALL {
            if let Some(clock) = clocks.place(kind) {
                self.advance(kind, clock, &incident);
            }
        }
        let heed_all = |clocks: &mut Clocks, now| {
            for kind in ClockKind::ALL {
                if let Some(clock) = clocks.place(kind) {
                    heed(kind, clock, (rules, &incident), now);
                }
            }
        };
        heed_all(&mut clocks, self.now);
        if is_open && self.may_have_another_rule(&incident) {
            let rule = self.rule_for(id);
            for kind in ClockKind::ALL {
                self.aim(kind, clocks.place(kind), rule, &incident);
            }
            heed_all(&mut clocks, self.now);
        }
        // A target that is shorter than what has been counted is missed at once.
        for kind in ClockKind::ALL {
            if let Some(clock) = clocks.place(kind) {
                self.advance(kind, clock, &incident);
            }
        }
        let is_new = before.is_none() && clocks == Clocks::default();
        if !is_new && before.is_none_or(|before| **before != clocks) {
            let clocks = Arc::new(clocks);
            self.clocks.insert(id, Arc::clone(&clocks));
            let change = SlaChange::Clocks(id, clocks);
            self.decision.change(Change::Sla(change));
        }
    }

    /// Lets time take its course.
    fn advance(&mut self, kind: ClockKind, clock: &mut Clock, incident: &Incident) {
        let rules = &self.world.rules.sla;
        let Some(target) = clock.target.clone() else {
            return;
        };
        let calendar = rules.calendar(target.calendar.as_ref());
        let warn_at = shares(rules, clock);
        let Some(event) = clock.advance(calendar, warn_at, self.now) else {
            return;
        };
        let text = words::event(kind, &target, event, incident.owner.as_deref());
        let reason = match event {
            Event::Warned(_) => Reason::SlaWarned,
            Event::Breached => Reason::SlaBreached,
        };
        if event == Event::Breached {
            clock.owner = incident.owner.clone();
            let breached = SlaChange::Breached(incident.id, kind, incident.priority);
            self.decision.change(Change::Sla(breached));
        }
        self.say(Some(incident.id), None, reason).note = Some(text.into());
    }

    /// Whether anything has changed that a rule may look at.
    fn may_have_another_rule(&self, after: &Incident) -> bool {
        let Some(before) = self.world.state.incident(after.id) else {
            return true;
        };
        let has_changed = before.priority != after.priority
            || before.severity != after.severity
            || before.total != after.total
            || before.state.word() != after.state.word()
            || before.owner != after.owner
            || self.is_judged(after.id);
        has_changed || self.is_review || self.world.state.practice().sla.get(after.id).is_none()
    }

    /// The first rule that applies.
    fn rule_for(&mut self, id: IncidentId) -> Option<&'a SlaRule> {
        let rules = &self.world.rules.sla;
        let mut facts: Option<Facts> = None;
        for rule in &rules.rules {
            let calendar = rules.calendar(rule.calendar.as_ref());
            if rule.when.source().is_none() {
                return Some(rule);
            }
            let own = calendar.filter(|_| rule.when.reads("now"));
            let applies = match own {
                Some(calendar) => {
                    let facts = self.facts(id, &calendar.zone)?;
                    self.holds(&rule.when, &facts)
                }
                None => {
                    if facts.is_none() {
                        facts = self.facts(id, &TimeZone::UTC);
                    }
                    let facts = facts.as_ref()?;
                    self.holds(&rule.when, facts)
                }
            };
            if applies {
                return Some(rule);
            }
        }
        None
    }

    /// Gives a clock the target of a rule.
    fn aim(
        &mut self,
        kind: ClockKind,
        place: &mut Option<Clock>,
        rule: Option<&SlaRule>,
        incident: &Incident,
    ) {
        let rules = &self.world.rules.sla;
        let target = rule.and_then(|rule| target(kind, rule));
        let Some(clock) = place else {
            let is_over = kind == ClockKind::Response && incident.state.word() != StateWord::New;
            if let Some(target) = target.filter(|_| !is_over) {
                let mut clock = Clock::start(incident.opened_at);
                let calendar = rules.calendar(target.calendar.as_ref());
                let warn_at = rule.map_or(&[][..], |rule| &rule.warn_at);
                clock.aim(Some(&target), (calendar, calendar), warn_at, self.now);
                *place = Some(clock);
            }
            return;
        };
        let is_same = match (&clock.target, &target) {
            (Some(held), Some(wanted)) => held == wanted,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_same || clock.breached_at.is_some() || clock.stopped_at.is_some() {
            return;
        }
        let held = clock.target.as_ref().and_then(|it| it.calendar.as_ref());
        let held = rules.calendar(held);
        let own = target.as_ref().and_then(|it| it.calendar.as_ref());
        let own = rules.calendar(own);
        let warn_at = rule.map_or(&[][..], |rule| &rule.warn_at);
        clock.aim(target.as_ref(), (held, own), warn_at, self.now);
        let text = words::aimed(kind, target.as_ref());
        self.say(Some(incident.id), None, Reason::SlaTargetChanged)
            .note = Some(text.into());
    }
}

fn target(kind: ClockKind, rule: &SlaRule) -> Option<Target> {
    let span = match kind {
        ClockKind::Response => rule.response?,
        ClockKind::Resolution => rule.resolution?,
    };
    Some(Target {
        rule: rule.when.rule().clone(),
        span,
        calendar: rule.calendar.clone(),
    })
}

fn shares<'a>(rules: &'a SlaRules, clock: &Clock) -> &'a [u16] {
    let target = clock.target.as_ref();
    let rule = target.and_then(|target| rules.rule(&target.rule));
    rule.map_or(&[], |rule| &rule.warn_at)
}

/// What a clock should do, by the state of its incident.
fn wanted(kind: ClockKind, incident: &Incident) -> Wanted {
    match (kind, incident.state.word()) {
        (_, StateWord::Resolved | StateWord::Closed) => Wanted::Stop,
        (ClockKind::Response, StateWord::New) => Wanted::Run,
        (
            ClockKind::Response,
            StateWord::Acknowledged | StateWord::InProgress | StateWord::OnHold,
        ) => Wanted::Stop,
        (ClockKind::Resolution, StateWord::OnHold) => Wanted::Pause,
        (
            ClockKind::Resolution,
            StateWord::New | StateWord::Acknowledged | StateWord::InProgress,
        ) => Wanted::Run,
    }
}

fn heed(
    kind: ClockKind,
    clock: &mut Clock,
    (rules, incident): (&SlaRules, &Incident),
    now: Timestamp,
) {
    let name = clock.target.as_ref().and_then(|it| it.calendar.as_ref());
    let calendar = rules.calendar(name);
    let is_stopped = clock.stopped_at.is_some();
    match wanted(kind, incident) {
        Wanted::Run if is_stopped && clock.is_final => {}
        Wanted::Run if clock.since.is_none() => {
            let warn_at = shares(rules, clock);
            clock.resume(calendar, warn_at, now);
        }
        Wanted::Run => {}
        Wanted::Pause if clock.since.is_some() => clock.pause(calendar, now),
        Wanted::Pause => {}
        Wanted::Stop if !is_stopped => {
            // Somebody who took notice has responded once and for all; an incident that went away by itself has not
            // been responded to.
            let is_open = incident.state.is_open();
            clock.is_final =
                kind == ClockKind::Response && (is_open || incident.acknowledged_at.is_some());
            clock.stop(calendar, now);
        }
        Wanted::Stop => {}
    }
}
