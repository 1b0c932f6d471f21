//! Which files make up the configuration, and their merged content.
//!
//! Order: compiled-in defaults, the file, its includes sorted by path; later ones win key by key, `[[...]]` tables of
//! files add up, and such a list in any file replaces the compiled-in one. Must not interpret keys except `include`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::LoadRequest;
use crate::config::error::{ConfigError, ConfigErrors};
use crate::config::tree::{self, At, Lists, Node, Table, Value};
use crate::config::units::show_size;

/// The shipped file; it is the defaults.
pub(super) const DEFAULTS: &str = include_str!("../../config/watchbell.toml");
const DEFAULTS_SHOWN: &str = "<built-in defaults>";
/// Bytes of one file; a larger one is not a configuration and is refused.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files one configuration may consist of; more is a wrong pattern and is refused.
const FILES_MAX: usize = 1_000;

/// Hidden files are skipped: editors keep locks and copies in them.
const GLOB: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that were read, in order; the first entry is the compiled-in one.
#[derive(Debug)]
pub(super) struct Files(Vec<SourceFile>);

#[derive(Debug)]
struct SourceFile {
    shown: String,
    /// What relative paths in this file start from.
    folder: PathBuf,
}

impl Files {
    /// No files at all.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// How the operator knows the file.
    pub(super) fn shown(&self, file: usize) -> &str {
        self.0
            .get(file)
            .map_or(DEFAULTS_SHOWN, |entry| &entry.shown)
    }

    /// A path written in that file, made usable from where the process runs.
    pub(super) fn resolve(&self, file: usize, path: &str) -> PathBuf {
        self.0
            .get(file)
            .map_or_else(|| PathBuf::from(path), |entry| entry.folder.join(path))
    }

    /// The paths of the files, without the compiled-in one.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0
            .iter()
            .skip(1)
            .map(|entry| PathBuf::from(&entry.shown))
            .collect()
    }

    /// A single document that is read on its own.
    pub(super) fn of_one(shown: &str) -> Self {
        Self(vec![SourceFile {
            shown: shown.to_owned(),
            folder: PathBuf::new(),
        }])
    }

    /// A path beside the main file; `None` when only the compiled-in defaults are used.
    pub(super) fn beside_main(&self, path: &Path) -> Option<PathBuf> {
        self.0.get(1).map(|main| main.folder.join(path))
    }

    fn add(&mut self, path: &Path) -> usize {
        self.0.push(SourceFile {
            shown: path.display().to_string(),
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        });
        self.0.len().saturating_sub(1)
    }
}

/// Finds, reads, parses and merges all files; stops before any check of keys when one of them cannot be read.
pub(super) fn read_all(request: &LoadRequest) -> Result<(Files, Table), ConfigErrors> {
    let mut loading = Loading {
        files: Files(vec![SourceFile {
            shown: DEFAULTS_SHOWN.to_owned(),
            folder: PathBuf::new(),
        }]),
        errors: Vec::new(),
    };
    let mut merged = loading.parse(0, DEFAULTS);
    if let Some((path, text)) = loading.main_file(request) {
        let file = loading.files.add(&path);
        let mut own = loading.parse(file, &text);
        let include = own.remove("include").map(|(_, node)| node);
        for included in include.map_or_else(Vec::new, |node| loading.included(&path, &node)) {
            let table = loading.include_file(&included);
            tree::merge(&mut own, table, Lists::Append);
        }
        tree::merge(&mut merged, own, Lists::Replace);
    }
    if loading.errors.is_empty() {
        Ok((loading.files, merged))
    } else {
        Err(ConfigErrors(loading.errors))
    }
}

struct Loading {
    files: Files,
    errors: Vec<ConfigError>,
}

impl Loading {
    /// The file asked for, else the first of the usual ones that exists.
    fn main_file(&mut self, request: &LoadRequest) -> Option<(PathBuf, Zeroizing<String>)> {
        if let Some(path) = &request.file {
            return self.read(path).map(|text| (path.clone(), text));
        }
        let exists = |path: &&PathBuf| !matches!(fs::metadata(path), Err(error) if error.kind() == ErrorKind::NotFound);
        let path = request.search.iter().find(exists)?;
        self.read(path).map(|text| (path.clone(), text))
    }

    fn include_file(&mut self, path: &Path) -> Table {
        let Some(text) = self.read(path) else {
            return Table::new();
        };
        let file = self.files.add(path);
        let mut table = self.parse(file, &text);
        if let Some((at, _)) = table.remove("include") {
            let hint = "list all files in the main file";
            self.refuse(
                at,
                "include",
                "an included file cannot include others",
                hint,
            );
        }
        table
    }

