//! Reads tables key by key, records every error with its place, and goes on.
//!
//! A key counts as known because somebody asked for it, so the list of keys cannot differ from what is read. Must not
//! stop at an error: a bad value reads as absent, and the load fails at its end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::env::Env;
use crate::config::error::{Complaint, ConfigError, ConfigErrors};
use crate::config::files::Files;
use crate::config::tree::{At, Node, Table, Value};

/// What all readers of one load share.
pub(super) struct Reading<'a> {
    pub(super) files: &'a Files,
    pub(super) env: &'a Env,
    errors: RefCell<Vec<(At, ConfigError)>>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Reading<'a> {
    /// Starts with no errors.
    pub(super) fn new(files: &'a Files, env: &'a Env) -> Self {
        Self {
            files,
            env,
            errors: RefCell::new(Vec::new()),
            asked: RefCell::new(BTreeSet::new()),
        }
    }

    /// Reader of the document itself.
    pub(super) fn root(&'a self, table: &'a Table) -> TableReader<'a> {
        TableReader {
            reading: self,
            at: None,
            path: String::new(),
            schema: String::new(),
            table,
            asked: BTreeSet::new(),
            also: BTreeMap::new(),
        }
    }

    /// All errors in the order of files and lines, if there are any.
    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        let mut errors = self.errors.into_inner();
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by_key(|(at, _)| *at);
        Err(ConfigErrors(
            errors.into_iter().map(|(_, error)| error).collect(),
        ))
    }

    /// Every key path that was asked for, without list positions.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    /// Takes over the errors of a document that is read because of something at this place.
    fn adopt(&self, at: At, errors: ConfigErrors) {
        let errors = errors.0.into_iter().map(|error| (at, error));
        self.errors.borrow_mut().extend(errors);
    }

    fn report(&self, at: At, key: &str, complaint: Complaint) {
        let error = ConfigError {
            file: self.files.shown(at.file).to_owned(),
            position: Some(at.position),
            key: key.to_owned(),
            message: complaint.message,
            hint: complaint.hint,
        };
        self.errors.borrow_mut().push((at, error));
    }
}

/// One value, as a check sees it.
pub(super) struct Spot<'a> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) node: &'a Node,
}

impl Spot<'_> {
    /// The text of the value.
    pub(super) fn text(&self, wanted: &str) -> Result<&str, Complaint> {
        if let Value::Text(text) = &self.node.value {
            Ok(text)
        } else {
            Err(expected(wanted, &self.node.value))
        }
    }
}

/// Says that a value is of the wrong kind; never shows the value.
pub(super) fn expected(wanted: &str, found: &Value) -> Complaint {
    let found = match found {
        Value::Text(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float => "a number",
        Value::Flag(_) => "true or false",
        Value::Date => "a date or time",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    };
    Complaint::new(format!("expected {wanted}, found {found}"))
}

/// Reads the keys of one table.
pub(super) struct TableReader<'a> {
    reading: &'a Reading<'a>,
    /// The place of the table; `None` for the document.
    at: Option<At>,
    /// The path for people, with list positions.
    path: String,
    /// The path without list positions.
    schema: String,
    table: &'a Table,
    asked: BTreeSet<&'static str>,
    /// Keys that are written under another name that means the same.
    also: BTreeMap<&'static str, &'static str>,
}

