//! What can go wrong in the store, by what the reader can do about it.
//!
//! Must not carry SQL, connection addresses or row contents in its text: it is shown in answers and logs.

use std::path::PathBuf;
use std::sync::Arc;

/// A failed store operation. Cheap to clone: one failed transaction answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No space is left; nothing was written, it goes on by itself when there is space again.
    #[error("the disk that holds the store is full; free some space, Watchbell goes on by itself")]
    Full,
    /// The database does not answer; it goes on by itself when it does.
    #[error("the database cannot be reached ({0}); Watchbell goes on by itself when it is back")]
    Unavailable(Arc<str>),
    /// Another process holds the database for too long.
    #[error("the database is locked by another process; stop it, or wait until it is done")]
    Busy,
    /// Another process leads now; nothing was written.
    #[error("another process has taken over; this one must start again")]
    Fenced,
    /// Another Watchbell uses the same file.
    #[error("another Watchbell is running on {0}; stop it first, or use another [store] url")]
    InUse(PathBuf),
    /// There is no store yet.
    #[error("there is no store at {0}; `watchbell serve` or `watchbell migrate` makes one")]
    Missing(PathBuf),
    /// The schema was written by a newer release.
    #[error(
        "the store's schema is newer than this release understands; start the newer release again"
    )]
    TooNew,
    /// The linked SQLite has a known corruption bug.
    #[error(
        "the linked SQLite is {0}; versions before 3.51.3 can corrupt the file, so this build refuses to run"
    )]
    SqliteTooOld(String),
    /// The store's URL cannot be used.
    #[error("the store url cannot be used: {0}")]
    Url(Arc<str>),
    /// A row cannot be understood.
    #[error(
        "the store holds a row that cannot be understood: {0}; restore a backup or ask for help"
    )]
    Corrupt(Arc<str>),
    /// Something that should not happen.
    #[error("the store failed: {0}")]
    Other(Arc<str>),
}

impl StoreError {
    /// Whether the same operation may succeed later without anybody changing the request.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full | Self::Unavailable(_) | Self::Busy | Self::Fenced => true,
            Self::InUse(_)
            | Self::Missing(_)
            | Self::TooNew
            | Self::SqliteTooOld(_)
            | Self::Url(_)
            | Self::Corrupt(_)
            | Self::Other(_) => false,
        }
    }

    /// A row that does not decode, by table and column.
    pub(crate) fn corrupt(table: &str, column: &str, value: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{table}.{column} is {value}").into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{
            ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Database, Io, PoolClosed,
            PoolTimedOut, Tls, WorkerCrashed,
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "sqlx's list of errors is open"
        )]
        match &error {
            Database(database) => {
                by_code(database.code().as_deref().unwrap_or(""), database.message())
            }
            Io(_) | Tls(_) | PoolTimedOut | PoolClosed | WorkerCrashed => {
                Self::Unavailable(error.to_string().into())
            }
            ColumnDecode { .. } | ColumnNotFound(_) | ColumnIndexOutOfBounds { .. } => {
                Self::Corrupt(error.to_string().into())
            }
            other => Self::Other(other.to_string().into()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "sqlx's list of errors is open"
        )]
        match error {
            sqlx::migrate::MigrateError::VersionMissing(_) => Self::TooNew,
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            other => Self::Other(other.to_string().into()),
        }
    }
}

/// SQLite gives extended result codes ("SQLite Result Codes"), Postgres SQLSTATE classes (its manual, appendix A).
fn by_code(code: &str, message: &str) -> StoreError {
    if let Ok(number) = code.parse::<i32>()
        && code.len() < 5
    {
        return match number & 0xff {
            5 | 6 => StoreError::Busy,
            13 => StoreError::Full,
            10 | 14 => StoreError::Unavailable(message.into()),
            11 | 26 => StoreError::Corrupt(message.into()),
            _ => StoreError::Other(message.into()),
        };
    }
    match code {
        "53100" => StoreError::Full,
        "55P03" | "40001" | "40P01" => StoreError::Busy,
        _ if code.starts_with("08") || code.starts_with("57") || code.starts_with("53") => {
            StoreError::Unavailable(message.into())
        }
        _ if code.starts_with("XX") => StoreError::Corrupt(message.into()),
        _ => StoreError::Other(message.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_engines_are_told_apart() {
        for (code, retryable) in [
            ("13", true),
            ("5", true),
            ("261", true),
            ("778", true),
            ("2067", false),
            ("11", false),
        ] {
            assert_eq!(
                by_code(code, "m").is_retryable(),
                retryable,
                "SQLite {code}"
            );
        }
        for (code, retryable) in [
            ("53100", true),
            ("57P01", true),
            ("08006", true),
            ("23505", false),
            ("42P01", false),
        ] {
            assert_eq!(
                by_code(code, "m").is_retryable(),
                retryable,
                "Postgres {code}"
            );
        }
    }
}
