//! Reads `[watcher]` into checked settings.
//!
//! Must not reach the network.

use crate::config::error::Complaint;
use crate::config::reader::TableReader;
use crate::config::secret::Secret;
use crate::config::targets::TargetSettings;
use crate::config::values;
use crate::core::time::Span;

/// `[watcher]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatcherSettings {
    /// Where the heartbeat goes; may hold a key.
    pub url: Option<Secret>,
    /// Time between two heartbeats.
    pub every: Span,
    /// Whether it may go to a private or loopback address.
    pub allow_private: bool,
    /// The target that is told of the daemon's own trouble.
    pub target: Option<String>,
}

/// Reads the section.
pub(super) fn read(root: &mut TableReader<'_>, targets: &[TargetSettings]) -> WatcherSettings {
    let Some(mut table) = root.table("watcher") else {
        return WatcherSettings::default();
    };
    let watcher = WatcherSettings {
        url: table.optional("url", super::targets::address),
        every: table
            .required(
                "every",
                values::duration(Span::from_secs(5)..=Span::from_hours(24)),
            )
            .unwrap_or(Span::from_mins(1)),
        allow_private: table
            .optional("allow_private", values::flag)
            .unwrap_or_default(),
        target: table.optional("target", values::text),
    };
    if let Some(name) = &watcher.target
        && !targets.iter().any(|target| target.name == *name)
    {
        let complaint = Complaint::new(format!("there is no target {name:?}"));
        table.refuse(
            Some("target"),
            complaint.hint("write the name of a [[target]]"),
        );
    }
    table.finish();
    watcher
}
