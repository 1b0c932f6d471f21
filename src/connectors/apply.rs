//! Brings a ticket to what it shall be: fields, notes in their order, and the state by the steps of the profile.
//!
//! The ticket is read first: what somebody changed there since it was seen last is told instead of being written over,
//! and nothing is written to a ticket that is closed. A state is never set again that is there already, and every
//! transition is read back, since platforms say yes and do nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use smol_str::SmolStr;

use super::call::Call;
use super::judge::items;
use super::list::read_notes;
use super::profile::{Lookup, Profile, Transition};
use super::talk::{Place, Talk, read_one};
use super::text::Rule;
use super::vars::{Brief, TicketVars, codes};
use super::{Answer, Failure, Step};
use crate::core::incident::StateWord;
use crate::core::ticket::{Link, Record};

/// Transitions on the way to one state.
const STEPS_MAX: u8 = 4;

/// A note that the ticket shall hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteWanted {
    /// The entry of the timeline.
    pub entry: i64,
    /// What it says.
    pub text: String,
}

impl NoteWanted {
    /// By which it is known again.
    fn marker(&self) -> String {
        format!("[wb n{}]", self.entry)
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought {
    /// Somebody changed it since it was seen last; nothing was written.
    Moved(Record),
    /// It is as it shall be, or as near to it as was possible.
    Done {
        /// The ticket as it is now.
        record: Record,
        /// Why the rest was not possible.
        stuck: Option<String>,
    },
}

/// What the answer that comes next belongs to.
#[derive(Debug)]
enum Stage {
    Start,
    Read,
    Markers,
    Written { is_transition: bool, has_note: bool },
    LookedUp(usize),
    ReadBack { is_last: bool },
}

/// Brings one ticket up to date.
#[derive(Debug)]
pub struct Apply {
    place: Place,
    link: Link,
    notes: VecDeque<NoteWanted>,
    is_doubtful: bool,
    has_fields: bool,
    stage: Stage,
    record: Record,
    before: SmolStr,
    steps: u8,
    done: i64,
    is_stale: bool,
    looked_up: Option<usize>,
}

impl Apply {
    /// Brings the ticket of this link up to date; when an earlier attempt's outcome is not known, notes are looked for
    /// before they are written.
    pub fn new(
        profile: &Arc<Profile>,
        base: &str,
        link: &Link,
        brief: &Brief,
        (notes, is_doubtful): (Vec<NoteWanted>, bool),
    ) -> Self {
        let mut vars = TicketVars::keyed(profile, &link.key);
        vars.brief(brief);
        vars.grade(profile, link.wanted.state, link.wanted.priority);
        let record = link.record.clone().unwrap_or_default();
        vars.ticket(&record.id, &record.number);
        let change = change(profile, link, brief);
        let has_fields = change.as_object().is_some_and(|change| !change.is_empty());
        vars.put("change", change);
        Self {
            place: Place::new(profile, base, vars),
            link: link.clone(),
            notes: notes.into(),
            is_doubtful,
            has_fields,
            stage: Stage::Start,
            before: record.status.clone(),
            record,
            steps: 0,
            done: 0,
            is_stale: false,
            looked_up: None,
        }
    }

    /// The last note that the ticket certainly holds.
    pub fn notes_done(&self) -> i64 {
        self.done
    }

    fn profile(&self) -> Arc<Profile> {
        Arc::clone(&self.place.profile)
    }

    fn heard(&mut self, answer: &Answer) -> Result<Step<Brought>, Failure> {
        let profile = self.profile();
        match self.stage {
            Stage::Start => self.begin(),
            Stage::Read => {
                let (record, item) = read_one(&self.place, &profile.get, false, answer)?;
                self.keep(record, item);
                self.look()
            }
            Stage::Markers => {
                self.skip_known(answer)?;
                self.go_on()
            }
            Stage::LookedUp(at) => self.chosen(at, answer),
            Stage::Written {
                is_transition,
                has_note,
            } => self.written(is_transition, has_note, answer),
            Stage::ReadBack { is_last } => {
                let (record, item) = read_one(&self.place, &profile.get, false, answer)?;
                self.keep(record, item);
                self.is_stale = false;
                if is_last {
                    Ok(self.end(None))
                } else {
                    self.go_on()
                }
            }
        }
    }

    fn begin(&mut self) -> Result<Step<Brought>, Failure> {
        self.stage = Stage::Read;
        let request = self.place.ask(&self.profile().get)?;
        Ok(Step::Send(Box::new(request)))
    }

    fn keep(&mut self, record: Record, item: Json) {
        self.place.vars.put("ticket", item);
        self.place.vars.ticket(&record.id, &record.number);
        self.record = record;
    }

    /// What the ticket is now says whether anything is written at all.
    fn look(&mut self) -> Result<Step<Brought>, Failure> {
        let known = self.link.record.clone().unwrap_or_default();
        let is_regraded = known.priority.is_some() && known.priority != self.record.priority;
        let is_moved = known.status != self.record.status
            || known.assignee != self.record.assignee
            || is_regraded;
        if is_moved && self.link.record.is_some() {
            return Ok(Step::Done(Brought::Moved(self.record.clone())));
        }
        let caps = &self.profile().caps;
        if self.record.state == Some(StateWord::Closed) && !caps.writes_closed {
            let opens = !self.is_there() && caps.reopenable().from(StateWord::Closed);
            if !opens {
                if let Some(note) = self.notes.back() {
                    self.done = note.entry;
                }
                return Ok(self.end(None));
            }
        }
        if self.is_doubtful && !self.notes.is_empty() {
            if let Some(notes) = &self.profile().notes {
                self.stage = Stage::Markers;
                return Ok(Step::Send(Box::new(self.place.ask(&notes.call)?)));
            }
            // It cannot be seen whether the first one arrived: twice would be worse than not at all.
            self.done = self.notes.pop_front().map_or(self.done, |note| note.entry);
        }
        self.go_on()
    }

    fn skip_known(&mut self, answer: &Answer) -> Result<(), Failure> {
        let profile = self.profile();
        let Some(notes) = &profile.notes else {
            return Ok(());
        };
        let there = match read_notes(&self.place, notes, answer) {
            Ok(there) => there,
            // Who may not read notes there has none marked.
            Err(Failure::Refused(_) | Failure::Gone(_)) => {
                self.done = self.notes.pop_front().map_or(self.done, |note| note.entry);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        while let Some(note) = self.notes.front()
            && there.iter().any(|held| held.text.contains(&note.marker()))
        {
            self.done = note.entry;
            self.notes.pop_front();
        }
        Ok(())
    }

    fn is_there(&self) -> bool {
        let want = self.link.wanted.state;
        let (profile, is) = (&self.place.profile, self.record.state);
        want.is_none_or(|want| is.is_some_and(|is| profile.is_there(want, is)))
    }

    /// The next thing to write.
    fn go_on(&mut self) -> Result<Step<Brought>, Failure> {
        let profile = self.profile();
        let next = self.transition(&profile);
        if profile.caps.one_call
            && let Some(update) = &profile.update
        {
            return self.all_at_once(&profile, update, next);
        }
        if self.has_fields {
            self.has_fields = false;
            if let Some(update) = &profile.update
                && let Some(body) = update
                    .body(&self.place.vars.value())
                    .map_err(Failure::Broken)?
            {
                return self.write(update, Some(body), false, false);
            }
        }
        if let (Some(call), Some(_)) = (&profile.note, self.notes.front()) {
            self.name_note();
            let body = call
                .body(&self.place.vars.value())
                .map_err(Failure::Broken)?;
            return self.write(call, body, false, true);
        }
        self.move_on(&profile, next)
    }

    /// Fields, state and the last note go in one request; further notes go before.
    fn all_at_once(
        &mut self,
        profile: &Profile,
        update: &Call,
        next: Option<usize>,
    ) -> Result<Step<Brought>, Failure> {
        let step = next.and_then(|at| profile.steps.get(at));
        let step = step.filter(|step| step.is_mergeable && step.lookup.is_none());
        let is_alone = self.notes.len() > 1;
        let vars_note = self.notes.front().is_some();
        if vars_note {
            self.name_note();
        }
        let vars = self.place.vars.value();
        let body = |call: &Call| call.body(&vars).map_err(Failure::Broken);
        let note = match &profile.note {
            Some(call) if vars_note => body(call)?,
            _ => None,
        };
        if is_alone {
            return self.write(update, note, false, true);
        }
        let fields = if self.has_fields { body(update)? } else { None };
        let state = step.map(|step| body(&step.call)).transpose()?.flatten();
        let is_transition = state.is_some();
        let whole = Call::merged(Call::merged(fields, note), state);
        if whole.is_some() {
            self.has_fields = false;
            return self.write(update, whole, is_transition, vars_note);
        }
        self.move_on(profile, next)
    }

    /// The first step from where the ticket is towards where it shall be.
    fn transition(&self, profile: &Profile) -> Option<usize> {
        let want = self.link.wanted.state.filter(|_| !self.is_there())?;
        let leads = |step: &Transition| {
            let from = step.when.is_empty() && self.record.state.is_some();
            step.to.contains(&want) && (from || step.when.contains(&self.record.status))
        };
        profile.steps.iter().position(leads)
    }

    /// Takes a step, asking for what it needs first; without one this is the end.
    fn move_on(
        &mut self,
        profile: &Profile,
        next: Option<usize>,
    ) -> Result<Step<Brought>, Failure> {
        let Some((at, step)) = next.and_then(|at| Some((at, profile.steps.get(at)?))) else {
            if self.is_stale {
                return self.read_back(true);
            }
            let stuck = (!self.is_there()).then(|| self.no_way());
            return Ok(self.end(stuck));
        };
        if self.is_stale {
            // A step starts from what the ticket is after the note and the fields.
            return self.read_back(false);
        }
        if self.steps >= STEPS_MAX || (self.steps > 0 && self.before == self.record.status) {
            let stuck = Some(self.no_way());
            return Ok(self.end(stuck));
        }
        if let Some((name, _)) = &step.lookup
            && self.looked_up != Some(at)
            && let Some(lookup) = profile.lookups.get(name)
        {
            self.stage = Stage::LookedUp(at);
            return Ok(Step::Send(Box::new(self.place.ask(&lookup.call)?)));
        }
        self.looked_up = None;
        self.before = self.record.status.clone();
        let body = step.call.body(&self.place.vars.value());
        self.write(&step.call, body.map_err(Failure::Broken)?, true, false)
    }

    fn no_way(&self) -> String {
        let want = self.link.wanted.state.map_or("", StateWord::word);
        let is = &self.record.status;
        format!("no step leads from status {is:?} to {want}, or the platform does not take it")
    }

    /// What a look-up found is chosen from.
    fn chosen(&mut self, at: usize, answer: &Answer) -> Result<Step<Brought>, Failure> {
        let profile = self.profile();
        let step = profile.steps.get(at);
        let Some((step, (name, own))) = step.and_then(|step| Some((step, step.lookup.as_ref()?)))
        else {
            return Ok(self.end(None));
        };
        let Some(lookup) = profile.lookups.get(name) else {
            return Ok(self.end(None));
        };
        let found = self.pick(lookup, own.as_ref().unwrap_or(&lookup.pick), answer)?;
        let Some(found) = found else {
            let to: Vec<_> = step.to.iter().map(|state| state.word()).collect();
            let stuck = format!(
                "{name}: nothing there leads from status {:?} to {}",
                self.record.status,
                to.join(" or ")
            );
            return Ok(self.end(Some(stuck)));
        };
        self.place.vars.put("lookup", found);
        self.looked_up = Some(at);
        self.move_on(&profile, Some(at))
    }

    fn pick(&self, lookup: &Lookup, pick: &Rule, answer: &Answer) -> Result<Option<Json>, Failure> {
        let (reply, _) = self.place.read(&lookup.call, false, answer)?;
        for item in items(&lookup.call, &reply, &self.place.vars)? {
            let vars = reply.of_item(&self.place.vars, &item);
            if pick.is_true(&vars).map_err(Failure::Broken)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    fn name_note(&mut self) {
        if let Some(note) = self.notes.front() {
            let (text, marker) = (note.text.clone(), note.marker());
            self.place.vars.put("note", json!(text));
            self.place.vars.put("marker", json!(marker));
        }
    }

    fn write(
        &mut self,
        call: &Call,
        body: Option<Json>,
        is_transition: bool,
        has_note: bool,
    ) -> Result<Step<Brought>, Failure> {
        if is_transition {
            self.steps = self.steps.saturating_add(1);
        }
        self.stage = Stage::Written {
            is_transition,
            has_note,
        };
        let request = call.request(&self.place.profile, &self.place.vars.value(), body);
        Ok(Step::Send(Box::new(request.map_err(Failure::Broken)?)))
    }

    /// A write was answered.
    fn written(
        &mut self,
        is_transition: bool,
        has_note: bool,
        answer: &Answer,
    ) -> Result<Step<Brought>, Failure> {
        let profile = self.profile();
        let at = self.transition(&profile).filter(|_| is_transition);
        let step = at
            .and_then(|at| profile.steps.get(at))
            .map(|step| &step.call);
        let note = profile
            .note
            .as_ref()
            .filter(|_| has_note && !profile.caps.one_call);
        let update = profile.update.as_ref();
        let merged = update.filter(|_| profile.caps.one_call && (has_note || !is_transition));
        let Some(call) = note.or(merged).or(step).or(update) else {
            return Ok(self.end(None));
        };
        let (reply, items) = self.place.read(call, true, answer)?;
        if has_note && let Some(note) = self.notes.pop_front() {
            self.done = note.entry;
            self.place.vars.drop("note");
            self.place.vars.drop("marker");
        }
        let item = items.first().cloned().unwrap_or(Json::Null);
        let is_whole = profile.caps.update_is_whole && (profile.caps.one_call || !has_note);
        let read = if is_whole {
            self.place.record(&reply, &item)?
        } else {
            None
        };
        // One that leaves out the status is not whole, whatever the profile says of the platform.
        let read = read.filter(|record| !record.status.is_empty());
        match read {
            Some(record) => {
                self.keep(record, item);
                self.go_on()
            }
            None if is_transition => self.read_back(false),
            None => {
                self.is_stale = true;
                self.go_on()
            }
        }
    }

    fn read_back(&mut self, is_last: bool) -> Result<Step<Brought>, Failure> {
        self.stage = Stage::ReadBack { is_last };
        let request = self.place.ask(&self.profile().get)?;
        Ok(Step::Send(Box::new(request)))
    }

    fn end(&mut self, stuck: Option<String>) -> Step<Brought> {
        Step::Done(Brought::Done {
            record: self.record.clone(),
            stuck,
        })
    }
}

impl Talk for Apply {
    type Outcome = Brought;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Brought> {
        let nothing = Answer::default();
        let answer = answer.unwrap_or(&nothing);
        self.heard(answer).unwrap_or_else(Step::Failed)
    }
}

/// The fields that differ from what was sent last.
fn change(profile: &Profile, link: &Link, brief: &Brief) -> Json {
    let mut change = serde_json::Map::new();
    let wanted = &link.wanted;
    let sent = link.sent.clone().unwrap_or_default();
    if wanted.title != sent.title {
        change.insert("title".to_owned(), json!(brief.title));
        change.insert("text".to_owned(), json!(brief.text));
    }
    if wanted.priority != sent.priority && wanted.priority.is_some() {
        let codes = codes(profile, wanted.priority);
        if !codes.is_null() {
            change.insert("codes".to_owned(), codes);
        }
    }
    if wanted.assignee != sent.assignee
        && let Some(assignee) = &brief.assignee
    {
        change.insert("assignee".to_owned(), json!(assignee));
    }
    Json::Object(change)
}
