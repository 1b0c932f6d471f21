//! From alerts to conditions: where an alert that fires (again) belongs, and what follows for those around it.
//!
//! Must not be asked about repeats; they change nothing here.

use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::alert::Alert;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::{Edge, Graph};
use crate::core::cmdb::normal;
use crate::core::cmdb::relation::Role;
use crate::core::correlate::family::{Family, family_of, name_of};
use crate::core::correlate::judge::recent_change;
use crate::core::correlate::node::{ALERTS_MAX, FLAP_WINDOW, LOOKS, Node, NodeId};
use crate::core::correlate::rule::Bond;
use crate::core::correlate::ways::home;
use crate::core::correlate::weight::of_evidence;
use crate::core::draft::Draft;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::observation::AlertText;
use crate::core::time::{Span, Timestamp};

/// A start in the monitor's time that lies further back than this is not believed to be news.
const ONSET_BACK_MAX: Span = Span::from_hours(6);
/// A further alert of the same CI and family so much later is a condition of its own.
const JOIN_WINDOW: Span = Span::from_mins(25);
/// What a second name or source adds to the evidence, in 1/10,000.
const SECOND_VOICE: u16 = 1_500;
/// What a change shortly before adds to the evidence, in 1/10,000.
const CHANGED_BEFORE: u16 = 3_000;
/// Words in the classes of infrastructure that fails by getting slow ...
const SHARED: [&str; 9] = [
    "storage",
    "array",
    "san",
    "dns",
    "directory",
    "ldap",
    "wan",
    "link",
    "circuit",
];
/// ... and how surely it is broken when it does, in 1/10,000.
const SHARED_SYMPTOM: u16 = 8_500;
/// Labels that name the monitoring server which misses data.
const WATCHER_LABELS: [&str; 6] = [
    "monitor",
    "poller",
    "collector",
    "prometheus",
    "proxy",
    "monitoring_server",
];
/// Relations of one CI that are asked for who watches it.
const WATCHERS_ASKED: usize = 64;
/// Labels that name what something belongs to.
const OWNER_LABELS: [&str; 12] = [
    "app",
    "application",
    "app_kubernetes_io_name",
    "service",
    "service_name",
    "component",
    "database",
    "cluster",
    "deployment",
    "job",
    "namespace",
    "host",
];
/// Labels that say where something stands when no CI does.
const PLACE_LABELS: [&str; 8] = [
    "site",
    "datacenter",
    "dc",
    "region",
    "zone",
    "cluster",
    "location",
    "namespace",
];

