//! The append-only list of what was acknowledged.
//!
//! A line is written only after the whole 2xx answer was read, so every line is a promise of the server. The file
//! may be a little behind (lines are gathered and synced about every second), never ahead. Must not be rewritten:
//! further runs append to the same file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::BenchError;
use super::plan::Slice;

/// Gathered lines are written at this size.
const GATHER_BYTES: usize = 64 * 1024;

/// One acknowledged request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerLine {
    /// The number of its first alert; the others follow it.
    pub first: u64,
    /// How many alerts it held.
    pub count: u64,
    /// Which pass over the alerts it belonged to.
    pub pass: u64,
    /// The status of the answer, 200 to 299.
    pub status: u16,
    /// Milliseconds from the start of its run to the end of the answer.
    pub at_ms: u64,
}

/// Reads a ledger; a last line without an end was cut by a crash of the generator and is left out.
pub fn read_ledger(path: impl AsRef<Path>) -> Result<Vec<LedgerLine>, BenchError> {
    let path = path.as_ref();
    let refuse = |source| BenchError::Ledger {
        path: path.to_owned(),
        source,
    };
    let mut reader = BufReader::new(File::open(path).map_err(refuse)?);
    let mut lines = Vec::new();
    let mut text = String::new();
    for number in 1.. {
        text.clear();
        reader.read_line(&mut text).map_err(refuse)?;
        let Some(whole) = text.strip_suffix('\n') else {
            break;
        };
        lines.push(parse(whole).ok_or_else(|| BenchError::LedgerLine {
            path: path.to_owned(),
            line: number,
            text: whole.to_owned(),
        })?);
    }
    Ok(lines)
}

/// A ledger being written; shared by all connections.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    inner: Mutex<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    file: File,
    lines: Vec<u8>,
}

impl Ledger {
    /// Opens `path` for appending and makes it if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, BenchError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| BenchError::Ledger {
                path: path.to_owned(),
                source,
            })?;
        let lines = Vec::with_capacity(GATHER_BYTES + 128);
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(Gathered { file, lines }),
        })
    }

    /// Notes that `slice` was acknowledged with `status`, `at` after the start of the run.
    pub(super) fn append(&self, slice: Slice, status: u16, at: Duration) -> Result<(), BenchError> {
        let Slice { first, count, pass } = slice;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(
            inner.lines,
            "{first} {count} {pass} {status} {}",
            at.as_millis()
        )
        .map_err(|source| self.refuse(source))?;
        if inner.lines.len() >= GATHER_BYTES {
            inner.write().map_err(|source| self.refuse(source))?;
        }
        Ok(())
    }

    /// Writes the gathered lines and syncs the file. Blocks.
    pub(super) fn sync(&self) -> Result<(), BenchError> {
        let file = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.write().map_err(|source| self.refuse(source))?;
            inner
                .file
                .try_clone()
                .map_err(|source| self.refuse(source))?
        };
        // Outside the lock, so that connections go on appending meanwhile.
        file.sync_all().map_err(|source| self.refuse(source))
    }

    fn refuse(&self, source: io::Error) -> BenchError {
        BenchError::Ledger {
            path: self.path.clone(),
            source,
        }
    }
}

impl Gathered {
    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

fn parse(text: &str) -> Option<LedgerLine> {
    let mut words = text.split(' ');
    let line = LedgerLine {
        first: words.next()?.parse().ok()?,
        count: words.next()?.parse().ok()?,
        pass: words.next()?.parse().ok()?,
        status: words.next()?.parse().ok()?,
        at_ms: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_and_a_cut_one_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        for pass in [0, 1] {
            let ledger = Ledger::open(&path).unwrap();
            let slice = Slice {
                first: 300,
                count: 100,
                pass,
            };
            ledger
                .append(slice, 202, Duration::from_millis(17))
                .unwrap();
            ledger.sync().unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"400 100 1 20").unwrap();
        let line = |pass| LedgerLine {
            first: 300,
            count: 100,
            pass,
            status: 202,
            at_ms: 17,
        };
        assert_eq!(read_ledger(&path).unwrap(), [line(0), line(1)]);
    }

    #[test]
    fn a_foreign_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        std::fs::write(&path, "1 2 3 200 5\n1 2 3\n").unwrap();
        let error = read_ledger(&path).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
