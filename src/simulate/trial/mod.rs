//! `watchbell test`: written tests of rules. Given a CMDB, alerts over time and commands, the tests say what incidents they
//! expect.
//!
//! Reading order: [`mod@file`] (what is written), [`table`] (what is there, by the names that tests use), [`run`] (from one to
//! the other). The form is a promise, described in `docs/rule-tests.md`.
//!
//! Must not decide anything, read a clock or touch a store: the core decides, in virtual time.

pub mod drive;
pub mod file;
pub mod run;
pub mod table;
