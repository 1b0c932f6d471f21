//! `watchbell test`: written tests of rules, played in virtual time.
//!
//! Must not decide anything; `crate::simulate::trial` plays, and the core decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::out::Out;
use crate::cli::settings::{RULES, load_sections, request};
use crate::cli::text;
use crate::config::{self, Env, parse_duration};
use crate::core::cmdb::graph::Difference;
use crate::core::cmdb::reconcile::first_difference;
use crate::core::rules::Rules;
use crate::importers::{Format as _, NamedBytes, native::Native};
use crate::simulate::trial::file::File;
use crate::simulate::trial::run::{Miss, run as play};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell test rules/*.test.toml                     # with the rules that each file names
  watchbell test --config new.toml shop.test.toml      # with other rules
  watchbell test --json shop.test.toml

A test, in TOML or YAML; docs/rule-tests.md has every key:
  [[test]]
  name = \"a host that is down is one incident\"
  [[test.step]]
  at = \"0s\"
  alert = { name = \"HostDown\", labels = { host = \"web1\" }, severity = \"critical\" }
  [[test.step]]
  at = \"10m\"
  expect = { open = 1, incident = { state = \"new\", priority = \"P2\" } }

Nothing is stored, no daemon is asked. Exit code 0: all as expected; 1: something differs or a file is wrong;
3: a file cannot be read.";

/// Which tests.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// Files of tests
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only tests whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

/// One played test.
struct Played {
    file: String,
    name: String,
    misses: Vec<Miss>,
}

/// Plays the tests and tells what differs.
///
/// # Errors
/// A file cannot be read, or what it holds is wrong.
pub fn run(config: Option<&Path>, args: &TestArgs, env: &Env, out: &Out) -> Result<Exit, Failure> {
    let mut played = Vec::new();
    for path in &args.files {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|error| Failure::unreachable(format!("{shown} cannot be read: {error}")))?;
        let file = read(path, &bytes).map_err(|problem| {
            Failure::failed(format!("{shown}: {problem}"))
                .next("docs/rule-tests.md shows every key of a test")
        })?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let rules = rules(config, &file, folder, env)?;
        for test in &file.tests {
            if args
                .only
                .as_ref()
                .is_some_and(|only| !test.name.contains(only))
            {
                continue;
            }
            let cmdb = cmdb(test.cmdb.as_ref().or(file.cmdb.as_ref()), folder)?;
            played.push(Played {
                file: shown.clone(),
                name: test.name.clone(),
                misses: play(test, Arc::clone(&rules), &cmdb, &parse_duration),
            });
        }
    }
    let failed = played.iter().filter(|it| !it.misses.is_empty()).count();
    if args.json {
        json::print(&as_json(&played).to_string(), out)?;
    } else {
        for test in &played {
            tell(test, out)?;
        }
        let all = played.len();
        out.note(&format!(
            "{} of {all} as expected",
            all.saturating_sub(failed)
        ));
    }
    if played.is_empty() {
        return Err(Failure::failed("there is no test in these files"));
    }
    if failed > 0 {
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

fn tell(test: &Played, out: &Out) -> Result<(), Failure> {
    let word = if test.misses.is_empty() {
        "ok  "
    } else {
        "FAIL"
    };
    out.print(&format!(
        "{word} {}: {}",
        text::clean(&test.file),
        text::clean(&test.name)
    ))?;
    for miss in &test.misses {
        out.print(&format!(
            "       step {} at {}: {}",
            miss.step,
            text::span(miss.after),
            text::clean(&miss.text)
        ))?;
    }
    Ok(())
}

fn as_json(played: &[Played]) -> Value {
    let tests: Vec<Value> = played
        .iter()
        .map(|test| {
            let misses: Vec<Value> = test
                .misses
                .iter()
                .map(|miss| {
                    serde_json::json!({"step": miss.step, "after_s": miss.after.as_millis() / 1_000, "difference": miss.text})
                })
                .collect();
            serde_json::json!({"file": test.file, "name": test.name, "ok": test.misses.is_empty(), "differences": misses})
        })
        .collect();
    let failed = played.iter().filter(|it| !it.misses.is_empty()).count();
    serde_json::json!({"tests": tests, "total": played.len(), "failed": failed})
}

/// A file as TOML, or as YAML where its name says so.
fn read(path: &Path, bytes: &[u8]) -> Result<File, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("yaml" | "yml") => {
            serde_saphyr::from_str(text).map_err(|error| format!("cannot be read: {error}"))
        }
        Some("json") => {
            serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))
        }
        Some(_) | None => toml::from_str(text).map_err(|error| format!("cannot be read: {error}")),
    }
}

/// The rules of `--config`, else of the file, else those that every command finds.
fn rules(
    config: Option<&Path>,
    file: &File,
    folder: &Path,
    env: &Env,
) -> Result<Arc<Rules>, Failure> {
    let named = file.config.as_ref().map(|name| folder.join(name));
    let file = config.or(named.as_deref());
    // Secrets and listeners of the machine where the daemon runs do not matter here.
    let settings = load_sections(&request(file, env), &RULES)?;
    Ok(Arc::new(config::rules(&settings)))
}

/// The CMDB: a file in the native format, or the same written in the test.
fn cmdb(written: Option<&Value>, folder: &Path) -> Result<Difference, Failure> {
    let (name, bytes) = match written {
        None => return Ok(Difference::default()),
        Some(Value::String(name)) => {
            let path = folder.join(name);
            let bytes = std::fs::read(&path).map_err(|error| {
                Failure::unreachable(format!("{} cannot be read: {error}", path.display()))
            })?;
            (path.display().to_string(), bytes)
        }
        Some(
            value @ (Value::Object(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)),
        ) => ("cmdb".to_owned(), value.to_string().into_bytes()),
    };
    let file = NamedBytes {
        name,
        bytes: bytes.into(),
    };
    let picture = Native.read(&[file]);
    let picture = picture.map_err(|error| Failure::failed(error.to_string()))?;
    if let Some(first) = picture.problems.first() {
        return Err(Failure::failed(format!(
            "the CMDB is wrong: {}: {}",
            first.place, first.text
        )));
    }
    Ok(first_difference(&picture))
}
