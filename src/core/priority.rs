//! How soon people must act: impact by what an incident reaches, urgency by how bad it is, how it spreads and how fast it
//! grows, and the operator's matrix over both.
//!
//! A rise holds at once. A fall holds when it has lasted for a while, so that an incident at the edge does not go up and
//! down; only an incident of a single alert follows it down at once. What a person has said holds until a person hands
//! it back. Must not look at anything but the incident, its cause and the CMDB.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::Incident;
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::severity::{Grade, Priority, Severity};
use crate::core::time::{Span, Timestamp};

/// `[priority]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityRules {
    /// Priorities by impact (rows, 1 first) and urgency.
    pub matrix: [[Priority; 3]; 3],
    /// Urgency by severity, critical first.
    pub urgency: [u8; 5],
    /// Impact by the criticality of the most critical service reached, 1 first.
    pub criticality: [u8; 5],
    /// So many services reached are the highest impact, whatever their criticality; a service that is only predicted to
    /// suffer counts half.
    pub services_many: u32,
    /// With so many CIs alerting, most of them still, an incident is one step more urgent.
    pub spread: u32,
    /// An incident that so many new alerts join within `rising_within` is one step more urgent; never with 0.
    pub rising: u32,
    /// See `rising`.
    pub rising_within: Span,
    /// A lower priority must be right for so long before it holds.
    pub lower_after: Span,
}

impl Default for PriorityRules {
    fn default() -> Self {
        use Priority::{P1, P2, P3, P4, P5};
        Self {
            matrix: [[P1, P2, P3], [P2, P3, P4], [P3, P4, P5]],
            urgency: [1, 2, 3, 3, 3],
            criticality: [1, 2, 2, 2, 2],
            services_many: 10,
            spread: 50,
            rising: 30,
            rising_within: Span::from_mins(10),
            lower_after: Span::from_mins(10),
        }
    }
}

/// What an incident reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scale {
    /// The lowest number of criticality among the services.
    criticality: Option<u8>,
    /// Services reached.
    services: u32,
    /// Those of them with an alert of their own.
    confirmed: u32,
    /// CIs with alerts, as long as most of them fire.
    spread: u32,
    /// Whether many alerts are new.
    is_rising: bool,
}

impl PriorityRules {
    /// The priority of a grade.
    pub fn of(&self, grade: Grade) -> Priority {
        let place = |step: u8| usize::from(step.clamp(1, 3).saturating_sub(1));
        let row = self.matrix.get(place(grade.impact));
        let found = row.and_then(|row| row.get(place(grade.urgency)));
        found.copied().unwrap_or_else(|| Priority::of(grade))
    }

    fn grade(&self, severity: Severity, scale: Scale) -> Grade {
        let usual = Grade::of_severity(severity);
        let index = Severity::ALL.iter().position(|it| *it == severity);
        let urgency = index.and_then(|index| self.urgency.get(index)).copied();
        let mut grade = Grade {
            impact: usual.impact,
            urgency: urgency.unwrap_or(usual.urgency),
        };
        // What is only for the record disturbs nobody, whatever is near it.
        if usual.impact >= 3 {
            return grade;
        }
        let criticality = scale.criticality.map(|it| usize::from(it.clamp(1, 5)) - 1);
        if let Some(impact) = criticality.and_then(|it| self.criticality.get(it)) {
            grade.impact = *impact;
        }
        let predicted = scale.services.saturating_sub(scale.confirmed);
        let halves = scale.confirmed.saturating_mul(2).saturating_add(predicted);
        if scale.services > 0 && halves >= self.services_many.saturating_mul(2) {
            grade.impact = 1;
        }
        if scale.spread >= self.spread || scale.is_rising {
            grade.urgency = grade.urgency.saturating_sub(1).max(1);
        }
        grade
    }
}

/// Where an incident's priority comes from, where that is not its severity alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Impact and urgency.
    pub grade: Grade,
    /// What a person has said.
    pub given: Option<Given>,
    /// When a lower priority holds unless the incident grows before.
    pub lower_at: Option<Timestamp>,
}

/// A priority that a person has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Which.
    pub priority: Priority,
    /// Who.
    pub by: SmolStr,
    /// Why.
    pub reason: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// A change of where an incident's priority comes from; nothing stands for its severity alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingChange {
    /// The incident.
    pub incident: IncidentId,
    /// As it is now.
    pub standing: Option<Arc<Standing>>,
}

/// Where the priorities of incidents come from.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    by_incident: BTreeMap<IncidentId, Arc<Standing>>,
    due: BTreeSet<(Timestamp, IncidentId)>,
}

/// The due times follow from the rest.
impl PartialEq for Standings {
    fn eq(&self, other: &Self) -> bool {
        self.by_incident == other.by_incident
    }
}

