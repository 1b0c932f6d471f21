//! How good a grouping is: the metrics of the benchmark, exactly as they are defined there.
//!
//! [`partition`] compares incidents with outages, [`roots`] compares named causes with true ones, [`interval`] says how
//! sure a mean is. Must not know which method made the incidents.

pub mod interval;
pub mod partition;
pub mod roots;

/// The nearest float; exact below 2^32, and there are never more alerts.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// A share of something, 0 of nothing.
pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The harmonic mean.
pub(crate) fn harmonic(one: f64, other: f64) -> f64 {
    share(2.0 * one * other, one + other)
}
