//! Watchbell: the bridge between monitoring and incident management.

pub mod api;
pub mod app;
pub mod bench;
pub mod config;
pub mod core;
pub mod engine;
pub mod ingest;
pub mod runtime;
pub mod sources;
pub mod store;
pub mod telemetry;
