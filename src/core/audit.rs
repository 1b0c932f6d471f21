//! What people and programs did, as data: who, what, to which record, before and after, and why.
//!
//! One entry for every order that changed something or was refused; what follows from alerts and time alone is in the
//! timelines. Must not hold a secret: what is told is what the records hold.

use std::sync::Arc;

use smol_str::{SmolStr, ToSmolStr as _};

use crate::core::alert::Alert;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::incident::Incident;
use crate::core::input::{Command, Input};
use crate::core::mute::window::WindowChange;
use crate::core::oncall::{OnCallChange, Override, OverrideId};
use crate::core::records::{Link, Record, RecordChange};
use crate::core::silence::{Silence, SilenceChange};
use crate::core::time::Timestamp;

/// Records that one entry tells of; what an order changed besides is only counted.
const SUBJECTS_MAX: usize = 50;

/// Names and values of what changed.
pub type Values = Vec<(SmolStr, SmolStr)>;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// The person or program: a token's name, a source, or `watchbell`.
    pub actor: SmolStr,
    /// What was done, like `incident.acknowledge`.
    pub action: SmolStr,
    /// To which record, like `INC-42`.
    pub subject: SmolStr,
    /// What it was before, as far as it changed.
    pub before: Values,
    /// What it is now.
    pub after: Values,
    /// Why, in the words of whoever did it.
    pub why: Option<Arc<str>>,
}

/// Adds the entry of an order to its decision.
pub(super) fn note(world: World<'_>, input: &Input, decision: &mut Decision) {
    let Some((actor, action, why)) = order(input) else {
        return;
    };
    let mut entry = AuditEntry {
        actor: actor.clone(),
        action: SmolStr::new(action),
        subject: subject(world, input, decision),
        why: why.filter(|why| !why.trim().is_empty()).map(Arc::from),
        ..AuditEntry::default()
    };
    if decision.is_refused {
        entry.after = vec![("refused".into(), decision.reason.code().into())];
    } else {
        let mut told = 0_usize;
        let mut untold = 0_usize;
        for change in &decision.changes {
            let Some((name, before, after)) = compare(world, change) else {
                continue;
            };
            if before == after {
                continue;
            }
            if told == SUBJECTS_MAX {
                untold = untold.saturating_add(1);
                continue;
            }
            told = told.saturating_add(1);
            add(&mut entry, &name, &before, &after);
        }
        if untold > 0 {
            entry.after.push(("more".into(), untold.to_smolstr()));
        }
        let says_nothing = entry.before.is_empty() && entry.after.is_empty();
        if says_nothing && decision.entries.is_empty() {
            return;
        }
    }
    decision.change(Change::Audited(Box::new(entry)));
}

/// Adds the fields that differ; those of another record than the subject carry its name.
fn add(entry: &mut AuditEntry, name: &str, before: &Values, after: &Values) {
    let prefix = if name == entry.subject {
        String::new()
    } else {
        format!("{name}.")
    };
    let missing = |values: &Values, pair: &(SmolStr, SmolStr)| !values.contains(pair);
    for pair in before.iter().filter(|pair| missing(after, pair)) {
        let named = format!("{prefix}{}", pair.0);
        entry.before.push((named.into(), pair.1.clone()));
    }
    for pair in after.iter().filter(|pair| missing(before, pair)) {
        let named = format!("{prefix}{}", pair.0);
        entry.after.push((named.into(), pair.1.clone()));
    }
}

