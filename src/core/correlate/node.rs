//! One active condition: the episode of one CI in one family, with the alerts that speak of it and what explains it.
//!
//! A node carries everything that later decisions need, so what is stored is enough to go on after a restart. Its
//! memory is bounded by [`ALERTS_MAX`]. Must not decide.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::family::Family;
use crate::core::correlate::rule::Bond;
use crate::core::ids::{AlertId, IncidentId, SourceId};
use crate::core::time::{Span, Timestamp};

/// Alerts of one node; the next one begins another node of the same CI and family.
pub const ALERTS_MAX: usize = 32;
/// A condition that returns within this time goes on; one that ended longer ago explains nothing new.
pub const FLAP_WINDOW: Span = Span::from_mins(15);
/// A condition that ended so long ago is forgotten even when its incident is still open.
pub const ENDED_NODE_KEPT: Span = Span::from_hours(2);
/// Ages at which a condition that nothing explains well is looked at again, with what others have said since.
pub const LOOKS: [Span; 4] = [
    Span::from_secs(30),
    Span::from_secs(120),
    Span::from_secs(300),
    Span::from_secs(600),
];

/// The id of a node: the alert that founded it, or the silent CI.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(i64);

impl NodeId {
    /// Sorts before every other.
    pub const MIN: Self = Self(i64::MIN);

    /// The node that this alert founded.
    pub const fn of_alert(alert: AlertId) -> Self {
        Self(alert.get())
    }

    /// The node of a CI that has no alert itself.
    pub fn of_silent(ci: CiNumber) -> Self {
        Self(-i64::from(ci.get()))
    }

    /// The number in the store.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N{}", self.0)
    }
}

/// Why a node hangs where it hangs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The node that explains it.
    pub parent: NodeId,
    /// How well, in 1/10,000.
    pub score: u16,
    /// The evidence in one sentence, from facts known then.
    pub why: Arc<str>,
}

/// What a rule of the operator makes of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Hash of the rule's name; 0 for what must never be mixed by `separate_by` and environments.
    pub rule: u64,
    /// Hash of the text that the rule compares.
    pub text: u64,
    /// What equal and different texts mean.
    pub bond: Bond,
}

/// One active condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The CI; `None` when the alert could not be bound.
    #[serde(default)]
    pub ci: Option<CiNumber>,
    /// What kind of condition.
    pub family: Family,
    /// What the alert is called.
    #[serde(default)]
    pub name: SmolStr,
    /// Hash of the place it is counted at for bursts: site of the CI or of the labels.
    #[serde(default)]
    pub place: u64,
    /// Hash of what must never be mixed with another value, like the tenant.
    #[serde(default)]
    pub scope: u64,
    /// What rules of the operator make of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// Where its first alert came from.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// The monitoring server that misses it, for a condition of missing data.
    #[serde(default)]
    pub watcher: Option<CiNumber>,
    /// A CI that the labels name besides one that the CMDB does not know: the service that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<CiNumber>,
    /// When it began, in the monitor's time where that is plausible.
    pub onset: Timestamp,
    /// When it was first heard of.
    pub heard_at: Timestamp,
    /// How surely the CI is broken, in 1/10,000.
    pub evidence: u16,
    /// Different names and sources among its alerts, up to two.
    #[serde(default)]
    pub voices: u8,
    /// Its alerts, in order of joining.
    #[serde(default)]
    pub alerts: Vec<AlertId>,
    /// How many of them fire.
    #[serde(default)]
    pub firing: u16,
    /// When the last of them ended, if none fires.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// A change of the CI shortly before it began.
    #[serde(default)]
    pub change: Option<SmolStr>,
    /// What explains it.
    #[serde(default)]
    pub link: Option<Link>,
    /// The incident of its tree.
    pub incident: IncidentId,
    /// Whether a person said where it belongs; no rule moves it then.
    #[serde(default)]
    pub is_pinned: bool,
    /// For a silent cause: whether it makes others slow, and takes nothing down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_slow: bool,
    /// Whether not all was asked that may hang below it or follow it: the next look goes on with that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_behind: bool,
    /// How many of [`LOOKS`] are done.
    #[serde(default)]
    pub looks: u8,
    /// When it is to be looked at next.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
}

impl Node {
    /// The node that explains it.
    pub fn parent(&self) -> Option<NodeId> {
        self.link.as_ref().map(|link| link.parent)
    }

    /// How well it is explained, in 1/10,000; 0 when nothing does.
    pub fn score(&self) -> u32 {
        self.link.as_ref().map_or(0, |link| u32::from(link.score))
    }

    /// What must not be mixed with another text of the same rule.
    pub fn bars(&self) -> impl Iterator<Item = (u64, u64)> {
        let scope = (self.scope != 0).then_some((0, self.scope));
        let marks = self.marks.iter().filter(|mark| mark.bond == Bond::Apart);
        scope
            .into_iter()
            .chain(marks.map(|mark| (mark.rule, mark.text)))
    }

    /// Whether a rule keeps it alone.
    pub fn is_alone(&self) -> bool {
        self.marks.iter().any(|mark| mark.bond == Bond::Alone)
    }

    /// Whether it was inferred.
    pub fn is_silent(&self) -> bool {
        self.family == Family::Silent
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}
