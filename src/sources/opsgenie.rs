//! The alert API of Opsgenie as its clients speak it.
//!
//! The key of an alert is its alias. Calls name their alert in the path, so what is stored is an object of the call,
//! the alert and the body ([`store`]); a bare body is read as the creation of an alert. Closing names an alert and
//! says nothing else, so it has no text. An acknowledgement and a note make no observation; changes of one part are in
//! `opsgenie_update`. Texts over the limits of the service are taken. Must not keep an API key.
//! Source: opsgenie/opsgenie-go-sdk-v2 `alert/`, "Opsgenie Alert API"; prometheus/alertmanager `notify/opsgenie`.

use std::sync::Arc;

use serde::Serialize;
use smol_str::SmolStr;

use crate::core::identity::AlertKey;
use crate::core::observation::{AlertText, Claim, Observation};
use crate::core::severity::Severity;
use crate::sources::flat::{TextDraft, scalar_or_json};
use crate::sources::json::{self, Fields};
use crate::sources::opsgenie_update::{self, Known};
use crate::sources::pagerduty::{silent, text_of};
use crate::sources::test_messages::is_test;
use crate::sources::tried::Tried;
use crate::sources::{DecodeError, Decoded, Message, Note, Source};

/// The source kind `opsgenie`.
#[derive(Clone, Copy, Debug)]
pub struct Opsgenie;

const HINT: &str = "this is not a request of Opsgenie's alert API";
const PRIORITIES: [(&str, Severity); 5] = [
    ("P1", Severity::Critical),
    ("P2", Severity::High),
    ("P3", Severity::Warning),
    ("P4", Severity::Low),
    ("P5", Severity::Info),
];
/// How bad an alert without a priority is: P3.
const DEFAULT: Severity = Severity::Warning;

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Create an alert, or count another occurrence of an open one.
    Create,
    /// Close it.
    Close,
    /// Delete it, which ends it as well.
    Delete,
    /// Take notice.
    Acknowledge,
    /// Say something about it.
    AddNote,
    /// Replace its message.
    UpdateMessage,
    /// Replace its description.
    UpdateDescription,
    /// Replace its priority.
    UpdatePriority,
    /// Add tags.
    AddTags,
    /// Add details, or replace those of the same names.
    AddDetails,
    /// Anything else that the service can do to an alert; kept, without effect.
    Other,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Close,
        Self::Delete,
        Self::Acknowledge,
        Self::AddNote,
        Self::UpdateMessage,
        Self::UpdateDescription,
        Self::UpdatePriority,
        Self::AddTags,
        Self::AddDetails,
        Self::Other,
    ];

    /// The name in the stored form, which is also the `action` of a request's status.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Close => "Close",
            Self::Delete => "Delete",
            Self::Acknowledge => "Acknowledge",
            Self::AddNote => "AddNote",
            Self::UpdateMessage => "UpdateMessage",
            Self::UpdateDescription => "UpdateDescription",
            Self::UpdatePriority => "UpdatePriority",
            Self::AddTags => "AddTags",
            Self::AddDetails => "AddDetails",
            Self::Other => "Other",
        }
    }

    /// Whether it changes one part of an alert, for which the alert has to be known.
    pub const fn is_update(self) -> bool {
        match self {
            Self::UpdateMessage
            | Self::UpdateDescription
            | Self::UpdatePriority
            | Self::AddTags
            | Self::AddDetails => true,
            Self::Create
            | Self::Close
            | Self::Delete
            | Self::Acknowledge
            | Self::AddNote
            | Self::Other => false,
        }
    }
}

/// Which alert a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one with this alias.
    Alias(String),
    /// The one with this key, which was found by its id.
    Key(AlertKey),
    /// One that nobody has heard of, by the identifier given.
    Unknown(String),
}

/// Puts call, alert and body into the form that is stored and decoded. For [`Call::Create`] the target is the alias
/// that is used when the body has none; for a call that changes a part of an alert, `known` is the alert as it stands.
///
/// # Errors
/// The body is neither empty nor a JSON object.
pub fn store(
    call: Call,
    target: &Target,
    known: Option<&Known>,
    body: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    #[derive(Serialize)]
    struct Stored<'a> {
        call: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        alias: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        known: Option<&'a Known>,
        body: Fields<'a>,
    }
    let text = match json::text(body) {
        Err(DecodeError::Empty) if call != Call::Create => "{}",
        text => text?,
    };
    let text = json::mend_surrogates(text);
    let mut stored = Stored {
        call: call.word(),
        alias: None,
        key: None,
        unknown: None,
        known,
        body: object(&text)?.without(&["apiKey"]),
    };
    match target {
        Target::Alias(alias) => stored.alias = Some(alias),
        Target::Key(key) => stored.key = Some(key.text()),
        Target::Unknown(identifier) => stored.unknown = Some(identifier),
    }
    // Values were read as JSON before, so they can be written as such.
    Ok(serde_json::to_vec(&stored).unwrap_or_default())
}

