//! The file of a platform, checked and compiled.
//!
//! Unknown keys, expressions that are none, variables that do not exist and rows that are missing in a table are found
//! when the configuration is loaded, with the place in the file. Must not hold a fact about a platform.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use super::call::{Call, CallFile};
use super::compile::{Compiler, accepted, priorities, read_ci, read_notes, statuses};
use super::file::{ProfileFile, lay_over};
use super::hook::Hook;
use super::site::site;
use super::text::{Rule, Text};
use crate::core::incident::StateWord;
use crate::core::severity::Priority;
use crate::core::ticket::is_satisfied;
use crate::core::ticket::rules::Reopenable;

/// Variables of requests.
pub(super) const REQUEST_VARS: &[&str] = &[
    "set",
    "secret",
    "grant",
    "key",
    "incident",
    "title",
    "text",
    "note",
    "marker",
    "resolution",
    "state",
    "priority",
    "codes",
    "assignee",
    "group",
    "change",
    "id",
    "number",
    "ticket",
    "lookup",
    "since",
    "page",
    "offset",
    "cursor",
    "link",
    "former",
    "now_ms",
    "ci",
    "ci_id",
];
/// Variables of what is read in answers.
pub(super) const ANSWER_VARS: &[&str] = &[
    "set", "since", "item", "body", "headers", "status", "id", "number", "key", "count", "page",
    "offset", "base", "text", "ci",
];

/// How sure a look-up by key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyClass {
    /// The platform merges by key: sending again is safe.
    Upsert,
    /// The platform refuses a second open ticket of a key.
    Reject,
    /// What was made is found at once.
    Consistent,
    /// What was made is found after a while.
    Eventual,
    /// It cannot be looked up.
    None,
}

/// What a platform can do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a platform, with a name in its file"
)]
pub struct Caps {
    /// How sure a look-up by key is.
    pub key: KeyClass,
    /// Seconds after which what was made is certainly found.
    #[serde(default)]
    pub visible_after_s: u64,
    /// From where a ticket can be opened again: `no`, `resolved`, `closed`.
    #[serde(default)]
    pub(super) reopen: String,
    /// Whether fields, a note and a state can go in one request.
    #[serde(default)]
    pub one_call: bool,
    /// Whether the answer of a create has everything that is read of a ticket.
    #[serde(default)]
    pub create_is_whole: bool,
    /// Whether the answer of a write has everything that is read of a ticket.
    #[serde(default)]
    pub update_is_whole: bool,
    /// Seconds by which polls overlap.
    #[serde(default = "overlap")]
    pub overlap_s: u64,
    /// Whether nothing is written to a ticket that is closed there.
    #[serde(default)]
    pub writes_closed: bool,
    /// Whether lists hold ids only, so that each ticket is read.
    #[serde(default)]
    pub ids_only: bool,
}

fn overlap() -> u64 {
    120
}

impl Caps {
    /// From where a ticket can be opened again.
    pub fn reopenable(&self) -> Reopenable {
        match self.reopen.as_str() {
            "resolved" => Reopenable::Resolved,
            "closed" => Reopenable::Closed,
            _ => Reopenable::No,
        }
    }
}

/// A way to log in.
#[derive(Debug)]
pub enum Way {
    /// User and password in the usual header.
    Basic,
    /// A header.
    Header(String, Text2),
    /// A token that is asked for first.
    Oauth {
        /// Where.
        path: Text2,
        /// With which fields.
        form: Vec<(String, Text2)>,
        /// The header in which it is sent.
        header: String,
        /// Its value, with `secret.session`.
        value: Text2,
    },
    /// A session that is opened first.
    Login {
        /// The request.
        call: Box<Call>,
        /// Where its answer has the token.
        token: Rule2,
        /// The header in which it is sent.
        header: Option<String>,
        /// Its value, with `secret.session`.
        value: Option<Text2>,
    },
    /// Secrets stand in the bodies.
    Body,
}

/// A text that others may hold but not look into.
#[derive(Debug)]
pub struct Text2(pub(super) Text);
/// An expression that others may hold but not look into.
#[derive(Debug)]
pub struct Rule2(pub(super) Rule);

/// The ways that a platform knows.
#[derive(Debug)]
pub struct Ways {
    /// For user and password.
    pub basic: Option<Way>,
    /// Whether a token beside a user is the user's password.
    pub token_is_password: bool,
    /// For a token.
    pub token: Option<Way>,
    /// For a client of OAuth.
    pub oauth: Option<Way>,
}

/// How a ticket is read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) id: Rule,
    pub(super) number: Option<Rule>,
    pub(super) url: Option<Text>,
    pub(super) key: Option<Rule>,
    pub(super) status: Rule,
    pub(super) priority: Option<Rule>,
    pub(super) assignee: Option<Rule>,
    pub(super) resolution: Option<Rule>,
    pub(super) refused: Option<Rule>,
    pub(super) gone: Option<Rule>,
    pub(super) updated: Option<Rule>,
    pub(super) author: Option<Rule>,
}

