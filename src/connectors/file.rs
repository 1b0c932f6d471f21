//! The file of a platform as it stands.
//!
//! Unknown keys are found here. Must not compile anything.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::call::CallFile;
use super::hook::HookFile;
use super::profile::{Caps, Own, state};
use super::text::merge;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFile {
    pub(super) title: String,
    #[serde(default)]
    pub(super) unverified: Vec<String>,
    pub(super) caps: Caps,
    #[serde(default)]
    pub(super) set: Map<String, Json>,
    #[serde(default)]
    pub(super) required: Vec<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) auth: AuthFile,
    pub(super) ticket: TicketFile,
    #[serde(default)]
    pub(super) priority: PriorityFile,
    pub(super) status: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) accepts: BTreeMap<String, Vec<String>>,
    pub(super) find: Option<CallFile>,
    pub(super) get: CallFile,
    pub(super) create: CallFile,
    pub(super) update: Option<CallFile>,
    pub(super) note: Option<CallFile>,
    pub(super) notes: Option<Map<String, Json>>,
    pub(super) ci: Option<Map<String, Json>>,
    pub(super) changes: Option<CallFile>,
    #[serde(default)]
    pub(super) probe: BTreeMap<String, CallFile>,
    #[serde(default)]
    pub(super) lookup: BTreeMap<String, Map<String, Json>>,
    #[serde(default)]
    pub(super) step: Vec<Map<String, Json>>,
    #[serde(default)]
    pub(super) errors: Vec<String>,
    pub(super) limited: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) unauthorized: Option<String>,
    pub(super) hook: Option<HookFile>,
    pub(super) fields: Option<String>,
    /// What differs for records of other kinds, by kind.
    #[serde(default)]
    pub(super) records: BTreeMap<String, Map<String, Json>>,
    /// Settings that make the record another one.
    #[serde(skip)]
    pub(super) fixed: Vec<String>,
}

/// What replaces the profile's own as a whole: tables of codes, and steps.
const WHOLE: [&str; 3] = ["status", "accepts", "step"];

impl ProfileFile {
    /// The file with what differs for one kind of records laid over it.
    pub(super) fn for_records(kind: &str, source: &str) -> Result<Option<Self>, String> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        let mut whole: Json = toml::from_str(source).map_err(|error| wrong(&error))?;
        let records = whole.as_object_mut().and_then(|it| it.remove("records"));
        let Some(Json::Object(over)) = records.and_then(|mut it| it.get_mut(kind).map(Json::take))
        else {
            return Ok(None);
        };
        let fixed = over.get("set").and_then(Json::as_object);
        let fixed = fixed.map(|set| set.keys().cloned().collect());
        for key in WHOLE.iter().filter(|key| over.contains_key(**key)) {
            if let Some(whole) = whole.as_object_mut() {
                whole.remove(*key);
            }
        }
        merge(&mut whole, Json::Object(over));
        let file: Self =
            serde_json::from_value(whole).map_err(|error| format!("records.{kind}: {error}"))?;
        Ok(Some(Self {
            fixed: fixed.unwrap_or_default(),
            ..file
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthFile {
    pub(super) basic: Option<HeaderFile>,
    pub(super) token: Option<HeaderFile>,
    pub(super) oauth: Option<OauthFile>,
    pub(super) login: Option<Map<String, Json>>,
    /// The same for user and password, where both ways open a session.
    pub(super) basic_login: Option<Map<String, Json>>,
    #[serde(default)]
    pub(super) body: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderFile {
    #[serde(default)]
    pub(super) header: Option<String>,
    #[serde(default)]
    pub(super) value: Option<String>,
    /// Whether a token beside a user is the user's password; of `basic`.
    #[serde(default)]
    pub(super) with_token: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OauthFile {
    pub(super) path: String,
    #[serde(default)]
    pub(super) form: BTreeMap<String, String>,
    pub(super) header: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginFile {
    pub(super) token: String,
    pub(super) header: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketFile {
    pub(super) id: String,
    pub(super) number: Option<String>,
    pub(super) url: Option<String>,
    pub(super) key: Option<String>,
    pub(super) status: String,
    pub(super) priority: Option<String>,
    pub(super) assignee: Option<String>,
    pub(super) resolution: Option<String>,
    pub(super) refused: Option<String>,
    pub(super) gone: Option<String>,
    pub(super) updated: Option<String>,
    pub(super) author: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriorityFile {
    #[serde(default)]
    pub(super) out: BTreeMap<String, Map<String, Json>>,
    #[serde(default)]
    pub(super) r#in: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotesFile {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) author: Option<String>,
    /// Whether an entry is a note at all.
    pub(super) when: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CiFile {
    pub(super) id: String,
    /// Whether an item is the CI that was asked for.
    pub(super) when: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupFile {
    pub(super) pick: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFile {
    pub(super) to: Vec<String>,
    #[serde(default)]
    pub(super) when: Vec<String>,
    #[serde(default)]
    pub(super) lookup: Option<String>,
    #[serde(default)]
    pub(super) pick: Option<String>,
}

/// Cuts a table into the keys of its own and those of its request.
pub(super) fn split<T: serde::de::DeserializeOwned>(
    path: &str,
    mut table: Map<String, Json>,
    own: &[&str],
) -> Result<(T, CallFile), String> {
    let mut mine = Map::new();
    for key in own {
        if let Some(value) = table.remove(*key) {
            mine.insert((*key).to_owned(), value);
        }
    }
    let wrong = |error: serde_json::Error| format!("{path}: {error}");
    let mine = serde_json::from_value(Json::Object(mine)).map_err(wrong)?;
    let call = serde_json::from_value(Json::Object(table)).map_err(wrong)?;
    Ok((mine, call))
}

/// Lays the operator's fields over those of the file.
pub(super) fn lay_over(file: &mut ProfileFile, own: &Own) -> Result<(), String> {
    let below = file.fields.clone().unwrap_or_default();
    if !own.fields.is_empty() {
        file.create.lay_over(&below, &own.fields);
    }
    for (word, fields) in &own.on {
        let wanted = state(word).map_err(|why| format!("on: {why}"))?;
        let mut is_there = false;
        for step in &mut file.step {
            let leads = step.get("to").and_then(Json::as_array);
            if leads.is_some_and(|to| to.iter().any(|to| to == wanted.word())) {
                let body = step
                    .entry("body")
                    .or_insert_with(|| Json::Object(Map::new()));
                put_below(body, &below, fields);
                is_there = true;
            }
        }
        if !is_there {
            return Err(format!("on.{word}: the profile has no step to this state"));
        }
    }
    Ok(())
}

/// Puts fields below a path of names into a body.
pub(super) fn put_below(body: &mut Json, path: &str, fields: &Map<String, Json>) {
    let mut over = Json::Object(fields.clone());
    for name in path.rsplit('.').filter(|name| !name.is_empty()) {
        let mut outer = Map::new();
        outer.insert(name.to_owned(), over);
        over = Json::Object(outer);
    }
    merge(body, over);
}
