//! Service level clocks: how long people may take to respond to an incident and to resolve it, in business time.
//!
//! A clock counts while it runs and keeps what it has counted: through a hold, a change of its target or calendar, and a
//! reopen. Its warnings and its due time are data that is computed when it starts to run, so a restart changes nothing
//! and nobody scans. A breach is recorded with its owner and stays. Must not know who is told of it.

pub mod clock;
mod look;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::calendar::Calendar;
use crate::core::condition::Condition;
use crate::core::ids::IncidentId;
use crate::core::severity::Priority;
use crate::core::time::{Span, Timestamp};

pub use crate::core::sla::clock::{Clock, ClockState, Clocks};
pub(super) use crate::core::sla::look::decide_due;

/// Every rule and calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlaRules {
    /// `[[sla]]` in order; the first that applies holds.
    pub rules: Vec<SlaRule>,
    /// `[[calendar]]` by name.
    pub calendars: BTreeMap<SmolStr, Arc<Calendar>>,
}

impl SlaRules {
    /// The calendar of that name; none means that all time counts.
    pub fn calendar(&self, name: Option<&SmolStr>) -> Option<&Calendar> {
        self.calendars.get(name?).map(|calendar| &**calendar)
    }

    /// The rule that people know by that name.
    pub fn rule(&self, name: &str) -> Option<&SlaRule> {
        self.rules.iter().find(|rule| rule.when.rule() == name)
    }
}

/// One `[[sla]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaRule {
    /// When it applies; its name is the rule's.
    pub when: Condition,
    /// How long a response may take.
    pub response: Option<Span>,
    /// How long the resolution may take.
    pub resolution: Option<Span>,
    /// The name of the calendar; without one all time counts.
    pub calendar: Option<SmolStr>,
    /// The shares of a target, in 1/1,000, at which people are warned; sorted.
    pub warn_at: Vec<u16>,
}

/// Which of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockKind {
    /// Until somebody takes notice.
    Response,
    /// Until the disruption is over.
    Resolution,
}

impl ClockKind {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Response, Self::Resolution];

    /// The word used in API, store and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Resolution => "resolution",
        }
    }
}

/// A change of service level clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlaChange {
    /// The clocks of an incident as they are now.
    Clocks(IncidentId, Arc<Clocks>),
    /// A target was missed; the clocks say so too, this is for counting.
    Breached(IncidentId, ClockKind, Priority),
}

/// The clocks of every incident that has some.
#[derive(Clone, Debug, Default)]
pub struct SlaState {
    by_incident: BTreeMap<IncidentId, Arc<Clocks>>,
    due: BTreeSet<(Timestamp, IncidentId)>,
    counts: BTreeMap<(ClockKind, ClockState), i64>,
}

/// Due times and counts follow from the clocks.
impl PartialEq for SlaState {
    fn eq(&self, other: &Self) -> bool {
        self.by_incident == other.by_incident
    }
}

impl SlaState {
    /// The clocks of an incident.
    pub fn get(&self, incident: IncidentId) -> Option<&Arc<Clocks>> {
        self.by_incident.get(&incident)
    }

    /// When the next warning or breach is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The incidents with a warning or breach that is due by now, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = IncidentId> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, incident)| *incident)
    }

    /// How many clocks there are of each kind in each state.
    pub fn counts(&self) -> &BTreeMap<(ClockKind, ClockState), i64> {
        &self.counts
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &SlaChange) {
        match change {
            SlaChange::Clocks(incident, clocks) => {
                self.forget(*incident);
                if let Some(at) = clocks.due_at() {
                    self.due.insert((at, *incident));
                }
                self.count(clocks, 1);
                self.by_incident.insert(*incident, Arc::clone(clocks));
            }
            SlaChange::Breached(..) => {}
        }
    }

    /// Lets go of an incident that is closed for good.
    pub fn forget(&mut self, incident: IncidentId) {
        let Some(clocks) = self.by_incident.remove(&incident) else {
            return;
        };
        if let Some(at) = clocks.due_at() {
            self.due.remove(&(at, incident));
        }
        self.count(&clocks, -1);
    }

    fn count(&mut self, clocks: &Clocks, by: i64) {
        for (kind, clock) in clocks.iter() {
            if let Some(state) = clock.state() {
                let count = self.counts.entry((kind, state)).or_insert(0);
                *count = count.saturating_add(by);
            }
        }
    }
}
