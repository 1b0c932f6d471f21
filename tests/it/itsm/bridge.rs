//! The core and a platform on virtual time: what the worker does, without a network and without waiting.
//!
//! Tickets are worked on in the order in which they wait; an answer that was lost is followed by a look-up; a platform
//! that asks to wait is left alone until then.

use std::collections::BTreeSet;

use watchbell::connectors::apply::{Apply, Brought, NoteWanted};
use watchbell::connectors::list::ReadNotes;
use watchbell::connectors::talk::{Create, Find, Read};
use watchbell::connectors::{Brief, Failure};
use watchbell::core::ids::{IdFeed, IncidentId};
use watchbell::core::incident::StateWord;
use watchbell::core::input::Input;
use watchbell::core::reason::Reason;
use watchbell::core::state::State;
use watchbell::core::ticket::report::{Outcome, TicketReport};
use watchbell::core::ticket::{Face, Link, NOTES, Record};
use watchbell::core::time::{Span, Timestamp};

use super::desk::{BASE, Desk, brief};
use super::server::Platform;
use crate::support::world::Bench;

pub(crate) const NAME: &str = "snow";

pub(crate) struct Bridge<P> {
    pub(crate) bench: Bench,
    pub(crate) desk: Desk<P>,
    /// Until when the platform wants to be left alone.
    pub(crate) waits_until: Option<Timestamp>,
    /// What was said about the platform, beside its tickets.
    pub(crate) errors: Vec<String>,
    /// Which incident was worked on, and whether its ticket was to be made.
    pub(crate) worked: Vec<(IncidentId, bool)>,
    doubtful: BTreeSet<IncidentId>,
    /// Whether it dies before the next outcome is written down.
    pub(crate) dies: bool,
    is_dead: bool,
}

pub(crate) fn id(number: i64) -> IncidentId {
    IncidentId::new(number).unwrap()
}

impl<P: Platform> Bridge<P> {
    pub(crate) fn new(bench: Bench, desk: Desk<P>) -> Self {
        Self {
            bench,
            desk,
            waits_until: None,
            errors: Vec::new(),
            worked: Vec::new(),
            doubtful: BTreeSet::new(),
            dies: false,
            is_dead: false,
        }
    }

    /// Whether it died over its work.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Goes on from what was stored: whatever was wanted before may have been tried.
    pub(crate) fn restarted(&mut self, state: State, ids: IdFeed) {
        self.is_dead = false;
        self.bench.state = state;
        self.bench.ids = ids;
        self.bench.happen(&Input::Started);
        let tickets = self.bench.state.tickets();
        self.doubtful = tickets.all_of(NAME).map(|link| link.incident).collect();
    }

    pub(crate) fn link(&self, number: i64) -> Link {
        let tickets = self.bench.state.tickets();
        (**tickets.get(id(number), NAME).unwrap()).clone()
    }

    /// Works off what waits, as far as the platform lets it.
    pub(crate) fn work(&mut self) {
        let mut tried = BTreeSet::new();
        loop {
            if self.waits_until.is_some_and(|until| until > self.bench.now) {
                return;
            }
            let mut waiting = self.bench.state.tickets().waiting(NAME);
            let next = waiting.find(|link| !tried.contains(&(link.incident, link.changed_at)));
            let Some(link) = next.cloned() else {
                return;
            };
            drop(waiting);
            self.worked.push((link.incident, link.record.is_none()));
            self.desk.link = (*link).clone();
            let done = if link.record.is_none() {
                self.make(&link).map(|()| true)
            } else {
                self.bring(&link)
            };
            if self.is_dead {
                return;
            }
            match done {
                Ok(is_certain) => {
                    if is_certain {
                        self.doubtful.remove(&link.incident);
                    }
                    tried.insert((link.incident, link.changed_at));
                }
                Err(Failure::Doubtful(_)) => {
                    self.doubtful.insert(link.incident);
                }
                Err(Failure::Limited { after_s }) => {
                    let wait = Span::from_secs(i64::try_from(after_s.unwrap_or(30)).unwrap());
                    self.waits_until = Some(self.bench.now.plus(wait));
                    return;
                }
                Err(failure) => {
                    self.errors.push(failure.to_string());
                    tried.insert((link.incident, link.changed_at));
                }
            }
        }
    }

