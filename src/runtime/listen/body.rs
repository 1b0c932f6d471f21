//! Request bodies with a limit on standing still and on the whole.
//!
//! tower-http has such wrappers, but they hide the announced length, by which a body that is too large is refused
//! before it is read. Must not buffer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

/// A request body did not arrive in time; handlers find it in the error chain of the body and answer 408.
#[derive(Debug, Error)]
pub enum BodyTimeout {
    /// Nothing of it arrived for this long.
    #[error("nothing of the request body arrived for {0:?}")]
    Stalled(Duration),
    /// It was not complete after this long.
    #[error("the request body was not complete after {0:?}")]
    TooSlow(Duration),
}

/// Why a request body ended early.
pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request body that fails instead of waiting for ever.
pub(super) struct TimedBody<B = Incoming> {
    body: B,
    stall_limit: Duration,
    total_limit: Duration,
    deadline: Instant,
    /// Armed while the body is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> TimedBody<B> {
    /// Begins the time of `body` now.
    pub(super) fn new(body: B, stall_limit: Duration, total_limit: Duration) -> Self {
        let deadline = Instant::now() + total_limit;
        Self {
            body,
            stall_limit,
            total_limit,
            deadline,
            timer: None,
        }
    }
}

impl<B> HttpBody for TimedBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.timer = None;
            let too_late = matches!(frame, Some(Ok(_))) && Instant::now() >= this.deadline;
            return Poll::Ready(if too_late {
                Some(Err(BodyTimeout::TooSlow(this.total_limit).into()))
            } else {
                frame.map(|frame| frame.map_err(Into::into))
            });
        }
        let (stall_limit, deadline) = (this.stall_limit, this.deadline);
        let timer = this.timer.get_or_insert_with(|| {
            Box::pin(sleep_until(deadline.min(Instant::now() + stall_limit)))
        });
        timer.as_mut().poll(cx).map(|()| {
            let late = if Instant::now() >= deadline {
                BodyTimeout::TooSlow(this.total_limit)
            } else {
                BodyTimeout::Stalled(stall_limit)
            };
            Some(Err(late.into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio::time::sleep;

    use super::*;

    /// Gives a byte every `pause`.
    fn drip(pause: Duration) -> impl HttpBody<Data = Bytes, Error = BodyError> + Unpin {
        let stream = futures(pause);
        StreamBody::new(Box::pin(stream))
    }

    fn futures(
        pause: Duration,
    ) -> impl tokio_stream::Stream<Item = Result<Frame<Bytes>, BodyError>> {
        use tokio_stream::StreamExt;
        tokio_stream::iter(0..1000).then(move |_| async move {
            sleep(pause).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        })
    }

    async fn fate(pause_s: u64) -> String {
        let (stall, total) = (Duration::from_secs(30), Duration::from_secs(100));
        let body = TimedBody::new(drip(Duration::from_secs(pause_s)), stall, total);
        body.collect()
            .await
            .map_or_else(|error| error.to_string(), |_| "complete".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn standing_still_and_dripping_both_end() {
        let started = Instant::now();
        assert_eq!(
            fate(31).await,
            "nothing of the request body arrived for 30s"
        );
        assert_eq!(started.elapsed(), Duration::from_secs(30));
        let started = Instant::now();
        assert_eq!(
            fate(29).await,
            "the request body was not complete after 100s"
        );
        assert_eq!(started.elapsed(), Duration::from_secs(100));
    }

    #[tokio::test]
    async fn announced_length_shows_through() {
        let body = Full::new(Bytes::from_static(b"hello"));
        let body = TimedBody::new(body, Duration::from_secs(1), Duration::from_secs(1));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }
}
