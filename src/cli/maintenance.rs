//! `watchbell maintenance`: planned times in which people are not told of what is worked on.
//!
//! Must not work out when a window recurs; the daemon does.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::incidents::filters;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent, Output, duration};
use crate::cli::out::Out;
use crate::cli::pages::{self, Page};
use crate::cli::scope::{Scope, ScopeArgs};
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::cli::text::{relative, utc};
use crate::cli::views::{Matcher, time};
use crate::core::time::{Span, Timestamp};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell maintenance add --ci sw1 --downstream --for 2h --reason \"switch firmware\"
  watchbell maintenance add --site paris --start 2026-12-06T22:00 --end 2026-12-07T02:00 --zone Europe/Paris --reason move
  watchbell maintenance add --class database --rrule \"FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30\" --zone Europe/Paris --for 1h --reason patches
  watchbell maintenance preview --service checkout
  watchbell maintenance list
  watchbell maintenance cancel MW-3

Alerts are recorded all the same; what still fires at the end of a window is told then, once, with its true start.";

const STATES: [&str; 4] = ["pending", "active", "expired", "cancelled"];

/// Options of `maintenance`.
#[derive(Args, Clone, Debug)]
pub struct MaintenanceArgs {
    #[command(subcommand)]
    command: Option<MaintenanceCommand>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What to do about maintenance windows.
#[derive(Subcommand, Clone, Debug)]
enum MaintenanceCommand {
    /// List them, newest first; those that are over only when asked for
    #[command(after_help = EXAMPLES)]
    List {
        /// Only in these states
        #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = STATES,
            default_values = ["pending", "active"])]
        state: Vec<String>,
        #[command(flatten)]
        extent: Extent,
    },
    /// Make one
    #[command(after_help = EXAMPLES, alias = "create")]
    Add {
        #[command(flatten)]
        wanted: Wanted,
        /// Only show which firing alerts it would hide now
        #[arg(long)]
        dry_run: bool,
    },
    /// Show which firing alerts one would hide, without making it
    #[command(after_help = EXAMPLES)]
    Preview {
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Show one
    #[command(after_help = EXAMPLES)]
    Show {
        /// Its id or name
        #[arg(value_name = "WINDOW")]
        id: String,
    },
    /// Change one; what is not named stays
    #[command(after_help = EXAMPLES, alias = "edit")]
    Update {
        /// Its id or name
        #[arg(value_name = "WINDOW")]
        id: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Cancel some; what still fires is told at once
    #[command(after_help = EXAMPLES, visible_alias = "delete", alias = "end")]
    Cancel {
        /// Their ids or names
        #[arg(value_name = "WINDOW", required = true)]
        ids: Vec<String>,
    },
}

/// What a window shall be.
#[derive(Args, Clone, Debug)]
struct Wanted {
    /// name=value, name!=value, name=~expression or name!~expression
    #[arg(value_name = "MATCHER")]
    matchers: Vec<String>,
    /// What people call it [default: the reason]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Why people must not be told
    #[arg(short, long, visible_alias = "comment", value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// From when on, like 2026-12-01T01:00 on the clocks of the zone [default: now]
    #[arg(long, visible_alias = "from", value_name = "TIME")]
    start: Option<String>,
    /// Until when
    #[arg(
        long,
        visible_alias = "to",
        visible_alias = "until",
        value_name = "TIME"
    )]
    end: Option<String>,
    /// How long it, or each occurrence, lasts, like 2h
    #[arg(long = "for", short = 'd', visible_alias = "duration", value_name = "DURATION",
        value_parser = duration, conflicts_with = "end")]
    span: Option<Span>,
    /// When it recurs, as in RFC 5545
    #[arg(long, value_name = "RULE")]
    rrule: Option<String>,
    /// Whose clocks, like Europe/Paris [default: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

impl Wanted {
    fn body(&self) -> Value {
        let mut body = Map::new();
        for (key, value) in [
            ("name", &self.name),
            ("reason", &self.reason),
            ("starts_at", &self.start),
            ("ends_at", &self.end),
            ("rrule", &self.rrule),
            ("zone", &self.zone),
        ] {
            if let Some(value) = value {
                body.insert(key.to_owned(), value.as_str().into());
            }
        }
        if !self.matchers.is_empty() {
            body.insert("matchers".to_owned(), json!(self.matchers));
        }
        self.scope.add_to(&mut body);
        if let Some(span) = self.span {
            let seconds = span.as_millis().saturating_add(999) / 1000;
            body.insert("duration_s".to_owned(), seconds.into());
        }
        Value::Object(body)
    }
}

/// A window as commands show it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    id: String,
    name: String,
    state: String,
    reason: String,
    starts_at: Option<jiff::Timestamp>,
    ends_at: Option<jiff::Timestamp>,
    rrule: Option<String>,
    zone: Option<String>,
    origin: String,
    created_by: String,
    matchers: Vec<Matcher>,
    scope: Scope,
    next: Vec<Occurrence>,
    alerts: u64,
}

/// When it holds next.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Occurrence {
    starts_at: Option<jiff::Timestamp>,
    ends_at: Option<jiff::Timestamp>,
}

