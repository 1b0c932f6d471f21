//! Watchbell: the bridge between monitoring and incident management.

pub mod core;
pub mod sources;
pub mod store;
