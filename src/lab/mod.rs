//! Worlds made up by seed, what happens in them, and how well correlation copes: the laboratory.
//!
//! Reading order: `event` (what monitoring says, timed), `instant` (what is said at one time, in order), `play` (the core
//! on virtual time), `tracks` (which occurrence ended up in which incident). `watchbell simulate` uses these for histories
//! of one's own.
//!
//! Everything here is a function of its arguments: the same seed gives the same world and the same figures on any
//! machine. Must not read a clock or a file, and must not know anything of Watchbell but its core.

pub mod baseline;
pub mod contest;
pub mod diagnosis;
pub mod estate;
pub mod event;
pub mod gates;
pub mod instant;
pub mod play;
pub mod random;
pub mod replay;
pub mod report;
pub mod score;
pub mod sets;
pub mod story;
pub mod telecom;
pub mod tracks;