/// What a stored request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is wanted.
    pub call: Call,
    /// The alert; `None` when the request names one that nobody had heard of.
    pub key: Option<AlertKey>,
    /// Its alias as far as it is known.
    pub alias: String,
    /// Who wants it, as the client says; may be empty.
    pub user: String,
    /// The note that comes with it; may be empty.
    pub note: String,
}

/// Reads a stored request, or a bare body as the creation of an alert.
///
/// # Errors
/// It lacks what the call needs.
pub fn read(source: &str, stored: &[u8]) -> Result<Request, DecodeError> {
    let text = json::mend_surrogates(json::text(stored)?);
    let whole = object(&text)?;
    split(source, &whole).map(|(request, _)| request)
}

fn split<'a>(source: &str, whole: &Fields<'a>) -> Result<(Request, Fields<'a>), DecodeError> {
    let (call, body) = match (whole.get("call"), whole.get("body")) {
        (Some(word), Some(body)) => {
            let word = scalar_or_json(word);
            let call = Call::ALL.into_iter().find(|call| call.word() == word);
            let call = call.ok_or_else(|| wrong("call", "is not a call of the alert API"))?;
            (call, object(body)?)
        }
        _ => (Call::Create, whole.clone()),
    };
    let alias = match call {
        Call::Create => [text_of(&body, "alias"), text_of(whole, "alias")],
        Call::Close
        | Call::Delete
        | Call::Acknowledge
        | Call::AddNote
        | Call::UpdateMessage
        | Call::UpdateDescription
        | Call::UpdatePriority
        | Call::AddTags
        | Call::AddDetails
        | Call::Other => [text_of(whole, "alias"), text_of(whole, "unknown")],
    };
    let alias = alias
        .into_iter()
        .find(|alias| !alias.is_empty())
        .unwrap_or_default();
    let is_named = call == Call::Create || whole.get("alias").is_some();
    let key = match text_of(whole, "key") {
        // A key of another source is none.
        key if key.starts_with(AlertKey::new(source, "").text().as_str()) => {
            Some(AlertKey::from_text(SmolStr::new(key)))
        }
        _ if is_named && !alias.is_empty() => Some(AlertKey::new(source, &alias)),
        _ => None,
    };
    let request = Request {
        call,
        key,
        alias,
        user: text_of(&body, "user"),
        note: text_of(&body, "note"),
    };
    Ok((request, body))
}

/// What stands for the alias that is made for a request without one.
const ALIAS_MADE: &str = "made-for-each-request";

impl Source for Opsgenie {
    fn kind(&self) -> &'static str {
        "opsgenie"
    }

    fn example(&self) -> &'static str {
        r#"{"message":"disk full on db1","alias":"db1-disk","description":"97 % of /var is used","priority":"P1",
"entity":"db1","source":"disk check","tags":["storage","prod"],"details":{"used":"97"},
"responders":[{"type":"team","name":"storage"}]}"#
    }

    fn explain(&self, message: &Message<'_>) -> Result<Tried, DecodeError> {
        let text = json::mend_surrogates(json::text(message.body)?);
        if object(&text)?.get("call").is_some() {
            return self.decode(message).map(Tried::from);
        }
        let alias = Target::Alias(ALIAS_MADE.to_owned());
        let stored = store(Call::Create, &alias, None, message.body)?;
        let stored = Message {
            body: &stored,
            ..*message
        };
        let mut tried = self.decode(&stored).map(Tried::from)?;
        if text_of(&object(&text)?, "alias").is_empty() {
            let advice = "alias is missing: every request becomes an alert of its own";
            tried.advice.push(advice.to_owned());
        }
        tried.key_from(|item| vec![("alias".to_owned(), item.key_payload().to_owned())]);
        Ok(tried)
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        let text = json::mend_surrogates(json::text(message.body)?);
        let whole = object(&text)?;
        let (request, body) = split(message.source, &whole)?;
        let mut decoded = Decoded::default();
        match (request.call, request.key) {
            (Call::Create, key) => {
                let observation = created(key, &body, &mut decoded)?;
                if is_test(&request.alias, &observation.text) {
                    decoded.test_count = 1;
                } else {
                    decoded.observations.push(observation);
                }
            }
            (Call::Close | Call::Delete, Some(key)) => {
                decoded.observations.push(silent(key, Claim::Resolved));
            }
            (Call::Close | Call::Delete, None) => {
                skip(&mut decoded, "names an alert that nobody has heard of");
            }
            (Call::Acknowledge, _) => {
                skip(
                    &mut decoded,
                    "acknowledges the alert; that is a command to its incident",
                );
            }
            (Call::AddNote, _) if request.note.is_empty() => {
                return Err(wrong("note", "can not be empty."));
            }
            (Call::AddNote, _) => {
                skip(
                    &mut decoded,
                    "adds a note; that is a command to the incident of the alert",
                );
            }
            (
                Call::UpdateMessage
                | Call::UpdateDescription
                | Call::UpdatePriority
                | Call::AddTags
                | Call::AddDetails,
                key,
            ) => updated(request.call, key, &whole, &body, &mut decoded)?,
            (Call::Other, _) => skip(&mut decoded, "is kept; it has no effect in this version"),
        }
        Ok(decoded)
    }
}

