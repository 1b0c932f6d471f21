//! What every store must do, run on SQLite and on PostgreSQL alike. Must not test what only one of them can do, except
//! where a sentence says why.

pub(crate) mod decisions;
mod lease;
mod letters;
mod log;
mod lost_answer;
mod queries;
mod readers;
mod retention;
mod schema;
