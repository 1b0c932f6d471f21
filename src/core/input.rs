//! Everything that can happen, as one closed list.
//!
//! Each input has a position in the input log and a recorded time; the same inputs at the same times give the same
//! state. Must not carry raw bodies, secrets or anything a decision does not read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::cmdb::graph::Difference;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::mute::plan::WindowGiven;
use crate::core::observation::Observation;
use crate::core::oncall::OverrideGiven;
use crate::core::past::PastIncident;
use crate::core::records::RecordGiven;
use crate::core::severity::Priority;
use crate::core::silence::Sweep;
use crate::core::silence::given::SilenceGiven;
use crate::core::tell::undelivered::Undelivered;
use crate::core::ticket::order::TicketOrder;
use crate::core::ticket::report::TicketReport;
use crate::core::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A message of a source claims something about one alert.
    ObservationReceived {
        /// The source's name.
        source: SmolStr,
        /// The claim.
        observation: Observation,
    },
    /// A message of a source came whose silence is watched; told before its claims.
    SourceHeard {
        /// The source's name.
        source: SmolStr,
    },
    /// A poll of a source's own list differs from what is known.
    SourcePolled(PollDifference),
    /// A person or program with a token wants something of an incident.
    CommandGiven(CommandGiven),
    /// A person or program with a token orders something about silences.
    SilenceGiven(SilenceGiven),
    /// A person or program with a token orders something about maintenance windows.
    WindowGiven(Box<WindowGiven>),
    /// A person or program with a token orders something about overrides of schedules.
    OverrideGiven(OverrideGiven),
    /// A person or program orders something about records: changes, requests, problems, known errors, actions.
    RecordGiven(RecordGiven),
    /// A reader of the store compared firing alerts with silences.
    SilencesSwept(Sweep),
    /// Somebody or something changed a CI; evidence for what happens there soon after.
    ChangeRecorded(ChangeRecord),
    /// An import was compared with the CMDB and changes it.
    CmdbImported(CmdbImported),
    /// The CMDB changed; these alerts are compared with it again.
    AlertsRebound(Vec<Rebound>),
    /// Somebody looked at a ticket in another system, or brought it up to date.
    TicketReported(Box<TicketReport>),
    /// A person or program with a token orders something about connectors.
    TicketOrdered(TicketOrder),
    /// A message to people was given up.
    MessageLost(Undelivered),
    /// The time of some deadline has come.
    DeadlineReached,
    /// The daemon started and has decided all that was left over.
    Started,
}

/// Where a source's own list disagrees with ours; see [`crate::core::reconcile`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollDifference {
    /// When the poll was sent; messages received later know better.
    pub asked_at: Option<Timestamp>,
    /// Firing here, unknown there.
    pub gone: Vec<AlertId>,
    /// Firing here with a lease that ends soon, active there.
    #[serde(default)]
    pub renewed: Vec<AlertId>,
    /// Over here without the source's own resolve, or with a late firing since; active there.
    pub confirmed: Vec<AlertId>,
    /// A late firing waits here to be confirmed, and the alert is not active there.
    pub denied: Vec<AlertId>,
    /// Firing here, muted there, not yet shown as muted.
    pub muted: Vec<AlertId>,
    /// Shown as muted, no longer muted there.
    pub unmuted: Vec<AlertId>,
}

impl PollDifference {
    /// How many alerts differ.
    pub fn len(&self) -> usize {
        let lists = [
            &self.gone,
            &self.renewed,
            &self.confirmed,
            &self.denied,
            &self.muted,
            &self.unmuted,
        ];
        lists.iter().map(|list| list.len()).sum()
    }

    /// Whether both lists agree.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A change as its source tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// The id that its source gave it, like `CHG-1`.
    pub id: SmolStr,
    /// The id of the CI that was changed.
    pub ci: SmolStr,
    /// One line for people.
    #[serde(default)]
    pub summary: SmolStr,
}

/// What an import changes, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CmdbImported {
    /// The version that the import was compared with; refused when it is another one by now.
    pub base: u64,
    /// The difference; its version is the import's.
    pub difference: Arc<Difference>,
    /// The import's name.
    #[serde(default)]
    pub name: SmolStr,
    /// Who wants it.
    #[serde(default)]
    pub actor: SmolStr,
}

/// An alert with what binding reads of it, as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebound {
    /// The alert.
    pub alert: AlertId,
    /// The source's name.
    pub source: SmolStr,
    /// Its labels, sorted by name.
    pub labels: Vec<(SmolStr, SmolStr)>,
    /// Its annotations, sorted by name.
    pub annotations: Vec<(SmolStr, SmolStr)>,
    /// What the source says about the CI.
    #[serde(default)]
    pub hint: Option<SmolStr>,
    /// The binding so far, in words: the same again is not written.
    #[serde(default)]
    pub reason: Option<SmolStr>,
}

/// A command with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandGiven {
    /// The incident it is about.
    pub incident: IncidentId,
    /// What is wanted.
    pub command: Command,
    /// Who wants it: the token's name.
    pub actor: SmolStr,
    /// The version that the person looked at; refused when the incident has moved on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// Hash of actor and `Idempotency-Key`; the same command with the same key is done once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<IdempotencyKey>,
    /// What the store knows of the incident when it was closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<PastIncident>,
}

/// An `Idempotency-Key` together with a digest of the command that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Hash of actor and key.
    pub key: u64,
    /// Hash of incident, command and fields.
    pub command: u64,
}

/// What people can do to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Take notice; until a time if one is given.
    Acknowledge {
        /// The incident is new again after it.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Give it to a person or team; a missing field stays as it is.
    Assign {
        /// The person.
        #[serde(default)]
        assignee: Option<SmolStr>,
        /// The team.
        #[serde(default)]
        team: Option<SmolStr>,
    },
    /// Start work.
    Start,
    /// Wait for something outside.
    Hold {
        /// What for.
        reason: Box<str>,
        /// Work goes on by itself after it.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Go on after a hold.
    Resume,
    /// The disruption is over.
    Resolve {
        /// What was done.
        #[serde(default)]
        note: Option<Box<str>>,
    },
    /// Done.
    Close,
    /// It is not over.
    Reopen {
        /// Why.
        #[serde(default)]
        reason: Option<Box<str>>,
    },
    /// Make one incident of this and another one; the other one goes on.
    Merge {
        /// The incident that goes on.
        into: IncidentId,
    },
    /// Take alerts out into a new incident.
    Split {
        /// Which.
        alerts: Vec<AlertId>,
    },
    /// Take alerts out, each into an incident of its own.
    Unlink {
        /// Which.
        alerts: Vec<AlertId>,
    },
    /// Keep alerts where they are.
    Pin {
        /// Which.
        alerts: Vec<AlertId>,
    },
    /// Name the root cause.
    Root {
        /// The CI's id.
        ci: SmolStr,
        /// Why.
        reason: Box<str>,
    },
    /// Set the priority, or hand it back to the rules.
    Priority {
        /// Which; nothing hands it back.
        #[serde(default)]
        priority: Option<Priority>,
        /// Why.
        reason: Box<str>,
    },
    /// Say something.
    Note {
        /// What.
        text: Box<str>,
    },
}
