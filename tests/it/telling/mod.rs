//! Who is told of what, and whether it arrives: the core on virtual time, and real daemons with targets that behave badly.

mod answers;
mod catch_up;
pub(crate) mod core;
mod daemon;
pub(crate) mod hook;
mod killed;
mod muted;
mod removed;
mod servers;
mod targets;
