//! Why something is what it is, in plain words, from stored facts only.
//!
//! Must not guess: every sentence says what a record or a timeline entry holds.

use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use super::timeline_shapes::InputRef;
use crate::core::alert::{AlertStatus, EndedBy, Late};
use crate::core::incident::IncidentState;
use crate::core::severity::Grade;
use crate::core::time::Timestamp;
use crate::store::query::Page;
use crate::store::query::alerts::AlertView;
use crate::store::query::incidents::IncidentView;
use crate::store::query::timeline::{self, Subject, TimelineView};
use crate::store::{Conn, StoreError};

/// Decisions in an explanation at most; the timeline has them all.
const DECISIONS_MAX: u32 = 500;

/// Why an incident or alert is what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// What it is about.
    #[schema(example = "INC-42")]
    subject: String,
    /// One paragraph in plain words.
    summary: String,
    /// What makes an alert this alert; null for incidents.
    key: Option<KeyParts>,
    /// How its configuration item is looked for, as the CMDB and the rules are now; empty for incidents.
    binding: Vec<String>,
    /// Every decision in order, the last 500 at most.
    decisions: Vec<DecisionStep>,
    /// Whether earlier decisions are left out here; the timeline has them.
    truncated: bool,
}

impl Explanation {
    /// Adds the steps in which the configuration item is looked for.
    #[must_use]
    pub fn with_binding(mut self, steps: Vec<String>) -> Self {
        self.binding = steps;
        self
    }
}

/// An alert key taken apart.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyParts {
    /// The whole key.
    #[schema(example = "alertmanager:v1:bbeccb151ae67847")]
    text: String,
    /// The source that it is of.
    source: String,
    /// The version of the derivation.
    #[schema(example = "v1")]
    version: String,
    /// The source's own identifier of the alert.
    payload: String,
}

/// One decision.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionStep {
    /// When it was made.
    at: Time,
    /// The position of the input in the log.
    seq: i64,
    /// Why, as a stable word.
    reason: &'static str,
    /// Why, as a sentence.
    text: &'static str,
    /// What was said, or a detail in words.
    note: Option<String>,
    /// Who, if it was a person or program.
    actor: Option<String>,
    /// The alert, if it was about one.
    alert: Option<String>,
    /// The incident, if it was about one.
    incident: Option<String>,
    /// The input that led to it; null when it was deleted since.
    input: Option<InputRef>,
}

/// The last decisions about something, oldest first, and whether there are earlier ones.
#[derive(Debug)]
pub struct Steps {
    views: Vec<TimelineView>,
    is_truncated: bool,
}

/// Reads the last decisions about something.
///
/// # Errors
/// The database cannot be read.
pub async fn steps(conn: Conn<'_>, subject: Subject) -> Result<Steps, StoreError> {
    let page = Page {
        limit: DECISIONS_MAX,
        is_newest_first: true,
        after: None,
    };
    let listed = timeline::list(conn, subject, page).await?;
    let mut views = listed.items;
    views.reverse();
    Ok(Steps {
        views,
        is_truncated: listed.next.is_some(),
    })
}

/// Explains an incident; `first` is the alert that it was opened for, `clocks` how its due times came about.
pub fn incident(
    view: &IncidentView,
    first: Option<&AlertView>,
    clocks: Vec<String>,
    steps: Steps,
) -> Explanation {
    let incident = &view.incident;
    let id = incident.id;
    let opened_at = Time(incident.opened_at);
    let mut says = Vec::new();
    says.push(match first {
        Some(first) => format!(
            "{id} was opened at {opened_at} for alert {} of source {}: {}.",
            first.alert.id,
            first.source,
            trimmed(&first.summary)
        ),
        None => format!("{id} was opened at {opened_at}."),
    });
    if let Some(previous) = incident.previous {
        says.push(format!("It continues {previous}."));
    }
    says.push(format!(
        "It has {}, of which {} now, and counts {}.",
        several(i64::from(incident.total), "alert"),
        match incident.firing {
            0 => "none fires".to_owned(),
            1 => "1 fires".to_owned(),
            firing => format!("{firing} fire"),
        },
        several(view.events, "message"),
    ));
    if view.undelivered > 0 {
        let left_out = several(view.undelivered, "alert");
        says.push(format!(
            "The sources left {left_out} of the same groups out of their messages."
        ));
    }
    says.extend(suppressed_sentence(
        "Every alert that fires is",
        &view.suppressed_by,
    ));
    if let Some(view) = &view.cause {
        says.extend(view.cause.why.iter().map(ToString::to_string));
    }
    says.push(priority_sentence(view));
    if let Some(into) = incident.merged_into {
        says.push(format!("It was merged into {into}."));
    }
    says.push(state_sentence(view));
    says.extend(owner_sentence(view));
    if let Some(at) = incident.recovers_at {
        says.push(format!(
            "All its alerts have ended; it resolves at {} if none fires before.",
            Time(at)
        ));
    }
    says.extend(clocks);
    explanation(id.to_string(), &says, None, steps)
}

