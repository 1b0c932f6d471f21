//! The Events API of PagerDuty, versions 2 and 1, as its senders speak it.
//!
//! The key of an alert is the sender's `dedup_key`. A resolve names an alert and says nothing else, so it has no text.
//! Senders put the time of the event, not of the episode, into `timestamp`: it is shown and decides nothing, and a
//! trigger after a resolve is a new episode, as it is at PagerDuty. An acknowledgement and a change event make no
//! observation; the latter is a change. What is stored is the event without its routing key, in an object that says how it came ([`receive`]).
//! Must not keep a routing key.
//! Source: PagerDuty/api-schema `reference/events-v2`, "Events API v1"; prometheus/alertmanager `notify/pagerduty`.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use smol_str::{SmolStr, format_smolstr};

use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation, clean};
use crate::core::records::change::{ChangeState, ChangeWanted};
use crate::core::severity::Severity;
use crate::sources::flat::{TextDraft, scalar_or_json};
use crate::sources::json::{self, Fields};
use crate::sources::test_messages::is_test;
use crate::sources::tried::Tried;
use crate::sources::{DecodeError, Decoded, Message, Note, Source, severity_words, time_text};

/// The source kind `pagerduty`.
#[derive(Clone, Copy, Debug)]
pub struct PagerDuty;

/// Names under which the routing key comes.
const KEY_FIELDS: [&str; 2] = ["routing_key", "service_key"];
const HINT: &str = "this is not an event of PagerDuty's Events API";
const ACTION_HINT: &str = "send an event of the Events API, version 2 or 1";
const BLANK: &str = "is missing or blank";
/// What version 2 calls how bad it is.
const SEVERITIES: [(&str, Severity); 4] = [
    ("critical", Severity::Critical),
    ("error", Severity::High),
    ("warning", Severity::Warning),
    ("info", Severity::Info),
];
/// How bad an event of version 1 is, which has no field for it.
const SEVERITY_V1: Severity = Severity::High;

/// Which call of the API an event came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST /v2/enqueue`
    Enqueue,
    /// `POST /v2/change/enqueue`
    Change,
    /// `POST /generic/2010-04-15/create_event.json`, version 1.
    CreateEvent,
}

impl Call {
    const ALL: [Self; 3] = [Self::Enqueue, Self::Change, Self::CreateEvent];

    const fn word(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Change => "change",
            Self::CreateEvent => "create_event",
        }
    }

    const fn action_field(self) -> &'static str {
        match self {
            Self::Enqueue | Self::Change => "event_action",
            Self::CreateEvent => "event_type",
        }
    }

    const fn key_field(self) -> &'static str {
        match self {
            Self::Enqueue | Self::Change => "dedup_key",
            Self::CreateEvent => "incident_key",
        }
    }
}

/// What an event wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The alert fires.
    Trigger,
    /// Somebody has taken notice.
    Acknowledge,
    /// It is over.
    Resolve,
}

const ACTIONS: [(&str, Action); 3] = [
    ("trigger", Action::Trigger),
    ("acknowledge", Action::Acknowledge),
    ("resolve", Action::Resolve),
];

/// An event that came in, before anything in it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sends; empty when it is not said.
    pub routing_key: String,
    /// What is wanted, if it is a word of the protocol; `None` for changes.
    pub action: Option<Action>,
    /// The sender's key of the alert, or the one that was made for it.
    pub dedup_key: String,
    /// What is to be stored and decoded.
    pub stored: Vec<u8>,
}

