//! Reading the body of a command: JSON under any content type, with a limit.
//!
//! A body that is too large is read on for a while and thrown away, so that the client gets to read the answer. Must
//! not buffer more than the limit.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};
use crate::runtime::listen::BodyTimeout;

/// Bytes of a command's body; the largest command is a note.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes and time for which a refused body is read on.
const DRAINED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that are reserved because a client announces them.
const RESERVED_BYTES_MAX: usize = 128 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a body as JSON; an empty one counts as `{}`.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = collect(body, BODY_BYTES_MAX).await?;
    let text = bytes.trim_ascii();
    let text = if text.is_empty() { b"{}" } else { text };
    if text.first() != Some(&b'{') {
        return Err(Problem::bad_request("the body is not a JSON object"));
    }
    serde_json::from_slice(text)
        .map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}")))
}

/// Reads a body of at most so many bytes.
pub(super) async fn collect(mut body: Body, bytes_max: usize) -> Result<BytesMut, Problem> {
    // What is announced is reserved, up to a bound: a buffer that doubles needs twice as much when it grows.
    let announced = body.size_hint().exact().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(bytes_max);
    let mut bytes = BytesMut::with_capacity(announced.min(bytes_max).min(RESERVED_BYTES_MAX));
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|error| failure(&error))?.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(chunk.len()) > bytes_max {
            drain(body).await;
            let detail = format!("the body of this request has at most {bytes_max} bytes");
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn drain(mut body: Body) {
    let reading = async {
        let mut drained = 0_usize;
        while let Some(Ok(frame)) = body.frame().await {
            drained = drained.saturating_add(frame.data_ref().map_or(0, bytes::Bytes::len));
            if drained > DRAINED_BYTES_MAX {
                break;
            }
        }
    };
    // Whether it came to an end or not, the answer is the same.
    drop(tokio::time::timeout(DRAIN_TIMEOUT, reading).await);
}

fn failure(error: &axum::Error) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(timeout) = error.downcast_ref::<BodyTimeout>() {
            return Problem::new(Kind::BodyTimeout, timeout.to_string());
        }
        cause = error.source();
    }
    Problem::bad_request("the body ended early or is not encoded as its headers say")
}
