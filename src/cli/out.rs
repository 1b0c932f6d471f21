//! The only place that prints: results to stdout, everything said about them to stderr.
//!
//! Colour is used on a terminal only, never with `NO_COLOR` (no-color.org) or `TERM=dumb`; a width is known on a
//! terminal, or when `COLUMNS` is set. Must not panic or complain when the reader of stdout has gone.

use std::io::{self, IsTerminal as _, Write as _};

use crate::cli::failure::{Failure, printing};
use crate::config::Env;

/// Columns that a table gets at least, however narrow the terminal says it is.
const WIDTH_MIN: usize = 40;

/// Where a command prints.
#[derive(Clone, Debug)]
pub struct Out {
    /// Columns of a line; `None` when nothing says so, as in a pipe.
    pub width: Option<usize>,
    /// Whether stdout is a terminal.
    pub is_terminal: bool,
    /// Whether stdout takes colours.
    pub is_coloured: bool,
}

impl Out {
    /// Looks at stdout and the environment.
    pub fn new(env: &Env) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_set = |name| env.get(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env.get("TERM").is_some_and(|term| term == "dumb");
        let columns = env.get("COLUMNS").and_then(|text| text.parse().ok());
        let width = columns.or_else(|| terminal_width().filter(|_| is_terminal));
        Self {
            width: width.map(|width: usize| width.max(WIDTH_MIN)),
            is_terminal,
            is_coloured: is_terminal && !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// Prints lines to stdout; a line break is added at the end when there is none.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let end = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        self.write(format!("{text}{end}").as_bytes())
    }

    /// Writes bytes to stdout as they are.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        written.map_err(|error| printing(&error))
    }

    /// Says something about the result on stderr.
    pub fn note(&self, text: &str) {
        // Nobody is left to be told when stderr cannot be written.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }
}

fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size()?;
    (width > 0).then_some(usize::from(width))
}
