//! What a ticket says about its incident: title, text, notes, resolution.
//!
//! Must not know any platform.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{ConnectorSetup, TicketsSetup};
use crate::connectors::Brief;
use crate::connectors::apply::NoteWanted;
use crate::core::reason::Reason;
use crate::core::ticket::{Link, NOTES};
use crate::store::tickets as store;

/// Candidates for the root cause that the text names.
const WHY_MAX: usize = 5;

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
    let title = text_of("title");
    let title = if title.is_empty() {
        link.incident.to_string()
    } else {
        title.to_owned()
    };
    Ok(Some(Brief {
        text: text(&incident, link, page.as_deref()),
        title,
        resolution,
        assignee: named(&connector.people, assignee),
        group: named(&connector.groups, text_of("team")),
        link: page,
        now_ms: setup.clock.now().as_millis(),
        former: link.former.iter().map(ToString::to_string).collect(),
        incident,
    }))
}

fn text(incident: &Json, link: &Link, page: Option<&str>) -> String {
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
    let former: Vec<_> = link.former.iter().map(|number| number.as_str()).collect();
    line("Earlier tickets", &former.join(", "));
    line("Link", page.unwrap_or_default());
    line("Key", &link.key);
    text
}

/// The notes that a ticket shall hold and does not hold yet.
///
/// # Errors
/// The store does not answer.
pub(super) async fn notes(setup: &TicketsSetup, link: &Link) -> Result<Vec<NoteWanted>, String> {
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
        let reason = Reason::from_code(&code).filter(|reason| NOTES.contains(reason))?;
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
