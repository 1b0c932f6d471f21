//! What goes over the wire, and how it is made of what the store holds.
//!
//! Every field is always present; what is not known yet is null or empty. Names are a promise to clients: fields may
//! be added, none renamed. Must not read a clock or the store.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::change_shapes::IncidentChange;
use super::clocks::{self, PriorityOverride, SlaClock};
use super::known_errors::{self, KnownError};
use super::majors;
use super::problems;
use super::time::Time;
use crate::core::alert::{AlertStatus, Late};
use crate::core::cmdb::ci::Ci;
use crate::core::correlate::cause;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::IncidentState;
use crate::core::rules::Rules;
use crate::core::severity::Grade;
use crate::core::sla::Clocks;
use crate::core::time::Timestamp;
use crate::store::query::alerts::{AlertView, BindingView};
use crate::store::query::causes::CauseView;
use crate::store::query::cmdb::CiName;
use crate::store::query::incidents::IncidentView;
use crate::store::tickets::TicketView;

/// Why an alert is bound to no configuration item while there is no CMDB.
const NO_CMDB: &str = "no CMDB is loaded";

/// An alert: the deduplicated record of one identity.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alert {
    /// Its id.
    #[schema(example = "A-17")]
    id: String,
    /// What makes it this alert: source, version of the derivation, the source's own identifier.
    #[schema(example = "alertmanager:v1:bbeccb151ae67847")]
    key: String,
    /// The source's name.
    source: String,
    /// Whether its last episode is open.
    #[schema(value_type = super::words::Status)]
    status: &'static str,
    /// What ended the last episode; null while it is open.
    #[schema(value_type = Option<super::words::EndedBy>)]
    ended_by: Option<&'static str>,
    /// How bad the source says it is.
    #[schema(value_type = super::words::Severity)]
    severity: &'static str,
    /// One line for people.
    summary: String,
    /// Labels by name.
    labels: BTreeMap<String, String>,
    /// Annotations by name.
    annotations: BTreeMap<String, String>,
    /// The configuration item that it is about.
    ci: Option<CiRef>,
    /// How that was found.
    binding: Binding,
    /// The incident that it belongs or last belonged to.
    #[schema(example = "INC-42")]
    incident: Option<String>,
    /// Start of the last episode, in the source's time.
    starts_at: Time,
    /// End of the last episode, in the source's time.
    ends_at: Option<Time>,
    /// When the first message about it was received.
    first_seen_at: Time,
    /// When the last message about it was received.
    last_seen_at: Time,
    /// Messages received about it.
    count: i64,
    /// Whether it changes too often.
    flapping: bool,
    /// What keeps people from being told about it.
    suppressed_by: Vec<String>,
    /// Number of the last episode, from 1; 0 when only an end was ever received.
    episode: u32,
    /// When a firing alert counts as ended unless its source repeats it.
    expires_at: Option<Time>,
    /// Link to where it was made, or empty.
    generator_url: String,
    /// What the source itself says about which CI it is about: an id, a name or an address.
    ci_hint: Option<String>,
    /// Whether something of it was too long and has been cut.
    is_cut: bool,
    /// Alerts of the same group that the source left out of its last message.
    undelivered: u32,
    /// A firing message for the episode that has ended, waiting to be confirmed.
    late: Option<LateFiring>,
}

/// A firing message that came after the end of its episode.
#[derive(Debug, Serialize, ToSchema)]
pub struct LateFiring {
    /// `parked` until it is confirmed, `discarded` when nothing did.
    state: &'static str,
    /// Until when it waits.
    until: Option<Time>,
}

/// A configuration item.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CiRef {
    /// Its id.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// Its class.
    pub(super) class: String,
}

impl From<CiName> for CiRef {
    fn from(name: CiName) -> Self {
        Self {
            id: name.id,
            name: name.name,
            class: name.class,
        }
    }
}

impl From<&Ci> for CiRef {
    fn from(ci: &Ci) -> Self {
        Self {
            id: ci.id.to_string(),
            name: ci.name.to_string(),
            class: ci.class.to_string(),
        }
    }
}

/// The decision which configuration item an alert is about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Binding {
    /// `bound`, `unbound`, or `ambiguous` when several items fit.
    pub(super) outcome: String,
    /// Why.
    pub(super) reason: String,
}

