//! The engine's figures: counted per batch, so that a metric costs nothing per alert.
//!
//! Must not influence a decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use crate::core::bind::BindingOutcome;
use crate::core::cmdb::graph::Graph;
use crate::core::decide::World;
use crate::core::escalate::audit::count_unattended;
use crate::core::ids::IncidentId;
use crate::core::incident::{Incident, StateWord};
use crate::core::reason::Reason;
use crate::core::rules::Rules;
use crate::core::severity::{Priority, Severity};
use crate::core::sla::{ClockKind, ClockState};
use crate::core::state::{Counts, State};
use crate::core::time::{Span, Timestamp};
use crate::telemetry::metrics::{Metrics, SourceMetrics};

use super::pulses::{Pulses, Word};

/// How often it is looked who looks after open incidents: ten thousand take a few milliseconds.
const AUDIT_EVERY: Span = Span::from_secs(15);
/// Incidents that are looked at for that at once.
const AUDITED_AT_ONCE: usize = 5_000;

/// What the engine shows of itself.
pub(super) struct Figures {
    metrics: Arc<Metrics>,
    sources: BTreeMap<SmolStr, SourceMetrics>,
    observed: u64,
    opened: u64,
    /// When the round of counting that goes on, or the last one, began.
    audited_at: Option<Timestamp>,
    /// Where that round goes on, and what it has counted.
    audit: Option<(IncidentId, i64)>,
}

