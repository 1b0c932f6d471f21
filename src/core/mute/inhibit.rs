//! Inhibition: people know of an incident, and another one depends on its root cause, so they are not told of that one.
//!
//! Operators say by conditions which incidents hold which; without a rule nothing is held. What is worse than what people
//! know of is always told, and what is held itself holds nothing, so two incidents never hold each other. Looked at when
//! either of both changes, with the indexes that correlation keeps: nothing is compared with everything. Must not merge
//! incidents or change them otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::condition::{Condition, Facts};
use crate::core::correlate::upstream::Upstream;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::incident::Incident;
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// Incidents that one incident holds; further ones are told.
const HELD_MAX: usize = 1_000;
/// Conditions that depend on a root cause which are looked at when it comes up; those beyond are looked at when they
/// change.
const LOOKED_AT_MAX: usize = 5_000;

/// `[[inhibit]]`: which incidents hold which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InhibitRule {
    /// What people call it.
    pub name: SmolStr,
    /// Which incidents hold others.
    pub by: Condition,
    /// Which incidents are held.
    pub when: Condition,
}

/// An incident that is held by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibition {
    /// The incident that is held.
    pub incident: IncidentId,
    /// The incident that people know of.
    pub by: IncidentId,
    /// The rule.
    pub rule: SmolStr,
    /// Since when.
    pub since: Timestamp,
}

/// One change of what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InhibitChange {
    /// An incident is held, or by another one than before.
    Held(Arc<Inhibition>),
    /// It no longer is.
    Released(IncidentId),
}

impl InhibitChange {
    /// The incident that is held or released.
    pub fn incident(&self) -> IncidentId {
        match self {
            Self::Held(it) => it.incident,
            Self::Released(id) => *id,
        }
    }
}

/// The incidents that are held by others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inhibitions {
    by_incident: BTreeMap<IncidentId, Arc<Inhibition>>,
    by_cause: BTreeSet<(IncidentId, IncidentId)>,
}

impl Inhibitions {
    /// What holds an incident.
    pub fn of(&self, incident: IncidentId) -> Option<&Arc<Inhibition>> {
        self.by_incident.get(&incident)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.by_incident.is_empty()
    }

    /// The incidents that one holds.
    pub fn held_by(&self, cause: IncidentId) -> impl Iterator<Item = IncidentId> {
        let (first, last) = (IncidentId::FIRST, IncidentId::LAST);
        let range = self.by_cause.range((cause, first)..=(cause, last));
        range.map(|(_, held)| *held)
    }

    /// Makes a change true; also used to load.
    pub(in crate::core) fn apply(&mut self, change: &InhibitChange) {
        if let Some(before) = self.by_incident.remove(&change.incident()) {
            self.by_cause.remove(&(before.by, before.incident));
        }
        if let InhibitChange::Held(held) = change {
            self.by_cause.insert((held.by, held.incident));
            self.by_incident.insert(held.incident, Arc::clone(held));
        }
    }
}

