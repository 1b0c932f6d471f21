//! The way in for those who talk with ticket platforms: what waits for them, and what they report.
//!
//! Must not know any platform.

use bytes::Bytes;

use crate::core::decision::CommandAnswer;
use crate::core::ticket::order::TicketOrder;
use crate::core::ticket::report::TicketReport;
use crate::store::inbox::{InputKind, NewInput, StoredBody};

use super::handle::{EngineHandle, SubmitError};

/// What the body of a report is, to tell it from a poll of a source.
pub(super) const TICKET: &str = "application/x-watchbell-ticket+json";
/// What the body of an order about connectors is.
pub(super) const TICKETS: &str = "application/x-watchbell-connector+json";

impl EngineHandle {
    /// Changes whenever something is to be done in another system.
    pub fn tickets_wanted(&self) -> tokio::sync::watch::Receiver<u64> {
        self.tickets.clone()
    }

    /// Reports what came of a look at a ticket, and waits until that is decided and committed.
    ///
    /// # Errors
    /// As [`EngineHandle::command`].
    pub async fn report_ticket(&self, report: &TicketReport) -> Result<CommandAnswer, SubmitError> {
        self.report(report, TICKET).await
    }

    /// Takes in what one of our own workers found out, and waits until that is decided and committed.
    pub(super) async fn report(
        &self,
        report: &impl serde::Serialize,
        mark: &str,
    ) -> Result<CommandAnswer, SubmitError> {
        self.readiness().map_err(SubmitError::NotReady)?;
        let body = serde_json::to_vec(report).map_err(|_| SubmitError::Unknown)?;
        let input = NewInput {
            kind: InputKind::Poll,
            source: None,
            content_type: Some(mark.to_owned()),
            envelope: None,
            body: StoredBody::new(Bytes::from(body)),
        };
        let (waiter, answer) = tokio::sync::oneshot::channel();
        self.writer().append(input, None, Some(waiter)).await?;
        answer.await.map_err(|_| SubmitError::Unknown)
    }

    /// Gives an order about a connector and waits until its decision is committed.
    ///
    /// # Errors
    /// As [`EngineHandle::command`].
    pub async fn order_connector(&self, order: TicketOrder) -> Result<CommandAnswer, SubmitError> {
        self.give(&order, Some(TICKETS)).await
    }
}
