//! `watchbell route try`: who would be told, and why.
//!
//! Must not tell anybody.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::cli::table::{Fit, Table};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell route try INC-42
  watchbell route try --priority P1
  watchbell route try --severity high --source grid --label site=berlin --at 2026-12-24T03:00:00Z

Exit code 0: somebody would be told; 1: nobody would.";

/// Options of `route`.
#[derive(Args, Clone, Debug)]
pub struct RouteArgs {
    #[command(subcommand)]
    command: RouteCommand,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What to do with routes.
#[derive(Subcommand, Clone, Debug)]
enum RouteCommand {
    /// Show who would be told of an incident, one that is there or one that is made up
    #[command(after_help = EXAMPLES)]
    Try {
        /// The number of an incident
        #[arg(value_name = "INCIDENT")]
        incident: Option<String>,
        /// The severity of a made-up one
        #[arg(long, value_name = "SEVERITY")]
        severity: Option<String>,
        /// The priority of a made-up one
        #[arg(long, value_name = "PRIORITY")]
        priority: Option<String>,
        /// The source of its alert
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
        /// A label of its alert, like site=berlin; may be repeated
        #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
        label: Vec<(String, String)>,
        /// The time to try
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
}

#[derive(Deserialize)]
struct Tried {
    team: Option<String>,
    targets: Vec<String>,
    escalations: Vec<String>,
    routes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    route: String,
    when: Option<String>,
    matched: bool,
    error: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, like site=berlin")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Carries out a command about routes.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn run(client: &Client, args: &RouteArgs, out: &Out) -> Result<Exit, Failure> {
    let RouteCommand::Try {
        incident,
        severity,
        priority,
        source,
        label,
        at,
    } = &args.command;
    let mut body = Map::new();
    let texts = [
        ("incident", incident),
        ("severity", severity),
        ("priority", priority),
        ("source", source),
        ("at", at),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    let labels: Map<String, Value> = label
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    body.insert("labels".to_owned(), Value::Object(labels));
    let answer = client
        .post(&["routes", "try"], &Value::Object(body))
        .await?;
    let tried: Tried = parse(&answer)?;
    match args.daemon.output {
        Output::Json => json::print(&answer, out)?,
        Output::Table | Output::Csv => out.print(&table(&tried, out))?,
    }
    let is_told = !tried.targets.is_empty() || !tried.escalations.is_empty();
    Ok(if is_told { Exit::Done } else { Exit::Failed })
}

fn table(tried: &Tried, out: &Out) -> String {
    let mut table = Table::new(&[("route", Fit::Fixed), ("", Fit::Fixed), ("when", Fit::Wrap)]);
    for route in &tried.routes {
        let verdict = match (&route.error, route.matched) {
            (Some(_), _) => "error",
            (None, true) => "matches",
            (None, false) => "no",
        };
        let when = route.when.clone().unwrap_or_else(|| "always".to_owned());
        let when = match &route.error {
            Some(error) => format!("{when}: {error}"),
            None => when,
        };
        table.row([route.route.clone().into(), verdict.into(), when.into()]);
    }
    let list = |items: &[String]| {
        if items.is_empty() {
            "nobody".to_owned()
        } else {
            items.join(", ")
        }
    };
    let mut text = String::new();
    if tried.routes.is_empty() {
        text.push_str("There are no routes: every target is told.\n");
    } else {
        text.push_str(&table.render(out));
    }
    text.push_str(&format!("tells      {}\n", list(&tried.targets)));
    if !tried.escalations.is_empty() {
        text.push_str(&format!("escalates  {}\n", list(&tried.escalations)));
    }
    if let Some(team) = &tried.team {
        text.push_str(&format!("team       {team}\n"));
    }
    text
}
