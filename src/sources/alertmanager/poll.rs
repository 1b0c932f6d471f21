//! What an Alertmanager answers when it is asked what is active (API v2, `api/v2/openapi.yaml`).
//!
//! Used to reconcile: an alert that is missing from a complete answer has ended. So an answer is taken whole or not
//! at all; leaving out an item that cannot be read would end its alert. Must not be fed a filtered query's answer.

use serde_json::value::RawValue;
use smol_str::{SmolStr, format_smolstr};

use super::{fingerprint, wire};
use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::observation::clean;
use crate::core::time::Timestamp;
use crate::sources::json::{self, Fields, Scalar};
use crate::sources::{DecodeError, Problem, time_text};

const HINT: &str = "is the reconcile URL the base address of an Alertmanager?";

/// An alert that the Alertmanager holds as not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveAlert {
    /// The same key that the webhook's decoder makes.
    pub key: AlertKey,
    /// When the alert started, if it says so.
    pub starts_at: Option<Timestamp>,
    /// Whether the Alertmanager keeps quiet about it.
    pub is_muted: bool,
    /// Why: `silence:<id>`, `alert:<fingerprint>` (inhibited by it) or `interval:<name>`.
    pub muted_by: Vec<SmolStr>,
}

/// Reads the body of `GET /api/v2/alerts`; `source` is the configured name, as for a message.
///
/// # Errors
/// Fails when any item of the answer cannot be read, and says which.
pub fn active_alerts(source: &str, body: &[u8]) -> Result<Vec<ActiveAlert>, DecodeError> {
    let items: Vec<&RawValue> =
        serde_json::from_str(json::text(body)?).map_err(|error| json::error_of(&error, HINT))?;
    items
        .into_iter()
        .enumerate()
        .map(|(index, raw)| active_alert(source, raw.get(), &format!("[{index}]")))
        .collect::<Result<_, _>>()
        .map_err(wrong_shape)
}

/// Reads the body of `GET /api/v2/status`: since when the Alertmanager runs. A young one may not know all its
/// alerts again yet, so that nothing must be concluded from an absence.
///
/// # Errors
/// Fails when the answer does not say when the Alertmanager was started.
pub fn started_at(body: &[u8]) -> Result<Timestamp, DecodeError> {
    let fields: Fields<'_> =
        serde_json::from_str(json::text(body)?).map_err(|error| json::error_of(&error, HINT))?;
    let uptime = wire::text(&fields, "uptime", "body").map_err(wrong_shape)?;
    time_text::read(&uptime).ok().flatten().ok_or_else(|| {
        wrong_shape(Problem {
            path: "body.uptime".to_owned(),
            problem: "does not say when the Alertmanager was started".to_owned(),
        })
    })
}

fn active_alert(source: &str, raw: &str, at: &str) -> Result<ActiveAlert, Problem> {
    let raw = json::mend_surrogates(raw);
    let fields: Fields<'_> = serde_json::from_str(&raw).map_err(|_| Problem {
        path: at.to_owned(),
        problem: format!("is {}, not an alert object", json::kind_of(&raw)),
    })?;
    let given = wire::text(&fields, "fingerprint", at)?;
    let labels = match fingerprint::from_text(&given) {
        Some(_) => Vec::new(),
        None => wire::pairs(&fields, "labels", at)?,
    };
    let payload = fingerprint::payload(&given, &labels).ok_or_else(|| Problem {
        path: at.to_owned(),
        problem: fingerprint::NO_IDENTITY.to_owned(),
    })?;
    let status = fields.get("status").unwrap_or("{}");
    let status: Fields<'_> = serde_json::from_str(status).map_err(|_| Problem {
        path: format!("{at}.status"),
        problem: format!("is {}, not an object", json::kind_of(status)),
    })?;
    let muted_by = muted_by(&status);
    Ok(ActiveAlert {
        key: AlertKey::new(source, &payload),
        starts_at: time_text::read(&wire::time(&fields, "startsAt")).unwrap_or(None),
        is_muted: is_suppressed(&status) || !muted_by.is_empty(),
        muted_by,
    })
}

