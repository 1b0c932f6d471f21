//! `watchbell bench`: the load generator and the comparison of correlation at the command line.
//!
//! Must not generate load; `crate::bench` does.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use clap::Subcommand;

use crate::bench::{self, BenchError, IngestArgs, Progress};
use crate::cli::correlate::{self, CorrelateArgs};
use crate::cli::failure::{Exit, Failure, chain};
use crate::cli::json;
use crate::cli::out::Out;

/// What to measure.
#[derive(Subcommand, Clone, Debug)]
pub enum BenchCommand {
    /// Send alerts and measure how fast they are acknowledged
    Ingest(Box<IngestArgs>),
    /// Compare correlation with the usual methods on made-up outages whose truth is known
    #[command(after_help = correlate::EXAMPLES)]
    Correlate(Box<CorrelateArgs>),
}

/// Runs a benchmark and prints its report; progress goes to stderr when somebody looks.
///
/// # Errors
/// The server cannot be reached, or an option makes no sense.
pub async fn run(command: &BenchCommand, out: &Out) -> Result<Exit, Failure> {
    let args = match command {
        BenchCommand::Ingest(args) => args,
        BenchCommand::Correlate(args) => return correlate::run(args, out),
    };
    if let Some(path) = &args.write_cmdb {
        return write_cmdb(path, args.active, out);
    }
    let report = bench::run(args, |progress| {
        if out.is_terminal {
            out.note(&line(&progress));
        }
    })
    .await
    .map_err(|error| failure(&error))?;
    if args.json {
        let text = serde_json::to_string(&report).map_err(|error| {
            Failure::unreachable(format!("the report cannot be written: {error}"))
        })?;
        json::print(&text, out)?;
    } else {
        out.print(&report.to_string())?;
    }
    Ok(Exit::Done)
}

fn write_cmdb(path: &Path, active: u64, out: &Out) -> Result<Exit, Failure> {
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        bench::cmdb::write(active, &mut file)?;
        file.flush()
    });
    let shown = path.display();
    written.map_err(|error| Failure::unreachable(format!("{shown} cannot be written: {error}")))?;
    out.print(&format!("import it with: watchbell cmdb import {shown}\n"))?;
    Ok(Exit::Done)
}

fn failure(error: &BenchError) -> Failure {
    match error {
        BenchError::Option { .. } => Failure::usage(chain(error)),
        BenchError::Unreachable { .. }
        | BenchError::Ledger { .. }
        | BenchError::LedgerLine { .. }
        | BenchError::Probe { .. }
        | BenchError::Process { .. }
        | BenchError::Generator(_) => Failure::unreachable(chain(error)),
    }
}

fn line(progress: &Progress) -> String {
    let phase = progress
        .round
        .map_or_else(|| "load".to_owned(), |round| format!("round {round}"));
    let seconds = progress.elapsed.as_secs();
    let (target, alerts) = (progress.target, progress.alerts);
    format!("{target}, {phase}: {alerts} alerts acknowledged after {seconds} s")
}
