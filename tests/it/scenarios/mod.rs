//! The acceptance scenarios, one file each, written as timelines. Must not sleep; time is driven.

mod s01_resolve_before_fire;
mod s02_ha_pair;
pub(crate) mod s03_flap;
mod s04_partial_mute;
mod s05_clock_skew;
mod s06_kill_in_storm;
pub(crate) mod s07_maintenance;
pub(crate) mod s08_label_churn;
mod s09_cascade;
mod s10_tickets;