impl Figures {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        // A series that begins at its first event has no increase there, so rules would miss that one.
        for priority in Priority::ALL.map(Priority::word) {
            metrics.incidents_opened(priority);
            for clock in ClockKind::ALL {
                metrics.sla_breaches(clock.word(), priority);
            }
        }
        Self {
            metrics,
            sources: BTreeMap::new(),
            observed: 0,
            opened: 0,
            audited_at: None,
            audit: None,
        }
    }

    /// Goes on from what is held after a start, so that the ratio does not begin at nothing: repeats of alerts and the
    /// incidents that are remembered.
    pub(super) fn resume(&mut self, state: &State) {
        if self.observed > 0 || self.opened > 0 {
            return;
        }
        let counts = state.alerts().map(|alert| alert.count);
        let observed = counts.fold(0_i64, i64::saturating_add);
        self.observed = u64::try_from(observed).unwrap_or(0);
        self.opened = u64::try_from(state.incidents().count()).unwrap_or(0);
        self.show_ratio();
    }

    fn show_ratio(&self) {
        if self.opened > 0 {
            let ratio = float(self.observed) / float(self.opened);
            self.metrics.compression_ratio.set(ratio);
        }
    }

    /// Counts one timeline entry of an incident; notes when an alert that opened one was received.
    pub(super) fn count(
        &self,
        reason: Reason,
        incident: &Incident,
        at: Timestamp,
        opened: &mut Vec<Timestamp>,
    ) {
        let age_s = seconds(at.since(incident.opened_at));
        let is_opening = matches!(
            reason,
            Reason::IncidentOpened | Reason::LinkedIncidentOpened | Reason::LinkedByPerson
        );
        if is_opening {
            opened.push(at);
            self.metrics
                .incidents_opened(incident.priority.word())
                .inc();
        } else if reason == Reason::EscalationMissed {
            self.metrics.escalation_missed.inc();
        } else if reason == Reason::Acknowledged {
            self.metrics.incident_acknowledge_seconds.observe(age_s);
        } else if matches!(reason, Reason::RecoverySustained | Reason::ResolvedByPerson) {
            self.metrics.incident_resolve_seconds.observe(age_s);
        }
    }

    /// Counts a missed target.
    pub(super) fn breached(&self, kind: ClockKind, priority: Priority) {
        self.metrics
            .sla_breaches(kind.word(), priority.word())
            .inc();
    }

    /// Shows how the service level clocks stand.
    pub(super) fn clocks(&self, counts: &BTreeMap<(ClockKind, ClockState), i64>) {
        for (&(kind, state), count) in counts {
            self.metrics
                .sla_clocks(kind.word(), state.word())
                .set(*count);
        }
    }

    /// Counts a binding.
    pub(super) fn bound(&self, outcome: BindingOutcome) {
        self.metrics.bindings(outcome.word()).inc();
    }

    /// Shows how large the CMDB is.
    pub(super) fn graph(&self, graph: &Graph) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.cmdb_cis.set(count(graph.len()));
        self.metrics
            .cmdb_relations
            .set(count(graph.relation_count()));
    }

    /// Counts what a committed batch came to.
    pub(super) fn batch(
        &mut self,
        outcomes: BTreeMap<(SmolStr, Reason), u64>,
        opened: &[Timestamp],
        now: Timestamp,
        took: Duration,
    ) {
        for ((source, reason), count) in outcomes {
            self.observed = self.observed.saturating_add(count);
            let metrics = &self.metrics;
            let series = self
                .sources
                .entry(source)
                .or_insert_with_key(|name| metrics.source(name));
            series.observed(reason.code(), count);
        }
        for at in opened {
            let waited_s = seconds(now.since(*at));
            self.metrics.alert_to_incident_seconds.observe(waited_s);
        }
        self.opened = self
            .opened
            .saturating_add(u64::try_from(opened.len()).unwrap_or(0));
        self.show_ratio();
        self.metrics
            .engine_batch_seconds
            .observe(took.as_secs_f64());
    }

    /// Shows what is open.
    pub(super) fn show(&self, counts: &Counts, depth: i64) {
        for severity in Severity::ALL {
            let firing = counts.firing.get(&severity).copied().unwrap_or(0);
            self.metrics.alerts_firing(severity.word()).set(firing);
        }
        for priority in Priority::ALL {
            for state in StateWord::ALL {
                if state != StateWord::Closed {
                    let count = counts.incidents.get(&(priority, state)).copied();
                    self.metrics
                        .incidents_open(priority.word(), state.word())
                        .set(count.unwrap_or(0));
                }
            }
        }
        self.metrics.inbox_depth.set(depth);
    }

    /// Counts the open incidents that nobody looks after, now and then and some at a time: of a million of them none is to
    /// wait for the count.
    pub(super) fn audit(&mut self, state: &State, rules: &Rules, now: Timestamp) {
        let is_fresh = |at: Timestamp| now.since(at) < AUDIT_EVERY;
        let round = match self.audit.take() {
            Some(round) => round,
            None if self.audited_at.is_some_and(is_fresh) => return,
            None => {
                self.audited_at = Some(now);
                (IncidentId::FIRST, 0)
            }
        };
        let (from, before) = round;
        let world = World { state, rules };
        let (count, next) = count_unattended(world, now, from, AUDITED_AT_ONCE);
        let count = i64::try_from(count)
            .unwrap_or(i64::MAX)
            .saturating_add(before);
        match next {
            Some(next) => self.audit = Some((next, count)),
            None => drop(self.metrics.incidents_unattended.set(count)),
        }
    }

    /// Shows which heartbeats are heard; those that never were are not shown.
    pub(super) fn show_heartbeats(&self, pulses: &Pulses) {
        self.metrics.heartbeat_up.clear();
        let heard = pulses
            .heartbeats
            .iter()
            .filter(|pulse| pulse.word != Word::New);
        for pulse in heard {
            let is_up = i64::from(pulse.word == Word::Up);
            self.metrics.heartbeat_up(&pulse.name).set(is_up);
        }
    }
}

fn seconds(span: Span) -> f64 {
    let ms = u64::try_from(span.as_millis()).unwrap_or(0);
    Duration::from_millis(ms).as_secs_f64()
}

/// Counts are far below 2^52, so the conversion is exact.
fn float(count: u64) -> f64 {
    Duration::from_micros(count).as_secs_f64() * 1e6
}
