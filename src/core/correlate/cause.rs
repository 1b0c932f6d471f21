//! What an incident is about: its most probable roots, how far it reaches, and why.
//!
//! Must not hold anything that is not derived from stored facts: it is shown to people as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cmdb::ci::CiNumber;
use crate::core::ids::AlertId;

/// One condition that may have caused an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCandidate {
    /// The CI; `None` when the CMDB does not know what the alert is about.
    #[serde(default)]
    pub ci: Option<CiNumber>,
    /// The alert about it, unless nothing alerted there.
    #[serde(default)]
    pub alert: Option<AlertId>,
    /// How well it explains the incident, in 1/10,000.
    pub score: u16,
    /// Whether it has no alert of its own and was inferred from what depends on it.
    #[serde(default)]
    pub is_inferred: bool,
}

/// What an incident is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// At most three, best first.
    pub roots: Vec<RootCandidate>,
    /// The services reached, by number; at most [`SERVICES_MAX`].
    #[serde(default)]
    pub services: Vec<CiNumber>,
    /// How many CIs have alerts in the incident.
    #[serde(default)]
    pub cis: u32,
    /// Sentences for people, most important first.
    #[serde(default)]
    pub why: Vec<Arc<str>>,
}

/// Services named by one incident; a wider outage says so by its count of CIs.
pub const SERVICES_MAX: usize = 50;

impl Cause {
    /// The most probable root.
    pub fn root(&self) -> Option<&RootCandidate> {
        self.roots.first()
    }
}