/// Takes an event apart. `new_key` is the key of a trigger that comes without one.
///
/// # Errors
/// The body is no JSON object.
pub fn receive(call: Call, body: &[u8], new_key: &str) -> Result<Received, DecodeError> {
    let text = json::mend_surrogates(json::text(body)?);
    let fields = object(&text)?;
    let routing_key = KEY_FIELDS.map(|name| text_of(&fields, name));
    let action = match call {
        Call::Change => None,
        Call::Enqueue | Call::CreateEvent => action_of(call, &fields).ok(),
    };
    let mut dedup_key = text_of(&fields, call.key_field());
    if dedup_key.is_empty() && action == Some(Action::Trigger) {
        new_key.clone_into(&mut dedup_key);
    }
    let stored = Stored {
        call,
        dedup_key: &dedup_key,
        event: &fields,
    };
    Ok(Received {
        routing_key: routing_key
            .into_iter()
            .find(|key| !key.is_empty())
            .unwrap_or_default(),
        action,
        // Values were read as JSON before, so they can be written as such.
        stored: serde_json::to_vec(&stored).unwrap_or_default(),
        dedup_key,
    })
}

/// The stored form of an event.
struct Stored<'a> {
    call: Call,
    dedup_key: &'a str,
    event: &'a Fields<'a>,
}

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("call", self.call.word())?;
        map.serialize_entry("dedup_key", self.dedup_key)?;
        map.serialize_entry("event", &self.event.without(&KEY_FIELDS))?;
        map.end()
    }
}

impl Source for PagerDuty {
    fn kind(&self) -> &'static str {
        "pagerduty"
    }

    fn example(&self) -> &'static str {
        r#"{"routing_key":"0123456789abcdef0123456789abcdef","event_action":"trigger","dedup_key":"db1/disk",
"client":"disk check","client_url":"https://checks.example/db1","links":[{"href":"https://wiki.example/disk","text":"runbook"}],
"payload":{"summary":"disk full on db1","source":"db1","severity":"critical","component":"disk","group":"storage",
"class":"capacity","timestamp":"2026-01-01T00:00:05.000+0000","custom_details":{"used":"97"}}}"#
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        let text = json::mend_surrogates(json::text(message.body)?);
        let whole = object(&text)?;
        let (Some(word), Some(event)) = (whole.get("call"), whole.get("event")) else {
            return decode_event(message, guessed_call(&whole), "", &whole);
        };
        let word = scalar_or_json(word);
        let call = Call::ALL.into_iter().find(|call| call.word() == word);
        let call =
            call.ok_or_else(|| wrong("call", "is not a call of the Events API".to_owned()))?;
        decode_event(
            message,
            call,
            &text_of(&whole, "dedup_key"),
            &object(event)?,
        )
    }

    fn explain(&self, message: &Message<'_>) -> Result<Tried, DecodeError> {
        let text = json::mend_surrogates(json::text(message.body)?);
        let event = object(&text)?;
        if event.get("call").is_some() {
            return self.decode(message).map(Tried::from);
        }
        let call = guessed_call(&event);
        let is_trigger = action_of(call, &event).is_ok_and(|action| action == Action::Trigger);
        let made = if is_trigger { KEY_MADE } else { "" };
        let mut tried = decode_event(message, call, made, &event).map(Tried::from)?;
        if is_trigger && text_of(&event, call.key_field()).is_empty() {
            let advice = format!(
                "{} is missing: every event becomes an alert of its own, and nothing resolves it",
                call.key_field()
            );
            tried.advice.push(advice);
        }
        tried.key_from(|item| vec![(call.key_field().to_owned(), item.key_payload().to_owned())]);
        Ok(tried)
    }
}

/// What stands for the key that is made for a trigger without one.
const KEY_MADE: &str = "made-for-each-event";

/// The call of an event that is tried by a person: only version 1 has an `event_type`.
fn guessed_call(fields: &Fields<'_>) -> Call {
    if text_of(fields, Call::CreateEvent.action_field()).is_empty() {
        Call::Enqueue
    } else {
        Call::CreateEvent
    }
}

