//! What was decided: changes to state, entries for the timeline, and the reason.
//!
//! A change carries the whole record as it is afterwards, so applying it to memory and writing it to the store are
//! the same assignment, and of several changes to one record the last one is enough. Must not do anything itself.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::alert::Alert;
use crate::core::answers::Remembered;
use crate::core::audit::AuditEntry;
use crate::core::bind::Binding;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Difference;
use crate::core::condition::{Fault, Labels};
use crate::core::correlate::cause::Cause;
use crate::core::correlate::forest::RecentChange;
use crate::core::correlate::habit::Habit;
use crate::core::correlate::node::{Node, NodeId};
use crate::core::escalate::EscalateChange;
use crate::core::flap::FlapChange;
use crate::core::fold::FoldChange;
use crate::core::heartbeat::Heartbeat;
use crate::core::identity::AlertKey;
use crate::core::ids::{AlertId, IdFeed, IncidentId, SilenceId, SourceId, WindowId};
use crate::core::incident::{Incident, StateWord};
use crate::core::mute::inhibit::InhibitChange;
use crate::core::mute::window::WindowChange;
use crate::core::observation::AlertText;
use crate::core::oncall::OnCallChange;
use crate::core::outcome::OutcomeChange;
use crate::core::priority::StandingChange;
use crate::core::reason::Reason;
use crate::core::records::{RecordChange, RecordId};
use crate::core::review::Review;
use crate::core::silence::SilenceChange;
use crate::core::sla::SlaChange;
use crate::core::tell::TellChange;
use crate::core::ticket::TicketChange;
use crate::core::time::Timestamp;
use crate::core::variant::VariantChange;

/// The answer of the core to one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the input came to; for a refused command the reason of the refusal.
    pub reason: Reason,
    /// Whether a command was refused; then nothing else happened.
    pub is_refused: bool,
    /// The incident that a command or observation came to, for the answer.
    pub incident: Option<IncidentId>,
    /// The silence that an order came to, for the answer.
    pub silence: Option<SilenceId>,
    /// The maintenance window that an order came to, for the answer.
    pub window: Option<WindowId>,
    /// The number of another record that an order came to, for the answer.
    pub made: Option<i64>,
    /// The record that an order came to, for the answer.
    pub record: Option<RecordId>,
    /// The alert that an order came to, so that it is answered.
    pub alert: Option<AlertId>,
    /// Changes in order.
    pub changes: Vec<Change>,
    /// Entries for the timeline, in order.
    pub entries: Vec<Entry>,
    /// Conditions that could not be evaluated and counted as false.
    pub faults: Vec<Fault>,
    /// How many conditions and ways correlation looked at; the same for the same input, and bounded.
    pub looked_at: usize,
}

