//! Compiles the parts of a profile's file, each with its key in messages.
//!
//! Must not hold a fact about a platform.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use super::call::{Call, CallFile};
use super::file::{
    AuthFile, CiFile, HeaderFile, LoginFile, LookupFile, NotesFile, PriorityFile, StepFile,
    TicketFile, split,
};
use super::profile::{
    ANSWER_VARS, CiLookup, Lookup, Notes, REQUEST_VARS, Reading, Rule2, Text2, Transition, Way,
    Ways, state,
};
use super::text::{Known, Rule, Text, Tree};
use crate::core::incident::StateWord;
use crate::core::severity::Priority;

/// The priority's rows, by our word.
fn priority(word: &str) -> Result<Priority, String> {
    Priority::from_word(word).ok_or_else(|| format!("{word:?} is no priority; write P1 to P5"))
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

    pub(super) fn optional(
        &self,
        path: &str,
        source: Option<&String>,
    ) -> Result<Option<Rule>, String> {
        source.map(|source| self.rule(path, source)).transpose()
    }

    pub(super) fn rules(&self, path: &str, sources: &[String]) -> Result<Vec<Rule>, String> {
        sources.iter().map(|rule| self.rule(path, rule)).collect()
    }

    pub(super) fn headers(
        &self,
        table: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, Text)>, String> {
        let headers = table.iter();
        let headers = headers.map(|(name, value)| Ok((name.clone(), self.text("headers", value)?)));
        headers.collect()
    }

    pub(super) fn steps(
        &self,
        tables: Vec<Map<String, Json>>,
        like: Option<&Call>,
    ) -> Result<Vec<Transition>, String> {
        let tables = tables.into_iter().enumerate();
        tables
            .map(|(at, step)| transition(at, step, like, self))
            .collect()
    }

    pub(super) fn lookups(
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

    pub(super) fn reading(&self, file: &TicketFile) -> Result<Reading, String> {
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

    /// A session that is opened first.
    fn login(&self, place: &str, table: Map<String, Json>) -> Result<Way, String> {
        let own = ["token", "header", "value"];
        let (file, call): (LoginFile, _) = split(place, table, &own)?;
        let value = file
            .value
            .map(|value| self.text(&format!("{place}.value"), &value));
        Ok(Way::Login {
            call: Box::new(Call::compile(place, call, None, self)?),
            token: Rule2(self.rule(&format!("{place}.token"), &file.token)?),
            header: file.header,
            value: value.transpose()?.map(Text2),
        })
    }

    pub(super) fn ways(&self, file: AuthFile) -> Result<Ways, String> {
        let header = |path: &str, file: HeaderFile, default: &str| -> Result<Way, String> {
            let name = file.header.unwrap_or_else(|| "Authorization".to_owned());
            let value = file.value.unwrap_or_else(|| default.to_owned());
            Ok(Way::Header(name, Text2(self.text(path, &value)?)))
        };
        let session = "Bearer {{ secret.session }}".to_owned();
        // A session is opened with what its request names.
        let named = file.login.as_ref().map(|table| format!("{table:?}"));
        let takes_token = named.is_some_and(|text| text.contains("secret.token"));
        let login = file.login.map(|table| self.login("auth.login", table));
        let basic_login = file.basic_login;
        let basic_login = basic_login.map(|table| self.login("auth.basic_login", table));
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
        let token_is_password = file.basic.as_ref().is_some_and(|file| file.with_token);
        let basic = file.basic.map(|file| match file.value {
            Some(_) => header("auth.basic.value", file, ""),
            None => Ok(Way::Basic),
        });
        let token = file
            .token
            .map(|file| header("auth.token.value", file, "Bearer {{ secret.token }}"));
        let mut ways = Ways {
            basic: basic.transpose()?,
            token_is_password,
            token: token.transpose()?,
            oauth: oauth.transpose()?,
        };
        match login.transpose()? {
            Some(way) if takes_token => ways.token = Some(way),
            Some(way) => ways.basic = Some(way),
            None => {}
        }
        if let Some(way) = basic_login.transpose()? {
            ways.basic = Some(way);
        }
        if file.body {
            ways.basic.get_or_insert(Way::Body);
            ways.token.get_or_insert(Way::Body);
        }
        Ok(ways)
    }
}

pub(super) fn statuses(
    table: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, StateWord>, String> {
    let rows = table.iter().map(|(word, means)| {
        let means = state(means).map_err(|why| format!("status.{word}: {why}"))?;
        Ok((word.clone(), means))
    });
    rows.collect()
}

pub(super) fn accepted(
    table: &BTreeMap<String, Vec<String>>,
) -> Result<BTreeMap<StateWord, Vec<StateWord>>, String> {
    let rows = table.iter().map(|(want, words)| {
        let at = |why| format!("accepts.{want}: {why}");
        let is = words.iter().map(|word| state(word));
        let is = is.collect::<Result<Vec<_>, _>>().map_err(at)?;
        Ok((state(want).map_err(at)?, is))
    });
    rows.collect()
}

/// Codes by priority, and back.
type Codes = (
    BTreeMap<Priority, Map<String, Json>>,
    BTreeMap<String, Priority>,
);

pub(super) fn priorities(file: PriorityFile) -> Result<Codes, String> {
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

pub(super) fn read_notes(
    table: Map<String, Json>,
    compiler: &Compiler<'_>,
) -> Result<Notes, String> {
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

pub(super) fn read_ci(
    table: Map<String, Json>,
    compiler: &Compiler<'_>,
) -> Result<CiLookup, String> {
    let (file, call): (CiFile, _) = split("ci", table, &["id", "when"])?;
    Ok(CiLookup {
        call: Call::compile("ci", call, None, compiler)?,
        id: compiler.rule("ci.id", &file.id)?,
        when: compiler.rule("ci.when", &file.when)?,
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
