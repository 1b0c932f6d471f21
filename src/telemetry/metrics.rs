//! Every metric: name, labels, help.
//!
//! All metrics are fields of [`Metrics`]; their names are in [`NAMES`] and nowhere else is one registered. Labels are
//! closed sets of our own words, except `source`, which comes from the configuration and is capped. Identities of
//! alerts, CIs or people never become labels.
//!
//! Look series up once and keep the handle, which is an atomic. Must not be sent but as [`CONTENT_TYPE`].

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

pub use super::builds::ALERTMANAGER_VERSION;
use super::builds::{register_alertmanager, register_build};
use super::durations::Durations;
use super::process::ProcessCollector;
use super::reports::Reports;
use super::telling::Telling;
use super::tickets::Tickets;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Most different values of the `source` label; further sources share [`OTHER_SOURCE`].
pub const SOURCES_MAX: usize = 500;
/// The `source` label of all sources beyond [`SOURCES_MAX`].
pub const OTHER_SOURCE: &str = "other";
/// Stands before every name of ours.
pub const PREFIX: &str = "watchbell";

/// Every metric on the page, by the name under which its series are found (histograms without their suffix).
pub const NAMES: [&str; 52] = [
    "alertmanager_build_info",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "watchbell_alert_to_incident_seconds",
    "watchbell_alert_to_notification_seconds",
    "watchbell_alerts_firing",
    "watchbell_bindings_total",
    "watchbell_build_info",
    "watchbell_cmdb_cis",
    "watchbell_cmdb_relations",
    "watchbell_compression_ratio",
    "watchbell_condition_errors_total",
    "watchbell_dead_letters_total",
    "watchbell_deliveries_total",
    "watchbell_engine_batch_seconds",
    "watchbell_escalation_missed_total",
    "watchbell_heartbeat_up",
    "watchbell_inbox_commit_seconds",
    "watchbell_inbox_depth",
    "watchbell_incident_acknowledge_seconds",
    "watchbell_incident_resolve_seconds",
    "watchbell_incidents_open",
    "watchbell_incidents_opened_total",
    "watchbell_incidents_unattended",
    "watchbell_leader",
    "watchbell_messages_total",
    "watchbell_observations_total",
    "watchbell_outbox_depth",
    "watchbell_outbox_first_attempt_seconds",
    "watchbell_outbox_oldest_seconds",
    "watchbell_peer_limited_total",
    "watchbell_report_acknowledge_seconds",
    "watchbell_report_backlog",
    "watchbell_report_backlog_age_seconds",
    "watchbell_report_change_success_ratio",
    "watchbell_report_compression_ratio",
    "watchbell_report_cost_per_incident",
    "watchbell_report_incidents",
    "watchbell_report_recurring_ratio",
    "watchbell_report_reopened_ratio",
    "watchbell_report_resolution_met_ratio",
    "watchbell_report_resolve_seconds",
    "watchbell_report_response_met_ratio",
    "watchbell_report_satisfaction",
    "watchbell_report_without_escalation_ratio",
    "watchbell_sla_breaches_total",
    "watchbell_sla_clocks",
    "watchbell_source_silent_seconds",
    "watchbell_source_skew_seconds",
    "watchbell_tickets",
];

pub(super) type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: Arc<str>,
}

