//! One line of an events file.
//!
//! Numbers pass for texts and the other way round where there is no doubt, since such files are often written by
//! scripts. Must not fill in what decisions depend on: a line without a time, or with an unknown status, is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use smol_str::SmolStr;

use crate::core::input::ChangeRecord;
use crate::core::observation::Claim;
use crate::core::time::Timestamp;
use crate::lab::event::{AlertSaid, Event, Said};
use crate::sources::severity_words::{DEFAULT, severity_of};
use crate::sources::status_words::{Status, status_of};
use crate::sources::time_text;

/// The name of the source when a line has none.
const SOURCE: &str = "events";
/// Seconds further from the epoch than this are not times; it is the year 9999.
const SECONDS_MAX: f64 = 253_402_207_200.0;
/// Files whose first time lies before this many seconds count from an epoch of their own.
const OWN_EPOCH_BELOW: f64 = 31_536_000.0;
/// Where an epoch of their own is put: 2000-01-01, so that no time of the file is zero or below.
const OWN_EPOCH_MS: i64 = 946_684_800_000;

/// The zero of a file's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(i64);

impl Epoch {
    /// Chooses it by the first time of a file, in seconds.
    pub fn of_first(at: f64) -> Self {
        Self(if at < OWN_EPOCH_BELOW {
            OWN_EPOCH_MS
        } else {
            0
        })
    }

    fn time(self, seconds: f64) -> Option<Timestamp> {
        if !(-SECONDS_MAX..=SECONDS_MAX).contains(&seconds) {
            return None;
        }
        let length = Duration::try_from_secs_f64(seconds.abs()).ok()?;
        let rounded = length
            .saturating_add(Duration::from_micros(500))
            .as_millis();
        let ms = i64::try_from(rounded).ok()?;
        let ms = if seconds < 0.0 { -ms } else { ms };
        Some(Timestamp::from_millis(self.0.saturating_add(ms)))
    }

    /// A time in seconds of the file.
    pub fn seconds(self, time: Timestamp) -> f64 {
        // Not by a timestamp of the zero: none stands for it when it is the Unix epoch itself.
        let since = time.as_millis().saturating_sub(self.0);
        let length = Duration::from_millis(since.unsigned_abs()).as_secs_f64();
        if since < 0 { -length } else { length }
    }
}

#[derive(Debug, Deserialize)]
struct Line {
    at: Option<Value>,
    source: Option<Value>,
    alert: Option<AlertFields>,
    change: Option<ChangeFields>,
}

#[derive(Debug, Deserialize)]
struct AlertFields {
    id: Option<Value>,
    key: Option<Value>,
    status: Option<Value>,
    severity: Option<Value>,
    summary: Option<Value>,
    labels: Option<BTreeMap<SmolStr, Value>>,
    starts_at: Option<Value>,
    ends_at: Option<Value>,
    ci: Option<Value>,
}

impl AlertFields {
    /// Whether something says which alert it is.
    fn is_named(&self) -> bool {
        self.id.is_some() || self.key.is_some() || self.labels.is_some()
    }
}

#[derive(Debug, Deserialize)]
struct ChangeFields {
    id: Option<Value>,
    ci: Option<Value>,
    summary: Option<Value>,
}

