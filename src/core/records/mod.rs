//! The records beside incidents: changes, requests, problems, known errors and actions.
//!
//! One shape for all: a record has an id, a state, at most one key by which it is found again, and the configuration
//! items that it is about; a link says what it has to do with an incident. The store keeps every record as it is here,
//! with those few things in columns. What is long over is no longer held in memory. Must not know JSON, a clock or who
//! may do what.

pub mod change;
pub mod given;
pub mod known;
pub mod major;
pub mod problem;
mod put_change;
pub mod rating;
mod record;
pub mod request;
mod suspect;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use crate::core::decision::Change;
use crate::core::ids::{AlertId, IncidentId, NotAnId};
use crate::core::time::{Span, Timestamp};

pub use self::change::{ChangeState, ItChange};
pub(super) use self::given::decide_given;
pub use self::given::{RecordGiven, RecordOrder};
pub use self::known::KnownError;
pub use self::major::{Action, Major, MajorRules};
pub use self::problem::{Occurrences, Problem, ProblemRules};
pub use self::put_change::is_recorded;
pub use self::record::Record;
pub use self::request::{Request, RequestRule};

/// Records held in memory of one kind; beyond it those that were touched longest ago are no longer held.
pub const HELD_MAX: usize = 20_000;
/// How long a record that is over is held after its last change, so that a late update finds it.
pub const HELD_AFTER_END: Span = Span::from_days(30);
/// Configuration items that one record is about.
pub const CIS_MAX: usize = 50;
/// Records linked to one incident by a rule; a person may add more.
pub const LINKS_MAX: usize = 10;

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `CHG-`
    Change,
    /// `REQ-`
    Request,
    /// `PRB-`
    Problem,
    /// `KE-`
    KnownError,
    /// `MAJ-`, with the number of its incident.
    Major,
    /// `ACT-`
    Action,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Change,
        Self::Request,
        Self::Problem,
        Self::KnownError,
        Self::Major,
        Self::Action,
    ];

    /// What stands before its numbers.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Change => "CHG",
            Self::Request => "REQ",
            Self::Problem => "PRB",
            Self::KnownError => "KE",
            Self::Major => "MAJ",
            Self::Action => "ACT",
        }
    }

    /// The word used in the store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Request => "request",
            Self::Problem => "problem",
            Self::KnownError => "known_error",
            Self::Major => "major",
            Self::Action => "action",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Change => 0,
            Self::Request => 1,
            Self::Problem => 2,
            Self::KnownError => 3,
            Self::Major => 4,
            Self::Action => 5,
        }
    }
}

/// The id of a record, like `CHG-7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// What kind.
    pub kind: Kind,
    /// Its number among those of its kind.
    pub number: i64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.prefix(), self.number)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (prefix, digits) = text.split_once('-').ok_or(NotAnId("CHG-"))?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.prefix().eq_ignore_ascii_case(prefix))
            .ok_or(NotAnId("CHG-"))?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits
            .parse()
            .ok()
            .filter(|&number| is_number && number > 0);
        number
            .map(|number| Self { kind, number })
            .ok_or(NotAnId("CHG-"))
    }
}

impl Serialize for RecordId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hands out the numbers of records; each kind counts for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFeed([i64; Kind::ALL.len()]);

impl RecordFeed {
    /// A feed that begins at one.
    pub const NONE: Self = Self([0; Kind::ALL.len()]);

    /// Continues after the highest number of a kind that was used so far.
    pub fn continue_after(&mut self, kind: Kind, last: i64) {
        if let Some(held) = self.0.get_mut(kind.index()) {
            *held = last;
        }
    }

    /// The next id of a kind.
    pub fn next(&mut self, kind: Kind) -> RecordId {
        let mut number = 1;
        if let Some(held) = self.0.get_mut(kind.index()) {
            *held = held.saturating_add(1);
            number = *held;
        }
        RecordId { kind, number }
    }
}

/// What a record has to do with an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It may have caused it.
    Suspected,
    /// A person says that it caused it.
    Confirmed,
    /// A person says that it did not cause it.
    Dismissed,
    /// It is the problem of which it is an incident, or what is known about it.
    Related,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [
        Self::Suspected,
        Self::Confirmed,
        Self::Dismissed,
        Self::Related,
    ];

    /// What a person can say of a change.
    pub const VERDICTS: [Self; 3] = [Self::Suspected, Self::Confirmed, Self::Dismissed];

    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Confirmed => "confirmed",
            Self::Dismissed => "dismissed",
            Self::Related => "related",
        }
    }

    /// Reads the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A record beside an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it has to do with it.
    pub role: Role,
    /// How well that is founded, in 1/10,000.
    pub score: u16,
    /// Why, in one sentence.
    pub why: Arc<str>,
    /// The person who said so, if one did.
    pub by: Option<SmolStr>,
    /// Since when.
    pub at: Timestamp,
}

/// One change of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// A record was made or changed.
    Put(Arc<Record>),
    /// A record is no longer held in memory.
    Forgotten(RecordId),
    /// A record has something to do with an incident.
    Linked(IncidentId, RecordId, Link),
    /// A person said which CI an alert is about, by id; nothing when the rules decide again.
    Forced(AlertId, Option<SmolStr>),
    /// An incident is counted under a signature from now on.
    Occurred {
        /// The incident.
        incident: IncidentId,
        /// Its root CI, or the alert that opened it.
        signature: SmolStr,
        /// When it was opened.
        at: Timestamp,
    },
}

