//! One turn of the engine: inputs are decided in their order, applied to memory, and gathered into one batch.
//!
//! Must not commit, and must not answer anybody: that happens once the batch is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::decide::{World, decide};
use crate::core::decision::{Change, CommandAnswer, Decision};
use crate::core::ids::Seq;
use crate::core::input::Input;
use crate::core::observation::Observation;
use crate::core::reason::Reason;
use crate::core::sla::SlaChange;
use crate::core::time::Timestamp;
use crate::store::commit::Batch;
use crate::store::dead_letters::NewDeadLetter;
use crate::store::inbox::{InputKind, NewInput};
use crate::store::writer::{Appended, Waiter};

use super::Engine;
use super::own::own_input;

/// Deadline decisions for one input of that kind.
const DECISIONS_PER_DEADLINE: usize = 4;

/// Decisions of one batch with those who wait for them.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) batch: Batch,
    pub(super) answers: Vec<(Waiter, CommandAnswer)>,
    pub(super) outcomes: BTreeMap<(SmolStr, Reason), u64>,
    pub(super) opened: Vec<Timestamp>,
}

impl Engine {
    /// Decides one input and applies it to memory.
    pub(super) fn decide_one(&mut self, turn: &mut Turn, appended: Appended) {
        let Appended {
            seq,
            at,
            input,
            observations,
        } = appended;
        let source = input.source.as_deref().map(SmolStr::new);
        match input.kind {
            InputKind::Message => {
                let source = source.unwrap_or_default();
                let observations = match observations {
                    Some(observations) => observations,
                    None => self.read_again(turn, &input, at),
                };
                self.decide_message(turn, (seq, at), &source, observations);
            }
            InputKind::Poll | InputKind::Command => {
                if let Some(own) = self.own(seq, &input) {
                    let decision = self.step(at, &own);
                    if matches!(own, Input::CmdbImported(_)) && !decision.is_refused {
                        self.imports.changed.notify_one();
                    }
                    if matches!(own, Input::TicketOrdered(_)) {
                        // It is about a connector and names no record, and is answered all the same.
                        self.respond(turn, seq, &decision);
                    }
                    self.note(turn, seq, at, decision);
                }
            }
            InputKind::Deadline => {
                for _ in 0..DECISIONS_PER_DEADLINE {
                    let decision = self.step(at, &Input::DeadlineReached);
                    let is_done = decision.changes.is_empty();
                    self.note(turn, seq, at, decision);
                    if is_done {
                        break;
                    }
                }
            }
            InputKind::Started => {
                let decision = self.step(at, &Input::Started);
                self.note(turn, seq, at, decision);
            }
        }
        turn.batch.decided = seq;
        self.decided = seq;
    }

    /// What an input of our own making says.
    fn own(&self, seq: Seq, input: &NewInput) -> Option<Input> {
        let is_import = input.content_type.as_deref() == Some(super::cmdb::IMPORT);
        let given = is_import.then(|| self.imports.given.of(&input.body));
        match given.flatten() {
            Some(imported) => Some(Input::CmdbImported(imported)),
            None => own_input(seq, input),
        }
    }

    /// Decides what one message claims.
    fn decide_message(
        &mut self,
        turn: &mut Turn,
        (seq, at): (Seq, Timestamp),
        source: &SmolStr,
        observations: Vec<Observation>,
    ) {
        self.hear(turn, seq, at, source);
        for observation in observations {
            let source = source.clone();
            let decision = self.step(
                at,
                &Input::ObservationReceived {
                    source: source.clone(),
                    observation,
                },
            );
            let count = turn.outcomes.entry((source, decision.reason)).or_insert(0);
            *count = count.saturating_add(1);
            self.note(turn, seq, at, decision);
        }
    }

    /// What a stored message claims; one that says nothing any more is put aside.
    fn read_again(&self, turn: &mut Turn, input: &NewInput, at: Timestamp) -> Vec<Observation> {
        (self.decode)(input, at).unwrap_or_else(|wrong| {
            turn.batch.put_aside(
                at,
                NewDeadLetter {
                    source: input.source.clone().unwrap_or_default(),
                    reason: wrong.reason,
                    detail: wrong.detail,
                    content_type: input.content_type.clone(),
                    envelope: input.envelope.clone(),
                    body: input.body.open().unwrap_or_default(),
                },
            );
            Vec::new()
        })
    }

    pub(super) fn step(&mut self, at: Timestamp, input: &Input) -> Decision {
        let rules = Arc::clone(&self.rules.borrow());
        let world = World {
            state: &self.state,
            rules: &rules,
        };
        let decision = decide(world, input, at, &mut self.ids);
        self.state.apply(&decision);
        decision
    }

    /// Adds a decision to the batch, with whoever waits for it.
    pub(super) fn note(&mut self, turn: &mut Turn, seq: Seq, at: Timestamp, decision: Decision) {
        let is_answer = decision.incident.is_some()
            || decision.silence.is_some()
            || decision.window.is_some()
            || decision.made.is_some()
            || decision.record.is_some()
            || decision.alert.is_some()
            || decision.is_refused;
        if is_answer {
            self.respond(turn, seq, &decision);
        }
        self.count(turn, at, &decision);
        turn.batch.add(seq, at, decision);
    }

    /// Whoever waits for this input hears of this decision once it is committed.
    fn respond(&self, turn: &mut Turn, seq: Seq, decision: &Decision) {
        if let Some(waiter) = self.writer.waiter(seq) {
            let answer = CommandAnswer {
                reason: decision.reason,
                is_refused: decision.is_refused,
                incident: decision.incident,
                silence: decision.silence,
                window: decision.window,
                made: decision.made,
                record: decision.record,
            };
            turn.answers.push((waiter, answer));
        }
    }

    fn count(&mut self, turn: &mut Turn, at: Timestamp, decision: &Decision) {
        self.faults.note(&decision.faults);
        for change in &decision.changes {
            if let Change::AlertBound { binding, .. } = change {
                self.figures.bound(binding.outcome);
            }
            if let Change::Sla(SlaChange::Breached(_, kind, priority)) = change {
                self.figures.breached(*kind, *priority);
            }
        }
        for entry in &decision.entries {
            if entry.reason == Reason::LateFiringParked {
                self.parked.notify_one();
            }
            if entry.reason == Reason::FoldingStarted {
                let note = entry.note.as_deref().unwrap_or_default();
                log::warn!("too many alerts are one but for a label: {note}");
            }
            if let Some(incident) = entry.incident.and_then(|id| self.state.incident(id)) {
                self.figures
                    .count(entry.reason, incident, at, &mut turn.opened);
            }
        }
    }
}
