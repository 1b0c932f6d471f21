//! A naive store: it writes down the changes of decisions and builds a state from them again.
//!
//! What memory holds must equal what a restart would load. Must not look at the state that it is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;
use watchbell::core::alert::Alert;
use watchbell::core::cmdb::ci::CiNumber;
use watchbell::core::cmdb::graph::Difference;
use watchbell::core::correlate::cause::Cause;
use watchbell::core::correlate::forest::RecentChange;
use watchbell::core::correlate::habit::Habit;
use watchbell::core::correlate::node::{Node, NodeId};
use watchbell::core::decision::{Change, Decision};
use watchbell::core::escalate::Escalations;
use watchbell::core::flap::{Flap, FlapChange};
use watchbell::core::fold::FoldChange;
use watchbell::core::heartbeat::Heartbeat;
use watchbell::core::ids::{AlertId, IncidentId, SilenceId, SourceId, WindowId};
use watchbell::core::incident::Incident;
use watchbell::core::mute::inhibit::InhibitChange;
use watchbell::core::mute::window::{Window, WindowChange};
use watchbell::core::observation::AlertText;
use watchbell::core::oncall::OnCall;
use watchbell::core::outcome::OutcomeState;
use watchbell::core::priority::StandingChange;
use watchbell::core::reason::Reason;
use watchbell::core::records::RecordChange;
use watchbell::core::review::Review;
use watchbell::core::silence::{Silence, SilenceChange};
use watchbell::core::sla::{Clocks, SlaChange};
use watchbell::core::state::{Remembered, State};
use watchbell::core::tell::Tells;
use watchbell::core::ticket::TicketChange;
use watchbell::core::variant::VariantChange;

/// Everything that was ever written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The key text of every alert, forgotten ones too.
    pub(crate) names: BTreeMap<AlertId, SmolStr>,
    /// Incidents that a person opened again: only these may be open without a firing alert or a recovery.
    pub(crate) reopened_by_person: BTreeSet<IncidentId>,
    /// Every reason met so far.
    pub(crate) reasons: BTreeSet<Reason>,
    /// Titles of incidents.
    pub(crate) titles: BTreeMap<IncidentId, SmolStr>,
    /// How many messages were counted for an incident by alerts that have left it.
    pub(crate) left: BTreeMap<IncidentId, i64>,
    sources: Vec<(SourceId, SmolStr)>,
    alerts: BTreeMap<AlertId, Alert>,
    incidents: BTreeMap<IncidentId, Incident>,
    joined: Vec<(IncidentId, AlertId)>,
    answers: Vec<(u64, Remembered)>,
    /// The text of every alert.
    pub(crate) texts: BTreeMap<AlertId, Arc<AlertText>>,
    /// Alerts that have yet to be compared with silences.
    pub(crate) unchecked: BTreeSet<AlertId>,
    silences: BTreeMap<SilenceId, Arc<Silence>>,
    silenced: BTreeSet<(AlertId, SilenceId)>,
    windows: BTreeMap<WindowId, Arc<Window>>,
    flaps: BTreeMap<AlertId, Arc<Flap>>,
    variants: Vec<VariantChange>,
    inhibitions: Vec<InhibitChange>,
    folds: Vec<FoldChange>,
    review: Review,
    graph: Vec<Arc<Difference>>,
    standings: BTreeMap<IncidentId, StandingChange>,
    clocks: BTreeMap<IncidentId, SlaChange>,
    outcomes: OutcomeState,
    heartbeats: BTreeMap<SmolStr, Heartbeat>,
    on_call: OnCall,
    escalations: Escalations,
    causes: BTreeMap<IncidentId, Arc<Cause>>,
    nodes: BTreeMap<NodeId, Node>,
    changes: Vec<(CiNumber, RecentChange)>,
    habits: BTreeMap<u64, Habit>,
    tickets: Vec<TicketChange>,
    tells: Tells,
    records: Vec<RecordChange>,
}

