//! The integration tests: one binary, one module per promise.

// `cfg(test)` is always on here; it tells clippy that helper functions are test code too.
#[cfg(test)]
mod api;
mod architecture;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod config;
#[cfg(test)]
mod core_laws;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod listen;
#[cfg(test)]
mod presets;
mod reasons;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tls;
