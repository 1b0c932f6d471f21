//! What monitoring and change management say, at written times: the input of a simulation.
//!
//! An event names the occurrence that it belongs to, so that what became of it can be compared with what is known about
//! it. Must not parse any format.

use std::sync::Arc;

use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::identity::AlertKey;
use crate::core::input::ChangeRecord;
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation, clean, clean_pairs};
use crate::core::severity::Severity;
use crate::core::time::Timestamp;

/// Something that was said at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it arrived.
    pub at: Timestamp,
    /// What was said.
    pub said: Said,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An alert fires or is over.
    Alert(Box<AlertSaid>),
    /// A change was made.
    Change(ChangeRecord),
}

/// One message about one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSaid {
    /// Names one occurrence: its firing, its repeats and its end share it.
    pub id: SmolStr,
    /// Who says it.
    pub source: SmolStr,
    /// The source's own name of the alert; several occurrences may share it.
    pub key: SmolStr,
    /// What is claimed.
    pub claim: Claim,
    /// How bad.
    pub severity: Severity,
    /// One line for people.
    pub summary: SmolStr,
    /// Labels in any order.
    pub labels: Vec<(SmolStr, SmolStr)>,
    /// The source's own start of the episode.
    pub starts_at: Option<Timestamp>,
    /// The source's own end of the episode.
    pub ends_at: Option<Timestamp>,
    /// Which CI it is about, if the source says so.
    pub ci: Option<SmolStr>,
}

impl AlertSaid {
    /// The same as a source's decoder would hand it on.
    pub fn observation(&self) -> Observation {
        let mut text = AlertText {
            summary: self.summary.clone(),
            labels: self.labels.clone(),
            ..AlertText::default()
        };
        text.is_cut |= clean(&mut text.summary, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean_pairs(&mut text.labels, limits::LABEL_BYTES_MAX);
        text.hint(self.ci.clone());
        Observation {
            key: AlertKey::new(&self.source, &self.key),
            claim: self.claim,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            severity: self.severity,
            text_hash: hash_of(&text),
            text: Arc::new(text),
            undelivered: 0,
            is_retained: false,
        }
    }
}

/// The marks between the parts are bytes that no UTF-8 text holds.
fn hash_of(text: &AlertText) -> u64 {
    let mut parts = Vec::new();
    for part in text.labels.iter().flat_map(|(name, value)| [name, value]) {
        parts.extend_from_slice(part.as_bytes());
        parts.push(0xff);
    }
    parts.push(0xfe);
    parts.extend_from_slice(text.summary.as_bytes());
    if let Some(hint) = &text.ci_hint {
        parts.push(0xfd);
        parts.extend_from_slice(hint.as_bytes());
    }
    xxh3_64(&parts)
}