    fn make(&mut self, link: &Link) -> Result<(), Failure> {
        let face = Face {
            state: Some(StateWord::New),
            assignee: None,
            ..link.wanted.clone()
        };
        let profile = self.desk.profile.clone();
        let mut found = None;
        if self.doubtful.contains(&link.incident) {
            let records = self.desk.hold(&mut Find::new(&profile, BASE, &link.key))?;
            found = records.records.into_iter().next();
        }
        let is_found = found.is_some();
        let record = match found {
            Some(record) => record,
            None => {
                let brief = self.brief(link);
                let mut create = Create::new(&profile, BASE, link, &brief, &face);
                self.desk.hold(&mut create)?.record
            }
        };
        let outcome = Outcome::Made {
            record,
            face,
            note: link.notes_sent,
            is_found,
            warning: None,
        };
        self.report(link, outcome);
        Ok(())
    }

    fn brief(&self, link: &Link) -> Brief {
        let former = link.former.iter().map(ToString::to_string).collect();
        Brief { former, ..brief() }
    }

    /// Whether it is certain by now what an earlier attempt did.
    fn bring(&mut self, link: &Link) -> Result<bool, Failure> {
        let entries = self.bench.entries.iter().map(|(_, entry)| entry);
        let wanted = entries.filter(|entry| {
            let is_due = entry.id > link.notes_sent && entry.id <= link.notes_wanted;
            let is_theirs = entry
                .actor
                .as_ref()
                .is_some_and(|it| it.ends_with("(snow)"));
            entry.incident == Some(link.incident)
                && is_due
                && !is_theirs
                && NOTES.contains(&entry.reason)
        });
        let notes: Vec<_> = wanted
            .map(|entry| NoteWanted {
                entry: entry.id,
                text: format!("{} {:?}", entry.reason.sentence(), entry.note),
            })
            .collect();
        let is_doubtful = self.doubtful.contains(&link.incident);
        let (profile, brief) = (self.desk.profile.clone(), self.brief(link));
        let mut apply = Apply::new(&profile, BASE, link, &brief, (notes, is_doubtful));
        match self.desk.hold(&mut apply) {
            Ok(Brought::Done { record, stuck }) => {
                let outcome = Outcome::Brought {
                    record,
                    face: link.wanted.clone(),
                    note: link.notes_wanted,
                    stuck: stuck.map(Into::into),
                };
                self.report(link, outcome);
                Ok(true)
            }
            Ok(Brought::Moved(record)) => {
                self.see(link, &record);
                Ok(false)
            }
            Err(Failure::Gone(why)) => {
                self.report(link, Outcome::Gone { why: why.into() });
                Ok(true)
            }
            Err(Failure::Refused(why)) => {
                self.report(link, Outcome::Refused { why: why.into() });
                Ok(true)
            }
            Err(failure) => {
                // A note that arrived before the rest failed must not be sent again.
                let (why, note) = (failure.to_string().into(), apply.notes_done());
                self.report(link, Outcome::Tried { why, note });
                Err(failure)
            }
        }
    }

    fn report(&mut self, link: &Link, outcome: Outcome) -> Reason {
        if std::mem::take(&mut self.dies) {
            self.is_dead = true;
        }
        if self.is_dead {
            return Reason::TicketUnknown;
        }
        let report = TicketReport {
            incident: link.incident,
            connector: NAME.into(),
            generation: link.generation,
            outcome,
            exchanges: Vec::new(),
        };
        let input = Input::TicketReported(Box::new(report));
        self.bench.happen(&input).reason
    }

    fn see(&mut self, link: &Link, record: &Record) {
        let known = link.record.clone().unwrap();
        let profile = self.desk.profile.clone();
        let mut read = ReadNotes::new(&profile, BASE, link, record);
        let mut notes = self.desk.hold(&mut read).unwrap();
        notes.retain(|note| !note.text.contains("[wb n"));
        notes.reverse();
        for _ in 0..12 {
            let outcome = Outcome::Seen {
                known: known.clone(),
                record: record.clone(),
                notes: notes.clone(),
            };
            let reason = self.report(link, outcome);
            if [Reason::TicketInStep, Reason::TicketUnknown].contains(&reason) {
                return;
            }
        }
        panic!("what was seen is taken over at some time");
    }

    /// Reads a ticket as after a hook or a poll.
    pub(crate) fn look(&mut self, number: i64) {
        let link = self.link(number);
        self.desk.link = link.clone();
        let (profile, record) = (self.desk.profile.clone(), link.record.clone().unwrap());
        match self
            .desk
            .hold(&mut Read::new(&profile, BASE, &link, &record))
        {
            Ok(record) => self.see(&link, &record),
            Err(Failure::Gone(why)) => {
                self.report(&link, Outcome::Gone { why: why.into() });
            }
            Err(failure) => panic!("{failure}"),
        }
    }
}
