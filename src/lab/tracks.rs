//! Which occurrence ended up in which incident, and what became of the incidents.
//!
//! An alert's record goes through many occurrences: its key fires again and again. What moves with it when it moves to
//! another incident is the run of occurrences that were there with it; an occurrence that begins in another incident
//! leaves the earlier ones where they were. Records that the core forgets are noted before they go, so that memory is
//! bounded by what is open plus one short row per occurrence. Must not influence any decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use smol_str::SmolStr;

use crate::core::alert::Alert;
use crate::core::bind::{Binding, BindingOutcome};
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::node::FLAP_WINDOW;
use crate::core::decision::{Change, Decision};
use crate::core::identity::AlertKey;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::Incident;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Timestamp;
use crate::lab::event::{AlertSaid, Event, Said};
use crate::lab::play::{Play, Watch};

/// The score of a root that is an incident's only alert.
const SURE: u16 = 10_000;
/// Why an incident is one when nothing was correlated.
const ALONE: &str = "One alert that nothing else explains.";

/// What became of one occurrence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    /// Its name.
    pub id: SmolStr,
    /// The incident that it belongs to in the end, before merges are followed.
    incident: Option<IncidentId>,
    /// The CI that it was bound to, by its id.
    pub ci: Option<SmolStr>,
    /// How the search for its CI ended, and why; `None` when no alert came of it.
    pub binding: Option<(BindingOutcome, Arc<str>)>,
}

/// One candidate for the root cause of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The CI by its id.
    pub ci: SmolStr,
    /// How sure, in 1/10,000.
    pub score: u16,
    /// Whether the CI itself has no alert.
    pub is_inferred: bool,
}

/// What became of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Candidates for its root cause, best first.
    pub roots: Vec<Root>,
    /// The business services that it reaches, by their ids.
    pub services: Vec<SmolStr>,
    /// Why these alerts are one incident.
    pub why: String,
}

/// The occurrences of one alert that are where the alert is.
#[derive(Debug, Default)]
struct Run {
    occurrences: Vec<u32>,
    incident: Option<IncidentId>,
    binding: Option<Arc<Binding>>,
}

/// An alert that a decision brings to an incident.
#[derive(Clone, Copy, Debug)]
struct Move {
    alert: AlertId,
    incident: IncidentId,
    was_over: bool,
    /// Whether the decision says itself that this is another episode.
    is_anew: bool,
}

/// Follows occurrences through decisions.
#[derive(Debug, Default)]
pub struct Tracks {
    occurrences: Vec<Occurrence>,
    by_id: HashMap<SmolStr, u32, foldhash::fast::FixedState>,
    runs: HashMap<AlertId, Run, foldhash::fast::FixedState>,
    moves: Vec<Move>,
    /// Whether the decision was about an episode that was over before it was heard of.
    is_unseen: bool,
    outcomes: BTreeMap<IncidentId, Outcome>,
    survivors: BTreeMap<IncidentId, IncidentId>,
}

impl Watch for Tracks {
    fn decided(&mut self, before: &State, decision: &Decision) {
        self.moves.clear();
        self.is_unseen = decision.reason == Reason::OrphanResolve && !goes_on(before, decision);
        for change in &decision.changes {
            if let Change::AlertJoined {
                incident, alert, ..
            } = change
            {
                let was_over = before.alert(*alert).is_some_and(|alert| !alert.is_firing());
                let is_anew = matches!(
                    decision.reason,
                    Reason::OrphanResolve | Reason::EpisodeReplaced
                );
                self.moves.push(Move {
                    alert: *alert,
                    incident: *incident,
                    was_over,
                    is_anew,
                });
            } else if let Change::AlertBound { alert, binding } = change {
                self.runs.entry(*alert).or_default().binding = Some(Arc::clone(binding));
            } else if let Change::AlertForgotten(alert) = change {
                if let Some(run) = self.runs.remove(alert) {
                    self.note(&run, before.graph());
                }
            } else if let Change::IncidentForgotten(incident) = change {
                self.note_outcome(before, *incident);
            } else if let Change::IncidentChanged(incident) = change {
                self.follow(incident);
            }
        }
    }

    fn applied(&mut self, after: &State, event: Option<&Event>) {
        let said = event.and_then(|event| match &event.said {
            Said::Alert(said) => Some(said.as_ref()),
            Said::Change(_) => None,
        });
        let begun = said.and_then(|said| self.begun(said));
        let heard = begun.zip(said).and_then(|(_, said)| {
            let key = AlertKey::new(&said.source, &said.key);
            after.alert_by_key(key.hash())
        });
        let has_moved = !self.moves.is_empty();
        for step in std::mem::take(&mut self.moves) {
            let fires_again = step.is_anew
                || step.was_over && after.alert(step.alert).is_some_and(Alert::is_firing);
            let begins = heard.is_some_and(|alert| alert.id == step.alert);
            self.move_run(step, fires_again.then_some(begins), after.graph());
        }
        if let (Some(begun), Some(alert)) = (begun, heard) {
            let run = self.runs.entry(alert.id).or_default();
            if self.is_unseen && !has_moved {
                // It opened nothing, and belongs nowhere.
                let passed = Run {
                    occurrences: vec![begun],
                    incident: None,
                    binding: run.binding.clone(),
                };
                self.note(&passed, after.graph());
                return;
            }
            run.incident = alert.incident;
            run.occurrences.push(begun);
        }
    }
}

