//! What a ticket says about its incident: title, text, notes, resolution.
//!
//! Must not know any platform.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value as Json;

use super::{ConnectorSetup, TicketsSetup};
use crate::connectors::Brief;
use crate::connectors::apply::NoteWanted;
use crate::core::ids::IncidentId;
use crate::core::reason::Reason;
use crate::core::ticket::{Link, is_told};
use crate::store::tickets as store;

/// Candidates for the root cause that the text names.
const WHY_MAX: usize = 5;

/// How often it is looked whether the store has what memory has, and how long between two looks.
const COMMIT_LOOKS: u32 = 200;
const COMMIT_WAIT: Duration = Duration::from_millis(25);

/// Waits until what memory knows of a ticket stands in the store: memory runs ahead of it for a moment, and a ticket that
/// was written meanwhile would miss the note, or the title, that it was to be written for.
///
/// # Errors
/// The store does not answer, or does not get there.
pub(super) async fn committed(setup: &TicketsSetup, link: &Link) -> Result<(), String> {
    for _ in 0..COMMIT_LOOKS {
        let read = async {
            let mut reader = setup.db.reader().await?;
            store::link(reader.lend(), link.incident, &link.connector).await
        };
        let stored = read.await.map_err(|error| error.to_string())?;
        let has_it = |stored: &Link| {
            stored.changed_at > link.changed_at
                || (stored.changed_at == link.changed_at
                    && stored.notes_wanted >= link.notes_wanted
                    && stored.wanted == link.wanted)
        };
        if stored.as_ref().is_some_and(has_it) {
            return Ok(());
        }
        tokio::time::sleep(COMMIT_WAIT).await;
    }
    Err("the store does not have yet what is to be sent".to_owned())
}

/// Reads what a ticket says; nothing when there is no such incident any more.
///
/// # Errors
/// The store does not answer.
pub(super) async fn brief(
    setup: &TicketsSetup,
    connector: &ConnectorSetup,
    link: &Link,
) -> Result<Option<Brief>, String> {
    let Some(incident) = (setup.describe)(link.incident).await? else {
        return Ok(None);
    };
    let text_of = |key: &str| incident.get(key).and_then(Json::as_str).unwrap_or_default();
    let page = setup
        .external_url
        .as_ref()
        .map(|base| format!("{base}/incidents/{}", link.incident));
    let assignee = text_of("assignee");
    let named = |names: &[(String, String)], name: &str| {
        let found = names.iter().find(|(ours, _)| ours == name);
        found.map(|(_, theirs)| theirs.clone())
    };
    let resolution = resolution(setup, link).await?;
    let former = former(setup, link, text_of("previous")).await?;
    let title = text_of("title");
    let title = if title.is_empty() {
        link.incident.to_string()
    } else {
        title.to_owned()
    };
    Ok(Some(Brief {
        text: text(&incident, link, &former, page.as_deref()),
        title,
        resolution,
        assignee: named(&connector.people, assignee),
        group: named(&connector.groups, text_of("team")),
        link: page,
        now_ms: setup.clock.now().as_millis(),
        former,
        ci: None,
        incident,
    }))
}

fn text(incident: &Json, link: &Link, former: &[String], page: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a text cannot fail.
            writeln!(text, "{name}: {value}").ok();
        }
    };
    let word = |pointer: &str| {
        let value = incident.pointer(pointer);
        value.and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    line("Incident", &link.incident.to_string());
    line("Title", &word("/title"));
    line("Priority", &word("/priority"));
    line("Severity", &word("/severity"));
    line("Opened", &word("/opened_at"));
    line("Root cause", &word("/root_cause/ci/name"));
    let why = incident.pointer("/root_cause/why").and_then(Json::as_array);
    for why in why.into_iter().flatten().take(WHY_MAX) {
        line("Why", why.as_str().unwrap_or_default());
    }
    let services = incident.get("services").and_then(Json::as_array);
    let services: Vec<_> = services
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    line("Services", &services.join(", "));
    let total = incident.pointer("/alerts/total").and_then(Json::as_i64);
    line(
        "Alerts",
        &total.map_or_else(String::new, |total| total.to_string()),
    );
    line("Continues", &word("/previous"));
    line("Earlier tickets", &former.join(", "));
    line("Link", page.unwrap_or_default());
    line("Key", &link.key);
    text
}

/// Numbers of the tickets before this one: those of the incident, and the one of the incident that it continues.
async fn former(setup: &TicketsSetup, link: &Link, previous: &str) -> Result<Vec<String>, String> {
    let mut former: Vec<String> = link.former.iter().map(ToString::to_string).collect();
    let digits = previous.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    if let Some(id) = digits.parse().ok().and_then(IncidentId::new) {
        let read = async {
            let mut reader = setup.db.reader().await?;
            store::of_incidents(reader.lend(), &[id]).await
        };
        let mut found = read.await.map_err(|error| error.to_string())?;
        let earlier = found.remove(&id).unwrap_or_default().into_iter();
        let earlier = earlier.filter(|view| view.connector == link.connector.as_str());
        former.extend(earlier.filter_map(|view| view.number));
    }
    Ok(former)
}

/// The notes that a ticket shall hold and does not hold yet.
///
/// # Errors
/// The store does not answer.
pub(super) async fn notes(
    setup: &TicketsSetup,
    connector: &ConnectorSetup,
    link: &Link,
) -> Result<Vec<NoteWanted>, String> {
    if link.notes_wanted <= link.notes_sent {
        return Ok(Vec::new());
    }
    let span = (link.notes_sent, link.notes_wanted);
    let read = async {
        let mut reader = setup.db.reader().await?;
        store::notes(reader.lend(), link.incident, span).await
    };
    let rows = read.await.map_err(|error| error.to_string())?;
    let from_there = format!("({})", link.connector);
    let notes = rows.into_iter().filter_map(|(entry, code, actor, note)| {
        let reason =
            Reason::from_code(&code).filter(|reason| is_told(*reason, connector.extras))?;
        let is_theirs = actor
            .as_ref()
            .is_some_and(|actor| actor.ends_with(&from_there));
        (!is_theirs).then(|| NoteWanted {
            entry,
            text: worded(reason, actor.as_deref(), note.as_deref()),
        })
    });
    Ok(notes.collect())
}

fn worded(reason: Reason, actor: Option<&str>, note: Option<&str>) -> String {
    let who = actor.map_or_else(String::new, |actor| format!("{actor}: "));
    match (reason, note) {
        (Reason::NoteAdded, Some(note)) => format!("{who}{note}"),
        (_, Some(note)) => format!("{who}{} {note}", reason.sentence()),
        (_, None) => format!("{who}{}", reason.sentence()),
    }
}

async fn resolution(setup: &TicketsSetup, link: &Link) -> Result<String, String> {
    let read = async {
        let mut reader = setup.db.reader().await?;
        store::resolution(reader.lend(), link.incident).await
    };
    let row = read.await.map_err(|error| error.to_string())?;
    Ok(match row {
        Some((code, actor, note)) => {
            let reason = Reason::from_code(&code);
            let sentence = reason.map_or("The incident was resolved.", Reason::sentence);
            match (note.filter(|note| !note.is_empty()), actor) {
                (Some(note), Some(actor)) => format!("{note} ({actor})"),
                (Some(note), None) => note,
                (None, Some(actor)) => format!("Resolved by {actor}."),
                (None, None) => sentence.to_owned(),
            }
        }
        None => "The incident was resolved.".to_owned(),
    })
}