/// How the notes of a ticket are read.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) call: Call,
    pub(super) id: Rule,
    pub(super) text: Rule,
    pub(super) author: Option<Rule>,
    pub(super) when: Option<Rule>,
}

/// How the configuration item of a ticket is found there.
#[derive(Debug)]
pub(super) struct CiLookup {
    pub(super) call: Call,
    pub(super) id: Rule,
    pub(super) when: Rule,
}

/// Something that is asked for on the way of a step.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) call: Call,
    pub(super) pick: Rule,
}

/// One way from a status towards a state.
#[derive(Debug)]
pub(super) struct Transition {
    pub(super) to: Vec<StateWord>,
    pub(super) when: Vec<SmolStr>,
    pub(super) lookup: Option<(String, Option<Rule>)>,
    pub(super) call: Call,
    pub(super) is_mergeable: bool,
}

/// One platform.
#[derive(Debug)]
pub struct Profile {
    /// Its name in the configuration.
    pub name: String,
    /// The product.
    pub title: String,
    /// What could not be verified about it.
    pub unverified: Vec<String>,
    /// What it can do.
    pub caps: Caps,
    /// How one logs in.
    pub ways: Ways,
    pub(super) set: Map<String, Json>,
    pub(super) headers: Vec<(String, Text)>,
    pub(super) ticket: Reading,
    pub(super) priority_out: BTreeMap<Priority, Map<String, Json>>,
    pub(super) priority_in: BTreeMap<String, Priority>,
    pub(super) status: BTreeMap<String, StateWord>,
    pub(super) accepts: BTreeMap<StateWord, Vec<StateWord>>,
    pub(super) find: Option<Call>,
    pub(super) get: Call,
    pub(super) create: Call,
    pub(super) update: Option<Call>,
    pub(super) note: Option<Call>,
    pub(super) notes: Option<Notes>,
    pub(super) ci: Option<CiLookup>,
    pub(super) changes: Option<Call>,
    pub(super) probe: Vec<(String, Call)>,
    pub(super) lookups: BTreeMap<String, Lookup>,
    pub(super) steps: Vec<Transition>,
    pub(super) errors: Vec<Rule>,
    pub(super) limited: Option<Rule>,
    pub(super) retry_after: Option<Rule>,
    pub(super) unauthorized: Option<Rule>,
    /// How its webhooks are verified.
    pub hook: Option<Hook>,
}

/// What an operator says about a platform beside the profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    /// Values in place of those under `[set]`.
    pub set: Map<String, Json>,
    /// Fields that are laid over the body of a create.
    pub fields: Map<String, Json>,
    /// Fields that are laid over the body of each transition to a state.
    pub on: BTreeMap<String, Map<String, Json>>,
    /// Statuses in place of those in the profile, by the platform's word.
    pub status: BTreeMap<String, String>,
}

pub(super) fn state(word: &str) -> Result<StateWord, String> {
    StateWord::from_word(word).ok_or_else(|| {
        let words: Vec<_> = StateWord::ALL.iter().map(|state| state.word()).collect();
        format!("{word:?} is no state; write one of {}", words.join(", "))
    })
}

impl Profile {
    /// Reads and checks the file of a platform, with what the operator says beside it.
    ///
    /// # Errors
    /// What is wrong, with its key; for a file that is not TOML or has an unknown key also with its line.
    pub fn parse(name: &str, source: &str, own: &Own) -> Result<Self, String> {
        let file: ProfileFile = toml::from_str(source).map_err(|error| error.to_string())?;
        Self::completed(name, file, own)
    }

    /// Where the platform is, by an address with or without the path of its API.
    #[must_use]
    pub fn site(&self, given: url::Url) -> url::Url {
        let root = self.set.get("root").and_then(Json::as_str);
        site(given, self.create.path(), root.unwrap_or_default())
    }

