//! The conversations that read many things: tickets that changed since a time, and the notes of one ticket.
//!
//! Pages may shift while they are read, and a filter may be ignored: what was seen on an earlier page is left out, and a
//! page that brings nothing new is the last one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use smol_str::SmolStr;

use super::call::Call;
use super::judge::{Reply, short};
use super::profile::{CiLookup, Notes, Profile};
use super::talk::{Place, Talk, values};
use super::text::show;
use super::vars::TicketVars;
use super::{Answer, Failure, Step};
use crate::core::ticket::report::RemoteNote;
use crate::core::ticket::{Link, Record};
use crate::core::time::Timestamp;

/// Pages of one list; what lies behind them is read at the next look.
const PAGES_MAX: u32 = 50;

/// Tickets of a list of ids that are read at one look.
const READS_MAX: usize = 100;

/// What changed there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The tickets.
    pub records: Vec<Record>,
    /// Ids of tickets that were deleted or merged there, as far as it is told.
    pub gone: Vec<SmolStr>,
    /// The time on the platform's clock when the first page was answered, if it says so.
    pub date_ms: Option<i64>,
    /// Whether there was more than is read at once.
    pub is_cut: bool,
}

/// Reads the tickets that changed since a time.
#[derive(Debug)]
pub struct Changes {
    place: Place,
    pages: Pages,
    changed: Changed,
    seen: BTreeSet<SmolStr>,
    /// Tickets of a list of ids that are still to be read.
    left: Option<Vec<SmolStr>>,
}

impl Changes {
    /// Since this time, on the platform's clock.
    pub fn new(profile: &Arc<Profile>, base: &str, since: Timestamp) -> Self {
        let mut vars = TicketVars::new(profile);
        vars.put("since", json!(since.as_millis()));
        let mut place = Place::new(profile, base, vars);
        let pages = Pages::start(&mut place);
        Self {
            place,
            pages,
            changed: Changed::default(),
            seen: BTreeSet::new(),
            left: None,
        }
    }

