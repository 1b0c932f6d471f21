//! ServiceNow's Table API, table by table and page by page in the order of `sys_id`.
//!
//! Rows that the user may not read are left out of a page without a word, so a short page is not the end when the server
//! says how many there are. Rows that come twice tell that pages moved while we read; then a row may be missing, and
//! the whole conversation fails. Must not follow a page to another host.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use crate::importers::conversation::{
    Answer, Conversation, REQUESTS_MAX, Request, Step, below, page_url,
};
use crate::importers::servicenow::Rows;

/// Rows of one page: large enough for few requests, small enough for the server's time limit.
const PAGE_ROWS: u64 = 1_000;
/// Tables that are read when none is configured: all items, and services once more, for their criticality.
pub const TABLES: [&str; 3] = ["cmdb_ci", "cmdb_ci_service", "cmdb_rel_ci"];

/// The conversation.
pub struct Fetch {
    base: Url,
    tables: Vec<String>,
    query: Option<String>,
    known: BTreeSet<String>,
    answered: BTreeSet<String>,
    current: usize,
    offset: u64,
    requests: usize,
    /// Rows of the table that were read, and how many of them came twice.
    ids: BTreeSet<String>,
    repeats: u64,
    rows: Rows,
}

impl Fetch {
    /// Reads the tables; `query` is an encoded query that restricts the items. `known` are tables that answered before.
    pub fn new(
        base: Url,
        tables: Vec<String>,
        query: Option<String>,
        known: BTreeSet<String>,
    ) -> Self {
        let tables = if tables.is_empty() {
            TABLES.map(str::to_owned).to_vec()
        } else {
            tables
        };
        Self {
            base,
            tables,
            query,
            known,
            answered: BTreeSet::new(),
            current: 0,
            offset: 0,
            requests: 0,
            ids: BTreeSet::new(),
            repeats: 0,
            rows: Rows::default(),
        }
    }

    fn page(&mut self) -> Result<Step, String> {
        let Some(table) = self.tables.get(self.current) else {
            return Ok(Step::Done(std::mem::take(&mut self.rows).draw()));
        };
        self.requests = self.requests.saturating_add(1);
        if self.requests > REQUESTS_MAX {
            return Err(format!("it has no end after {REQUESTS_MAX} pages"));
        }
        let order = match &self.query {
            Some(query) if table != "cmdb_rel_ci" => format!("{query}^ORDERBYsys_id"),
            _ => "ORDERBYsys_id".to_owned(),
        };
        let (limit, offset) = (PAGE_ROWS.to_string(), self.offset.to_string());
        let query = [
            ("sysparm_query", order.as_str()),
            ("sysparm_display_value", "all"),
            ("sysparm_exclude_reference_link", "true"),
            ("sysparm_limit", &limit),
            ("sysparm_offset", &offset),
        ];
        let url = below(&self.base, &format!("api/now/table/{table}"), &query)?;
        Ok(Step::Fetch(Request::get(url)))
    }

    fn read(&mut self, table: &str, answer: &Answer) -> Result<Step, String> {
        let is_extra = table == "cmdb_ci_service" && self.offset == 0;
        if is_extra && matches!(answer.status, 400 | 403 | 404) && !self.known.contains(table) {
            let text = "the table cannot be read, so services have no criticality";
            self.rows.problem(table, text);
            return self.next_table();
        }
        let mut body = answer.json()?;
        if let Some(error) = body.get("error") {
            return Err(format!("the server answered {error}"));
        }
        let Some(Value::Array(list)) = body.get_mut("result").map(Value::take) else {
            return Err(
                "the answer has no list `result`; check that url is the base of the instance"
                    .to_owned(),
            );
        };
        let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
        let before = self.ids.len();
        for (index, row) in list.into_iter().enumerate() {
            let id = row.as_object().and_then(|row| super::plain(row, "sys_id"));
            if let Some(id) = id
                && !self.ids.insert(id.into())
            {
                self.repeats = self.repeats.saturating_add(1);
            }
            self.rows.add(
                &format!(
                    "{table}[{}]",
                    self.offset
                        .saturating_add(u64::try_from(index).unwrap_or(0))
                ),
                row,
            );
        }
        let total = answer
            .header("x-total-count")
            .and_then(|count| count.trim().parse::<u64>().ok());
        let named = answer.header("link").and_then(next_link);
        let adds_nothing = count > 0 && self.ids.len() == before;
        let is_only_probe = total.is_none() && named.is_none() && count < PAGE_ROWS;
        if adds_nothing && !is_only_probe {
            return Err(
                "a page has the same rows as those before; the server ignores sysparm_offset"
                    .to_owned(),
            );
        }
        let next = self.next_offset(count, total, named)?;
        if let Some(next) = next.filter(|_| !adds_nothing) {
            self.offset = next;
            return self.page();
        }
        self.check_whole(total)?;
        self.answered.insert(table.to_owned());
        self.next_table()
    }

