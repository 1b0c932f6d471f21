//! The file of a platform, checked and compiled.
//!
//! Unknown keys, expressions that are none, variables that do not exist and rows that are missing in a table are found
//! when the configuration is loaded, with the place in the file. Must not hold a fact about a platform.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use super::call::{Call, CallFile};
use super::file::{
    AuthFile, HeaderFile, LoginFile, LookupFile, NotesFile, PriorityFile, ProfileFile, StepFile,
    TicketFile, lay_over, split,
};
use super::hook::Hook;
use super::text::{Known, Rule, Text, Tree};
use crate::core::incident::StateWord;
use crate::core::severity::Priority;
use crate::core::ticket::rules::Reopenable;

/// Variables of requests.
pub(super) const REQUEST_VARS: &[&str] = &[
    "set",
    "secret",
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
];
/// Variables of what is read in answers.
pub(super) const ANSWER_VARS: &[&str] = &[
    "set", "item", "body", "headers", "status", "id", "number", "key", "count", "page", "offset",
    "base", "text",
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
    pub(super) find: Option<Call>,
    pub(super) get: Call,
    pub(super) create: Call,
    pub(super) update: Option<Call>,
    pub(super) note: Option<Call>,
    pub(super) notes: Option<Notes>,
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

/// The priority's rows, by our word.
fn priority(word: &str) -> Result<Priority, String> {
    Priority::from_word(word).ok_or_else(|| format!("{word:?} is no priority; write P1 to P5"))
}

pub(super) fn state(word: &str) -> Result<StateWord, String> {
    StateWord::from_word(word).ok_or_else(|| {
        let words: Vec<_> = StateWord::ALL.iter().map(|state| state.word()).collect();
        format!("{word:?} is no state; write one of {}", words.join(", "))
    })
}

/// Compiles the parts of a file, each with its path in messages.
pub(super) struct Compiler<'a> {
    pub(super) set: &'a Map<String, Json>,
}

