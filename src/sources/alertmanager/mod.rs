//! Alertmanager's webhook, payload version 4, and what Grafana and others send in the same form; and the list that
//! Prometheus posts to an Alertmanager ([`posted`]).
//!
//! The status of each alert decides; the group's status is not even read, and an alert that is absent from a
//! message means nothing. The sending replica is no part of an alert's identity. The usual body is read in one
//! pass; if anything in it is odd it is read again item by item, so that one bad item spoils no other.
//! Must not drop an alert because of its times or its texts.

mod fingerprint;
pub mod poll;
mod posted;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use self::wire::{Body, Item, careful_item};
use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation, clean, clean_pairs};
use crate::core::time::Timestamp;
use crate::sources::json::{self, Fields};
use crate::sources::severity_words::severity_of;
use crate::sources::test_messages::is_grafana_test;
use crate::sources::tried::Tried;
use crate::sources::{DecodeError, Decoded, Message, Note, Problem, Source, time_text};

/// The source kind `alertmanager`.
#[derive(Clone, Copy, Debug)]
pub struct Alertmanager;

const HINT: &str =
    "this is not an Alertmanager webhook body; is the sender pointed at the right source?";

impl Source for Alertmanager {
    fn kind(&self) -> &'static str {
        "alertmanager"
    }

    fn example(&self) -> &'static str {
        include_str!("example.json")
    }

    fn explain(&self, message: &Message<'_>) -> Result<Tried, DecodeError> {
        let mut tried = self.decode(message).map(Tried::from)?;
        // The fingerprint is made of the labels, here or at the sender.
        tried.key_from(|item| {
            let labels = item.labels.iter();
            labels
                .map(|(name, value)| (format!("labels.{name}"), value.clone()))
                .collect()
        });
        Ok(tried)
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        let text = json::text(message.body)?;
        if text.trim_ascii_start().starts_with('[') {
            return posted::decode(message, text);
        }
        decode_fast(message, text).map_or_else(|| decode_carefully(message, text), Ok)
    }
}

/// Reads a body without oddities; `None` when there is one.
fn decode_fast(message: &Message<'_>, text: &str) -> Option<Decoded> {
    // A derived reader would also take a list in place of the object.
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    let body: Body<'_> = serde_json::from_str(text).ok()?;
    let mut observer = Observer::new(message, &body.truncated_alerts.0);
    observer.decoded.observations.reserve(body.alerts.len());
    for (index, item) in body.alerts.into_iter().enumerate() {
        observer.observe(index, item).ok()?;
    }
    Some(observer.decoded)
}

/// Reads a body item by item and sets the bad ones aside.
fn decode_carefully(message: &Message<'_>, text: &str) -> Result<Decoded, DecodeError> {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| {
        let mut told = json::error_of(&error, HINT);
        if let DecodeError::WrongShape { problem, .. } = &mut told {
            // The parser would speak of sequences and maps.
            *problem = format!("is {}, not an object", json::kind_of(text));
        }
        told
    })?;
    let wrong_alerts = |problem: String| DecodeError::WrongShape {
        path: "alerts".to_owned(),
        problem,
        hint: HINT,
    };
    let Some(alerts) = fields.get("alerts") else {
        return Err(wrong_alerts("is missing".to_owned()));
    };
    let items: Vec<&RawValue> = serde_json::from_str(alerts)
        .map_err(|_| wrong_alerts(format!("is {}, not a list", json::kind_of(alerts))))?;
    let truncated = fields.get("truncatedAlerts").unwrap_or_default();
    let truncated = json::scalar(truncated).unwrap_or(Cow::Borrowed(truncated));
    let mut observer = Observer::new(message, &truncated);
    for (index, raw) in items.into_iter().map(RawValue::get).enumerate() {
        let at = format!("alerts[{index}]");
        let mended = json::mend_surrogates(raw);
        if matches!(mended, Cow::Owned(_)) {
            observer.decoded.note(|| Note {
                path: at.clone(),
                problem: "holds half a character; it was replaced by U+FFFD".to_owned(),
            });
        }
        let outcome = careful_item(&mended, &at).and_then(|item| observer.observe(index, item));
        if let Err(problem) = outcome {
            observer.decoded.reject(index, problem, raw);
        }
    }
    Ok(observer.decoded)
}

/// Turns the items of one message into observations.
struct Observer<'m> {
    message: &'m Message<'m>,
    undelivered: u32,
    /// Where the items stand in the message.
    list: &'static str,
    /// Reused for hashing, so that no item allocates for it.
    scratch: Vec<u8>,
    decoded: Decoded,
}

impl<'m> Observer<'m> {
    fn new(message: &'m Message<'m>, truncated_alerts: &str) -> Self {
        let mut decoded = Decoded::default();
        let undelivered = if truncated_alerts.is_empty() {
            0
        } else if let Ok(count) = truncated_alerts.parse::<u64>() {
            u32::try_from(count).unwrap_or(u32::MAX)
        } else {
            decoded.note(|| Note {
                path: "truncatedAlerts".to_owned(),
                problem: "is not a count; taken as 0".to_owned(),
            });
            0
        };
        Self {
            message,
            undelivered,
            list: "alerts",
            scratch: Vec::new(),
            decoded,
        }
    }

