//! A TOML document as a tree in which every key and value knows its file, line and column.
//!
//! Files are parsed one by one, merged, and only then read, so an error can point into any of them. Must not know a
//! key of ours; the one rule here is how two documents become one.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};
use zeroize::Zeroizing;

use crate::config::error::Position;

/// A place: which file (index into the list of files read) and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) position: Position,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
    /// What is written, for the values that few keys take: dates and numbers with a fraction.
    pub(super) raw: Option<String>,
}

/// A value of a key.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Text; wiped when dropped, since it may be a secret.
    Text(Zeroizing<String>),
    /// A whole number; `None` when it does not fit.
    Integer(Option<i64>),
    /// A number with a fraction, as it is written in [`Node::raw`].
    Float,
    Flag(bool),
    /// A date or time, as it is written in [`Node::raw`].
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Keys in alphabetic order, with the place of the key itself.
pub(super) type Table = BTreeMap<String, (At, Node)>;

/// How lists of two documents become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    /// `[[...]]` tables of both files are kept, in the order of the files.
    Append,
    /// The later list replaces the earlier one.
    Replace,
}

/// A syntax error: what, and where.
pub(super) struct SyntaxError {
    pub(super) at: At,
    pub(super) message: String,
}

/// Parses one file, and says the first syntax error of every line; with errors, the table is what could be understood.
pub(super) fn parse(file: usize, text: &str) -> (Table, Vec<SyntaxError>) {
    let places = Places::of(file, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let locate = |error: &Error| SyntaxError {
        at: places.at(error.span().map_or(text.len(), |span| span.start)),
        message: error.message().to_owned(),
    };
    let mut located: Vec<SyntaxError> = errors.iter().map(locate).collect();
    // The parser goes on after an error; what it says next about the same line is mostly an echo.
    located.sort_by_key(|error| error.at);
    located.dedup_by_key(|error| error.at.position.line);
    (places.table(document.into_inner()), located)
}

/// Puts `over` on top of `base`: tables merge key by key, anything else is replaced, lists as `lists` says.
pub(super) fn merge(base: &mut Table, over: Table, lists: Lists) {
    for (key, (key_at, node)) in over {
        match base.get_mut(&key) {
            None => {
                base.insert(key, (key_at, node));
            }
            Some((at, under)) => {
                *at = key_at;
                merge_node(under, node, lists);
            }
        }
    }
}

fn merge_node(under: &mut Node, over: Node, lists: Lists) {
    match (&mut under.value, over.value) {
        (Value::Table(base), Value::Table(table)) => {
            merge(base, table, lists);
            under.at = over.at;
        }
        (Value::List(base), Value::List(list))
            if lists == Lists::Append && is_tables(base) && is_tables(&list) =>
        {
            base.extend(list);
        }
        (_, value) => {
            *under = Node {
                at: over.at,
                value,
                raw: over.raw,
            };
        }
    }
}

fn is_tables(list: &[Node]) -> bool {
    list.iter()
        .all(|node| matches!(node.value, Value::Table(_)))
}

/// Turns byte offsets of one text into lines and columns.
struct Places<'a> {
    file: usize,
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(file: usize, text: &'a str) -> Self {
        let after_breaks = text
            .match_indices('\n')
            .map(|(offset, _)| offset.saturating_add(1));
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    fn at(&self, offset: usize) -> At {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self
            .line_starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        let column = before.chars().count().saturating_add(1);
        At {
            file: self.file,
            position: Position {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
            },
        }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
            let at = self.at(key.span().start);
            let name: std::borrow::Cow<'_, str> = key.into_inner();
            (name.into_owned(), (at, self.node(value)))
        };
        table.into_iter().map(entry).collect()
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let at = self.at(value.span().start);
        let mut raw = None;
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(Zeroizing::new(text.into_owned())),
            DeValue::Integer(n) => Value::Integer(i64::from_str_radix(n.as_str(), n.radix()).ok()),
            DeValue::Float(number) => {
                raw = Some(number.as_str().to_owned());
                Value::Float
            }
            DeValue::Boolean(flag) => Value::Flag(flag),
            DeValue::Datetime(date) => {
                raw = Some(date.to_string());
                Value::Date
            }
            DeValue::Array(list) => {
                Value::List(list.into_iter().map(|item| self.node(item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { at, value, raw }
    }
}
