//! Everything that is tested from outside, in one binary.

// `cfg(test)` is always on here; it tells clippy that helper functions are test code too.
#[cfg(test)]
mod sources;