impl Binding {
    fn without_cmdb() -> Self {
        Self {
            outcome: "unbound".to_owned(),
            reason: NO_CMDB.to_owned(),
        }
    }
}

impl From<BindingView> for Binding {
    fn from(view: BindingView) -> Self {
        Self {
            outcome: view.outcome,
            reason: view.reason,
        }
    }
}

/// An incident: alerts that people handle as one.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incident {
    /// Its number.
    #[schema(example = "INC-42")]
    number: String,
    /// Where it stands.
    #[schema(value_type = super::words::State)]
    state: &'static str,
    /// What kind of record it is.
    kind: &'static str,
    /// How soon people must act.
    #[schema(value_type = super::words::Priority)]
    priority: &'static str,
    /// How much of the business is reached: 1 (most) to 3.
    impact: u8,
    /// How fast it gets worse: 1 (most) to 3.
    urgency: u8,
    /// One line for people.
    title: String,
    /// What most probably explains it.
    root_cause: RootCause,
    /// Business services that it reaches.
    services: Vec<String>,
    /// Configuration items that it reaches.
    cis: u32,
    /// How many alerts it has.
    alerts: AlertCounts,
    /// Messages received about its alerts while they belonged to it.
    events: i64,
    /// The team that has it.
    team: Option<String>,
    /// The person who has it.
    assignee: Option<String>,
    /// When it was opened.
    opened_at: Time,
    /// When people were told.
    announced_at: Option<Time>,
    /// When somebody took notice, since the last reopen.
    acknowledged_at: Option<Time>,
    /// When it was resolved last.
    resolved_at: Option<Time>,
    /// When it was closed.
    closed_at: Option<Time>,
    /// Its clocks.
    sla: Vec<SlaClock>,
    #[serde(skip)]
    clocks: Clocks,
    /// The priority that a person has set; null while the rules say.
    priority_override: Option<PriorityOverride>,
    /// Its tickets elsewhere.
    tickets: Vec<TicketLink>,
    /// Whether it changes too often.
    flapping: bool,
    /// What keeps people from being told about it.
    suppressed_by: Vec<String>,
    /// The incident that it became part of.
    merged_into: Option<String>,
    /// Counts changes; give it as `expected_version` with a command.
    version: i64,
    /// Worst severity since it was opened or reopened.
    #[schema(value_type = super::words::Severity)]
    severity: &'static str,
    /// The incident that it continues.
    previous: Option<String>,
    /// How often it was reopened.
    reopen_count: u32,
    /// What it waits for, while on hold.
    hold_reason: Option<String>,
    /// When work goes on by itself, while on hold.
    hold_until: Option<Time>,
    /// Until when the acknowledgement holds, if it was given so.
    acknowledged_until: Option<Time>,
    /// When it resolves if no alert fires before.
    recovers_at: Option<Time>,
    /// When it closes by itself, while resolved.
    closes_at: Option<Time>,
    /// Changes that may have caused it, the best founded first.
    changes: Vec<IncidentChange>,
    /// What is known about it.
    known_errors: Vec<KnownError>,
    /// The problems that it is an incident of.
    problems: Vec<String>,
    /// `active` or `ended` for a major incident; else null.
    major: Option<String>,
}

/// What most probably explains an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootCause {
    /// The configuration item.
    ci: Option<CiRef>,
    /// The alert.
    #[schema(example = "A-17")]
    alert: Option<String>,
    /// How sure that is: 0 to 1.
    score: f64,
    /// Whether no alert of the item itself was received.
    inferred: bool,
    /// Why.
    why: Vec<String>,
    /// The next best, if there are any.
    others: Vec<RootCandidate>,
}

/// Another condition that may explain an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootCandidate {
    /// The configuration item.
    ci: Option<CiRef>,
    /// The alert.
    #[schema(example = "A-18")]
    alert: Option<String>,
    /// How sure that is: 0 to 1.
    score: f64,
    /// Whether no alert of the item itself was received.
    inferred: bool,
}

/// How many alerts an incident has.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertCounts {
    /// Firing now.
    firing: u32,
    /// Ended.
    resolved: u32,
    /// All that ever belonged to it.
    total: u32,
    /// Left out of their messages by the sources.
    undelivered: i64,
}