    /// Where the next page starts; `None` after the last one.
    fn next_offset(
        &self,
        count: u64,
        total: Option<u64>,
        named: Option<&str>,
    ) -> Result<Option<u64>, String> {
        if let Some(named) = named {
            let url = page_url(&self.base, named)?;
            let offset = url.query_pairs().find(|(key, _)| key == "sysparm_offset");
            let offset = offset.and_then(|(_, text)| text.parse::<u64>().ok());
            return match offset {
                Some(offset) if offset > self.offset => Ok(Some(offset)),
                _ => Err(format!(
                    "the answer names {named:?} as its next page, which is not further on"
                )),
            };
        }
        // A server that gives less than it is asked for goes on behind what it gave; one that hides rows names the next page.
        let step = if count == 0 { PAGE_ROWS } else { count };
        let after = self.offset.saturating_add(step);
        Ok(match total {
            Some(total) => (after < total).then_some(after),
            None => (count > 0).then_some(after),
        })
    }

    fn check_whole(&mut self, total: Option<u64>) -> Result<(), String> {
        let read = u64::try_from(self.ids.len()).unwrap_or(u64::MAX);
        let Some(total) = total.filter(|total| read < *total) else {
            return Ok(());
        };
        if self.repeats > 0 {
            return Err(format!(
                "it has {total} rows, but its pages had only {read} different ones; it changed while it was read. Nothing was changed, the next import tries again"
            ));
        }
        let hidden = total.saturating_sub(read);
        let table = self.tables.get(self.current).map_or("", String::as_str);
        let text = format!("{hidden} of {total} rows were not shown; the user may not read them");
        self.rows.problem(table, &text);
        Ok(())
    }

    fn next_table(&mut self) -> Result<Step, String> {
        self.current = self.current.saturating_add(1);
        self.offset = 0;
        self.repeats = 0;
        self.ids.clear();
        self.page()
    }
}

impl Conversation for Fetch {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let table = self.tables.get(self.current).cloned().unwrap_or_default();
        let step = match answer {
            Some(answer) => self.read(&table, answer),
            None => self.page(),
        };
        step.unwrap_or_else(|error| Step::Failed(format!("table {table}: {error}")))
    }

    fn progress(&self) -> String {
        let table = self.tables.get(self.current).map_or("", String::as_str);
        format!("{table}, row {}", self.offset)
    }

    fn answered(&self) -> BTreeSet<String> {
        self.answered.clone()
    }
}

/// The target of `<...>;rel="next"` in a `Link` header.
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, behind) = after.split_once('>')?;
        let parameters = behind.split_once('<').map_or(behind, |(mine, _)| mine);
        if parameters.contains("rel=\"next\"") || parameters.contains("rel=next") {
            return Some(target);
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_several_links() {
        let header = "<https://x/a?sysparm_offset=0,1>;rel=\"first\",<https://x/a?sysparm_offset=9>;rel=\"next\"";
        assert_eq!(next_link(header), Some("https://x/a?sysparm_offset=9"));
        assert_eq!(next_link("<https://x>;rel=\"last\""), None);
        assert_eq!(next_link("broken <"), None);
    }
}