    fn observe(&mut self, index: usize, item: Item<'_>) -> Result<(), Problem> {
        let claim = claim_of(&item.status, index)?;
        self.observe_claim(index, item, claim)
    }

    fn observe_claim(&mut self, index: usize, item: Item<'_>, claim: Claim) -> Result<(), Problem> {
        let key = self.key_of(&item, index)?;
        let starts_at = self.time(&item.starts_at, index, "startsAt");
        let ends_at = self.time(&item.ends_at, index, "endsAt");
        let ends_at = match claim {
            Claim::Resolved => ends_at,
            // An end that has passed does not go with a firing alert; only one to come bounds its validity.
            Claim::Firing => ends_at.filter(|&end| end > self.message.received_at),
        };
        let text = text_of(item, &key);
        if is_grafana_test(&text) {
            self.decoded.test_count = self.decoded.test_count.saturating_add(1);
            return Ok(());
        }
        self.decoded.observations.push(Observation {
            key,
            claim,
            starts_at,
            ends_at,
            severity: severity_of(text.label("severity").unwrap_or_default()),
            text_hash: hash_of(&text, &mut self.scratch),
            text: Arc::new(text),
            undelivered: self.undelivered,
            is_retained: false,
        });
        Ok(())
    }

    fn key_of(&mut self, item: &Item<'_>, index: usize) -> Result<AlertKey, Problem> {
        let given = item.fingerprint.trim();
        let payload = fingerprint::payload(given, &item.labels).ok_or_else(|| Problem {
            path: format!("{}[{index}]", self.list),
            problem: fingerprint::NO_IDENTITY.to_owned(),
        })?;
        if !given.is_empty() && fingerprint::from_text(given).is_none() {
            self.decoded.note(|| Note {
                path: format!("alerts[{index}].fingerprint"),
                problem: format!("is not 16 hex digits; the alert is known as {payload}"),
            });
        }
        Ok(AlertKey::new(self.message.source, &payload))
    }

    fn time(&mut self, text: &str, index: usize, field: &str) -> Option<Timestamp> {
        time_text::read(text).unwrap_or_else(|_| {
            let list = self.list;
            self.decoded.note(|| Note {
                path: format!("{list}[{index}].{field}"),
                problem: "is not a time that can be read; taken as not set".to_owned(),
            });
            None
        })
    }
}

fn claim_of(status: &str, index: usize) -> Result<Claim, Problem> {
    let status = status.trim();
    if status.eq_ignore_ascii_case("firing") {
        Ok(Claim::Firing)
    } else if status.eq_ignore_ascii_case("resolved") {
        Ok(Claim::Resolved)
    } else {
        let problem = if status.is_empty() {
            "is missing; must be firing or resolved"
        } else {
            "is neither firing nor resolved"
        };
        Err(Problem {
            path: format!("alerts[{index}].status"),
            problem: problem.to_owned(),
        })
    }
}

fn text_of(item: Item<'_>, key: &AlertKey) -> AlertText {
    let mut text = AlertText {
        summary: SmolStr::default(),
        labels: item.labels,
        annotations: item.annotations,
        generator_url: SmolStr::from(item.generator_url),
        is_cut: false,
        ci_hint: None,
    };
    text.is_cut |= clean_pairs(&mut text.labels, limits::LABEL_BYTES_MAX);
    text.is_cut |= clean_pairs(&mut text.annotations, limits::TEXT_BYTES_MAX);
    text.is_cut |= clean(&mut text.generator_url, limits::TEXT_BYTES_MAX);
    text.summary = summary_of(&text).unwrap_or_else(|| key.text().clone());
    text
}

/// The first line of the first text that says what is going on.
fn summary_of(text: &AlertText) -> Option<SmolStr> {
    let annotations = &text.annotations;
    ["summary", "message", "description"]
        .into_iter()
        .map(|name| (annotations, name))
        .chain([(&text.labels, "alertname")])
        .find_map(|(pairs, name)| {
            let index = pairs
                .binary_search_by(|(known, _)| known.as_str().cmp(name))
                .ok()?;
            let (_, whole) = pairs.get(index)?;
            let line = whole.trim().lines().next()?.trim_end();
            // A clone of the whole shares its memory.
            Some(if line.len() == whole.len() {
                whole.clone()
            } else {
                SmolStr::new(line)
            })
        })
}

/// Hash of what people read, without times and status, so that a mere repeat hashes equal. The marks between the
/// parts are bytes that no UTF-8 text holds.
fn hash_of(text: &AlertText, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    for pairs in [&text.labels, &text.annotations] {
        for (name, value) in pairs {
            scratch.extend_from_slice(name.as_bytes());
            scratch.push(0xff);
            scratch.extend_from_slice(value.as_bytes());
            scratch.push(0xff);
        }
        scratch.push(0xfe);
    }
    scratch.extend_from_slice(text.generator_url.as_bytes());
    xxh3_64(scratch)
}

#[cfg(test)]
mod tests;
