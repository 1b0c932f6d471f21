//! The command line as people and scripts use it: the real binary in a folder of its own.

mod actions;
mod daemon;
mod doctor;
mod lists;
mod local;
mod scripted;
mod source;
mod tokens;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use watchbell::core::time::{Span, Timestamp};
use watchbell::runtime::clock::Clock;

/// A working directory and an environment with nothing in it but what a test puts there.
struct Shell {
    dir: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Shell {
    fn new() -> Self {
        Self {
            dir: TempDir::new().expect("folder"),
            variables: vec![("COLUMNS", "100".to_owned())],
        }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a configuration that `--config w.toml` finds.
    fn configure(&self, text: &str) {
        fs::write(self.path("w.toml"), text).expect("file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchbell"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.finish(self.command(arguments).output().expect("the binary runs"))
    }

    /// The folder's name is left out of what was printed.
    fn finish(&self, output: Output) -> Ran {
        let whole = fs::canonicalize(self.dir.path()).expect("folder");
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            text.replace(&format!("{}/", whole.display()), "")
        };
        Ran {
            code: output.status.code().expect("ended by itself"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs a command that must succeed; its stdout.
    fn good(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that must fail with this code and without a result; its stderr.
    fn bad(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        ran.stderr
    }
}

/// The time so long ago, as the API writes it.
fn ago(span: Span) -> String {
    let at: Timestamp = Clock::system().now().minus(span);
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("a time");
    format!("{at:.3}")
}
