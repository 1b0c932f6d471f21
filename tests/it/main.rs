//! The integration tests: one binary, one module per promise.

// `cfg(test)` is always on here; it tells clippy that helper functions are test code too.
#[cfg(test)]
mod bench;
#[cfg(test)]
mod config;
#[cfg(test)]
mod listen;
#[cfg(test)]
mod presets;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
