//! The operator's policy as one validated value.
//!
//! `config` builds it, the core only reads it. Must not hold secrets, addresses or anything a decision does
//! not depend on.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::bind::rule::BindRule;
use crate::core::cmdb::merge::Precedence;
use crate::core::condition::Condition;
use crate::core::correlate::rule::BondRule;
use crate::core::escalate::Ladder;
use crate::core::flap::FlapRules;
use crate::core::heartbeat::Heartbeats;
use crate::core::mute::inhibit::InhibitRule;
use crate::core::mute::plan::ConfiguredWindows;
use crate::core::oncall::OnCallRules;
use crate::core::outcome::CostRules;
use crate::core::priority::PriorityRules;
use crate::core::records::{MajorRules, ProblemRules, RequestRule};
use crate::core::severity::Priority;
use crate::core::sla::SlaRules;
use crate::core::tell::TellRules;
use crate::core::ticket::rules::ConnectorRule;
use crate::core::time::Span;

/// Everything a decision depends on besides state and input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Policy per source, by source name; a source that is not named here gets [`SourceRules::default`].
    pub sources: BTreeMap<SmolStr, SourceRules>,
    /// How incidents recover, reopen and close.
    pub incident: IncidentRules,
    /// When an alert flaps.
    pub flapping: FlapRules,
    /// When people are not told of what is worked on.
    pub maintenance: ConfiguredWindows,
    /// Which incidents hold others.
    pub inhibit: Arc<[InhibitRule]>,
    /// So many alerts that differ only by a label that names an event are apart; further ones are one. 0: all are apart.
    pub fold_after: u32,
    /// Labels that name an event besides those that are known to.
    pub fold_labels: Arc<[SmolStr]>,
    /// Tells these rules from others; open incidents are looked at again when it is another one.
    pub digest: u64,
    /// What has to be heard of again and again.
    pub heartbeats: Heartbeats,
    /// How long incidents settle before people are told.
    pub settle: SettleRules,
    /// How soon people must act.
    pub priority: PriorityRules,
    /// What incidents cost.
    pub cost: CostRules,
    /// How long it may take.
    pub sla: SlaRules,
    /// What belongs together.
    pub correlation: CorrelationRules,
    /// How imports are merged and alerts are bound.
    pub cmdb: CmdbRules,
    /// Who can be told, and who is on call.
    pub on_call: OnCallRules,
    /// Who is told next when nobody takes an incident, by name.
    pub ladders: BTreeMap<SmolStr, Arc<Ladder>>,
    /// Which incidents get a ticket where.
    pub connectors: Vec<ConnectorRule>,
    /// Who is told of what.
    pub tell: TellRules,
    /// Records beside incidents.
    pub records: RecordRules,
}

/// Policy of the records beside incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRules {
    /// A change that began this long before an incident is suspected.
    pub suspect_within: Span,
    /// The catalogue of requests; the first entry that takes an alert decides.
    pub requests: Vec<RequestRule>,
    /// When something is a candidate for a problem.
    pub problem: ProblemRules,
    /// Which incidents are major ones, and how they are told.
    pub major: MajorRules,
}

impl Default for RecordRules {
    fn default() -> Self {
        Self {
            suspect_within: Span::from_hours(6),
            requests: Vec::new(),
            problem: ProblemRules::default(),
            major: MajorRules::default(),
        }
    }
}

impl Rules {
    /// The policy of one source.
    pub fn source(&self, name: &str) -> SourceRules {
        self.sources.get(name).copied().unwrap_or_default()
    }

    /// Every condition of every rule; a new kind of rule adds its own here.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let sla = self.sla.rules.iter().map(|rule| &rule.when);
        let tell = self.tell.routes.iter().map(|route| &route.when);
        let connectors = self.connectors.iter().map(|rule| &rule.when);
        let inhibit = self.inhibit.iter().flat_map(|rule| [&rule.by, &rule.when]);
        sla.chain(tell).chain(connectors).chain(inhibit)
    }

    /// Whether some condition looks at labels, so that those of open incidents are held.
    pub fn read_labels(&self) -> bool {
        self.conditions().any(|condition| condition.reads("labels"))
    }
}

/// How imports are merged and alerts are bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CmdbRules {
    /// Whose word counts when imports disagree.
    pub precedence: Precedence,
    /// What is tried for alerts that nothing else binds, in order.
    pub bind: Vec<BindRule>,
}

/// Policy of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRules {
    /// A firing alert that is not repeated for this long expires.
    pub expire_after: Span,
    /// A late firing after an explicit resolve is parked this long.
    pub reorder_window: Span,
    /// Whether the source's own API is polled, so that a parked firing can be checked there.
    pub is_reconciled: bool,
}

impl Default for SourceRules {
    fn default() -> Self {
        Self {
            expire_after: Span::from_hours(9),
            reorder_window: Span::from_secs(30),
            is_reconciled: false,
        }
    }
}

/// How incidents recover, reopen and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentRules {
    /// All alerts must stay resolved this long before the incident resolves.
    pub recover_after: Span,
    /// Inside this time after its resolve an incident reopens under its own number; later a new one is linked.
    pub reopen_window: Span,
    /// A resolved incident closes after this long.
    pub close_after: Span,
    /// How long an acknowledgement holds that does not say until when; without it, until it is over.
    pub acknowledge_for: Option<Span>,
}

impl Default for IncidentRules {
    fn default() -> Self {
        Self {
            recover_after: Span::from_mins(5),
            reopen_window: Span::from_mins(15),
            close_after: Span::from_days(7),
            acknowledge_for: None,
        }
    }
}

/// What belongs together, as far as an operator wants to say; with the defaults it is judged from the CMDB alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationRules {
    /// Whether alerts are correlated at all; without, each is an incident of its own.
    pub is_enabled: bool,
    /// Whether what has come together before is weak evidence.
    pub learns: bool,
    /// An explanation must be at least this good, in 1/10,000.
    pub threshold: u32,
    /// Whether CIs of different environments never share an incident.
    pub keeps_environments_apart: bool,
    /// Labels whose different values never share an incident.
    pub separate_by: Vec<SmolStr>,
    /// The operator's own rules, in order.
    pub rules: Vec<BondRule>,
}

impl Default for CorrelationRules {
    fn default() -> Self {
        Self {
            is_enabled: true,
            learns: true,
            threshold: 2_000,
            keeps_environments_apart: false,
            separate_by: vec![SmolStr::new_static("tenant")],
            rules: Vec::new(),
        }
    }
}

/// How long incidents settle before people are told, by priority, `P1` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettleRules(pub [Span; 5]);

impl SettleRules {
    /// The wait of a priority.
    pub fn of(&self, priority: Priority) -> Span {
        let [p1, p2, p3, p4, p5] = self.0;
        match priority {
            Priority::P1 => p1,
            Priority::P2 => p2,
            Priority::P3 => p3,
            Priority::P4 => p4,
            Priority::P5 => p5,
        }
    }
}

impl Default for SettleRules {
    fn default() -> Self {
        Self([
            Span::ZERO,
            Span::from_secs(10),
            Span::from_secs(30),
            Span::from_mins(2),
            Span::from_mins(10),
        ])
    }
}
