//! The load generator behind `watchbell bench ingest`.
//!
//! Sends a deterministic stream of alerts to Watchbell or to an Alertmanager over plain HTTP/1.1, measures the
//! acknowledgement, and writes down in a ledger what was acknowledged, so that a test can kill the server at any
//! instant and compare. Two servers can be driven in alternating rounds, since on a shared machine only ratios of
//! one run mean anything.
//!
//! Reading order: `args` (the options), `alerts` (what alert `n` of pass `p` is), `plan` (which alerts a request
//! holds), `body` (their JSON), `supply` (bodies kept or made anew), `lane` (one connection), `phase` (many connections for a time), `run` (the
//! rounds), `report` (the result); `cmdb` (what the alerts are about).
//!
//! Must not know a domain type: it stands on the other side of the wire, and a fault shared with the server would
//! cancel out. Must not print; the caller does.

pub mod alerts;
pub mod args;
mod body;
pub mod cmdb;
mod disk;
mod endpoint;
pub mod error;
mod lane;
pub mod ledger;
mod numbers;
mod pace;
mod phase;
mod plan;
mod process;
pub mod report;
mod run;
mod supply;
mod table;

pub use alerts::{alert_label, fingerprint};
pub use args::{IngestArgs, Target};
pub use error::BenchError;
pub use ledger::{LedgerLine, read_ledger};
pub use report::Report;
pub use run::{Progress, run};
