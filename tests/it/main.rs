//! The integration tests: one binary, one module per promise.

#[cfg(test)]
mod config;
