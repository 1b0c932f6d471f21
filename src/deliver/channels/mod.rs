//! One file per way to speak to a target.
//!
//! Must not know the outbox.

pub(super) mod command;
pub(super) mod http;
pub(super) mod mail;
pub(super) mod mqtt;
pub(super) mod profile;
pub(super) mod webhook;
