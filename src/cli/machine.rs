//! The machine's clock and randomness, as commands use them.
//!
//! Must not be used by the daemon, which is handed both.

use crate::cli::failure::Failure;
use crate::core::time::Timestamp;
use crate::runtime::clock::Clock;
use crate::runtime::entropy;

/// The time now.
pub fn now() -> Timestamp {
    Clock::system().now()
}

/// Random bytes from the operating system, fit for tokens and keys.
///
/// # Errors
/// The operating system gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    entropy::random_bytes().map_err(|error| Failure::unreachable(error.to_string()))
}
