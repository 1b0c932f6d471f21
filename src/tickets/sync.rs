//! One ticket: made, looked up, or brought up to date; and what came of it reported.
//!
//! A ticket is made without a look only when nobody can have tried before: it was wanted while this worker ran, and no
//! attempt of it ended in doubt. Must not send a create twice in one go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::runner::{Conversation, Line};
use super::{ConnectorSetup, TicketsSetup, brief};
use crate::connectors::apply::{Apply, Brought};
use crate::connectors::list::{FindCi, ReadNotes};
use crate::connectors::profile::KeyClass;
use crate::connectors::talk::{Create, Find, Made, Read};
use crate::connectors::{Brief, Failure};
use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::reason::Reason;
use crate::core::ticket::report::{Outcome, RemoteNote, TicketReport};
use crate::core::ticket::{Face, Link, Record};

/// Differences of one ticket that are taken over in one go.
const TURNS_MAX: usize = 12;
/// How long it is believed which configuration item there is ours, or that there is none.
const CI_KEPT: Duration = Duration::from_secs(600);
/// Configuration items of which that is remembered.
const CIS_MAX: usize = 20_000;
/// What marks a note of ours.
const MARKER: &str = "[wb n";

/// What the works of one connector share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) setup: TicketsSetup,
    pub(super) connector: ConnectorSetup,
    pub(super) line: Line,
    /// When each ticket was worked on last, begin and end.
    pub(super) touched: Mutex<BTreeMap<IncidentId, Instant>>,
    /// Configuration items there by our name, with when they were looked for.
    pub(super) cis: Mutex<BTreeMap<String, (Option<String>, Instant)>>,
}

impl Shared {
    /// Notes that a ticket is, or was, worked on.
    pub(super) fn touch(&self, id: IncidentId) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.insert(id, Instant::now());
    }

    /// Whether a ticket was worked on since then.
    pub(super) fn is_touched_since(&self, id: IncidentId, since: Instant) -> bool {
        let touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.get(&id).is_some_and(|at| *at >= since)
    }

    /// Forgets what was worked on before then.
    pub(super) fn forget_touched(&self, before: Instant) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.retain(|_, at| *at >= before);
    }
}

/// What may have happened before this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Nothing.
    Fresh,
    /// An attempt whose outcome is not known, so long ago.
    Doubtful(Duration),
}

/// What one work came to.
#[derive(Debug)]
pub(super) enum Landed {
    /// It was done or refused, and reported.
    Reported,
    /// What changed there was taken over; whether an earlier attempt arrived is as little known as before.
    Seen,
    /// Nothing is to be done before so long.
    Wait(Duration),
    /// The platform was to be left alone before it was asked.
    Later,
    /// It came to nothing.
    Failed(Failure),
    /// The engine or the store does not take reports now.
    Unheard(String),
}

impl From<Failure> for Landed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Makes a ticket, or brings it up to date.
pub(super) async fn work(shared: Arc<Shared>, link: Arc<Link>, past: Past) -> Landed {
    if let Err(why) = brief::committed(&shared.setup, &link).await {
        return Landed::Unheard(why);
    }
    let brief = match brief::brief(&shared.setup, &shared.connector, &link).await {
        Ok(Some(brief)) => brief,
        Ok(None) => Brief {
            title: link.incident.to_string(),
            ..Brief::default()
        },
        Err(why) => return Landed::Unheard(why),
    };
    let mut talk = shared.line.begin();
    let mut brief = brief;
    let is_retitled = link.sent.as_ref().map(|sent| sent.title) != Some(link.wanted.title);
    if is_retitled {
        brief.ci = ci(&shared, &brief, &mut talk).await;
    }
    let done = if link.record.is_none() {
        make(&shared, &link, &brief, past, &mut talk).await
    } else {
        bring(&shared, &link, &brief, past, &mut talk).await
    };
    let landed = done.unwrap_or_else(|landed| landed);
    if let Landed::Failed(failure) = &landed {
        // Who looks at the incident sees what was tried; that it is not taken down makes no difference to what is done.
        let (why, note) = (short(&failure.to_string()), talk.noted);
        if talk.is_held_back && note <= link.notes_sent {
            return Landed::Later;
        }
        drop(report(&shared, &link, Outcome::Tried { why, note }, &mut talk).await);
    }
    landed
}

/// A reason of bounded length.
fn short(text: &str) -> SmolStr {
    text.chars().take(500).collect()
}

