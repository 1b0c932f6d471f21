//! The way in for those who tell people: what they could not deliver.
//!
//! Must not know any target.

use crate::core::decision::CommandAnswer;
use crate::core::tell::undelivered::Undelivered;

use super::handle::{EngineHandle, SubmitError};

/// What the body of a report is, to tell it from a poll of a source.
pub(super) const LOST: &str = "application/x-watchbell-undelivered+json";

impl EngineHandle {
    /// Reports a message that was given up, and waits until that is decided and committed.
    ///
    /// # Errors
    /// As [`EngineHandle::command`].
    pub async fn report_undelivered(
        &self,
        lost: &Undelivered,
    ) -> Result<CommandAnswer, SubmitError> {
        self.report(lost, LOST).await
    }
}
