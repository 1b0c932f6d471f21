//! The figures of reports as gauges: over the last 30 days, by priority and over all of them.
//!
//! What nothing can be said of has no series. Must not compute a figure; the formulas are those of `docs/reports.md`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;

use super::metrics::{FloatGauge, Labels, Metrics, Registrar};

/// The priority of a series; `all` over all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReportLabels {
    priority: &'static str,
}

impl Labels for ReportLabels {}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportFigure {
    /// Incidents that ended.
    Incidents,
    /// Mean time to acknowledge.
    AcknowledgeSeconds,
    /// Mean time to resolve.
    ResolveSeconds,
    /// Share of response targets that were met.
    ResponseMet,
    /// Share of resolution targets that were met.
    ResolutionMet,
    /// Open incidents.
    Backlog,
    /// Their mean age.
    BacklogAge,
    /// Share that was reopened.
    Reopened,
    /// Share that nobody further up was told of.
    WithoutEscalation,
    /// Share that continues an earlier one.
    Recurring,
    /// Share of messages that made no incident.
    Compression,
    /// What one costs.
    Cost,
    /// Share of changes that went well.
    ChangeSuccess,
    /// What the people served say, 1 to 5.
    Satisfaction,
}

/// Every figure with its name and what it is.
pub(super) const FIGURES: [(ReportFigure, &str, &str); 14] = [
    (
        ReportFigure::Incidents,
        "report_incidents",
        "Incidents that ended in the last 30 days",
    ),
    (
        ReportFigure::AcknowledgeSeconds,
        "report_acknowledge_seconds",
        "Mean time to acknowledge, 30 days",
    ),
    (
        ReportFigure::ResolveSeconds,
        "report_resolve_seconds",
        "Mean time to resolve, 30 days",
    ),
    (
        ReportFigure::ResponseMet,
        "report_response_met_ratio",
        "Share of response targets that were met, 30 days",
    ),
    (
        ReportFigure::ResolutionMet,
        "report_resolution_met_ratio",
        "Share of resolution targets that were met, 30 days",
    ),
    (
        ReportFigure::Backlog,
        "report_backlog",
        "Open incidents now",
    ),
    (
        ReportFigure::BacklogAge,
        "report_backlog_age_seconds",
        "Mean age of the open incidents",
    ),
    (
        ReportFigure::Reopened,
        "report_reopened_ratio",
        "Share of incidents that were reopened, 30 days",
    ),
    (
        ReportFigure::WithoutEscalation,
        "report_without_escalation_ratio",
        "Share of incidents that were not escalated, 30 days",
    ),
    (
        ReportFigure::Recurring,
        "report_recurring_ratio",
        "Share of incidents that continue an earlier one, 30 days",
    ),
    (
        ReportFigure::Compression,
        "report_compression_ratio",
        "Share of messages that made no incident of their own, 30 days",
    ),
    (
        ReportFigure::Cost,
        "report_cost_per_incident",
        "Mean cost of an incident in the configured currency, 30 days",
    ),
    (
        ReportFigure::ChangeSuccess,
        "report_change_success_ratio",
        "Share of changes that went well, 30 days",
    ),
    (
        ReportFigure::Satisfaction,
        "report_satisfaction",
        "Mean rating by the people served from 1 to 5, 30 days",
    ),
];

/// The figures.
#[derive(Debug)]
pub(super) struct Reports(Vec<(ReportFigure, Family<ReportLabels, FloatGauge>)>);

impl Reports {
    pub(super) fn new(ours: &mut Registrar<'_>) -> Self {
        let figures = FIGURES.iter();
        Self(
            figures
                .map(|(figure, name, help)| (*figure, ours.gauges(name, help)))
                .collect(),
        )
    }
}

impl Metrics {
    /// Says a figure of a priority, or of `all`; nothing takes it off the page.
    pub fn report(&self, figure: ReportFigure, priority: &'static str, value: Option<f64>) {
        let found = self.reports.0.iter().find(|(held, _)| *held == figure);
        let Some((_, family)) = found else {
            return;
        };
        let labels = ReportLabels { priority };
        match value {
            Some(value) => {
                family.get_or_create_owned(&labels).set(value);
            }
            None => {
                family.remove(&labels);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_that_nothing_can_be_said_of_has_no_series() {
        let metrics = Metrics::new("1");
        metrics.report(ReportFigure::Satisfaction, "all", Some(4.5));
        let line = "watchbell_report_satisfaction{priority=\"all\"} 4.5";
        assert!(metrics.encode().contains(line));
        metrics.report(ReportFigure::Satisfaction, "all", None);
        assert!(!metrics.encode().contains("watchbell_report_satisfaction{"));
    }
}