/// Who ordered what and why, if the input is an order.
fn order(input: &Input) -> Option<(&SmolStr, &'static str, Option<&str>)> {
    match input {
        Input::CommandGiven(given) => {
            let (action, why) = command(&given.command);
            Some((&given.actor, action, why))
        }
        Input::SilenceGiven(given) => Some((&given.actor, given.order.word(), given.order.why())),
        Input::WindowGiven(given) => Some((&given.actor, given.order.word(), given.order.why())),
        Input::RecordGiven(given) => Some((&given.actor, given.order.word(), given.order.why())),
        Input::OverrideGiven(given) => Some((&given.actor, given.order.word(), given.order.why())),
        Input::CmdbImported(imported) => Some((&imported.actor, "cmdb.import", None)),
        Input::TicketOrdered(order) => Some((&order.actor, order.wanted.word(), None)),
        Input::TicketReported(_)
        | Input::MessageLost(_)
        | Input::ObservationReceived { .. }
        | Input::SourceHeard { .. }
        | Input::SourcePolled(_)
        | Input::SilencesSwept(_)
        | Input::ChangeRecorded(_)
        | Input::AlertsRebound(_)
        | Input::DeadlineReached
        | Input::Started => None,
    }
}

fn command(command: &Command) -> (&'static str, Option<&str>) {
    match command {
        Command::Acknowledge { .. } => ("incident.acknowledge", None),
        Command::Assign { .. } => ("incident.assign", None),
        Command::Start => ("incident.start", None),
        Command::Hold { reason, .. } => ("incident.hold", Some(reason)),
        Command::Resume => ("incident.resume", None),
        Command::Resolve { note } => ("incident.resolve", note.as_deref()),
        Command::Close => ("incident.close", None),
        Command::Reopen { reason } => ("incident.reopen", reason.as_deref()),
        Command::Merge { .. } => ("incident.merge", None),
        Command::Split { .. } => ("incident.split", None),
        Command::Unlink { .. } => ("incident.unlink", None),
        Command::Pin { .. } => ("incident.pin", None),
        Command::Root { reason, .. } => ("incident.root", Some(reason)),
        Command::Priority { reason, .. } => ("incident.priority", Some(reason)),
        Command::Note { text } => ("incident.note", Some(text)),
    }
}

/// The record that an order is about.
fn subject(world: World<'_>, input: &Input, decision: &Decision) -> SmolStr {
    if let Input::CommandGiven(given) = input {
        return given.incident.to_smolstr();
    }
    if let Input::CmdbImported(imported) = input {
        return imported.name.clone();
    }
    if let Input::TicketOrdered(order) = input {
        return order.connector.clone();
    }
    if let Input::RecordGiven(given) = input
        && let Some(named) = given.order.subject()
    {
        return named;
    }
    if let Some(window) = decision.window {
        return window.to_smolstr();
    }
    if let Some(id) = decision.made {
        return OverrideId::new(id).to_smolstr();
    }
    if let Some(record) = decision.record {
        return record.to_smolstr();
    }
    if let Some(id) = decision.silence {
        let made = decision.changes.iter().find_map(|change| {
            if let Change::Silence(SilenceChange::Changed(silence)) = change {
                return (silence.id == id).then_some(silence.uuid);
            }
            None
        });
        let held = || world.state.silences().get(id).map(|silence| silence.uuid);
        if let Some(uuid) = made.or_else(held) {
            return uuid.to_smolstr();
        }
    }
    decision
        .incident
        .map_or_else(SmolStr::default, |id| id.to_smolstr())
}

