//! Watchbell: the bridge between monitoring and incident management.

pub mod api;
pub mod api_token;
pub mod app;
pub mod bench;
pub mod cli;
pub mod config;
pub mod core;
pub mod engine;
pub mod ingest;
pub mod runtime;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod token_key;
