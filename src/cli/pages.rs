//! Lists of the API, page by page: `{"items": [...], "next_cursor": ...}`.
//!
//! Must not hold more than one list; a cursor that comes twice ends the reading with an error instead of a loop.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cli::client::{Client, parse};
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::options::{Extent, Output};
use crate::cli::out::Out;

/// Items of one request; the API's maximum.
const PAGE_ITEMS: u64 = 500;

/// A list as far as it was read.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Page {
    /// Each item as the API gave it.
    pub items: Vec<Box<RawValue>>,
    /// Where it goes on, if it does.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

impl Page {
    /// The items as values.
    ///
    /// # Errors
    /// One has another shape than this release knows.
    pub fn values<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, Failure> {
        self.items.iter().map(|item| parse(item.get())).collect()
    }
}

/// Reads a list until it ends or enough is there.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn read(
    client: &Client,
    path: &[&str],
    filters: &[(&str, String)],
    extent: Extent,
) -> Result<Page, Failure> {
    let mut page = Page::default();
    loop {
        let wanted = extent.at_most().map_or(PAGE_ITEMS, |at_most| {
            at_most.saturating_sub(count(&page)).min(PAGE_ITEMS)
        });
        let mut query = filters.to_vec();
        query.push(("limit", wanted.to_string()));
        query.extend(page.next_cursor.clone().map(|cursor| ("cursor", cursor)));
        let next: Page = parse(&client.get(path, &query).await?)?;
        let is_stuck = next.next_cursor.is_some() && next.next_cursor == page.next_cursor;
        page.items.extend(next.items);
        page.next_cursor = next.next_cursor;
        if is_stuck {
            return Err(Failure::unreachable("the daemon's list does not go on"));
        }
        let is_enough = extent
            .at_most()
            .is_some_and(|at_most| count(&page) >= at_most);
        if page.next_cursor.is_none() || is_enough {
            return Ok(page);
        }
    }
}

/// Prints a list: as JSON, or as the table that `show` makes of it, with a word on stderr when there is nothing or
/// more.
///
/// # Errors
/// An item cannot be understood, or stdout cannot be written.
pub fn print(
    page: &Page,
    what: &str,
    output: Output,
    out: &Out,
    show: impl FnOnce(&Page) -> Result<String, Failure>,
) -> Result<(), Failure> {
    if output == Output::Json {
        let text = serde_json::to_string(page).map_err(|error| {
            Failure::unreachable(format!("the list cannot be written: {error}"))
        })?;
        return json::print(&text, out);
    }
    if page.items.is_empty() {
        out.note(&format!("No {what} match."));
        return Ok(());
    }
    out.print(&show(page)?)?;
    if page.next_cursor.is_some() {
        out.note(&format!(
            "There are more {what}: --all shows them, --limit N more of them."
        ));
    }
    Ok(())
}

fn count(page: &Page) -> u64 {
    u64::try_from(page.items.len()).unwrap_or(u64::MAX)
}
