//! `watchbell doctor`: is anything wrong with this installation, and what to do about it?
//!
//! Each check gives findings; a finding that is not fine names the next step. Must not change anything: no store is
//! made, no schema step is run, what is written is rolled back.

mod network;
mod outward;
mod people;
mod place;
mod store;

use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::Output;
use crate::cli::out::Out;
use crate::cli::settings::request;
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::config::{Env, Settings, load_partly};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell doctor
  watchbell doctor --full                        # reads the whole store, also a large one
  watchbell doctor --output json | jq '.findings[] | select(.verdict != \"ok\")'

Run it as the user and on the machine of the daemon, which may run meanwhile. Exit code 1: something
failed.";

/// Options of `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Check the integrity of the whole store, however large it is
    #[arg(long)]
    full: bool,
    /// `table` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    output: Output,
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Fine.
    Ok,
    /// Works, but somebody should look.
    Warn,
    /// Does not work.
    Fail,
}

impl Verdict {
    fn cell(self) -> Cell {
        match self {
            Self::Ok => Cell::painted("ok", Paint::Green),
            Self::Warn => Cell::painted("warn", Paint::Yellow),
            Self::Fail => Cell::painted("FAIL", Paint::Alarm),
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    next: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            next: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Warn,
            found: found.into(),
            next: Some(next.into()),
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Fail,
            found: found.into(),
            next: Some(next.into()),
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    verdict: Verdict,
    findings: &'a [Finding],
}

/// Checks everything and prints what was found.
///
/// # Errors
/// Stdout cannot be written.
pub async fn run(
    config: Option<&Path>,
    args: &DoctorArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let findings = examine(config, args, env).await;
    let verdict = findings.iter().map(|finding| finding.verdict).max();
    let verdict = verdict.unwrap_or(Verdict::Ok);
    if args.output == Output::Json {
        let report = Report {
            verdict,
            findings: &findings,
        };
        let text = serde_json::to_string(&report).map_err(|error| {
            Failure::unreachable(format!("the report cannot be written: {error}"))
        })?;
        json::print(&text, out)?;
    } else {
        out.print(&table(&findings, out))?;
    }
    Ok(match verdict {
        Verdict::Ok | Verdict::Warn => Exit::Done,
        Verdict::Fail => Exit::Failed,
    })
}

async fn examine(config: Option<&Path>, args: &DoctorArgs, env: &Env) -> Vec<Finding> {
    let (settings, mut findings) = match load_partly(&request(config, env)) {
        Ok((settings, errors)) if errors.is_empty() => {
            let found = files(&settings);
            (settings, vec![Finding::ok("configuration", found)])
        }
        Ok((settings, errors)) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            let found = format!("{} errors, the first: {first}", errors.len());
            let next = "run `watchbell check` to see all, and correct them; credentials are only there inside the unit";
            (settings, vec![Finding::fail("configuration", found, next)])
        }
        Err(errors) => {
            let next = "correct the file, or name another with --config; nothing else was checked";
            return vec![Finding::fail("configuration", errors.to_string(), next)];
        }
    };
    findings.extend(place::check(&settings));
    findings.extend(store::check(&settings, args.full).await);
    findings.extend(network::check(&settings).await);
    findings.extend(outward::check(&settings).await);
    findings.extend(people::check(&settings).await);
    findings
}

fn files(settings: &Settings) -> String {
    if settings.files.is_empty() {
        return "no file; the built-in defaults are used".to_owned();
    }
    let files: Vec<String> = settings
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    format!("valid: {}", files.join(", "))
}

fn table(findings: &[Finding], out: &Out) -> String {
    let mut table = Table::new(&[
        ("", Fit::Fixed),
        ("CHECK", Fit::Fixed),
        ("FOUND", Fit::Wrap),
    ]);
    for finding in findings {
        let found = match &finding.next {
            Some(next) => format!("{} -> {next}", finding.found),
            None => finding.found.clone(),
        };
        table.row([finding.verdict.cell(), finding.check.into(), found.into()]);
    }
    table.render(out)
}
