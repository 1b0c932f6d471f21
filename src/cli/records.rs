//! `watchbell records` and `watchbell review`: changes, requests, problems, known errors and actions from a terminal.
//!
//! Must not decide anything; the daemon does.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::cli::table::{Fit, Table};
use crate::cli::text;
use crate::core::ids::IncidentId;

pub(super) const EXAMPLES: &str = "\
Examples:
  watchbell records changes --filter ci=sw1
  watchbell records requests --filter state=open
  watchbell records problems --show PRB-3
  watchbell records known-errors --set title='Cache is full' --set workaround='restart it' --set 'matchers=alertname=CacheFull'
  watchbell records actions --show ACT-2 --set state=done";

pub(super) const REVIEW_EXAMPLES: &str = "\
Examples:
  watchbell review 42 > INC-42.md
  watchbell review 42 --set users=1200 --set cause='the firmware'";

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Records {
    /// Changes and deployments
    Changes,
    /// Work that is no disruption
    Requests,
    /// What keeps coming back
    Problems,
    /// What is known about it
    KnownErrors,
    /// What is to be done after incidents
    Actions,
}

impl Records {
    const fn path(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Requests => "requests",
            Self::Problems => "problems",
            Self::KnownErrors => "known-errors",
            Self::Actions => "actions",
        }
    }
}

/// What to do with records.
#[derive(Args, Clone, Debug)]
pub struct RecordsArgs {
    /// Which kind
    #[arg(value_enum)]
    kind: Records,
    /// Show one, or change it with --set
    #[arg(long, value_name = "NUMBER")]
    show: Option<String>,
    /// A filter of the list, like state=open
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// A field of a new record, or of the one named with --show
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    pub(super) daemon: DaemonArgs,
}

/// The review of an incident.
#[derive(Args, Clone, Debug)]
pub struct ReviewArgs {
    /// The incident
    #[arg(value_parser = crate::cli::options::incident)]
    incident: IncidentId,
    /// A field of the review to write, like cause=...
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    pub(super) daemon: DaemonArgs,
}

/// Lists, shows, makes or changes records.
///
/// # Errors
/// The daemon cannot be reached, or refuses.
pub async fn run(client: &Client, args: &RecordsArgs, out: &Out) -> Result<Exit, Failure> {
    let path = args.kind.path();
    let mut one = vec![path];
    one.extend(args.show.as_deref());
    if !args.set.is_empty() {
        let body = body(&args.set)?;
        let made = client.post(&one, &body).await?;
        json::print(&made, out)?;
        return Ok(Exit::Done);
    }
    if args.show.is_some() {
        let found = client.get(&one, &[]).await?;
        json::print(&found, out)?;
        return Ok(Exit::Done);
    }
    let filters: Result<Vec<_>, _> = args.filter.iter().map(|text| pair(text)).collect();
    let filters = filters?;
    let mut query = vec![("limit", "500".to_owned())];
    query.extend(
        filters
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    let list = client.get(&[path], &query).await?;
    if args.daemon.output == Output::Json {
        json::print(&list, out)?;
        return Ok(Exit::Done);
    }
    let list: Value = serde_json::from_str(&list)
        .map_err(|error| Failure::unreachable(format!("the answer is no JSON: {error}")))?;
    let mut table = Table::new(&[
        ("NUMBER", Fit::Fixed),
        ("STATE", Fit::Fixed),
        ("UPDATED", Fit::Fixed),
        ("TITLE", Fit::Cut),
    ]);
    let items = list.get("items").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        let field = |names: &[&str]| {
            let found = names
                .iter()
                .find_map(|name| item.get(*name).and_then(Value::as_str));
            text::clean(found.unwrap_or("-"))
        };
        table.row([
            field(&["number", "id"]).as_str().into(),
            field(&["state"]).as_str().into(),
            field(&["updated_at"]).as_str().into(),
            field(&["title", "summary"]).as_str().into(),
        ]);
    }
    if table.is_empty() {
        out.note("There are none.");
    } else {
        out.print(&table.render(out))?;
    }
    Ok(Exit::Done)
}

/// Prints the review of an incident as Markdown.
///
/// # Errors
/// The daemon cannot be reached, or refuses.
pub async fn review(client: &Client, args: &ReviewArgs, out: &Out) -> Result<Exit, Failure> {
    let number = args.incident.to_string();
    let path = ["incidents", &number, "review"];
    let answer = if args.set.is_empty() {
        client.get(&path, &[]).await?
    } else {
        client.post(&path, &body(&args.set)?).await?
    };
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let review: Value = serde_json::from_str(&answer)
        .map_err(|error| Failure::unreachable(format!("the answer is no JSON: {error}")))?;
    let markdown = review.get("markdown").and_then(Value::as_str);
    out.print(&text::clean_lines(markdown.unwrap_or_default()))?;
    Ok(Exit::Done)
}

fn pair(text: &str) -> Result<(String, String), Failure> {
    let parts = text.split_once('=');
    parts
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| Failure::usage(format!("{text:?} is no NAME=VALUE")))
}

/// The fields as JSON: what reads as JSON is that, all else is text.
fn body(fields: &[String]) -> Result<Value, Failure> {
    let mut map = Map::new();
    for field in fields {
        let (name, value) = pair(field)?;
        let is_json = value.starts_with(['{', '[', '"'])
            || value == "true"
            || value == "false"
            || value == "null"
            || value.parse::<i64>().is_ok();
        let value = match serde_json::from_str(&value) {
            Ok(json) if is_json => json,
            Ok(_) | Err(_) => Value::from(value),
        };
        map.insert(name, value);
    }
    Ok(Value::Object(map))
}
