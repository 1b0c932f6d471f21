//! The configuration: files in, checked [`Settings`] out, or every error at once.
//!
//! Order: compiled-in defaults (the shipped `config/watchbell.toml`) <- the file <- its `include`s. [`load`] reads
//! everything anew at each call, so a reload is one more call. Start reading at `sections`, which names every key.
//!
//! Of the sources only the compiler of mappings is used, so that a wrong expression is told with its line.
//!
//! Must not know the store or the network, must not log, and must not put the content of a secret into a message.

pub mod answers;
mod calendar_file;
mod calendars;
mod cmdb;
mod conditions;
mod connector_auth;
pub mod connector_changes;
pub mod connectors;
mod correlation;
pub mod env;
pub mod error;
pub mod feeds;
mod files;
pub mod gaps;
mod heartbeats;
mod holidays;
mod hours;
mod housekeeping;
pub mod imports;
mod inhibit;
mod keys;
mod ladders;
mod maintenance;
mod mapping;
pub mod mqtt;
pub mod people;
pub mod presets;
mod reader;
mod records;
mod rota;
mod routes;
pub mod rules;
mod schedules;
pub mod secret;
mod sections;
pub mod settings;
mod signature;
mod sla;
mod sources;
pub mod target_profiles;
pub mod targets;
mod tree;
mod units;
mod values;
pub mod watcher;

use std::path::PathBuf;

pub use crate::config::env::Env;
pub use crate::config::error::{ConfigError, ConfigErrors, Position};
pub use crate::config::rules::{rules, rules_with};
pub use crate::config::secret::Secret;
pub use crate::config::settings::Settings;

use crate::config::reader::Reading;
use crate::core::time::Span;

/// Where to look for the configuration.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// The file asked for; it must exist.
    pub file: Option<PathBuf>,
    /// Tried in order when no file was asked for; none needs to exist.
    pub search: Vec<PathBuf>,
    /// The environment.
    pub env: Env,
    /// Whether the demonstration is wanted, which is no matter of the file.
    pub is_demo: bool,
}

impl LoadRequest {
    /// The given file, else the usual places: `config/watchbell.toml` below the working directory, then `/etc`.
    pub fn new(file: Option<PathBuf>, env: Env) -> Self {
        let usual = ["config/watchbell.toml", "/etc/watchbell/watchbell.toml"];
        Self {
            file,
            search: usual.iter().map(PathBuf::from).collect(),
            env,
            is_demo: false,
        }
    }
}

/// Loads and checks the configuration; nothing but files and environment is read, nothing is changed.
///
/// # Errors
///
/// Everything that is wrong, with places and hints. When a file cannot be read or is not TOML, only that is reported.
pub fn load(request: &LoadRequest) -> Result<Settings, ConfigErrors> {
    let (files, table) = files::read_all(request)?;
    let reading = Reading::new(&files, &request.env);
    let mut settings = sections::read(reading.root(&table), &request.env);
    reading.finish()?;
    settings.files = files.paths();
    Ok(settings)
}

/// Loads what can be understood, for commands that need a part only: the settings, in which a wrong key has an
/// empty or default value, and what is wrong with them.
///
/// Secrets that only the service manager hands over are missing in a person's shell; listing incidents there must
/// still find the listener.
///
/// # Errors
///
/// When a file cannot be read or is not TOML.
pub fn load_partly(request: &LoadRequest) -> Result<(Settings, Vec<ConfigError>), ConfigErrors> {
    let (files, table) = files::read_all(request)?;
    let reading = Reading::new(&files, &request.env);
    let mut settings = sections::read(reading.root(&table), &request.env);
    let errors = match reading.finish() {
        Ok(()) => Vec::new(),
        Err(ConfigErrors(errors)) => errors,
    };
    settings.files = files.paths();
    Ok((settings, errors))
}

/// Reads a duration as people write it, like `90s`, `15m`, `1h30m` or `30d`; the error says what is wrong and how to
/// write it.
///
/// # Errors
///
/// The text is not a duration.
pub fn parse_duration(text: &str) -> Result<Span, String> {
    units::parse_duration(text).map_err(|complaint| match complaint.hint {
        Some(hint) => format!("{}; {hint}", complaint.message),
        None => complaint.message,
    })
}

#[cfg(test)]
mod tests;
