//! The integration tests: one binary, one module per promise.

// `cfg(test)` is always on here; it tells clippy that helper functions are test code too.
#[cfg(test)]
mod config;
#[cfg(test)]
mod sources;
