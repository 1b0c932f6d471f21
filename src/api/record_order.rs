//! Orders about records on their way to the engine, and what every body of them is read with.
//!
//! Bodies of records come from many platforms and scripts, so a field is found under any of its usual names, and what
//! is not known is passed over. Must not decide what becomes of a record.

use std::time::Duration;

use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::ApiState;
use super::problem::{Kind as ProblemKind, Problem};
use super::time;
use crate::core::ids::IncidentId;
use crate::core::limits;
use crate::core::reason::Reason;
use crate::core::records::{Kind, Record, RecordGiven, RecordId, RecordOrder};
use crate::core::time::Timestamp;
use crate::engine::handle::{CommandAnswer, SubmitError};
use crate::store::query::{incidents, records};

/// How long a client waits for an answer; an order that is stored by then is carried out all the same.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The id of a record in a path: `CHG-7` in any letter case, or `7`.
pub(super) fn record_id(kind: Kind, text: &str) -> Result<RecordId, Problem> {
    let bare = || {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|&number| is_number && number > 0)?;
        Some(RecordId { kind, number })
    };
    let id = text.parse().ok().or_else(bare);
    id.filter(|id| id.kind == kind).ok_or_else(|| {
        let (shown, prefix): (String, _) = (text.chars().take(40).collect(), kind.prefix());
        Problem::not_found(format!(
            "{shown:?} is no id of this kind; it looks like {prefix}-7"
        ))
    })
}

/// One record, or the problem that there is none.
pub(super) async fn find(api: &ApiState, id: RecordId) -> Result<Record, Problem> {
    let found = api
        .read(async move |db| records::find(db.reader().await?.lend(), id).await)
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no {id}")))
}

/// Hands an order to the engine; answers after commit. `record` and `incident` are those that the order names.
pub(super) async fn give(
    api: &ApiState,
    order: RecordOrder,
    actor: SmolStr,
    (record, incident): (Option<RecordId>, Option<IncidentId>),
) -> Result<CommandAnswer, Problem> {
    let (engine, db) = (api.setup().engine.clone(), api.setup().db.clone());
    let outcome = async move {
        let mut given = RecordGiven {
            order,
            actor,
            past: None,
            is_past_incident: false,
        };
        if let Some(record) = record {
            let mut reader = db.reader().await?;
            given.past = records::find(reader.lend(), record).await?.map(Box::new);
        }
        if let Some(incident) = incident {
            let mut reader = db.reader().await?;
            let past = incidents::find_past(reader.lend(), incident).await?;
            given.is_past_incident = past.is_some();
        }
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, engine.record(given))
            .await
            .unwrap_or(Err(SubmitError::Unknown))?;
        match (answer.is_refused, answer.reason) {
            (false, _) => Ok(answer),
            (true, Reason::UnknownRecord | Reason::UnknownIncident) => {
                Err(Problem::not_found(answer.reason.sentence())
                    .with("reason", answer.reason.code()))
            }
            (true, reason) => Err(Problem::refused(reason)),
        }
    };
    api.run(outcome).await?
}

/// The record that an order came to.
pub(super) async fn answered(api: &ApiState, answer: CommandAnswer) -> Result<Record, Problem> {
    match answer.record {
        Some(id) => find(api, id).await,
        None => Err(Problem::new(
            ProblemKind::OutcomeUnknown,
            "the order was carried out, but what it came to cannot be told",
        )),
    }
}

/// The fields of a body, each under any of its usual names.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// The first of these that is there and not null.
    pub(super) fn value(&self, names: &[&str]) -> Option<&Value> {
        let mut values = names.iter().filter_map(|name| self.0.get(*name));
        values.find(|value| !value.is_null())
    }

    /// A text; a number counts as its digits, an empty text as nothing.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<SmolStr>, Problem> {
        let Some(value) = self.value(names) else {
            return Ok(None);
        };
        let text = text_of(value).ok_or_else(|| wrong(names, "a text"))?;
        if text.len() > limits::TEXT_BYTES_MAX {
            let max = limits::TEXT_BYTES_MAX;
            return Err(wrong(names, &format!("at most {max} bytes long")));
        }
        let text: String = text.trim().chars().filter(|&c| c != '\0').collect();
        Ok(Some(SmolStr::from(text)).filter(|text| !text.is_empty()))
    }

    /// One line for people: line breaks become spaces, and what is too long is cut.
    pub(super) fn line(&self, names: &[&str]) -> Result<Option<SmolStr>, Problem> {
        let text = self.text(names)?;
        Ok(text.map(|text| {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let end = line.floor_char_boundary(limits::LABEL_BYTES_MAX);
            SmolStr::new(line.get(..end).unwrap_or_default())
        }))
    }

    /// A text that must be there.
    pub(super) fn required(&self, names: &[&str]) -> Result<SmolStr, Problem> {
        let first = names.first().copied().unwrap_or_default();
        self.text(names)?
            .ok_or_else(|| Problem::bad_request(format!("{first} is missing")))
    }

    /// Texts: one, a list, texts between commas, or objects with an `id` or `name`.
    pub(super) fn texts(&self, names: &[&str]) -> Result<Option<Vec<SmolStr>>, Problem> {
        let mut all = Vec::new();
        let mut is_named = false;
        for value in names.iter().filter_map(|name| self.0.get(*name)) {
            is_named = true;
            collect(value, &mut all).ok_or_else(|| wrong(names, "a text or a list of texts"))?;
        }
        Ok(is_named.then_some(all))
    }

    /// A time: RFC 3339, or seconds or milliseconds since 1970.
    pub(super) fn time(&self, names: &[&str]) -> Result<Option<Timestamp>, Problem> {
        match self.value(names) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                let number = number.as_i64().ok_or_else(|| wrong(names, "a time"))?;
                let is_seconds = number.abs() < 100_000_000_000;
                let ms = if is_seconds {
                    number.saturating_mul(1_000)
                } else {
                    number
                };
                Ok(Some(Timestamp::from_millis(ms)))
            }
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => time::read(text.trim())
                .map(Some)
                .map_err(Problem::bad_request),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_) | Value::Null) => {
                Err(wrong(names, "a time like 2026-11-20T12:30:00Z"))
            }
        }
    }

    /// A truth value.
    pub(super) fn flag(&self, names: &[&str]) -> Result<Option<bool>, Problem> {
        match self.value(names) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(
                Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_)
                | Value::Null,
            ) => Err(wrong(names, "true or false")),
        }
    }
}

fn wrong(names: &[&str], expected: &str) -> Problem {
    let first = names.first().copied().unwrap_or_default();
    Problem::bad_request(format!("{first} must be {expected}"))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(_) | Value::Null | Value::Array(_) => None,
        Value::Object(object) => {
            let named = ["id", "key", "name", "value"];
            named.iter().find_map(|name| text_of(object.get(*name)?))
        }
    }
}

fn collect(value: &Value, into: &mut Vec<SmolStr>) -> Option<()> {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for item in items {
                collect(item, into)?;
            }
        }
        Value::String(texts) => {
            let texts = texts.split(',').map(str::trim);
            into.extend(texts.filter(|text| !text.is_empty()).map(SmolStr::new));
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => into.push(text_of(value)?.into()),
    }
    Some(())
}
