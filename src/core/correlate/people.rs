//! What people say about what belongs together: merge, split, unlink, pin, and which CI is the root.
//!
//! What a person has placed is pinned: no rule moves it afterwards. Works for alerts without a CI as well. Must not
//! check whether somebody may; that is done at the door.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::cause::{Cause, RootCandidate};
use crate::core::correlate::node::NodeId;
use crate::core::correlate::words;
use crate::core::decide::World;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::Incident;
use crate::core::input::Command;
use crate::core::reason::Reason;
use crate::core::severity::Severity;

/// Whether an order about what belongs together can be carried out.
///
/// # Errors
/// The reason of the refusal.
pub(crate) fn check(world: World<'_>, id: IncidentId, command: &Command) -> Result<(), Reason> {
    match command {
        Command::Merge { into } if *into == id => Err(Reason::SameIncident),
        Command::Merge { into } => match world.state.incident(*into) {
            None => Err(Reason::UnknownIncident),
            Some(other) if !other.state.is_open() => Err(Reason::MergeIntoClosed),
            Some(_) => Ok(()),
        },
        Command::Pin { alerts } => {
            // One that belongs elsewhere is brought here, as long as that is open.
            let is_at_hand = |alert: &AlertId| {
                let of = world.state.alert(*alert).and_then(|alert| alert.incident);
                let is_open = |of| {
                    world
                        .state
                        .incident(of)
                        .is_some_and(|it| it.state.is_open())
                };
                of.is_some_and(|of| of == id || is_open(of))
            };
            if alerts.is_empty() || !alerts.iter().all(is_at_hand) {
                return Err(Reason::NotAMember);
            }
            Ok(())
        }
        Command::Split { alerts } | Command::Unlink { alerts } => {
            let is_member = |alert: &AlertId| {
                let alert = world.state.alert(*alert);
                alert.is_some_and(|alert| alert.incident == Some(id))
            };
            if alerts.is_empty() || !alerts.iter().all(is_member) {
                return Err(Reason::NotAMember);
            }
            let members = world.state.alerts_of(id).iter();
            let mut members = members.filter(|alert| is_member(alert));
            let is_all = members.all(|alert| alerts.contains(alert));
            if is_all {
                return Err(Reason::NothingLeft);
            }
            Ok(())
        }
        Command::Root { ci, .. } => match world.state.graph().find(ci) {
            Some(_) => Ok(()),
            None => Err(Reason::UnknownCi),
        },
        Command::Acknowledge { .. }
        | Command::Assign { .. }
        | Command::Start
        | Command::Hold { .. }
        | Command::Resume
        | Command::Resolve { .. }
        | Command::Close
        | Command::Reopen { .. }
        | Command::Priority { .. }
        | Command::Note { .. } => Ok(()),
    }
}

