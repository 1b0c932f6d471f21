//! Checked settings of keeping house: `[retention]`, `[limits]`, `[log]`.
//!
//! Must not read files, the environment or TOML.

use crate::config::settings::RateSettings;
use crate::core::time::Span;

/// `[retention]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Inputs, raw messages among them, are kept this long.
    pub inputs: Span,
    /// Bytes of inputs kept; the oldest go first.
    pub input_bytes_max: u64,
    /// Closed incidents are kept this long.
    pub closed_incidents: Span,
    /// Earlier states of the CMDB are kept this long.
    pub cmdb_versions: Span,
    /// How often the state is kept for replays; never with zero.
    pub snapshots: Span,
}

/// `[limits]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Messages accepted but not decided yet; beyond, senders get 503.
    pub inbox_rows: u32,
    /// So many alerts that differ only by a label that names an event are apart; further ones are one.
    pub variants: u32,
    /// Labels that name an event besides those that are known to.
    pub volatile_labels: Vec<String>,
    /// How much one address may send, all sources together.
    pub peer_rate: Option<RateSettings>,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Filter such as `info` or `info,sqlx=warn`.
    pub level: String,
    /// Where and how lines are written.
    pub format: LogFormat,
}

/// Where and how log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal under systemd, else text on stderr.
    #[default]
    Auto,
    /// Lines for people on stderr.
    Text,
    /// JSON lines on stderr.
    Json,
    /// The journal, with fields.
    Journal,
}