/// Reads one line; `epoch` is chosen by the first.
///
/// # Errors
/// What is wrong with it, and what to do about it.
pub fn read(bytes: &[u8], epoch: &mut Option<Epoch>) -> Result<Event, String> {
    let line: Line = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!(" at line 1 column {}", error.column());
        let text = error.to_string().replace(&place, "");
        format!("not an event: {text} (column {})", error.column())
    })?;
    let at = line.at.as_ref().filter(|value| !value.is_null());
    let at = at.ok_or("`at` is missing: give the time of arrival in seconds")?;
    let seconds = number(at).ok_or_else(|| not_a_time("at", at))?;
    let epoch = *epoch.get_or_insert_with(|| Epoch::of_first(seconds));
    let said = match (line.alert, line.change) {
        (Some(alert), None) => {
            let source = text(line.source).unwrap_or_else(|| SOURCE.into());
            Said::Alert(Box::new(alert_said(alert, source, epoch)?))
        }
        (None, Some(change)) => Said::Change(change_said(change)?),
        (Some(_), Some(_)) => {
            return Err("both `alert` and `change`: write one line for each".to_owned());
        }
        (None, None) => {
            // The fields of an alert may as well stand beside the time.
            let alert: Option<AlertFields> = serde_json::from_slice(bytes).ok();
            let alert = alert
                .filter(AlertFields::is_named)
                .ok_or("neither `alert` nor `change`: give one of them")?;
            let source = text(line.source).unwrap_or_else(|| SOURCE.into());
            Said::Alert(Box::new(alert_said(alert, source, epoch)?))
        }
    };
    let at = epoch.time(seconds).ok_or_else(|| not_a_time("at", at))?;
    Ok(Event { at, said })
}

fn alert_said(fields: AlertFields, source: SmolStr, epoch: Epoch) -> Result<AlertSaid, String> {
    let labels: Vec<(SmolStr, SmolStr)> = fields
        .labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, text(Some(value))?)))
        .collect();
    let of_labels = || {
        let pairs: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| SmolStr::from(pairs.join(",")))
    };
    let id = text(fields.id);
    let key = text(fields.key).or_else(|| id.clone()).or_else(of_labels);
    let key = key.ok_or("`alert` has neither `id` nor `key` nor `labels`: nothing names it")?;
    let status = text(fields.status).unwrap_or_else(|| "firing".into());
    let claim = match status_of(&status) {
        Some(Status::Firing | Status::Acknowledged) => Claim::Firing,
        Some(Status::Resolved) => Claim::Resolved,
        None => {
            return Err(format!(
                "`status` is {status:?}: give `firing` or `resolved`"
            ));
        }
    };
    let time = |name: &str, value: Option<Value>| match value.filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => number(&value)
            .and_then(|seconds| epoch.time(seconds))
            .map(Some)
            .ok_or_else(|| not_a_time(name, &value)),
    };
    Ok(AlertSaid {
        id: id.unwrap_or_else(|| key.clone()),
        source,
        key,
        claim,
        severity: text(fields.severity).map_or(DEFAULT, |word| severity_of(&word)),
        summary: text(fields.summary).unwrap_or_default(),
        starts_at: time("starts_at", fields.starts_at)?,
        ends_at: time("ends_at", fields.ends_at)?,
        ci: text(fields.ci),
        labels,
    })
}

