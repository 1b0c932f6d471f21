//! Lists and details for readers: API, web pages, command line.
//!
//! A list is read in pages by keyset: the next page starts behind the last row of this one, so rows that arrive
//! meanwhile neither shift nor repeat anything. Everything is read in one statement per page, from committed rows
//! only. Must not decide or write anything, and must not read raw bodies in a list.

pub mod alerts;
pub mod audit;
pub mod bindings;
pub mod causes;
pub mod cmdb;
pub mod cmdb_export;
pub mod dead_letters;
pub mod incidents;
pub mod outbox;
mod practice;
pub mod ratings;
pub mod records;
pub mod reports;
mod select;
pub mod silences;
pub mod sources;
pub mod timeline;
pub mod windows;

/// Where a row stands in its list: the value it is sorted by, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The value of the column that is sorted by; the id itself when sorted by id.
    pub value: i64,
    /// The row's id.
    pub id: i64,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows at most.
    pub limit: u32,
    /// Whether the newest come first.
    pub is_newest_first: bool,
    /// The last row of the page before; `None` for the first page.
    pub after: Option<Position>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The rows, in order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` when this is the last one.
    pub next: Option<Position>,
}

impl<T> Listed<T> {
    /// A list that holds nothing.
    pub const fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }

    /// Makes a page of rows of which one more than wanted was asked for.
    fn of(mut items: Vec<T>, page: Page, position: impl Fn(&T) -> Position) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(position);
        Self { items, next }
    }
}