impl Tracks {
    /// Notes what is still open; call it once, at the end.
    pub fn finish(&mut self, play: &Play) {
        let state = play.state();
        let runs = std::mem::take(&mut self.runs);
        for run in runs.values() {
            self.note(run, state.graph());
        }
        let open: Vec<IncidentId> = state.incidents().map(|incident| incident.id).collect();
        for incident in open {
            self.note_outcome(state, incident);
        }
    }

    /// Every occurrence, in order of first appearance.
    pub fn occurrences(&self) -> &[Occurrence] {
        &self.occurrences
    }

    /// The incident that an occurrence belongs to, merges followed.
    pub fn incident_of(&self, occurrence: &Occurrence) -> Option<IncidentId> {
        occurrence.incident.map(|incident| self.survivor(incident))
    }

    /// Every incident that was not merged into another one, by number.
    pub fn outcomes(&self) -> impl Iterator<Item = (IncidentId, &Outcome)> {
        let all = self.outcomes.iter().map(|(&id, outcome)| (id, outcome));
        all.filter(|(id, _)| !self.survivors.contains_key(id))
    }

    /// The incident that another one was merged into, or itself.
    fn survivor(&self, incident: IncidentId) -> IncidentId {
        let mut survivor = incident;
        // A chain is never longer than the number of merges.
        for _ in 0..self.survivors.len() {
            match self.survivors.get(&survivor) {
                Some(&next) => survivor = next,
                None => break,
            }
        }
        survivor
    }

    fn follow(&mut self, incident: &Incident) {
        match incident.merged_into {
            Some(survivor) => self.survivors.insert(incident.id, survivor),
            None => self.survivors.remove(&incident.id),
        };
    }

    /// The number of an occurrence that was never heard of before.
    fn begun(&mut self, said: &AlertSaid) -> Option<u32> {
        if self.by_id.contains_key(&said.id) {
            return None;
        }
        let number = u32::try_from(self.occurrences.len()).ok()?;
        self.by_id.insert(said.id.clone(), number);
        self.occurrences.push(Occurrence {
            id: said.id.clone(),
            ..Occurrence::default()
        });
        Some(number)
    }

    /// Takes an alert's occurrences to an incident. `begins` is set when the alert fires again: whether with an
    /// occurrence of its own that is not in the run yet; else the last one of the run is it.
    fn move_run(&mut self, step: Move, begins: Option<bool>, graph: &Graph) {
        let mut run = self.runs.remove(&step.alert).unwrap_or_default();
        if let Some(begins) = begins
            && run.incident != Some(step.incident)
        {
            let stays = run.occurrences.len().saturating_sub(usize::from(!begins));
            let moves = run.occurrences.split_off(stays);
            self.note(&run, graph);
            run.occurrences = moves;
        }
        run.incident = Some(step.incident);
        self.runs.insert(step.alert, run);
    }

    fn note(&mut self, run: &Run, graph: &Graph) {
        let binding = run.binding.as_ref();
        let ci = binding.and_then(|binding| graph.ci(binding.ci?));
        for &number in &run.occurrences {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            if let Some(occurrence) = self.occurrences.get_mut(index) {
                occurrence.incident = run.incident;
                occurrence.ci = ci.map(|ci| ci.id.clone());
                occurrence.binding =
                    binding.map(|binding| (binding.outcome, Arc::clone(&binding.reason)));
            }
        }
    }

    fn note_outcome(&mut self, state: &State, id: IncidentId) {
        if let Some(incident) = state.incident(id) {
            self.outcomes.insert(id, outcome(state, incident));
        }
    }
}

/// Whether what passed unseen is one with the alert's last episode: it ended a short while ago.
fn goes_on(before: &State, decision: &Decision) -> bool {
    decision.changes.iter().any(|change| {
        let Change::AlertChanged(after) = change else {
            return false;
        };
        let before = before.alert(after.id);
        before.is_some_and(|it| after.last_seen_at.since(it.last_seen_at) <= FLAP_WINDOW)
    })
}

fn outcome(state: &State, incident: &Incident) -> Outcome {
    let graph = state.graph();
    let cause = state.cause(incident.id);
    let named = |ci: Option<CiNumber>, score: u16, is_inferred: bool| {
        let ci = graph.ci(ci?)?.id.clone();
        Some(Root {
            ci,
            score,
            is_inferred,
        })
    };
    let roots = match cause {
        Some(cause) => {
            let roots = cause.roots.iter();
            roots
                .filter_map(|root| named(root.ci, root.score, root.is_inferred))
                .collect()
        }
        None => {
            let alerts = state.alerts_of(incident.id).iter();
            let mut alerts = alerts.filter_map(|&alert| state.alert(alert));
            let only = alerts.find_map(|alert| named(alert.ci, SURE, false));
            only.into_iter().collect()
        }
    };
    let services = cause.map_or(&[][..], |cause| &cause.services);
    let services = services.iter().filter_map(|&service| graph.ci(service));
    let why = cause.map(|cause| cause.why.join(" "));
    Outcome {
        opened_at: incident.opened_at,
        roots,
        services: services.map(|service| service.id.clone()).collect(),
        why: why.unwrap_or_else(|| ALONE.to_owned()),
    }
}