impl Draft<'_> {
    /// Whether conditions are followed at all: without a CMDB every identity is an incident of its own.
    pub(crate) fn correlates(&self) -> bool {
        let has_graph = !self.world.state.graph().is_empty() && self.is_enabled();
        has_graph || !self.world.state.forest().is_empty()
    }

    /// Whether anything may be explained by rules and evidence; what people place is followed all the same.
    pub(crate) fn is_enabled(&self) -> bool {
        self.world.rules.correlation.is_enabled
    }

    /// Whether an alert that fires again goes on where it was: after a longer pause or a change of its CI, in an
    /// incident that is still open for other reasons, it is judged anew.
    pub(crate) fn goes_on(&self, alert: AlertId, last: IncidentId) -> bool {
        let is_alone = self.peek(last).is_some_and(|incident| incident.total <= 1);
        let before = self.world.state.alert(alert);
        let Some(before) = before.filter(|alert| !is_alone && !alert.is_firing()) else {
            return true;
        };
        // Not by its lease: that moves on as long as the incident is open.
        let pause = self.now.since(before.last_seen_at);
        if !self.is_open(last) || self.grove.count_in(last) == 0 {
            // Others may have held it open until just now.
            let rules = &self.world.rules.incident;
            let until = before.last_seen_at.plus(rules.recover_after);
            return self.now <= until.plus(rules.reopen_window);
        }
        let mut changes = before.ci.into_iter().flat_map(|ci| self.grove.changes(ci));
        pause <= FLAP_WINDOW && !changes.any(|change| change.at >= before.last_seen_at)
    }

    /// Finds or makes the node of an alert that fires (again) and links it; returns the incident it belongs to.
    ///
    /// `last` is the incident that the alert may return to.
    pub(crate) fn place(
        &mut self,
        alert: &Alert,
        text: Option<&AlertText>,
        last: Option<IncidentId>,
    ) -> IncidentId {
        let held = self.grove.node_of(alert.id);
        if let Some(id) = held {
            let stays = self
                .grove
                .node(id)
                .is_some_and(|node| Some(node.incident) == last);
            if stays {
                return self.fire_again(id, alert);
            }
            self.leave_node(alert, id);
        }
        if last.is_none()
            && let Some(id) = self.fitting_node(alert, text)
        {
            return self.join_node(id, alert, text);
        }
        let incident = last.unwrap_or_else(|| self.provide());
        let node = self.fresh_node(alert, text, incident);
        let id = node.id;
        self.grove.put(node);
        self.unveil(id);
        self.settle_in(id);
        self.grove.node(id).map_or(incident, |node| node.incident)
    }

    /// Links a node that is new or says more than before, and what it explains.
    fn settle_in(&mut self, id: NodeId) {
        if !self.is_enabled() {
            return;
        }
        let is_linked = self.join_bonded(id) || self.relink(id);
        self.adopt(id);
        if !is_linked && !self.infer_silent(id) {
            self.join_crowd(id);
        }
    }

    /// The number that a new incident would get; drawn only when it is needed.
    fn provide(&mut self) -> IncidentId {
        let id = self.ids.clone().incident();
        self.provisional = Some(id);
        id
    }

    /// An alert of a node fires again.
    fn fire_again(&mut self, id: NodeId, alert: &Alert) -> IncidentId {
        let (now, onset) = (self.now, self.onset(alert));
        if let Some(node) = self.grove.edit(id) {
            node.firing = node.firing.saturating_add(1);
            let pause = node.ended_at.take().map(|ended_at| now.since(ended_at));
            if pause.is_some_and(|pause| pause > FLAP_WINDOW) {
                node.onset = onset;
            }
            if pause.is_some() {
                node.looks = 0;
                let is_wanted = node.link.is_none() || node.is_behind;
                node.due_at = is_wanted.then(|| now.plus(LOOKS[0]));
            }
        }
        let held = self.grove.node(id).map(|node| node.incident);
        held.unwrap_or_else(|| self.provide())
    }

    /// Gives a firing alert whose CI is another one than was thought a node of its own there.
    pub(crate) fn place_anew(&mut self, alert: &Alert, text: &AlertText) {
        let Some(incident) = alert.incident.filter(|id| self.is_open(*id)) else {
            return;
        };
        if let Some(id) = self.grove.node_of(alert.id) {
            self.end_at_node(alert.id);
            self.leave_node(alert, id);
        }
        let node = self.fresh_node(alert, Some(text), incident);
        let id = node.id;
        self.grove.put(node);
        self.unveil(id);
        self.settle_in(id);
    }

    /// Takes an alert out of a node whose incident is over.
    pub(crate) fn leave_node(&mut self, alert: &Alert, id: NodeId) {
        let is_empty = self.grove.edit(id).is_some_and(|node| {
            node.alerts.retain(|&other| other != alert.id);
            node.alerts.is_empty()
        });
        if is_empty || id == NodeId::of_alert(alert.id) {
            self.fell(id);
        }
    }

    /// Forgets a node; what it explained has to look for itself.
    pub(crate) fn fell(&mut self, id: NodeId) {
        for child in self.grove.children(id) {
            if let Some(node) = self.grove.edit(child) {
                node.link = None;
            }
        }
        self.grove.forget(id);
    }

    /// The active node of the alert's CI and family, if the alert may join it.
    fn fitting_node(&self, alert: &Alert, text: Option<&AlertText>) -> Option<NodeId> {
        let ci = alert.ci?;
        let family = family(alert, text);
        if family == Family::Config || !self.is_enabled() {
            return None;
        }
        let scope = self.scope(Some(ci), text);
        let marks = self.marks(alert, text);
        if marks.iter().any(|mark| mark.bond == Bond::Alone) {
            return None;
        }
        let nodes = self.grove.nodes_at(ci).into_iter();
        let mut fitting = nodes.filter(|&id| {
            self.grove.node(id).is_some_and(|node| {
                node.family == family
                    && node.scope == scope
                    && node.marks == marks
                    && self.now.since(node.onset) <= JOIN_WINDOW
                    && node.alerts.len() < ALERTS_MAX
                    && self.is_open(node.incident)
            })
        });
        fitting.next()
    }

    fn join_node(&mut self, id: NodeId, alert: &Alert, text: Option<&AlertText>) -> IncidentId {
        let name = text.map(name_of).unwrap_or_default();
        let onset = self.onset(alert);
        let mut is_more = false;
        if let Some(node) = self.grove.edit(id) {
            node.alerts.push(alert.id);
            node.firing = node.firing.saturating_add(1);
            let was_over = node.ended_at.take().is_some();
            if was_over {
                node.onset = onset;
            }
            node.onset = node.onset.min(onset);
            let is_other = node.name != name || node.source != Some(alert.source);
            if is_other && node.voices < 2 {
                node.voices = 2;
                node.evidence = node.evidence.saturating_add(SECOND_VOICE).min(10_000);
                is_more = true;
            }
            is_more |= was_over;
        }
        if is_more {
            self.settle_in(id);
        }
        let held = self.grove.node(id).map(|node| node.incident);
        held.unwrap_or_else(|| self.provide())
    }

    pub(crate) fn fresh_node(
        &self,
        alert: &Alert,
        text: Option<&AlertText>,
        incident: IncidentId,
    ) -> Node {
        let family = family(alert, text);
        let onset = self.onset(alert);
        let mut node = self.blank(NodeId::of_alert(alert.id), family, onset, incident);
        node.ci = alert.ci;
        node.name = text.map(name_of).unwrap_or_default();
        node.place = self.place_hash(alert.ci, text);
        node.scope = self.scope(alert.ci, text);
        node.marks = self.marks(alert, text);
        node.source = Some(alert.source);
        if family == Family::NoData {
            let named = WATCHER_LABELS.iter().find_map(|label| text?.label(label));
            let watcher = named.and_then(|name| self.world.state.graph().find(name));
            let watcher = watcher.or_else(|| {
                alert
                    .ci
                    .and_then(|ci| watcher_of(self.world.state.graph(), ci))
            });
            node.watcher = watcher.filter(|&ci| Some(ci) != alert.ci);
        }
        if alert.ci.is_none() && family != Family::Config {
            node.about = self.about(text);
        }
        node.voices = 1;
        node.alerts = vec![alert.id];
        node.firing = 1;
        node.evidence = u16::try_from(of_evidence(family)).unwrap_or(u16::MAX);
        if family == Family::Symptom && self.is_shared(alert.ci) {
            node.evidence = SHARED_SYMPTOM;
        }
        node.change = alert
            .ci
            .and_then(|ci| recent_change(&self.grove, ci, onset));
        if node.change.is_some() {
            node.evidence = node.evidence.saturating_add(CHANGED_BEFORE).min(10_000);
        }
        node
    }

    /// What the labels say that an alert belongs to, if they name exactly one CI.
    fn about(&self, text: Option<&AlertText>) -> Option<CiNumber> {
        let graph = self.world.state.graph();
        let named = |label: &&'static str| {
            let value = text?.label(label)?;
            graph.find(value).or_else(|| {
                let name = normal::name(value)?;
                match graph.meanings(&name) {
                    [only] => Some(only.ci),
                    _ => None,
                }
            })
        };
        OWNER_LABELS.iter().find_map(named)
    }

    /// Whether a CI is infrastructure that fails by getting slow.
    fn is_shared(&self, ci: Option<CiNumber>) -> bool {
        let ci = ci.and_then(|ci| self.world.state.graph().ci(ci));
        ci.is_some_and(|ci| SHARED.iter().any(|word| ci.class.contains(word)))
    }

    /// A node of which only the kind is known.
    pub(crate) fn blank(
        &self,
        id: NodeId,
        family: Family,
        onset: Timestamp,
        incident: IncidentId,
    ) -> Node {
        Node {
            id,
            ci: None,
            family,
            name: SmolStr::default(),
            place: 0,
            scope: 0,
            marks: Vec::new(),
            source: None,
            watcher: None,
            about: None,
            onset,
            heard_at: self.now,
            evidence: 0,
            voices: 0,
            alerts: Vec::new(),
            firing: 0,
            ended_at: None,
            change: None,
            link: None,
            incident,
            is_pinned: false,
            is_slow: false,
            is_behind: false,
            looks: 0,
            due_at: (family != Family::Config).then(|| self.now.plus(LOOKS[0])),
        }
    }

    /// When a condition began: in the monitor's time if that is plausible, since messages may be late.
    fn onset(&self, alert: &Alert) -> Timestamp {
        let said = alert.starts_at.min(self.now);
        said.max(self.now.minus(ONSET_BACK_MAX))
    }

    fn place_hash(&self, ci: Option<CiNumber>, text: Option<&AlertText>) -> u64 {
        let graph = self.world.state.graph();
        let site = ci.and_then(|ci| home(graph, ci));
        let said = PLACE_LABELS.iter().find_map(|label| text?.label(label));
        site.or(said).map_or(0, hash)
    }

    /// What must never be mixed with another value of it.
    fn scope(&self, ci: Option<CiNumber>, text: Option<&AlertText>) -> u64 {
        let rules = &self.world.rules.correlation;
        let graph = self.world.state.graph();
        let environment = ci.and_then(|ci| graph.ci(ci)?.environment.as_deref());
        let environment = environment.filter(|_| rules.keeps_environments_apart);
        let mut scope = environment.map_or(0, hash);
        for label in &rules.separate_by {
            if let Some(value) = text.and_then(|text| text.label(label)) {
                scope = scope.rotate_left(7) ^ hash(value);
            }
        }
        scope
    }
}

/// The only CI that watches another, by the relations between them, whichever end names the other.
fn watcher_of(graph: &Graph, ci: CiNumber) -> Option<CiNumber> {
    let is_watching = |edge: &&Edge| edge.role == Role::Monitor;
    let providers = graph.providers(ci).iter().filter(is_watching);
    let dependents = graph
        .dependents(ci)
        .iter()
        .take(WATCHERS_ASKED)
        .filter(is_watching);
    let mut found: Vec<CiNumber> = providers.chain(dependents).map(|edge| edge.ci).collect();
    found.dedup();
    match found.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

fn family(alert: &Alert, text: Option<&AlertText>) -> Family {
    text.map_or(Family::Config, |text| family_of(text, alert.severity))
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.to_ascii_lowercase().as_bytes()).max(1)
}
