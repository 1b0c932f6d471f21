//! A yardstick beside the load: how long one durable 4 KiB write takes on the same disk at the same time.
//!
//! Overwrites a small preallocated file, since that needs no journal commit of the file system. Must not write
//! more often than [`PAUSE`] allows: it is there to measure the disk, not to load it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::BenchError;
use super::numbers::micros;
use super::report::{DiskReport, Latency};

const BLOCK_BYTES: usize = 4096;
/// Blocks that are overwritten in turn.
const BLOCKS: u64 = 256;
/// From the end of one write to the next.
const PAUSE: Duration = Duration::from_millis(5);

/// A probe at work.
#[derive(Debug)]
pub(super) struct DiskProbe {
    dir: PathBuf,
    stop: CancellationToken,
    task: JoinSet<io::Result<Histogram<u64>>>,
}

impl DiskProbe {
    /// Makes its file in `dir` and begins.
    pub(super) fn start(dir: &Path) -> Result<Self, BenchError> {
        let path = dir.join(format!("watchbell-probe-{}", std::process::id()));
        let file = prepare(&path).map_err(|source| BenchError::Probe {
            dir: dir.to_owned(),
            source,
        })?;
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(probe(Arc::new(file), stop.clone()));
        Ok(Self {
            dir: dir.to_owned(),
            stop,
            task,
        })
    }

    /// Ends the probe and returns what it measured.
    pub(super) async fn finish(mut self) -> Result<DiskReport, BenchError> {
        self.stop.cancel();
        let refuse = |source| BenchError::Probe {
            dir: self.dir.clone(),
            source,
        };
        let histogram = match self.task.join_next().await {
            Some(Ok(result)) => result.map_err(refuse)?,
            Some(Err(error)) => return Err(refuse(io::Error::other(error))),
            None => return Err(refuse(io::Error::other("the probe never ran"))),
        };
        Ok(DiskReport {
            writes: histogram.len(),
            latency_ms: Latency::of(&histogram),
        })
    }
}

/// Makes the file in full size and takes its name away, so that nothing is left behind after a crash.
fn prepare(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .open(path)?;
    std::fs::remove_file(path)?;
    for block in 0..BLOCKS {
        file.write_all_at(&[0x55; BLOCK_BYTES], block * 4096)?;
    }
    file.sync_all()?;
    Ok(file)
}

async fn probe(file: Arc<File>, stop: CancellationToken) -> io::Result<Histogram<u64>> {
    let mut histogram = super::phase::new_histogram()?;
    for block in (0..BLOCKS).cycle() {
        let file = Arc::clone(&file);
        let took = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            file.write_all_at(&[0xAA; BLOCK_BYTES], block * 4096)?;
            file.sync_data()?;
            Ok::<_, io::Error>(began.elapsed())
        })
        .await
        .map_err(io::Error::other)??;
        histogram.saturating_record(micros(took));
        if tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok() {
            break;
        }
    }
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn measures_at_least_once_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let report = DiskProbe::start(dir.path())
            .unwrap()
            .finish()
            .await
            .unwrap();
        assert!(report.writes >= 1 && report.latency_ms.max > 0.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
