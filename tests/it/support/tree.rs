//! The files of the package, for tests that read them. Must not look at what a build or a run leaves behind.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

/// Folders at the top that are not part of the package.
const LEFT_OUT: [&str; 3] = [".git", "target", "data"];

/// One text file of the package.
pub(crate) struct File {
    /// Its path from the top of the package, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

impl File {
    /// The comment at its top that begins with `//!`.
    pub(crate) fn module_text(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("//!"));
        lines.collect()
    }

    /// Its lines with their numbers from 1, without those that are comments as a whole.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// `path:line`, as editors and terminals understand it.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The top of the package.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file, by its path from the top.
pub(crate) fn file(path: &str) -> File {
    File {
        path: path.to_owned(),
        text: read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}")),
    }
}

/// Every text file under `folder` (`""`: the whole package) whose name ends so, in the order of their paths.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<File> {
    let mut paths = Vec::new();
    walk(&top().join(folder), &mut paths);
    let mut files: Vec<File> = paths
        .into_iter()
        .filter_map(|path| {
            let shown = path.strip_prefix(top()).unwrap().to_str().unwrap();
            let text = shown.ends_with(ending).then(|| read_to_string(&path))?;
            // What is not text has nothing to check.
            Some(File {
                path: shown.to_owned(),
                text: text.ok()?,
            })
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!files.is_empty(), "no {ending} under {folder:?}");
    files
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let is_left_out = LEFT_OUT.iter().any(|name| path == top().join(name));
        if is_left_out {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Fails with one line for each violation.
pub(crate) fn none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}
