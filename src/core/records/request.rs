//! Requests: alerts that are work but no disruption, by a catalogue in the configuration.
//!
//! An alert that a rule of the catalogue takes opens a request in place of an incident: nobody is paged, and a target of
//! its own says by when it is to be done. Must not page anybody.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, ToSmolStr as _};

use super::{HELD_AFTER_END, Kind, Record, RecordChange, RecordId};
use crate::core::alert::Alert;
use crate::core::condition::{Condition, Facts};
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::expr::Expr;
use crate::core::ids::AlertId;
use crate::core::observation::AlertText;
use crate::core::reason::Reason;
use crate::core::time::{Span, Timestamp};

/// Requests that one may lead to, one after the other.
const FOLLOWERS_MAX: usize = 16;

/// One entry of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRule {
    /// Its name.
    pub name: SmolStr,
    /// Which alerts it takes; one without a condition is only opened by people and by other requests.
    pub condition: Option<Condition>,
    /// One line for people; the alert's summary without it.
    pub title: Option<Arc<Expr>>,
    /// `P1` to `P5`.
    pub priority: SmolStr,
    /// By when it is to be done.
    pub target: Option<Span>,
    /// Who has it.
    pub team: Option<SmolStr>,
    /// The requests that are opened when it is fulfilled.
    pub then: Vec<SmolStr>,
    /// Whether it is fulfilled when its alert ends.
    pub ends_with_alert: bool,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Nobody works on it yet.
    New,
    /// Somebody does.
    InProgress,
    /// It is done.
    Fulfilled,
    /// It will not be done.
    Cancelled,
}

