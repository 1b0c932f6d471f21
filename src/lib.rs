//! Watchbell: the bridge between monitoring and incident management.

pub mod config;
pub mod core;
pub mod sources;
pub mod store;
