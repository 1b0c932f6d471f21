//! Folding: one trouble that comes as ever new alerts because of a label that names the event and not the thing.
//!
//! A label like `request_id` makes another alert of every occurrence. Up to a bound each is an alert like any other; the
//! rest of them, equal but for such labels, fold into one alert that counts them, fires while one of them does, and names
//! the label. Such labels are known by their name, from the rules, or by a value that is made anew for each event, like a
//! UUID. Labels that may name a thing (host, pod, instance, device) never fold: many of those are breadth. Must not
//! fold what is known already, and must not grow with the number of alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};
use xxhash_rust::xxh3::Xxh3;

use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::identity::{AlertKey, KeyHash};
use crate::core::ids::IdFeed;
use crate::core::observation::{AlertText, Claim, Observation};
use crate::core::reason::Reason;
use crate::core::time::{Span, Timestamp};

/// Labels that name one event.
pub const VOLATILE: [&str; 12] = [
    "correlation_id",
    "message_id",
    "pid",
    "process_id",
    "request_id",
    "requestid",
    "session_id",
    "span_id",
    "trace_id",
    "traceid",
    "transaction_id",
    "x_request_id",
];
/// A label with one of these in its name may name a thing, whatever its value looks like.
const THINGS: [&str; 30] = [
    "account",
    "address",
    "asset",
    "cluster",
    "container",
    "customer",
    "device",
    "digest",
    "disk",
    "fingerprint",
    "host",
    "image",
    "instance",
    "interface",
    "mac",
    "machine",
    "mount",
    "node",
    "organisation",
    "organization",
    "pod",
    "project",
    "resource",
    "serial",
    "server",
    "subscription",
    "tenant",
    "uid",
    "vm",
    "volume",
];
/// Digits in a row that are a number of an event; a time in milliseconds has 13.
const DIGITS_MIN: usize = 12;
/// Hexadecimal digits in a row, both letters and digits among them.
const HEX_MIN: usize = 16;
/// Troubles that are watched; the one that was quiet for longest is forgotten first.
const FOLDS_MAX: usize = 1_000;
/// Folded alerts of one trouble that are known by name; when there were more, their one alert ends by its lease.
const NAMES_MAX: usize = 1_000;
/// After so long without another one the count begins anew.
const QUIET: Span = Span::from_hours(1);

/// What is known of one trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Hash of source and the labels that stay.
    pub signature: u64,
    /// Alerts so far.
    pub count: u32,
    /// When the last one came.
    pub last_at: Timestamp,
    /// Those that were folded and fire, by the upper half of their key's hash.
    pub firing: BTreeSet<u64>,
    /// Whether there were more than are known by name.
    pub is_cut: bool,
}

/// One change of what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldChange {
    /// Another alert came, or a folded one ended.
    Put(Arc<Fold>),
    /// A trouble has been quiet.
    Gone(u64),
}

/// The troubles that come with such labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folds {
    by_signature: BTreeMap<u64, Arc<Fold>>,
    by_time: BTreeSet<(Timestamp, u64)>,
}

impl Folds {
    /// Makes a change true; also used to load.
    pub(in crate::core) fn apply(&mut self, change: &FoldChange) {
        let signature = match change {
            FoldChange::Put(fold) => fold.signature,
            FoldChange::Gone(signature) => *signature,
        };
        if let Some(before) = self.by_signature.remove(&signature) {
            self.by_time.remove(&(before.last_at, signature));
        }
        if let FoldChange::Put(fold) = change {
            self.by_time.insert((fold.last_at, signature));
            self.by_signature.insert(signature, Arc::clone(fold));
        }
    }
}

/// What becomes of an observation.
pub(super) enum Outcome {
    /// It is an alert like any other.
    Apart,
    /// Likewise, and it counts.
    Counted(Vec<FoldChange>),
    /// It is said of the one alert instead.
    Folded {
        /// What is said.
        observation: Box<Observation>,
        /// What is known then.
        changes: Vec<FoldChange>,
        /// The label, when it is the first one that folds.
        first: Option<SmolStr>,
    },
    /// It ended, and others of it go on.
    Left(Vec<FoldChange>),
}

