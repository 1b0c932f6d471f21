//! Options that several commands share.
//!
//! Must not read the environment by itself; clap does.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{Secret, parse_duration};
use crate::core::ids::{AlertId, IncidentId};
use crate::core::time::{Span, Timestamp};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// The answer of the API, for programs
    Json,
    /// Comma-separated values; reports only
    Csv,
}

/// Options of the commands that talk to a daemon.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Daemon")]
pub struct DaemonArgs {
    /// Address of the daemon, like `https://watchbell.example` [default: the first listener of the configuration]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "WATCHBELL_URL",
        hide_env_values = true
    )]
    pub url: Option<String>,
    /// API token; better given by the variable, since everybody on this machine sees the arguments of programs
    #[arg(long, global = true, value_name = "TOKEN", env = "WATCHBELL_TOKEN", hide_env_values = true,
        value_parser = |text: &str| Ok::<_, String>(Secret::new(text)))]
    pub token: Option<Secret>,
    /// PEM file with the authority of the daemon's certificate, when the system does not know it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "WATCHBELL_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// `table` for people, `json` for programs: the answer of the API; of reports also `csv`
    #[arg(long, global = true, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    pub output: Output,
}

/// How much of a list is wanted.
#[derive(Args, Clone, Copy, Debug)]
pub struct Extent {
    /// At most this many, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// All there are
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            limit: 50,
            all: false,
        }
    }
}

impl Extent {
    /// Everything.
    pub fn all() -> Self {
        Self {
            limit: 0,
            all: true,
        }
    }

    /// The most entries; `None` for all.
    pub fn at_most(self) -> Option<u64> {
        (!self.all).then_some(self.limit)
    }
}

/// A point in time as people give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So long from now.
    After(Span),
    /// Then.
    At(Timestamp),
}

impl Until {
    /// The time it means now.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(span) => now.plus(span),
            Self::At(at) => at,
        }
    }
}

/// Reads a duration longer than nothing.
///
/// # Errors
/// The text is no such duration.
pub fn duration(text: &str) -> Result<Span, String> {
    let span = parse_duration(text)?;
    if span > Span::ZERO {
        Ok(span)
    } else {
        Err("must be longer than nothing".to_owned())
    }
}

/// Reads a duration from now, or an RFC 3339 time.
///
/// # Errors
/// The text is neither.
pub fn until(text: &str) -> Result<Until, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Until::At(Timestamp::from_millis(at.as_millisecond())));
    }
    duration(text).map(Until::After).map_err(|_| {
        format!("{text:?} is neither a duration like 2h or 1d nor a time like 2026-01-31T08:00:00Z")
    })
}

/// Reads the number of an incident, with or without `INC-`.
///
/// # Errors
/// The text is no such number.
pub fn incident(text: &str) -> Result<IncidentId, String> {
    let number = text.parse().ok().and_then(IncidentId::new);
    number
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "not the number of an incident: write it like INC-42 or 42".to_owned())
}

/// An incident or an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An incident.
    Incident(IncidentId),
    /// An alert.
    Alert(AlertId),
}

/// Reads the number of an incident or the id of an alert.
///
/// # Errors
/// The text is neither.
pub fn subject(text: &str) -> Result<Subject, String> {
    if let Ok(id) = text.parse() {
        return Ok(Subject::Incident(id));
    }
    let alert = text.parse().map(Subject::Alert);
    alert.map_err(|_| {
        "write the number of an incident like INC-42, or the id of an alert like A-17".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_by_duration_or_by_date() {
        assert_eq!(until("2h"), Ok(Until::After(Span::from_hours(2))));
        let at = Timestamp::from_millis(1_769_846_400_000);
        assert_eq!(until("2026-01-31T08:00:00Z"), Ok(Until::At(at)));
        assert_eq!(until("2026-01-31T09:00:00+01:00"), Ok(Until::At(at)));
        for bad in ["", "2", "tomorrow", "0s", "2026-01-31"] {
            assert!(until(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn incidents_are_named_with_or_without_prefix() {
        let number = IncidentId::new(42).expect("positive");
        for text in ["42", "INC-42", "inc-42"] {
            assert_eq!(incident(text), Ok(number), "{text}");
        }
        for bad in ["", "0", "-1", "INC-", "A-42", "ack"] {
            assert!(incident(bad).is_err(), "{bad:?}");
        }
        assert_eq!(subject("INC-42"), Ok(Subject::Incident(number)));
        assert!(subject("42").is_err());
        assert!(matches!(subject("a-17"), Ok(Subject::Alert(_))));
    }
}
