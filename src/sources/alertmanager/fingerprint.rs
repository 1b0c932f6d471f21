//! What an Alertmanager knows an alert by.
//!
//! Must not be used on labels that were cut, since they are no longer what the sender hashed.

use smol_str::SmolStr;

pub(super) use crate::core::fingerprint::from_text;

/// What is wrong with an alert that has no [`payload`].
pub(super) const NO_IDENTITY: &str =
    "has neither a fingerprint nor labels, so nothing tells which alert it is";

/// What identifies an alert: the fingerprint as given, else the one computed from the labels. Any other identifier
/// counts only where there are no labels, since a poll of the same alerts would not show it.
pub(super) fn payload(given: &str, labels: &[(SmolStr, SmolStr)]) -> Option<SmolStr> {
    let given = given.trim();
    from_text(given).or_else(|| {
        if labels.iter().any(|(_, value)| !value.is_empty()) {
            Some(of_labels(labels))
        } else {
            (!given.is_empty()).then(|| SmolStr::new(given))
        }
    })
}

/// The fingerprint of labels in any order.
pub(super) fn of_labels(labels: &[(SmolStr, SmolStr)]) -> SmolStr {
    let pairs = labels.iter();
    crate::core::fingerprint::of_labels(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
}