impl Draft<'_> {
    /// Whether no incident is held by another one, nor could be.
    fn is_uninhibited(&self) -> bool {
        self.world.rules.inhibit.is_empty() && self.world.state.inhibitions().is_empty()
    }

    /// Holds and releases the incidents that this decision touches, and those that they held.
    pub(in crate::core) fn inhibit(&mut self) {
        if self.is_uninhibited() {
            return;
        }
        for id in self.touched_ids() {
            self.look_at_inhibition(id);
        }
        for id in self.touched_ids() {
            if self.stands_otherwise(id) {
                self.look_at_held(id);
            }
        }
    }

    /// Holds what depends on an incident that people know of from now on.
    pub(in crate::core) fn inhibit_dependents(&mut self) {
        if self.world.rules.inhibit.is_empty() {
            return;
        }
        let state = self.world.state;
        for id in self.touched_ids() {
            let Some(ci) = self.root_of(id).filter(|_| self.may_inhibit(id)) else {
                continue;
            };
            if !self.stands_otherwise(id) {
                continue;
            }
            let nodes = state.forest().watchers(ci).take(LOOKED_AT_MAX);
            let incidents = nodes.filter_map(|(node, _)| Some(state.forest().node(node)?.incident));
            let dependents: BTreeSet<IncidentId> = incidents.filter(|it| *it != id).collect();
            for dependent in dependents {
                self.look_at_inhibition(dependent);
            }
        }
    }

    /// Whether an incident may hold others otherwise than before this decision.
    fn stands_otherwise(&self, id: IncidentId) -> bool {
        let (Some(before), Some(after)) = (self.world.state.incident(id), self.peek(id)) else {
            return true;
        };
        let stand = |it: &Incident| {
            let is_known = it.announced_at.is_some();
            (it.state.is_open(), it.firing > 0, is_known, it.priority)
        };
        let is_held = |it: Option<&Inhibition>| it.is_some();
        let was_held = is_held(self.world.state.inhibitions().of(id).map(|it| &**it));
        stand(before) != stand(after)
            || self.is_judged(id)
            || self.is_review
            || was_held != is_held(self.inhibition_of(id).as_deref())
    }

    /// Looks again at what an incident holds.
    fn look_at_held(&mut self, id: IncidentId) {
        let held: Vec<_> = self.world.state.inhibitions().held_by(id).collect();
        for held in held {
            self.look_at_inhibition(held);
        }
    }

    /// Holds an incident, or releases it.
    fn look_at_inhibition(&mut self, id: IncidentId) {
        let before = self.inhibition_of(id);
        let after = self.inhibitor_of(id);
        let is_same = match (&before, &after) {
            (None, None) => true,
            (Some(before), Some((by, rule))) => before.by == *by && before.rule == *rule,
            (None, Some(_)) | (Some(_), None) => false,
        };
        if is_same {
            return;
        }
        self.touch(id);
        let Some((by, rule)) = after else {
            self.inhibitions.insert(id, None);
            self.decision
                .change(Change::Inhibit(InhibitChange::Released(id)));
            if self.peek(id).is_some_and(|it| it.state.is_open()) {
                self.say(Some(id), None, Reason::Uninhibited);
            }
            return;
        };
        let note = format!("{by} holds it, on whose root cause it depends (rule {rule})");
        let since = before.map_or(self.now, |before| before.since);
        let held = Arc::new(Inhibition {
            incident: id,
            by,
            rule,
            since,
        });
        self.inhibitions.insert(id, Some(Arc::clone(&held)));
        self.decision
            .change(Change::Inhibit(InhibitChange::Held(held)));
        self.say(Some(id), None, Reason::Inhibited).note = Some(note.into());
        // What is held holds nothing.
        let held: Vec<_> = self.world.state.inhibitions().held_by(id).collect();
        for other in held.into_iter().filter(|other| *other != by) {
            self.look_at_inhibition(other);
        }
    }

    /// What holds an incident as this decision has it so far.
    fn inhibition_of(&self, id: IncidentId) -> Option<Arc<Inhibition>> {
        match self.inhibitions.get(&id) {
            Some(decided) => decided.clone(),
            None => self.world.state.inhibitions().of(id).cloned(),
        }
    }

    /// Whether people know of an incident, or of what it is held by, and something of it fires.
    fn may_inhibit(&self, id: IncidentId) -> bool {
        let Some(incident) = self.peek(id) else {
            return false;
        };
        let is_planned = || super::is_all(self.world.state.tally().count(id), incident);
        incident.state.is_open()
            && incident.firing > 0
            && (incident.announced_at.is_some() || is_planned())
            && self.inhibition_of(id).is_none()
    }

    /// The CI of an incident's most probable root.
    fn root_of(&self, id: IncidentId) -> Option<CiNumber> {
        let state = self.world.state;
        let judged = self.cause_of(id).and_then(|cause| cause.root()?.ci);
        let first = || state.alert(*state.alerts_of(id).first()?)?.ci;
        let opener = || state.alert(self.openers.get(&id)?.alert)?.ci;
        judged.or_else(first).or_else(opener)
    }

    /// The incident that holds another one, the strongest first, and the rule.
    fn inhibitor_of(&mut self, id: IncidentId) -> Option<(IncidentId, SmolStr)> {
        let rules = Arc::clone(&self.world.rules.inhibit);
        let incident = self.peek(id)?;
        let priority = incident.priority;
        let is_over = !incident.state.is_open() || incident.firing == 0;
        if rules.is_empty() || is_over {
            return None;
        }
        let causes = self.known_causes(self.root_of(id)?, id);
        let facts = self.facts(id, &TimeZone::UTC)?;
        for cause in causes {
            let is_as_urgent = self.peek(cause).is_some_and(|it| it.priority <= priority);
            if !is_as_urgent || !self.may_inhibit(cause) || self.is_full(cause, id) {
                continue;
            }
            let by = self.facts(cause, &TimeZone::UTC)?;
            let rule = rules.iter().find(|rule| self.applies(rule, &by, &facts));
            if let Some(rule) = rule {
                return Some((cause, rule.name.clone()));
            }
        }
        None
    }

    fn applies(&mut self, rule: &InhibitRule, by: &Facts, held: &Facts) -> bool {
        self.holds(&rule.by, by) && self.holds(&rule.when, held)
    }

    fn is_full(&self, cause: IncidentId, id: IncidentId) -> bool {
        let held = self.world.state.inhibitions().held_by(cause);
        held.take(HELD_MAX).filter(|held| *held != id).count() >= HELD_MAX
    }

    /// The incidents whose root cause a CI depends on, the strongest dependence first.
    fn known_causes(&self, ci: CiNumber, id: IncidentId) -> Vec<IncidentId> {
        let state = self.world.state;
        let forest = state.forest();
        let upstream = match forest.upstream(ci) {
            Some(upstream) => Arc::clone(upstream),
            None => Arc::new(Upstream::of(state.graph(), ci)),
        };
        let mut found = Vec::new();
        for reach in upstream.iter() {
            let nodes = forest.nodes_at(reach.ci).iter();
            let incidents = nodes.filter_map(|node| Some(forest.node(*node)?.incident));
            for cause in incidents.filter(|cause| *cause != id) {
                if self.root_of(cause) == Some(reach.ci) {
                    found.push((std::cmp::Reverse(reach.weight), reach.depth, cause));
                }
            }
        }
        found.sort_unstable();
        let mut causes: Vec<IncidentId> = found.into_iter().map(|(.., cause)| cause).collect();
        causes.dedup();
        causes
    }
}
