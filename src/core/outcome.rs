//! What became of an incident, in figures: the history that reports are made of.
//!
//! Noted when an incident is over, taken back when it is reopened. One that went on in another one is none of its own.
//! Must not hold anything that names people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::severity::Priority;
use crate::core::sla::{ClockState, Clocks};
use crate::core::time::Timestamp;

/// A change of what became of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutcomeChange {
    /// An incident is over.
    Ended(Arc<Outcome>),
    /// It is not over after all.
    Reopened(IncidentId),
    /// Somebody further up a ladder was told of it, for the first time.
    Escalated(IncidentId, Timestamp),
    /// Somebody said how well it was handled.
    Rated(Arc<Rating>),
}

/// What the state holds of incidents for the time when they are over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeState {
    escalated: BTreeSet<IncidentId>,
    rated: BTreeMap<IncidentId, BTreeSet<SmolStr>>,
}

impl OutcomeState {
    /// Whether somebody further up a ladder was ever told of an incident.
    pub fn is_escalated(&self, incident: IncidentId) -> bool {
        self.escalated.contains(&incident)
    }

    /// Whether that person has rated an incident.
    pub fn is_rated(&self, incident: IncidentId, who: &str) -> bool {
        let rated = self.rated.get(&incident);
        rated.is_some_and(|people| people.contains(who))
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &OutcomeChange) {
        match change {
            OutcomeChange::Escalated(incident, _) => {
                self.escalated.insert(*incident);
            }
            OutcomeChange::Rated(rating) if rating.is_held => {
                self.rate(rating.incident, rating.who.clone());
            }
            OutcomeChange::Rated(_) | OutcomeChange::Ended(_) | OutcomeChange::Reopened(_) => {}
        }
    }

    /// Somebody has rated an incident.
    pub fn rate(&mut self, incident: IncidentId, who: SmolStr) {
        self.rated.entry(incident).or_default().insert(who);
    }

    /// Lets go of an incident that is closed for good.
    pub fn forget(&mut self, incident: IncidentId) {
        self.escalated.remove(&incident);
        self.rated.remove(&incident);
    }
}

/// One incident that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which.
    pub incident: IncidentId,
    /// When it was resolved, or closed without.
    pub ended_at: Timestamp,
    /// Its priority in the end.
    pub priority: Priority,
    /// The team that had it; empty when none did.
    pub team: SmolStr,
    /// Its figures.
    pub figures: Figures,
}

/// What somebody says of how an incident was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// Which.
    pub incident: IncidentId,
    /// Who.
    pub who: SmolStr,
    /// From 1, bad, to 5, very good.
    pub score: u8,
    /// What else they say.
    pub comment: Arc<str>,
    /// The incident's priority then.
    pub priority: Priority,
    /// The team that had it; empty when none did.
    pub team: SmolStr,
    /// When.
    pub at: Timestamp,
    /// Whether the incident is held, so that a second rating is refused without a look into the store.
    pub is_held: bool,
}

/// Figures of one incident, or the sums of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Incidents.
    pub incidents: i64,
    /// Those of which somebody took notice.
    pub acknowledged: i64,
    /// From open to that, in milliseconds.
    pub acknowledge_ms: i64,
    /// From open to resolved, in milliseconds.
    pub resolve_ms: i64,
    /// Those that were reopened.
    pub reopened: i64,
    /// Those that continue an earlier one.
    pub recurring: i64,
    /// Those that were escalated.
    pub escalated: i64,
    /// Those that recovered before anybody took notice.
    pub by_itself: i64,
    /// Response targets that were met.
    pub response_met: i64,
    /// Response targets that were missed.
    pub response_breached: i64,
    /// Resolution targets that were met.
    pub resolution_met: i64,
    /// Resolution targets that were missed.
    pub resolution_breached: i64,
    /// Alerts.
    pub alerts: i64,
    /// Messages about them.
    pub messages: i64,
}

impl Figures {
    /// The figures as columns, in the order of the store.
    pub const fn columns(&self) -> [i64; 14] {
        [
            self.incidents,
            self.acknowledged,
            self.acknowledge_ms,
            self.resolve_ms,
            self.reopened,
            self.recurring,
            self.escalated,
            self.by_itself,
            self.response_met,
            self.response_breached,
            self.resolution_met,
            self.resolution_breached,
            self.alerts,
            self.messages,
        ]
    }

    /// The figures of columns in that order.
    pub const fn of_columns(columns: [i64; 14]) -> Self {
        let [
            incidents,
            acknowledged,
            acknowledge_ms,
            resolve_ms,
            reopened,
            recurring,
            escalated,
            by_itself,
            response_met,
            response_breached,
            resolution_met,
            resolution_breached,
            alerts,
            messages,
        ] = columns;
        Self {
            incidents,
            acknowledged,
            acknowledge_ms,
            resolve_ms,
            reopened,
            recurring,
            escalated,
            by_itself,
            response_met,
            response_breached,
            resolution_met,
            resolution_breached,
            alerts,
            messages,
        }
    }

