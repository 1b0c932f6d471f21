//! `watchbell report`: figures over a period, as a table, CSV or JSON.
//!
//! Must not compute anything: the daemon does, and says how.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::cli::text::clean;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell report                                 # which reports there are
  watchbell report mttr --since 30d
  watchbell report sla --since 2026-11-01T00:00:00Z --by team
  watchbell report summary --since 90d --csv > figures.csv
  watchbell report backlog --output json";

/// Options of `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Which: mtta, mttr, sla, backlog, reopen, escalation, recurring, noise, changes, cost, satisfaction or summary; without it, a list
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// From when: so long ago like 30d, a date, or a time like 2026-01-31T08:00:00Z
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    since: String,
    /// To when; now when not given
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// What the rows stand for
    #[arg(long, value_enum, default_value_t = By::Priority)]
    by: By,
    /// Comma-separated values, with the total as the last row
    #[arg(long)]
    csv: bool,
    /// The same as --output
    #[arg(long, value_enum, conflicts_with = "csv")]
    format: Option<Output>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What the rows stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// One row per priority
    Priority,
    /// One row per team
    Team,
}

#[derive(Deserialize)]
struct Report {
    title: String,
    since: String,
    until: String,
    by: String,
    columns: Vec<String>,
    rows: Vec<Map<String, Value>>,
    total: Map<String, Value>,
    formula: String,
}

#[derive(Deserialize)]
struct Kinds {
    items: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
    title: String,
}

/// Shows a report, or which there are.
///
/// # Errors
/// The daemon does not answer, or there is no such report.
pub async fn run(client: &Client, args: &ReportArgs, out: &Out) -> Result<Exit, Failure> {
    let output = if args.csv {
        Output::Csv
    } else {
        args.format.unwrap_or(args.daemon.output)
    };
    let (is_csv, is_json) = (output == Output::Csv, output == Output::Json);
    let Some(name) = &args.name else {
        let answer = client.get(&["reports"], &[]).await?;
        if is_json {
            json::print(&answer, out)?;
            return Ok(Exit::Done);
        }
        let kinds: Kinds = parse(&answer)?;
        let lines = kinds.items.iter();
        let lines = lines.map(|kind| format!("{:<12}{}\n", clean(&kind.name), clean(&kind.title)));
        out.print(&lines.collect::<String>())?;
        return Ok(Exit::Done);
    };
    let by = match args.by {
        By::Priority => "priority",
        By::Team => "team",
    };
    let mut query = vec![("since", args.since.clone()), ("by", by.to_owned())];
    query.extend(args.until.clone().map(|until| ("until", until)));
    let answer = client.get(&["reports", name], &query).await?;
    if is_json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let report: Report = parse(&answer)?;
    let text = if is_csv {
        csv(&report)?
    } else {
        table(&report)
    };
    out.print(&text)?;
    Ok(Exit::Done)
}

/// The cells of a row, the total's name in front of its own.
fn cells(report: &Report, row: &Map<String, Value>, name: Option<&str>) -> Vec<String> {
    let columns = report.columns.iter();
    columns
        .map(|column| match (row.get(column), name) {
            (None, Some(name)) if *column == report.by => name.to_owned(),
            (Some(Value::String(text)), _) => clean(text),
            (None | Some(Value::Null), _) => String::new(),
            (Some(value), _) => value.to_string(),
        })
        .collect()
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let rows = report.rows.iter().map(|row| cells(report, row, None));
    let total = cells(report, &report.total, Some("total"));
    rows.chain([total]).collect()
}

fn csv(report: &Report) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed =
        |error: csv::Error| Failure::unreachable(format!("the table cannot be written: {error}"));
    writer.write_record(&report.columns).map_err(failed)?;
    for row in rows(report) {
        writer.write_record(&row).map_err(failed)?;
    }
    let bytes = writer.into_inner().unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn table(report: &Report) -> String {
    let mut lines = vec![
        report
            .columns
            .iter()
            .map(|it| it.to_uppercase())
            .collect::<Vec<_>>(),
    ];
    lines.extend(rows(report));
    let widths: Vec<usize> = (0..report.columns.len())
        .map(|at| {
            let cells = lines.iter().filter_map(|line| line.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = format!(
        "{} from {} to {}\n\n",
        clean(&report.title),
        clean(&report.since),
        clean(&report.until)
    );
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(at, (cell, &width))| {
            if at == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text.push_str(&format!("\n{}\n", clean(&report.formula)));
    text
}
