//! The conversations: look a key up, make a ticket, read one, and see whether a platform does what its profile says.
//!
//! Each is fed the answer to what it asked for last. Every record that a look-up returns is compared with the key: many
//! platforms leave out a filter that they do not understand and return everything.

use std::sync::Arc;

use minijinja::Value;
use serde_json::{Value as Json, json};
use smol_str::SmolStr;

use super::call::Call;
use super::judge::{Reply, has_key, items, judge, record, short};
use super::profile::{KeyClass, Profile};
use super::vars::{Brief, TicketVars};
use super::{Answer, Failure, Request, Step};
use crate::core::ticket::{Face, Link, Record};

/// Tickets with one key that are read when a list has ids only.
const FOUND_MAX: usize = 20;

/// A conversation with a platform.
pub trait Talk: Send {
    /// What it comes to.
    type Outcome;

    /// The next thing to do, after the answer to the last one.
    fn next(&mut self, answer: Option<&Answer>) -> Step<Self::Outcome>;
}

/// What every conversation has.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) profile: Arc<Profile>,
    pub(super) base: String,
    pub(super) vars: TicketVars,
}

impl Place {
    pub(super) fn new(profile: &Arc<Profile>, base: &str, vars: TicketVars) -> Self {
        Self {
            profile: Arc::clone(profile),
            base: base.to_owned(),
            vars,
        }
    }

    /// The request with the body of its own.
    pub(super) fn ask(&self, call: &Call) -> Result<Request, Failure> {
        let vars = self.vars.value();
        let body = call.body(&vars).map_err(Failure::Broken)?;
        call.request(&self.profile, &vars, body)
            .map_err(Failure::Broken)
    }

    pub(super) fn send<T>(&self, call: &Call) -> Step<T> {
        match self.ask(call) {
            Ok(request) => Step::Send(Box::new(request)),
            Err(failure) => Step::Failed(failure),
        }
    }

    /// The items of an answer that is as it must be.
    pub(super) fn read(
        &self,
        call: &Call,
        is_write: bool,
        answer: &Answer,
    ) -> Result<(Reply, Vec<Json>), Failure> {
        let reply = Reply::read(answer);
        judge(&self.profile, call, is_write, &reply, &self.vars)?;
        let items = items(call, &reply, &self.vars)?;
        Ok((reply, items))
    }

    /// The ids of a list that holds nothing else, last one first.
    pub(super) fn ids(
        &self,
        call: &Call,
        answer: &Answer,
        at_most: usize,
    ) -> Result<Vec<SmolStr>, Failure> {
        let (reply, items) = self.read(call, false, answer)?;
        let mut ids = Vec::with_capacity(items.len().min(at_most));
        for item in items.into_iter().take(at_most) {
            let id = self
                .profile
                .ticket
                .id
                .text(&reply.of_item(&self.vars, &item));
            ids.extend(id.map_err(Failure::Broken)?.map(|id| short(&id)));
        }
        ids.reverse();
        Ok(ids)
    }

    /// The request that reads one ticket of such a list.
    pub(super) fn ask_for<T>(&mut self, id: &SmolStr) -> Result<Step<T>, Failure> {
        self.vars.ticket(id, id);
        let request = self.ask(&Arc::clone(&self.profile).get)?;
        Ok(Step::Send(Box::new(request)))
    }

    /// One ticket of an answer.
    pub(super) fn record(&self, reply: &Reply, item: &Json) -> Result<Option<Record>, Failure> {
        record(&self.profile, item, (reply, &self.vars), &self.base)
    }
}

/// What a look-up found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The tickets that carry the key, in the platform's order.
    pub records: Vec<Record>,
}

/// Looks a key up.
#[derive(Debug)]
pub struct Find {
    place: Place,
    key: String,
    found: Found,
    strangers: usize,
    /// Tickets of a list of ids that are still to be read.
    left: Option<Vec<SmolStr>>,
}

impl Find {
    /// For the ticket of this key.
    pub fn new(profile: &Arc<Profile>, base: &str, key: &str) -> Self {
        Self {
            place: Place::new(profile, base, TicketVars::keyed(profile, key)),
            key: key.to_owned(),
            found: Found::default(),
            strangers: 0,
            left: None,
        }
    }

