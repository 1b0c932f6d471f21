//! The list that Prometheus and others post to an Alertmanager (API v2, `api/v2/openapi.yaml`, postableAlerts).
//!
//! There is no status: an end that has passed says that the alert is over, an end to come until when it is believed.
//! Identity is the fingerprint of the labels, so that an alert that also comes by webhook is the same one. What
//! Alertmanager would refuse is set aside by itself. Must not take an identity from the sender.

use serde_json::value::RawValue;

use super::Observer;
use super::wire::{Item, careful_item};
use crate::core::observation::Claim;
use crate::sources::{DecodeError, Decoded, Message, Problem, json};

const HINT: &str = "this is not the list of alerts that an Alertmanager is sent";

/// Reads the whole list; a bad item is set aside.
pub(super) fn decode(message: &Message<'_>, text: &str) -> Result<Decoded, DecodeError> {
    if let Ok(items) = serde_json::from_str::<Vec<Item<'_>>>(text) {
        let mut observer = observer(message, items.len());
        let all_good = items
            .into_iter()
            .enumerate()
            .all(|(index, item)| observe(&mut observer, index, item).is_ok());
        if all_good {
            return Ok(observer.decoded);
        }
    }
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| json::error_of(&error, HINT))?;
    let mut observer = observer(message, items.len());
    for (index, raw) in items.into_iter().map(RawValue::get).enumerate() {
        let mended = json::mend_surrogates(raw);
        let outcome = careful_item(&mended, &format!("[{index}]"))
            .and_then(|item| observe(&mut observer, index, item));
        if let Err(problem) = outcome {
            observer.decoded.reject(index, problem, raw);
        }
    }
    Ok(observer.decoded)
}

fn observer<'m>(message: &'m Message<'m>, count: usize) -> Observer<'m> {
    let mut observer = Observer::new(message, "");
    observer.list = "";
    observer.decoded.observations.reserve(count);
    observer
}

fn observe(observer: &mut Observer<'_>, index: usize, mut item: Item<'_>) -> Result<(), Problem> {
    let wrong = |problem: &str| Problem {
        path: format!("[{index}]"),
        problem: problem.to_owned(),
    };
    item.fingerprint = "".into();
    item.labels.retain(|(_, value)| !value.is_empty());
    if item.labels.is_empty() {
        return Err(wrong("at least one label pair required"));
    }
    if item.labels.iter().any(|(name, _)| name.is_empty()) {
        return Err(wrong("invalid label set: the name of a label is empty"));
    }
    let starts_at = observer.time(&item.starts_at, index, "startsAt");
    let ends_at = observer.time(&item.ends_at, index, "endsAt");
    if let (Some(starts_at), Some(ends_at)) = (starts_at, ends_at)
        && starts_at > ends_at
    {
        return Err(wrong("start time must be before end time"));
    }
    let claim = match ends_at {
        Some(end) if end <= observer.message.received_at => Claim::Resolved,
        Some(_) | None => Claim::Firing,
    };
    observer.observe_claim(index, item, claim)
}
