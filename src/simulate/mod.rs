//! `watchbell simulate`: the core over a file of timed inputs in virtual time.
//!
//! Reading order: `line` (one line of the events), `report` (the lines of the result), `run` (from one to the other).
//! The formats are a promise, described in `docs/simulate.md`: unknown keys are ignored, unknown sources accepted.
//!
//! Must not decide anything, must not touch a store or the network, and must not read a clock: the same files give the
//! same bytes.

pub mod export;
pub mod line;
pub mod report;
pub mod run;
pub mod trial;