/// A name from the configuration, of which there is a bounded number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NameLabels {
    name: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    source: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BindingLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SectionLabels {
    section: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClockLabels {
    clock: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreachLabels {
    clock: &'static str,
    priority: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeverityLabels {
    severity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PriorityLabels {
    priority: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PriorityStateLabels {
    priority: &'static str,
    state: &'static str,
}

/// All metrics of the process. Make one and share it in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sources: Mutex<BTreeSet<Arc<str>>>,
    messages: Family<OutcomeLabels, Counter>,
    observations: Family<OutcomeLabels, Counter>,
    dead_letters: Family<OutcomeLabels, Counter>,
    skew: Family<SourceLabels, FloatGauge>,
    silent: Family<SourceLabels, FloatGauge>,
    alerts_firing: Family<SeverityLabels, Gauge>,
    incidents_open: Family<PriorityStateLabels, Gauge>,
    incidents_opened: Family<PriorityLabels, Counter>,
    /// Whether a heartbeat that was heard of is not missing; a series per name.
    pub heartbeat_up: Family<NameLabels, Gauge>,
    pub(super) tickets: Tickets,
    bindings: Family<BindingLabels, Counter>,
    sla_clocks: Family<ClockLabels, Gauge>,
    sla_breaches: Family<BreachLabels, Counter>,
    condition_errors: Family<SectionLabels, Counter>,
    /// CIs of the CMDB.
    pub cmdb_cis: Gauge,
    /// Relations of the CMDB.
    pub cmdb_relations: Gauge,
    /// Seconds from the opening of an incident to its acknowledgement.
    pub incident_acknowledge_seconds: Histogram,
    /// Seconds from the opening of an incident to its resolution.
    pub incident_resolve_seconds: Histogram,
    /// Seconds that one group commit of the inbox took.
    pub inbox_commit_seconds: Histogram,
    /// Seconds that one batch of the engine took, commit included.
    pub engine_batch_seconds: Histogram,
    /// Seconds from the receipt of an alert to the commit of its incident.
    pub alert_to_incident_seconds: Histogram,
    /// Observations per incident opened.
    pub compression_ratio: FloatGauge,
    /// Messages stored and not yet decided.
    pub inbox_depth: Gauge,
    /// Requests refused because their address sends too much.
    pub peer_limited: Counter,
    /// Steps of ladders that reached nobody or ran late.
    pub escalation_missed: Counter,
    /// Open incidents that nobody looks after.
    pub incidents_unattended: Gauge,
    /// 1 while this replica decides, else 0.
    pub leader: Gauge,
    pub(super) telling: Telling,
    pub(super) reports: Reports,
}

impl Metrics {
    /// Registers everything; `version` is the version of the program.
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector::new()));
        register_alertmanager(&mut registry);
        let mut ours = Registrar(registry.sub_registry_with_prefix(PREFIX));
        register_build(&mut ours, version);
        let durations = Durations::new(&mut ours);
        Self {
            messages: ours.counters("messages", "Messages by what became of them"),
            observations: ours.counters("observations", "Observations by what became of them"),
            dead_letters: ours.counters(
                "dead_letters",
                "Messages put aside by why, and those that were replayed",
            ),
            skew: ours.gauges(
                "source_skew_seconds",
                "How far the clock of a source is ahead of ours",
            ),
            silent: ours.gauges(
                "source_silent_seconds",
                "Time since a source was last heard",
            ),
            alerts_firing: ours.gauges("alerts_firing", "Alerts that fire now"),
            incidents_open: ours.gauges("incidents_open", "Incidents that are not closed"),
            incidents_opened: ours.counters("incidents_opened", "Incidents opened"),
            heartbeat_up: ours.gauges("heartbeat_up", "Whether a heartbeat is heard in time"),
            tickets: Tickets::new(&mut ours),
            bindings: ours.counters(
                "bindings",
                "Searches for the CI of an alert by what they came to",
            ),
            sla_clocks: ours.gauges("sla_clocks", "Service level clocks by how they stand"),
            sla_breaches: ours
                .counters("sla_breaches", "Targets of service levels that were missed"),
            condition_errors: ours.counters(
                "condition_errors",
                "Conditions of rules that could not be evaluated and counted as false",
            ),
            cmdb_cis: ours.gauge("cmdb_cis", "Configuration items of the CMDB"),
            cmdb_relations: ours.gauge("cmdb_relations", "Relations of the CMDB"),
            incident_acknowledge_seconds: durations.acknowledge,
            incident_resolve_seconds: durations.resolve,
            inbox_commit_seconds: durations.inbox_commit,
            engine_batch_seconds: durations.engine_batch,
            alert_to_incident_seconds: durations.alert_to_incident,
            compression_ratio: ours.gauge("compression_ratio", "Observations per incident opened"),
            inbox_depth: ours.gauge("inbox_depth", "Messages stored and not yet decided"),
            peer_limited: ours.counter(
                "peer_limited",
                "Requests refused because their address sends too much",
            ),
            escalation_missed: ours.counter(
                "escalation_missed",
                "Steps of ladders that reached nobody or ran late",
            ),
            incidents_unattended: ours.gauge(
                "incidents_unattended",
                "Open incidents with neither a next step nor an owner nor a reason",
            ),
            leader: ours.gauge("leader", "1 while this replica decides"),
            telling: Telling::new(&mut ours),
            reports: Reports::new(&mut ours),
            sources: Mutex::new(BTreeSet::new()),
            registry,
        }
    }

    /// The series of one source; look it up once and keep it.
    pub fn source(&self, name: &str) -> SourceMetrics {
        let source = self.source_label(name);
        let message = |outcome| {
            let labels = OutcomeLabels {
                source: Arc::clone(&source),
                outcome,
            };
            self.messages.get_or_create_owned(&labels)
        };
        let labels = SourceLabels {
            source: Arc::clone(&source),
        };
        SourceMetrics {
            received: message("received"),
            stored: message("stored"),
            duplicate: message("duplicate"),
            rejected: message("rejected"),
            limited: message("limited"),
            skew_seconds: self.skew.get_or_create_owned(&labels),
            silent_seconds: self.silent.get_or_create_owned(&labels),
            observations: self.observations.clone(),
            source,
        }
    }

    /// Counts a dead letter; `outcome` is why it was put aside, or `replayed`.
    pub fn dead_letter(&self, source: &str, outcome: &'static str) {
        let source = self.source_label(source);
        let labels = OutcomeLabels { source, outcome };
        self.dead_letters.get_or_create_owned(&labels).inc();
    }

    /// Takes the gauges of a source that is no longer configured off the page; its counters stay.
    pub fn forget_source(&self, name: &str) {
        let labels = SourceLabels {
            source: Arc::from(name),
        };
        self.skew.remove(&labels);
        self.silent.remove(&labels);
    }

    /// Whether a heartbeat is heard in time.
    pub fn heartbeat_up(&self, name: &str) -> Gauge {
        let name = Arc::from(name);
        self.heartbeat_up.get_or_create_owned(&NameLabels { name })
    }

    /// Alerts firing now with this severity; `severity` is a word of the ladder.
    pub fn alerts_firing(&self, severity: &'static str) -> Gauge {
        self.alerts_firing
            .get_or_create_owned(&SeverityLabels { severity })
    }

    /// Incidents now in this state with this priority, both by their API names (`P2`, `on_hold`).
    pub fn incidents_open(&self, priority: &'static str, state: &'static str) -> Gauge {
        self.incidents_open
            .get_or_create_owned(&PriorityStateLabels { priority, state })
    }

    /// Incidents opened with this priority.
    pub fn incidents_opened(&self, priority: &'static str) -> Counter {
        self.incidents_opened
            .get_or_create_owned(&PriorityLabels { priority })
    }

    /// Searches for the CI of an alert with that outcome.
    pub fn bindings(&self, outcome: &'static str) -> Counter {
        self.bindings
            .get_or_create_owned(&BindingLabels { outcome })
    }

    /// Conditions in that section of the configuration that could not be evaluated.
    pub fn condition_errors(&self, section: &'static str) -> Counter {
        self.condition_errors
            .get_or_create_owned(&SectionLabels { section })
    }

    /// Clocks of that kind in that state.
    pub fn sla_clocks(&self, clock: &'static str, state: &'static str) -> Gauge {
        self.sla_clocks
            .get_or_create_owned(&ClockLabels { clock, state })
    }

    /// Targets missed by clocks of that kind.
    pub fn sla_breaches(&self, clock: &'static str, priority: &'static str) -> Counter {
        self.sla_breaches
            .get_or_create_owned(&BreachLabels { clock, priority })
    }

    /// The page for `/metrics`; send it with [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut page = String::new();
        if let Err(error) = encode(&mut page, &self.registry) {
            log::error!("the metrics page could not be written: {error}");
        }
        page
    }

    fn source_label(&self, name: &str) -> Arc<str> {
        let mut known = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.get(name) {
            return Arc::clone(label);
        }
        if known.len() >= SOURCES_MAX {
            return Arc::from(OTHER_SOURCE);
        }
        let label: Arc<str> = Arc::from(name);
        known.insert(Arc::clone(&label));
        label
    }
}

