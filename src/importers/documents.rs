//! JSON and YAML of any size that is still sane: bounded in bytes, depth, nodes and aliases.
//!
//! YAML is read document by document, so that one broken document does not take the others with it. Must not know
//! any product's fields.

use std::str::from_utf8;

use serde_json::Value;

use crate::importers::{ImportError, NamedBytes};

/// Bytes of one file or answer; the largest inventories seen are a tenth of it.
pub const BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes that are looked at to tell formats apart.
const HEAD_BYTES: usize = 16 * 1024;
/// Levels of nested objects and lists in YAML; JSON has its own limit of 127.
const DEPTH_MAX: usize = 64;
/// Nodes of one YAML document, those that aliases repeat included.
const NODES_MAX: usize = 5_000_000;
/// Nodes that aliases may repeat in one YAML document: a few merged defaults, not a bomb.
const REPEATED_MAX: usize = 100_000;

/// One document with the line where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Line of its first byte, from 1.
    pub line: usize,
    /// What it says, or what is wrong with it.
    pub value: Result<Value, String>,
}

/// The file as text, without a byte order mark.
///
/// # Errors
/// Too large, or not UTF-8.
pub fn text(file: &NamedBytes) -> Result<&str, ImportError> {
    if file.bytes.len() > BYTES_MAX {
        let problem = format!("larger than {} MiB; split it", BYTES_MAX >> 20);
        return Err(malformed(file, problem));
    }
    let text = from_utf8(&file.bytes).map_err(|error| {
        let at = error.valid_up_to();
        malformed(file, format!("not UTF-8 at byte {at}; export it as UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(ImportError::Empty(file.name.clone()));
    }
    Ok(text)
}

/// The file as one JSON document.
///
/// # Errors
/// Too large, not UTF-8, or not JSON.
pub fn json(file: &NamedBytes) -> Result<Value, ImportError> {
    let text = text(file)?;
    serde_json::from_str(text).map_err(|error| malformed(file, format!("not JSON: {error}")))
}

/// Says that a file makes no sense as a whole.
pub fn malformed(file: &NamedBytes, problem: impl Into<String>) -> ImportError {
    ImportError::Malformed {
        file: file.name.clone(),
        problem: problem.into(),
    }
}

/// The start of a file, for telling formats apart.
pub fn head(file: &NamedBytes) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(file.bytes.get(..HEAD_BYTES).unwrap_or(&file.bytes))
}

/// Whether the start of every file holds every one of these texts.
pub fn heads_hold(files: &[NamedBytes], texts: &[&str]) -> bool {
    files.iter().all(|file| {
        let head = head(file);
        texts.iter().all(|text| head.contains(text))
    })
}

/// The documents of a JSON or YAML file.
///
/// # Errors
/// Too large, or not UTF-8. What is wrong with one document is said by that document.
pub fn documents(file: &NamedBytes) -> Result<Vec<Document>, ImportError> {
    let text = text(file)?;
    if text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(value) => {
                return Ok(vec![Document {
                    line: 1,
                    value: Ok(value),
                }]);
            }
            // A flow mapping of YAML may look like JSON.
            Err(error) if file.name.ends_with(".json") => {
                let value = Err(format!("not JSON: {error}"));
                return Ok(vec![Document { line: 1, value }]);
            }
            Err(_) => {}
        }
    }
    Ok(split(text)
        .filter(|(_, text)| has_content(text))
        .map(|(line, text)| Document {
            line,
            value: yaml(text, line),
        })
        .collect())
}

/// Cuts at `---` in the first column, which is a border between documents wherever it stands.
fn split(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut borders = vec![(1_usize, 0_usize)];
    let mut offset = 0_usize;
    for (number, line) in (1_usize..).zip(text.split_inclusive('\n')) {
        let is_border = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_border && offset > 0 {
            borders.push((number, offset));
        }
        offset = offset.saturating_add(line.len());
    }
    let ends: Vec<usize> = borders
        .iter()
        .skip(1)
        .map(|(_, at)| *at)
        .chain([text.len()])
        .collect();
    borders
        .into_iter()
        .zip(ends)
        .filter_map(move |((line, start), end)| Some((line, text.get(start..end)?)))
}

fn has_content(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        !line.is_empty() && line != "---" && line != "..." && !line.starts_with(['#', '%'])
    })
}

/// One YAML document, bounded in depth, nodes and aliases.
///
/// # Errors
/// What is wrong, with the line in the file.
fn yaml(text: &str, first_line: usize) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_events: 2 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_total_scalar_bytes: BYTES_MAX,
            max_recorded_anchor_events: REPEATED_MAX,
            max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED_MAX,
            max_replay_stack_depth: 16,
        },
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            let line = error.location().map_or(first_line, |place| {
                let line = usize::try_from(place.line()).unwrap_or(1);
                first_line.saturating_add(line).saturating_sub(1)
            });
            format!("not YAML at line {line}: {error}")
        })?;
    Ok(documents.into_iter().next().unwrap_or_default())
}
