//! Problems and known errors: what keeps coming back, and what is known about it.
//!
//! Every incident has a signature: its root CI, else the alert that opened it. When a signature comes up often enough in a
//! window, that is a candidate for a problem. A known error says how to live with something; it is matched to incidents as
//! they open, by signature, CI, or the labels of their alerts. Must not judge a problem; people do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use super::{Kind, Link, Record, RecordChange, RecordId, Role};
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::reason::Reason;
use crate::core::time::{Span, Timestamp};

/// Signatures that are counted; beyond it new ones are not, until old ones have aged.
const SIGNATURES_MAX: usize = 20_000;
/// Incidents counted per signature, the latest.
const OCCURRENCES_MAX: usize = 50;
/// How long an incident is counted at most.
pub const OCCURRENCES_KEPT: Span = Span::from_days(90);

/// When what keeps coming back is a candidate for a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemRules {
    /// So many incidents of one signature; never when it is zero.
    pub after: u32,
    /// Within this time.
    pub within: Span,
}

impl Default for ProblemRules {
    fn default() -> Self {
        Self {
            after: 3,
            within: Span::from_days(30),
        }
    }
}

/// Where a problem stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemState {
    /// Something keeps coming back; nobody has looked.
    Candidate,
    /// Somebody looks for the cause.
    Investigating,
    /// The cause is known.
    KnownError,
    /// It is put right.
    Resolved,
    /// It is none.
    Dismissed,
}

impl ProblemState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Candidate,
        Self::Investigating,
        Self::KnownError,
        Self::Resolved,
        Self::Dismissed,
    ];

    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Investigating => "investigating",
            Self::KnownError => "known_error",
            Self::Resolved => "resolved",
            Self::Dismissed => "dismissed",
        }
    }

    /// Reads a word, also those that people use instead.
    pub fn from_any_word(word: &str) -> Option<Self> {
        let bare = word.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        match bare.as_str() {
            "candidate" | "new" => Some(Self::Candidate),
            "investigating" | "open" | "accepted" | "in_progress" | "assess" => {
                Some(Self::Investigating)
            }
            "known_error" | "root_cause_known" => Some(Self::KnownError),
            "resolved" | "closed" | "fixed" | "done" => Some(Self::Resolved),
            "dismissed" | "rejected" | "cancelled" => Some(Self::Dismissed),
            _ => None,
        }
    }

    /// Whether it is over.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Candidate | Self::Investigating | Self::KnownError => false,
            Self::Resolved | Self::Dismissed => true,
        }
    }
}

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its id.
    pub id: RecordId,
    /// The signature of its incidents.
    #[serde(default)]
    pub signature: Option<SmolStr>,
    /// One line for people.
    pub title: SmolStr,
    /// More of it.
    #[serde(default)]
    pub description: SmolStr,
    /// Where it stands.
    pub state: ProblemState,
    /// What it is about.
    #[serde(default)]
    pub cis: Vec<SmolStr>,
    /// Its cause, when it is known.
    #[serde(default)]
    pub root_cause: SmolStr,
    /// How to live with it until it is put right.
    #[serde(default)]
    pub workaround: SmolStr,
    /// Who has it.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// How many incidents of it there were.
    #[serde(default)]
    pub incidents: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was over.
    #[serde(default)]
    pub over_at: Option<Timestamp>,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What a problem shall be; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemWanted {
    /// The problem; a new one without it.
    pub id: Option<RecordId>,
    /// The signature of its incidents.
    pub signature: Option<SmolStr>,
    /// One line for people.
    pub title: Option<SmolStr>,
    /// More of it.
    pub description: Option<SmolStr>,
    /// Where it stands.
    pub state: Option<ProblemState>,
    /// What it is about.
    pub cis: Option<Vec<SmolStr>>,
    /// Its cause.
    pub root_cause: Option<SmolStr>,
    /// How to live with it.
    pub workaround: Option<SmolStr>,
    /// Who has it.
    pub owner: Option<SmolStr>,
    /// Incidents of it.
    pub incidents: Vec<IncidentId>,
}

