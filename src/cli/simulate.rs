//! `watchbell simulate`: a history from a file through the same core as the daemon's, in virtual time.
//!
//! Must not decide anything; `crate::simulate` plays, and the core decides.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::cli::failure::{Exit, Failure, printing};
use crate::cli::out::Out;
use crate::cli::settings::{load_sections, request};
use crate::config::{Env, rules};
use crate::core::cmdb::graph::Difference;
use crate::core::cmdb::reconcile::first_difference;
use crate::importers::{Format as _, NamedBytes, native::Native};
use crate::simulate::report;
use crate::simulate::run::{SimulateError, Simulated, run as play};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell simulate --cmdb cmdb.json --events events.jsonl --out result.jsonl
  watchbell simulate --cmdb cmdb.json --events - --out - < events.jsonl
  watchbell simulate --config other-rules.toml --cmdb cmdb.json --events events.jsonl --out other.jsonl

An event is one line, in order of arrival, times in seconds:
  {\"at\":12.5,\"source\":\"prom\",\"alert\":{\"id\":\"e1\",\"key\":\"k1\",\"status\":\"firing\",\"severity\":\"critical\",
   \"summary\":\"vm1 down\",\"labels\":{\"instance\":\"vm1:9100\"},\"starts_at\":10}}
  {\"at\":13,\"change\":{\"id\":\"CHG-1\",\"ci\":\"vm1\",\"summary\":\"kernel update\"}}

The result has one line per occurrence (id), then one per incident. Nothing is stored, no daemon is asked.
Exit code 0: played to the end; 1: a line or the CMDB is wrong; 3: a file cannot be read or written.";

/// Stands for stdin or stdout.
const STANDARD: &str = "-";
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Events between two looks at the clock.
const LOOK_EVERY: u64 = 1024;

/// What to play.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// The CMDB: JSON with `cis` and `relations`
    #[arg(long, value_name = "FILE")]
    cmdb: PathBuf,
    /// The events, one JSON object per line in order of arrival; `-` for stdin
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Where the result goes, one JSON object per line; `-` for stdout
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Plays the events and writes what became of them.
///
/// # Errors
/// A file cannot be read or written, or what it holds is wrong.
pub fn run(
    config: Option<&Path>,
    args: &SimulateArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["incident", "correlation"])?;
    let graph = read_cmdb(&args.cmdb, out)?;
    let mut events = open(&args.events)?;
    let mut told = Instant::now();
    let mut progress = |played: u64| {
        if played.is_multiple_of(LOOK_EVERY) && told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            out.note(&format!("{played} events played"));
        }
    };
    let simulated = play(rules(&settings), &graph, events.as_mut(), &mut progress);
    let simulated = simulated.map_err(|error| failure(&args.events, &error))?;
    if simulated.out_of_order > 0 {
        out.note(&format!(
            "{} of {} events are written earlier than the one before them; each was played together with it",
            simulated.out_of_order, simulated.events
        ));
    }
    write(&args.out, &simulated)?;
    Ok(Exit::Done)
}

fn read_cmdb(path: &Path, out: &Out) -> Result<Difference, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let name = path.display().to_string();
    let file = NamedBytes {
        name,
        bytes: bytes.into(),
    };
    let picture = Native.read(&[file]);
    let picture = picture.map_err(|error| Failure::failed(error.to_string()))?;
    if let Some(first) = picture.problems.first() {
        out.note(&format!(
            "{}: {} rows were left out; the first: {}: {}",
            path.display(),
            picture.problems.len(),
            first.place,
            first.text
        ));
    }
    Ok(first_difference(&picture))
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path.as_os_str() == STANDARD {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(Box::new(BufReader::new(file)))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::unreachable(format!("{} cannot be read: {error}", path.display()))
}

fn failure(path: &Path, error: &SimulateError) -> Failure {
    let text = format!("{}: {error}", path.display());
    match error {
        SimulateError::Unreadable { .. } => Failure::unreachable(text),
        SimulateError::Line { .. } => Failure::failed(text),
    }
}

fn write(path: &Path, simulated: &Simulated) -> Result<(), Failure> {
    let (tracks, epoch) = (&simulated.tracks, simulated.epoch);
    if path.as_os_str() == STANDARD {
        let mut stdout = BufWriter::new(io::stdout().lock());
        let written = report::write(tracks, epoch, &mut stdout).and_then(|()| stdout.flush());
        return written.map_err(|error| printing(&error));
    }
    let written = File::create(path).and_then(|file| {
        let mut file = BufWriter::new(file);
        report::write(tracks, epoch, &mut file)?;
        file.flush()
    });
    written.map_err(|error| {
        Failure::unreachable(format!("{} cannot be written: {error}", path.display()))
    })
}
