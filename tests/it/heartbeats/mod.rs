//! Heartbeats: what is not heard in time is an alert, and our own absence is not.

mod core;
mod daemon;

pub(crate) use core::tour;