    /// Reads the file of a platform for records of another kind than incidents; none when it keeps no such records.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub fn parse_for(
        kind: &str,
        name: &str,
        source: &str,
        own: &Own,
    ) -> Result<Option<Self>, String> {
        let Some(file) = ProfileFile::for_records(kind, source)? else {
            return Ok(None);
        };
        // What the operator sets for tickets of incidents has no say in what makes the record another one.
        let mut own = own.clone();
        own.set
            .retain(|key, _| file.set.contains_key(key) && !file.fixed.contains(key));
        own.status.clear();
        own.fields.clear();
        own.on.clear();
        Self::completed(name, file, &own).map(Some)
    }

    fn completed(name: &str, mut file: ProfileFile, own: &Own) -> Result<Self, String> {
        let is_unknown = |kind: &&String| !["problem", "request"].contains(&kind.as_str());
        if let Some(unknown) = file.records.keys().find(is_unknown) {
            return Err(format!(
                "records.{unknown}: there are no such records; write problem or request"
            ));
        }
        if let Some(unknown) = own.set.keys().find(|key| !file.set.contains_key(*key)) {
            let known: Vec<_> = file.set.keys().map(String::as_str).collect();
            return Err(format!(
                "set.{unknown}: the profile has no such setting; it has {}",
                known.join(", ")
            ));
        }
        file.set.extend(own.set.clone());
        for key in &file.required {
            if file.set.get(key).is_none_or(|value| value == "") {
                return Err(format!(
                    "set.{key}: is required by profile {name}: write it under [connector.set]"
                ));
            }
        }
        for (status, state) in &own.status {
            file.status.insert(status.clone(), state.clone());
        }
        lay_over(&mut file, own)?;
        Self::compile(name, file)
    }

    fn compile(name: &str, file: ProfileFile) -> Result<Self, String> {
        let set = file.set;
        let compiler = Compiler { set: &set };
        let call = |path: &str, file: Option<CallFile>, like: Option<&Call>| {
            file.map(|file| Call::compile(path, file, like, &compiler))
                .transpose()
        };
        let update = call("update", file.update, None)?;
        let find = call("find", file.find, None)?;
        let steps = compiler.steps(file.step, update.as_ref())?;
        let lookups = compiler.lookups(file.lookup, &steps)?;
        let (priority_out, priority_in) = priorities(file.priority)?;
        let probe = file.probe.into_iter().map(|(name, file)| {
            let call = Call::compile(&format!("probe.{name}"), file, None, &compiler)?;
            Ok((name, call))
        });
        let profile = Self {
            name: name.to_owned(),
            title: file.title,
            unverified: file.unverified,
            ways: compiler.ways(file.auth)?,
            headers: compiler.headers(&file.headers)?,
            ticket: compiler.reading(&file.ticket)?,
            priority_out,
            priority_in,
            status: statuses(&file.status)?,
            accepts: accepted(&file.accepts)?,
            find,
            get: Call::compile("get", file.get, None, &compiler)?,
            create: Call::compile("create", file.create, None, &compiler)?,
            changes: call("changes", file.changes, None)?,
            note: call("note", file.note, update.as_ref())?,
            notes: file
                .notes
                .map(|notes| read_notes(notes, &compiler))
                .transpose()?,
            ci: file.ci.map(|ci| read_ci(ci, &compiler)).transpose()?,
            update,
            probe: probe.collect::<Result<_, String>>()?,
            lookups,
            steps,
            errors: compiler.rules("errors", &file.errors)?,
            limited: compiler.optional("limited", file.limited.as_ref())?,
            retry_after: compiler.optional("retry_after", file.retry_after.as_ref())?,
            unauthorized: compiler.optional("unauthorized", file.unauthorized.as_ref())?,
            hook: file
                .hook
                .map(|file| Hook::compile(file, &compiler))
                .transpose()?,
            caps: file.caps,
            set: Map::new(),
        };
        profile.check()?;
        Ok(Self { set, ..profile })
    }

    /// Whether every state can be reached.
    fn check(&self) -> Result<(), String> {
        let looks = matches!(self.caps.key, KeyClass::Consistent | KeyClass::Eventual);
        if self.find.is_none() && looks {
            let why = "find: is required when caps.key is \"consistent\" or \"eventual\"";
            return Err(why.to_owned());
        }
        for state in [StateWord::InProgress, StateWord::Resolved] {
            if !self.steps.iter().any(|step| step.to.contains(&state)) {
                return Err(format!("step: no step leads to {:?}", state.word()));
            }
        }
        let means = |wanted: &[StateWord]| self.status.values().any(|state| wanted.contains(state));
        if !means(&[StateWord::Resolved, StateWord::Closed]) {
            return Err("status: no status means resolved or closed".to_owned());
        }
        let rows = Priority::ALL.iter();
        let missing = rows.filter(|row| !self.priority_out.contains_key(row));
        match missing.map(|row| row.word()).next() {
            Some(row) if !self.priority_out.is_empty() => {
                Err(format!("priority.out.{row}: the row is missing"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a ticket says who changed it last.
    pub const fn names_authors(&self) -> bool {
        self.ticket.author.is_some()
    }

    /// Whether tickets can be linked with configuration items.
    pub const fn links_cis(&self) -> bool {
        self.ci.is_some()
    }

    /// The names of its settings with their values.
    pub fn settings(&self) -> &Map<String, Json> {
        &self.set
    }

    /// Whether a ticket in one state is where another one is wanted, as far as the platform can tell them apart.
    pub fn is_there(&self, want: StateWord, is: StateWord) -> bool {
        let accepted = self.accepts.get(&want);
        is_satisfied(want, is) || accepted.is_some_and(|accepted| accepted.contains(&is))
    }

    /// What a status means.
    pub fn state_of(&self, status: &str) -> Option<StateWord> {
        self.status
            .get(status)
            .or_else(|| self.status.get("*"))
            .copied()
    }
}
