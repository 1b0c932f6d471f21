//! One incident on a terminal: what it is, then its timeline in the order in which things happened.
//!
//! Must not change anything.

use serde_json::value::RawValue;

use crate::cli::client::{Client, parse};
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{Extent, Output};
use crate::cli::out::Out;
use crate::cli::pages::{self, Page};
use crate::cli::table::{Fit, Table};
use crate::cli::text::{clean, relative, span, utc};
use crate::cli::views::{Entry, Incident, filled, priority_paint, time, words};
use crate::core::time::Timestamp;

/// Newest entries of the timeline that are shown; `explain` shows more.
const ENTRIES: u64 = 100;

/// Prints an incident with its timeline; as JSON, `{"incident": ..., "timeline": [...]}`.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn show(client: &Client, number: &str, output: Output, out: &Out) -> Result<(), Failure> {
    let answer = client.get(&["incidents", number], &[]).await?;
    let extent = Extent {
        limit: ENTRIES,
        all: output == Output::Json,
    };
    let path = ["incidents", number, "timeline"];
    let page = pages::read(client, &path, &[], extent).await?;
    if output == Output::Json {
        let items: Vec<&str> = page.items.iter().map(|item| RawValue::get(item)).collect();
        let items = items.join(",");
        let answer = answer.trim();
        let text = format!("{{\"incident\":{answer},\"timeline\":[{items}]}}");
        return json::print(&text, out);
    }
    let incident: Incident = parse(&answer)?;
    let now = now();
    let mut text = head(&incident, now, out);
    if !page.items.is_empty() {
        text.push('\n');
        text.push_str(&timeline(&page, now, out)?);
    }
    out.print(&text)?;
    if page.next_cursor.is_some() {
        out.note(&format!(
            "Only the newest {ENTRIES} entries; `watchbell explain {number}` shows more."
        ));
    }
    Ok(())
}

fn head(incident: &Incident, now: Timestamp, out: &Out) -> String {
    let priority = priority_paint(&incident.priority).apply(&clean(&incident.priority), out);
    let number = clean(&incident.number);
    let state = clean(&words(&incident.state));
    let title = clean(&incident.title);
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            table.row([name.into(), value.into()]);
        }
    };
    let at = |at: Option<jiff::Timestamp>| {
        at.map(time)
            .map(|at| format!("{} ({})", utc(at), relative(at, now)))
    };
    fact("on hold for", incident.hold_reason.clone());
    fact("hold ends", at(incident.hold_until));
    fact("taken until", at(incident.acknowledged_until));
    fact("assignee", incident.assignee.clone());
    fact("team", incident.team.clone());
    fact("services", Some(incident.services.join(", ")));
    let counts = incident.alerts;
    let alerts = format!("{} of {} firing", counts.firing, counts.total);
    fact("alerts", Some(alerts));
    fact("opened", at(incident.opened_at));
    fact("acknowledged", at(incident.acknowledged_at));
    fact("recovers", at(incident.recovers_at));
    fact("resolved", at(incident.resolved_at));
    fact("closes", at(incident.closes_at));
    fact("closed", at(incident.closed_at));
    fact("follows", filled(incident.previous.as_ref()).cloned());
    fact("version", Some(incident.version.to_string()));
    let age = incident.opened_at.map_or_else(String::new, |at| {
        format!(", {} old", span(now.since(time(at))))
    });
    format!(
        "{number} {priority} {state}{age}\n{title}\n\n{}",
        table.render(out)
    )
}

fn timeline(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let entries: Vec<Entry> = page.values()?;
    Ok(in_order(entries, now, out))
}

/// Entries as a table, oldest first.
pub fn in_order(mut entries: Vec<Entry>, now: Timestamp, out: &Out) -> String {
    entries.sort_by_key(|entry| (entry.at, entry.id));
    let mut table = Table::new(&[
        ("TIME (UTC)", Fit::Fixed),
        ("", Fit::Right),
        ("WHAT HAPPENED", Fit::Wrap),
    ]);
    for entry in &entries {
        let at = entry.at.map(time);
        table.row([
            at.map_or_else(String::new, utc).into(),
            at.map_or_else(String::new, |at| relative(at, now)).into(),
            entry.line().into(),
        ]);
    }
    table.render(out)
}
