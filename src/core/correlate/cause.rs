//! What an incident is about: its most probable roots, how far it reaches, and why.
//!
//! Must not hold anything that is not derived from stored facts: it is shown to people as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::node::NodeId;
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
    /// Cause, scale and services in one line; empty while the alert's own summary says more.
    #[serde(default)]
    pub title: SmolStr,
    /// How many conditions there were when this was judged.
    #[serde(default)]
    pub nodes: u32,
    /// The condition of the most probable root.
    #[serde(default)]
    pub root_node: Option<NodeId>,
    /// Whether a service of criticality 1 is reached.
    #[serde(default)]
    pub is_vital: bool,
    /// How many of the services reached have an alert of their own.
    #[serde(default)]
    pub confirmed: u32,
    /// The CI that a person has named as the root.
    #[serde(default)]
    pub forced: Option<CiNumber>,
}

/// Services named by one incident; a wider outage says so by its count of CIs.
pub const SERVICES_MAX: usize = 50;

impl Cause {
    /// The most probable root.
    pub fn root(&self) -> Option<&RootCandidate> {
        self.roots.first()
    }
}