impl Ledger {
    pub(crate) fn write(&mut self, decision: &Decision) {
        self.reasons.insert(decision.reason);
        for entry in &decision.entries {
            self.reasons.insert(entry.reason);
            if let (Some(id), Reason::ReopenedByPerson | Reason::LinkedByPerson) =
                (entry.incident, entry.reason)
            {
                self.reopened_by_person.insert(id);
            }
        }
        for change in &decision.changes {
            self.write_change(change);
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of change")]
    fn write_change(&mut self, change: &Change) {
        match change.clone() {
            Change::SourceAdded { id, name } => self.sources.push((id, name)),
            Change::AlertAdded { alert, key } => {
                self.names.insert(alert.id, key.text().clone());
                self.alerts.insert(alert.id, alert);
            }
            Change::AlertChanged(alert) | Change::AlertRepeated(alert) => {
                assert!(
                    self.alerts.insert(alert.id, alert).is_some(),
                    "only a known alert changes"
                );
            }
            Change::AlertForgotten(id) => {
                let is_of = |change: &RecordChange| matches!(change, RecordChange::Forced(alert, _) if *alert == id);
                self.records.retain(|change| !is_of(change));
                self.alerts.remove(&id);
            }
            Change::IncidentChanged(incident) => self.write_incident(incident),
            Change::TitleChanged { incident, title } => {
                self.titles.insert(incident, title);
            }
            Change::AlertJoined {
                incident, alert, ..
            } => self.joined.push((incident, alert)),
            Change::AlertLeft {
                incident, events, ..
            } => {
                assert!(events >= 0, "an alert cannot have heard less than nothing");
                *self.left.entry(incident).or_default() += events;
            }
            Change::Outcome(change) => self.outcomes.apply(&change),
            Change::Standing(change) => {
                self.standings.insert(change.incident, change);
            }
            Change::Sla(change) => match &change {
                SlaChange::Clocks(incident, clocks) => {
                    let before = self.clocks.insert(*incident, change.clone());
                    if let Some(SlaChange::Clocks(_, before)) = before {
                        check_clocks(&before, clocks);
                    }
                }
                SlaChange::Breached(..) => {}
            },
            Change::IncidentForgotten(id) => {
                self.causes.remove(&id);
                self.standings.remove(&id);
                self.clocks.remove(&id);
                self.outcomes.forget(id);
                self.tells.forget(id);
                let is_of = |change: &RecordChange| matches!(change, RecordChange::Linked(incident, ..) if *incident == id);
                self.records.retain(|change| !is_of(change));
                self.incidents.remove(&id);
            }
            Change::CommandRemembered { key, answer } => self.answers.push((key, answer)),
            Change::AlertTextChanged { alert, text } => {
                self.texts.insert(alert, text);
            }
            Change::Silence(change) => self.write_silence(change),
            Change::Window(WindowChange::Changed(window)) => {
                self.windows.insert(window.id, window);
            }
            Change::Window(WindowChange::Over(id)) => {
                self.windows.remove(&id);
            }
            Change::Variant(change) => self.variants.push(change),
            Change::Inhibit(change) => self.inhibitions.push(change),
            Change::Fold(change) => self.folds.push(change),
            Change::Review(reached) => self.review = reached,
            Change::Flap(FlapChange::Changed(flap)) => {
                self.flaps.insert(flap.alert, flap);
            }
            Change::Flap(FlapChange::Calm(alert)) => {
                self.flaps.remove(&alert);
            }
            Change::OnCall(change) => self.on_call.apply(&change),
            Change::Escalate(change) => self.escalations.apply(&change),
            Change::Ticket(change) => self.tickets.push(change),
            Change::Tell(change) => self.tells.apply(&change),
            Change::Record(change) => self.records.push(change),
            Change::Audited(_) => {}
            Change::HeartbeatChanged(heartbeat) => {
                self.heartbeats.insert(heartbeat.name.clone(), heartbeat);
            }
            Change::HeartbeatForgotten(name) => drop(self.heartbeats.remove(&name)),
            Change::GraphChanged(difference) => self.graph.push(difference),
            Change::AlertMoved { incident, alert } => {
                self.joined.retain(|&pair| pair != (incident, alert));
            }
            Change::NodeChanged(node) => {
                self.nodes.insert(node.id, *node);
            }
            Change::NodeForgotten(id) => {
                self.nodes.remove(&id);
            }
            Change::HabitChanged(habit) => {
                self.habits.insert(habit.sign, habit);
            }
            Change::ChangeNoted { ci, change, .. } => self.changes.push((ci, change)),
            Change::CauseChanged { incident, cause } => {
                self.causes.insert(incident, cause);
            }
            // The alert's own record carries the number.
            Change::AlertBound { .. } => {}
            Change::DeadlinesTaken(_) | Change::Started(_) | Change::LabelsKept { .. } => {}
        }
    }

    fn write_silence(&mut self, change: SilenceChange) {
        match change {
            SilenceChange::Changed(silence) => {
                self.silences.insert(silence.id, silence);
            }
            SilenceChange::Over(id) => {
                self.silences.remove(&id);
                let has_more = self.silenced.iter().any(|(_, silence)| *silence == id);
                assert!(!has_more, "a silence that is over has let go of its alerts");
            }
            SilenceChange::Silenced(alert, silence) => {
                let is_new = self.silenced.insert((alert, silence));
                assert!(is_new, "silenced once: {alert} by {silence}");
            }
            SilenceChange::Unsilenced(alert, silence) => {
                let was_there = self.silenced.remove(&(alert, silence));
                assert!(was_there, "let go of once: {alert} by {silence}");
            }
            SilenceChange::Unchecked(alert) => {
                self.unchecked.insert(alert);
            }
            SilenceChange::Checked(alert) => {
                self.unchecked.remove(&alert);
            }
        }
    }

    fn write_incident(&mut self, incident: Incident) {
        let version = incident.version;
        let before = self.incidents.insert(incident.id, incident);
        let before = before.map_or(0, |before| before.version);
        assert_eq!(version, before + 1, "a change is one version further");
    }

    /// Notes a CMDB that was there from the start.
    pub(crate) fn start_with(&mut self, graph: &Difference) {
        self.graph.push(Arc::new(graph.clone()));
    }

    fn load_mutes(&self, state: &mut State) {
        state.put_review(self.review);
        for change in &self.folds {
            state.put_fold(change);
        }
        for change in &self.inhibitions {
            state.put_inhibition(change);
        }
        for change in &self.variants {
            state.put_variant(change);
        }
        for flap in self.flaps.values() {
            state.put_flap(&FlapChange::Changed(Arc::clone(flap)));
        }
    }

    /// The state that a restart would load.
    pub(crate) fn load(&self) -> State {
        let mut state = State::default();
        *state.tells_mut() = self.tells.clone();
        for difference in &self.graph {
            state.change_graph(difference);
        }
        for heartbeat in self.heartbeats.values() {
            state.put_heartbeat(heartbeat.clone());
        }
        for (id, name) in &self.sources {
            state.add_source(*id, name.clone());
        }
        for alert in self.alerts.values() {
            state.put_alert(alert.clone());
        }
        for incident in self.incidents.values() {
            state.put_incident(incident.clone());
        }
        for &(incident, alert) in &self.joined {
            state.join(incident, alert);
        }
        for node in self.nodes.values() {
            state.put_node(node.clone());
        }
        for (ci, change) in &self.changes {
            state.put_change(*ci, change.clone());
        }
        for habit in self.habits.values() {
            state.put_habit(habit.clone());
        }
        for (&incident, cause) in &self.causes {
            state.put_cause(incident, Arc::clone(cause));
        }
        for change in self.standings.values() {
            state.practice_mut().standings.apply(change);
        }
        for change in self.clocks.values() {
            state.practice_mut().sla.apply(change);
        }
        state.practice_mut().outcomes = self.outcomes.clone();
        for &(key, remembered) in &self.answers {
            state.remember(key, remembered);
        }
        *state.on_call_mut() = self.on_call.clone();
        *state.escalations_mut() = self.escalations.clone();
        let silences = self.silences.values().cloned().map(SilenceChange::Changed);
        let silenced = self.silenced.iter();
        let silenced = silenced.map(|&(alert, silence)| SilenceChange::Silenced(alert, silence));
        for change in silences.chain(silenced) {
            state.put_silence(&change);
        }
        self.load_mutes(&mut state);
        for window in self.windows.values() {
            state.put_window(&WindowChange::Changed(Arc::clone(window)));
        }
        for change in &self.tickets {
            state.tickets_mut().apply(change);
        }
        for change in &self.records {
            // What stands beside an incident is loaded with the incident.
            let is_loaded = |incident: &IncidentId| self.incidents.contains_key(incident);
            let is_apart =
                matches!(change, RecordChange::Linked(incident, ..) if !is_loaded(incident));
            if !is_apart {
                state.records_mut().apply(change);
            }
        }
        state
    }
}

/// What has been counted never shrinks, and what was missed stays missed.
fn check_clocks(before: &Clocks, after: &Clocks) {
    for (kind, held) in before.iter() {
        let now = after.get(kind).expect("a clock stays");
        assert!(held.counted <= now.counted, "{kind:?} has shrunk");
        assert!(held.breached_at.is_none() || held.breached_at == now.breached_at);
        assert!(held.started_at == now.started_at);
    }
}
