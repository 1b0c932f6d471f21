//! Watchbell: the bridge between monitoring and incident management.

pub mod bench;
pub mod core;