fn decode_event(
    message: &Message<'_>,
    call: Call,
    given_key: &str,
    event: &Fields<'_>,
) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    if call == Call::Change {
        let change = change_of(message, event)?;
        decoded.skip_count = 1;
        decoded.changes.push(change);
        return Ok(decoded);
    }
    let action = action_of(call, event)?;
    let mut key = text_of(event, call.key_field());
    if key.is_empty() {
        given_key.clone_into(&mut key);
    }
    if key.is_empty() {
        return Err(wrong(call.key_field(), BLANK.to_owned()));
    }
    let dedup_key = key;
    let key = AlertKey::new(message.source, &dedup_key);
    match action {
        Action::Trigger => {
            let (severity, text, text_hash) = match call {
                Call::Enqueue | Call::Change => text_v2(event, &mut decoded)?,
                Call::CreateEvent => text_v1(event)?,
            };
            if is_test(&dedup_key, &text) {
                decoded.test_count = 1;
                return Ok(decoded);
            }
            let trigger = Observation {
                severity,
                text_hash,
                text: Arc::new(text),
                ..silent(key, Claim::Firing)
            };
            decoded.observations.push(trigger);
        }
        Action::Resolve => decoded.observations.push(silent(key, Claim::Resolved)),
        Action::Acknowledge => {
            let what =
                "acknowledges the alert; that is a command to its incident, not an observation";
            skip(&mut decoded, call.action_field(), what);
        }
    }
    Ok(decoded)
}

/// What a change event says: something was done, at a time, to what is named in `payload.source`.
fn change_of(message: &Message<'_>, event: &Fields<'_>) -> Result<ChangeWanted, DecodeError> {
    let payload = object_field(event, "payload")?;
    required(&payload, "summary", "payload.summary")?;
    let named = |fields: &Fields<'_>, name: &str| {
        let mut text = SmolStr::from(text_of(fields, name));
        clean(&mut text, limits::LABEL_BYTES_MAX);
        Some(text).filter(|text| !text.trim().is_empty())
    };
    let details = payload.get("custom_details").map(object);
    let details = details.and_then(Result::ok).unwrap_or_default();
    let cis = ["ci", "service", "host", "component", "application"];
    let mut cis: Vec<SmolStr> = cis
        .into_iter()
        .filter_map(|name| named(&details, name))
        .collect();
    cis.extend(named(&payload, "source"));
    cis.dedup();
    let links = event.get("links");
    let links: Vec<Fields<'_>> = links
        .and_then(|links| serde_json::from_str(links).ok())
        .unwrap_or_default();
    let id = named(event, "dedup_key").or_else(|| named(&details, "id"));
    let at = named(&payload, "timestamp");
    let at = at.and_then(|at| time_text::read(&at).ok().flatten());
    Ok(ChangeWanted {
        key: id
            .as_ref()
            .map(|id| format_smolstr!("{}:{id}", message.source)),
        external_id: id,
        source: SmolStr::new(message.source),
        summary: named(&payload, "summary"),
        kind: named(&details, "type").or_else(|| Some(SmolStr::new_static("deployment"))),
        state: named(&details, "state")
            .or_else(|| named(&details, "status"))
            .and_then(|word| ChangeState::from_any_word(&word)),
        by: named(&details, "user").or_else(|| named(&details, "author")),
        cis: (!cis.is_empty()).then_some(cis),
        url: links.iter().find_map(|link| named(link, "href")),
        starts_at: at,
        ..ChangeWanted::default()
    })
}

/// A claim that only names its alert.
pub(super) fn silent(key: AlertKey, claim: Claim) -> Observation {
    Observation {
        key,
        claim,
        starts_at: None,
        ends_at: None,
        severity: severity_words::DEFAULT,
        text_hash: 0,
        text: Arc::new(AlertText::default()),
        undelivered: 0,
        is_retained: false,
    }
}