/// The incidents by signature, as far as they are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occurrences {
    by_signature: BTreeMap<SmolStr, BTreeMap<(Timestamp, IncidentId), ()>>,
    of_incident: BTreeMap<IncidentId, (SmolStr, Timestamp)>,
}

impl Occurrences {
    /// Counts an incident, or counts it elsewhere from now on.
    pub(super) fn put(&mut self, incident: IncidentId, signature: &SmolStr, at: Timestamp) {
        if let Some((before, at)) = self.of_incident.remove(&incident)
            && let Some(held) = self.by_signature.get_mut(&before)
        {
            held.remove(&(at, incident));
            if held.is_empty() {
                self.by_signature.remove(&before);
            }
        }
        if self.by_signature.len() >= SIGNATURES_MAX && !self.by_signature.contains_key(signature) {
            return;
        }
        self.of_incident.insert(incident, (signature.clone(), at));
        let held = self.by_signature.entry(signature.clone()).or_default();
        held.insert((at, incident), ());
        let since = at.minus(OCCURRENCES_KEPT);
        while let Some((&first, ())) = held.first_key_value()
            && (first.0 < since || held.len() > OCCURRENCES_MAX)
        {
            held.remove(&first);
            self.of_incident.remove(&first.1);
        }
    }

    /// The signature of an incident.
    pub fn signature_of(&self, incident: IncidentId) -> Option<&SmolStr> {
        self.of_incident
            .get(&incident)
            .map(|(signature, _)| signature)
    }

    /// The incidents of a signature since a time, the earliest first.
    pub fn since(
        &self,
        signature: &str,
        since: Timestamp,
    ) -> impl Iterator<Item = IncidentId> + use<'_> {
        let held = self.by_signature.get(signature).into_iter().flatten();
        held.filter(move |((at, _), ())| *at >= since)
            .map(|((_, incident), ())| *incident)
    }
}

