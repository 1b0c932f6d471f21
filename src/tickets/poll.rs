//! What changed there since the last look: overlapping, so that clocks that differ and equal times lose nothing.
//!
//! Times are those of the platform's own clock, as its answers tell it. Must not take over anything by itself; what
//! differs is reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::runner::Conversation;
use super::sync::{Landed, Shared, notes_of, report, see};
use crate::connectors::Failure;
use crate::connectors::list::{Changed, Changes};
use crate::connectors::talk::Read;
use crate::core::ids::IncidentId;
use crate::core::ticket::report::Outcome;
use crate::core::ticket::{Link, Record};
use crate::core::time::{Span, Timestamp};

/// How far the first look after a start reaches back.
const FIRST_LOOK: Span = Span::from_days(7);
/// A time has this resolution at least: what shows the same time may have changed since within it.
const RESOLUTION: Span = Span::from_secs(3);

/// Where the looks stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    /// The platform's time at the last look, less the overlap.
    since: Option<Timestamp>,
    /// Tickets whose time was new at the last look, with our time then: they are read once more.
    fresh: BTreeMap<SmolStr, (SmolStr, Timestamp)>,
}

/// Looks once; tickets that are being worked on are left for the next time.
pub(super) async fn look(
    shared: Arc<Shared>,
    mut cursor: Cursor,
    busy: Vec<IncidentId>,
) -> (Cursor, Landed) {
    let (now, started) = (shared.setup.clock.now(), Instant::now());
    let overlap =
        Span::from_secs(i64::try_from(shared.connector.profile.caps.overlap_s).unwrap_or(i64::MAX));
    let since = cursor.since.unwrap_or_else(|| now.minus(FIRST_LOOK));
    let mut talk = shared.line.begin();
    let mut changes = Changes::new(&shared.connector.profile, &shared.connector.base(), since);
    let changed = match talk.hold(&mut changes).await {
        Ok(changed) => changed,
        Err(_) if talk.is_held_back => return (cursor, Landed::Later),
        Err(failure) => return (cursor, failure.into()),
    };
    let asked_at = changed.date_ms.map_or(now, Timestamp::from_millis);
    let is_cut = changed.is_cut;
    let links = match known(&shared, &changed).await {
        Ok(links) => links,
        Err(why) => return (cursor, Landed::Unheard(why)),
    };
    for (link, record) in links {
        // What is written meanwhile is newer than what was read.
        if busy.contains(&link.incident) || shared.is_touched_since(link.incident, started) {
            continue;
        }
        if let Err(landed) = take(&shared, &mut cursor, &link, record, now).await {
            return (cursor, landed);
        }
    }
    shared.forget_touched(started);
    if !is_cut {
        cursor.since = Some(asked_at.minus(overlap));
    }
    (cursor, Landed::Reported)
}

type Known = Vec<(Arc<Link>, Option<Record>)>;

/// The tickets among those that changed which are ours.
async fn known(shared: &Shared, changed: &Changed) -> Result<Known, String> {
    let name = shared.connector.name.clone();
    let (records, gone) = (changed.records.clone(), changed.gone.clone());
    let looked = shared.setup.engine.look(move |state| {
        let tickets = state.tickets();
        let mut known: Known = Vec::new();
        for record in records {
            if let Some(link) = tickets.by_remote(&name, &record.id) {
                known.push((Arc::clone(link), Some(record)));
            }
        }
        for id in gone {
            if let Some(link) = tickets.by_remote(&name, &id) {
                known.push((Arc::clone(link), None));
            }
        }
        known
    });
    looked.await.map_err(|error| error.to_string())
}

/// The record with who changed it, where lists do not say that and the ticket itself does.
async fn signed(
    shared: &Shared,
    link: &Link,
    known: &Record,
    record: Record,
    talk: &mut Conversation<'_>,
) -> Record {
    let profile = &shared.connector.profile;
    let is_changed = known.status != record.status
        || known.assignee != record.assignee
        || known.priority != record.priority;
    if record.author.is_some() || !is_changed || !profile.names_authors() {
        return record;
    }
    let mut read = Read::new(profile, &shared.connector.base(), link, &record);
    talk.hold(&mut read).await.unwrap_or(record)
}

async fn take(
    shared: &Shared,
    cursor: &mut Cursor,
    link: &Link,
    record: Option<Record>,
    now: Timestamp,
) -> Result<(), Landed> {
    let mut talk = shared.line.begin();
    let Some(record) = record else {
        let why = "it was deleted or merged there".into();
        report(shared, link, Outcome::Gone { why }, &mut talk).await?;
        return Ok(());
    };
    let known = link.record.clone().unwrap_or_default();
    let record = signed(shared, link, &known, record, &mut talk).await;
    let is_new = known.updated != record.updated;
    let seen = cursor.fresh.get(&record.id).cloned();
    let is_unsettled =
        seen.is_some_and(|(updated, at)| updated == record.updated && now.since(at) >= RESOLUTION);
    if is_new {
        let entry = (record.updated.clone(), now);
        cursor.fresh.insert(record.id.clone(), entry);
    } else if is_unsettled {
        cursor.fresh.remove(&record.id);
    }
    let reads_notes = is_new || is_unsettled || record.updated.is_empty();
    if !reads_notes && known == record {
        return Ok(());
    }
    let notes = if reads_notes {
        match notes_of(shared, link, &record, &mut talk).await {
            Ok(notes) => notes,
            Err(Landed::Failed(Failure::Away(_))) => {
                // Read again at the next look.
                cursor
                    .fresh
                    .insert(record.id.clone(), (record.updated.clone(), now));
                Vec::new()
            }
            Err(landed) => return Err(landed),
        }
    } else {
        Vec::new()
    };
    if notes.is_empty() && known == record {
        return Ok(());
    }
    see(shared, link, record, notes, &mut talk).await.map(drop)
}
