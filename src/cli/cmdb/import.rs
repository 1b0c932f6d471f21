//! `watchbell cmdb import`: files on their way to the daemon, and what it made of them.
//!
//! Several files are read here and sent as one; a single one is sent as it is. Must not compare anything; the daemon does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::importers::{self, NamedBytes};

use super::SHOWN_MAX;

/// How often a long import says that it goes on.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Options of `cmdb import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The export; several files of one export count as one
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The import's name: what it said before under this name is replaced
    #[arg(long = "as", value_name = "NAME", default_value = "manual")]
    name: String,
    /// The format, like `native` or `csv` [default: told from the content]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Delete even more than a fifth of what this import named before
    #[arg(long)]
    confirm_deletes: bool,
    /// Refuse everything when one row is wrong
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    pub(super) daemon: DaemonArgs,
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    fs::read(path).map_err(|error| Failure::unreachable(format!("{shown} cannot be read: {error}")))
}

/// Files and options as they are sent.
struct Upload {
    body: Vec<u8>,
    encoding: Option<&'static str>,
    format: Option<String>,
    /// The name of a single file, by which some formats tell kinds of items.
    file: Option<String>,
}

fn upload(args: &ImportArgs, out: &Out) -> Result<Upload, Failure> {
    if let [file] = args.files.as_slice() {
        let is_gzip = file.extension().is_some_and(|end| end == "gz");
        return Ok(Upload {
            body: read_file(file)?,
            encoding: is_gzip.then_some("gzip"),
            format: args.format.clone(),
            file: file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
        });
    }
    let mut files = Vec::new();
    for path in &args.files {
        files.push(NamedBytes {
            name: path.display().to_string(),
            bytes: read_file(path)?.into(),
        });
    }
    let format = match &args.format {
        Some(name) => importers::find(name)
            .ok_or_else(|| Failure::usage(format!("there is no import format {name:?}")))?,
        None => importers::guess(&files).ok_or_else(|| {
            Failure::usage("the format cannot be told from the content").next("pass --format")
        })?,
    };
    let picture = format
        .read(&files)
        .map_err(|error| Failure::failed(error.to_string()))?;
    for problem in &picture.problems {
        out.note(&format!("{}: {}", problem.place, problem.text));
    }
    if args.strict && !picture.problems.is_empty() {
        let count = picture.problems.len();
        return Err(Failure::failed(format!(
            "{count} rows are wrong; nothing was changed"
        )));
    }
    Ok(Upload {
        body: importers::native::write(&picture),
        encoding: None,
        format: Some("native".to_owned()),
        file: None,
    })
}

#[derive(Debug, Deserialize)]
struct Outcome {
    name: String,
    dry_run: bool,
    held: bool,
    unchanged: bool,
    version: u64,
    counts: Counts,
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    problems: Vec<Trouble>,
    conflicts: Vec<Conflict>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    cis: usize,
    relations: usize,
    cis_added: usize,
    cis_changed: usize,
    cis_removed: usize,
    relations_added: usize,
    relations_removed: usize,
    problems: usize,
    conflicts: usize,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    place: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Conflict {
    ci: String,
    field: String,
    kept_from: String,
    kept: String,
    other_from: String,
    other: String,
}

/// Sends files as one import and tells what it changes.
pub(super) async fn import(client: &Client, args: &ImportArgs, out: &Out) -> Result<Exit, Failure> {
    let upload = upload(args, out)?;
    let mut query = vec![("name", args.name.clone())];
    query.extend(upload.format.map(|format| ("format", format)));
    query.extend(upload.file.map(|file| ("file", file)));
    let flags = [
        ("dry_run", args.dry_run),
        ("confirm_deletes", args.confirm_deletes),
        ("strict", args.strict),
    ];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set);
    query.extend(flags.map(|(name, _)| (name, "true".to_owned())));
    let mebibytes = upload.body.len() >> 20;
    let path = ["cmdb", "import"];
    let sending = client.upload(&path, &query, upload.body, upload.encoding);
    let mut sending = std::pin::pin!(sending);
    let mut waited = 0_u64;
    let answer = loop {
        match tokio::time::timeout(PROGRESS_EVERY, &mut sending).await {
            Ok(answer) => break answer,
            Err(_) => {
                waited = waited.saturating_add(PROGRESS_EVERY.as_secs());
                out.note(&format!("importing {mebibytes} MiB: compared and stored by the daemon, {waited} s so far"));
            }
        }
    };
    let answer = answer.map_err(|failure| {
        let is_held = failure.to_string().contains("would delete");
        if is_held {
            failure.next("pass --confirm-deletes")
        } else {
            failure
        }
    })?;
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let outcome: Outcome = parse(&answer)?;
    for problem in outcome.problems.iter().take(SHOWN_MAX) {
        out.note(&format!("{}: {}", problem.place, problem.text));
    }
    out.print(&told(&outcome))?;
    Ok(Exit::Done)
}

fn told(outcome: &Outcome) -> String {
    let counts = &outcome.counts;
    let mut lines = vec![match (outcome.unchanged, outcome.dry_run) {
        (true, _) => format!(
            "{} says nothing new; version {} stays",
            outcome.name, outcome.version
        ),
        (false, true) => format!("{} would change:", outcome.name),
        (false, false) => format!(
            "{} changed the CMDB to version {}:",
            outcome.name, outcome.version
        ),
    }];
    if !outcome.unchanged {
        lines.push(format!(
            "  items      {} named, {} added, {} changed, {} removed",
            counts.cis, counts.cis_added, counts.cis_changed, counts.cis_removed
        ));
        lines.push(format!(
            "  relations  {} named, {} added, {} removed",
            counts.relations, counts.relations_added, counts.relations_removed
        ));
        let kinds = [
            ("+", &outcome.added),
            ("~", &outcome.changed),
            ("-", &outcome.removed),
        ];
        for (sign, ids) in kinds {
            lines.extend(
                ids.iter()
                    .take(SHOWN_MAX)
                    .map(|id| format!("  {sign} {id}")),
            );
            if ids.len() > SHOWN_MAX {
                lines.push(format!("  {sign} ..."));
            }
        }
    }
    if outcome.held {
        lines.push(
            "it deletes so much that it would be held; --confirm-deletes says that it is meant"
                .to_owned(),
        );
    }
    if counts.problems > 0 {
        lines.push(format!("{} rows could not be used", counts.problems));
    }
    if counts.conflicts > 0 {
        lines.push(format!(
            "{} fields about which imports disagree:",
            counts.conflicts
        ));
        for it in outcome.conflicts.iter().take(SHOWN_MAX) {
            lines.push(format!(
                "  {} of {}: {} says {:?}, {} says {:?}",
                it.field, it.ci, it.kept_from, it.kept, it.other_from, it.other
            ));
        }
    }
    lines.join("\n")
}
