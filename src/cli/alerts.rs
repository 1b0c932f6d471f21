//! `watchbell alerts`: what the sources report.
//!
//! Must not change anything.

use clap::Args;

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::incidents::{SEVERITIES, filters};
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent, incident};
use crate::cli::out::Out;
use crate::cli::pages::{self, Page};
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::cli::text::span;
use crate::cli::views::{Alert, filled, severity_paint, time};
use crate::core::ids::IncidentId;
use crate::core::time::Timestamp;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell alerts --status firing --severity critical,high
  watchbell alerts --source alertmanager -q PortDown
  watchbell alerts --status firing --all --output json | jq '.items | length'

AGE counts from the start that the source gives, SEEN is how often the alert was reported.";

const STATUSES: [&str; 2] = ["firing", "resolved"];
const COLUMNS: &[(&str, Fit)] = &[
    ("ID", Fit::Fixed),
    ("SEVERITY", Fit::Fixed),
    ("STATUS", Fit::Fixed),
    ("AGE", Fit::Right),
    ("SEEN", Fit::Right),
    ("INCIDENT", Fit::Fixed),
    ("SOURCE", Fit::Cut),
    ("SUMMARY", Fit::Cut),
];

/// Options of `alerts`.
#[derive(Args, Clone, Debug)]
pub struct AlertsArgs {
    /// Only firing or only resolved ones
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = STATUSES)]
    status: Vec<String>,
    /// Only these severities
    #[arg(long, value_name = "SEVERITY", value_delimiter = ',', value_parser = SEVERITIES)]
    severity: Vec<String>,
    /// Only of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only of this incident
    #[arg(long, value_name = "N", value_parser = incident)]
    incident: Option<IncidentId>,
    /// Only with this text
    #[arg(short, long = "query", value_name = "TEXT")]
    query: Option<String>,
    #[command(flatten)]
    extent: Extent,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Prints the alerts that match.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn run(client: &Client, args: &AlertsArgs, out: &Out) -> Result<Exit, Failure> {
    let filters = filters([
        ("status", Some(args.status.join(","))),
        ("severity", Some(args.severity.join(","))),
        ("source", args.source.clone()),
        ("incident", args.incident.map(|id| id.to_string())),
        ("q", args.query.clone()),
    ]);
    let page = pages::read(client, &["alerts"], &filters, args.extent).await?;
    pages::print(&page, "alerts", args.daemon.output, out, |page| {
        table(page, now(), out)
    })?;
    Ok(Exit::Done)
}

fn table(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let mut table = Table::new(COLUMNS);
    for alert in page.values::<Alert>()? {
        table.row(row(&alert, now));
    }
    Ok(table.render(out))
}

fn row(alert: &Alert, now: Timestamp) -> [Cell; 8] {
    let is_firing = alert.status == "firing";
    let severity = if is_firing {
        severity_paint(&alert.severity)
    } else {
        Paint::Dim
    };
    let status = match filled(alert.ended_by.as_ref()) {
        Some(ended_by) if !is_firing => ended_by,
        Some(_) | None => &alert.status,
    };
    let age = alert
        .starts_at
        .map_or_else(String::new, |at| span(now.since(time(at))));
    [
        alert.id.as_str().into(),
        Cell::painted(&alert.severity, severity),
        status.as_str().into(),
        age.into(),
        alert.count.to_string().into(),
        alert.incident.as_deref().unwrap_or("").into(),
        alert.source.as_str().into(),
        alert.summary.as_str().into(),
    ]
}
