//! The integration tests: one binary, one module per promise.

// `cfg(test)` is always on here; it tells clippy that helper functions are test code too.
#[cfg(test)]
mod admission;
#[cfg(test)]
mod alertmanager_api;
#[cfg(test)]
mod api;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod cascade;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cmdb;
#[cfg(test)]
mod cmdb_laws;
#[cfg(test)]
mod cmdb_versions;
#[cfg(test)]
mod config;
#[cfg(test)]
mod core_laws;
#[cfg(test)]
mod correlation;
#[cfg(test)]
mod correlation_laws;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod e2e;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod heartbeats;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod importers;
#[cfg(test)]
mod inhibition;
#[cfg(test)]
mod itsm;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod listen;
#[cfg(test)]
mod mqtt;
#[cfg(test)]
mod on_call;
#[cfg(test)]
mod presets;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod receivers;
#[cfg(test)]
mod records;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod silences;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod sla;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod storage_faults;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod table;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod tls;
