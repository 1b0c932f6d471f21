//! Tickets in other systems, over the running daemon and over driven time.

pub(crate) mod bridge;
mod conformance;
pub(crate) mod core;
mod daemon;
pub(crate) mod desk;
mod killed;
pub(crate) mod platforms;
mod real;
mod records;
mod removed;
pub(crate) mod server;
mod stored;
mod trouble;