/// The series of one source.
///
/// For every source, `received = stored + duplicate + rejected` once nothing is in flight.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    source: Arc<str>,
    observations: Family<OutcomeLabels, Counter>,
    /// Messages that arrived.
    pub received: Counter,
    /// Messages committed to the inbox.
    pub stored: Counter,
    /// Messages known already, not stored again.
    pub duplicate: Counter,
    /// Messages refused.
    pub rejected: Counter,
    /// Those of the refused messages that were over the source's limit, to be sent again.
    pub limited: Counter,
    /// How far the clock of the source is ahead of ours, in seconds.
    pub skew_seconds: FloatGauge,
    /// Time since the source was last heard, in seconds.
    pub silent_seconds: FloatGauge,
}

impl SourceMetrics {
    /// Counts `count` observations with this outcome, a reason code.
    pub fn observed(&self, outcome: &'static str, count: u64) {
        let labels = OutcomeLabels {
            source: Arc::clone(&self.source),
            outcome,
        };
        self.observations.get_or_create_owned(&labels).inc_by(count);
    }
}

/// Registers a metric and hands it back. The crate puts `_total` behind counters itself.
pub(super) struct Registrar<'a>(&'a mut Registry);

impl Registrar<'_> {
    pub(super) fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.0.register(name, help, metric);
    }

    pub(super) fn counters<L: Labels>(&mut self, name: &str, help: &str) -> Family<L, Counter> {
        let family = Family::default();
        self.add(name, help, Family::clone(&family));
        family
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.add(name, help, counter.clone());
        counter
    }

    pub(super) fn gauges<L: Labels, G: Metric + Clone + Default>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<L, G>
    where
        Family<L, G>: Metric,
    {
        let family = Family::default();
        self.add(name, help, Family::clone(&family));
        family
    }

    pub(super) fn gauge<G: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> G {
        let gauge = G::default();
        self.add(name, help, gauge.clone());
        gauge
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        let histogram = Histogram::new(bounds.iter().copied());
        self.add(name, help, histogram.clone());
        histogram
    }
}

