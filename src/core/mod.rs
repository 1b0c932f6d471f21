//! What shall happen: values in, one decision out.
//!
//! Must not know tokio, SQL, HTTP, logs, clocks, randomness, the environment or files; must not fail, since it has
//! no I/O. The same arguments give the same decision, byte for byte.

pub mod identity;
pub mod ids;
pub mod limits;
pub mod observation;
pub mod rules;
pub mod severity;
pub mod time;
