//! `watchbell cmdb`: import configuration items, look at them, and check how good they are.
//!
//! Must not judge anything; the daemon does.

mod import;

use std::io::Read as _;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;

pub use import::ImportArgs;
use import::import;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell cmdb import cmdb.json --dry-run          # says what would change
  watchbell cmdb import cis.csv relations.csv --as spreadsheet
  watchbell cmdb show sw-a1
  watchbell cmdb impact sw-a1
  watchbell cmdb doctor
  echo '{\"instance\":\"VM07.CORP.EXAMPLE:9100\"}' | watchbell cmdb bind-check
  watchbell cmdb export > cmdb.json

An import is a full picture: what it no longer names is deleted. One that would delete more than a
fifth of what it named before is held (exit code 1) until --confirm-deletes says that it is meant.";

/// Problems and ids shown of an import.
const SHOWN_MAX: usize = 20;

/// What to do with the CMDB.
#[derive(Subcommand, Clone, Debug)]
pub enum CmdbCommand {
    /// Import items and relations; prints the difference
    #[command(after_help = EXAMPLES)]
    Import(ImportArgs),
    /// Show an item with its relations
    #[command(after_help = EXAMPLES)]
    Show(CiArgs),
    /// Show what a failure of an item would reach
    #[command(after_help = EXAMPLES)]
    Impact(CiArgs),
    /// Tell what is wrong with the CMDB, and what to do about it
    #[command(after_help = EXAMPLES)]
    Doctor(PlainArgs),
    /// Tell which item an alert with these labels would be about, and why; labels come from stdin
    #[command(after_help = EXAMPLES)]
    BindCheck(PlainArgs),
    /// Print everything in the native format
    #[command(after_help = EXAMPLES)]
    Export(PlainArgs),
}

/// Options of the commands about one item.
#[derive(Args, Clone, Debug)]
pub struct CiArgs {
    /// The item's id
    #[arg(value_name = "CI")]
    id: String,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Options of the other commands.
#[derive(Args, Clone, Debug)]
pub struct PlainArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
}

impl CmdbCommand {
    /// Which daemon.
    pub fn daemon(&self) -> &DaemonArgs {
        match self {
            Self::Import(args) => &args.daemon,
            Self::Show(args) | Self::Impact(args) => &args.daemon,
            Self::Doctor(args) | Self::BindCheck(args) | Self::Export(args) => &args.daemon,
        }
    }
}

/// Runs one of the commands.
///
/// # Errors
/// A file cannot be read, or the daemon does not answer or refuses.
pub async fn run(client: &Client, command: &CmdbCommand, out: &Out) -> Result<Exit, Failure> {
    match command {
        CmdbCommand::Import(args) => import(client, args, out).await,
        CmdbCommand::Show(args) => show(client, args, out).await,
        CmdbCommand::Impact(args) => impact(client, args, out).await,
        CmdbCommand::Doctor(args) => doctor(client, args, out).await,
        CmdbCommand::BindCheck(args) => bind_check(client, args, out).await,
        CmdbCommand::Export(_) => {
            out.print(&client.download(&["cmdb", "export"]).await?)?;
            Ok(Exit::Done)
        }
    }
}

#[derive(Debug, Deserialize)]
struct Ref {
    id: String,
    name: String,
    class: String,
}

impl Ref {
    fn told(&self) -> String {
        let name = if self.name == self.id {
            String::new()
        } else {
            format!(" {}", self.name)
        };
        format!(
            "{}{name} ({})",
            self.id,
            if self.class.is_empty() {
                "no class"
            } else {
                &self.class
            }
        )
    }
}

#[derive(Debug, Deserialize)]
struct Relations {
    items: Vec<Relation>,
}

#[derive(Debug, Deserialize)]
struct Relation {
    from: Ref,
    to: Ref,
    #[serde(rename = "type")]
    kind: String,
}

/// The id of the item that people mean: by its id, or by a name or address that only one has.
async fn id_of(client: &Client, said: &str) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Found {
        items: Vec<Map<String, Value>>,
    }
    let Err(unknown) = client.get(&["cis", said], &[]).await else {
        return Ok(said.to_owned());
    };
    let query = [("q", said.to_owned()), ("limit", "2".to_owned())];
    let found = client.get(&["cis"], &query).await;
    let found: Option<Found> = found.ok().and_then(|found| parse(&found).ok());
    let only = match found.map(|found| found.items).as_deref() {
        Some([only]) => only.get("id").and_then(Value::as_str).map(str::to_owned),
        Some(_) | None => None,
    };
    only.ok_or(unknown)
}