/// Looks the key up if it may be there, and makes the ticket if it is not.
async fn make(
    shared: &Shared,
    link: &Link,
    brief: &Brief,
    past: Past,
    talk: &mut Conversation<'_>,
) -> Result<Landed, Landed> {
    let (profile, base) = (&shared.connector.profile, shared.connector.base());
    let class = profile.caps.key;
    if let Past::Doubtful(since) = past
        && class != KeyClass::Upsert
    {
        let found = find(shared, link, talk).await?;
        if let Some((record, more)) = found {
            return adopt(shared, link, record, more, talk).await;
        }
        let visible = Duration::from_secs(profile.caps.visible_after_s);
        if since < visible {
            return Ok(Landed::Wait(visible.saturating_sub(since)));
        }
        if class == KeyClass::None {
            let why = "an attempt ended without an answer and the platform cannot be asked for the key; look there, and re-sync the incident's ticket if there is none";
            return report(shared, link, Outcome::Refused { why: why.into() }, talk).await;
        }
    }
    let face = first_face(link);
    let mut create = Create::new(profile, &base, link, brief, &face);
    let mut made = talk.hold(&mut create).await;
    if brief.ci.is_some()
        && let Err(Failure::Refused(why)) = &made
    {
        // A CI that the platform does not take must not cost the ticket.
        let why = format!("without its CI, since the platform said: {why}");
        let bare = Brief {
            ci: None,
            ..brief.clone()
        };
        let mut create = Create::new(profile, &base, link, &bare, &face);
        made = talk.hold(&mut create).await.map(|made| Made {
            warning: made.warning.or(Some(why)),
            ..made
        });
    }
    match made {
        Ok(made) => {
            let outcome = Outcome::Made {
                record: made.record,
                face,
                note: link.notes_sent,
                is_found: false,
                warning: made.warning.map(SmolStr::from),
            };
            report(shared, link, outcome, talk).await
        }
        Err(Failure::Refused(why) | Failure::Gone(why)) => {
            if class == KeyClass::Reject
                && let Some((record, more)) = find(shared, link, talk).await?
            {
                return adopt(shared, link, record, more, talk).await;
            }
            let why = SmolStr::from(why);
            report(shared, link, Outcome::Refused { why }, talk).await
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The configuration item there that the incident's root cause is; whatever goes wrong with that, the ticket goes on.
async fn ci(shared: &Shared, brief: &Brief, talk: &mut Conversation<'_>) -> Option<String> {
    let profile = &shared.connector.profile;
    let ci = brief.incident.pointer("/root_cause/ci");
    let ci = ci.filter(|ci| profile.links_cis() && ci.is_object())?;
    let name = ci
        .get("name")
        .and_then(serde_json::Value::as_str)?
        .to_owned();
    {
        let mut cis = shared.cis.lock().unwrap_or_else(PoisonError::into_inner);
        cis.retain(|_, (_, at)| at.elapsed() < CI_KEPT);
        if let Some((found, _)) = cis.get(&name) {
            return found.clone();
        }
    }
    let mut find = FindCi::new(profile, &shared.connector.base(), ci);
    let found = match talk.hold(&mut find).await {
        Ok(found) => found.map(String::from),
        Err(why) => {
            let connector = shared.connector.name.as_str();
            log::debug!(connector; "connector {connector} cannot look for {name}: {why}");
            return None;
        }
    };
    let mut cis = shared.cis.lock().unwrap_or_else(PoisonError::into_inner);
    if cis.len() < CIS_MAX {
        cis.insert(name, (found.clone(), Instant::now()));
    }
    found
}

/// What a new ticket is: nobody has touched it yet.
fn first_face(link: &Link) -> Face {
    Face {
        state: link.wanted.state.map(|_| StateWord::New),
        assignee: None,
        ..link.wanted.clone()
    }
}

async fn find(
    shared: &Shared,
    link: &Link,
    talk: &mut Conversation<'_>,
) -> Result<Option<(Record, usize)>, Landed> {
    let (profile, base) = (&shared.connector.profile, shared.connector.base());
    let mut find = Find::new(profile, &base, &link.key);
    let found = talk.hold(&mut find).await?;
    let more = found.records.len().saturating_sub(1);
    Ok(found.records.into_iter().next().map(|first| (first, more)))
}

/// Follows a ticket that was there already.
async fn adopt(
    shared: &Shared,
    link: &Link,
    record: Record,
    more: usize,
    talk: &mut Conversation<'_>,
) -> Result<Landed, Landed> {
    // What it says is not known, so everything is written once more.
    let state = record.state.filter(|state| *state == StateWord::New);
    let face = Face {
        state,
        ..first_face(link)
    };
    let warning = (more > 0).then(|| {
        let text = format!("{more} more tickets carry its key; the oldest one is followed");
        SmolStr::from(text)
    });
    let outcome = Outcome::Made {
        record,
        face,
        note: link.notes_sent,
        is_found: true,
        warning,
    };
    report(shared, link, outcome, talk).await
}

/// Brings a ticket up to date.
async fn bring(
    shared: &Shared,
    link: &Link,
    brief: &Brief,
    past: Past,
    talk: &mut Conversation<'_>,
) -> Result<Landed, Landed> {
    let (profile, base) = (&shared.connector.profile, shared.connector.base());
    let notes = brief::notes(&shared.setup, &shared.connector, link).await;
    let notes = notes.map_err(Landed::Unheard)?;
    let is_doubtful = past != Past::Fresh;
    let mut apply = Apply::new(profile, &base, link, brief, (notes, is_doubtful));
    match talk.hold(&mut apply).await {
        Ok(Brought::Moved(record)) => {
            let notes = notes_of(shared, link, &record, talk).await?;
            see(shared, link, record, notes, talk).await?;
            // A note of ours may be there, so the next attempt looks for it.
            Ok(Landed::Seen)
        }
        Ok(Brought::Done { record, stuck }) => {
            let outcome = Outcome::Brought {
                record,
                face: link.wanted.clone(),
                note: link.notes_wanted,
                stuck: stuck.map(SmolStr::from),
            };
            report(shared, link, outcome, talk).await
        }
        Err(Failure::Refused(why)) => {
            let why = SmolStr::from(why);
            report(shared, link, Outcome::Refused { why }, talk).await
        }
        Err(Failure::Gone(why)) => {
            let why = SmolStr::from(why);
            report(shared, link, Outcome::Gone { why }, talk).await
        }
        Err(failure) => {
            // A note that arrived before the rest failed must not be sent again.
            talk.noted = apply.notes_done();
            Err(failure.into())
        }
    }
}

/// What people wrote in a ticket; who may not read it there sees nothing of it.
pub(super) async fn notes_of(
    shared: &Shared,
    link: &Link,
    record: &Record,
    talk: &mut Conversation<'_>,
) -> Result<Vec<RemoteNote>, Landed> {
    let (profile, base) = (&shared.connector.profile, shared.connector.base());
    let mut read = ReadNotes::new(profile, &base, link, record);
    match talk.hold(&mut read).await {
        Ok(notes) => {
            let theirs = notes.into_iter().filter(|note| !note.text.contains(MARKER));
            let mut theirs: Vec<_> = theirs.collect();
            theirs.reverse();
            Ok(theirs)
        }
        Err(Failure::Refused(why) | Failure::Gone(why)) => {
            let name = &shared.connector.name;
            log::debug!(connector = name.as_str(); "connector {name} cannot read notes: {why}");
            Ok(Vec::new())
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Reads one ticket and takes over what changed there.
pub(super) async fn read(shared: Arc<Shared>, link: Arc<Link>) -> Landed {
    let Some(known) = &link.record else {
        return Landed::Reported;
    };
    let (profile, base) = (&shared.connector.profile, shared.connector.base());
    let mut talk = shared.line.begin();
    let mut read = Read::new(profile, &base, &link, known);
    let seen = match talk.hold(&mut read).await {
        Ok(record) => {
            let notes = notes_of(&shared, &link, &record, &mut talk).await;
            match notes {
                Ok(notes) => see(&shared, &link, record, notes, &mut talk).await,
                Err(landed) => Err(landed),
            }
        }
        Err(Failure::Gone(why)) => {
            let why = SmolStr::from(why);
            report(&shared, &link, Outcome::Gone { why }, &mut talk).await
        }
        Err(failure) => Err(failure.into()),
    };
    seen.unwrap_or_else(|landed| landed)
}

/// Reports what a ticket is now until nothing of it is new.
pub(super) async fn see(
    shared: &Shared,
    link: &Link,
    record: Record,
    notes: Vec<RemoteNote>,
    talk: &mut Conversation<'_>,
) -> Result<Landed, Landed> {
    let outcome = Outcome::Seen {
        known: link.record.clone().unwrap_or_default(),
        record,
        notes,
    };
    for _ in 0..TURNS_MAX {
        let report = TicketReport {
            incident: link.incident,
            connector: link.connector.clone(),
            generation: link.generation,
            outcome: outcome.clone(),
            exchanges: std::mem::take(&mut talk.said),
        };
        let answer = shared.setup.engine.report_ticket(&report).await;
        let answer = answer.map_err(|error| Landed::Unheard(error.to_string()))?;
        if answer.is_refused || answer.reason == Reason::TicketInStep {
            break;
        }
    }
    Ok(Landed::Reported)
}

/// Reports one outcome, with what was said.
pub(super) async fn report(
    shared: &Shared,
    link: &Link,
    outcome: Outcome,
    talk: &mut Conversation<'_>,
) -> Result<Landed, Landed> {
    let report = TicketReport {
        incident: link.incident,
        connector: link.connector.clone(),
        generation: link.generation,
        outcome,
        exchanges: std::mem::take(&mut talk.said),
    };
    let answer = shared.setup.engine.report_ticket(&report).await;
    answer.map_err(|error| Landed::Unheard(error.to_string()))?;
    Ok(Landed::Reported)
}
