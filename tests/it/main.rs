//! All integration tests in one binary: one link step, shared fixtures.
//!
//! Each module carries `cfg(test)`, by which clippy knows that helpers outside of `#[test]` functions are test code.

/// The accept loop against rude and polite clients, on real sockets.
#[cfg(test)]
mod listen;
/// A served router and clients for it.
#[cfg(test)]
mod support;
/// Handshakes, reloads and client certificates.
#[cfg(test)]
mod tls;
