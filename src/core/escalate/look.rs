//! What a change of an incident, or time, means for its runs.
//!
//! Called at the end of every decision with the incidents that it touches. Must not change an incident.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::escalate::ladder::{Ladder, Notify, Step};
use crate::core::escalate::reach::{Look, Reached, reach};
use crate::core::escalate::run::{Next, Phase, Run};
use crate::core::escalate::{EscalateChange, RUNS_MAX, ladder_of_team};
use crate::core::ids::IncidentId;
use crate::core::incident::{Incident, IncidentState};
use crate::core::mute;
use crate::core::reason::Reason;
use crate::core::rules::Rules;
use crate::core::tell::event::Event;
use crate::core::tell::{Listener, TellChange, Telling};
use crate::core::time::{Span, Timestamp};

/// A step that runs later than this was missed, and that is told.
pub(super) const LATE: Span = Span::from_secs(60);
/// Runs whose steps are done in one decision; the others stay due.
const RUNS_PER_DECISION: usize = 200;
/// Steps of one run in one decision, however long the daemon was away.
const STEPS_PER_DECISION: usize = 1_000;

/// What has become of an incident, as far as its runs depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Nobody was told yet, or it is over.
    Aside,
    /// Nobody has it.
    Open,
    /// On hold, or held: people are not told anything new.
    Waiting(&'static str),
    /// Somebody has it.
    Taken,
}

/// Touches the incidents that have a step due.
pub(in crate::core) fn touch_due(draft: &mut Draft<'_>) {
    let due = draft
        .world
        .state
        .escalations()
        .due(draft.now, RUNS_PER_DECISION);
    for id in due {
        if draft.touch(id).is_none() {
            // Without its incident it would stay due for ever.
            let runs: Vec<_> = draft.world.state.escalations().of(id).cloned().collect();
            for run in runs {
                draft.put(EscalateChange::Over(run.key()));
            }
        }
    }
}

