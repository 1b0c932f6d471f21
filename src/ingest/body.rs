//! Reading a request's body with every bound on: its own size, what all bodies in flight may hold, and time.
//!
//! Must not buffer more than the cap, whatever the sender announces or compresses.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runtime::listen::BodyTimeout;

/// Bytes of all bodies that are read or decoded at a time; decoded they take several times as much.
const IN_FLIGHT_BYTES: usize = 256 * 1024 * 1024;
/// Room made at once for a body of announced length.
const FIRST_BYTES: usize = 256 * 1024;
/// A refused body is read up to here, so that the sender gets around to reading the answer.
const DRAIN_BYTES: usize = 64 * 1024 * 1024;
/// And at most for so long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What all bodies in flight may hold together.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// The whole budget.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(IN_FLIGHT_BYTES)))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// A body with its share of the budget, which is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    /// The body after decompression.
    pub body: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than allowed.
    #[error(
        "the body is larger than {0} bytes after decompression; send fewer alerts per message, or raise [server] body_max"
    )]
    TooLarge(usize),
    /// It did not arrive in time.
    #[error("the body did not arrive in time ({0}); send it again")]
    TooSlow(String),
    /// The connection or the compression broke.
    #[error("the body could not be read: {0}")]
    Broken(String),
    /// Too many bytes are in flight already.
    #[error("too many bytes are being received at the same time; send this message again later")]
    Overloaded,
}

/// Reads a body whole.
///
/// # Errors
/// See [`BodyError`]; the rest of the body is then still to be drained.
pub async fn read(body: &mut Body, bytes_max: usize, budget: &Budget) -> Result<Held, BodyError> {
    // What is announced is only believed as far as it costs nothing.
    let announced = usize::try_from(HttpBody::size_hint(body).lower()).unwrap_or(0);
    let mut held = BytesMut::with_capacity(announced.min(FIRST_BYTES).min(bytes_max));
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if held.len().saturating_add(data.len()) > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        let permits = u32::try_from(data.len()).map_err(|_| BodyError::TooLarge(bytes_max))?;
        let more = Arc::clone(&budget.0)
            .try_acquire_many_owned(permits)
            .map_err(|_| BodyError::Overloaded)?;
        match share.as_mut() {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        held.extend_from_slice(&data);
    }
    Ok(Held {
        body: held.freeze(),
        _share: share,
    })
}

/// Reads on and forgets, so that the sender is done writing when the answer comes.
pub async fn drain(body: &mut Body) {
    let all = async {
        let mut bytes = 0_usize;
        while let Some(Ok(frame)) = body.frame().await {
            bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if bytes > DRAIN_BYTES {
                break;
            }
        }
    };
    if tokio::time::timeout(DRAIN_TIME, all).await.is_err() {
        log::debug!("a refused body was not read to its end");
    }
}

fn broken(error: &axum::Error) -> BodyError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<BodyTimeout>().is_some() {
            return BodyError::TooSlow(inner.to_string());
        }
        cause = inner.source();
    }
    BodyError::Broken(error.to_string())
}
