//! Why a load run could not be done.
//!
//! Answers of the server are results, not errors: they stand in the report. Must not hold secrets.

use std::io;
use std::path::PathBuf;

/// A reason why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// An option makes no sense.
    #[error("{option}: {reason}")]
    Option {
        /// The option as typed.
        option: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Nobody answers at an address.
    #[error("cannot reach {url}: {reason}; is the server running, and is the port right?")]
    Unreachable {
        /// The address.
        url: String,
        /// What the last attempt said.
        reason: String,
    },
    /// The ledger cannot be opened, read or written.
    #[error("ledger {}: {source}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The ledger holds a line that this program did not write.
    #[error("ledger {}, line {line}: `{text}` is not `first count pass status ms`", path.display())]
    LedgerLine {
        /// The file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// The disk probe cannot work in its folder.
    #[error("disk probe in {}: {source}; choose a folder that can be written", dir.display())]
    Probe {
        /// The folder.
        dir: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The resource readings of a process are not there.
    #[error("process {pid}: {source}; is it running on this machine?")]
    Process {
        /// The process id.
        pid: u32,
        /// What /proc said.
        source: io::Error,
    },
    /// The operating system refused a timer or a task.
    #[error("the load generator itself failed: {0}")]
    Generator(#[source] io::Error),
}