/// Looks at what is said of an alert that nobody has heard of.
pub(super) fn look(
    world: World<'_>,
    source: &SmolStr,
    observation: &Observation,
    now: Timestamp,
) -> Outcome {
    let after = world.rules.fold_after;
    let names = &world.rules.fold_labels;
    let is_volatile = |(name, value): &&(SmolStr, SmolStr)| {
        VOLATILE.contains(&name.as_str()) || names.contains(name) || is_made_anew(name, value)
    };
    let labels = &observation.text.labels;
    let volatile = labels.iter().find(is_volatile);
    let Some((label, _)) = volatile.filter(|_| after > 0) else {
        return Outcome::Apart;
    };
    let stays: Vec<_> = labels
        .iter()
        .filter(|label| !is_volatile(label))
        .cloned()
        .collect();
    let signature = signature(source, &stays);
    let folds = world.state.folds();
    let known = folds.by_signature.get(&signature);
    let known = known.filter(|known| known.last_at.plus(QUIET) > now || !known.firing.is_empty());
    let name = name_of(observation.key.hash());
    let is_firing = observation.claim == Claim::Firing;
    let mut fold = known.map_or_else(|| begun(signature, now), |known| (**known).clone());
    if !is_firing {
        if fold.count <= after {
            return Outcome::Apart;
        }
        let was_known = fold.firing.remove(&name);
        let is_last = was_known && fold.firing.is_empty() && !fold.is_cut;
        let changes = vec![FoldChange::Put(Arc::new(fold))];
        if !is_last {
            return Outcome::Left(if was_known { changes } else { Vec::new() });
        }
        let observation = Box::new(of_all(observation, source, signature, (stays, label)));
        return Outcome::Folded {
            observation,
            changes,
            first: None,
        };
    }
    let is_new = !fold.firing.contains(&name);
    fold.count = fold.count.saturating_add(u32::from(is_new));
    fold.last_at = now;
    let is_folded = fold.count > after;
    let is_first = is_folded && fold.count == after.saturating_add(1) && is_new;
    if is_folded && is_new {
        if fold.firing.len() < NAMES_MAX {
            fold.firing.insert(name);
        } else {
            fold.is_cut = true;
        }
    }
    let surplus = folds.by_signature.len() >= FOLDS_MAX && known.is_none();
    let oldest = folds.by_time.first().filter(|_| surplus);
    let mut changes: Vec<_> = oldest
        .map(|(_, it)| FoldChange::Gone(*it))
        .into_iter()
        .collect();
    changes.push(FoldChange::Put(Arc::new(fold)));
    if !is_folded {
        return Outcome::Counted(changes);
    }
    let first = is_first.then(|| label.clone());
    let observation = Box::new(of_all(observation, source, signature, (stays, label)));
    Outcome::Folded {
        observation,
        changes,
        first,
    }
}

/// Says which label is to blame.
pub(super) fn begin(
    decision: &mut Decision,
    ids: &mut IdFeed,
    observation: &Observation,
    label: &SmolStr,
) {
    let alert = decision.changes.iter().find_map(|change| {
        if let Change::AlertAdded { alert, .. } | Change::AlertChanged(alert) = change {
            return Some(alert.id);
        }
        None
    });
    let incident = decision.incident;
    let summary = &observation.text.summary;
    let note = format!(
        "the label {label} is volatile: it never is the same; leave it out of the alert, or of its key: {summary}"
    );
    let entry = decision.entry(ids, None, alert, Reason::FoldingStarted);
    entry.incident = incident;
    entry.note = Some(note.into());
}

/// Whether a value is one that is made for each event, and the label names no thing.
fn is_made_anew(name: &str, value: &str) -> bool {
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphabetic());
    let behind = value.split_once(['-', '_', ':']);
    let behind = behind.filter(|(word, _)| is_word(word)).map(|(_, id)| id);
    let is_id = is_id(value) || behind.is_some_and(is_id);
    let is_thing = |name: &str| THINGS.iter().any(|thing| name.contains(thing));
    is_id && !is_thing(&name.to_ascii_lowercase())
}

/// A UUID, or a long number.
fn is_id(text: &str) -> bool {
    let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let (digits, hex) = (count(u8::is_ascii_digit), count(u8::is_ascii_hexdigit));
    let is_uuid = text.len() == 36 && hex == 32 && count(|byte| *byte == b'-') == 4;
    let is_number = digits == text.len() && digits >= DIGITS_MIN;
    let is_hex = hex == text.len() && hex >= HEX_MIN && digits > 0 && digits < hex;
    is_uuid || is_number || is_hex
}

fn begun(signature: u64, now: Timestamp) -> Fold {
    Fold {
        signature,
        count: 0,
        last_at: now,
        firing: BTreeSet::new(),
        is_cut: false,
    }
}

/// What is said of the one alert.
fn of_all(
    observation: &Observation,
    source: &SmolStr,
    signature: u64,
    (labels, label): (Vec<(SmolStr, SmolStr)>, &SmolStr),
) -> Observation {
    let summary = &observation.text.summary;
    let payload = format_smolstr!("folded-{signature:016x}");
    Observation {
        key: AlertKey::new(source, &payload),
        starts_at: None,
        ends_at: observation.ends_at,
        text_hash: signature,
        text: Arc::new(AlertText {
            summary: format_smolstr!("{summary} (and others that differ only by {label})"),
            labels,
            annotations: Vec::new(),
            ..(*observation.text).clone()
        }),
        ..observation.clone()
    }
}

fn signature(source: &SmolStr, labels: &[(SmolStr, SmolStr)]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(source.as_bytes());
    for (name, value) in labels {
        for text in [name, value] {
            hash.update(&[0]);
            hash.update(text.as_bytes());
        }
    }
    hash.digest()
}

fn name_of(key: KeyHash) -> u64 {
    u64::try_from(key.0 >> 64).unwrap_or(0)
}
