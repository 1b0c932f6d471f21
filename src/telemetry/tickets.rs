//! The figures of tickets in other systems.
//!
//! The `connector` label is a name from the configuration. Must not carry a ticket's number.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::metrics::{Labels, Metrics, Registrar};

/// A connector, and where its tickets stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TicketLabels {
    connector: Arc<str>,
    state: &'static str,
}

impl Labels for TicketLabels {}

/// Tickets by connector and standing.
#[derive(Debug)]
pub struct Tickets(Family<TicketLabels, Gauge>);

impl Tickets {
    pub(super) fn new(ours: &mut Registrar<'_>) -> Self {
        Self(ours.gauges("tickets", "Tickets in other systems by where they stand"))
    }
}

impl Metrics {
    /// Tickets with a connector that stand so.
    pub fn tickets(&self, connector: &str, state: &'static str) -> Gauge {
        let connector = Arc::from(connector);
        let labels = TicketLabels { connector, state };
        self.tickets.0.get_or_create_owned(&labels)
    }
}
