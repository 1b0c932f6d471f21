//! One file per way to speak to a target.
//!
//! Must not know the outbox.

pub(super) mod http;
pub(super) mod webhook;
