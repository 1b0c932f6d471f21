//! The machine's clock and randomness, as far as commands need them.
//!
//! Must not be used by the daemon, whose clock never runs backwards.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::failure::Failure;
use crate::core::time::Timestamp;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the commands, which decide nothing"
)]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Random bytes from the operating system, fit for tokens and keys.
///
/// # Errors
/// The operating system gives none.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the commands read OS randomness"
)]
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::unreachable(format!(
            "the operating system gave no random bytes: {error}"
        ))
    })?;
    Ok(bytes)
}
