//! Watchbell: the bridge between monitoring and incident management.

pub mod api_token;
pub mod app;
pub mod cli;
pub mod config;
pub mod core;
pub mod sources;
pub mod store;
pub mod token_key;
