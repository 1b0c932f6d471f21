//! Calls of Opsgenie's alert API that change one part of an alert: its message, description, priority, tags, details.
//!
//! Such a call names the alert and the new value only. So what is stored beside it is the alert as it stood
//! ([`Known`]), and it is decoded as the same alert with that part replaced: nothing has to be looked up to decode it
//! again. A call that changes nothing makes no observation, and one of an ended alert never begins it again.
//! Must not read a store.
//! Source: opsgenie/opsgenie-go-sdk-v2 `alert/request.go`; prometheus/alertmanager `notify/opsgenie` (`update_alerts`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::identity::AlertKey;
use crate::core::observation::{Claim, Observation};
use crate::core::severity::Severity;
use crate::sources::DecodeError;
use crate::sources::flat::TextDraft;
use crate::sources::json::Fields;
use crate::sources::opsgenie::{Call, priority, wrong};
use crate::sources::pagerduty::{silent, text_of};

/// An alert as it stood before a change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    /// One line for people.
    pub summary: String,
    /// Its severity, as a word of the ladder.
    pub severity: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Annotations by name.
    pub annotations: BTreeMap<String, String>,
    /// Link to where it was made, or empty.
    pub link: String,
    /// What the source says about which CI it is about.
    pub hint: Option<String>,
}

/// The part of an alert that a call changes, with its new value; `None` for calls that change none.
///
/// # Errors
/// The value is missing, or is none that the part can have.
fn change(call: Call, known: &mut Known, body: &Fields<'_>) -> Result<bool, DecodeError> {
    let before = (known.summary.clone(), known.severity.clone());
    match call {
        Call::UpdateMessage => known.summary = needed(body, "message")?,
        Call::UpdateDescription => {
            return Ok(put(
                &mut known.annotations,
                "description",
                needed(body, "description")?,
            ));
        }
        Call::UpdatePriority => {
            let word = needed(body, "priority")?;
            let severity = priority(&word)
                .ok_or_else(|| wrong("priority", "should be one of [P1, P2, P3, P4, P5]."))?;
            severity.word().clone_into(&mut known.severity);
            return Ok(put(&mut known.labels, "priority", word) || known.severity != before.1);
        }
        Call::AddTags => {
            let added = needed(body, "tags")?;
            let all = known.labels.get("tags").cloned().unwrap_or_default();
            let mut all: Vec<&str> = all.split(", ").filter(|tag| !tag.is_empty()).collect();
            for tag in added.split(',').map(str::trim) {
                if !all.contains(&tag) && !tag.is_empty() {
                    all.push(tag);
                }
            }
            let all = all.join(", ");
            return Ok(put(&mut known.labels, "tags", all));
        }
        Call::AddDetails => {
            let details = body.get("details").unwrap_or_default();
            let mut draft = TextDraft::default();
            draft.details("details", details);
            let (text, _) = draft.finish("", "");
            let mut is_new = false;
            for (name, value) in &text.labels {
                is_new |= put(&mut known.labels, name, value.to_string());
            }
            for (name, value) in &text.annotations {
                is_new |= put(&mut known.annotations, name, value.to_string());
            }
            return Ok(is_new);
        }
        Call::Create
        | Call::Close
        | Call::Delete
        | Call::Acknowledge
        | Call::AddNote
        | Call::Other => {}
    }
    Ok(known.summary != before.0)
}

/// The alert after the call; `None` when nothing is different then.
///
/// # Errors
/// The new value is missing or wrong.
pub(super) fn observe(
    call: Call,
    key: &AlertKey,
    mut known: Known,
    body: &Fields<'_>,
) -> Result<Option<Observation>, DecodeError> {
    if !change(call, &mut known, body)? {
        return Ok(None);
    }
    let mut draft = TextDraft::default();
    for (name, value) in &known.labels {
        draft.label(name, value);
    }
    for (name, value) in &known.annotations {
        draft.annotation(name, value);
    }
    draft.hint(known.hint.as_deref().unwrap_or_default());
    draft.link(&known.link);
    let (text, text_hash) = draft.finish(&known.summary, "");
    Ok(Some(Observation {
        severity: Severity::from_word(&known.severity).unwrap_or(Severity::Warning),
        text_hash,
        text: Arc::new(text),
        // Between the look at the alert and the decision it may end.
        is_retained: true,
        ..silent(key.clone(), Claim::Firing)
    }))
}

/// Checks that the call says what it changes.
///
/// # Errors
/// The new value is missing or wrong.
pub(super) fn check(call: Call, body: &Fields<'_>) -> Result<(), DecodeError> {
    change(call, &mut Known::default(), body).map(|_| ())
}

fn put(pairs: &mut BTreeMap<String, String>, name: &str, value: String) -> bool {
    let old = pairs.insert(name.to_owned(), value);
    pairs.get(name) != old.as_ref()
}

fn needed(body: &Fields<'_>, field: &str) -> Result<String, DecodeError> {
    let value = text_of(body, field).trim().to_owned();
    if value.is_empty() {
        return Err(wrong(field, "can not be empty."));
    }
    Ok(value)
}
