//! `watchbell dead-letters`: messages that could not be understood, and why.
//!
//! Must not show a body in a way that steers the terminal.

use clap::{Args, Subcommand};

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

A sender whose messages end here was answered with an error, or sent an alert among others that made
no sense.";

/// Options of `dead-letters`.
#[derive(Args, Clone, Debug)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: DeadLettersCommand,
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
    match &args.command {
        DeadLettersCommand::List { source, extent } => {
            let filters = filters([("source", source.clone())]);
            let page = pages::read(client, &["dead-letters"], &filters, *extent).await?;
            pages::print(&page, "dead letters", args.daemon.output, out, |page| {
                table(page, now(), out)
            })?;
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
