//! Major incidents: who leads, what stakeholders are told and when, the review, and the actions that follow.
//!
//! Declared by a rule or a person. While one goes on, an update is due again and again; a person's update is one, and
//! when nobody writes it in time the state of things is told. Must not render a text or know a target's kind.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, ToSmolStr as _};

use super::{HELD_AFTER_END, Kind, Link, Record, RecordChange, RecordId, Role};
use crate::core::condition::Condition;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::reason::Reason;
use crate::core::time::{Span, Timestamp};

/// Updates kept of one major incident, the latest.
pub const UPDATES_MAX: usize = 200;

/// When an incident is a major one, and how it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MajorRules {
    /// Which incidents are; only people declare them without it.
    pub condition: Option<Condition>,
    /// How often stakeholders are told.
    pub update_every: Span,
    /// The targets that are told.
    pub targets: Vec<SmolStr>,
    /// The text for stakeholders, as a template.
    pub update: Arc<str>,
    /// The text for everybody, as a template.
    pub public: Arc<str>,
}

impl Default for MajorRules {
    fn default() -> Self {
        Self {
            condition: None,
            update_every: Span::from_mins(30),
            targets: Vec::new(),
            update: Arc::from(""),
            public: Arc::from(""),
        }
    }
}

/// One update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// When.
    pub at: Timestamp,
    /// Who wrote it; nothing when it was due and the state of things was told.
    #[serde(default)]
    pub by: Option<SmolStr>,
    /// What they wrote for stakeholders.
    #[serde(default)]
    pub text: SmolStr,
    /// What everybody may read.
    #[serde(default)]
    pub public: SmolStr,
}

/// A major incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Major {
    /// Its id: that of the incident.
    pub id: RecordId,
    /// The incident.
    pub incident: IncidentId,
    /// Whether it goes on.
    pub is_active: bool,
    /// Who declared it; `rule` when the configuration did.
    pub declared_by: SmolStr,
    /// When.
    pub declared_at: Timestamp,
    /// Why.
    #[serde(default)]
    pub reason: SmolStr,
    /// Who leads.
    #[serde(default)]
    pub commander: Option<SmolStr>,
    /// Who speaks to stakeholders.
    #[serde(default)]
    pub communication: Option<SmolStr>,
    /// How often stakeholders are told.
    pub update_every: Span,
    /// When the next update is due.
    #[serde(default)]
    pub update_due_at: Option<Timestamp>,
    /// What was told.
    #[serde(default)]
    pub updates: Vec<Update>,
    /// When it was over.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// The review, as far as people have written it.
    #[serde(default)]
    pub review: Review,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What people write into a review; the rest is drafted from the timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Review {
    /// What happened.
    pub summary: SmolStr,
    /// Who noticed it, and how long it took, in words.
    pub detection: SmolStr,
    /// What it meant to the people served.
    pub impact: SmolStr,
    /// How many of them.
    pub users: Option<i64>,
    /// What caused it.
    pub cause: SmolStr,
    /// What ended it.
    pub resolution: SmolStr,
    /// What went well, and what did not.
    pub lessons: SmolStr,
    /// Whether people agree on it.
    pub is_final: bool,
}

/// What people order about a major incident; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MajorWanted {
    /// Why.
    pub reason: Option<SmolStr>,
    /// Who leads.
    pub commander: Option<SmolStr>,
    /// Who speaks to stakeholders.
    pub communication: Option<SmolStr>,
    /// How often stakeholders are told.
    pub update_every: Option<Span>,
    /// Something to tell them now.
    pub update: Option<SmolStr>,
    /// What everybody may read of it.
    pub public: Option<SmolStr>,
    /// Whether it is over.
    pub end: bool,
    /// What the review says.
    pub review: Option<ReviewWanted>,
}

/// What a review shall say; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewWanted {
    /// What happened.
    pub summary: Option<SmolStr>,
    /// Who noticed it.
    pub detection: Option<SmolStr>,
    /// What it meant.
    pub impact: Option<SmolStr>,
    /// How many people were served worse.
    pub users: Option<i64>,
    /// What caused it.
    pub cause: Option<SmolStr>,
    /// What ended it.
    pub resolution: Option<SmolStr>,
    /// What went well, and what did not.
    pub lessons: Option<SmolStr>,
    /// Whether people agree on it.
    pub is_final: Option<bool>,
}