/// The record that a change is about, before and after.
fn compare(world: World<'_>, change: &Change) -> Option<(SmolStr, Values, Values)> {
    let state = world.state;
    if let Change::GraphChanged(difference) = change {
        let before = vec![pair("version", state.graph().version().to_smolstr())];
        let after = vec![
            pair("version", difference.version.to_smolstr()),
            pair("cis_put", difference.put.len().to_smolstr()),
            pair("cis_removed", difference.removed.len().to_smolstr()),
            pair("relations_added", difference.linked.len().to_smolstr()),
            pair("relations_removed", difference.unlinked.len().to_smolstr()),
        ];
        return Some(("cmdb".into(), before, after));
    }
    if let Change::IncidentChanged(after) = change {
        let before = state.incident(after.id).map(of_incident);
        let name = after.id.to_smolstr();
        return Some((name, before.unwrap_or_default(), of_incident(after)));
    }
    if let Change::AlertChanged(after) = change {
        let before = state.alert(after.id).map(|alert| of_alert(world, alert));
        let name = after.id.to_smolstr();
        return Some((name, before.unwrap_or_default(), of_alert(world, after)));
    }
    if let Change::Silence(SilenceChange::Changed(after)) = change {
        let before = state.silences().get(after.id).map(|it| of_silence(it));
        let name = after.uuid.to_smolstr();
        return Some((name, before.unwrap_or_default(), of_silence(after)));
    }
    if let Change::Window(WindowChange::Changed(after)) = change {
        let before = state.windows().get(after.id).map(|it| it.values());
        let name = after.id.to_smolstr();
        return Some((name, before.unwrap_or_default(), after.values()));
    }
    if let Change::OnCall(OnCallChange::Override(after)) = change {
        let before = state.on_call().overrides().get(after.id);
        let before = before.map(|it| of_override(it));
        let name = after.id.to_smolstr();
        return Some((name, before.unwrap_or_default(), of_override(after)));
    }
    if let Change::Record(RecordChange::Put(after)) = change {
        let before = state.records().get(after.id()).map(|it| of_record(it));
        let name = after.id().to_smolstr();
        return Some((name, before.unwrap_or_default(), of_record(after)));
    }
    if let Change::Record(RecordChange::Linked(incident, record, link)) = change {
        let value = |link: &Link| vec![(record.to_smolstr(), SmolStr::new(link.role.word()))];
        let before = state.records().link(*incident, *record).map(value);
        let name = incident.to_smolstr();
        return Some((name, before.unwrap_or_default(), value(link)));
    }
    None
}

fn pair(name: &'static str, value: impl Into<SmolStr>) -> (SmolStr, SmolStr) {
    (SmolStr::new_static(name), value.into())
}

fn time(at: Timestamp) -> SmolStr {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    format!("{at:.3}").into()
}

fn of_incident(incident: &Incident) -> Values {
    let owner = incident.owner.as_deref();
    let assignee = owner.and_then(|owner| owner.assignee.clone());
    let team = owner.and_then(|owner| owner.team.clone());
    let mut values = vec![
        pair("state", incident.state.word().word()),
        pair("priority", incident.priority.word()),
        pair("alerts", incident.total.to_smolstr()),
    ];
    values.extend(assignee.map(|name| pair("assignee", name)));
    values.extend(team.map(|name| pair("team", name)));
    values.extend(
        incident
            .merged_into
            .map(|id| pair("merged_into", id.to_smolstr())),
    );
    values
}

fn of_alert(world: World<'_>, alert: &Alert) -> Values {
    let mut values = vec![pair(
        "status",
        if alert.is_firing() {
            "firing"
        } else {
            "resolved"
        },
    )];
    values.extend(alert.incident.map(|id| pair("incident", id.to_smolstr())));
    let ci = alert.ci.and_then(|number| world.state.graph().ci(number));
    values.extend(ci.map(|ci| pair("ci", ci.id.clone())));
    values
}

fn of_silence(silence: &Silence) -> Values {
    let matchers: Vec<_> = silence.matchers.iter().map(ToString::to_string).collect();
    vec![
        pair("matchers", matchers.join(", ")),
        pair("starts_at", time(silence.starts_at)),
        pair("ends_at", time(silence.ends_at)),
        pair("comment", silence.comment.clone()),
    ]
}

fn of_override(it: &Override) -> Values {
    let mut values = vec![
        pair("schedule", it.schedule.clone()),
        pair("starts_at", time(it.from)),
        pair("ends_at", time(it.to)),
    ];
    values.extend(it.person.clone().map(|name| pair("person", name)));
    values.extend(it.replaces.clone().map(|name| pair("replaces", name)));
    values
}

fn of_record(record: &Record) -> Values {
    let mut values = vec![
        pair("state", record.state()),
        pair("title", record.title()),
        pair("cis", record.cis().join(", ")),
    ];
    values.extend(record.more_values());
    values.retain(|(_, value)| !value.is_empty());
    values
}