impl Window {
    /// What it is about, as people write it.
    fn about(&self) -> Vec<String> {
        let mut about = self.scope.words();
        about.extend(self.matchers.iter().map(Matcher::written));
        about
    }
}

/// Does what is asked about maintenance windows.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn run(client: &Client, args: &MaintenanceArgs, out: &Out) -> Result<Exit, Failure> {
    let output = args.daemon.output;
    let list = MaintenanceCommand::List {
        state: ["pending", "active"].map(str::to_owned).to_vec(),
        extent: Extent::default(),
    };
    match args.command.as_ref().unwrap_or(&list) {
        MaintenanceCommand::List { state, extent } => {
            let filters = filters([("state", Some(state.join(",")))]);
            let page = pages::read(client, &["maintenance"], &filters, *extent).await?;
            let print = |page: &Page| table(page, now(), out);
            pages::print(&page, "maintenance windows", output, out, print)?;
        }
        MaintenanceCommand::Add { wanted, dry_run } => {
            if *dry_run {
                return preview(client, wanted, output, out).await;
            }
            let answer = client.post(&["maintenance"], &wanted.body()).await?;
            print_id(&answer, output, out)?;
        }
        MaintenanceCommand::Preview { wanted } => {
            return preview(client, wanted, output, out).await;
        }
        MaintenanceCommand::Show { id } => {
            let answer = client.get(&["maintenance", id], &[]).await?;
            if output == Output::Json {
                json::print(&answer, out)?;
            } else {
                out.print(&page_of(&parse(&answer)?, now(), out))?;
            }
        }
        MaintenanceCommand::Update { id, wanted } => {
            let answer = client.post(&["maintenance", id], &wanted.body()).await?;
            print_id(&answer, output, out)?;
        }
        MaintenanceCommand::Cancel { ids } => {
            for id in ids {
                let answer = client.delete(&["maintenance", id]).await?;
                if output == Output::Json {
                    json::print(&answer, out)?;
                }
            }
        }
    }
    Ok(Exit::Done)
}

async fn preview(
    client: &Client,
    wanted: &Wanted,
    output: Output,
    out: &Out,
) -> Result<Exit, Failure> {
    let answer = client
        .post(&["maintenance", "preview"], &wanted.body())
        .await?;
    super::silence::print_preview(&answer, output, out)?;
    Ok(Exit::Done)
}

/// The id alone, so that scripts can keep it.
fn print_id(answer: &str, output: Output, out: &Out) -> Result<(), Failure> {
    if output == Output::Json {
        return json::print(answer, out);
    }
    let window: Window = parse(answer)?;
    out.print(&window.id)
}

fn table(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let mut table = Table::new(&[
        ("ID", Fit::Fixed),
        ("STATE", Fit::Fixed),
        ("STARTS", Fit::Right),
        ("ENDS", Fit::Right),
        ("ALERTS", Fit::Right),
        ("NAME", Fit::Cut),
        ("ABOUT", Fit::Cut),
        ("RECURS", Fit::Cut),
        ("REASON", Fit::Cut),
    ]);
    for window in page.values::<Window>()? {
        let shown = |at: Option<jiff::Timestamp>| {
            let at = at.map(time);
            at.map_or_else(String::new, |at| relative(at, now))
        };
        table.row([
            window.id.as_str().into(),
            state(&window),
            shown(window.starts_at).into(),
            shown(window.ends_at).into(),
            window.alerts.to_string().into(),
            window.name.as_str().into(),
            window.about().join(" ").into(),
            window.rrule.as_deref().unwrap_or("").into(),
            window.reason.as_str().into(),
        ]);
    }
    Ok(table.render(out))
}

fn page_of(window: &Window, now: Timestamp, out: &Out) -> String {
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    table.row(["id".into(), window.id.as_str().into()]);
    table.row(["name".into(), window.name.as_str().into()]);
    table.row(["state".into(), state(window)]);
    for about in window.about() {
        table.row(["about".into(), about.into()]);
    }
    if let Some(rule) = &window.rrule {
        let zone = window.zone.as_deref().unwrap_or("UTC");
        table.row([
            "recurs".into(),
            format!("{rule} on the clocks of {zone}").into(),
        ]);
    }
    let times = [("starts", window.starts_at), ("ends", window.ends_at)].into_iter();
    let later = window.next.iter().skip(1);
    let later = later.flat_map(|it| [("then", it.starts_at), ("until", it.ends_at)]);
    for (name, at) in times.chain(later) {
        if let Some(at) = at.map(time) {
            let shown = format!("{} ({})", utc(at), relative(at, now));
            table.row([name.into(), shown.into()]);
        }
    }
    table.row(["from".into(), window.origin.as_str().into()]);
    table.row(["by".into(), window.created_by.as_str().into()]);
    table.row(["reason".into(), window.reason.as_str().into()]);
    table.row(["alerts now".into(), window.alerts.to_string().into()]);
    table.render(out)
}

fn state(window: &Window) -> Cell {
    let paint = if window.state == "active" {
        Paint::Green
    } else {
        Paint::Dim
    };
    Cell::painted(&window.state, paint)
}