impl Standings {
    /// Where an incident's priority comes from; `None` for its severity alone.
    pub fn get(&self, incident: IncidentId) -> Option<&Standing> {
        self.by_incident.get(&incident).map(|standing| &**standing)
    }

    /// When the next lower priority holds.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The incidents whose lower priority holds by now, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = IncidentId> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, incident)| *incident)
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &StandingChange) {
        let StandingChange { incident, standing } = change;
        self.forget(*incident);
        if let Some(standing) = standing {
            if let Some(at) = standing.lower_at {
                self.due.insert((at, *incident));
            }
            self.by_incident.insert(*incident, Arc::clone(standing));
        }
    }

    /// Lets go of an incident that is closed for good.
    pub fn forget(&mut self, incident: IncidentId) {
        let before = self.by_incident.remove(&incident);
        if let Some(at) = before.and_then(|before| before.lower_at) {
            self.due.remove(&(at, incident));
        }
    }
}

/// Touches the incidents whose lower priority holds by now; the end of the decision does the rest.
pub(super) fn decide_due(draft: &mut Draft<'_>) -> bool {
    let state = draft.world.state;
    let due = state.practice().standings.due(draft.now);
    let due: Vec<_> = due.take(limits::DEADLINES_PER_DECISION).collect();
    for id in &due {
        draft.touch(*id);
    }
    !due.is_empty()
}

