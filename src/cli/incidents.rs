//! `watchbell incidents`: the queue, from a terminal.
//!
//! Must not change anything.

use clap::Args;

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent};
use crate::cli::out::Out;
use crate::cli::pages::{self, Page};
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::cli::text::span;
use crate::cli::views::{Incident, priority_paint, time, words};
use crate::core::time::Timestamp;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell incidents --state open                 # everything that is not resolved or closed
  watchbell incidents --priority P1,P2 --team network
  watchbell incidents -q checkout --all --output json | jq -r '.items[].number'

ALERTS shows how many of the incident's alerts are still firing, of all it has.";

/// The states, and the word for those in which an incident needs people.
const STATES: [&str; 7] = [
    "open",
    "new",
    "acknowledged",
    "in_progress",
    "on_hold",
    "resolved",
    "closed",
];
const PRIORITIES: [&str; 5] = ["P1", "P2", "P3", "P4", "P5"];
/// The ladder of severities, for filters.
pub const SEVERITIES: [&str; 5] = ["critical", "high", "warning", "low", "info"];

const COLUMNS: &[(&str, Fit)] = &[
    ("NUMBER", Fit::Fixed),
    ("PRI", Fit::Fixed),
    ("STATE", Fit::Fixed),
    ("AGE", Fit::Right),
    ("ALERTS", Fit::Right),
    ("TITLE", Fit::Cut),
    ("ASSIGNEE", Fit::Fixed),
];

/// Options of `incidents`.
#[derive(Args, Clone, Debug)]
pub struct IncidentsArgs {
    /// Only these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = STATES)]
    state: Vec<String>,
    /// Only these priorities
    #[arg(long, value_name = "P1-P5", value_delimiter = ',', value_parser = PRIORITIES, ignore_case = true)]
    priority: Vec<String>,
    /// Only these severities
    #[arg(long, value_name = "SEVERITY", value_delimiter = ',', value_parser = SEVERITIES)]
    severity: Vec<String>,
    /// Only this team's
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Only what this person has
    #[arg(long, value_name = "WHO")]
    assignee: Option<String>,
    /// Only with alerts of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only with this text
    #[arg(short, long = "query", value_name = "TEXT")]
    query: Option<String>,
    #[command(flatten)]
    extent: Extent,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Prints the incidents that match.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn run(client: &Client, args: &IncidentsArgs, out: &Out) -> Result<Exit, Failure> {
    let upper: Vec<String> = args.priority.iter().map(|p| p.to_uppercase()).collect();
    let filters = filters([
        ("state", Some(args.state.join(","))),
        ("priority", Some(upper.join(","))),
        ("severity", Some(args.severity.join(","))),
        ("team", args.team.clone()),
        ("assignee", args.assignee.clone()),
        ("source", args.source.clone()),
        ("q", args.query.clone()),
    ]);
    let page = pages::read(client, &["incidents"], &filters, args.extent).await?;
    pages::print(&page, "incidents", args.daemon.output, out, |page| {
        table(page, now(), out)
    })?;
    Ok(Exit::Done)
}

/// The filters that are set, as query parameters.
pub fn filters<const N: usize>(
    all: [(&'static str, Option<String>); N],
) -> Vec<(&'static str, String)> {
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn table(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let mut table = Table::new(COLUMNS);
    for incident in page.values::<Incident>()? {
        table.row(row(&incident, now));
    }
    Ok(table.render(out))
}

fn row(incident: &Incident, now: Timestamp) -> [Cell; 7] {
    let is_over = matches!(incident.state.as_str(), "resolved" | "closed");
    let state = if is_over { Paint::Dim } else { Paint::Plain };
    let priority = if is_over {
        Paint::Dim
    } else {
        priority_paint(&incident.priority)
    };
    let age = incident
        .opened_at
        .map_or_else(String::new, |at| span(now.since(time(at))));
    [
        incident.number.as_str().into(),
        Cell::painted(&incident.priority, priority),
        Cell::painted(&words(&incident.state), state),
        age.into(),
        format!("{}/{}", incident.alerts.firing, incident.alerts.total).into(),
        incident.title.as_str().into(),
        incident.assignee.as_deref().unwrap_or("").into(),
    ]
}
