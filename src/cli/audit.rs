//! `watchbell audit`: who did what, and whether nobody has changed that since.
//!
//! Reads the store itself, so that it works while the daemon runs and after it has gone. Must not write.

use std::path::Path;

use clap::{Args, Subcommand};

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::{Extent, Output};
use crate::cli::out::Out;
use crate::cli::settings::{attach, load_sections, request};
use crate::cli::table::{Fit, Table};
use crate::cli::text;
use crate::config::Env;
use crate::core::time::Timestamp;
use crate::store::audit::verify;
use crate::store::query::Page;
use crate::store::query::audit::{AuditFilter, list};

pub(super) const EXAMPLES: &str = "\
Examples:
  watchbell audit verify                    # exit code 1 and the first broken row, if there is one
  watchbell audit list --subject INC-42
  watchbell audit list --actor ana --output json";

/// The audit commands.
#[derive(Subcommand, Clone, Debug)]
pub enum AuditCommand {
    /// Check the chain of hashes from the first row to the last
    #[command(after_help = EXAMPLES)]
    Verify {
        /// A row and its hash as noted before, like 120:9f86d0...; they must still be in the chain
        #[arg(long, value_name = "ROW:HASH")]
        head: Option<String>,
    },
    /// List who did what, newest first
    #[command(after_help = EXAMPLES)]
    List(ListArgs),
}

/// Which rows.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Who
    #[arg(long, value_name = "NAME")]
    actor: Vec<String>,
    /// What was done, like incident.acknowledge
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
    /// To which record, like INC-42
    #[arg(long, value_name = "ID")]
    subject: Vec<String>,
    #[command(flatten)]
    extent: Extent,
    /// `table` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    output: Output,
}

/// Runs one of them.
///
/// # Errors
/// The store cannot be used.
pub async fn run(
    config: Option<&Path>,
    command: &AuditCommand,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["store"])?;
    let db = attach(&settings)?;
    let mut reader = db.reader().await?;
    let exit = match command {
        AuditCommand::Verify { head } => {
            let found = verify(reader.lend(), 0).await?;
            if let Some((row, why)) = &found.broken {
                return Err(
                    Failure::failed(format!("the audit is broken at row {row}: {why}"))
                        .next("restore a copy of the store and compare the rows from there on"),
                );
            }
            if let Some(head) = head {
                check_head(reader.lend(), head).await?;
            }
            out.print(&format!(
                "{} rows, all as they were written; the last has the hash {}",
                found.rows, found.hash
            ))?;
            Exit::Done
        }
        AuditCommand::List(args) => {
            show(reader.lend(), args, out).await?;
            Exit::Done
        }
    };
    drop(reader);
    db.close().await;
    Ok(exit)
}

/// Whether a row still has the hash that was noted of it.
async fn check_head(conn: crate::store::Conn<'_>, head: &str) -> Result<(), Failure> {
    let noted = head.split_once(':');
    let noted = noted.and_then(|(row, hash)| Some((row.parse::<i64>().ok()?, hash.trim())));
    let Some((row, hash)) = noted else {
        return Err(Failure::usage(
            "--head is a row and its hash, like 120:9f86d0...",
        ));
    };
    let page = Page {
        limit: 1,
        is_newest_first: false,
        after: Some(crate::store::query::Position {
            value: row.saturating_sub(1),
            id: row.saturating_sub(1),
        }),
    };
    let listed = list(conn, &AuditFilter::default(), page).await?;
    let is_there = listed
        .items
        .first()
        .is_some_and(|found| found.id == row && found.hash == hash);
    if is_there {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the audit is broken: row {row} has not the hash that was noted of it"
    )))
}

async fn show(mut conn: crate::store::Conn<'_>, args: &ListArgs, out: &Out) -> Result<(), Failure> {
    let filter = AuditFilter {
        actors: args.actor.clone(),
        actions: args.action.clone(),
        subjects: args.subject.clone(),
        since: None,
    };
    let at_most = args.extent.at_most().unwrap_or(u64::MAX);
    let mut page = Page {
        limit: 500,
        is_newest_first: true,
        after: None,
    };
    let mut rows = Vec::new();
    loop {
        let listed = list(conn.lend(), &filter, page).await?;
        rows.extend(listed.items);
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        if listed.next.is_none() || count >= at_most {
            break;
        }
        page.after = listed.next;
    }
    rows.truncate(usize::try_from(at_most).unwrap_or(usize::MAX));
    if args.output == Output::Json {
        let items: Vec<_> = rows
            .iter()
            .map(|row| {
                let object = |text: &str| {
                    serde_json::from_str::<serde_json::Value>(text).unwrap_or_default()
                };
                serde_json::json!({
                    "id": row.id, "at": text::rfc3339(Timestamp::from_millis(row.at)), "seq": row.seq,
                    "actor": row.actor, "action": row.action, "subject": row.subject,
                    "before": object(&row.before_values), "after": object(&row.after_values),
                    "why": row.why, "hash": row.hash,
                })
            })
            .collect();
        return json::print(&serde_json::json!({ "items": items }).to_string(), out);
    }
    let mut table = Table::new(&[
        ("ROW", Fit::Fixed),
        ("AT", Fit::Fixed),
        ("WHO", Fit::Fixed),
        ("ACTION", Fit::Fixed),
        ("SUBJECT", Fit::Fixed),
        ("CHANGE", Fit::Cut),
    ]);
    for row in &rows {
        let change = format!("{} -> {}", row.before_values, row.after_values);
        table.row([
            row.id.to_string().as_str().into(),
            text::utc(Timestamp::from_millis(row.at)).as_str().into(),
            text::clean(&row.actor).as_str().into(),
            row.action.as_str().into(),
            text::clean(&row.subject).as_str().into(),
            text::clean(&change).as_str().into(),
        ]);
    }
    if table.is_empty() {
        out.note("Nothing was done yet.");
        return Ok(());
    }
    out.print(&table.render(out))
}
