//! A writer on a test store, with a clock that tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use watchbell::core::time::{Span, Timestamp};
use watchbell::store::inbox::{InputKind, NewInput, StoredBody};
use watchbell::store::writer::{Appended, Writer, WriterHandle, WriterSetup};
use watchbell::store::{Db, StoreError};

use crate::support::claim::t;
use crate::support::http::soon;

/// The partition of all tests.
pub(crate) const PARTITION: i64 = 0;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(t("00:00").as_millis())))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.as_millis(), Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, span: Span) {
        self.set(self.now().plus(span));
    }
}

/// A claimed writer that does not run yet.
pub(crate) struct Claimed {
    pub(crate) writer: Writer,
    pub(crate) handle: WriterHandle,
    pub(crate) appended: mpsc::Receiver<Appended>,
    pub(crate) commits: Arc<AtomicU32>,
}

/// Claims the lease; `None` when somebody else has it.
pub(crate) async fn claim(db: &Db, clock: &TestClock, holder: &str) -> Option<Claimed> {
    let (clock, commits) = (clock.clone(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&commits);
    let setup = WriterSetup {
        db: db.clone(),
        partition: PARTITION,
        holder: holder.to_owned(),
        now: Box::new(move || clock.now()),
        on_commit: Box::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        }),
    };
    let (writer, handle, appended) = Writer::claim(setup).await.expect("the store answers")?;
    Some(Claimed {
        writer,
        handle,
        appended,
        commits,
    })
}

/// A running writer.
pub(crate) struct Rig {
    pub(crate) handle: WriterHandle,
    pub(crate) appended: mpsc::Receiver<Appended>,
    pub(crate) commits: Arc<AtomicU32>,
    stop: CancellationToken,
    task: JoinSet<Result<(), StoreError>>,
}

impl Rig {
    /// Claims the lease, which must be free, and starts to write.
    pub(crate) async fn start(db: &Db, clock: &TestClock) -> Self {
        Self::run(claim(db, clock, "rig").await.expect("the lease is free"))
    }

    pub(crate) fn run(claimed: Claimed) -> Self {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(claimed.writer.run(stop.clone()));
        Self {
            handle: claimed.handle,
            appended: claimed.appended,
            commits: claimed.commits,
            stop,
            task,
        }
    }

    /// Stops in order.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.ended().await.expect("it ends in order");
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self) -> Result<(), StoreError> {
        let ended = soon("the writer's end", self.task.join_next()).await;
        ended.expect("a task").expect("no panic")
    }
}

/// A message with that body.
pub(crate) fn message(body: impl Into<Bytes>) -> NewInput {
    NewInput {
        kind: InputKind::Message,
        source: Some("am".to_owned()),
        content_type: Some("application/json".to_owned()),
        envelope: None,
        body: StoredBody::new(body.into()),
    }
}