impl Draft<'_> {
    /// Counts the incidents that this decision touches, opens candidates, and matches known errors by signature and CI.
    pub(in crate::core) fn look_at_problems(&mut self) {
        for incident in self.touched_ids() {
            let Some(signature) = self.signature(incident) else {
                continue;
            };
            let records = self.world.state.records();
            if records.occurrences().signature_of(incident) == Some(&signature) {
                continue;
            }
            let at = self.peek(incident).map_or(self.now, |it| it.opened_at);
            self.record(RecordChange::Occurred {
                incident,
                signature: signature.clone(),
                at,
            });
            self.look_at_problem(incident, &signature);
            self.match_by_signature(incident, &signature);
        }
    }

    /// The signature of an incident: its root CI, else the alert that opened it. None for one that was merged away.
    fn signature(&self, incident: IncidentId) -> Option<SmolStr> {
        let record = self.peek(incident)?;
        if record.merged_into.is_some() || !record.state.is_open() {
            return None;
        }
        let state = self.world.state;
        let root = self.cause_of(incident).and_then(|cause| cause.root()?.ci);
        if let Some(ci) = root.and_then(|ci| state.graph().ci(ci)) {
            return Some(format_smolstr!("ci:{}", ci.id));
        }
        let first = state.alerts_of(incident).first();
        let first = first.copied().or_else(|| self.opener_of(incident));
        let key = self.key_of(first?)?;
        let mut text = String::from("alert:");
        // Writing to a text cannot fail.
        write!(text, "{key:032x}").ok();
        Some(text.into())
    }

    fn look_at_problem(&mut self, incident: IncidentId, signature: &SmolStr) {
        let rules = self.world.rules.records.problem;
        let records = self.world.state.records();
        let held = records.find(Kind::Problem, signature);
        let held = held.and_then(|record| record.as_problem()).cloned();
        if let Some(problem) = held.as_ref().filter(|problem| !problem.state.is_over()) {
            if records.link(incident, problem.id).is_some() {
                return;
            }
            let mut after = problem.clone();
            after.incidents = after.incidents.saturating_add(1);
            after.updated_at = self.now;
            let id = after.id;
            self.record(RecordChange::Put(Arc::new(Record::Problem(after))));
            self.relate(incident, id, Reason::ProblemRecurred);
            return;
        }
        let since = self.now.minus(rules.within);
        let since = held
            .and_then(|problem| problem.over_at)
            .map_or(since, |over_at| since.max(over_at));
        let mut incidents: Vec<_> = records.occurrences().since(signature, since).collect();
        incidents.push(incident);
        incidents.dedup();
        let count = u32::try_from(incidents.len()).unwrap_or(u32::MAX);
        if rules.after == 0 || count < rules.after {
            return;
        }
        let ci = signature.strip_prefix("ci:").map(SmolStr::new);
        let title = match &ci {
            Some(ci) => format_smolstr!("{count} incidents at {ci}"),
            None => format_smolstr!("{count} incidents like {incident}"),
        };
        let problem = Problem {
            id: self.ids.record(Kind::Problem),
            signature: Some(signature.clone()),
            title,
            description: SmolStr::default(),
            state: ProblemState::Candidate,
            cis: ci.into_iter().collect(),
            root_cause: SmolStr::default(),
            workaround: SmolStr::default(),
            owner: None,
            incidents: count,
            opened_at: self.now,
            over_at: None,
            updated_at: self.now,
        };
        let id = problem.id;
        self.record(RecordChange::Put(Arc::new(Record::Problem(problem))));
        for incident in incidents {
            self.relate(incident, id, Reason::ProblemSuspected);
        }
    }

    /// Puts a problem or known error beside an incident.
    fn relate(&mut self, incident: IncidentId, id: RecordId, reason: Reason) {
        let why: Arc<str> = Arc::from(reason.sentence());
        let link = Link {
            role: Role::Related,
            score: 10_000,
            why,
            by: None,
            at: self.now,
        };
        self.record(RecordChange::Linked(incident, id, link));
        if self.peek(incident).is_some() {
            self.say(Some(incident), None, reason).note = Some(id.to_string().into());
        }
    }

    /// What people order about a problem.
    pub(super) fn put_problem(
        &mut self,
        before: Option<&Problem>,
        wanted: &ProblemWanted,
    ) -> RecordId {
        let now = self.now;
        let mut problem = match before {
            Some(before) => before.clone(),
            None => Problem {
                id: self.ids.record(Kind::Problem),
                signature: None,
                title: SmolStr::new_static("problem"),
                description: SmolStr::default(),
                state: ProblemState::Investigating,
                cis: Vec::new(),
                root_cause: SmolStr::default(),
                workaround: SmolStr::default(),
                owner: None,
                incidents: 0,
                opened_at: now,
                over_at: None,
                updated_at: now,
            },
        };
        for (to, from) in [
            (&mut problem.title, &wanted.title),
            (&mut problem.description, &wanted.description),
            (&mut problem.root_cause, &wanted.root_cause),
            (&mut problem.workaround, &wanted.workaround),
        ] {
            if let Some(from) = from {
                *to = from.clone();
            }
        }
        problem.signature = wanted.signature.clone().or(problem.signature);
        problem.owner = wanted.owner.clone().or(problem.owner);
        if let Some(cis) = &wanted.cis {
            problem.cis = super::put_change::resolve(self.world.state, cis);
        }
        if let Some(state) = wanted.state {
            problem.state = state;
            problem.over_at = state.is_over().then_some(now);
        }
        problem.updated_at = now;
        let id = problem.id;
        let known = wanted.incidents.iter();
        let new = known.filter(|it| self.world.state.records().link(**it, id).is_none());
        let new: Vec<IncidentId> = new.copied().collect();
        let count = u32::try_from(new.len()).unwrap_or(0);
        problem.incidents = problem.incidents.saturating_add(count);
        self.record(RecordChange::Put(Arc::new(Record::Problem(problem))));
        for incident in new {
            self.relate(incident, id, Reason::ProblemRecurred);
        }
        id
    }
}