impl Compiler<'_> {
    pub(super) fn asks(&self) -> Known<'_> {
        Known {
            names: REQUEST_VARS,
            set: self.set,
        }
    }

    pub(super) fn answers(&self) -> Known<'_> {
        Known {
            names: ANSWER_VARS,
            set: self.set,
        }
    }

    pub(super) fn rule(&self, path: &str, source: &str) -> Result<Rule, String> {
        Rule::compile(source, self.answers()).map_err(|why| format!("{path}: {why}"))
    }

    pub(super) fn text(&self, path: &str, source: &str) -> Result<Text, String> {
        Text::compile(source, self.asks()).map_err(|why| format!("{path}: {why}"))
    }

    fn optional(&self, path: &str, source: Option<&String>) -> Result<Option<Rule>, String> {
        source.map(|source| self.rule(path, source)).transpose()
    }

    fn rules(&self, path: &str, sources: &[String]) -> Result<Vec<Rule>, String> {
        sources.iter().map(|rule| self.rule(path, rule)).collect()
    }

    fn headers(&self, table: &BTreeMap<String, String>) -> Result<Vec<(String, Text)>, String> {
        let headers = table.iter();
        let headers = headers.map(|(name, value)| Ok((name.clone(), self.text("headers", value)?)));
        headers.collect()
    }

    fn steps(
        &self,
        tables: Vec<Map<String, Json>>,
        like: Option<&Call>,
    ) -> Result<Vec<Transition>, String> {
        let tables = tables.into_iter().enumerate();
        tables
            .map(|(at, step)| transition(at, step, like, self))
            .collect()
    }

    fn lookups(
        &self,
        tables: BTreeMap<String, Map<String, Json>>,
        steps: &[Transition],
    ) -> Result<BTreeMap<String, Lookup>, String> {
        let mut lookups = BTreeMap::new();
        for (name, table) in tables {
            let path = format!("lookup.{name}");
            let (lookup, call): (LookupFile, _) = split(&path, table, &["pick"])?;
            let pick = self.rule(&format!("{path}.pick"), &lookup.pick)?;
            let call = Call::compile(&path, call, None, self)?;
            lookups.insert(name, Lookup { call, pick });
        }
        let named = steps.iter().filter_map(|step| step.lookup.as_ref());
        let mut unknown = named.filter(|(name, _)| !lookups.contains_key(name));
        match unknown.next() {
            Some((name, _)) => Err(format!("step.lookup: there is no [lookup.{name}]")),
            None => Ok(lookups),
        }
    }

    fn reading(&self, file: &TicketFile) -> Result<Reading, String> {
        let url = file.url.as_ref();
        let url = url.map(|url| Text::compile(url, self.answers()));
        Ok(Reading {
            id: self.rule("ticket.id", &file.id)?,
            number: self.optional("ticket.number", file.number.as_ref())?,
            url: url
                .transpose()
                .map_err(|why| format!("ticket.url: {why}"))?,
            key: self.optional("ticket.key", file.key.as_ref())?,
            status: self.rule("ticket.status", &file.status)?,
            priority: self.optional("ticket.priority", file.priority.as_ref())?,
            assignee: self.optional("ticket.assignee", file.assignee.as_ref())?,
            resolution: self.optional("ticket.resolution", file.resolution.as_ref())?,
            refused: self.optional("ticket.refused", file.refused.as_ref())?,
            gone: self.optional("ticket.gone", file.gone.as_ref())?,
            updated: self.optional("ticket.updated", file.updated.as_ref())?,
            author: self.optional("ticket.author", file.author.as_ref())?,
        })
    }

    fn ways(&self, file: AuthFile) -> Result<Ways, String> {
        let header = |path: &str, file: HeaderFile, default: &str| -> Result<Way, String> {
            let name = file.header.unwrap_or_else(|| "Authorization".to_owned());
            let value = file.value.unwrap_or_else(|| default.to_owned());
            Ok(Way::Header(name, Text2(self.text(path, &value)?)))
        };
        let session = "Bearer {{ secret.session }}".to_owned();
        let login = file.login.map(|table| -> Result<Way, String> {
            let own = ["token", "header", "value"];
            let (file, call): (LoginFile, _) = split("auth.login", table, &own)?;
            Ok(Way::Login {
                call: Box::new(Call::compile("auth.login", call, None, self)?),
                token: Rule2(self.rule("auth.login.token", &file.token)?),
                header: file.header,
                value: file
                    .value
                    .map(|value| self.text("auth.login.value", &value).map(Text2))
                    .transpose()?,
            })
        });
        let oauth = file.oauth.map(|file| -> Result<Way, String> {
            let form = file.form.iter();
            let form = form.map(|(name, value)| {
                let value = self.text("auth.oauth.form", value)?;
                Ok((name.clone(), Text2(value)))
            });
            Ok(Way::Oauth {
                path: Text2(self.text("auth.oauth.path", &file.path)?),
                form: form.collect::<Result<_, String>>()?,
                header: file.header.unwrap_or_else(|| "Authorization".to_owned()),
                value: Text2(
                    self.text("auth.oauth.value", file.value.as_ref().unwrap_or(&session))?,
                ),
            })
        });
        let basic = file.basic.map(|file| match file.value {
            Some(_) => header("auth.basic.value", file, ""),
            None => Ok(Way::Basic),
        });
        let token = file
            .token
            .map(|file| header("auth.token.value", file, "Bearer {{ secret.token }}"));
        let mut ways = Ways {
            basic: basic.transpose()?,
            token: token.transpose()?,
            oauth: oauth.transpose()?,
        };
        // A session is opened with whatever the operator has.
        match login.transpose()? {
            Some(way) if ways.basic.is_none() => ways.basic = Some(way),
            Some(way) => ways.token = Some(way),
            None => {}
        }
        if file.body {
            ways.basic.get_or_insert(Way::Body);
            ways.token.get_or_insert(Way::Body);
        }
        Ok(ways)
    }
}