/// A ticket in another system.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketLink {
    /// The connector.
    connector: String,
    /// The ticket's number there; null until it is made.
    id: Option<String>,
    /// Link to it; null until it is made.
    url: Option<String>,
    /// Whether both sides agree: `in_sync`, `pending` (not made yet), `behind`, `failed`, `detached`, `closed`, or `paused`
    /// while the connector is not configured.
    #[schema(example = "in_sync")]
    state: String,
    /// Why nothing is written any more.
    error: Option<String>,
}

/// What is said of a ticket whose connector is gone.
pub(super) const CONNECTOR_REMOVED: &str = "connector removed: the configuration no longer names it; the ticket is kept up when it is back";

/// Whether a ticket rests because its connector is not configured; one that is over for good does not.
pub(super) fn rests(connector: &str, standing: &str, is_closed: bool, rules: &Rules) -> bool {
    let has_work = matches!(standing, "pending" | "behind");
    let is_followed = has_work || (standing == "in_sync" && !is_closed);
    let mut names = rules.connectors.iter().map(|rule| &rule.name);
    is_followed && !names.any(|name| name == connector)
}

impl TicketLink {
    fn judge(&mut self, rules: &Rules, is_closed: bool) {
        if rests(&self.connector, &self.state, is_closed, rules) {
            "paused".clone_into(&mut self.state);
            self.error = Some(CONNECTOR_REMOVED.to_owned());
        }
    }
}

impl From<TicketView> for TicketLink {
    fn from(view: TicketView) -> Self {
        Self {
            connector: view.connector,
            id: view.number,
            url: view.url,
            state: view.standing,
            error: view.error,
        }
    }
}

impl From<AlertView> for Alert {
    fn from(view: AlertView) -> Self {
        let alert = view.alert;
        let (status, ended_by) = match alert.status {
            AlertStatus::Firing => ("firing", None),
            AlertStatus::Ended(by) => ("resolved", Some(by.word())),
        };
        Self {
            id: alert.id.to_string(),
            key: view.key,
            source: view.source,
            status,
            ended_by,
            severity: alert.severity.word(),
            summary: view.summary,
            labels: view.labels,
            annotations: view.annotations,
            ci: view.ci.map(CiRef::from),
            binding: view
                .binding
                .map_or_else(Binding::without_cmdb, Binding::from),
            incident: alert.incident.as_ref().map(IncidentId::to_string),
            starts_at: alert.starts_at.into(),
            ends_at: alert.ends_at.map(Time),
            first_seen_at: alert.first_seen_at.into(),
            last_seen_at: alert.last_seen_at.into(),
            count: alert.count,
            flapping: view.is_flapping,
            suppressed_by: view.suppressed_by,
            episode: alert.episode,
            expires_at: alert.is_firing().then_some(Time(alert.lease_at)),
            generator_url: view.generator_url,
            ci_hint: view.ci_hint,
            is_cut: view.is_cut,
            undelivered: alert.undelivered,
            late: match alert.late {
                Late::None => None,
                Late::Parked(until) => Some(LateFiring {
                    state: "parked",
                    until: Some(Time(until)),
                }),
                Late::Discarded => Some(LateFiring {
                    state: "discarded",
                    until: None,
                }),
            },
        }
    }
}

/// The times and text that a state carries.
#[derive(Default)]
struct StateParts {
    hold_reason: Option<String>,
    hold_until: Option<Timestamp>,
    acknowledged_until: Option<Timestamp>,
    closes_at: Option<Timestamp>,
}

impl StateParts {
    fn of(state: &IncidentState) -> Self {
        let mut parts = Self::default();
        match state {
            IncidentState::New | IncidentState::InProgress | IncidentState::Closed { .. } => {}
            IncidentState::Acknowledged { until } => parts.acknowledged_until = *until,
            IncidentState::OnHold { until, reason } => {
                parts.hold_until = *until;
                parts.hold_reason = Some(reason.to_string());
            }
            IncidentState::Resolved { close_at } => parts.closes_at = Some(*close_at),
        }
        parts
    }
}