    /// Adds others.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let (mut sums, others) = (self.columns(), other.columns());
        for (sum, other) in sums.iter_mut().zip(others) {
            *sum = sum.saturating_add(other);
        }
        Self::of_columns(sums)
    }
}

/// What incidents cost, in hundredths of a currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostRules {
    /// The currency, for people.
    pub currency: SmolStr,
    /// Each incident.
    pub per_incident: i64,
    /// Each hour from open to resolved, by priority, P1 first.
    pub per_hour: [i64; 5],
}

impl CostRules {
    /// What so many incidents cost that took so long together.
    pub fn of(&self, priority: Priority, incidents: i64, resolve_ms: i64) -> i64 {
        let index = Priority::ALL.iter().position(|it| *it == priority);
        let rate = index.and_then(|index| self.per_hour.get(index)).copied();
        let hours = i128::from(resolve_ms).saturating_mul(i128::from(rate.unwrap_or(0)));
        let hours = i64::try_from(hours / 3_600_000).unwrap_or(i64::MAX);
        incidents
            .saturating_mul(self.per_incident)
            .saturating_add(hours)
    }
}

impl Draft<'_> {
    /// Notes that an incident is over, or is not after all.
    pub(super) fn note_outcome(&mut self, id: IncidentId) {
        let Some(incident) = self.peek(id) else {
            return;
        };
        let before = self.world.state.incident(id);
        let was_over = before.is_some_and(|before| !before.state.is_open());
        let is_over = !incident.state.is_open();
        if was_over == is_over || incident.merged_into.is_some() {
            return;
        }
        if !is_over {
            let change = OutcomeChange::Reopened(id);
            self.decision.change(Change::Outcome(change));
            return;
        }
        let ended_at = incident.resolved_at.or(incident.closed_at);
        let ended_at = ended_at.unwrap_or(self.now);
        let since_open = |at: Timestamp| at.since(incident.opened_at).as_millis().max(0);
        let flag = |is: bool| i64::from(is);
        let acknowledged = incident.acknowledged_at;
        let clocks = self.clocks_of(id);
        let state = |clock: Option<&crate::core::sla::Clock>| clock.and_then(|it| it.state());
        let response = state(clocks.and_then(|clocks| clocks.response.as_ref()));
        let resolution = state(clocks.and_then(|clocks| clocks.resolution.as_ref()));
        let owner = incident.owner.as_deref();
        let figures = Figures {
            incidents: 1,
            acknowledged: flag(acknowledged.is_some()),
            acknowledge_ms: acknowledged.map_or(0, since_open),
            resolve_ms: since_open(ended_at),
            reopened: flag(incident.reopen_count > 0),
            recurring: flag(incident.previous.is_some()),
            escalated: flag(self.world.state.practice().outcomes.is_escalated(id)),
            by_itself: flag(acknowledged.is_none()),
            response_met: flag(response == Some(ClockState::Met)),
            response_breached: flag(response == Some(ClockState::Breached)),
            resolution_met: flag(resolution == Some(ClockState::Met)),
            resolution_breached: flag(resolution == Some(ClockState::Breached)),
            alerts: i64::from(incident.total),
            messages: self.messages_of(id),
        };
        let outcome = Outcome {
            incident: id,
            ended_at,
            priority: incident.priority,
            team: owner
                .and_then(|owner| owner.team.clone())
                .unwrap_or_default(),
            figures,
        };
        let change = OutcomeChange::Ended(Arc::new(outcome));
        self.decision.change(Change::Outcome(change));
    }

    /// Notes that somebody further up a ladder is told of an incident.
    pub(super) fn note_escalated(&mut self, id: IncidentId) {
        if !self.world.state.practice().outcomes.is_escalated(id) {
            let change = OutcomeChange::Escalated(id, self.now);
            self.decision.change(Change::Outcome(change));
        }
    }

    /// The clocks of an incident as this decision leaves them.
    fn clocks_of(&self, id: IncidentId) -> Option<&Clocks> {
        let changed = self.clocks.get(&id);
        changed
            .or_else(|| self.world.state.practice().sla.get(id))
            .map(|clocks| &**clocks)
    }

    /// Messages about the alerts that belong to an incident, since they do.
    fn messages_of(&self, id: IncidentId) -> i64 {
        let state = self.world.state;
        let alerts = state.alerts_of(id).iter();
        let alerts = alerts.filter_map(|alert| state.alert(*alert));
        alerts
            .filter(|alert| alert.incident == Some(id))
            .map(|alert| alert.count.saturating_sub(alert.count_before))
            .fold(0, i64::saturating_add)
    }
}
