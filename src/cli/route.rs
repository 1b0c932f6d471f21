//! `watchbell route try`: who would be told, and why.
//!
//! A daemon that runs is asked, since it knows the CMDB and who stands in; without one the routes of the configuration are
//! tried. Must not tell anybody.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::tell_routes::{What, read_trial, shown};
use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::cli::settings::request;
use crate::cli::table::{Fit, Table};
use crate::config::{self, Env};
use crate::core::state::State;
use crate::core::tell::trial::try_made_up;

/// Bytes of what is tried.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell route try INC-42
  watchbell route try --priority P1
  watchbell route try --severity high --source grid --label site=berlin --at 2026-12-24T03:00:00Z
  watchbell route try alertname=DiskFull severity=critical site=berlin
  watchbell route try --offline --config new.toml < alert.json     # an alert, an incident, labels

Without a daemon that answers, the routes of the configuration are tried.
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
    Try(TryArgs),
}

/// What is tried.
#[derive(Args, Clone, Debug)]
struct TryArgs {
    /// The number of an incident; or labels like site=berlin; or - for JSON on standard input
    #[arg(value_name = "INCIDENT or NAME=VALUE")]
    about: Vec<String>,
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
    #[arg(long, visible_alias = "labels", value_name = "NAME=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The CI that it is about
    #[arg(long, value_name = "CI")]
    ci: Option<String>,
    /// A service that it reaches; may be repeated
    #[arg(long, value_name = "SERVICE")]
    service: Vec<String>,
    /// The time to try
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Try the routes of the configuration, whether or not a daemon runs
    #[arg(long)]
    offline: bool,
}

#[derive(Deserialize)]
struct Tried {
    team: Option<String>,
    targets: Vec<String>,
    escalations: Vec<String>,
    steps: Vec<Step>,
    routes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Step {
    escalation: String,
    after_s: i64,
    tells: Vec<String>,
    missing: Vec<String>,
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
/// The daemon refuses, or there is none and the configuration is wrong.
pub async fn run(
    config: Option<&Path>,
    args: &RouteArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let RouteCommand::Try(wanted) = &args.command;
    let body = body(wanted)?;
    let is_there = body.get("incident").is_some_and(Value::is_string);
    let answer = if wanted.offline {
        alone(config, env, body)?
    } else {
        let asked = ask(config, args, env, &body).await;
        match asked {
            Err(failure) if failure.exit() == Exit::Unreachable && !is_there => {
                out.note("no daemon answers: the routes of the configuration are tried");
                alone(config, env, body)?
            }
            asked => asked?,
        }
    };
    let tried: Tried = parse(&answer)?;
    match args.daemon.output {
        Output::Json => json::print(&answer, out)?,
        Output::Table | Output::Csv => out.print(&table(&tried, out))?,
    }
    let is_told = !tried.targets.is_empty() || !tried.escalations.is_empty();
    Ok(if is_told { Exit::Done } else { Exit::Failed })
}

async fn ask(
    config: Option<&Path>,
    args: &RouteArgs,
    env: &Env,
    body: &Value,
) -> Result<String, Failure> {
    let client = Client::new(&args.daemon, config, env)?;
    client.post(&["routes", "try"], body).await
}

/// The routes of the configuration, with nothing known of a CMDB or of who stands in.
fn alone(config: Option<&Path>, env: &Env, body: Value) -> Result<String, Failure> {
    let settings = config::load(&request(config, env))?;
    let rules = config::rules(&settings);
    let asked = read_trial(body).map_err(Failure::usage)?;
    let trial = match asked.what {
        What::MadeUp(trial) => trial,
        What::Incident(number) => {
            let text = format!("{number} is known to a daemon only");
            return Err(Failure::usage(text).next("remove --offline, or describe the incident"));
        }
    };
    let at = asked.at.map_or_else(now, |at| at.0);
    let tried = try_made_up(&State::default(), &rules, &trial, at);
    let tried = tried.ok_or_else(|| Failure::failed("nothing could be tried"))?;
    serde_json::to_string(&shown(tried, &rules.tell.routes))
        .map_err(|error| Failure::failed(format!("the result cannot be written: {error}")))
}

/// What is tried, as the API takes it.
fn body(wanted: &TryArgs) -> Result<Value, Failure> {
    let mut labels: Map<String, Value> = Map::new();
    let mut fields = Map::new();
    let mut is_read = false;
    for about in &wanted.about {
        if about == "-" {
            is_read = true;
        } else if let Ok((name, value)) = pair(about) {
            labels.insert(name, json!(value));
        } else {
            fields.insert("incident".to_owned(), json!(about));
        }
    }
    labels.extend(
        wanted
            .label
            .iter()
            .map(|(name, value)| (name.clone(), json!(value))),
    );
    let texts = [
        ("severity", &wanted.severity),
        ("priority", &wanted.priority),
        ("source", &wanted.source),
        ("ci", &wanted.ci),
        ("at", &wanted.at),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    if !wanted.service.is_empty() {
        fields.insert("services".to_owned(), json!(wanted.service));
    }
    let is_bare = fields.keys().all(|name| name == "at") && labels.is_empty();
    if is_read || (is_bare && !io::stdin().is_terminal()) {
        return of_stdin(fields, &labels);
    }
    fields.insert("labels".to_owned(), Value::Object(labels));
    Ok(Value::Object(fields))
}

/// What stands on standard input, with what the options say besides.
fn of_stdin(fields: Map<String, Value>, labels: &Map<String, Value>) -> Result<Value, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(BODY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    let mut body = match text.trim() {
        "" => json!({}),
        text => serde_json::from_str(text).map_err(|error| {
            Failure::usage(format!("standard input is not JSON: {error}"))
                .next("give an alert, an incident, or labels as a JSON object")
        })?,
    };
    if !labels.is_empty() {
        body = json!({ "labels": labels });
    }
    if let Some(body) = body.as_object_mut() {
        body.extend(fields);
    }
    Ok(body)
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
    for step in &tried.steps {
        let mut line = list(&step.tells);
        for missing in &step.missing {
            line.push_str(&format!(" ({missing})"));
        }
        let minutes = step.after_s / 60;
        text.push_str(&format!(
            "           {} after {minutes} min: {line}\n",
            step.escalation
        ));
    }
    if let Some(team) = &tried.team {
        text.push_str(&format!("team       {team}\n"));
    }
    text
}
