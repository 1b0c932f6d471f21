//! Every bound of the core: unit, value, why, and what happens when it is hit.
//!
//! Must not hold anything that an operator would tune; such values live in [`crate::core::rules::Rules`].

use crate::core::time::Span;

/// Labels of one alert. More than this is a label explosion at the source; the rest is cut and flagged.
pub const LABELS_MAX: usize = 128;
/// Bytes of a label or annotation name; longer names are cut at a character and the alert is flagged.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of a label value; longer values are cut at a character and the alert is flagged.
pub const LABEL_BYTES_MAX: usize = 4 * 1024;
/// Bytes of an annotation value or summary; longer texts are cut at a character and the alert is flagged.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a key's payload that stay readable; a longer payload is replaced by its hash.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a person's note or reason; longer ones are refused at the door, so nothing is cut unseen.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Two start times of one alert nearer than this are the same episode: peers of a pair round differently.
pub const EPISODE_TOLERANCE: Span = Span::from_secs(2);
/// Start times of one episode differ by less than this when the episode is so short that its end lies between them.
pub const JITTER: Span = Span::from_millis(250);
/// A source whose clock is further off than this is shown with a warning.
pub const SKEW_WARN: Span = Span::from_secs(60);

/// An alert that ended this long ago is no longer held in memory; its next firing counts as a first one.
pub const ENDED_ALERT_KEPT: Span = Span::from_days(7);
/// A source that restarted needs this long until its list of active alerts is complete again.
pub const SOURCE_RELEARNS: Span = Span::from_mins(5);
/// A late firing of a polled source waits at least this long for a poll to answer; then, as for any other source,
/// a repeat confirms it, so that an API that is down hides nothing.
pub const POLL_ANSWERS: Span = Span::from_mins(5);
/// A firing alert whose lease ends sooner than this gets a new one from a poll that still lists it: sources do not
/// repeat what they mute.
pub const LEASE_RENEWED: Span = Span::from_mins(10);
/// A heartbeat that stays missing is claimed to be so again after its own time, but not more often than this.
pub const HEARTBEAT_REPEATED: Span = Span::from_mins(1);
/// Heartbeats, watched silences of sources included; more are refused at load.
pub const HEARTBEATS_MAX: usize = 1_000;
/// An incident that alerts still join is announced when none has joined for this long.
pub const STORM_QUIET: Span = Span::from_secs(5);
/// An incident that alerts keep joining is announced this long after its settling time at the latest.
pub const STORM_WAIT_MAX: Span = Span::from_secs(90);
/// Deadlines handled in one decision. The rest stays due, so that a million expiries let ingest commit in between.
pub const DEADLINES_PER_DECISION: usize = 1_000;
/// Commands whose `Idempotency-Key` is remembered; the oldest is forgotten first.
pub const IDEMPOTENCY_KEYS_MAX: usize = 10_000;
/// How long an `Idempotency-Key` is remembered.
pub const IDEMPOTENCY_KEPT: Span = Span::from_hours(24);