impl From<IncidentView> for Incident {
    fn from(view: IncidentView) -> Self {
        let incident = view.incident;
        let standing = view.standing.as_ref();
        let grade = standing.map(|standing| standing.grade);
        let grade = grade.unwrap_or_else(|| Grade::of_severity(incident.severity));
        let owner = incident.owner.as_deref();
        let parts = StateParts::of(&incident.state);
        Self {
            number: incident.id.to_string(),
            state: incident.state.word().word(),
            kind: "incident",
            priority: incident.priority.word(),
            impact: grade.impact,
            urgency: grade.urgency,
            title: view.title,
            root_cause: RootCause::of(view.cause.as_ref(), view.first_alert, incident.total),
            services: view
                .cause
                .as_ref()
                .map(CauseView::services)
                .unwrap_or_default(),
            cis: view.cause.as_ref().map_or(0, |view| view.cause.cis),
            alerts: AlertCounts {
                firing: incident.firing,
                resolved: incident.total.saturating_sub(incident.firing),
                total: incident.total,
                undelivered: view.undelivered,
            },
            events: view.events,
            team: owner
                .and_then(|owner| owner.team.as_ref())
                .map(ToString::to_string),
            assignee: owner
                .and_then(|owner| owner.assignee.as_ref())
                .map(ToString::to_string),
            opened_at: incident.opened_at.into(),
            announced_at: incident.announced_at.map(Into::into),
            acknowledged_at: incident.acknowledged_at.map(Time),
            resolved_at: incident.resolved_at.map(Time),
            closed_at: incident.closed_at.map(Time),
            tickets: view.tickets.into_iter().map(TicketLink::from).collect(),
            sla: clocks::shown(&view.clocks, &Rules::default(), incident.opened_at),
            clocks: view.clocks,
            priority_override: standing
                .and_then(|standing| standing.given.as_ref())
                .map(PriorityOverride::from),
            flapping: view.is_flapping,
            suppressed_by: view.suppressed_by,
            merged_into: incident.merged_into.as_ref().map(IncidentId::to_string),
            version: incident.version,
            severity: incident.severity.word(),
            previous: incident.previous.as_ref().map(IncidentId::to_string),
            reopen_count: incident.reopen_count,
            hold_reason: parts.hold_reason,
            hold_until: parts.hold_until.map(Time),
            acknowledged_until: parts.acknowledged_until.map(Time),
            recovers_at: incident.recovers_at.map(Time),
            closes_at: parts.closes_at.map(Time),
            changes: view.records.iter().filter_map(IncidentChange::of).collect(),
            known_errors: known_errors::known_errors(&view.records),
            problems: problems::problems(&view.records),
            major: majors::of_incident(&view.records),
        }
    }
}

impl Incident {
    /// With its clocks as they stand at that time by the calendars of these rules.
    #[must_use]
    pub fn counted(mut self, rules: &Rules, now: Timestamp) -> Self {
        self.sla = clocks::shown(&self.clocks, rules, now);
        for ticket in &mut self.tickets {
            ticket.judge(rules, self.closed_at.is_some());
        }
        self
    }
}

impl RootCause {
    /// The judgement, or, as long as nothing is known but alerts, the first of them.
    fn of(cause: Option<&CauseView>, first: Option<AlertId>, total: u32) -> Self {
        let roots = cause.map(|view| (view, view.cause.roots.split_first()));
        let Some((view, Some((best, others)))) = roots else {
            return Self::first(first, total);
        };
        let best = RootCandidate::of(view, best);
        Self {
            ci: best.ci,
            alert: best.alert,
            score: best.score,
            inferred: best.inferred,
            why: view.cause.why.iter().map(ToString::to_string).collect(),
            others: others
                .iter()
                .map(|root| RootCandidate::of(view, root))
                .collect(),
        }
    }

    /// Without a graph the alert that came first explains the rest.
    fn first(alert: Option<AlertId>, total: u32) -> Self {
        let why = if total > 1 {
            "the first alert of the incident"
        } else {
            "the only alert of the incident"
        };
        Self {
            ci: None,
            alert: alert.as_ref().map(AlertId::to_string),
            score: 1.0,
            inferred: false,
            why: vec![why.to_owned()],
            others: Vec::new(),
        }
    }
}

impl RootCandidate {
    fn of(view: &CauseView, root: &cause::RootCandidate) -> Self {
        Self {
            ci: root.ci.and_then(|ci| view.cis.get(&ci)).map(CiRef::of),
            alert: root.alert.as_ref().map(AlertId::to_string),
            score: f64::from(root.score) / 10_000.0,
            inferred: root.is_inferred,
        }
    }
}

impl CiRef {
    fn of(ci: &CiName) -> Self {
        Self {
            id: ci.id.clone(),
            name: ci.name.clone(),
            class: ci.class.clone(),
        }
    }
}