/// Explains an alert.
pub fn alert(view: &AlertView, why: Option<String>, steps: Steps) -> Explanation {
    let alert = &view.alert;
    let (id, source) = (alert.id, &view.source);
    let mut says = vec![format!(
        "{id} is what source {source} calls {}: {}.",
        key_payload(view),
        trimmed(&view.summary)
    )];
    let (since, until) = (
        Time(alert.starts_at),
        alert.ends_at.unwrap_or(alert.lease_at),
    );
    says.push(match alert.status {
        AlertStatus::Firing => format!(
            "It fires since {since} with severity {}, and counts as ended at {} unless the source repeats it.",
            alert.severity.word(),
            Time(alert.lease_at)
        ),
        AlertStatus::Ended(by) => {
            let how = match by {
                EndedBy::Resolved => "the source said that it was over",
                EndedBy::Expired => "the source had not repeated it in time",
                EndedBy::Reconciled => "the source's own list no longer held it",
                EndedBy::Person => "a person resolved the incident",
            };
            format!("It fired from {since} to {}, when {how}.", Time(until))
        }
    });
    says.push(format!(
        "{} about it came {}, in {}.",
        capital(&several(alert.count, "message")),
        period(alert.first_seen_at, alert.last_seen_at),
        several(i64::from(alert.episode), "episode"),
    ));
    if matches!(alert.status, AlertStatus::Ended(EndedBy::Person)) && alert.last_seen_at > until {
        says.push(
            "Its source has said since then that it fires; shortly after a person has resolved the incident that is only \
             counted, later it opens a new one."
                .to_owned(),
        );
    }
    match alert.late {
        Late::None => {}
        Late::Parked(at) => {
            says.push(format!(
                "A late firing message waits until {} to be confirmed.",
                Time(at)
            ));
        }
        Late::Discarded => says.push("A late firing message was not confirmed in time.".to_owned()),
    }
    says.extend(suppressed_sentence("It is", &view.suppressed_by));
    says.push(match alert.incident {
        Some(incident) if alert.is_firing() => format!("It belongs to {incident}."),
        Some(incident) => format!("It last belonged to {incident}."),
        None => "It belongs to no incident.".to_owned(),
    });
    says.extend(why);
    says.push(match (&view.ci, &view.binding) {
        (Some(ci), Some(binding)) => format!("It is about {}: {}", ci.id, binding.reason),
        (None, Some(binding)) => {
            format!("It is bound to no configuration item. {}", binding.reason)
        }
        (_, None) => "It is bound to no configuration item, because no CMDB is loaded.".to_owned(),
    });
    explanation(id.to_string(), &says, Some(key_parts(view)), steps)
}

/// What keeps people from being told.
fn suppressed_sentence(subject: &str, by: &[String]) -> Option<String> {
    let by: Vec<_> = by
        .iter()
        .map(|by| match by.split_once(':') {
            Some(("incident", id)) => {
                format!("{id}, which people know of and on whose root cause it depends")
            }
            Some((kind, id)) => format!("{kind} {id}"),
            None => "its source, which mutes it on its own side".to_owned(),
        })
        .collect();
    (!by.is_empty()).then(|| {
        format!(
            "{subject} suppressed by {}: people are not told.",
            by.join(", ")
        )
    })
}

fn explanation(
    subject: String,
    says: &[String],
    key: Option<KeyParts>,
    steps: Steps,
) -> Explanation {
    Explanation {
        subject,
        summary: says.join(" "),
        key,
        binding: Vec::new(),
        truncated: steps.is_truncated,
        decisions: steps.views.into_iter().map(DecisionStep::from).collect(),
    }
}

