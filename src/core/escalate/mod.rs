//! Escalation: who is told next when nobody takes an incident.
//!
//! A ladder is a list of steps with their times. When an incident is announced and its route or team names a ladder, a
//! run of it begins with a copy of the ladder as it is then; who is on call is looked up when a step is due. What is due
//! when is data ([`Run::due_at`]), so a restart keeps it, and what became due meanwhile runs once. An acknowledgement
//! stops a run, its expiry starts it anew; a hold and a maintenance window pause it on its step.
//!
//! Reading order: [`ladder`], [`run`], `look` (what a change of an incident means for its runs), `reach` (whom a step
//! tells), [`audit`]. Must not know how a message reads or whether it arrives.

pub mod audit;
mod foresee;
pub mod ladder;
mod look;
mod reach;
pub mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::ids::IncidentId;
use crate::core::state::State;
use crate::core::time::Timestamp;

pub(super) use self::look::touch_due;

pub use self::foresee::{Foreseen, ForeseenStep, foresee, ladder_of_team};
pub use self::ladder::{Ladder, Notify, Step};
pub use self::run::{Phase, Run};

/// Ladders that one incident climbs at once; further ones are not begun.
pub const RUNS_MAX: usize = 8;

/// Which run: of which incident, by which ladder.
pub type RunKey = (IncidentId, SmolStr);

/// The ladders that are being climbed, and what is due when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escalations {
    runs: BTreeMap<RunKey, Arc<Run>>,
    due: BTreeSet<(Timestamp, RunKey)>,
}

/// One change of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EscalateChange {
    /// It began or moved on.
    Run(Arc<Run>),
    /// Its incident is over.
    Over(RunKey),
}

impl Escalations {
    /// The runs of an incident.
    pub fn of(&self, incident: IncidentId) -> impl Iterator<Item = &Arc<Run>> {
        let first = (incident, SmolStr::default());
        let runs = self.runs.range(first..);
        runs.take_while(move |((of, _), _)| *of == incident)
            .map(|(_, run)| run)
    }

    /// Every run.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.runs.values()
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// When the next step is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The incidents that have a step due by now, earliest first, each once.
    pub fn due(&self, now: Timestamp, at_most: usize) -> Vec<IncidentId> {
        let mut incidents = Vec::new();
        for (at, (incident, _)) in &self.due {
            if *at > now || incidents.len() == at_most {
                break;
            }
            if !incidents.contains(incident) {
                incidents.push(*incident);
            }
        }
        incidents
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &EscalateChange) {
        match change {
            EscalateChange::Run(run) => {
                let key = run.key();
                self.forget_due(&key);
                if let Some(at) = run.due_at() {
                    self.due.insert((at, key.clone()));
                }
                self.runs.insert(key, Arc::clone(run));
            }
            EscalateChange::Over(key) => {
                self.forget_due(key);
                self.runs.remove(key);
            }
        }
    }

    fn forget_due(&mut self, key: &RunKey) {
        if let Some(at) = self.runs.get(key).and_then(|run| run.due_at()) {
            self.due.remove(&(at, key.clone()));
        }
    }
}

impl State {
    /// The ladders that are being climbed.
    pub fn escalations(&self) -> &Escalations {
        &self.escalations
    }

    /// The same, to load.
    pub fn escalations_mut(&mut self) -> &mut Escalations {
        &mut self.escalations
    }
}
