//! The tickets held in memory, with what waits to be done.
//!
//! Must not decide anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Link, Standing, TicketChange};
use crate::core::ids::IncidentId;
use crate::core::time::Timestamp;

/// What waits, by connector: tickets to be made first, then in order of change.
type Waiting = BTreeSet<(SmolStr, bool, Timestamp, IncidentId)>;

/// Every ticket that is followed.
#[derive(Clone, Debug, Default)]
pub struct Tickets {
    links: BTreeMap<(IncidentId, SmolStr), Arc<Link>>,
    waiting: Waiting,
    remotes: BTreeMap<(SmolStr, SmolStr), IncidentId>,
    paused: BTreeSet<SmolStr>,
    counts: BTreeMap<(SmolStr, Standing), i64>,
}

/// What is held is what counts; the indexes follow from it.
impl PartialEq for Tickets {
    fn eq(&self, other: &Self) -> bool {
        self.links == other.links && self.paused == other.paused
    }
}

impl Tickets {
    /// The ticket of an incident with a connector.
    pub fn get(&self, incident: IncidentId, connector: &str) -> Option<&Arc<Link>> {
        self.links.get(&(incident, SmolStr::new(connector)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The tickets of an incident.
    pub fn of(&self, incident: IncidentId) -> impl Iterator<Item = &Arc<Link>> {
        let from = (incident, SmolStr::default());
        let links = self.links.range(from..);
        links
            .take_while(move |((id, _), _)| *id == incident)
            .map(|(_, link)| link)
    }

    /// The incident whose ticket has this id there.
    pub fn by_remote(&self, connector: &str, id: &str) -> Option<&Arc<Link>> {
        let key = (SmolStr::new(connector), SmolStr::new(id));
        let incident = self.remotes.get(&key)?;
        self.get(*incident, connector)
    }

    /// Every ticket of a connector.
    pub fn all_of(&self, connector: &str) -> impl Iterator<Item = &Arc<Link>> {
        self.links
            .values()
            .filter(move |link| link.connector == connector)
    }

    /// What waits to be done with a connector: first what is to be made, then what is to be brought up to date, each
    /// oldest first.
    pub fn waiting(&self, connector: &str) -> impl Iterator<Item = &Arc<Link>> {
        let name = SmolStr::new(connector);
        let from = (
            name.clone(),
            false,
            Timestamp::from_millis(i64::MIN),
            IncidentId::FIRST,
        );
        let range = (Bound::Included(from), Bound::Unbounded);
        self.waiting
            .range(range)
            .take_while(move |(of, ..)| *of == name)
            .filter_map(|(of, _, _, incident)| self.links.get(&(*incident, of.clone())))
    }

    /// Whether a connector is paused.
    pub fn is_paused(&self, connector: &str) -> bool {
        self.paused.contains(connector)
    }

    /// The connectors that are paused.
    pub fn paused(&self) -> impl Iterator<Item = &SmolStr> {
        self.paused.iter()
    }

    /// How many tickets stand where, by connector.
    pub fn counts(&self) -> &BTreeMap<(SmolStr, Standing), i64> {
        &self.counts
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &TicketChange) {
        match change {
            TicketChange::Changed(link) => {
                self.remove(link.incident, &link.connector);
                self.insert(Arc::clone(link));
            }
            TicketChange::Forgotten(incident, connector) => self.remove(*incident, connector),
            TicketChange::Paused(connector, true) => {
                self.paused.insert(connector.clone());
            }
            TicketChange::Paused(connector, false) => {
                self.paused.remove(connector);
            }
            TicketChange::Exchanged { .. } => {}
        }
    }

    fn insert(&mut self, link: Arc<Link>) {
        if link.has_work() {
            self.waiting.insert(place(&link));
        }
        if let Some(record) = &link.record {
            let key = (link.connector.clone(), record.id.clone());
            self.remotes.insert(key, link.incident);
        }
        let count = (link.connector.clone(), link.standing());
        *self.counts.entry(count).or_insert(0) += 1;
        self.links
            .insert((link.incident, link.connector.clone()), link);
    }

    fn remove(&mut self, incident: IncidentId, connector: &SmolStr) {
        let Some(link) = self.links.remove(&(incident, connector.clone())) else {
            return;
        };
        self.waiting.remove(&place(&link));
        if let Some(record) = &link.record {
            self.remotes.remove(&(connector.clone(), record.id.clone()));
        }
        if let Some(count) = self.counts.get_mut(&(connector.clone(), link.standing())) {
            *count = count.saturating_sub(1);
        }
    }
}

fn place(link: &Link) -> (SmolStr, bool, Timestamp, IncidentId) {
    (
        link.connector.clone(),
        link.record.is_some(),
        link.changed_at,
        link.incident,
    )
}
