//! The only randomness: the operating system's.
//!
//! For tokens, secrets and the seed of a store; ids come from `IdFeed`, which is deterministic. Must not fall back to
//! anything weaker when the system gives nothing.

use thiserror::Error;

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct EntropyError(getrandom::Error);

/// `N` random bytes, fit for keys.
///
/// # Errors
/// When the system call fails, for example under a sandbox that forbids it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads OS randomness"
)]
pub fn random_bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_each_time() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}