fn change_said(fields: ChangeFields) -> Result<ChangeRecord, String> {
    Ok(ChangeRecord {
        id: text(fields.id).ok_or("`change` has no `id`: give its number")?,
        ci: text(fields.ci)
            .ok_or("`change` has no `ci`: give the id of the CI that was changed")?,
        summary: text(fields.summary).unwrap_or_default(),
    })
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().or_else(|| of_calendar(text)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Seconds since 1970 of a time in words, like `2026-12-01T08:00:00Z`.
fn of_calendar(text: &str) -> Option<f64> {
    let ms = time_text::read(text).ok().flatten()?.as_millis();
    let length = Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
    Some(if ms < 0 { -length } else { length })
}

/// A value as text; nothing when it is null or empty.
fn text(value: Option<Value>) -> Option<SmolStr> {
    let text = match value? {
        Value::Null => return None,
        Value::String(text) => SmolStr::from(text),
        Value::Bool(is_true) => SmolStr::new_static(if is_true { "true" } else { "false" }),
        other @ (Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            SmolStr::from(other.to_string())
        }
    };
    (!text.trim().is_empty()).then_some(text)
}

fn not_a_time(name: &str, value: &Value) -> String {
    format!("`{name}` is {value}: give seconds as a number, or a time like 2026-12-01T08:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::severity::Severity;

    fn alert(line: &str) -> AlertSaid {
        let event = read(line.as_bytes(), &mut None).unwrap();
        let Said::Alert(alert) = event.said else {
            panic!("{line} is about an alert");
        };
        *alert
    }

    #[test]
    fn a_line_of_the_contract_is_read_whole() {
        let said = alert(
            r#"{"at":17.25,"source":"prom","alert":{"id":"e17","key":"k","status":"firing","severity":"critical",
            "summary":"down","labels":{"a":"b","n":1,"none":null},"starts_at":-3,"ends_at":99.5,"ci":"vm1","new":[]},"x":1}"#,
        );
        assert_eq!((said.id.as_str(), said.key.as_str()), ("e17", "k"));
        assert_eq!(
            (said.claim, said.severity),
            (Claim::Firing, Severity::Critical)
        );
        assert_eq!(
            said.labels,
            [("a".into(), "b".into()), ("n".into(), "1".into())]
        );
        let epoch = Epoch::of_first(17.25);
        assert_eq!(said.starts_at.map(|at| epoch.seconds(at)), Some(-3.0));
        assert_eq!(said.ends_at.map(|at| epoch.seconds(at)), Some(99.5));
        assert_eq!(said.ci.as_deref(), Some("vm1"));
    }

    #[test]
    fn a_missing_key_is_the_id_and_a_missing_id_the_key() {
        let said = alert(r#"{"at":0,"alert":{"id":7}}"#);
        assert_eq!((said.id.as_str(), said.key.as_str()), ("7", "7"));
        let said = alert(r#"{"at":0,"alert":{"labels":{"b":1,"a":"x"},"status":"RESOLVED"}}"#);
        assert_eq!(
            (said.id.as_str(), said.key.as_str()),
            ("a=x,b=1", "a=x,b=1")
        );
        assert_eq!(said.claim, Claim::Resolved);
    }

    #[test]
    fn the_fields_of_an_alert_may_stand_beside_the_time() {
        let said = alert(r#"{"at":0,"labels":{"a":"x"},"severity":"critical"}"#);
        assert_eq!(said.key, "a=x");
        assert_eq!(said.severity, Severity::Critical);
    }

    #[test]
    fn times_of_any_epoch_come_back_as_they_were() {
        for first in [0.0, 0.001, 12.5, 1_700_000_000.123] {
            let mut epoch = None;
            let line = format!(r#"{{"at":{first},"alert":{{"id":"a"}}}}"#);
            let event = read(line.as_bytes(), &mut epoch).unwrap();
            let back = epoch.unwrap().seconds(event.at);
            assert!((back - first).abs() < 1e-6, "{first} became {back}");
        }
    }

    #[test]
    fn a_time_in_words_is_as_good_as_its_seconds() {
        let read = |at: &str| {
            let line = format!(r#"{{"at":{at},"alert":{{"id":"a","starts_at":{at}}}}}"#);
            read(line.as_bytes(), &mut None).unwrap()
        };
        assert_eq!(read(r#""2026-12-01T08:00:00.250Z""#), read("1796112000.25"));
        assert_eq!(read(r#""2026-12-01T09:00:00+01:00""#), read("1796112000"));
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, words) in [
            ("{", "not an event"),
            ("[]", "not an event"),
            (r#"{"alert":{"id":"a"}}"#, "`at` is missing"),
            (r#"{"at":"soon","alert":{"id":"a"}}"#, "`at` is \"soon\""),
            (r#"{"at":1e300,"alert":{"id":"a"}}"#, "seconds as a number"),
            (r#"{"at":1}"#, "neither `alert` nor `change`"),
            (r#"{"at":1,"alert":{}}"#, "nothing names it"),
            (
                r#"{"at":1,"alert":{"id":"a","status":"maybe"}}"#,
                "`status` is \"maybe\"",
            ),
            (
                r#"{"at":1,"alert":{"id":"a","starts_at":{}}}"#,
                "`starts_at` is {}",
            ),
            (r#"{"at":1,"change":{"id":"CHG-1"}}"#, "no `ci`"),
        ] {
            let error = read(line.as_bytes(), &mut None).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
