//! The values that a profile's texts see.
//!
//! Texts come from alerts and people, so they are data only: they are put into trees and encoded into paths, and the
//! mark of a secret cannot be written in them, since it is made of a character that no text keeps.

use minijinja::Value;
use serde_json::{Map, Value as Json, json};
use smol_str::SmolStr;

use super::profile::Profile;
use super::text::value_of;
use crate::core::incident::StateWord;
use crate::core::severity::Priority;

/// The character around the name of a secret; texts lose it when they are received.
const MARK: char = '\0';
/// Secrets that a profile can name.
const SECRETS: [&str; 9] = [
    "basic",
    "token_basic",
    "user",
    "password",
    "token",
    "client_id",
    "client_secret",
    "refresh_token",
    "session",
];

/// What stands in a request in place of a secret.
pub fn secret_mark(name: &str) -> String {
    format!("{MARK}{name}{MARK}")
}

/// What a ticket is made of, besides what the profile knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brief {
    /// The incident as in the API.
    pub incident: Json,
    /// One line.
    pub title: String,
    /// The whole story.
    pub text: String,
    /// What was done, for a ticket that is resolved.
    pub resolution: String,
    /// The person there who has it.
    pub assignee: Option<String>,
    /// The group there that has it.
    pub group: Option<String>,
    /// The configuration item there that it is about, by the platform's id.
    pub ci: Option<String>,
    /// Link to the incident.
    pub link: Option<String>,
    /// Numbers of earlier tickets, if there were some.
    pub former: Vec<String>,
    /// The time, in milliseconds since 1970, for platforms that want one.
    pub now_ms: i64,
}

/// Everything that requests about one ticket may say.
#[derive(Clone, Debug, Default)]
pub struct TicketVars {
    values: Map<String, Json>,
}

impl TicketVars {
    /// The values of a profile without a ticket.
    pub fn new(profile: &Profile) -> Self {
        let secrets: Map<String, Json> = SECRETS
            .iter()
            .map(|name| ((*name).to_owned(), Json::String(secret_mark(name))))
            .collect();
        let mut vars = Self::default();
        vars.put("set", Json::Object(profile.set.clone()));
        vars.values
            .insert("secret".to_owned(), Json::Object(secrets));
        vars
    }

    /// The same, for a ticket with this key.
    pub fn keyed(profile: &Profile, key: &str) -> Self {
        let mut vars = Self::new(profile);
        vars.put("key", json!(key));
        vars
    }

    /// Sets one value.
    pub(super) fn put(&mut self, name: &str, value: Json) {
        self.values.insert(name.to_owned(), clean(value));
    }

    /// Takes one value away.
    pub(super) fn drop(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Puts in what the incident is.
    pub(super) fn brief(&mut self, brief: &Brief) {
        self.put("incident", brief.incident.clone());
        self.put("title", json!(brief.title));
        self.put("text", json!(brief.text));
        self.put("resolution", json!(brief.resolution));
        self.put("assignee", json!(brief.assignee));
        self.put("group", json!(brief.group));
        self.put("ci_id", json!(brief.ci));
        self.put("link", json!(brief.link));
        self.put("former", json!(brief.former));
        self.put("now_ms", json!(brief.now_ms));
    }

    /// Puts in the state and the codes of the priority.
    pub(super) fn grade(
        &mut self,
        profile: &Profile,
        state: Option<StateWord>,
        priority: Option<Priority>,
    ) {
        self.put("state", json!(state.map(StateWord::word)));
        self.put("priority", json!(priority.map(Priority::word)));
        self.put("codes", codes(profile, priority));
    }

    /// Puts in which ticket it is.
    pub(super) fn ticket(&mut self, id: &SmolStr, number: &SmolStr) {
        self.put("id", json!(id.as_str()));
        self.put("number", json!(number.as_str()));
    }

    /// The values for an expression.
    pub(super) fn value(&self) -> Value {
        value_of(&self.values)
    }

    /// What is set, to be added to the values of an answer.
    pub(super) fn values(&self) -> &Map<String, Json> {
        &self.values
    }
}

/// The platform's codes of a priority.
pub(super) fn codes(profile: &Profile, priority: Option<Priority>) -> Json {
    let row = priority.and_then(|priority| profile.priority_out.get(&priority));
    row.map_or(Json::Null, |row| Json::Object(row.clone()))
}

/// A value without the character of secrets.
fn clean(value: Json) -> Json {
    match value {
        Json::String(text) if text.contains(MARK) => Json::String(text.replace(MARK, "")),
        Json::Array(items) => Json::Array(items.into_iter().map(clean).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter();
            Json::Object(fields.map(|(name, value)| (name, clean(value))).collect())
        }
        other @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => other,
    }
}