/// What is held of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    held: BTreeMap<RecordId, Arc<Record>>,
    by_key: BTreeMap<(Kind, SmolStr), RecordId>,
    by_ci: BTreeMap<SmolStr, BTreeSet<RecordId>>,
    due: BTreeSet<(Timestamp, RecordId)>,
    links: BTreeMap<IncidentId, BTreeMap<RecordId, Link>>,
    occurrences: Occurrences,
    forced: BTreeMap<AlertId, SmolStr>,
}

impl Records {
    /// A record that is held.
    pub fn get(&self, id: RecordId) -> Option<&Arc<Record>> {
        self.held.get(&id)
    }

    /// The record of a kind with that key.
    pub fn find(&self, kind: Kind, key: &str) -> Option<&Arc<Record>> {
        let id = self.by_key.get(&(kind, SmolStr::new(key)))?;
        self.held.get(id)
    }

    /// The records of a kind, by number.
    pub fn of_kind(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        let id = |number| RecordId { kind, number };
        let range = self.held.range(id(i64::MIN)..=id(i64::MAX));
        range.map(|(_, record)| record)
    }

    /// The changes of a CI, by number.
    pub fn changes_of(&self, ci: &str) -> impl Iterator<Item = &ItChange> {
        let ids = self.by_ci.get(ci).into_iter().flatten();
        let ids = ids.filter(|id| id.kind == Kind::Change);
        ids.filter_map(|id| self.held.get(id)?.as_change())
    }

    /// Whether any record of a CI is held.
    pub fn has_changes(&self) -> bool {
        !self.by_ci.is_empty()
    }

    /// The CI that a person says an alert is about.
    pub fn forced(&self, alert: AlertId) -> Option<&SmolStr> {
        self.forced.get(&alert)
    }

    /// An alert is no longer held.
    pub(super) fn forget_alert(&mut self, alert: AlertId) {
        self.forced.remove(&alert);
    }

    /// The incidents by signature.
    pub fn occurrences(&self) -> &Occurrences {
        &self.occurrences
    }

    /// What stands beside an incident, by id.
    pub fn links(&self, incident: IncidentId) -> impl Iterator<Item = (RecordId, &Link)> {
        let links = self.links.get(&incident).into_iter().flatten();
        links.map(|(&id, link)| (id, link))
    }

    /// One of them.
    pub fn link(&self, incident: IncidentId, record: RecordId) -> Option<&Link> {
        self.links.get(&incident)?.get(&record)
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|&(at, _)| at)
    }

    /// What is due, at most so many.
    pub(super) fn due(&self, now: Timestamp, at_most: usize) -> Vec<RecordId> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        due.take(at_most).map(|&(_, id)| id).collect()
    }

    /// The record of a kind that was touched longest ago, when there are as many as are held.
    pub(super) fn surplus(&self, kind: Kind) -> Option<RecordId> {
        if self.held.len() < HELD_MAX || self.of_kind(kind).count() < HELD_MAX {
            return None;
        }
        self.of_kind(kind)
            .min_by_key(|record| (record.updated_at(), record.id()))
            .map(|record| record.id())
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &RecordChange) {
        match change {
            RecordChange::Put(record) => {
                self.remove(record.id());
                self.put(record);
            }
            RecordChange::Forgotten(id) => self.remove(*id),
            RecordChange::Linked(incident, record, link) => {
                let links = self.links.entry(*incident).or_default();
                links.insert(*record, link.clone());
            }
            RecordChange::Forced(alert, Some(ci)) => {
                self.forced.insert(*alert, ci.clone());
            }
            RecordChange::Forced(alert, None) => {
                self.forced.remove(alert);
            }
            RecordChange::Occurred {
                incident,
                signature,
                at,
            } => self.occurrences.put(*incident, signature, *at),
        }
    }

    /// Lets go of what a decision put beside incidents that are no longer held: the store does not load it either.
    pub(super) fn keep_links(&mut self, changes: &[Change], is_held: impl Fn(IncidentId) -> bool) {
        for change in changes {
            if let Change::Record(RecordChange::Linked(incident, ..)) = change
                && !is_held(*incident)
            {
                self.links.remove(incident);
            }
        }
    }

    /// An incident is no longer held.
    pub(super) fn forget_incident(&mut self, incident: IncidentId) {
        self.links.remove(&incident);
    }

    fn put(&mut self, record: &Arc<Record>) {
        let id = record.id();
        if let Some(key) = record.key() {
            self.by_key.insert((id.kind, key.clone()), id);
        }
        for ci in record.cis() {
            self.by_ci.entry(ci.clone()).or_default().insert(id);
        }
        if let Some(due) = record.due_at() {
            self.due.insert((due, id));
        }
        self.held.insert(id, Arc::clone(record));
    }

    fn remove(&mut self, id: RecordId) {
        let Some(record) = self.held.remove(&id) else {
            return;
        };
        if let Some(key) = record.key() {
            let place = (id.kind, key.clone());
            if self.by_key.get(&place) == Some(&id) {
                self.by_key.remove(&place);
            }
        }
        for ci in record.cis() {
            if let Some(ids) = self.by_ci.get_mut(ci) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_ci.remove(ci);
                }
            }
        }
        if let Some(due) = record.due_at() {
            self.due.remove(&(due, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_the_same_text() {
        for kind in Kind::ALL {
            let id = RecordId { kind, number: 42 };
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        }
        for bad in [
            "", "CHG", "CHG-", "CHG-0", "CHG--1", "XYZ-1", "42", "CHG-1x",
        ] {
            assert!(bad.parse::<RecordId>().is_err(), "{bad}");
        }
    }
}
