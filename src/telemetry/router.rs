//! The logger that everything meets: filters, copies, queues; one thread writes.
//!
//! Invariants: a caller never waits for the journal or a terminal; a full queue loses the record and counts the loss,
//! and the count is logged as soon as there is room again. Must not log anything through the facade itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use env_filter::Filter;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::NowMs;
use super::record::OwnedRecord;
use super::sink::Sink;

/// Records that may wait for the writer; with the text limit of a record this bounds the memory used.
pub const QUEUE_RECORDS_MAX: usize = 4096;
/// Longest wait for the queue to empty, at the end of the process.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

enum Entry {
    Record(Box<OwnedRecord>),
    Flush(SyncSender<()>),
}

/// Filters records and hands them to the writer thread.
pub struct LogRouter {
    filter: ArcSwap<Filter>,
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
    now: NowMs,
}

impl LogRouter {
    /// Starts the writer thread on `sink`; `queue_records` records may wait for it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        sink: Sink,
        filter: Filter,
        now: NowMs,
        queue_records: usize,
    ) -> std::io::Result<Self> {
        let (queue, entries) = sync_channel(queue_records);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            sink,
            dropped: Arc::clone(&dropped),
            reported: 0,
            now: Arc::clone(&now),
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.run(&entries))?;
        Ok(Self {
            filter: ArcSwap::from_pointee(filter),
            queue,
            dropped,
            now,
        })
    }

    /// Replaces the filter; returns the most verbose level that it lets through.
    pub fn set_filter(&self, filter: Filter) -> LevelFilter {
        let level = filter.filter();
        self.filter.store(Arc::new(filter));
        level
    }

    /// The most verbose level that the filter lets through.
    pub fn max_level(&self) -> LevelFilter {
        self.filter.load().filter()
    }

    /// Records lost so far because the queue was full or the journal refused them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Log for LogRouter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.load().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.load().matches(record) {
            return;
        }
        let entry = Entry::Record(Box::new(OwnedRecord::capture(record, (self.now)())));
        match self.queue.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Entry::Flush(done)).is_ok() {
            // A writer that is stuck must not keep the process alive.
            wait.recv_timeout(FLUSH_TIMEOUT).unwrap_or_default();
        }
    }
}

struct Writer {
    sink: Sink,
    dropped: Arc<AtomicU64>,
    reported: u64,
    now: NowMs,
}

impl Writer {
    fn run(mut self, entries: &Receiver<Entry>) {
        while let Ok(entry) = entries.recv() {
            match entry {
                Entry::Record(record) => self.write(&record),
                // The caller may have stopped waiting.
                Entry::Flush(done) => done.try_send(()).unwrap_or_default(),
            }
        }
    }

    fn write(&mut self, record: &OwnedRecord) {
        if !self.sink.write(record) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        let lost = dropped.saturating_sub(self.reported);
        if lost > 0 && self.sink.write(&self.loss_record(lost)) {
            self.reported = dropped;
        }
    }

    fn loss_record(&self, lost: u64) -> OwnedRecord {
        OwnedRecord {
            at_ms: (self.now)(),
            level: Level::Warn,
            target: module_path!().to_owned(),
            module: None,
            place: None,
            message: format!(
                "{lost} log records were lost: they came faster than they could be written; \
                 raise the log level if this repeats"
            ),
            fields: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use env_logger::Target;

    use super::*;
    use crate::telemetry::parse_filter;

    /// Shared bytes; `gate` is held by a test that wants the writer to stand still.
    #[derive(Clone, Default)]
    struct Pipe {
        bytes: Arc<Mutex<Vec<u8>>>,
        gate: Arc<Mutex<()>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.gate.lock().map_err(|_| io::ErrorKind::Other)?;
            self.bytes
                .lock()
                .map_err(|_| io::ErrorKind::Other)?
                .write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Pipe {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    fn router(pipe: &Pipe, queue_records: usize) -> LogRouter {
        let sink = Sink::text(Target::Pipe(Box::new(pipe.clone())));
        let filter = parse_filter("info,noisy=warn").unwrap();
        LogRouter::start(sink, filter, Arc::new(|| 1_700_000_000_120), queue_records).unwrap()
    }

    fn say(router: &LogRouter, level: Level, target: &str, text: &str) {
        router.log(
            &Record::builder()
                .level(level)
                .target(target)
                .args(format_args!("{text}"))
                .build(),
        );
    }

    #[test]
    fn filter_decides_and_can_be_swapped() {
        let pipe = Pipe::default();
        let router = router(&pipe, 16);
        say(&router, Level::Info, "a", "one");
        say(&router, Level::Debug, "a", "hidden");
        say(&router, Level::Info, "noisy", "hidden");
        assert_eq!(router.max_level(), LevelFilter::Info);
        assert_eq!(
            router.set_filter(parse_filter("debug").unwrap()),
            LevelFilter::Debug
        );
        say(&router, Level::Debug, "a", "two\nlines");
        router.flush();
        assert_eq!(
            pipe.lines(),
            [
                "2023-11-14T22:13:20.120Z INFO  a: one",
                r"2023-11-14T22:13:20.120Z DEBUG a: two\nlines"
            ]
        );
    }

    #[test]
    fn full_queue_never_waits_and_reports_the_loss() {
        let pipe = Pipe::default();
        let router = router(&pipe, 2);
        {
            let _closed = pipe.gate.lock().unwrap();
            for number in 0..50 {
                say(&router, Level::Info, "a", &format!("n{number}"));
            }
            // Two wait, and the writer may hold a third.
            assert!(
                (47..=48).contains(&router.dropped()),
                "{}",
                router.dropped()
            );
        }
        router.flush();
        let lines = pipe.lines();
        let lost = format!("{} log records were lost", router.dropped());
        assert!(lines.iter().any(|line| line.contains(&lost)), "{lines:?}");
    }
}
