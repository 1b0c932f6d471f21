//! Logs and metrics: what the process tells about itself.
//!
//! Everything logs through the `log` facade with key-values; hyper and sqlx arrive there too, through the `log`
//! feature of `tracing`. [`log_init`] puts a router behind the facade: filter, bounded queue, one writer thread, and
//! the journal (with structured fields) or stderr (text or JSON lines) at its end.
//!
//! Invariants: logging never blocks a runtime thread; one record is one line; control characters never reach an
//! output. Must not know anything else of ours, and must not decide what is worth logging.

mod builds;
mod durations;
pub mod escape;
pub mod format;
pub mod metrics;
pub mod process;
pub mod record;
pub mod reports;
pub mod router;
pub mod sink;
pub mod telling;
pub mod tickets;

use std::io;
use std::sync::Arc;

use env_filter::Filter;
use env_logger::Target;
use log::Log;
use thiserror::Error;

use self::router::{LogRouter, QUEUE_RECORDS_MAX};
use self::sink::Sink;

/// Gives the time in milliseconds since the Unix epoch; handed in, because only the clock module reads the clock.
pub type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal when stderr is connected to it, else [`LogFormat::Text`].
    #[default]
    Auto,
    /// Lines for people on stderr.
    Text,
    /// One JSON object per line on stderr.
    Json,
}

/// What [`log_init`] needs to know.
#[derive(Clone)]
pub struct LogSettings {
    /// Levels per module in the syntax of `RUST_LOG`, for example `info,watchbell::engine=debug`.
    pub filter: String,
    /// How records are written.
    pub format: LogFormat,
    /// The time put on each record.
    pub now: NowMs,
}

/// Why logging could not be set up or changed.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter text is wrong.
    #[error(
        "log filter {filter:?} is not valid: {cause}; write it like \"info,watchbell::engine=debug\""
    )]
    Filter {
        /// The text as given.
        filter: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The writer thread could not be started.
    #[error("the log writer thread could not be started")]
    Thread(#[source] io::Error),
    /// Another logger is already installed in this process.
    #[error("logging was already set up in this process")]
    AlreadySet,
}

/// The running log: change its filter, flush it, ask for its losses. Cheap to clone.
#[derive(Clone)]
pub struct LogHandle(Arc<LogRouter>);

impl LogHandle {
    /// Replaces the filter, for a reload; a wrong text leaves the old one in place.
    ///
    /// # Errors
    /// [`LogError::Filter`] when the text is wrong.
    pub fn set_filter(&self, filter: &str) -> Result<(), LogError> {
        log::set_max_level(self.0.set_filter(parse_filter(filter)?));
        Ok(())
    }

    /// Waits until everything logged so far is written, at most [`router::FLUSH_TIMEOUT`]; for the end of main.
    pub fn flush(&self) {
        self.0.flush();
    }

    /// Records lost since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

/// Sets up logging for the whole process; call once, first thing.
///
/// # Errors
/// When the filter text is wrong, the thread cannot start, or logging is set up already.
pub fn log_init(settings: &LogSettings) -> Result<LogHandle, LogError> {
    let filter = parse_filter(&settings.filter)?;
    let sink = choose_sink(settings.format);
    let router = LogRouter::start(sink, filter, Arc::clone(&settings.now), QUEUE_RECORDS_MAX)
        .map_err(LogError::Thread)?;
    let handle = LogHandle(Arc::new(router));
    log::set_boxed_logger(Box::new(Shared(handle.clone()))).map_err(|_| LogError::AlreadySet)?;
    log::set_max_level(handle.0.max_level());
    Ok(handle)
}

/// Parses a filter text like `info,hyper=warn`; an empty text means `info`.
///
/// # Errors
/// [`LogError::Filter`] with the text and what is wrong with it.
pub fn parse_filter(text: &str) -> Result<Filter, LogError> {
    let trimmed = if text.trim().is_empty() { "info" } else { text };
    let mut builder = env_filter::Builder::new();
    match builder.try_parse(trimmed) {
        Ok(builder) => Ok(builder.build()),
        Err(cause) => Err(LogError::Filter {
            filter: text.to_owned(),
            cause: cause.to_string(),
        }),
    }
}

fn choose_sink(format: LogFormat) -> Sink {
    match format {
        LogFormat::Json => Sink::json(Target::Stderr),
        LogFormat::Text => Sink::text(Target::Stderr),
        LogFormat::Auto if systemd_journal_logger::connected_to_journal() => {
            // Without a journal socket (a container, say) stderr still reaches someone.
            Sink::journal().unwrap_or_else(|_| Sink::text(Target::Stderr))
        }
        LogFormat::Auto => Sink::text(Target::Stderr),
    }
}

/// The facade owns its logger; this lends it ours.
struct Shared(LogHandle);

impl Log for Shared {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.0.log(record);
    }

    fn flush(&self) {
        self.0.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_filter_says_what_to_write() {
        let message = parse_filter("info,watchbell=loud").unwrap_err().to_string();
        assert!(message.contains("info,watchbell=loud"), "{message}");
        assert!(message.contains("write it like"), "{message}");
        assert_eq!(parse_filter(" ").unwrap().filter(), log::LevelFilter::Info);
    }
}