impl<'a> TableReader<'a> {
    /// Takes other names for a key, as people know them from elsewhere; to be called before the key is read.
    pub(super) fn also(&mut self, key: &'static str, others: &[&'static str]) {
        let table = self.table;
        for &other in others.iter().filter(|other| table.contains_key(**other)) {
            self.asked.insert(other);
            if self.also.get(key) == Some(&other) {
                continue;
            }
            if self.has(key) {
                let message = format!("means the same as `{}`", self.written(key));
                self.refuse(
                    Some(other),
                    Complaint::new(message).hint("write one of the two"),
                );
            } else {
                self.also.insert(key, other);
            }
        }
    }

    /// The name under which a key is written here.
    fn written<'k>(&self, key: &'k str) -> &'k str {
        self.also.get(key).copied().unwrap_or(key)
    }

    /// Reads a key that must be there; `None` (and an error) when it is missing or wrong.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Spot<'a>) -> Result<T, Complaint>,
    ) -> Option<T> {
        if !self.has(key) {
            self.ask(key);
            self.refuse(None, Complaint::new(format!("`{key}` is required here")));
            return None;
        }
        self.optional(key, parse)
    }

    /// Reads a key that may be absent; `None` when it is, or (with an error) when it is wrong.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Spot<'a>) -> Result<T, Complaint>,
    ) -> Option<T> {
        let node = self.ask(key)?;
        let spot = Spot {
            reading: self.reading,
            node,
        };
        match parse(&spot) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.reading.report(node.at, &self.path_of(key), complaint);
                None
            }
        }
    }

    /// Reads a list, or one value in its place; wrong items are left out (with an error).
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Spot<'a>) -> Result<T, Complaint>,
    ) -> Vec<T> {
        let Some(node) = self.ask(key) else {
            return Vec::new();
        };
        let path = self.path_of(key);
        let read = |node: &'a Node, path: &str| {
            let spot = Spot {
                reading: self.reading,
                node,
            };
            parse(&spot)
                .map_err(|complaint| self.reading.report(node.at, path, complaint))
                .ok()
        };
        let Value::List(items) = &node.value else {
            return read(node, &path).into_iter().collect();
        };
        let numbered = items.iter().enumerate();
        numbered
            .filter_map(|(at, item)| read(item, &format!("{path}[{at}]")))
            .collect()
    }

    /// Opens a table; `None` when it is absent, or (with an error) something else.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        let node = self.ask(key)?;
        let path = self.path_of(key);
        if let Value::Table(table) = &node.value {
            return Some(self.below(key, path, node.at, table));
        }
        let complaint = expected("a table", &node.value);
        let hint = if matches!(node.value, Value::List(_)) {
            format!("write [{path}] with single brackets")
        } else {
            format!("write it as a section [{path}] or as {key} = {{ ... }}")
        };
        self.reading.report(node.at, &path, complaint.hint(hint));
        None
    }

    /// Opens a table under a name that is only another way to write something.
    pub(super) fn table_unlisted(&mut self, key: &'static str) -> Option<Self> {
        self.asked.insert(key);
        let (_, node) = self.table.get(key)?;
        let Value::Table(table) = &node.value else {
            return None;
        };
        let mut below = self.below(key, self.path_of(key), node.at, table);
        below.schema.clone_from(&self.schema);
        Some(below)
    }

    /// Opens every table of a list of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let path = self.path_of(key);
        let Some(node) = self.ask(key) else {
            return Vec::new();
        };
        let hint = format!("write [[{path}]] with double brackets before each entry");
        let Value::List(items) = &node.value else {
            let complaint = expected("a list of tables", &node.value).hint(hint);
            self.reading.report(node.at, &path, complaint);
            return Vec::new();
        };
        let mut open = Vec::with_capacity(items.len());
        let mut position = (usize::MAX, 0_usize);
        for item in items {
            // Positions count within a file, since that is where the reader of the message looks.
            position = match position {
                (file, before) if file == item.at.file => (file, before.saturating_add(1)),
                _ => (item.at.file, 0),
            };
            let path = format!("{path}[{}]", position.1);
            if let Value::Table(table) = &item.value {
                open.push(self.below(key, path, item.at, table));
            } else {
                let complaint = expected("a table", &item.value).hint(hint.clone());
                self.reading.report(item.at, &path, complaint);
            }
        }
        open
    }

    /// Whether the key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(self.written(key))
    }

    /// The value of a key that is only another way to write something.
    pub(super) fn plain(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.insert(key);
        self.peek(key)
    }

    /// The value of a key that is written here, for a look at its kind.
    pub(super) fn peek(&self, key: &str) -> Option<&'a Value> {
        let entry = self.table.get(self.written(key));
        entry.map(|(_, node)| &node.value)
    }

    /// The names of a list of tables, whether or not the rest of each is well written.
    pub(super) fn names(&self, key: &str) -> BTreeSet<String> {
        let node = self.table.get(key).map(|(_, node)| &node.value);
        let Some(Value::List(items)) = node else {
            return BTreeSet::new();
        };
        let names = items.iter().filter_map(|item| match &item.value {
            Value::Table(table) => match &table.get("name")?.1.value {
                Value::Text(name) => Some(name.to_string()),
                Value::Integer(_)
                | Value::Float
                | Value::Flag(_)
                | Value::Date
                | Value::List(_)
                | Value::Table(_) => None,
            },
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float
            | Value::Flag(_)
            | Value::Date
            | Value::List(_) => None,
        });
        names.collect()
    }

    /// Whether the key is written as a list of nothing.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        matches!(self.peek(key), Some(Value::List(items)) if items.is_empty())
    }

    /// Records an error at a key of this table, or at the table itself.
    pub(super) fn refuse(&self, key: Option<&str>, complaint: Complaint) {
        let key = key.map(|key| self.written(key));
        let entry = key.and_then(|key| self.table.get(key).map(|(at, node)| (key, *at, node)));
        match entry {
            Some((key, key_at, node)) => {
                // A section's value starts at its header, the key of a dotted one does not.
                let at = if matches!(node.value, Value::Table(_)) {
                    key_at
                } else {
                    node.at
                };
                self.reading.report(at, &self.path_of(key), complaint);
            }
            None => {
                let start = self.table.values().map(|(at, _)| *at).min();
                if let Some(at) = self.at.or(start) {
                    self.reading.report(at, &self.path, complaint);
                }
            }
        }
    }

    /// Records an error at an entry below this table, as near to it as the document goes.
    pub(super) fn refuse_below(&self, path: &[String], complaint: Complaint) {
        let mut names = path.iter();
        let found = names.next().and_then(|name| self.table.get(name));
        let Some((_, first)) = found else {
            if let Some(at) = self.at {
                self.reading
                    .report(at, &self.path_of(&path.join(".")), complaint);
            }
            return;
        };
        let mut node = first;
        for name in names {
            let below = match &node.value {
                Value::Table(table) => table.get(name).map(|(_, node)| node),
                Value::List(items) => name.parse().ok().and_then(|at: usize| items.get(at)),
                Value::Text(_)
                | Value::Integer(_)
                | Value::Float
                | Value::Flag(_)
                | Value::Date => None,
            };
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        self.reading
            .report(node.at, &self.path_of(&path.join(".")), complaint);
    }

    /// Takes over the errors of a document that is read because of a key of this table.
    pub(super) fn adopt(&self, key: &str, errors: ConfigErrors) {
        if let Some(at) = self.table.get(key).map(|(_, node)| node.at).or(self.at) {
            self.reading.adopt(at, errors);
        }
    }

    /// What all readers of this load share.
    pub(super) fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// The place of this table as the operator knows it, as `file:line`.
    pub(super) fn place(&self) -> String {
        self.at.map_or_else(String::new, |at| {
            format!("{}:{}", self.reading.files.shown(at.file), at.position.line)
        })
    }

    /// Takes keys as known that this version recognises but does not read.
    pub(super) fn skip(&mut self, key: &'static str) {
        self.asked.insert(key);
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, (at, _)) in self.table {
            if self.asked.contains(key.as_str()) {
                continue;
            }
            let complaint = Complaint::new("unknown key");
            let complaint = match nearest(key, &self.asked) {
                Some(near) => complaint.hint(format!("did you mean `{near}`?")),
                None => complaint.hint(format!("known here: {}", join(&self.asked))),
            };
            self.reading.report(*at, &self.path_of(key), complaint);
        }
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.insert(key);
        let schema = dotted(&self.schema, key);
        self.reading.asked.borrow_mut().insert(schema);
        let entry = self.table.get(self.written(key));
        entry.map(|(_, node)| node)
    }

    fn below(&self, key: &str, path: String, at: At, table: &'a Table) -> Self {
        Self {
            reading: self.reading,
            at: Some(at),
            path,
            schema: dotted(&self.schema, key),
            table,
            asked: BTreeSet::new(),
            also: BTreeMap::new(),
        }
    }

    fn path_of(&self, key: &str) -> String {
        dotted(&self.path, self.written(key))
    }
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn join(keys: &BTreeSet<&'static str>) -> String {
    keys.iter().copied().collect::<Vec<_>>().join(", ")
}

/// The known key that the writer most probably meant.
pub(super) fn nearest<'k>(key: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let distance = |known: &str| strsim::damerau_levenshtein(key, known);
    let near = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(near) <= near.len().div_ceil(3)).then_some(near)
}
