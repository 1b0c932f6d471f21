//! The ground everything runs on: clock, entropy, tasks, signals, sockets, TLS.
//!
//! Invariants: time and randomness enter the process here and nowhere else; every long-running task has a name and
//! its end stops the process; every connection and every wait has a limit. Must not know alerts, incidents or any
//! other word of the domain.
//!
//! Start with [`supervise`], which says how a process starts and stops.

pub mod clock;
pub mod entropy;
pub mod listen;
pub mod notify;
pub mod pace;
pub mod pin;
pub mod problem;
pub mod quiet;
pub mod signals;
pub mod supervise;
pub mod thread;
pub mod tls;
