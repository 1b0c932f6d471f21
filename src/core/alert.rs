//! The deduplicated record of one identity, as held in memory: small, fixed in size, without texts.
//!
//! Must not hold labels or texts (they live in the store) and must not decide; `episode` does.

use crate::core::cmdb::ci::CiNumber;
use crate::core::identity::KeyHash;
use crate::core::ids::{AlertId, IncidentId, SourceId};
use crate::core::limits;
use crate::core::severity::Severity;
use crate::core::time::Timestamp;

/// Whether the alert's last episode is open, and if not, what ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertStatus {
    /// The episode is open.
    Firing,
    /// The episode is over.
    Ended(EndedBy),
}

/// What ended an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The source said so.
    Resolved,
    /// The source did not repeat it in time.
    Expired,
    /// The source's own list no longer held it.
    Reconciled,
    /// A person resolved the incident.
    Person,
}

impl EndedBy {
    /// Every way to end.
    pub const ALL: [Self; 4] = [
        Self::Resolved,
        Self::Expired,
        Self::Reconciled,
        Self::Person,
    ];

    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Expired => "expired",
            Self::Reconciled => "reconciled",
            Self::Person => "person",
        }
    }
}

/// A firing message for an ended episode, waiting to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// None is waiting.
    None,
    /// One waits until then.
    Parked(Timestamp),
    /// One waited in vain; another one like it confirms the episode.
    Discarded,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Row number in order of first arrival.
    pub id: AlertId,
    /// Hash of the alert key.
    pub key: KeyHash,
    /// Where it comes from.
    pub source: SourceId,
    /// Whether its last episode is open.
    pub status: AlertStatus,
    /// How bad the source says it is.
    pub severity: Severity,
    /// Whether the source mutes it on its own side.
    pub is_muted_upstream: bool,
    /// Alerts of the same group that the source left out of its last message.
    pub undelivered: u32,
    /// Number of the last episode, from 1; 0 when only a resolve was ever seen.
    pub episode: u32,
    /// Start of the last episode in the source's time (ours when it says none).
    pub starts_at: Timestamp,
    /// Whether `starts_at` is our time; then it is never compared with a start that the source says.
    pub is_start_ours: bool,
    /// End of the last episode in the source's time (ours when it says none); never before `starts_at`.
    pub ends_at: Option<Timestamp>,
    /// When the first message about it was received.
    pub first_seen_at: Timestamp,
    /// When the last message about it was received.
    pub last_seen_at: Timestamp,
    /// Until when a firing episode is believed without a repeat; for an ended one, when the end was recorded.
    pub lease_at: Timestamp,
    /// Messages received about it.
    pub count: i64,
    /// The value of `count` when it joined its incident.
    pub count_before: i64,
    /// Hash of the stored text.
    pub text_hash: u64,
    /// The incident it belongs or last belonged to.
    pub incident: Option<IncidentId>,
    /// The CI that it is about, as its text and the CMDB say; see [`crate::core::bind`].
    pub ci: Option<CiNumber>,
    /// A firing message that came too late.
    pub late: Late,
}

impl Alert {
    /// Whether the last episode is open.
    pub fn is_firing(&self) -> bool {
        self.status == AlertStatus::Firing
    }

    /// When time alone has something to do here: expiry, the end of parking, or forgetting.
    ///
    /// After a restart at `started_at` an alert that was not repeated since gets its full lease again: it had no
    /// chance to be refreshed while nobody listened.
    pub fn due_at(&self, started_at: Option<Timestamp>) -> Timestamp {
        match (self.status, self.late) {
            (AlertStatus::Firing, _) => match started_at {
                Some(started_at) if self.last_seen_at < started_at => {
                    let lease = self.lease_at.since(self.last_seen_at);
                    self.lease_at.max(started_at.plus(lease))
                }
                Some(_) | None => self.lease_at,
            },
            (AlertStatus::Ended(_), Late::Parked(until)) => until,
            (AlertStatus::Ended(_), Late::None | Late::Discarded) => self
                .lease_at
                .max(self.last_seen_at)
                .plus(limits::ENDED_ALERT_KEPT),
        }
    }
}
