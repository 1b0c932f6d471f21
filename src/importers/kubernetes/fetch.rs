//! The API of Kubernetes: each kind in pages.
//!
//! A page that the server no longer has (410) means that the list starts again; what was read of it is forgotten by
//! being read again. Must not ask for kinds that are not read.

use serde_json::Value;
use url::Url;

use crate::importers::conversation::{Answer, Conversation, REQUESTS_MAX, Request, Step, below};
use crate::importers::kubernetes::Objects;

/// Objects of one page.
const PAGE_OBJECTS: &str = "500";
/// How often one list may start again; then the cluster changes faster than it can be read.
const RESTARTS_MAX: u8 = 3;
/// Where the lists are.
const LISTS: [&str; 10] = [
    "api/v1/nodes",
    "api/v1/pods",
    "api/v1/services",
    "apis/apps/v1/deployments",
    "apis/apps/v1/replicasets",
    "apis/apps/v1/statefulsets",
    "apis/apps/v1/daemonsets",
    "apis/batch/v1/jobs",
    "apis/batch/v1/cronjobs",
    "apis/networking.k8s.io/v1/ingresses",
];

/// The conversation.
pub struct Fetch {
    base: Url,
    current: usize,
    restarts: u8,
    requests: usize,
    /// Objects of the list that is being read; taken over when it is whole.
    pages: Vec<Value>,
    objects: Objects,
}

impl Fetch {
    /// Reads all lists.
    pub fn new(base: Url) -> Self {
        Self {
            base,
            current: 0,
            restarts: 0,
            requests: 0,
            pages: Vec::new(),
            objects: Objects::default(),
        }
    }

    fn ask(&mut self, go_on: Option<&str>) -> Result<Step, String> {
        let Some(path) = LISTS.get(self.current) else {
            return Ok(Step::Done(std::mem::take(&mut self.objects).draw()));
        };
        self.requests = self.requests.saturating_add(1);
        if self.requests > REQUESTS_MAX {
            return Err(format!("it has no end after {REQUESTS_MAX} pages"));
        }
        let mut query = vec![("limit", PAGE_OBJECTS)];
        query.extend(go_on.map(|token| ("continue", token)));
        Ok(Step::Fetch(Request::get(below(&self.base, path, &query)?)))
    }

    fn read(&mut self, answer: &Answer) -> Result<Step, String> {
        if answer.status == 410 {
            self.restarts = self.restarts.saturating_add(1);
            if self.restarts > RESTARTS_MAX {
                return Err(
                    "the list changes faster than it can be read; nothing was changed".to_owned(),
                );
            }
            self.pages.clear();
            return self.ask(None);
        }
        let body = answer.json()?;
        if !body.get("items").is_some_and(Value::is_array) {
            return Err(
                "the answer has no items; check that url is that of the API server".to_owned(),
            );
        }
        let go_on = body
            .pointer("/metadata/continue")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        self.pages.push(body);
        if !go_on.is_empty() {
            return self.ask(Some(&go_on));
        }
        let path = LISTS.get(self.current).copied().unwrap_or_default();
        for page in std::mem::take(&mut self.pages) {
            self.objects.add(path, page);
        }
        self.current = self.current.saturating_add(1);
        self.restarts = 0;
        self.ask(None)
    }
}

impl Conversation for Fetch {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let path = LISTS.get(self.current).copied().unwrap_or_default();
        let step = match answer {
            Some(answer) => self.read(answer),
            None => self.ask(None),
        };
        step.unwrap_or_else(|error| Step::Failed(format!("{path}: {error}")))
    }

    fn progress(&self) -> String {
        let path = LISTS.get(self.current).copied().unwrap_or_default();
        format!("{path}, request {}", self.requests)
    }
}