/// What is told to whoever gave a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandAnswer {
    /// What it came to, or why it was refused.
    pub reason: Reason,
    /// Whether it was refused.
    pub is_refused: bool,
    /// The incident of the answer; another one than asked about when a linked one was opened.
    pub incident: Option<IncidentId>,
    /// The silence of the answer.
    pub silence: Option<SilenceId>,
    /// The maintenance window of the answer.
    pub window: Option<WindowId>,
    /// The number of another record of the answer.
    pub made: Option<i64>,
    /// The record of the answer.
    pub record: Option<RecordId>,
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A source was heard of for the first time.
    SourceAdded {
        /// Its number.
        id: SourceId,
        /// Its name.
        name: SmolStr,
    },
    /// An alert was heard of for the first time.
    AlertAdded {
        /// The record.
        alert: Alert,
        /// Its key as text.
        key: AlertKey,
    },
    /// An alert's record changed.
    AlertChanged(Alert),
    /// A firing alert was repeated: nothing changed but when it was last seen, its lease, its counts and its text.
    /// By far the most frequent change, so it is written with few columns.
    AlertRepeated(Alert),
    /// An alert's text changed.
    AlertTextChanged {
        /// The alert.
        alert: AlertId,
        /// The text.
        text: Arc<AlertText>,
    },
    /// It was decided which CI an alert is about; the alert's own record carries the number.
    AlertBound {
        /// The alert.
        alert: AlertId,
        /// Which, and why.
        binding: Arc<Binding>,
    },
    /// The CMDB has a new version.
    GraphChanged(Arc<Difference>),
    /// An alert is no longer held in memory.
    AlertForgotten(AlertId),
    /// An incident was opened or changed.
    IncidentChanged(Incident),
    /// An incident got a title.
    TitleChanged {
        /// The incident.
        incident: IncidentId,
        /// One line for people.
        title: SmolStr,
    },
    /// An alert became part of an incident.
    AlertJoined {
        /// The incident.
        incident: IncidentId,
        /// The alert.
        alert: AlertId,
        /// When.
        at: Timestamp,
    },
    /// An alert moved on to another incident.
    AlertLeft {
        /// The incident that it left.
        incident: IncidentId,
        /// The alert.
        alert: AlertId,
        /// Messages received about it while it belonged there.
        events: i64,
    },
    /// An alert was regrouped: it belongs to another incident than was thought, as if it had never been here.
    AlertMoved {
        /// The incident that it leaves.
        incident: IncidentId,
        /// The alert.
        alert: AlertId,
    },
    /// A condition came up or changed.
    NodeChanged(Box<Node>),
    /// With what a condition has come was noted.
    HabitChanged(Habit),
    /// A condition is no longer followed.
    NodeForgotten(NodeId),
    /// A CI was changed by somebody.
    ChangeNoted {
        /// The CI.
        ci: CiNumber,
        /// When, and which.
        change: RecentChange,
        /// One line for people.
        summary: SmolStr,
    },
    /// What an incident is about was judged anew.
    CauseChanged {
        /// The incident.
        incident: IncidentId,
        /// The judgement.
        cause: Arc<Cause>,
    },
    /// Some condition looks at the labels of the alert that an incident was opened for.
    LabelsKept {
        /// The incident.
        incident: IncidentId,
        /// The labels.
        labels: Labels,
    },
    /// A closed incident is no longer held in memory.
    IncidentForgotten(IncidentId),
    /// So many of the pages with the earliest deadlines were looked through.
    DeadlinesTaken(usize),
    /// A command with an idempotency key was answered.
    CommandRemembered {
        /// Digest of the key.
        key: u64,
        /// The answer.
        answer: Remembered,
    },
    /// Something changed about where a priority comes from.
    Standing(StandingChange),
    /// An incident is over, or is not after all; for reports.
    Outcome(OutcomeChange),
    /// Something changed about service level clocks.
    Sla(SlaChange),
    /// Something changed about silences.
    Silence(SilenceChange),
    /// Something changed about maintenance windows.
    Window(WindowChange),
    /// An alert came back, or has been calm.
    Flap(FlapChange),
    /// An alert goes on with another one, or may be gone on with.
    Variant(VariantChange),
    /// An alert with a label that names an event came, or such a one ended.
    Fold(FoldChange),
    /// An incident is held by another one, or no longer.
    Inhibit(InhibitChange),
    /// So far the rules in force have reached.
    Review(Review),
    /// A ladder began, moved on or ended.
    Escalate(EscalateChange),
    /// Something changed about who is on call.
    OnCall(OnCallChange),
    /// Something changed about a ticket or a connector.
    Ticket(TicketChange),
    /// Something is to be told.
    Tell(TellChange),
    /// Something changed about records.
    Record(RecordChange),
    /// Somebody did something; written into the audit.
    Audited(Box<AuditEntry>),
    /// A heartbeat was heard of, or is missing.
    HeartbeatChanged(Heartbeat),
    /// A heartbeat is no longer waited for.
    HeartbeatForgotten(SmolStr),
    /// The daemon listens since then.
    Started(Timestamp),
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, in order of happening.
    pub id: i64,
    /// The incident it belongs to, if any.
    pub incident: Option<IncidentId>,
    /// The alert it is about, if any.
    pub alert: Option<AlertId>,
    /// Why.
    pub reason: Reason,
    /// The incident's state afterwards.
    pub state: Option<StateWord>,
    /// The person or program, if it was one.
    pub actor: Option<SmolStr>,
    /// What they said, or a detail in words.
    pub note: Option<Arc<str>>,
}

impl Decision {
    /// A decision that changes nothing yet.
    pub fn because(reason: Reason) -> Self {
        Self {
            reason,
            is_refused: false,
            incident: None,
            silence: None,
            window: None,
            made: None,
            record: None,
            alert: None,
            changes: Vec::new(),
            entries: Vec::new(),
            faults: Vec::new(),
            looked_at: 0,
        }
    }

    /// A refusal.
    pub fn refused(reason: Reason) -> Self {
        Self {
            is_refused: true,
            ..Self::because(reason)
        }
    }

    /// Adds a change.
    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds a timeline entry about an incident, an alert or both.
    pub fn entry(
        &mut self,
        ids: &mut IdFeed,
        incident: Option<&Incident>,
        alert: Option<AlertId>,
        reason: Reason,
    ) -> &mut Entry {
        self.entries.push(Entry {
            id: ids.entry(),
            incident: incident.map(|incident| incident.id),
            alert,
            reason,
            state: incident.map(|incident| incident.state.word()),
            actor: None,
            note: None,
        });
        let last = self.entries.len().saturating_sub(1);
        #[expect(
            clippy::indexing_slicing,
            reason = "an entry was pushed on the line before"
        )]
        &mut self.entries[last]
    }
}