impl RequestState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::New,
        Self::InProgress,
        Self::Fulfilled,
        Self::Cancelled,
    ];

    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::InProgress => "in_progress",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a word, also those that people use instead.
    pub fn from_any_word(word: &str) -> Option<Self> {
        let bare = word.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        match bare.as_str() {
            "new" | "open" => Some(Self::New),
            "in_progress" | "started" | "acknowledged" | "accepted" => Some(Self::InProgress),
            "fulfilled" | "done" | "resolved" | "closed" | "completed" => Some(Self::Fulfilled),
            "cancelled" | "canceled" | "rejected" => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// Whether nothing more is to be done.
    pub const fn is_over(self) -> bool {
        match self {
            Self::New | Self::InProgress => false,
            Self::Fulfilled | Self::Cancelled => true,
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RecordId,
    /// The alert by which it is found again, if it was opened for one.
    #[serde(default)]
    pub key: Option<SmolStr>,
    /// The entry of the catalogue, if it is of one.
    #[serde(default)]
    pub rule: Option<SmolStr>,
    /// The alert.
    #[serde(default)]
    pub alert: Option<AlertId>,
    /// Whether that fires.
    #[serde(default)]
    pub is_firing: bool,
    /// One line for people.
    pub title: SmolStr,
    /// More of it, by people.
    #[serde(default)]
    pub description: SmolStr,
    /// `P1` to `P5`.
    pub priority: SmolStr,
    /// Where it stands.
    pub state: RequestState,
    /// The CI.
    #[serde(default)]
    pub cis: Vec<SmolStr>,
    /// The team that has it.
    #[serde(default)]
    pub team: Option<SmolStr>,
    /// The person who has it.
    #[serde(default)]
    pub assignee: Option<SmolStr>,
    /// When it was opened, or opened again.
    pub opened_at: Timestamp,
    /// The agreed time in milliseconds.
    #[serde(default)]
    pub target: Option<Span>,
    /// By when it is to be done.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// When it was late.
    #[serde(default)]
    pub breached_at: Option<Timestamp>,
    /// When it was done.
    #[serde(default)]
    pub done_at: Option<Timestamp>,
    /// The request that led to it.
    #[serde(default)]
    pub after: Option<RecordId>,
    /// What was said last.
    #[serde(default)]
    pub note: SmolStr,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Request {
    /// When time alone has something to do here.
    pub fn next_at(&self) -> Option<Timestamp> {
        if self.state.is_over() {
            return Some(self.updated_at.plus(HELD_AFTER_END));
        }
        self.due_at.filter(|_| self.breached_at.is_none())
    }

    /// Moves it to another state.
    pub(super) fn enter(&mut self, state: RequestState, now: Timestamp) {
        self.done_at = state.is_over().then_some(now);
        self.state = state;
    }
}

/// What people say of a request; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestWanted {
    /// The request; a new one without it.
    pub id: Option<RecordId>,
    /// The entry of the catalogue of a new one.
    pub rule: Option<SmolStr>,
    /// One line for people.
    pub title: Option<SmolStr>,
    /// More of it.
    pub description: Option<SmolStr>,
    /// How urgent.
    pub priority: Option<SmolStr>,
    /// Where it stands.
    pub state: Option<RequestState>,
    /// The CIs.
    pub cis: Option<Vec<SmolStr>>,
    /// The team.
    pub team: Option<SmolStr>,
    /// The person.
    pub assignee: Option<SmolStr>,
    /// By when.
    pub due_at: Option<Timestamp>,
    /// What there is to say.
    pub note: Option<SmolStr>,
}

impl Draft<'_> {
    /// Opens a request in place of an incident, if the catalogue takes the alert; returns whether it does.
    pub(in crate::core) fn take_as_request(
        &mut self,
        alert: &mut Alert,
        text: Option<&AlertText>,
    ) -> bool {
        let rules = self.world.rules;
        if rules.records.requests.is_empty() || alert.incident.is_some_and(|id| self.is_open(id)) {
            return false;
        }
        let key = alert.id.to_smolstr();
        let held = self.world.state.records().find(Kind::Request, &key);
        let held = held.and_then(|record| record.as_request()).cloned();
        let rule = match text.filter(|text| !text.is_blank()) {
            Some(text) => {
                let facts = Facts::of_alert(self.world.state, alert, text, self.now);
                let found = rules.records.requests.iter().find(|rule| {
                    let condition = rule.condition.as_ref();
                    condition.is_some_and(|condition| self.holds(condition, &facts))
                });
                found.map(|rule| (rule, rule.title_of(&facts, text)))
            }
            // Nothing is known of it that could be asked; it goes on as before.
            None => held.as_ref().and_then(|held| {
                let mut named = rules.records.requests.iter();
                let rule = named.find(|rule| Some(&rule.name) == held.rule.as_ref());
                rule.map(|rule| (rule, held.title.clone()))
            }),
        };
        let Some((rule, title)) = rule else {
            return false;
        };
        if let Some(from) = alert.incident.take() {
            let counted = alert.count.saturating_sub(1);
            self.decision.change(Change::AlertLeft {
                incident: from,
                alert: alert.id,
                events: counted.saturating_sub(alert.count_before),
            });
        }
        let graph = self.world.state.graph();
        let ci = alert.ci.and_then(|ci| graph.ci(ci)).map(|ci| ci.id.clone());
        let mut request = held.unwrap_or_else(|| Request {
            key: Some(key),
            alert: Some(alert.id),
            ..self.new_request(Some(rule), title.clone())
        });
        if request.state.is_over() {
            request.enter(RequestState::New, self.now);
            request.opened_at = self.now;
            request.due_at = rule.target.map(|target| self.now.plus(target));
            request.breached_at = None;
        }
        request.is_firing = true;
        request.title = title;
        request.cis = ci.into_iter().collect();
        request.updated_at = self.now;
        let id = request.id;
        self.decision.record = Some(id);
        let entry = self.say(None, Some(alert.id), Reason::RequestOpened);
        entry.note = Some(format!("{id}, by {}", rule.name).into());
        self.record(RecordChange::Put(Arc::new(Record::Request(request))));
        true
    }

    /// A request that nobody has yet.
    pub(super) fn new_request(&mut self, rule: Option<&RequestRule>, title: SmolStr) -> Request {
        let target = rule.and_then(|rule| rule.target);
        Request {
            id: self.ids.record(Kind::Request),
            key: None,
            rule: rule.map(|rule| rule.name.clone()),
            alert: None,
            is_firing: false,
            title,
            description: SmolStr::default(),
            priority: rule.map_or_else(|| "P4".into(), |rule| rule.priority.clone()),
            state: RequestState::New,
            cis: Vec::new(),
            team: rule.and_then(|rule| rule.team.clone()),
            assignee: None,
            opened_at: self.now,
            target,
            due_at: target.map(|target| self.now.plus(target)),
            breached_at: None,
            done_at: None,
            after: None,
            note: SmolStr::default(),
            updated_at: self.now,
        }
    }

    /// The alert of a request has ended, which may be all that was to be done.
    pub(in crate::core) fn request_alert_ended(&mut self, alert: AlertId) {
        let key = alert.to_smolstr();
        let held = self.world.state.records().find(Kind::Request, &key);
        let Some(before) = held.and_then(|record| record.as_request()) else {
            return;
        };
        let rules = self.world.rules;
        let rule = rules.records.requests.iter();
        let rule = rule
            .clone()
            .find(|rule| Some(&rule.name) == before.rule.as_ref());
        let mut request = before.clone();
        request.is_firing = false;
        request.updated_at = self.now;
        let ends = rule.is_none_or(|rule| rule.ends_with_alert) && !request.state.is_over();
        if ends {
            request.enter(RequestState::Fulfilled, self.now);
            let id = request.id;
            self.say(None, Some(alert), Reason::RequestEndedWithAlert)
                .note = Some(id.to_string().into());
        }
        let request = Arc::new(Record::Request(request));
        self.record(RecordChange::Put(Arc::clone(&request)));
        if let (true, Record::Request(request)) = (ends, &*request) {
            self.follow(request);
        }
    }

    /// Opens what comes after a fulfilled request.
    pub(super) fn follow(&mut self, request: &Request) {
        let rules = self.world.rules;
        let find = |name: &SmolStr| {
            let mut all = rules.records.requests.iter();
            all.find(|rule| rule.name == *name)
        };
        let Some(rule) = request.rule.as_ref().and_then(find) else {
            return;
        };
        for next in rule.then.iter().take(FOLLOWERS_MAX).filter_map(find) {
            let title = format!("{}: {}", next.name, request.title);
            let follower = Request {
                after: Some(request.id),
                cis: request.cis.clone(),
                ..self.new_request(Some(next), title.into())
            };
            self.record(RecordChange::Put(Arc::new(Record::Request(follower))));
        }
    }

    /// What people order about a request.
    pub(super) fn put_request(
        &mut self,
        before: Option<&Request>,
        wanted: &RequestWanted,
    ) -> RecordId {
        let rules = self.world.rules;
        let rule = wanted.rule.as_ref().and_then(|name| {
            let mut all = rules.records.requests.iter();
            all.find(|rule| rule.name == *name)
        });
        let mut request = match before {
            Some(before) => before.clone(),
            None => {
                let title = wanted.title.clone().or_else(|| wanted.rule.clone());
                self.new_request(rule, title.unwrap_or_else(|| "request".into()))
            }
        };
        let set = |to: &mut SmolStr, from: &Option<SmolStr>| {
            if let Some(from) = from {
                *to = from.clone();
            }
        };
        set(&mut request.title, &wanted.title);
        set(&mut request.description, &wanted.description);
        set(&mut request.priority, &wanted.priority);
        set(&mut request.note, &wanted.note);
        request.team = wanted.team.clone().or(request.team);
        request.assignee = wanted.assignee.clone().or(request.assignee);
        if let Some(cis) = &wanted.cis {
            request.cis = super::put_change::resolve(self.world.state, cis);
        }
        if let Some(due_at) = wanted.due_at {
            request.due_at = Some(due_at);
            request.breached_at = None;
        }
        let was_over = request.state.is_over();
        if let Some(state) = wanted.state
            && state != request.state
        {
            request.enter(state, self.now);
        }
        request.updated_at = self.now;
        let id = request.id;
        let request = Arc::new(Record::Request(request));
        self.record(RecordChange::Put(Arc::clone(&request)));
        if let Record::Request(request) = &*request
            && request.state == RequestState::Fulfilled
            && !was_over
        {
            self.follow(request);
        }
        id
    }

    /// A request is late.
    pub(super) fn request_is_due(&mut self, request: &Request) {
        let mut after = request.clone();
        after.breached_at = Some(self.now);
        if let Some(alert) = request.alert {
            self.say(None, Some(alert), Reason::RequestIsLate).note =
                Some(request.id.to_string().into());
        }
        self.record(RecordChange::Put(Arc::new(Record::Request(after))));
    }
}

impl RequestRule {
    /// The title by the rule, else the alert's summary.
    fn title_of(&self, facts: &Facts, text: &AlertText) -> SmolStr {
        let by_rule = self.title.as_ref().and_then(|title| facts.text(title));
        let title = by_rule.map_or_else(|| text.summary.clone(), SmolStr::from);
        if title.is_empty() {
            return self.name.clone();
        }
        title
    }
}