/// How bad an alert of a priority is; `None` for what is none.
pub fn priority(word: &str) -> Option<Severity> {
    let mut known = PRIORITIES.iter();
    known
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map(|(_, severity)| *severity)
}

fn created(
    key: Option<AlertKey>,
    body: &Fields<'_>,
    decoded: &mut Decoded,
) -> Result<Observation, DecodeError> {
    let summary = text_of(body, "message");
    if summary.is_empty() {
        return Err(wrong("message", "can not be empty."));
    }
    let key = key.ok_or_else(|| wrong("alias", "is missing; one is made for a request by HTTP"))?;
    let word = text_of(body, "priority");
    let known = priority(&word);
    if known.is_none() && !word.is_empty() {
        decoded.note(|| Note {
            path: "priority".to_owned(),
            problem: "is none of P1 to P5; taken as P3".to_owned(),
        });
    }
    let (text, text_hash) = text(body, &summary);
    Ok(Observation {
        severity: known.unwrap_or(DEFAULT),
        text_hash,
        text: Arc::new(text),
        ..silent(key, Claim::Firing)
    })
}

fn updated(
    call: Call,
    key: Option<AlertKey>,
    whole: &Fields<'_>,
    body: &Fields<'_>,
    decoded: &mut Decoded,
) -> Result<(), DecodeError> {
    opsgenie_update::check(call, body)?;
    let known = whole.get("known").map(serde_json::from_str::<Known>);
    let observation = match (key, known) {
        (Some(key), Some(Ok(known))) => opsgenie_update::observe(call, &key, known, body)?,
        _ => None,
    };
    match observation {
        Some(observation) => decoded.observations.push(observation),
        None => skip(decoded, "changes nothing of an open alert"),
    }
    Ok(())
}

fn text(body: &Fields<'_>, summary: &str) -> (AlertText, u64) {
    let mut draft = TextDraft::default();
    if let Some(details) = body.get("details") {
        draft.details("details", details);
    }
    for name in ["entity", "source", "priority", "tags"] {
        draft.label(name, &text_of(body, name));
    }
    for name in ["description", "note", "user", "actions"] {
        draft.annotation(name, &text_of(body, name));
    }
    draft.hint(&text_of(body, "entity"));
    draft.annotation("responders", &responders(body));
    // Alertmanager and Grafana say there where the alert is shown.
    draft.link(&text_of(body, "source"));
    draft.finish(summary, "")
}

/// Names of teams and people, with commas between.
fn responders(body: &Fields<'_>) -> String {
    let items = body
        .get("responders")
        .map(serde_json::from_str::<Vec<Fields<'_>>>);
    let Some(Ok(items)) = items else {
        return text_of(body, "responders");
    };
    let names = items.iter().map(|item| {
        let names = ["name", "username", "id"].map(|field| text_of(item, field));
        names
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default()
    });
    names
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn skip(decoded: &mut Decoded, what: &str) {
    decoded.skip_count = 1;
    decoded.note(|| Note {
        path: "call".to_owned(),
        problem: what.to_owned(),
    });
}

fn object(text: &str) -> Result<Fields<'_>, DecodeError> {
    serde_json::from_str(text).map_err(|error| json::error_of(&error, HINT))
}

pub(super) fn wrong(path: &str, problem: &str) -> DecodeError {
    DecodeError::WrongShape {
        path: path.to_owned(),
        problem: problem.to_owned(),
        hint: HINT,
    }
}