    /// The files that the patterns name, sorted within each pattern, each file once.
    fn included(&mut self, main: &Path, include: &Node) -> Vec<PathBuf> {
        let folder = main.parent().unwrap_or(Path::new(""));
        let patterns = match &include.value {
            Value::List(items) => items.as_slice(),
            Value::Text(_) => std::slice::from_ref(include),
            Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date | Value::Table(_) => {
                self.refuse_include(include.at, "include must be a list of file patterns");
                &[]
            }
        };
        let mut found = Vec::new();
        for item in patterns {
            let Value::Text(pattern) = &item.value else {
                self.refuse_include(item.at, "a file pattern must be text");
                continue;
            };
            for path in self.matching(folder, item.at, pattern) {
                let same = |other: &PathBuf| is_same_file(other, &path);
                if !is_same_file(main, &path) && !found.iter().any(same) {
                    found.push(path);
                }
            }
        }
        if found.len() > FILES_MAX {
            let message = format!(
                "the patterns name {} files, at most {FILES_MAX} are read",
                found.len()
            );
            self.refuse_include(include.at, &message);
            found.clear();
        }
        found
    }

    fn matching(&mut self, folder: &Path, at: At, pattern: &str) -> Vec<PathBuf> {
        let escaped = glob::Pattern::escape(&folder.to_string_lossy());
        let full = Path::new(&escaped).join(pattern);
        let paths = match glob::glob_with(&full.to_string_lossy(), GLOB) {
            Ok(paths) => paths,
            Err(error) => {
                self.refuse_include(
                    at,
                    &format!("{pattern:?} is not a file pattern: {}", error.msg),
                );
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for path in paths {
            match path {
                Ok(path) => found.push(path),
                Err(error) => {
                    let (shown, cause) = (error.path().display(), error.error());
                    self.refuse_include(at, &format!("cannot look into {shown}: {cause}"));
                }
            }
        }
        // A pattern may match nothing, an empty conf.d is fine; a plain name that is not there is a mistake.
        if found.is_empty() && !pattern.contains(['*', '?', '[']) {
            let message = format!("there is no file {}", folder.join(pattern).display());
            self.refuse_include(at, &message);
        }
        found
    }

    fn read(&mut self, path: &Path) -> Option<Zeroizing<String>> {
        match read_text(path, FILE_BYTES_MAX) {
            Ok(text) => Some(text),
            Err(cause) => {
                self.errors.push(ConfigError {
                    file: path.display().to_string(),
                    position: None,
                    key: String::new(),
                    message: format!("cannot read this file: {cause}"),
                    hint: Some("check the path and who may read it".to_owned()),
                });
                None
            }
        }
    }

    fn parse(&mut self, file: usize, text: &str) -> Table {
        let (table, errors) = tree::parse(file, text);
        let shown = self.files.shown(file).to_owned();
        self.errors
            .extend(errors.into_iter().map(|error| ConfigError {
                file: shown.clone(),
                position: Some(error.at.position),
                key: String::new(),
                message: format!("not valid TOML: {}", error.message),
                hint: None,
            }));
        table
    }

    fn refuse_include(&mut self, at: At, message: &str) {
        self.refuse(
            at,
            "include",
            message,
            "write it like include = [\"conf.d/*.toml\"]",
        );
    }

    fn refuse(&mut self, at: At, key: &str, message: &str, hint: &str) {
        self.errors.push(ConfigError {
            file: self.files.shown(at.file).to_owned(),
            position: Some(at.position),
            key: key.to_owned(),
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        });
    }
}

/// Reads a whole text file of at most `bytes_max`; the error is a cause for people.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, String> {
    let file = File::open(path).map_err(|error| cause(&error))?;
    let mut text = Zeroizing::new(String::new());
    let mut capped = file.take(bytes_max.saturating_add(1));
    let read = capped
        .read_to_string(&mut text)
        .map_err(|error| cause(&error))?;
    match u64::try_from(read) {
        Ok(bytes) if bytes <= bytes_max => Ok(text),
        Ok(_) | Err(_) => Err(format!("it has more than {}", show_size(bytes_max))),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => one == other,
    }
}

fn cause(error: &io::Error) -> String {
    let known = [
        (ErrorKind::NotFound, "it does not exist"),
        (ErrorKind::InvalidData, "it is not UTF-8 text"),
        (ErrorKind::PermissionDenied, "permission denied"),
        (ErrorKind::IsADirectory, "it is a folder"),
    ];
    let text = known.iter().find(|(kind, _)| *kind == error.kind());
    text.map_or_else(|| error.to_string(), |(_, text)| (*text).to_owned())
}