fn text_v2(
    event: &Fields<'_>,
    decoded: &mut Decoded,
) -> Result<(Severity, AlertText, u64), DecodeError> {
    let payload = object_field(event, "payload")?;
    let summary = required(&payload, "summary", "payload.summary")?;
    let word = required(&payload, "severity", "payload.severity")?;
    let severity = SEVERITIES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&word));
    let severity = severity.ok_or_else(|| {
        let words = "must be one of the following: 'critical', 'warning', 'error' or 'info'";
        wrong("payload.severity", format!("is invalid ({words})"))
    })?;
    if text_of(&payload, "source").is_empty() {
        decoded.note(|| Note {
            path: "payload.source".to_owned(),
            problem: "is missing; the alert is taken all the same".to_owned(),
        });
    }
    let mut draft = TextDraft::default();
    if let Some(details) = payload.get("custom_details") {
        draft.details("custom_details", details);
    }
    for name in ["source", "component", "group", "class"] {
        draft.label(name, &text_of(&payload, name));
    }
    draft.label("severity", &word);
    // Alertmanager and others put their own name there; that is no affected system.
    let (place, client) = (text_of(&payload, "source"), text_of(event, "client"));
    if place != client {
        draft.hint(&place);
    }
    common(&mut draft, event);
    let (text, hash) = draft.finish(&summary, &text_of(&payload, "timestamp"));
    Ok((severity.1, text, hash))
}

fn text_v1(event: &Fields<'_>) -> Result<(Severity, AlertText, u64), DecodeError> {
    let summary = required(event, "description", "description")?;
    let mut draft = TextDraft::default();
    let mut severity = SEVERITY_V1;
    if let Some(details) = event.get("details") {
        let named = object(details).map(|details| text_of(&details, "severity"));
        severity = named
            .ok()
            .and_then(|word| severity_words::known(&word))
            .unwrap_or(severity);
        draft.details("details", details);
    }
    common(&mut draft, event);
    let (text, hash) = draft.finish(&summary, "");
    Ok((severity, text, hash))
}

/// What both versions have around the payload.
fn common(draft: &mut TextDraft, event: &Fields<'_>) {
    draft.annotation("client", &text_of(event, "client"));
    draft.link(&text_of(event, "client_url"));
    for (list, address, label) in [
        ("links", "href", "text"),
        ("images", "src", "alt"),
        ("contexts", "href", "text"),
    ] {
        let items = event.get(list).map(serde_json::from_str::<Vec<Fields<'_>>>);
        let Some(Ok(items)) = items else { continue };
        let lines = items.iter().map(|item| {
            let address = text_of(item, address);
            draft.link(&address);
            format!("{} {address}", text_of(item, label))
                .trim()
                .to_owned()
        });
        let lines: Vec<String> = lines.collect();
        draft.annotation(list, &lines.join("\n"));
    }
}

fn skip(decoded: &mut Decoded, path: &str, what: &str) {
    decoded.skip_count = 1;
    decoded.note(|| Note {
        path: path.to_owned(),
        problem: what.to_owned(),
    });
}

fn action_of(call: Call, event: &Fields<'_>) -> Result<Action, DecodeError> {
    let field = call.action_field();
    let word = required(event, field, field)?;
    let known = ACTIONS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&word));
    known.map(|(_, action)| *action).ok_or_else(|| {
        let words = "must be one of the following: 'trigger', 'acknowledge' or 'resolve'";
        wrong(field, format!("is invalid ({words})"))
    })
}

fn object(text: &str) -> Result<Fields<'_>, DecodeError> {
    serde_json::from_str(text).map_err(|error| json::error_of(&error, HINT))
}

fn object_field<'a>(event: &Fields<'a>, name: &str) -> Result<Fields<'a>, DecodeError> {
    let raw = event.get(name).filter(|&raw| raw != "null");
    let raw = raw.ok_or_else(|| wrong(name, BLANK.to_owned()))?;
    object(raw).map_err(|_| wrong(name, format!("is {}, not an object", json::kind_of(raw))))
}

fn required(fields: &Fields<'_>, name: &str, path: &str) -> Result<String, DecodeError> {
    let text = text_of(fields, name);
    if text.is_empty() {
        return Err(wrong(path, BLANK.to_owned()));
    }
    Ok(text)
}

/// A field as trimmed text; empty when it is missing or null.
pub(super) fn text_of(fields: &Fields<'_>, name: &str) -> String {
    let text = fields.get(name).map(scalar_or_json).unwrap_or_default();
    text.trim().to_owned()
}

fn wrong(path: &str, problem: String) -> DecodeError {
    DecodeError::WrongShape {
        path: path.to_owned(),
        problem,
        hint: ACTION_HINT,
    }
}
