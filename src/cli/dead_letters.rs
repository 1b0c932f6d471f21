//! `watchbell dead-letters`: messages that could not be understood, why, and the way to try them again.
//!
//! Must not show a body in a way that steers the terminal.

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::incidents::filters;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent, Output};
use crate::cli::out::Out;
use crate::cli::pages::{self, Page};
use crate::cli::table::{Fit, Table};
use crate::cli::text::{bytes, clean_lines, relative, span, utc};
use crate::cli::views::{DeadLetter, filled, time};
use crate::core::time::Timestamp;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell dead-letters list --source alertmanager
  watchbell dead-letters show D-17
  watchbell dead-letters show D-17 --output json | jq -r .body > payload.json
  watchbell dead-letters replay D-17                         # after its source was corrected
  watchbell dead-letters replay --all --source zabbix

A sender whose messages end here was answered with an error, or sent an alert among others that made
no sense.";

/// Options of `dead-letters`; alone it lists.
#[derive(Args, Clone, Debug)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: Option<DeadLettersCommand>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What to do with dead letters.
#[derive(Subcommand, Clone, Debug)]
enum DeadLettersCommand {
    /// List them, newest first
    #[command(after_help = EXAMPLES)]
    List {
        /// Only of this source
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
        #[command(flatten)]
        extent: Extent,
    },
    /// Try again to understand one, or all; what is understood now becomes a message
    #[command(after_help = EXAMPLES)]
    Replay {
        /// Its id, as `list` shows it
        #[arg(
            value_name = "ID",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        id: Option<String>,
        /// All of them, oldest first
        #[arg(long)]
        all: bool,
        /// With --all: only of this source
        #[arg(long, value_name = "SOURCE", requires = "all")]
        source: Option<String>,
    },
    /// Show one with its body
    #[command(after_help = EXAMPLES)]
    Show {
        /// Its id, as `list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Lists dead letters or shows one.
///
/// # Errors
/// The daemon does not answer, or there is no such letter.
pub async fn run(client: &Client, args: &DeadLettersArgs, out: &Out) -> Result<Exit, Failure> {
    let list = DeadLettersCommand::List {
        source: None,
        extent: Extent::default(),
    };
    match args.command.as_ref().unwrap_or(&list) {
        DeadLettersCommand::List { source, extent } => {
            let filters = filters([("source", source.clone())]);
            let page = pages::read(client, &["dead-letters"], &filters, *extent).await?;
            pages::print(&page, "dead letters", args.daemon.output, out, |page| {
                table(page, now(), out)
            })?;
        }
        DeadLettersCommand::Replay { id: Some(id), .. } => {
            let answer = replay(client, id).await?;
            if args.daemon.output == Output::Json {
                json::print(&answer, out)?;
            } else {
                let done: Replayed = parse(&answer)?;
                out.print(&format!("{}\n", done.line()))?;
            }
        }
        DeadLettersCommand::Replay { source, .. } => {
            return replay_all(client, source.clone(), args.daemon.output, out).await;
        }
        DeadLettersCommand::Show { id } => {
            let answer = client.get(&["dead-letters", id], &[]).await?;
            if args.daemon.output == Output::Json {
                json::print(&answer, out)?;
            } else {
                out.print(&letter(&parse(&answer)?, now(), out))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// What a replayed letter came to.
#[derive(Deserialize)]
struct Replayed {
    id: String,
    seq: i64,
    observations: usize,
}

impl Replayed {
    fn line(&self) -> String {
        let Self {
            id,
            seq,
            observations,
        } = self;
        let noun = if *observations == 1 {
            "claim"
        } else {
            "claims"
        };
        format!("{id} was replayed as message {seq}: {observations} {noun}")
    }
}

async fn replay(client: &Client, id: &str) -> Result<String, Failure> {
    let path = ["dead-letters", id, "replay"];
    client.post(&path, &serde_json::json!({})).await
}

/// Replays all, oldest first; those that stay are told one by one and do not keep the others.
async fn replay_all(
    client: &Client,
    source: Option<String>,
    output: Output,
    out: &Out,
) -> Result<Exit, Failure> {
    let mut filters = filters([("source", source)]);
    filters.push(("sort", "id".to_owned()));
    let page = pages::read(client, &["dead-letters"], &filters, Extent::all()).await?;
    let (mut done, mut stay) = (Vec::new(), 0_usize);
    for letter in page.values::<DeadLetter>()? {
        match replay(client, &letter.id).await {
            Ok(answer) => done.push(answer),
            Err(failure) if failure.exit() == Exit::Failed => {
                stay = stay.saturating_add(1);
                out.note(&format!("{} stays: {failure}", letter.id));
            }
            Err(failure) => return Err(failure),
        }
    }
    for answer in &done {
        if output == Output::Json {
            json::print(answer, out)?;
        } else {
            let done: Replayed = parse(answer)?;
            out.print(&format!("{}\n", done.line()))?;
        }
    }
    if output != Output::Json {
        out.print(&format!("{} replayed, {stay} stay\n", done.len()))?;
    }
    Ok(if stay == 0 { Exit::Done } else { Exit::Failed })
}

fn table(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let mut table = Table::new(&[
        ("ID", Fit::Right),
        ("AGE", Fit::Right),
        ("SOURCE", Fit::Fixed),
        ("REASON", Fit::Fixed),
        ("BYTES", Fit::Right),
        ("DETAIL", Fit::Cut),
    ]);
    for letter in page.values::<DeadLetter>()? {
        let age = letter
            .at
            .map_or_else(String::new, |at| span(now.since(time(at))));
        table.row([
            letter.id.as_str().into(),
            age.into(),
            letter.source.as_str().into(),
            letter.reason.as_str().into(),
            letter.body_bytes.to_string().into(),
            letter.detail.as_str().into(),
        ]);
    }
    Ok(table.render(out))
}

fn letter(letter: &DeadLetter, now: Timestamp, out: &Out) -> String {
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    table.row(["id".into(), letter.id.as_str().into()]);
    if let Some(at) = letter.at.map(time) {
        let shown = format!("{} ({})", utc(at), relative(at, now));
        table.row(["put aside".into(), shown.into()]);
    }
    table.row(["source".into(), letter.source.as_str().into()]);
    table.row(["reason".into(), letter.reason.as_str().into()]);
    table.row(["detail".into(), letter.detail.as_str().into()]);
    if let Some(media) = filled(letter.content_type.as_ref()) {
        table.row(["content type".into(), media.as_str().into()]);
    }
    table.row(["body".into(), bytes(letter.body_bytes).into()]);
    format!("{}\n{}", table.render(out), clean_lines(&letter.body))
}
