//! A core that is driven by inputs at times, with what it told on the way.
//!
//! The same `decide` and `apply` as in the daemon. Time never runs backwards, and deadlines are reached when they are due.
//! Must not decide anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::decide::{World, decide};
use crate::core::decision::{Change, Decision};
use crate::core::identity::AlertKey;
use crate::core::ids::{AlertId, IdFeed, IncidentId};
use crate::core::incident::Incident;
use crate::core::input::Input;
use crate::core::reason::Reason;
use crate::core::records::{Record, RecordChange, RecordId};
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::tell::TellChange;
use crate::core::time::Timestamp;

/// Deadline decisions at one point in time; more is a defect, and must end.
const DECISIONS_PER_INSTANT: usize = 100_000;

/// What a driven core has told so far.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Every incident that ever was, as it was last.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Their titles.
    pub titles: BTreeMap<IncidentId, SmolStr>,
    /// The reasons of their timelines.
    pub reasons: BTreeMap<IncidentId, BTreeSet<Reason>>,
    /// The alerts that ever joined them.
    pub members: BTreeMap<IncidentId, BTreeSet<AlertId>>,
    /// Summaries of alerts.
    pub summaries: BTreeMap<AlertId, SmolStr>,
    /// Names of alerts: the label, else the key.
    pub names: BTreeMap<AlertId, SmolStr>,
    /// Keys of alerts.
    pub keys: BTreeMap<AlertId, AlertKey>,
    /// Records, as they were last.
    pub records: BTreeMap<RecordId, Arc<Record>>,
    /// Messages to people: when, about which incident, and to whom as far as that is known.
    pub pages: Vec<Page>,
}

impl Told {
    /// The incidents that were not merged into another one.
    pub fn standing(&self) -> impl Iterator<Item = IncidentId> {
        let standing = self.incidents.values();
        let standing = standing.filter(|incident| incident.merged_into.is_none());
        standing.map(|incident| incident.id)
    }
}

/// A message to people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    /// When.
    pub at: Timestamp,
    /// About which incident.
    pub incident: IncidentId,
    /// To which target; empty when none is configured and the incident was only announced.
    pub target: SmolStr,
}

/// A core with a clock of its own.
#[derive(Debug)]
pub struct Drive {
    state: State,
    rules: Arc<Rules>,
    ids: IdFeed,
    now: Option<Timestamp>,
    told: Told,
}

impl Drive {
    /// A core that knows nothing yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            state: State::default(),
            rules,
            ids: IdFeed::default(),
            now: None,
            told: Told::default(),
        }
    }

    /// A core that knows what was held at some time.
    pub fn at(rules: Arc<Rules>, state: State, ids: IdFeed) -> Self {
        Self {
            state,
            ids,
            ..Self::new(rules)
        }
    }

    /// What is held.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The same, to begin with something.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The rules.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// What was told.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The time of the last input or deadline.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Lets time pass until then and lets something happen.
    pub fn happen(&mut self, at: Timestamp, input: &Input) -> Decision {
        self.pass(at);
        self.step(input)
    }

    /// Lets time pass; deadlines on the way are reached when they are due.
    pub fn pass(&mut self, until: Timestamp) {
        if self.now.is_none() {
            self.now = Some(until);
            self.step(&Input::Started);
        }
        let mut at_once = 0_usize;
        while let Some((due, _)) = self.state.next_deadline()
            && due <= until
            && at_once < DECISIONS_PER_INSTANT
        {
            at_once = if self.now.is_some_and(|now| now < due) {
                0
            } else {
                at_once.saturating_add(1)
            };
            self.advance(due);
            self.step(&Input::DeadlineReached);
        }
        self.advance(until);
    }

    fn advance(&mut self, to: Timestamp) {
        self.now = Some(self.now.map_or(to, |now| now.max(to)));
    }

    fn step(&mut self, input: &Input) -> Decision {
        let Some(now) = self.now else {
            return Decision::because(Reason::Started);
        };
        let world = World {
            state: &self.state,
            rules: &self.rules,
        };
        let decision = decide(world, input, now, &mut self.ids);
        for entry in &decision.entries {
            if let Some(incident) = entry.incident {
                let reasons = self.told.reasons.entry(incident).or_default();
                reasons.insert(entry.reason);
            }
        }
        for change in &decision.changes {
            self.tell(change, now);
        }
        self.state.apply(&decision);
        decision
    }

    fn tell(&mut self, change: &Change, now: Timestamp) {
        let told = &mut self.told;
        if let Change::IncidentChanged(incident) = change {
            let was = told.incidents.get(&incident.id);
            let was_announced = was.is_some_and(|was| was.announced_at.is_some());
            let has_targets = !self.rules.tell.targets.is_empty();
            if incident.announced_at.is_some() && !was_announced && !has_targets {
                told.pages.push(Page {
                    at: now,
                    incident: incident.id,
                    target: SmolStr::default(),
                });
            }
            told.incidents.insert(incident.id, incident.clone());
        }
        if let Change::Tell(TellChange::Queued(message)) = change
            && message.event.is_page()
            && let Some(incident) = message.incident
        {
            told.pages.push(Page {
                at: now,
                incident,
                target: message.target.clone(),
            });
        }
        if let Change::TitleChanged { incident, title } = change {
            told.titles.insert(*incident, title.clone());
        }
        if let Change::AlertJoined {
            incident, alert, ..
        } = change
        {
            told.members.entry(*incident).or_default().insert(*alert);
        }
        if let Change::AlertMoved { incident, alert } = change
            && let Some(members) = told.members.get_mut(incident)
        {
            members.remove(alert);
        }
        if let Change::AlertAdded { alert, key } = change {
            told.keys.insert(alert.id, key.clone());
        }
        if let Change::AlertTextChanged { alert, text } = change {
            told.summaries.insert(*alert, text.summary.clone());
            if let Some(name) = text.label("alertname") {
                told.names.insert(*alert, SmolStr::new(name));
            }
        }
        if let Change::Record(RecordChange::Put(record)) = change {
            told.records.insert(record.id(), Arc::clone(record));
        }
    }
}
