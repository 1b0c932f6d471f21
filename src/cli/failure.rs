//! How a command ends: its exit code, and the one line that says why.
//!
//! Must not print.

use std::fmt;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use crate::config::ConfigErrors;
use crate::store::StoreError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: it did what was asked.
    Done,
    /// 1: the asked-for check failed, or the daemon refused.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: something could not be reached or opened.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Whoever read our output has gone, as with `| head`; that is no error.
    ReaderGone,
    /// Something to say.
    Said {
        /// How the command ends.
        exit: Exit,
        /// What went wrong, with its cause.
        text: String,
        /// What to do next.
        next: Option<String>,
    },
}

impl Failure {
    /// The asked-for check failed, or the daemon refused.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::with(Exit::Failed, text.into())
    }

    /// The command line makes no sense.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::with(Exit::Usage, text.into())
    }

    /// Something could not be reached or opened.
    pub fn unreachable(text: impl Into<String>) -> Self {
        Self::with(Exit::Unreachable, text.into())
    }

    /// Adds what to do next.
    pub fn next(self, step: impl Into<String>) -> Self {
        match self {
            Self::ReaderGone => self,
            Self::Said { exit, text, .. } => Self::Said {
                exit,
                text,
                next: Some(step.into()),
            },
        }
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::ReaderGone => Exit::Done,
            Self::Said { exit, .. } => *exit,
        }
    }

    fn with(exit: Exit, text: String) -> Self {
        Self::Said {
            exit,
            text,
            next: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReaderGone => Ok(()),
            Self::Said {
                text,
                next: Some(next),
                ..
            } => write!(f, "{}; {next}", text.trim_end_matches('.')),
            Self::Said { text, .. } => f.write_str(text),
        }
    }
}

impl From<ConfigErrors> for Failure {
    /// An unreadable file could not be opened (3); a readable one that is wrong failed the check (1).
    fn from(errors: ConfigErrors) -> Self {
        let is_unread = errors.0.iter().any(|error| error.position.is_none());
        let text = format!("the configuration cannot be used:\n{errors}");
        if is_unread {
            Self::unreachable(text)
        } else {
            Self::failed(text)
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::unreachable(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::unreachable(chain(error.as_ref()))
    }
}

/// What went wrong while printing.
pub fn printing(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::ReaderGone;
    }
    Failure::unreachable(format!("the output cannot be written: {error}"))
}

/// An error and its causes, each said once: many errors repeat their cause in their own text.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let inner = io::Error::other("no route");
        let error = anyhow::Error::new(inner)
            .context("connecting: no route")
            .context("asking");
        assert_eq!(chain(error.as_ref()), "asking: connecting: no route");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let failure = printing(&io::Error::from(ErrorKind::BrokenPipe));
        assert_eq!(failure.exit(), Exit::Done);
        let failure = printing(&io::Error::from(ErrorKind::StorageFull));
        assert_eq!(failure.exit(), Exit::Unreachable);
    }

    #[test]
    fn the_next_step_follows_the_cause() {
        let failure = Failure::failed("it is closed").next("reopen it");
        assert_eq!(failure.to_string(), "it is closed; reopen it");
    }
}
