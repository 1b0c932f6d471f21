//! Watchbell: the bridge between monitoring and incident management.

pub mod core;
pub mod runtime;
pub mod telemetry;
