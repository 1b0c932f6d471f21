//! `watchbell bench`: the seam for the load generator.
//!
//! Must not generate load; `crate::bench` does.

use clap::Subcommand;

use crate::cli::failure::{Exit, Failure};
use crate::cli::out::Out;

/// What to measure.
#[derive(Subcommand, Clone, Debug)]
pub enum BenchCommand {
    /// Send alerts and measure how fast they are acknowledged
    #[command(after_help = "Example:\n  watchbell bench ingest")]
    Ingest,
}

/// Runs a benchmark and prints its report.
///
/// # Errors
/// The server cannot be reached.
#[expect(clippy::unused_async, reason = "a placeholder until the load generator is merged")]
pub async fn run(command: &BenchCommand, _out: &Out) -> Result<Exit, Failure> {
    match command {
        BenchCommand::Ingest => Err(Failure::usage("the load generator is not part of this build")),
    }
}
