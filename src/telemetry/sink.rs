//! Where finished records go: the journal, or lines on stderr.
//!
//! Runs on the writer's own thread, since each of these can block. Must not filter; the router did that.

use std::io::Write;

use env_logger::{Target, WriteStyle};
use log::{Level, Log, Record};
use systemd_journal_logger::JournalLog;

use super::escape::escaped;
use super::format::{json_line, text_line};
use super::record::OwnedRecord;

/// Stands before the name of every field in the journal, so that no field can shadow `MESSAGE` or `PRIORITY`.
pub const JOURNAL_FIELD_PREFIX: &str = "WATCHBELL_";

/// A place that takes records one at a time.
pub enum Sink {
    /// The systemd journal, with one journal field per field.
    Journal(JournalLog),
    /// Lines for people; colours only where a terminal shows them.
    Text(env_logger::Logger),
    /// One JSON object per line.
    Json(env_logger::Logger),
}

impl Sink {
    /// Connects to the journal.
    ///
    /// # Errors
    /// When its socket is missing or does not answer.
    pub fn journal() -> std::io::Result<Self> {
        Ok(Self::Journal(
            JournalLog::empty()?.with_syslog_identifier("watchbell".to_owned()),
        ))
    }

    /// Writes text lines to `target`.
    pub fn text(target: Target) -> Self {
        Self::Text(line_logger(target, WriteStyle::Auto))
    }

    /// Writes JSON lines to `target`.
    pub fn json(target: Target) -> Self {
        Self::Json(line_logger(target, WriteStyle::Never))
    }

    /// Writes one record; returns false when it is lost. A stream's own errors cannot be seen here.
    pub fn write(&self, record: &OwnedRecord) -> bool {
        match self {
            Self::Journal(journal) => {
                with_journal_record(record, |record| journal.journal_send(record).is_ok())
            }
            Self::Text(logger) => write_line(logger, record.level, &text_line(record)),
            Self::Json(logger) => write_line(logger, record.level, &json_line(record)),
        }
    }
}

fn line_logger(target: Target, style: WriteStyle) -> env_logger::Logger {
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Trace)
        .target(target)
        .write_style(style)
        .format(|line, record| writeln!(line, "{}", record.args()))
        .build()
}

fn write_line(logger: &env_logger::Logger, level: Level, line: &str) -> bool {
    logger.log(
        &Record::builder()
            .level(level)
            .args(format_args!("{line}"))
            .build(),
    );
    true
}

/// Hands `send` the record as the journal crate needs it.
///
/// That crate sends info as priority 5 (notice) and debug as 6 (info). `journalctl -p info` must not show debug
/// records, so the level goes one step down here: info arrives as 6 (info), debug and trace as 7 (debug).
fn with_journal_record<T>(record: &OwnedRecord, send: impl FnOnce(&Record<'_>) -> T) -> T {
    let level = match record.level {
        Level::Error => Level::Error,
        Level::Warn => Level::Warn,
        Level::Info => Level::Debug,
        Level::Debug | Level::Trace => Level::Trace,
    };
    let fields: Vec<(String, String)> = record
        .fields
        .iter()
        .map(|(name, value)| {
            (
                format!("{JOURNAL_FIELD_PREFIX}{name}"),
                escaped(&value.to_string()),
            )
        })
        .collect();
    let fields = fields.as_slice();
    let (file, line) = record
        .place
        .as_ref()
        .map(|(file, line)| (file.as_str(), *line))
        .unzip();
    send(
        &Record::builder()
            .level(level)
            .target(&escaped(&record.target))
            .module_path(record.module.as_deref())
            .file(file)
            .line(line)
            .key_values(&fields)
            .args(format_args!("{}", escaped(&record.message)))
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::FieldValue;

    #[test]
    fn journal_records_have_true_priorities_and_own_field_names() {
        for (level, sent) in [
            (Level::Error, Level::Error), // 3
            (Level::Warn, Level::Warn),   // 4
            (Level::Info, Level::Debug),  // 6
            (Level::Debug, Level::Trace), // 7
            (Level::Trace, Level::Trace), // 7
        ] {
            let record = OwnedRecord {
                at_ms: 1,
                level,
                target: "t".into(),
                module: None,
                place: Some(("a.rs".into(), 3)),
                message: "two\nlines".into(),
                fields: vec![("message".into(), FieldValue::Text("x\ny".into()))],
            };
            with_journal_record(&record, |record| {
                assert_eq!(record.level(), sent);
                assert_eq!(record.args().to_string(), r"two\nlines");
                assert_eq!(record.line(), Some(3));
                let value = record.key_values().get("WATCHBELL_message".into()).unwrap();
                assert_eq!(value.to_string(), r"x\ny");
            });
        }
    }
}