impl Draft<'_> {
    /// Begins, moves on, pauses and ends the runs of every incident that this decision touches.
    pub(in crate::core) fn escalate(&mut self) {
        let state = self.world.state;
        if self.world.rules.ladders.is_empty() && state.escalations().is_empty() {
            return;
        }
        let view = mute::View::of(state, &self.decision.changes);
        let mut ids = self.touched_ids();
        ids.extend(view.incidents());
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(after) = self.peek(id).cloned() else {
                continue;
            };
            let is_held = view.is_held(state, &after);
            self.look_at_runs(&after, is_held);
        }
    }

    fn look_at_runs(&mut self, after: &Incident, is_held: bool) {
        let before = self.world.state.incident(after.id).cloned();
        let stand = self.stand(before.as_ref(), after, is_held);
        let runs: Vec<Arc<Run>> = self
            .world
            .state
            .escalations()
            .of(after.id)
            .cloned()
            .collect();
        let was_over = before.as_ref().is_some_and(|it| !it.state.is_open());
        if stand == Stand::Aside || was_over {
            for run in &runs {
                self.put(EscalateChange::Over(run.key()));
            }
        }
        let mut left = Vec::new();
        if !was_over && stand != Stand::Aside {
            for run in runs {
                left.push(run.ladder.name.clone());
                self.look_at_run(before.as_ref(), after, stand, (*run).clone());
            }
        }
        if stand == Stand::Open {
            self.begin_runs(after, &left);
        }
    }

    fn stand(&self, before: Option<&Incident>, after: &Incident, is_held: bool) -> Stand {
        if after.announced_at.is_none() || !after.state.is_open() {
            return Stand::Aside;
        }
        match &after.state {
            IncidentState::OnHold { .. } => Stand::Waiting("the incident is on hold"),
            IncidentState::Acknowledged { .. } => Stand::Taken,
            IncidentState::New | IncidentState::InProgress if is_held => {
                Stand::Waiting("everything that fires is suppressed")
            }
            IncidentState::New => Stand::Open,
            // A hold that ends by itself leaves nobody at work; what was climbed before goes on.
            IncidentState::InProgress => {
                let was_on_hold =
                    before.is_some_and(|it| matches!(it.state, IncidentState::OnHold { .. }));
                let by_itself = self.decision.entries.iter().any(|entry| {
                    entry.incident == Some(after.id) && entry.reason == Reason::HoldEnded
                });
                let is_climbing = before.is_some_and(|it| it.state == IncidentState::InProgress)
                    && self.assignee_of(before) == self.assignee_of(Some(after))
                    && self
                        .world
                        .state
                        .escalations()
                        .of(after.id)
                        .any(|run| matches!(run.phase, Phase::Climbing(_) | Phase::Paused(_)));
                if (was_on_hold && by_itself) || is_climbing {
                    Stand::Open
                } else {
                    Stand::Taken
                }
            }
            IncidentState::Resolved { .. } | IncidentState::Closed { .. } => Stand::Aside,
        }
    }

    fn assignee_of(&self, incident: Option<&Incident>) -> Option<SmolStr> {
        incident?.owner.as_ref()?.assignee.clone()
    }

    /// Begins a run of each ladder that the incident's routes or team name and that it does not climb yet.
    fn begin_runs(&mut self, incident: &Incident, climbed: &[SmolStr]) {
        if incident.state != IncidentState::New {
            return;
        }
        for ladder in self.ladders_of(incident) {
            if climbed.contains(&ladder.name) {
                continue;
            }
            let run = Run::begin(incident.id, Arc::clone(&ladder), self.now);
            self.say(Some(incident.id), None, Reason::EscalationStarted)
                .note = Some(ladder.name.as_str().into());
            self.climb(incident, run);
        }
    }

    /// The ladders of an incident: those of its routes, else that of its team.
    fn ladders_of(&self, incident: &Incident) -> Vec<Arc<Ladder>> {
        let told = self.told(incident.id, incident.priority);
        let has_targets = !told.audience.is_empty();
        self.world
            .rules
            .ladders_for(incident, told.escalations, has_targets)
    }

    fn look_at_run(
        &mut self,
        before: Option<&Incident>,
        after: &Incident,
        stand: Stand,
        mut run: Run,
    ) {
        let id = after.id;
        match (stand, run.phase) {
            // Whoever answers after the end has answered, too.
            (Stand::Taken, Phase::Climbing(_) | Phase::Paused(_) | Phase::Exhausted) => {
                run.phase = Phase::Stopped;
                self.note_run(id, Reason::EscalationStopped, &run, &run.place());
                self.put_run(run);
            }
            (Stand::Waiting(why), Phase::Climbing(_)) => {
                run.pause(self.now);
                let note = format!("{}: {why}", run.place());
                self.note_run(id, Reason::EscalationPaused, &run, &note);
                self.put_run(run);
            }
            (Stand::Open, Phase::Paused(_)) => {
                run.resume(self.now);
                self.note_run(id, Reason::EscalationResumed, &run, &run.place());
                self.climb(after, run);
            }
            (Stand::Open, Phase::Climbing(_)) => {
                if run.due_at().is_some_and(|due| due <= self.now) {
                    self.climb(after, run);
                }
            }
            (Stand::Open, Phase::Stopped | Phase::Exhausted) => {
                let was_open = before.is_some_and(|it| it.state == IncidentState::New);
                if after.state == IncidentState::New && !was_open {
                    let anew = Run::begin(id, run.ladder, self.now);
                    self.note_run(id, Reason::EscalationRestarted, &anew, &anew.place());
                    self.climb(after, anew);
                }
            }
            (Stand::Waiting(_), Phase::Paused(_) | Phase::Stopped | Phase::Exhausted)
            | (Stand::Taken, Phase::Stopped)
            | (Stand::Aside, _) => {}
        }
    }

    /// Does what is due of a run, each step once, and keeps it.
    fn climb(&mut self, incident: &Incident, mut run: Run) {
        let mut told = Vec::new();
        for _ in 0..STEPS_PER_DECISION {
            let Some(due) = run.due_at().filter(|due| *due <= self.now) else {
                break;
            };
            match run.next() {
                Next::Step(step) => match self.opens(&step, due) {
                    Some(_) if step.skips => {
                        let note = format!("{} is passed over outside of its hours", run.place());
                        self.note_run(incident.id, Reason::EscalationWaits, &run, &note);
                    }
                    Some(later) if later > self.now => {
                        let note = format!("{} waits for its hours", run.place());
                        self.note_run(incident.id, Reason::EscalationWaits, &run, &note);
                        run.wait_until(later);
                        continue;
                    }
                    Some(later) => self.tell_step(incident, &mut run, &step, (later, &mut told)),
                    None => self.tell_step(incident, &mut run, &step, (due, &mut told)),
                },
                Next::Again => {}
                Next::GiveUp => self.give_up(incident, &run, &mut told),
            }
            run.done(due);
            if run.phase == Phase::Exhausted && run.ladder.fallback.is_empty() {
                let note = format!("nobody has answered to the end of {}", run.ladder.name);
                self.note_run(incident.id, Reason::EscalationExhausted, &run, &note);
            }
        }
        self.put_run(run);
    }

    fn give_up(&mut self, incident: &Incident, run: &Run, told: &mut Vec<Listener>) {
        let fallback = run.ladder.fallback.clone();
        let reached = self.reach(incident, run, &fallback);
        if !reached.listeners.is_empty() {
            self.note_escalated(incident.id);
        }
        let note = format!("nobody has answered to the end of {}", run.ladder.name);
        self.page(incident, &reached, Event::Escalated, (&note, told));
        let shown = format!("{note}; told {}", shown(&reached));
        self.note_run(incident.id, Reason::EscalationExhausted, run, &shown);
    }

    /// When a step that is due may run, if not at once.
    fn opens(&self, step: &Step, due: Timestamp) -> Option<Timestamp> {
        let calendars = &self.world.rules.sla.calendars;
        let calendar = calendars.get(step.calendar.as_ref()?)?;
        // The first millisecond that counts begins one earlier than it ends.
        let one = Span::from_millis(1);
        let opens = calendar.after(due, one)?.minus(one);
        Some(opens).filter(|opens| *opens > due)
    }

    fn tell_step(
        &mut self,
        incident: &Incident,
        run: &mut Run,
        step: &Step,
        (due, told): (Timestamp, &mut Vec<Listener>),
    ) {
        let mut reached = self.reach(incident, run, &step.notify);
        let mut missed = std::mem::take(&mut reached.missing);
        let is_for_nobody = reached.listeners.is_empty();
        if is_for_nobody {
            reached = self.reach_anybody(incident, run);
        }
        let late = self.now.since(due);
        if late > LATE {
            let minutes = late.as_millis() / 60_000;
            missed.push(format!("it is {minutes} min late"));
        }
        let is_first = run.step == 0 && run.round == 0;
        let event = if is_first {
            Event::Opened
        } else {
            Event::Escalated
        };
        let place = format!("{} of {}", run.place(), run.ladder.name);
        if !is_first && !reached.listeners.is_empty() {
            self.note_escalated(incident.id);
        }
        let note = if missed.is_empty() {
            place
        } else {
            format!("{place}; {}", missed.join("; "))
        };
        self.page(incident, &reached, event, (&note, told));
        if is_for_nobody || late > LATE {
            self.note_run(
                incident.id,
                Reason::EscalationMissed,
                run,
                &missed.join("; "),
            );
        }
        let shown = format!("{}: told {}", run.place(), shown(&reached));
        self.note_run(incident.id, Reason::Escalated, run, &shown);
        run.loudness.priority = run.loudness.priority.min(incident.priority);
        run.loudness.is_loud |= reached.is_loud;
    }

    fn reach(&self, incident: &Incident, run: &Run, notify: &[Notify]) -> Reached {
        let look = Look {
            rules: self.world.rules,
            state: self.world.state,
            incident,
            loudness: run.loudness,
            now: self.now,
        };
        reach(look, notify)
    }

    /// Who is told when a step reaches nobody: the fallback, else the incident's team, else whoever knows of it already,
    /// else everybody who can be told.
    fn reach_anybody(&self, incident: &Incident, run: &Run) -> Reached {
        let ways: [&[Notify]; 2] = [&run.ladder.fallback, &[Notify::OwnTeam]];
        for notify in ways {
            let reached = self.reach(incident, run, notify);
            if !reached.listeners.is_empty() {
                return reached;
            }
        }
        let audience = self.told(incident.id, incident.priority).audience;
        let everybody = self.world.rules.tell.targets.keys().map(|target| Listener {
            target: target.clone(),
            recipient: SmolStr::default(),
        });
        let listeners: Vec<_> = if audience.is_empty() {
            everybody.collect()
        } else {
            audience
        };
        Reached {
            names: listeners
                .iter()
                .map(|it| format!("target {}", it.target))
                .collect(),
            listeners,
            missing: Vec::new(),
            is_loud: true,
        }
    }

    /// Queues a page to everybody reached who is not told of the incident in this decision already.
    fn page(
        &mut self,
        incident: &Incident,
        reached: &Reached,
        event: Event,
        (note, told): (&str, &mut Vec<Listener>),
    ) {
        for listener in &reached.listeners {
            if told.contains(listener) || self.is_told_now(incident.id, listener) {
                continue;
            }
            told.push(listener.clone());
            let before = self.told(incident.id, incident.priority);
            let is_known = before.audience.contains(listener);
            // Whoever knows that it is open is told that it still is.
            let event = if is_known { Event::Escalated } else { event };
            self.enqueue(Telling {
                incident: incident.id,
                target: listener.target.clone(),
                recipient: listener.recipient.clone(),
                event,
                note: Some(note.into()),
            });
        }
    }

    fn is_told_now(&self, incident: IncidentId, listener: &Listener) -> bool {
        self.decision.changes.iter().any(|change| {
            let Change::Tell(TellChange::Queued(message)) = change else {
                return false;
            };
            message.incident == Some(incident)
                && message.event.is_page()
                && message.target == listener.target
                && message.recipient == listener.recipient
        })
    }

    fn note_run(&mut self, id: IncidentId, reason: Reason, run: &Run, note: &str) {
        let ladder = &run.ladder.name;
        self.say(Some(id), None, reason).note = Some(format!("{ladder}: {note}").into());
    }

    fn put_run(&mut self, run: Run) {
        self.put(EscalateChange::Run(Arc::new(run)));
    }

    fn put(&mut self, change: EscalateChange) {
        self.decision.change(Change::Escalate(change));
    }
}

impl Rules {
    /// The ladders of an incident whose routes named these: they, else that of its team. A team without one is told all
    /// the same where the routes name no target.
    pub(in crate::core) fn ladders_for(
        &self,
        incident: &Incident,
        mut names: Vec<SmolStr>,
        has_targets: bool,
    ) -> Vec<Arc<Ladder>> {
        if names.is_empty() {
            let owner = incident.owner.as_ref();
            let team = owner.and_then(|owner| owner.team.as_ref());
            let own = team.and_then(|team| self.on_call.teams.get(team)?.escalation.clone());
            let implied = team.filter(|_| !has_targets);
            names.extend(own.or_else(|| implied.map(|team| ladder_of_team(team))));
        }
        let ladders = names.iter().filter_map(|name| self.ladders.get(name));
        ladders.take(RUNS_MAX).cloned().collect()
    }
}

fn shown(reached: &Reached) -> String {
    if reached.names.is_empty() {
        "nobody".to_owned()
    } else {
        reached.names.join(", ")
    }
}
