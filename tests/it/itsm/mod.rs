//! Tickets in other systems, over the running daemon and over driven time.

mod conformance;
pub(crate) mod core;
mod daemon;
mod desk;
pub(crate) mod platforms;
pub(crate) mod server;
