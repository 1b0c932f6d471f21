//! What goes over the wire, field by field as in Alertmanager's document; nothing is ever null.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::time::Time;
use crate::core::fingerprint::{from_text, of_labels};
use crate::core::silence::Silence;
use crate::core::silence::matcher::Matcher;
use crate::core::time::Timestamp;
use crate::store::query::alerts::AlertView;

/// The one receiver that there is here: Watchbell decides itself whom to tell.
pub(super) const RECEIVER: &str = "watchbell";

/// `gettableAlert`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableAlert {
    annotations: BTreeMap<String, String>,
    ends_at: Time,
    /// The hash of the labels, by which the list is sorted.
    pub fingerprint: String,
    receivers: [Receiver; 1],
    starts_at: Time,
    /// What keeps people from being told.
    pub status: AlertStatus,
    updated_at: Time,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
    labels: BTreeMap<String, String>,
    /// The incident, by which alerts are grouped.
    #[serde(skip)]
    pub incident: String,
}

/// `alertStatus`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertStatus {
    /// `active` or `suppressed`.
    pub state: &'static str,
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
    muted_by: Vec<String>,
}

/// `receiver`
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Receiver {
    name: &'static str,
}

/// `alertGroup`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertGroup {
    alerts: Vec<GettableAlert>,
    labels: BTreeMap<&'static str, String>,
    receiver: Receiver,
    route_labels: BTreeMap<String, String>,
}

/// `gettableSilence`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableSilence {
    id: String,
    status: SilenceStatus,
    updated_at: Time,
    annotations: BTreeMap<String, String>,
    comment: String,
    created_by: String,
    ends_at: Time,
    matchers: Vec<MatcherShape>,
    starts_at: Time,
}

#[derive(Debug, Serialize)]
struct SilenceStatus {
    state: &'static str,
}

/// `postableSilence`; a field that is needed and missing is told by its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableSilence {
    pub(super) id: Option<String>,
    pub(super) matchers: Option<Vec<PostableMatcher>>,
    pub(super) starts_at: Option<Time>,
    pub(super) ends_at: Option<Time>,
    pub(super) created_by: Option<String>,
    pub(super) comment: Option<String>,
}

/// `matcher` as posted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableMatcher {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
    pub(super) is_regex: Option<bool>,
    pub(super) is_equal: Option<bool>,
}

/// `matcher`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MatcherShape {
    is_equal: bool,
    is_regex: bool,
    name: String,
    value: String,
}

impl Receiver {
    pub(super) const OURS: Self = Self { name: RECEIVER };
}

impl From<AlertView> for GettableAlert {
    fn from(view: AlertView) -> Self {
        let alert = view.alert;
        let mut silenced_by = Vec::new();
        let mut inhibited_by = Vec::new();
        let mut muted_by = Vec::new();
        for by in &view.suppressed_by {
            match by.split_once(':') {
                Some(("silence", id)) => silenced_by.push(id.to_owned()),
                Some(("alert" | "incident" | "ci", id)) => inhibited_by.push(id.to_owned()),
                Some(_) | None => muted_by.push(by.clone()),
            }
        }
        let given = view.key.rsplit(':').next().and_then(from_text);
        let pairs = view.labels.iter();
        let fingerprint = given.unwrap_or_else(|| {
            of_labels(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
        });
        Self {
            annotations: view.annotations,
            ends_at: Time(alert.ends_at.unwrap_or(alert.lease_at)),
            fingerprint: fingerprint.to_string(),
            receivers: [Receiver::OURS],
            starts_at: Time(alert.starts_at),
            status: AlertStatus {
                state: if view.suppressed_by.is_empty() {
                    "active"
                } else {
                    "suppressed"
                },
                silenced_by,
                inhibited_by,
                muted_by,
            },
            updated_at: Time(alert.last_seen_at),
            generator_url: view.generator_url,
            labels: view.labels,
            incident: alert.incident.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl AlertStatus {
    /// Whether a silence keeps people from being told.
    pub(super) fn is_silenced(&self) -> bool {
        !self.silenced_by.is_empty()
    }

    /// Whether another alert does.
    pub(super) fn is_inhibited(&self) -> bool {
        !self.inhibited_by.is_empty()
    }
}

impl AlertGroup {
    /// The alerts of one incident.
    pub(super) fn new(incident: String, alerts: Vec<GettableAlert>) -> Self {
        Self {
            alerts,
            labels: BTreeMap::from([("incident", incident)]),
            receiver: Receiver::OURS,
            route_labels: BTreeMap::new(),
        }
    }
}

impl GettableSilence {
    /// A silence as it stands now.
    pub(super) fn new(silence: &Silence, now: Timestamp) -> Self {
        Self {
            id: silence.uuid.to_string(),
            status: SilenceStatus {
                state: silence.state(now).word(),
            },
            updated_at: Time(silence.updated_at),
            annotations: BTreeMap::new(),
            comment: silence.comment.to_string(),
            created_by: silence.created_by.to_string(),
            ends_at: Time(silence.ends_at),
            matchers: silence.matchers.iter().map(MatcherShape::from).collect(),
            starts_at: Time(silence.starts_at),
        }
    }
}

impl From<&Matcher> for MatcherShape {
    fn from(matcher: &Matcher) -> Self {
        Self {
            is_equal: matcher.operator().is_equal(),
            is_regex: matcher.operator().is_regex(),
            name: matcher.name().to_string(),
            value: matcher.value().to_string(),
        }
    }
}