impl Draft<'_> {
    /// Where an incident's priority comes from, as this decision leaves it.
    pub(super) fn standing(&self, id: IncidentId) -> Option<&Standing> {
        match self.standings.get(&id) {
            Some(standing) => standing.as_deref(),
            None => self.world.state.practice().standings.get(id),
        }
    }

    /// Impact and urgency of an incident.
    pub(super) fn grade(&self, incident: &Incident) -> Grade {
        let standing = self.standing(incident.id);
        standing.map_or_else(|| Grade::of_severity(incident.severity), |it| it.grade)
    }

    /// Sets the priority of an incident that begins (again), without a word.
    pub(super) fn prioritise_anew(&mut self, id: IncidentId) {
        let Some(grade) = self.graded(id) else {
            return;
        };
        let given = self.standing(id).and_then(|it| it.given.clone());
        let priority = match &given {
            Some(given) => given.priority,
            None => self.world.rules.priority.of(grade),
        };
        if let Some(incident) = self.touch(id) {
            incident.priority = priority;
        }
        let standing = Standing {
            grade,
            given,
            lower_at: None,
        };
        self.put_standing(id, standing);
    }

    /// Lets the priority of an open incident follow what it is; `alert` is the one that changed it.
    pub(super) fn prioritise(&mut self, id: IncidentId, alert: Option<AlertId>) {
        let Some(incident) = self.peek(id) else {
            return;
        };
        let (before, is_open, total) =
            (incident.priority, incident.state.is_open(), incident.total);
        let held = self.standing(id).cloned();
        if !is_open {
            if let Some(held) = held.filter(|held| held.lower_at.is_some()) {
                let lower_at = None;
                self.put_standing(id, Standing { lower_at, ..held });
            }
            return;
        }
        let is_due = |held: &Standing| held.lower_at.is_some_and(|at| at <= self.now);
        if held.as_ref().is_some_and(is_due) {
            self.take_worst(id);
        }
        let Some(grade) = self.graded(id) else {
            return;
        };
        let is_by_rise = self.is_rising(id) && self.grade_of(id, false) != Some(grade);
        let given = held.as_ref().and_then(|held| held.given.clone());
        let after = match &given {
            Some(given) => given.priority,
            None => self.world.rules.priority.of(grade),
        };
        let lower_at = held.as_ref().and_then(|held| held.lower_at);
        if after > before && given.is_none() && total > 1 {
            let lower_after = self.world.rules.priority.lower_after;
            let lower_at = lower_at.unwrap_or_else(|| self.now.plus(lower_after));
            if lower_at > self.now {
                let shown = self.peek(id).map(|incident| self.grade(incident));
                let standing = Standing {
                    grade: shown.unwrap_or(grade),
                    given,
                    lower_at: Some(lower_at),
                };
                self.put_standing(id, standing);
                return;
            }
        }
        let is_left = lower_at.is_some_and(|at| at > self.now) && before == after;
        let lower_at = if is_by_rise {
            // It is looked at again when the rise may be over, without another alert.
            let rules = &self.world.rules.priority;
            let later = self.now.plus(rules.lower_after.max(rules.rising_within));
            Some(lower_at.filter(|at| *at > self.now).unwrap_or(later))
        } else {
            lower_at.filter(|_| is_left && !self.is_as_bad(id))
        };
        let standing = Standing {
            grade,
            given,
            lower_at,
        };
        self.put_standing(id, standing);
        if before == after {
            return;
        }
        if let Some(incident) = self.touch(id) {
            incident.priority = after;
        }
        let why = if is_by_rise && after < before {
            ": many alerts within a short time"
        } else {
            ""
        };
        let entry = self.say(Some(id), alert, Reason::PriorityChanged);
        entry.note = Some(format!("{} to {}{why}", before.word(), after.word()).into());
    }

    /// Lets an incident fall to what fires of it still, unless it gets worse before.
    pub(super) fn lower_later(&mut self, id: IncidentId) {
        let Some(grade) = self.peek(id).map(|incident| self.grade(incident)) else {
            return;
        };
        let standing = self.standing(id);
        if standing.is_some_and(|standing| standing.lower_at.is_some()) {
            return;
        }
        let given = standing.and_then(|standing| standing.given.clone());
        let lower_at = Some(self.now.plus(self.world.rules.priority.lower_after));
        let standing = Standing {
            grade,
            given,
            lower_at,
        };
        self.put_standing(id, standing);
    }

    /// The severity of an incident is that of the worst that fires of it.
    fn take_worst(&mut self, id: IncidentId) {
        let worst = self.worst_of(id);
        if let (Some(worst), Some(incident)) = (worst, self.touch(id)) {
            incident.severity = incident.severity.max(worst);
        }
    }

    /// Takes a person's word for the priority, or lets the rules judge again.
    pub(super) fn prioritise_by_person(&mut self, id: IncidentId, given: Option<Given>) -> Reason {
        let reason = match given {
            Some(_) => Reason::PrioritySetByPerson,
            None => Reason::PriorityHandedBack,
        };
        let Some(grade) = self.graded(id) else {
            return reason;
        };
        let priority = match &given {
            Some(given) => given.priority,
            None => self.world.rules.priority.of(grade),
        };
        if let Some(incident) = self.touch(id) {
            incident.priority = priority;
        }
        let standing = Standing {
            grade,
            given,
            lower_at: None,
        };
        self.put_standing(id, standing);
        reason
    }

    fn put_standing(&mut self, id: IncidentId, standing: Standing) {
        let Some(severity) = self.peek(id).map(|incident| incident.severity) else {
            return;
        };
        let is_plain = standing.given.is_none()
            && standing.lower_at.is_none()
            && standing.grade == Grade::of_severity(severity);
        if is_plain && self.standing(id).is_none() {
            return;
        }
        if !is_plain && self.standing(id) == Some(&standing) {
            return;
        }
        let standing = (!is_plain).then(|| Arc::new(standing));
        self.standings.insert(id, standing.clone());
        let incident = id;
        self.decision
            .change(Change::Standing(StandingChange { incident, standing }));
    }

    fn graded(&self, id: IncidentId) -> Option<Grade> {
        self.grade_of(id, self.is_rising(id))
    }

    /// Whether so many of the alerts are new that the incident counts as rising; alerts are listed as they joined.
    fn is_rising(&self, id: IncidentId) -> bool {
        let rules = &self.world.rules.priority;
        let state = self.world.state;
        let (members, Some(incident)) = (state.alerts_of(id), self.peek(id)) else {
            return false;
        };
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        if rules.rising == 0 || incident.total < rules.rising {
            return false;
        }
        let joining = count(incident.total).saturating_sub(members.len());
        let held = count(rules.rising).saturating_sub(joining);
        let first = members.len().checked_sub(held);
        let first = first.and_then(|index| members.get(index));
        let Some(first) = first.and_then(|alert| state.alert(*alert)) else {
            // All of them join now.
            return held == 0;
        };
        first.first_seen_at.plus(rules.rising_within) > self.now
    }

    fn grade_of(&self, id: IncidentId, is_rising: bool) -> Option<Grade> {
        let incident = self.peek(id)?;
        let graph = self.world.state.graph();
        let cause = self.cause_of(id);
        let services = cause.map_or(&[][..], |cause| &cause.services);
        let criticalities = services.iter().filter_map(|ci| graph.ci(*ci)?.criticality);
        let is_spreading = incident.firing.saturating_mul(2) >= incident.total;
        let spread = cause.map_or(0, |cause| cause.cis);
        let scale = Scale {
            criticality: criticalities.min(),
            services: u32::try_from(services.len()).unwrap_or(u32::MAX),
            confirmed: cause.map_or(0, |cause| cause.confirmed),
            spread: if is_spreading { spread } else { 0 },
            is_rising: is_rising && is_spreading,
        };
        Some(self.world.rules.priority.grade(incident.severity, scale))
    }
}