fn priority_sentence(view: &IncidentView) -> String {
    let incident = &view.incident;
    let standing = view.standing.as_ref();
    let priority = incident.priority.word();
    if let Some(given) = standing.and_then(|standing| standing.given.as_ref()) {
        let (by, at) = (&given.by, Time(given.at));
        return format!(
            "Its priority is {priority}: {by} set it at {at}: {}.",
            trimmed(&given.reason)
        );
    }
    let grade = standing.map(|standing| standing.grade);
    let grade = grade.unwrap_or_else(|| Grade::of_severity(incident.severity));
    let services = view.cause.as_ref().map(|view| view.cause.services.len());
    let reached = match services {
        None => "as long as no CMDB tells what is reached".to_owned(),
        Some(0) => "and no service is known to be reached".to_owned(),
        Some(1) => "and one service is reached".to_owned(),
        Some(count) => format!("and {count} services are reached"),
    };
    let lower = standing.and_then(|standing| standing.lower_at);
    let lower = lower.map_or_else(String::new, |at| {
        format!(
            " It falls at {} unless the incident grows before.",
            Time(at)
        )
    });
    format!(
        "Its priority is {priority}, by impact {} and urgency {}: the worst severity is {} {reached}.{lower}",
        grade.impact,
        grade.urgency,
        incident.severity.word(),
    )
}

fn state_sentence(view: &IncidentView) -> String {
    let incident = &view.incident;
    let at =
        |time: Option<_>| time.map_or_else(String::new, |time| format!(" since {}", Time(time)));
    match &incident.state {
        IncidentState::New => "It is new: nobody has acknowledged it.".to_owned(),
        IncidentState::Acknowledged { until } => {
            let until = until.map_or_else(String::new, |until| format!(", until {}", Time(until)));
            format!("It is acknowledged{}{until}.", at(incident.acknowledged_at))
        }
        IncidentState::InProgress => "It is in progress.".to_owned(),
        IncidentState::OnHold { until, reason } => {
            let until = until.map_or_else(String::new, |until| format!(", until {}", Time(until)));
            format!("It is on hold{until}: {}.", trimmed(reason))
        }
        IncidentState::Resolved { close_at } => {
            let resolved = at(incident.resolved_at);
            format!(
                "It is resolved{resolved} and closes at {}.",
                Time(*close_at)
            )
        }
        IncidentState::Closed { .. } => format!("It is closed{}.", at(incident.closed_at)),
    }
}

fn owner_sentence(view: &IncidentView) -> Option<String> {
    let owner = view.incident.owner.as_deref()?;
    let names = [&owner.assignee, &owner.team].into_iter().flatten();
    let names: Vec<_> = names.map(|name| name.as_str()).collect();
    (!names.is_empty()).then(|| format!("It is with {}.", names.join(", ")))
}

/// When something happened for the first and the last time.
fn period(first: Timestamp, last: Timestamp) -> String {
    if first == last {
        format!("at {}", Time(first))
    } else {
        format!("between {} and {}", Time(first), Time(last))
    }
}

impl From<TimelineView> for DecisionStep {
    fn from(view: TimelineView) -> Self {
        Self {
            at: view.at.into(),
            seq: view.seq,
            reason: view.reason.code(),
            text: view.reason.sentence(),
            note: view.note,
            actor: view.actor,
            alert: view.alert.map(|alert| alert.to_string()),
            incident: view.incident.map(|incident| incident.to_string()),
            input: view.input.map(|input| InputRef::new(view.seq, input)),
        }
    }
}

fn key_parts(view: &AlertView) -> KeyParts {
    let rest = view
        .key
        .strip_prefix(&view.source)
        .and_then(|rest| rest.strip_prefix(':'));
    let (version, payload) = rest.unwrap_or_default().split_once(':').unwrap_or_default();
    KeyParts {
        text: view.key.clone(),
        source: view.source.clone(),
        version: version.to_owned(),
        payload: payload.to_owned(),
    }
}

fn key_payload(view: &AlertView) -> String {
    key_parts(view).payload
}

/// A text as the end of a sentence.
fn trimmed(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

fn several(count: i64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
