//! Reads the change records of a platform every so often and hands those that differ from what is held to the engine.
//!
//! The cursor is the latest time of change seen there, less an overlap, and outlives a restart; the first time it reaches
//! back as far as the configuration says. What is known already costs no input. Must not write anything there.

use std::time::Duration;

use smol_str::{SmolStr, format_smolstr};
use tokio_util::sync::CancellationToken;

use super::runner::Line;
use super::{ConnectorSetup, TicketsSetup};
use crate::connectors::Failure;
use crate::connectors::change_list::{ChangeList, ChangeQuery};
use crate::core::records::change::ChangeWanted;
use crate::core::records::{ChangeState, RecordGiven, RecordOrder, is_recorded};
use crate::core::time::{Span, Timestamp};
use crate::store::tickets::changes_read_until;

/// How far looks overlap: records may become visible later than their time of change.
const OVERLAP: Span = Span::from_mins(2);
/// The longest pause that a platform may ask for.
const PAUSE_MAX: u64 = 3_600;

/// Which change records are read, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePoll {
    /// Which.
    pub query: ChangeQuery,
    /// How often.
    pub every: Duration,
    /// How far the first look reaches back.
    pub first_look: Span,
    /// Whether people shall not be told of alerts of their CIs while they are made.
    pub opens_maintenance: bool,
}

/// Looks until it is told to stop.
pub(super) async fn run(
    setup: TicketsSetup,
    connector: ConnectorSetup,
    poll: ChangePoll,
    stop: CancellationToken,
) {
    let name = connector.name.clone();
    let base = connector.base();
    let line = match Line::new(connector, setup.clock.clone()) {
        Ok(line) => line,
        Err(why) => {
            log::error!(connector = name.as_str(), error = why.as_str(); "connector {name} cannot be used: {why}");
            return;
        }
    };
    let mut cursor = kept(&setup, &name).await;
    loop {
        let mut pause = poll.every;
        if !is_paused(&setup, &name).await {
            let since = cursor.unwrap_or_else(|| setup.clock.now().minus(poll.first_look));
            match look(&setup, &line, &poll, (&name, &base, since)).await {
                Ok((latest, is_cut)) => {
                    let next = latest.map(|at| at.minus(OVERLAP).max(since)).or(cursor);
                    if let Some(at) = next.filter(|_| next != cursor) {
                        keep(&setup, &name, at).await;
                    }
                    cursor = next;
                    if is_cut && latest.is_some_and(|at| at > since.plus(OVERLAP)) {
                        pause = pause.min(Duration::from_secs(1));
                    }
                }
                Err(failure) => {
                    let why = failure.to_string();
                    log::warn!(connector = name.as_str(), error = why.as_str(); "changes of {name} cannot be read: {why}");
                    setup.board.failed(&name, &why, setup.clock.now());
                    if let Failure::Limited { after_s: Some(s) } = failure {
                        pause = pause.max(Duration::from_secs(s.min(PAUSE_MAX)));
                    }
                }
            }
        }
        let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if slept.is_none() {
            return;
        }
    }
}

/// Where the looks stood before the start.
async fn kept(setup: &TicketsSetup, name: &SmolStr) -> Option<Timestamp> {
    let read = async {
        let mut reader = setup.db.reader().await?;
        changes_read_until(reader.lend(), name).await
    };
    read.await.unwrap_or_else(|error| {
        log::warn!(connector = name.as_str(), error:% = error; "where {name} was read to is not known: {error}");
        None
    })
}

/// What is not kept is read once more after a restart, nothing else.
async fn keep(setup: &TicketsSetup, name: &SmolStr, at: Timestamp) {
    let kept = setup.engine.writer().changes_read(name.clone(), at).await;
    if let Err(error) = kept {
        log::debug!(connector = name.as_str(), error:% = error; "where {name} was read to is not kept: {error}");
    }
}

async fn is_paused(setup: &TicketsSetup, name: &SmolStr) -> bool {
    let name = name.clone();
    let looked = setup
        .engine
        .look(move |state| state.tickets().is_paused(&name));
    looked.await.unwrap_or(true)
}

/// Looks once; the latest time of change there, and whether there is more.
async fn look(
    setup: &TicketsSetup,
    line: &Line,
    poll: &ChangePoll,
    (name, base, since): (&SmolStr, &str, Timestamp),
) -> Result<(Option<Timestamp>, bool), Failure> {
    let mut list = ChangeList::new(poll.query.clone(), base, since);
    let read = line.begin().hold(&mut list).await?;
    let now = setup.clock.now();
    let changes = read.changes.into_iter();
    let wanted: Vec<_> = changes
        .map(|change| whole(change, name, poll.opens_maintenance, now))
        .collect();
    let away = |error: String| Failure::Away(format!("they cannot be taken over now: {error}"));
    let looked = setup.engine.look(move |state| {
        let new = wanted.into_iter();
        new.filter(|change| !is_recorded(state, change))
            .collect::<Vec<_>>()
    });
    for change in looked.await.map_err(|error| away(error.to_string()))? {
        let given = RecordGiven {
            order: RecordOrder::PutChange {
                wanted: Box::new(change),
            },
            actor: format_smolstr!("connector:{name}"),
            past: None,
            is_past_incident: false,
        };
        let answer = setup.engine.record(given).await;
        let answer = answer.map_err(|error| away(error.to_string()))?;
        if answer.is_refused {
            let reason = answer.reason;
            log::info!(connector = name.as_str(), reason = reason.code(); "a change of {name} came to nothing: {}", reason.sentence());
        }
    }
    Ok((read.latest, read.is_cut))
}

/// A change with where it comes from and by what it is found again.
fn whole(
    mut change: ChangeWanted,
    name: &SmolStr,
    opens_maintenance: bool,
    now: Timestamp,
) -> ChangeWanted {
    // One that is being made before its planned begin has begun when it is heard of.
    let has_begun = change.state.is_some_and(ChangeState::has_begun);
    if has_begun && change.starts_at.is_some_and(|at| at > now) {
        change.starts_at = None;
    }
    change.source.clone_from(name);
    let id = change.external_id.clone().unwrap_or_default();
    change.key = Some(format_smolstr!("{name}:{id}"));
    if opens_maintenance {
        change.opens_maintenance = Some(true);
    }
    if let (Some(start), Some(end)) = (change.starts_at, change.ends_at)
        && end < start
    {
        change.ends_at = None;
    }
    change
}