async fn show(client: &Client, args: &CiArgs, out: &Out) -> Result<Exit, Failure> {
    let id = id_of(client, &args.id).await?;
    let ci = client.get(&["cis", &id], &[]).await?;
    if args.daemon.output == Output::Json {
        json::print(&ci, out)?;
        return Ok(Exit::Done);
    }
    let limit = [("limit", "500".to_owned())];
    let relations = client.get(&["cis", &id, "relations"], &limit).await?;
    let relations: Relations = parse(&relations)?;
    let fields: Map<String, Value> = parse(&ci)?;
    let mut lines = Vec::new();
    for (name, value) in &fields {
        let text = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            Value::Array(list) if list.is_empty() => continue,
            Value::Array(list) if list.iter().all(Value::is_string) => {
                let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                texts.join(", ")
            }
            Value::Object(object) if object.is_empty() => continue,
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string()
            }
        };
        lines.push(format!("{name:<12} {text}"));
    }
    for relation in relations.items {
        let kind = &relation.kind;
        lines.push(if relation.from.id == args.id {
            format!("{kind:<12} -> {}", relation.to.told())
        } else {
            format!("{kind:<12} <- {}", relation.from.told())
        });
    }
    out.print(&lines.join("\n"))?;
    Ok(Exit::Done)
}

#[derive(Debug, Deserialize)]
struct Radius {
    services: Vec<Reached>,
    cis: Vec<Reached>,
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Reached {
    ci: Ref,
    state: String,
    paths: Vec<Vec<String>>,
}

async fn impact(client: &Client, args: &CiArgs, out: &Out) -> Result<Exit, Failure> {
    let id = id_of(client, &args.id).await?;
    let answer = client.get(&["cis", &id, "impact"], &[]).await?;
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let radius: Radius = parse(&answer)?;
    let (services, cis) = (radius.services.len(), radius.cis.len());
    let mut lines = vec![format!(
        "{id} reaches {services} services and {cis} other items"
    )];
    for reached in radius.services.iter().chain(&radius.cis) {
        let path = reached
            .paths
            .first()
            .map(|path| path.join(" <- "))
            .unwrap_or_default();
        lines.push(format!(
            "  {:<9}  {}  by {path}",
            reached.state,
            reached.ci.told()
        ));
    }
    if radius.truncated {
        lines.push("  ... and more, beyond the limits of the walk".to_owned());
    }
    out.print(&lines.join("\n"))?;
    Ok(Exit::Done)
}

#[derive(Debug, Deserialize)]
struct Report {
    cis: usize,
    relations: usize,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    title: String,
    count: usize,
    items: Vec<Finding>,
    todo: String,
}

#[derive(Debug, Deserialize)]
struct Finding {
    text: String,
    cis: Vec<Ref>,
}

async fn doctor(client: &Client, args: &PlainArgs, out: &Out) -> Result<Exit, Failure> {
    let answer = client.get(&["cmdb", "doctor"], &[]).await?;
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let report: Report = parse(&answer)?;
    let mut lines = vec![format!(
        "{} items, {} relations",
        report.cis, report.relations
    )];
    for check in &report.checks {
        let mark = if check.count == 0 { "ok" } else { "!!" };
        lines.push(format!("{mark} {}: {}", check.title, check.count));
        for finding in check.items.iter().take(SHOWN_MAX) {
            let cis: Vec<String> = finding.cis.iter().take(5).map(Ref::told).collect();
            lines.push(format!("     {}  {}", finding.text, cis.join(", ")));
        }
        if check.count > 0 {
            lines.push(format!("   -> {}", check.todo));
        }
    }
    out.print(&lines.join("\n"))?;
    Ok(Exit::Done)
}

#[derive(Debug, Deserialize)]
struct Bound {
    ci: Option<Ref>,
    candidates: Vec<Ref>,
    trace: Vec<String>,
}

async fn bind_check(client: &Client, args: &PlainArgs, out: &Out) -> Result<Exit, Failure> {
    let mut text = String::new();
    let read = std::io::stdin()
        .lock()
        .take(1 << 20)
        .read_to_string(&mut text);
    read.map_err(|error| Failure::unreachable(format!("stdin cannot be read: {error}")))?;
    let answer = client
        .post(&["cmdb", "bind-check"], &labels(&text)?)
        .await?;
    let bound: Bound = parse(&answer)?;
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
    } else {
        let mut lines = bound.trace.clone();
        lines.extend(
            bound
                .candidates
                .iter()
                .map(|ci| format!("candidate {}", ci.told())),
        );
        out.print(&lines.join("\n"))?;
    }
    Ok(if bound.ci.is_some() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Labels as JSON, alone or with `annotations`, `source` and `hint`; or a line `name=value` each.
fn labels(text: &str) -> Result<Value, Failure> {
    let text = text.trim();
    if text.starts_with('{') {
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("stdin is no JSON object: {error}")))?;
        let is_whole = object.get("labels").is_some_and(Value::is_object);
        let whole = if is_whole {
            object
        } else {
            Map::from_iter([("labels".to_owned(), object.into())])
        };
        return Ok(whole.into());
    }
    let mut labels = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            let failure = Failure::usage(format!("{line:?} is no label"));
            return Err(failure.next("write a JSON object, or lines like instance=vm07:9100"));
        };
        let value = value.trim().trim_matches('"');
        labels.insert(name.trim().to_owned(), value.into());
    }
    Ok(Map::from_iter([("labels".to_owned(), Value::Object(labels))]).into())
}
