//! iTop's REST service: all functional items page by page, then what impacts what.
//!
//! Must not put user or password into the form; the wire sends them as HTTP basic authentication.

use serde_json::json;
use url::Url;

use crate::importers::conversation::{
    Answer, Conversation, Method, REQUESTS_MAX, Request, Step, below,
};
use crate::importers::draft::Draft;
use crate::importers::itop::{check, read_objects, read_relations};

/// Items of one page; iTop renders every field of each.
const PAGE_ITEMS: usize = 500;

/// The conversation.
pub struct Fetch {
    base: Url,
    /// What is read, as an OQL query.
    query: String,
    page: usize,
    are_objects_read: bool,
    draft: Draft,
}

impl Fetch {
    /// Reads the class and its relations; `class` is `FunctionalCI` unless configured, or a whole query in OQL.
    pub fn new(base: Url, class: Option<String>) -> Self {
        let class = class.unwrap_or_else(|| "FunctionalCI".to_owned());
        let query = if class.to_ascii_uppercase().starts_with("SELECT") {
            class
        } else {
            // OQL; the word alone would be taken for SQL of ours.
            ["SELECT", class.as_str()].join(" ")
        };
        Self {
            base,
            query,
            page: 1,
            are_objects_read: false,
            draft: Draft::default(),
        }
    }

    fn class(&self) -> &str {
        self.query
            .split_whitespace()
            .nth(1)
            .unwrap_or("FunctionalCI")
    }

    fn ask(&self) -> Result<Step, String> {
        let data = if self.are_objects_read {
            json!({
                "operation": "core/get_related", "class": self.class(), "key": self.query,
                "relation": "impacts", "depth": 1, "redundancy": false, "direction": "down",
            })
        } else {
            json!({
                "operation": "core/get", "class": self.class(), "key": self.query,
                "output_fields": "*+", "limit": PAGE_ITEMS, "page": self.page,
            })
        };
        // People write either the base of iTop or the service itself.
        let path = if self.base.path().ends_with("rest.php") {
            ""
        } else {
            "webservices/rest.php"
        };
        let url = below(&self.base, path, &[("version", "1.4")])?;
        Ok(Step::Fetch(Request {
            method: Method::Post,
            form: vec![("json_data", data.to_string())],
            ..Request::get(url)
        }))
    }

    fn read(&mut self, answer: &Answer) -> Result<Step, String> {
        let body = answer.json()?;
        let body = body.as_object().ok_or("the answer is not an object")?;
        check(body)?;
        if self.are_objects_read {
            read_relations(&mut self.draft, body);
            return Ok(Step::Done(std::mem::take(&mut self.draft).finish()));
        }
        let before = self.draft.len();
        let count = read_objects(&mut self.draft, body);
        if count >= PAGE_ITEMS {
            if self.draft.len() == before {
                return Err(
                    "a page has the same items as those before; is this iTop older than 3.0?"
                        .to_owned(),
                );
            }
            self.page = self.page.saturating_add(1);
            if self.page > REQUESTS_MAX {
                return Err(format!("it has no end after {REQUESTS_MAX} pages"));
            }
        } else {
            self.are_objects_read = true;
        }
        self.ask()
    }
}

impl Conversation for Fetch {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let step = match answer {
            Some(answer) => self.read(answer),
            None => self.ask(),
        };
        step.unwrap_or_else(Step::Failed)
    }

    fn progress(&self) -> String {
        format!("{} items", self.draft.len())
    }
}