impl Profile {
    /// Reads and checks the file of a platform, with what the operator says beside it.
    ///
    /// # Errors
    /// What is wrong, with its key; for a file that is not TOML or has an unknown key also with its line.
    pub fn parse(name: &str, source: &str, own: &Own) -> Result<Self, String> {
        let mut file: ProfileFile = toml::from_str(source).map_err(|error| error.to_string())?;
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
            find,
            get: Call::compile("get", file.get, None, &compiler)?,
            create: Call::compile("create", file.create, None, &compiler)?,
            changes: call("changes", file.changes, None)?,
            note: call("note", file.note, update.as_ref())?,
            notes: file
                .notes
                .map(|notes| read_notes(notes, &compiler))
                .transpose()?,
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

    /// The names of its settings with their values.
    pub fn settings(&self) -> &Map<String, Json> {
        &self.set
    }

    /// What a status means.
    pub fn state_of(&self, status: &str) -> Option<StateWord> {
        self.status
            .get(status)
            .or_else(|| self.status.get("*"))
            .copied()
    }
}

fn statuses(table: &BTreeMap<String, String>) -> Result<BTreeMap<String, StateWord>, String> {
    let rows = table.iter().map(|(word, means)| {
        let means = state(means).map_err(|why| format!("status.{word}: {why}"))?;
        Ok((word.clone(), means))
    });
    rows.collect()
}

/// Codes by priority, and back.
type Codes = (
    BTreeMap<Priority, Map<String, Json>>,
    BTreeMap<String, Priority>,
);

fn priorities(file: PriorityFile) -> Result<Codes, String> {
    let mut out = BTreeMap::new();
    for (word, codes) in file.out {
        let row = priority(&word).map_err(|why| format!("priority.out: {why}"))?;
        out.insert(row, codes);
    }
    let mut back = BTreeMap::new();
    for (code, word) in file.r#in {
        let row = priority(&word).map_err(|why| format!("priority.in.{code}: {why}"))?;
        back.insert(code, row);
    }
    Ok((out, back))
}

fn read_notes(table: Map<String, Json>, compiler: &Compiler<'_>) -> Result<Notes, String> {
    let own = ["id", "text", "author", "when"];
    let (file, call): (NotesFile, _) = split("notes", table, &own)?;
    Ok(Notes {
        call: Call::compile("notes", call, None, compiler)?,
        id: compiler.rule("notes.id", &file.id)?,
        text: compiler.rule("notes.text", &file.text)?,
        author: compiler.optional("notes.author", file.author.as_ref())?,
        when: compiler.optional("notes.when", file.when.as_ref())?,
    })
}

fn transition(
    at: usize,
    table: Map<String, Json>,
    like: Option<&Call>,
    compiler: &Compiler<'_>,
) -> Result<Transition, String> {
    let path = format!("step[{at}]");
    let own = ["to", "when", "lookup", "pick"];
    let (file, call): (StepFile, CallFile) = split(&path, table, &own)?;
    let to = file.to.iter().map(|word| state(word));
    let to = to.collect::<Result<Vec<_>, _>>();
    let pick = file.pick.as_ref();
    let pick = pick.map(|pick| compiler.rule(&format!("{path}.pick"), pick));
    let is_mergeable = call.is_plain();
    Ok(Transition {
        to: to.map_err(|why| format!("{path}.to: {why}"))?,
        when: file.when.iter().map(SmolStr::new).collect(),
        lookup: file.lookup.zip(Some(pick.transpose()?)),
        call: Call::compile(&path, call, like, compiler)?,
        is_mergeable,
    })
}

/// Compiles a tree of a request.
pub(super) fn tree(path: &str, value: &Json, compiler: &Compiler<'_>) -> Result<Tree, String> {
    Tree::compile(value, path, compiler.asks())
}
