//! NetBox' REST API, list by list and page by page.
//!
//! Lists are asked for in the order of their numbers, and each must have as many rows as the server counts: rows that
//! moved from one page to another while we read would otherwise look deleted. Must not follow a page to another host.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use crate::importers::conversation::{
    Answer, Conversation, REQUESTS_MAX, Request, Step, below, page_url,
};
use crate::importers::draft::Draft;
use crate::importers::netbox::picture;
use crate::importers::netbox::rows::{MODELS, Model, Rows};
use crate::importers::value::number;

/// Rows of one page; the most that NetBox gives as shipped.
const PAGE_ROWS: &str = "1000";

/// The conversation.
pub struct Fetch {
    base: Url,
    lists: Vec<&'static Model>,
    /// Index of the list that is being read.
    current: usize,
    /// Pages of that list, so that none is asked for twice.
    pages: BTreeSet<String>,
    requests: usize,
    /// Lists that this server had the last time; they do not just disappear.
    known: BTreeSet<String>,
    answered: BTreeSet<String>,
    rows: Rows,
    draft: Draft,
}

impl Fetch {
    /// Reads all lists but those of the models to `skip`; `known` are the paths that answered the last time.
    pub fn new(base: Url, skip: &[String], known: BTreeSet<String>) -> Self {
        let lists = MODELS.iter().filter(|model| {
            !model.path.is_empty()
                && !skip
                    .iter()
                    .any(|name| name == model.name || name == model.path)
        });
        Self {
            base: bare(base),
            lists: lists.collect(),
            current: 0,
            pages: BTreeSet::new(),
            requests: 0,
            known,
            answered: BTreeSet::new(),
            rows: Rows::default(),
            draft: Draft::default(),
        }
    }

    fn first_page(&mut self) -> Step {
        let Some(model) = self.lists.get(self.current) else {
            let mut draft = std::mem::take(&mut self.draft);
            picture::draw(&self.rows, &mut draft);
            return Step::Done(draft.finish());
        };
        self.pages.clear();
        let mut query = vec![("limit", PAGE_ROWS), ("ordering", "id")];
        query.extend_from_slice(model.query);
        match below(&self.base, &format!("api/{}/", model.path), &query) {
            Ok(url) => self.fetch(url),
            Err(error) => Step::Failed(error),
        }
    }

    fn fetch(&mut self, url: Url) -> Step {
        self.requests = self.requests.saturating_add(1);
        if self.requests > REQUESTS_MAX {
            return Step::Failed(format!(
                "{} has no end after {REQUESTS_MAX} pages",
                url.path()
            ));
        }
        if !self.pages.insert(url.as_str().to_owned()) {
            return Step::Failed(format!(
                "the server names the page {url} twice; nothing was changed"
            ));
        }
        Step::Fetch(Request::get(url))
    }

    fn read(&mut self, model: &'static Model, answer: &Answer) -> Result<Step, String> {
        if answer.status == 404 && model.name != "dcim.device" && self.pages.len() == 1 {
            if self.known.contains(model.path) {
                return Err(format!(
                    "{} was there the last time and is not found now; nothing was changed",
                    model.path
                ));
            }
            self.current = self.current.saturating_add(1);
            return Ok(self.first_page());
        }
        let mut page = answer.json()?;
        let Some(Value::Array(list)) = page.get_mut("results").map(Value::take) else {
            return Err(
                "the answer has no results; check that url is the base of NetBox".to_owned(),
            );
        };
        for row in list {
            let id = row.get("id").and_then(Value::as_u64);
            match (row, id) {
                (Value::Object(row), Some(id)) => {
                    self.rows.add(model.name, id, row);
                }
                _ => {
                    let place = format!("api/{}/", model.path);
                    self.draft
                        .problem(&place, "an object without an id was left out");
                }
            }
        }
        if let Some(next) = page.get("next").and_then(Value::as_str) {
            let url = page_url(&self.base, next)?;
            return Ok(self.fetch(url));
        }
        let counted = page.as_object().and_then(|page| number(page, "count"));
        let read = u64::try_from(self.rows.count(model.name)).unwrap_or(u64::MAX);
        if counted.is_some_and(|counted| read < counted) {
            return Err(format!(
                "{} has {} objects, but its pages only had {read} different ones; it probably changed while it was read. Nothing was changed, the next import tries again",
                model.path,
                counted.unwrap_or_default()
            ));
        }
        self.answered.insert(model.path.to_owned());
        self.current = self.current.saturating_add(1);
        Ok(self.first_page())
    }
}

/// People write the base of NetBox, or that of its API.
fn bare(mut base: Url) -> Url {
    let path = base.path().trim_end_matches('/');
    if let Some(path) = path.strip_suffix("/api") {
        let path = path.to_owned();
        base.set_path(&path);
    }
    base
}

impl Conversation for Fetch {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let (Some(answer), Some(model)) = (answer, self.lists.get(self.current).copied()) else {
            return self.first_page();
        };
        self.read(model, answer)
            .unwrap_or_else(|error| Step::Failed(format!("api/{}/: {error}", model.path)))
    }

    fn progress(&self) -> String {
        let list = self.lists.get(self.current).map_or("", |model| model.path);
        format!("{list}, request {}", self.requests)
    }

    fn answered(&self) -> BTreeSet<String> {
        self.answered.clone()
    }
}
