//! Whom a ladder would tell: each step, as people are on call now.
//!
//! For trials and previews. Must not change or tell anything.

use smol_str::{SmolStr, format_smolstr};

use crate::core::escalate::ladder::Ladder;
use crate::core::escalate::reach::{Look, reach};
use crate::core::escalate::run::Loudness;
use crate::core::incident::Incident;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

/// A ladder with whom it would tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// Its name.
    pub ladder: SmolStr,
    /// In order.
    pub steps: Vec<ForeseenStep>,
}

/// A step with whom it would tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeseenStep {
    /// How long after the begin it is due.
    pub after: Span,
    /// Who, for people.
    pub names: Vec<String>,
    /// By which targets, each once.
    pub targets: Vec<SmolStr>,
    /// Why somebody would not be reached.
    pub missing: Vec<String>,
}

/// Looks up whom each step would tell of an incident if it were due now.
pub fn foresee(
    rules: &Rules,
    state: &State,
    incident: &Incident,
    ladder: &Ladder,
    now: Timestamp,
) -> Foreseen {
    let steps = ladder.steps.iter().map(|step| {
        let look = Look {
            rules,
            state,
            incident,
            loudness: Loudness::NONE,
            now,
        };
        let reached = reach(look, &step.notify);
        let mut targets: Vec<SmolStr> = Vec::new();
        for listener in reached.listeners {
            if !targets.contains(&listener.target) {
                targets.push(listener.target);
            }
        }
        ForeseenStep {
            after: step.after,
            names: reached.names,
            targets,
            missing: reached.missing,
        }
    });
    Foreseen {
        ladder: ladder.name.clone(),
        steps: steps.collect(),
    }
}

/// The ladder of a team that has none of its own: it is told once, and again while nobody answers.
pub fn ladder_of_team(team: &str) -> SmolStr {
    format_smolstr!("team {team}")
}
