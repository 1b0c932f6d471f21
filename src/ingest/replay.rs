//! Dead letters again: what could not be understood is decoded by the present configuration.
//!
//! What is understood now becomes a message like any other, in the same transaction in which it leaves the list; what
//! is not stays, with the reason of today. Must not take a part of a message, whose other part would be lost.

use crate::core::heartbeat;
use crate::sources::heartbeat::Heartbeat;
use crate::sources::{Decoded, Envelope, Message, Source};
use crate::store::dead_letters::DeadLetter;
use crate::store::inbox::{InputKind, NewInput, StoredBody};
use crate::store::writer::WriteError;

use super::{Ingest, Refusal};

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its position in the input log.
    pub seq: i64,
    /// Claims that were understood.
    pub observations: usize,
}

/// Why a letter stays.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Somebody was faster, or retention was.
    #[error("the dead letter is gone already")]
    Gone,
    /// Its source is not configured.
    #[error("source {0:?} is not configured; add it, reload, and replay again")]
    NoSource(String),
    /// Not all of it was kept.
    #[error(
        "only the first {kept} of its {bytes} bytes were kept, so it cannot be replayed; have its sender send it again"
    )]
    Cut {
        /// Bytes that were kept.
        kept: usize,
        /// Bytes that came.
        bytes: i64,
    },
    /// It still makes no sense; the letter has this reason now.
    #[error("it is still not understood: {0}")]
    NotUnderstood(String),
    /// It could not be stored now.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<WriteError> for ReplayError {
    fn from(error: WriteError) -> Self {
        Self::Refused(error.into())
    }
}

impl Ingest {
    /// Decodes a dead letter again and makes it a message if it is understood as a whole.
    ///
    /// # Errors
    /// See [`ReplayError`]; the letter stays then.
    pub async fn replay(&self, letter: DeadLetter) -> Result<Replayed, ReplayError> {
        let kept = letter.body.len();
        if i64::try_from(kept).is_ok_and(|kept| kept < letter.body_bytes) {
            let bytes = letter.body_bytes;
            return Err(ReplayError::Cut { kept, bytes });
        }
        self.admit()?;
        let decoded = match self.decode_letter(&letter) {
            Ok(decoded) => decoded,
            Err(ReplayError::NotUnderstood(detail)) => {
                let writer = self.0.engine.writer();
                writer.amend(letter.id, detail.clone()).await?;
                return Err(ReplayError::NotUnderstood(detail));
            }
            Err(error) => return Err(error),
        };
        let observations = decoded.observations.len();
        let input = NewInput {
            kind: InputKind::Message,
            source: Some(letter.source.clone()),
            content_type: letter.content_type,
            envelope: letter.envelope,
            body: StoredBody::new(letter.body.into()),
        };
        let writer = self.0.engine.writer();
        let receipt = writer
            .replay(letter.id, input, decoded.observations)
            .await?
            .ok_or(ReplayError::Gone)?;
        self.0.metrics.dead_letter(&letter.source, "replayed");
        log::info!(source = letter.source.as_str(), letter = letter.id, seq = receipt.seq().get(); "dead letter D-{} of {} was replayed: {observations} claims", letter.id, letter.source);
        Ok(Replayed {
            seq: receipt.seq().get(),
            observations,
        })
    }

    fn decode_letter(&self, letter: &DeadLetter) -> Result<Decoded, ReplayError> {
        let wrong = |error: &dyn std::fmt::Display| ReplayError::NotUnderstood(error.to_string());
        let envelope = letter.envelope.as_deref().map(serde_json::from_str);
        let envelope: Envelope = envelope
            .transpose()
            .map_err(|error| wrong(&error))?
            .unwrap_or_default();
        let now = self.0.clock.now();
        let message = Message {
            content_type: letter.content_type.as_deref(),
            envelope: &envelope,
            ..Message::new(&letter.source, &letter.body, now)
        };
        let is_ping = letter.source == heartbeat::SOURCE;
        let door = self.door(&letter.source).filter(|_| !is_ping);
        let decoded = match &door {
            Some(door) => door.decoder().decode(&message),
            None if is_ping => Heartbeat.decode(&message),
            None => return Err(ReplayError::NoSource(letter.source.clone())),
        };
        let decoded = decoded.map_err(|error| wrong(&error))?;
        if let Some(first) = decoded.rejects.first() {
            let count = decoded.reject_count;
            let detail = format!("{count} items: {}: {}", first.path, first.problem);
            return Err(ReplayError::NotUnderstood(detail));
        }
        if is_ping {
            self.check_ping(&decoded)?;
        }
        Ok(decoded)
    }

    fn check_ping(&self, decoded: &Decoded) -> Result<(), ReplayError> {
        let known = self.0.heartbeats.load();
        let waited_for = decoded.observations.iter().all(|claim| {
            let name = claim.key.text().rsplit(':').next().unwrap_or_default();
            known.contains_key(name)
        });
        waited_for
            .then_some(())
            .ok_or_else(|| ReplayError::NotUnderstood("there is no such heartbeat".to_owned()))
    }
}
