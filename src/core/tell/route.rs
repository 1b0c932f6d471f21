//! Routes: which targets, team and escalation an incident goes to.
//!
//! The first route whose condition is true decides; one that says `continue` adds its own and lets the next ones be
//! tried. Without any route every target is told: whoever configures one wants to hear. Must not look at a clock; the
//! time of day comes with the values.

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::condition::{Condition, Facts, Fault};

use super::TellRules;

/// A configured route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// When it matches.
    pub when: Condition,
    /// Whose clocks `now` is read from.
    pub zone: TimeZone,
    /// The team that gets the incident.
    pub team: Option<SmolStr>,
    /// The targets that are told.
    pub targets: Vec<SmolStr>,
    /// The escalation that is started.
    pub escalation: Option<SmolStr>,
    /// Whether the next routes are tried as well.
    pub goes_on: bool,
}

/// What the routes came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// The team of the first route that names one.
    pub team: Option<SmolStr>,
    /// The targets, each once, in the order of the routes.
    pub targets: Vec<SmolStr>,
    /// The escalations, likewise.
    pub escalations: Vec<SmolStr>,
    /// What each route came to, in order, up to the one that decided.
    pub tried: Vec<Tried>,
}

/// What one route came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its name.
    pub route: SmolStr,
    /// Whether it matched.
    pub is_match: bool,
    /// Why its condition could not be evaluated, which counts as false.
    pub fault: Option<Fault>,
}

impl TellRules {
    /// Tries the routes; `facts` gives what conditions see on the clocks of a zone.
    pub fn route(&self, facts: impl Fn(&TimeZone) -> Option<Facts>) -> Routed {
        let mut routed = Routed::default();
        if self.routes.is_empty() {
            routed.targets = self.targets.keys().cloned().collect();
            return routed;
        }
        let mut seen: Option<(&TimeZone, Facts)> = None;
        for route in &self.routes {
            if route.when.source().is_some()
                && seen.as_ref().is_none_or(|(zone, _)| **zone != route.zone)
            {
                seen = facts(&route.zone).map(|facts| (&route.zone, facts));
            }
            let outcome = match &seen {
                Some((_, facts)) => route.when.holds(facts),
                // Nothing is known of it; what needs no condition holds all the same.
                None => Ok(route.when.source().is_none()),
            };
            let is_match = matches!(outcome, Ok(true));
            routed.tried.push(Tried {
                route: route.when.rule().clone(),
                is_match,
                fault: outcome.err(),
            });
            if !is_match {
                continue;
            }
            routed.take(route);
            if !route.goes_on {
                break;
            }
        }
        routed
    }

    /// Whether nobody can be told by the routes, so that nothing needs to be looked at.
    pub fn is_silent(&self) -> bool {
        self.routes.is_empty() && self.targets.is_empty()
    }
}

impl Routed {
    fn take(&mut self, route: &Route) {
        if self.team.is_none() {
            self.team.clone_from(&route.team);
        }
        for target in &route.targets {
            if !self.targets.contains(target) {
                self.targets.push(target.clone());
            }
        }
        if let Some(escalation) = &route.escalation
            && !self.escalations.contains(escalation)
        {
            self.escalations.push(escalation.clone());
        }
    }
}