    /// Takes the tickets of an answer that carry the key.
    fn take(&mut self, call: &Call, answer: &Answer) -> Result<(), Failure> {
        let (reply, items) = self.place.read(call, false, answer)?;
        for item in &items {
            let seen = (&reply, &self.place.vars);
            match has_key(&self.place.profile, item, seen, &self.key)? {
                Some(false) => self.strangers = self.strangers.saturating_add(1),
                Some(true) | None => match self.place.record(&reply, item) {
                    Ok(record) => self.found.records.extend(record),
                    Err(Failure::Gone(_)) => {}
                    Err(failure) => return Err(failure),
                },
            }
        }
        Ok(())
    }

    fn heard(&mut self, call: &Call, answer: &Answer) -> Result<Step<Found>, Failure> {
        let profile = Arc::clone(&self.place.profile);
        if !profile.caps.ids_only {
            self.take(call, answer)?;
        } else if self.left.is_some() {
            match self.take(&profile.get, answer) {
                Ok(()) | Err(Failure::Gone(_)) => {}
                Err(failure) => return Err(failure),
            }
        } else {
            self.left = Some(self.place.ids(call, answer, FOUND_MAX)?);
        }
        if let Some(id) = self.left.as_mut().and_then(Vec::pop) {
            return self.place.ask_for(&id);
        }
        // A page of recent tickets that is searched here has strangers on it.
        let is_scan = profile.caps.key == KeyClass::None;
        if self.strangers > 0 && !is_scan {
            return Err(Failure::Broken(format!(
                "the look-up by key returned {} tickets that do not carry the key: the platform ignores the filter; nothing is written until that is put right",
                self.strangers
            )));
        }
        Ok(Step::Done(std::mem::take(&mut self.found)))
    }
}

impl Talk for Find {
    type Outcome = Found;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Found> {
        let profile = Arc::clone(&self.place.profile);
        let Some(call) = &profile.find else {
            return Step::Done(Found::default());
        };
        match answer {
            None => self.place.send(call),
            Some(answer) => self.heard(call, answer).unwrap_or_else(Step::Failed),
        }
    }
}

/// Reads one ticket.
#[derive(Debug)]
pub struct Read {
    place: Place,
}

impl Read {
    /// The ticket of this record.
    pub fn new(profile: &Arc<Profile>, base: &str, link: &Link, record: &Record) -> Self {
        let mut vars = TicketVars::keyed(profile, &link.key);
        vars.ticket(&record.id, &record.number);
        Self {
            place: Place::new(profile, base, vars),
        }
    }

    fn record(&self, answer: &Answer) -> Result<Record, Failure> {
        read_one(&self.place, &self.place.profile.get, false, answer).map(|(record, _)| record)
    }
}

impl Talk for Read {
    type Outcome = Record;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Record> {
        match answer {
            None => self.place.send(&self.place.profile.get),
            Some(answer) => finish(self.record(answer)),
        }
    }
}

/// The one ticket of an answer, with everything that it says.
pub(super) fn read_one(
    place: &Place,
    call: &Call,
    is_write: bool,
    answer: &Answer,
) -> Result<(Record, Json), Failure> {
    let (reply, items) = place.read(call, is_write, answer)?;
    for item in items {
        if let Some(record) = place.record(&reply, &item)? {
            return Ok((record, item));
        }
    }
    let why = "the answer holds no ticket".to_owned();
    Err(if is_write {
        Failure::Doubtful(why)
    } else {
        Failure::Gone(why)
    })
}

/// What came of making a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The ticket.
    pub record: Record,
    /// What is not as it should be.
    pub warning: Option<String>,
}

/// Makes a ticket.
#[derive(Debug)]
pub struct Create {
    place: Place,
    key: String,
    made: Option<Record>,
}

impl Create {
    /// The ticket of an incident.
    pub fn new(
        profile: &Arc<Profile>,
        base: &str,
        link: &Link,
        brief: &Brief,
        face: &Face,
    ) -> Self {
        let mut vars = TicketVars::keyed(profile, &link.key);
        vars.brief(brief);
        let priority = face.priority.or(link.wanted.priority);
        vars.grade(profile, face.state, priority);
        Self {
            place: Place::new(profile, base, vars),
            key: link.key.to_string(),
            made: None,
        }
    }

