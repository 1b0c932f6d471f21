//! Programs of the machine that some tests need: found, or said to be missing. Must not install anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that is there.
pub(crate) struct Tool(PathBuf);

impl Tool {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Runs it in a folder and returns what it says on both outputs; fails the test when it fails.
    pub(crate) fn run(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new(&self.0)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            output.status.success(),
            "{} {arguments:?}:\n{said}",
            self.0.display()
        );
        said
    }
}

/// Looks for a program; a missing one is told, and is a failure under `WATCHBELL_TEST_REQUIRE_ALL=1`.
pub(crate) fn find_tool(name: &str, package: &str) -> Option<Tool> {
    let path = variable("PATH").unwrap_or_default();
    // Debian keeps daemons where people do not look.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        missing(&format!("{name} (Debian package {package})"));
    }
    found.map(Tool)
}

/// Says that something is not there and its tests are left out.
pub(crate) fn missing(what: &str) {
    let is_required = variable("WATCHBELL_TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(
        !is_required,
        "{what} is missing and WATCHBELL_TEST_REQUIRE_ALL=1"
    );
    eprintln!("SKIPPED: {what} is missing");
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the machine offers to tests, not configuration"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