impl Draft<'_> {
    /// Makes one incident of two.
    pub(crate) fn merge_by_person(&mut self, id: IncidentId, into: IncidentId) -> Arc<str> {
        for node in self.grove.nodes_in(into) {
            self.pin_node(node);
        }
        for node in self.grove.nodes_in(id) {
            self.pin_node(node);
            self.grove.move_to(node, into);
        }
        let state = self.world.state;
        for &alert in state.alerts_of(id) {
            let alert = state
                .alert(alert)
                .filter(|alert| alert.incident == Some(id));
            if let Some(alert) = alert.cloned() {
                self.regroup(alert, into, true);
            }
        }
        self.close_merged(id, into);
        self.say(Some(into), None, Reason::IncidentAbsorbed).note = Some(format!("{id}").into());
        format!("into {into}").into()
    }

    /// Takes alerts out of an incident into a new one, or each into one of its own.
    pub(crate) fn split_by_person(
        &mut self,
        id: IncidentId,
        alerts: &[AlertId],
        is_each_alone: bool,
    ) -> Arc<str> {
        let alerts: BTreeSet<_> = alerts.iter().copied().collect();
        let groups: Vec<BTreeSet<AlertId>> = if is_each_alone {
            alerts
                .iter()
                .map(|&alert| BTreeSet::from([alert]))
                .collect()
        } else {
            vec![alerts]
        };
        let mut opened = Vec::new();
        for group in groups {
            opened.push(self.move_out(id, &group).to_string());
        }
        format!("into {}", opened.join(", ")).into()
    }

    fn move_out(&mut self, from: IncidentId, alerts: &BTreeSet<AlertId>) -> IncidentId {
        let held = alerts.iter().filter_map(|&alert| self.held(alert));
        let severity = held.map(|alert| alert.severity).min();
        let to = self.ids.incident();
        let incident = Incident::open(to, severity.unwrap_or(Severity::Warning), self.now);
        self.insert(incident);
        let nodes = self.move_over((from, to), alerts);
        let named = nodes.first().and_then(|&node| self.grove.node(node));
        let name = named.map(|node| words::of_node(self.grove.graph(), node));
        self.title(to, name.map(SmolStr::from).as_ref());
        let first = alerts.first().copied();
        self.say(Some(to), first, Reason::IncidentOpened).note =
            Some(format!("from {from}").into());
        to
    }

    /// Moves alerts of one incident to another one that is open, with their nodes, which are given back.
    fn move_over(
        &mut self,
        (from, to): (IncidentId, IncidentId),
        alerts: &BTreeSet<AlertId>,
    ) -> BTreeSet<NodeId> {
        let mut nodes = BTreeSet::new();
        for &alert in alerts {
            nodes.extend(self.own_node(alert, alerts));
        }
        for &node in &nodes {
            self.cut_off(node, &nodes);
            self.pin_node(node);
            self.grove.move_to(node, to);
        }
        for &alert in alerts {
            let alert = self
                .held(alert)
                .filter(|alert| alert.incident == Some(from));
            if let Some(alert) = alert.cloned() {
                self.regroup(alert, to, true);
            }
        }
        nodes
    }

    /// Brings alerts of other incidents here; one that would be left without any is merged into this one.
    fn bring(&mut self, id: IncidentId, alerts: &[AlertId]) {
        let state = self.world.state;
        let mut by_incident: BTreeMap<IncidentId, BTreeSet<AlertId>> = BTreeMap::new();
        for &alert in alerts {
            let from = state.alert(alert).and_then(|alert| alert.incident);
            if let Some(from) = from.filter(|from| *from != id) {
                by_incident.entry(from).or_default().insert(alert);
            }
        }
        for (from, moved) in by_incident {
            let is_of = |alert: &AlertId| {
                let alert = state.alert(*alert);
                alert.is_some_and(|alert| alert.incident == Some(from))
            };
            let mut members = state.alerts_of(from).iter().filter(|alert| is_of(alert));
            self.touch(from);
            if members.all(|alert| moved.contains(alert)) {
                self.merge_by_person(from, id);
                continue;
            }
            self.move_over((from, id), &moved);
            let names: Vec<_> = moved.iter().map(ToString::to_string).collect();
            self.say(Some(from), moved.first().copied(), Reason::PinnedByPerson)
                .note = Some(format!("{} to {id}", names.join(", ")).into());
        }
    }

    /// The node of an alert; one that it shares with alerts that stay is divided.
    fn own_node(&mut self, alert: AlertId, moved: &BTreeSet<AlertId>) -> Option<NodeId> {
        let id = self.grove.node_of(alert)?;
        let node = self.grove.node(id)?.clone();
        let stay = node.alerts.iter().any(|other| !moved.contains(other));
        let own = NodeId::of_alert(alert);
        // A node cannot be divided from the alert that it is named after.
        if !stay || own == id {
            return Some(id);
        }
        let is_firing = self
            .held(alert)
            .is_some_and(crate::core::alert::Alert::is_firing);
        let firing = u16::from(is_firing);
        if let Some(rest) = self.grove.edit(id) {
            rest.alerts.retain(|&other| other != alert);
            rest.firing = rest.firing.saturating_sub(firing);
        }
        let mut part = node;
        part.id = own;
        part.alerts = vec![alert];
        part.firing = firing;
        part.link = None;
        part.ended_at = (firing == 0).then_some(part.ended_at.unwrap_or(self.now));
        self.grove.put(part);
        Some(own)
    }

    /// Lets go of links between what moves and what stays.
    fn cut_off(&mut self, id: NodeId, moved: &BTreeSet<NodeId>) {
        for child in self.grove.children(id) {
            if !moved.contains(&child)
                && let Some(node) = self.grove.edit(child)
            {
                node.link = None;
            }
        }
        if let Some(node) = self.grove.edit(id)
            && node.parent().is_some_and(|parent| !moved.contains(&parent))
        {
            node.link = None;
        }
    }

    /// Keeps alerts in an incident, and brings those that are elsewhere.
    pub(crate) fn pin_by_person(&mut self, id: IncidentId, alerts: &[AlertId]) -> Arc<str> {
        self.bring(id, alerts);
        for &alert in alerts {
            if let Some(node) = self.grove.node_of(alert) {
                self.pin_node(node);
            }
        }
        let names: Vec<_> = alerts.iter().map(ToString::to_string).collect();
        names.join(", ").into()
    }

    fn pin_node(&mut self, id: NodeId) {
        if let Some(node) = self.grove.edit(id) {
            node.is_pinned = true;
        }
    }

    /// Takes a person's word for the root cause.
    pub(crate) fn root_by_person(&mut self, id: IncidentId, ci: CiNumber) {
        let mut cause = self.world.state.cause(id).cloned().unwrap_or_default();
        cause.forced = Some(ci);
        force(&mut cause);
        let name = self.grove.graph().ci(ci).map_or("?", |ci| ci.name.as_str());
        cause.why.insert(
            0,
            format!("A person named {name} as the root cause.").into(),
        );
        self.touch(id);
        self.put_cause(id, cause);
    }
}

/// Puts the CI that a person has named first.
pub(crate) fn force(cause: &mut Cause) {
    let Some(ci) = cause.forced else {
        return;
    };
    let place = cause.roots.iter().position(|root| root.ci == Some(ci));
    let mut root = match place {
        Some(place) => cause.roots.remove(place),
        None => RootCandidate {
            ci: Some(ci),
            alert: None,
            score: 10_000,
            is_inferred: true,
        },
    };
    root.score = 10_000;
    cause.roots.insert(0, root);
    cause.roots.truncate(3);
}