fn is_suppressed(status: &Fields<'_>) -> bool {
    status
        .get("state")
        .and_then(|state| json::scalar(state).ok())
        .is_some_and(|state| state == "suppressed")
}

/// Collects why an alert is muted; a list that cannot be read gives no reasons, since it decides nothing.
fn muted_by(status: &Fields<'_>) -> Vec<SmolStr> {
    let mut reasons = Vec::new();
    for (field, kind) in [
        ("silencedBy", "silence"),
        ("inhibitedBy", "alert"),
        ("mutedBy", "interval"),
    ] {
        let list = status.get(field).unwrap_or("[]");
        let ids: Vec<Scalar<'_>> = serde_json::from_str(list).unwrap_or_default();
        for id in ids {
            let mut reason = format_smolstr!("{kind}:{}", id.0);
            clean(&mut reason, limits::NAME_BYTES_MAX);
            reasons.push(reason);
        }
    }
    reasons
}

fn wrong_shape(problem: Problem) -> DecodeError {
    DecodeError::WrongShape {
        path: problem.path,
        problem: problem.problem,
        hint: HINT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_and_muted_alerts_are_told_apart() {
        let body = r#"[
          {"labels":{"alertname":"A"},"annotations":{},"fingerprint":"efb0c6c488e007da",
           "startsAt":"2026-01-01T00:00:05.123Z","endsAt":"2026-01-01T00:10:00Z","receivers":[{"name":"r"}],
           "status":{"state":"active","silencedBy":[],"inhibitedBy":[],"mutedBy":[]}},
          {"fingerprint":"448881EF475B9B26","labels":{},"startsAt":"soon",
           "status":{"state":"suppressed","silencedBy":["s1"],"inhibitedBy":["efb0c6c488e007da"],"mutedBy":["night"]}},
          {"labels":{"alertname":"Watchdog","severity":"none"},
           "status":{"state":"unprocessed","silencedBy":null}}]"#;
        let alerts = active_alerts("am", body.as_bytes()).unwrap();
        assert_eq!(alerts[0].key.text(), "am:v1:efb0c6c488e007da");
        assert_eq!(
            alerts[0].starts_at,
            Some(Timestamp::from_millis(1_767_225_605_123))
        );
        assert!(!alerts[0].is_muted && alerts[0].muted_by.is_empty());
        assert!(alerts[1].is_muted);
        assert_eq!(
            alerts[1].muted_by,
            ["silence:s1", "alert:efb0c6c488e007da", "interval:night"]
        );
        assert_eq!(alerts[1].starts_at, None);
        assert_eq!(
            alerts[1].key, alerts[2].key,
            "computed from the labels where it is missing"
        );
        assert!(!alerts[2].is_muted);
    }

    #[test]
    fn one_unreadable_item_refuses_the_whole_answer() {
        let good = r#"{"fingerprint":"efb0c6c488e007da"}"#;
        for (bad, path) in [
            ("5", "[1]"),
            ("{}", "[1]"),
            (r#"{"fingerprint":[]}"#, "[1].fingerprint"),
            (r#"{"labels":{"a":{}}}"#, "[1].labels.a"),
        ] {
            let error = active_alerts("am", format!("[{good},{bad}]").as_bytes()).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("{path}: ")),
                "{error}"
            );
        }
        assert!(active_alerts("am", b"{}").is_err());
        assert!(active_alerts("am", b"[{]").is_err());
        assert_eq!(active_alerts("am", b"[]"), Ok(Vec::new()));
    }

    #[test]
    fn the_start_of_the_process_is_read_from_its_status() {
        let body = br#"{"cluster":{"status":"ready"},"uptime":"2026-01-01T00:00:05.123Z"}"#;
        assert_eq!(
            started_at(body),
            Ok(Timestamp::from_millis(1_767_225_605_123))
        );
        for body in [
            &b"{}"[..],
            br#"{"uptime":""}"#,
            br#"{"uptime":"3h"}"#,
            br#"{"uptime":{}}"#,
            b"[]",
        ] {
            assert!(matches!(
                started_at(body),
                Err(DecodeError::WrongShape { .. })
            ));
        }
    }
}