    fn made(&mut self, answer: &Answer) -> Result<Step<Made>, Failure> {
        let profile = Arc::clone(&self.place.profile);
        let call = if self.made.is_some() {
            &profile.get
        } else {
            &profile.create
        };
        let is_first = self.made.is_none();
        let (reply, items) = match self.place.read(call, is_first, answer) {
            Ok(read) => read,
            // It was made; that it cannot be read back changes nothing about that.
            Err(_) if !is_first => return Ok(self.done(Some("it could not be read back"))),
            Err(failure) => return Err(failure),
        };
        let item = items.first().cloned().unwrap_or(Json::Null);
        let record = self.place.record(&reply, &item);
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) | Err(_) if !is_first => {
                return Ok(self.done(Some("it could not be read back")));
            }
            Ok(None) => {
                let why = "the answer to the create holds no id".to_owned();
                return Err(Failure::Doubtful(why));
            }
            Err(failure) => return Err(failure),
        };
        if is_first && !profile.caps.create_is_whole {
            self.place.vars.ticket(&record.id, &record.number);
            self.made = Some(record);
            return Ok(self.place.send(&profile.get));
        }
        let kept = has_key(&profile, &item, (&reply, &self.place.vars), &self.key)?;
        self.made = Some(record);
        Ok(self.done((kept == Some(false)).then_some(
            "the platform did not keep the key; another ticket could be made after a lost answer",
        )))
    }

    fn done(&mut self, warning: Option<&str>) -> Step<Made> {
        let record = self.made.take().unwrap_or_default();
        Step::Done(Made {
            record,
            warning: warning.map(str::to_owned),
        })
    }
}

impl Talk for Create {
    type Outcome = Made;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Made> {
        match answer {
            None => self.place.send(&self.place.profile.create),
            Some(answer) => self.made(answer).unwrap_or_else(Step::Failed),
        }
    }
}

/// What a look at a platform found out, in words.
pub type Findings = Vec<String>;

/// Sees whether a platform does what its profile says, without changing anything there.
#[derive(Debug)]
pub struct Probe {
    place: Place,
    at: usize,
    findings: Findings,
}

impl Probe {
    /// With a key that no ticket has.
    pub fn new(profile: &Arc<Profile>, base: &str, random_key: &str) -> Self {
        let mut vars = TicketVars::keyed(profile, random_key);
        vars.put("offset", json!(0));
        vars.put("page", json!(1));
        Self {
            place: Place::new(profile, base, vars),
            at: 0,
            findings: Vec::new(),
        }
    }

    fn heard(&mut self, call: &Call, name: &str, answer: &Answer) -> Result<(), Failure> {
        let (_, items) = match self.place.read(call, false, answer) {
            Ok(read) => read,
            Err(Failure::Refused(why) | Failure::Gone(why)) => {
                self.findings.push(format!("{name}: {why}"));
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        if name == "find" && !items.is_empty() && self.place.profile.caps.key != KeyClass::None {
            return Err(Failure::Broken(format!(
                "a key that no ticket has finds {}: the platform ignores the filter",
                items.len()
            )));
        }
        let what = if name == "find" {
            "the key can be looked up; a random one finds nothing".to_owned()
        } else {
            format!("{name}: {} found", items.len())
        };
        self.findings.push(what);
        Ok(())
    }
}

impl Talk for Probe {
    type Outcome = Findings;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Findings> {
        let profile = Arc::clone(&self.place.profile);
        let find = profile.find.iter().map(|call| ("find", call));
        let others = profile.probe.iter();
        let others = others.map(|(name, call)| (name.as_str(), call));
        let calls: Vec<_> = find.chain(others).collect();
        if let Some(answer) = answer
            && let Some((name, call)) = calls.get(self.at)
        {
            if let Err(failure) = self.heard(call, name, answer) {
                return Step::Failed(failure);
            }
            self.at = self.at.saturating_add(1);
        }
        match calls.get(self.at) {
            Some((_, call)) => self.place.send(call),
            None => Step::Done(std::mem::take(&mut self.findings)),
        }
    }
}

/// A result as the end of a conversation.
pub(super) fn finish<T>(result: Result<T, Failure>) -> Step<T> {
    match result {
        Ok(done) => Step::Done(done),
        Err(failure) => Step::Failed(failure),
    }
}

/// The values of an answer as an expression sees them.
pub(super) fn values(reply: &Reply, vars: &TicketVars) -> Value {
    reply.with(vars, &serde_json::Map::new())
}
