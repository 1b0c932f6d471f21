//! Whether a connection does anything, as the basis of its idle limits.
//!
//! A request is in progress from its complete head to the end (or drop) of its answer's body. Must not hold its lock
//! across an await.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

/// Counts the requests of one connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    in_progress: usize,
    served_any: bool,
    idle_since: Instant,
}

impl Activity {
    /// A connection that begins now.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            in_progress: 0,
            served_any: false,
            idle_since: Instant::now(),
        })))
    }

    /// A request has begun; it is in progress until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        let mut state = self.state();
        state.in_progress = state.in_progress.saturating_add(1);
        state.served_any = true;
        InProgress(Arc::clone(self))
    }

    /// Since when nothing is in progress, or `None` while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.in_progress == 0).then_some(state.idle_since)
    }

    /// Whether a request ever arrived.
    pub(super) fn served_any(&self) -> bool {
        self.state().served_any
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in progress.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Activity>);

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_progress = state.in_progress.saturating_sub(1);
        state.idle_since = Instant::now();
    }
}

/// An answer's body that keeps its request in progress.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) _in_progress: InProgress,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
