//! The fields of Alertmanager's webhook body (payload version 4), read in two ways.
//!
//! [`Body`] reads everything in one pass and gives up at the first oddity. [`careful_item`] reads one item by
//! itself, takes every oddity that can be understood, and says where the others are. Both must read the same from
//! a body that both can read; a law test holds them to it. Must not interpret a value.
//! Source: prometheus/alertmanager `template/template.go`, `notify/webhook/webhook.go`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use smol_str::SmolStr;

use crate::sources::Problem;
use crate::sources::json::{Fields, Pairs, Scalar, kind_of, scalar};

/// The whole message; fields that do not concern us are skipped.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub(super) alerts: Vec<Item<'a>>,
    #[serde(borrow, default, rename = "truncatedAlerts")]
    pub(super) truncated_alerts: Scalar<'a>,
}

/// One alert as sent; what is missing or null is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) status: Cow<'a, str>,
    pub(super) labels: Vec<(SmolStr, SmolStr)>,
    pub(super) annotations: Vec<(SmolStr, SmolStr)>,
    pub(super) starts_at: Cow<'a, str>,
    pub(super) ends_at: Cow<'a, str>,
    pub(super) generator_url: Cow<'a, str>,
    pub(super) fingerprint: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Field {
    #[serde(rename = "status")]
    Status,
    #[serde(rename = "labels")]
    Labels,
    #[serde(rename = "annotations")]
    Annotations,
    #[serde(rename = "startsAt")]
    StartsAt,
    #[serde(rename = "endsAt")]
    EndsAt,
    #[serde(rename = "generatorURL")]
    GeneratorUrl,
    #[serde(rename = "fingerprint")]
    Fingerprint,
    #[serde(other)]
    Other,
}

// Written by hand, because a derived reader also takes a list in place of an object and refuses repeated fields.
impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an alert object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut item = Item::default();
        while let Some(field) = map.next_key()? {
            match field {
                Field::Status => item.status = map.next_value::<Scalar<'_>>()?.0,
                Field::Labels => item.labels = map.next_value::<Pairs>()?.0,
                Field::Annotations => item.annotations = map.next_value::<Pairs>()?.0,
                Field::StartsAt => item.starts_at = map.next_value::<Scalar<'_>>()?.0,
                Field::EndsAt => item.ends_at = map.next_value::<Scalar<'_>>()?.0,
                Field::GeneratorUrl => item.generator_url = map.next_value::<Scalar<'_>>()?.0,
                Field::Fingerprint => item.fingerprint = map.next_value::<Scalar<'_>>()?.0,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(item)
    }
}

/// Reads one item of which the text is known to be JSON; `at` is its path in the message.
pub(super) fn careful_item<'a>(raw: &'a str, at: &str) -> Result<Item<'a>, Problem> {
    let fields: Fields<'a> = serde_json::from_str(raw).map_err(|_| Problem {
        path: at.to_owned(),
        problem: format!("is {}, not an alert object", kind_of(raw)),
    })?;
    Ok(Item {
        status: text(&fields, "status", at)?,
        labels: pairs(&fields, "labels", at)?,
        annotations: pairs(&fields, "annotations", at)?,
        starts_at: time(&fields, "startsAt"),
        ends_at: time(&fields, "endsAt"),
        generator_url: text(&fields, "generatorURL", at)?,
        fingerprint: text(&fields, "fingerprint", at)?,
    })
}

/// A field that shall be a text; empty when it is missing or null.
pub(super) fn text<'a>(fields: &Fields<'a>, name: &str, at: &str) -> Result<Cow<'a, str>, Problem> {
    let Some(value) = fields.get(name) else {
        return Ok(Cow::Borrowed(""));
    };
    scalar(value).map_err(|_| Problem {
        path: format!("{at}.{name}"),
        problem: format!("is {}, not a text", kind_of(value)),
    })
}

/// A time never spoils an item: what is no text stays as it is and will be found unreadable.
pub(super) fn time<'a>(fields: &Fields<'a>, name: &str) -> Cow<'a, str> {
    fields.get(name).map_or(Cow::Borrowed(""), |value| {
        scalar(value).unwrap_or(Cow::Borrowed(value))
    })
}

/// A field that shall be an object of texts; empty when it is missing or null.
pub(super) fn pairs(
    fields: &Fields<'_>,
    name: &str,
    at: &str,
) -> Result<Vec<(SmolStr, SmolStr)>, Problem> {
    let Some(value) = fields.get(name).filter(|&value| value != "null") else {
        return Ok(Vec::new());
    };
    let entries: Fields<'_> = serde_json::from_str(value).map_err(|_| Problem {
        path: format!("{at}.{name}"),
        problem: format!("is {}, not an object of texts", kind_of(value)),
    })?;
    entries
        .0
        .iter()
        .map(|(entry, value)| match scalar(value.get()) {
            Ok(text) => Ok((SmolStr::new(entry), SmolStr::new(text))),
            Err(_) => Err(Problem {
                path: format!("{at}.{name}.{entry}"),
                problem: format!("is {}, not a text", kind_of(value.get())),
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_place() {
        for (raw, path, problem) in [
            ("5", "alerts[3]", "is a number, not an alert object"),
            ("[]", "alerts[3]", "is a list, not an alert object"),
            (
                r#"{"labels":["a"]}"#,
                "alerts[3].labels",
                "is a list, not an object of texts",
            ),
            (
                r#"{"labels":{"a":"b","foo":{"c":1}}}"#,
                "alerts[3].labels.foo",
                "is an object, not a text",
            ),
            (
                r#"{"annotations":{"foo":[]}}"#,
                "alerts[3].annotations.foo",
                "is a list, not a text",
            ),
            (
                r#"{"fingerprint":{}}"#,
                "alerts[3].fingerprint",
                "is an object, not a text",
            ),
        ] {
            let got = careful_item(raw, "alerts[3]").unwrap_err();
            assert_eq!((got.path.as_str(), got.problem.as_str()), (path, problem));
        }
    }

    #[test]
    fn numbers_keep_their_text_and_times_never_spoil_an_item() {
        let raw =
            r#"{"labels":{"a":1.50,"b":1e999},"startsAt":{"x":1},"endsAt":17.5,"status":null}"#;
        let item = careful_item(raw, "").unwrap();
        assert_eq!(item.labels[0].1, "1.50");
        assert_eq!(item.labels[1].1, "1e999");
        assert_eq!(item.starts_at, r#"{"x":1}"#);
        assert_eq!(item.ends_at, "17.5");
        assert_eq!(item.status, "");
        assert!(
            serde_json::from_str::<Item<'_>>(raw).is_err(),
            "left to the careful reader"
        );
    }

    #[test]
    fn a_list_is_no_item_and_the_last_of_repeated_fields_counts() {
        assert!(serde_json::from_str::<Item<'_>>(r#"["firing"]"#).is_err());
        let raw = r#"{"status":"firing","status":"resolved"}"#;
        let fast: Item<'_> = serde_json::from_str(raw).unwrap();
        assert_eq!(fast.status, "resolved");
        assert_eq!(fast, careful_item(raw, "").unwrap());
    }
}