/// Something to be done after an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its id.
    pub id: RecordId,
    /// The incident that it follows from.
    #[serde(default)]
    pub incident: Option<IncidentId>,
    /// The problem that it is for.
    #[serde(default)]
    pub problem: Option<RecordId>,
    /// What is to be done.
    pub title: SmolStr,
    /// By whom.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// By when.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// Whether that passed before it was done.
    #[serde(default)]
    pub is_late: bool,
    /// `open`, `done` or `cancelled`.
    pub state: SmolStr,
    /// When it was done.
    #[serde(default)]
    pub done_at: Option<Timestamp>,
    /// What there is to say.
    #[serde(default)]
    pub note: SmolStr,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// The states of an action.
pub const ACTION_STATES: [&str; 3] = ["open", "done", "cancelled"];

/// What an action shall be; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionWanted {
    /// The action; a new one without it.
    pub id: Option<RecordId>,
    /// The incident.
    pub incident: Option<IncidentId>,
    /// The problem.
    pub problem: Option<RecordId>,
    /// What is to be done.
    pub title: Option<SmolStr>,
    /// By whom.
    pub owner: Option<SmolStr>,
    /// By when.
    pub due_at: Option<Timestamp>,
    /// A word of [`ACTION_STATES`].
    pub state: Option<SmolStr>,
    /// What there is to say.
    pub note: Option<SmolStr>,
}

impl Major {
    /// When time alone has something to do here.
    pub fn next_at(&self) -> Option<Timestamp> {
        if self.is_active {
            return self.update_due_at;
        }
        Some(self.updated_at.plus(HELD_AFTER_END))
    }
}

impl Action {
    /// When time alone has something to do here.
    pub fn next_at(&self) -> Option<Timestamp> {
        if self.state != "open" {
            return Some(self.updated_at.plus(HELD_AFTER_END));
        }
        self.due_at.filter(|_| !self.is_late)
    }
}

/// The id of what makes an incident a major one.
pub fn id_of(incident: IncidentId) -> RecordId {
    RecordId {
        kind: Kind::Major,
        number: incident.get(),
    }
}

