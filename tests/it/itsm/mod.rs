//! Tickets in other systems, over the running daemon and over driven time.

pub(crate) mod core;
mod daemon;
pub(crate) mod platforms;
pub(crate) mod server;