    /// A list of ids, and then the tickets one by one.
    fn each(&mut self, call: &Call, answer: &Answer) -> Result<Step<Changed>, Failure> {
        if self.left.is_none() {
            self.date(answer);
            let ids = self.place.ids(call, answer, READS_MAX + 1)?;
            self.changed.is_cut = ids.len() > READS_MAX;
            self.left = Some(ids);
        } else {
            let get = &Arc::clone(&self.place.profile).get;
            match super::talk::read_one(&self.place, get, false, answer) {
                Ok((record, _)) => self.changed.records.push(record),
                Err(Failure::Gone(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        match self.left.as_mut().and_then(Vec::pop) {
            Some(id) if self.changed.records.len() < READS_MAX => self.place.ask_for(&id),
            Some(_) | None => Ok(Step::Done(std::mem::take(&mut self.changed))),
        }
    }

    fn date(&mut self, answer: &Answer) {
        let date = answer.headers.iter().find(|(name, _)| name == "date");
        let date = date.and_then(|(_, text)| jiff::fmt::rfc2822::parse(text).ok());
        self.changed.date_ms = date.map(|date| date.timestamp().as_millisecond());
    }

    fn heard(&mut self, call: &Call, answer: &Answer) -> Result<bool, Failure> {
        let (reply, items) = self.place.read(call, false, answer)?;
        if self.pages.page == 1 {
            self.date(answer);
        }
        let mut is_new = false;
        for item in &items {
            match self.place.record(&reply, item) {
                Ok(Some(record)) if self.seen.insert(record.id.clone()) => {
                    is_new = true;
                    self.changed.records.push(record);
                }
                Ok(_) => {}
                Err(Failure::Gone(_)) => {
                    if let Some(id) = id_of(&self.place, &reply, item) {
                        is_new |= self.seen.insert(id.clone());
                        self.changed.gone.push(id);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        let goes_on = is_new
            && self
                .pages
                .turn(&mut self.place, call, &reply, items.len())?;
        self.changed.is_cut = goes_on && self.pages.page > PAGES_MAX;
        Ok(goes_on && !self.changed.is_cut)
    }
}

fn id_of(place: &Place, reply: &Reply, item: &Json) -> Option<SmolStr> {
    let id = place
        .profile
        .ticket
        .id
        .text(&reply.of_item(&place.vars, item));
    id.ok().flatten().map(|id| short(&id))
}

impl Talk for Changes {
    type Outcome = Changed;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Changed> {
        let profile = Arc::clone(&self.place.profile);
        let Some(call) = &profile.changes else {
            return Step::Done(Changed::default());
        };
        if let Some(answer) = answer.filter(|_| profile.caps.ids_only) {
            return self.each(call, answer).unwrap_or_else(Step::Failed);
        }
        match answer.map(|answer| self.heard(call, answer)) {
            None | Some(Ok(true)) => self.place.send(call),
            Some(Ok(false)) => Step::Done(std::mem::take(&mut self.changed)),
            Some(Err(failure)) => Step::Failed(failure),
        }
    }
}

/// Reads the notes of one ticket.
#[derive(Debug)]
pub struct ReadNotes {
    place: Place,
}

impl ReadNotes {
    /// Of the ticket of this record.
    pub fn new(profile: &Arc<Profile>, base: &str, link: &Link, record: &Record) -> Self {
        let mut vars = TicketVars::keyed(profile, &link.key);
        vars.ticket(&record.id, &record.number);
        Self {
            place: Place::new(profile, base, vars),
        }
    }
}

impl Talk for ReadNotes {
    type Outcome = Vec<RemoteNote>;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Vec<RemoteNote>> {
        let profile = Arc::clone(&self.place.profile);
        let Some(notes) = &profile.notes else {
            return Step::Done(Vec::new());
        };
        match answer {
            None => self.place.send(&notes.call),
            Some(answer) => super::talk::finish(read_notes(&self.place, notes, answer)),
        }
    }
}

/// Looks for the configuration item that a ticket is about.
#[derive(Debug)]
pub struct FindCi {
    place: Place,
}

impl FindCi {
    /// By what the incident says of it: `id`, `name`, `class`.
    pub fn new(profile: &Arc<Profile>, base: &str, ci: &Json) -> Self {
        let mut vars = TicketVars::new(profile);
        vars.put("ci", ci.clone());
        Self {
            place: Place::new(profile, base, vars),
        }
    }

    fn found(&self, of: &CiLookup, answer: &Answer) -> Result<Option<SmolStr>, Failure> {
        let (reply, items) = self.place.read(&of.call, false, answer)?;
        for item in items {
            let values = reply.of_item(&self.place.vars, &item);
            if of.when.is_true(&values).map_err(Failure::Broken)? {
                let id = of.id.text(&values).map_err(Failure::Broken)?;
                return Ok(id.map(|id| short(&id)));
            }
        }
        Ok(None)
    }
}

impl Talk for FindCi {
    type Outcome = Option<SmolStr>;

    fn next(&mut self, answer: Option<&Answer>) -> Step<Option<SmolStr>> {
        let profile = Arc::clone(&self.place.profile);
        match (&profile.ci, answer) {
            (None, _) => Step::Done(None),
            (Some(of), None) => self.place.send(&of.call),
            (Some(of), Some(answer)) => super::talk::finish(self.found(of, answer)),
        }
    }
}

/// The notes of an answer, oldest first as far as the platform's order tells.
pub(super) fn read_notes(
    place: &Place,
    notes: &Notes,
    answer: &Answer,
) -> Result<Vec<RemoteNote>, Failure> {
    let (reply, items) = place.read(&notes.call, false, answer)?;
    let mut found = Vec::new();
    for item in &items {
        let values = reply.of_item(&place.vars, item);
        let is_note = notes.when.as_ref().map(|rule| rule.is_true(&values));
        if !is_note.unwrap_or(Ok(true)).map_err(Failure::Broken)? {
            continue;
        }
        let id = notes.id.text(&values).map_err(Failure::Broken)?;
        let text = notes.text.text(&values).map_err(Failure::Broken)?;
        let author = notes.author.as_ref().map(|rule| rule.text(&values));
        let author = author.transpose().map_err(Failure::Broken)?.flatten();
        if let (Some(id), Some(text)) = (id, text) {
            found.push(RemoteNote {
                id: short(&id),
                text: short(&text),
                author: author.map(|author| short(&author)),
            });
        }
    }
    Ok(found)
}

/// Where a list stands.
#[derive(Debug)]
struct Pages {
    page: u32,
    offset: usize,
}

impl Pages {
    fn start(place: &mut Place) -> Self {
        let pages = Self { page: 1, offset: 0 };
        pages.show(place);
        pages
    }

    fn show(&self, place: &mut Place) {
        place.vars.put("page", json!(self.page));
        place.vars.put("offset", json!(self.offset));
    }

    /// Turns the page, if there is another one.
    fn turn(
        &mut self,
        place: &mut Place,
        call: &Call,
        reply: &Reply,
        count: usize,
    ) -> Result<bool, Failure> {
        let Some(rule) = &call.next else {
            return Ok(false);
        };
        place.vars.put("count", json!(count));
        let next = rule.json(&values(reply, &place.vars));
        let next = next.map_err(Failure::Broken)?;
        let is_over = match &next {
            None | Some(Json::Null | Json::Bool(false)) => true,
            Some(Json::Bool(true)) => false,
            Some(value) => show(value).is_empty(),
        };
        if is_over {
            return Ok(false);
        }
        self.page = self.page.saturating_add(1);
        self.offset = self.offset.saturating_add(count);
        self.show(place);
        place.vars.put("cursor", next.unwrap_or(Json::Null));
        Ok(true)
    }
}
