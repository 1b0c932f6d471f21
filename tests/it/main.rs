//! Everything that is tested from outside, in one binary.

// `cfg(test)` is always on here; it tells clippy that helper functions are test code too.
#[cfg(test)]
mod core_laws;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