/// What the label sets above have in common.
pub(super) trait Labels:
    Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static
{
}
impl Labels for NameLabels {}
impl Labels for SourceLabels {}
impl Labels for OutcomeLabels {}
impl Labels for BindingLabels {}
impl Labels for SectionLabels {}
impl Labels for ClockLabels {}
impl Labels for BreachLabels {}
impl Labels for SeverityLabels {}
impl Labels for PriorityLabels {}
impl Labels for PriorityStateLabels {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::reports::FIGURES;

    /// Touches every series once, so that no family is empty.
    fn full() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        let source = metrics.source("grid");
        source.received.inc();
        source.observed("new_episode", 2);
        metrics.dead_letter("grid", "not_understood");
        source.skew_seconds.set(-0.5);
        metrics.alerts_firing("critical").set(3);
        metrics.incidents_open("P2", "on_hold").set(1);
        metrics.incidents_opened("P2").inc();
        metrics.heartbeat_up("backup").set(1);
        metrics.bindings("bound").inc();
        metrics.condition_errors("sla").inc();
        metrics.sla_clocks("response", "running").set(2);
        metrics.sla_breaches("resolution", "P2").inc();
        metrics.inbox_commit_seconds.observe(0.002);
        metrics.compression_ratio.set(12.5);
        metrics.escalation_missed.inc();
        metrics.incidents_unattended.set(1);
        metrics.leader.set(1);
        metrics.outbox("chat", 3, 1_500);
        metrics.deliveries("chat", "sent").inc();
        metrics.tickets("snow", "in_sync").set(1);
        for figure in FIGURES {
            metrics.report(figure.0, "all", Some(1.0));
        }
        metrics
    }

    /// Names on the page as a query uses them.
    fn names(page: &str) -> Vec<String> {
        let mut names: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn page_has_exactly_the_listed_names() {
        let page = full().encode();
        assert_eq!(names(&page), NAMES, "{page}");
        assert!(page.ends_with("# EOF\n"));
        for line in [
            "watchbell_build_info{version=\"1.2.3\"} 1",
            "watchbell_messages_total{source=\"grid\",outcome=\"received\"} 1",
            "watchbell_messages_total{source=\"grid\",outcome=\"rejected\"} 0",
            "watchbell_observations_total{source=\"grid\",outcome=\"new_episode\"} 2",
            "watchbell_source_skew_seconds{source=\"grid\"} -0.5",
            "watchbell_alerts_firing{severity=\"critical\"} 3",
            "watchbell_incidents_open{priority=\"P2\",state=\"on_hold\"} 1",
            "watchbell_inbox_commit_seconds_count 1",
            "watchbell_compression_ratio 12.5",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is missing:\n{page}"
            );
        }
    }

    #[test]
    fn sources_are_capped_and_share_the_rest() {
        let metrics = Metrics::new("1");
        for number in 0..SOURCES_MAX + 20 {
            metrics.source(&format!("s{number}")).received.inc();
        }
        metrics.source("s3").received.inc();
        let page = metrics.encode();
        let series = page
            .lines()
            .filter(|line| line.starts_with("watchbell_source_skew_seconds{"))
            .count();
        assert_eq!(series, SOURCES_MAX + 1);
        let other = "watchbell_messages_total{source=\"other\",outcome=\"received\"} 20";
        assert!(page.contains(other));
        assert!(page.contains("{source=\"s3\",outcome=\"received\"} 2"));
    }

    #[test]
    fn forgotten_source_keeps_its_counters_only() {
        let metrics = full();
        metrics.forget_source("grid");
        let page = metrics.encode();
        assert!(!page.contains("watchbell_source_skew_seconds{"));
        assert!(page.contains("watchbell_messages_total{source=\"grid\""));
    }

    #[test]
    fn hostile_source_name_cannot_break_the_page() {
        let metrics = Metrics::new("1");
        metrics.source("a\"} 1\nforged 2").received.inc();
        let page = metrics.encode();
        assert!(
            !page.lines().any(|line| line.starts_with("forged")),
            "{page}"
        );
    }
}