impl Draft<'_> {
    /// Declares incidents that the rule takes, and ends what is over.
    pub(in crate::core) fn look_at_majors(&mut self) {
        let rules = &self.world.rules.records.major;
        for incident in self.touched_ids() {
            let held = self.world.state.records().get(id_of(incident));
            let held = held.and_then(|record| record.as_major()).cloned();
            let is_open = self.is_open(incident);
            match (held, &rules.condition) {
                (Some(major), _) if major.is_active && !is_open => {
                    self.end_major(&major, Reason::MajorEnded);
                }
                (Some(major), _) if is_open && !major.is_active && self.has_reopened(incident) => {
                    let mut after = major.clone();
                    after.is_active = true;
                    after.ended_at = None;
                    after.update_due_at = Some(self.now);
                    self.put_major(after);
                }
                (None, Some(condition)) if is_open => {
                    let zone = &jiff::tz::TimeZone::UTC;
                    let facts = self.facts(incident, zone);
                    if facts.is_some_and(|facts| self.holds(condition, &facts)) {
                        let rule = SmolStr::new_static("rule");
                        self.declare(incident, &rule, &MajorWanted::default());
                    }
                }
                (Some(_) | None, _) => {}
            }
        }
    }

    /// Whether this decision opened an incident again.
    fn has_reopened(&self, incident: IncidentId) -> bool {
        let before = self.world.state.incident(incident);
        before.is_some_and(|before| !before.state.is_open())
    }

    fn declare(&mut self, incident: IncidentId, by: &SmolStr, wanted: &MajorWanted) {
        let rules = &self.world.rules.records.major;
        let every = wanted.update_every.unwrap_or(rules.update_every);
        let major = Major {
            id: id_of(incident),
            incident,
            is_active: true,
            declared_by: by.clone(),
            declared_at: self.now,
            reason: wanted.reason.clone().unwrap_or_default(),
            commander: wanted.commander.clone(),
            communication: wanted.communication.clone(),
            update_every: every,
            // The first is told at once.
            update_due_at: (every > Span::ZERO).then_some(self.now),
            updates: Vec::new(),
            ended_at: None,
            review: Review::default(),
            updated_at: self.now,
        };
        self.touch(incident);
        let note = [&wanted.commander, &wanted.reason];
        let note: Vec<&str> = note.into_iter().flatten().map(SmolStr::as_str).collect();
        let entry = self.say(Some(incident), None, Reason::MajorDeclared);
        entry.actor = Some(by.clone());
        entry.note = (!note.is_empty()).then(|| note.join(": ").into());
        let link = Link {
            role: Role::Related,
            score: 10_000,
            why: Arc::from(Reason::MajorDeclared.sentence()),
            by: Some(by.clone()),
            at: self.now,
        };
        self.record(RecordChange::Linked(incident, major.id, link));
        self.put_major(major);
    }

    fn put_major(&mut self, mut major: Major) {
        major.updated_at = self.now;
        let excess = major.updates.len().saturating_sub(UPDATES_MAX);
        major.updates.drain(..excess);
        self.record(RecordChange::Put(Arc::new(Record::Major(major))));
    }

    fn end_major(&mut self, major: &Major, reason: Reason) {
        let mut after = major.clone();
        after.is_active = false;
        after.ended_at = Some(self.now);
        after.update_due_at = None;
        after.updates.push(Update {
            at: self.now,
            by: None,
            text: SmolStr::default(),
            public: SmolStr::default(),
        });
        self.say(Some(major.incident), None, reason);
        self.tell_stakeholders(major.incident, "");
        self.put_major(after);
    }

    /// What people order about a major incident.
    pub(super) fn order_major(
        &mut self,
        incident: IncidentId,
        before: Option<&Major>,
        wanted: &MajorWanted,
        actor: &SmolStr,
    ) {
        let Some(before) = before else {
            self.declare(incident, actor, wanted);
            if wanted.update.is_some() || wanted.public.is_some() {
                let declared = self.decision.changes.iter().rev().find_map(|change| {
                    if let crate::core::decision::Change::Record(RecordChange::Put(record)) = change
                    {
                        return record.as_major().cloned();
                    }
                    None
                });
                if let Some(declared) = declared {
                    self.order_major(incident, Some(&declared), wanted, actor);
                }
            }
            return;
        };
        let mut after = before.clone();
        after.commander = wanted.commander.clone().or(after.commander);
        after.communication = wanted.communication.clone().or(after.communication);
        if let Some(reason) = &wanted.reason {
            after.reason = reason.clone();
        }
        if let Some(every) = wanted.update_every {
            after.update_every = every;
            after.update_due_at =
                (after.is_active && every > Span::ZERO).then(|| self.now.plus(every));
        }
        if wanted.update.is_some() || wanted.public.is_some() {
            let text = wanted.update.clone().unwrap_or_default();
            let public = wanted.public.clone().unwrap_or_default();
            let told = if text.is_empty() { &public } else { &text };
            self.tell(incident, Reason::StakeholdersUpdated, actor, told);
            self.tell_stakeholders(incident, told);
            after.updates.push(Update {
                at: self.now,
                by: Some(actor.clone()),
                text,
                public,
            });
            after.update_due_at = (after.is_active && after.update_every > Span::ZERO)
                .then(|| self.now.plus(after.update_every));
        }
        if let Some(review) = &wanted.review {
            amend(&mut after.review, review);
            self.tell(incident, Reason::ReviewWritten, actor, "");
        }
        self.touch(incident);
        if wanted.end && after.is_active {
            self.end_major(&after, Reason::MajorEnded);
            return;
        }
        if wanted.commander.is_some() || wanted.communication.is_some() {
            let roles = [
                ("commander", &after.commander),
                ("communication", &after.communication),
            ];
            let roles = roles
                .into_iter()
                .filter_map(|(role, who)| Some((role, who.as_ref()?)));
            let note: Vec<String> = roles.map(|(role, who)| format!("{role} {who}")).collect();
            self.tell(incident, Reason::MajorRolesGiven, actor, &note.join(", "));
        }
        self.put_major(after);
    }

    /// An update is due and nobody wrote one: the state of things is told.
    pub(super) fn major_is_due(&mut self, major: &Major) {
        let mut after = major.clone();
        after.updates.push(Update {
            at: self.now,
            by: None,
            text: SmolStr::default(),
            public: SmolStr::default(),
        });
        after.update_due_at =
            (after.update_every > Span::ZERO).then(|| self.now.plus(after.update_every));
        self.say(Some(major.incident), None, Reason::StakeholdersUpdateDue);
        self.tell_stakeholders(major.incident, "");
        self.put_major(after);
    }

    /// Queues a message to each of the targets.
    fn tell_stakeholders(&mut self, incident: IncidentId, text: &str) {
        let targets = self.world.rules.records.major.targets.clone();
        for target in targets {
            self.tell_stakeholder(incident, &target, text);
        }
    }

    /// What people order about an action.
    pub(super) fn put_action(
        &mut self,
        before: Option<&Action>,
        wanted: &ActionWanted,
    ) -> RecordId {
        let now = self.now;
        let mut action = match before {
            Some(before) => before.clone(),
            None => Action {
                id: self.ids.record(Kind::Action),
                incident: wanted.incident,
                problem: wanted.problem,
                title: SmolStr::new_static("action"),
                owner: None,
                due_at: None,
                is_late: false,
                state: SmolStr::new_static("open"),
                done_at: None,
                note: SmolStr::default(),
                made_at: now,
                updated_at: now,
            },
        };
        if let Some(title) = &wanted.title {
            action.title = title.clone();
        }
        if let Some(note) = &wanted.note {
            action.note = note.clone();
        }
        action.owner = wanted.owner.clone().or(action.owner);
        if let Some(due_at) = wanted.due_at {
            action.due_at = Some(due_at);
            action.is_late = due_at <= now && action.state == "open";
        }
        if let Some(state) = &wanted.state {
            action.state = state.clone();
            action.done_at = (state == "done").then_some(now);
        }
        action.updated_at = now;
        let id = action.id;
        if let (None, Some(incident)) = (before, action.incident) {
            let link = Link {
                role: Role::Related,
                score: 0,
                why: Arc::from(action.title.as_str()),
                by: None,
                at: now,
            };
            self.record(RecordChange::Linked(incident, id, link));
        }
        self.record(RecordChange::Put(Arc::new(Record::Action(action))));
        id
    }

    /// An action is late.
    pub(super) fn action_is_due(&mut self, action: &Action) {
        let mut after = action.clone();
        after.is_late = true;
        if let Some(incident) = action.incident.filter(|id| self.peek(*id).is_some()) {
            self.say(Some(incident), None, Reason::ActionIsLate).note =
                Some(format!("{} {}", action.id, action.title).into());
        }
        self.record(RecordChange::Put(Arc::new(Record::Action(after))));
    }
}

fn amend(review: &mut Review, wanted: &ReviewWanted) {
    for (to, from) in [
        (&mut review.summary, &wanted.summary),
        (&mut review.detection, &wanted.detection),
        (&mut review.impact, &wanted.impact),
        (&mut review.cause, &wanted.cause),
        (&mut review.resolution, &wanted.resolution),
        (&mut review.lessons, &wanted.lessons),
    ] {
        if let Some(from) = from {
            *to = from.clone();
        }
    }
    review.users = wanted.users.or(review.users);
    review.is_final = wanted.is_final.unwrap_or(review.is_final);
}

/// What an audit tells of a major incident.
pub(super) fn values(major: &Major) -> Vec<(SmolStr, SmolStr)> {
    let text = |text: &Option<SmolStr>| text.clone().unwrap_or_default();
    vec![
        ("commander".into(), text(&major.commander)),
        ("communication".into(), text(&major.communication)),
        ("updates".into(), major.updates.len().to_smolstr()),
        ("review".into(), major.review.summary.clone()),
        ("cause".into(), major.review.cause.clone()),
    ]
}
