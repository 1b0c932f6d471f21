//! `watchbell explain`: why is this incident or alert what it is?
//!
//! Must not reason by itself; every sentence comes from a recorded decision.

use clap::Args;

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::incident_page::in_order;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Output, Subject, subject};
use crate::cli::out::Out;
use crate::cli::text::{clean_lines, wrap};
use crate::cli::views::Explanation;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell explain INC-42         # why was it opened, reopened, resolved?
  watchbell explain A-17           # why did this alert open an incident, or none?

Every decision that was taken is shown with its reason, oldest first, in UTC and relative to now.";

/// Options of `explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The number of an incident like INC-42, or the id of an alert like A-17
    #[arg(value_name = "ALERT-or-INCIDENT", value_parser = subject)]
    subject: Subject,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Prints the summary and every decision.
///
/// # Errors
/// The daemon does not answer, or knows nothing of it.
pub async fn run(client: &Client, args: &ExplainArgs, out: &Out) -> Result<Exit, Failure> {
    let answer = match args.subject {
        Subject::Incident(id) => {
            let path = ["incidents", &id.to_string(), "explain"];
            client.get(&path, &[]).await?
        }
        Subject::Alert(id) => {
            let path = ["alerts", &id.to_string(), "explain"];
            client.get(&path, &[]).await?
        }
    };
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let explanation: Explanation = parse(&answer)?;
    let mut text = summary(&explanation.summary, out);
    if explanation.decisions.is_empty() {
        text.push_str("No decision is recorded.\n");
    } else {
        text.push_str(&in_order(explanation.decisions, now(), out));
    }
    out.print(&text)?;
    if explanation.truncated {
        out.note("Earlier decisions are left out; the timeline of the API has them all.");
    }
    Ok(Exit::Done)
}

fn summary(text: &str, out: &Out) -> String {
    let text = clean_lines(text);
    let mut lines: Vec<String> = match out.width {
        Some(width) => text.lines().flat_map(|line| wrap(line, width)).collect(),
        None => text.lines().map(str::to_owned).collect(),
    };
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
