//! GLPI's REST API: a session, each item type in ranges, the impact relations, the end of the session.
//!
//! Must not ask beyond the end of a list, which GLPI answers with an error.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use crate::core::cmdb::record::Picture;
use crate::importers::conversation::{Answer, Conversation, REQUESTS_MAX, Request, Step, below};
use crate::importers::draft::Draft;
use crate::importers::glpi::read_list;

/// Rows of one range.
const RANGE_ROWS: u64 = 500;
/// Item types that are read when none is configured.
pub const ITEM_TYPES: [&str; 8] = [
    "Computer",
    "NetworkEquipment",
    "Appliance",
    "Cluster",
    "DatabaseInstance",
    "Enclosure",
    "PDU",
    "ImpactRelation",
];

#[derive(Debug)]
enum State {
    Opening,
    Reading { session: String },
    Closing(Box<Picture>),
}

/// The conversation.
pub struct Fetch {
    base: Url,
    types: Vec<String>,
    /// Whether the types were configured, so that each must exist.
    are_required: bool,
    app_token: Option<String>,
    state: State,
    current: usize,
    start: u64,
    requests: usize,
    /// Numbers of the rows of this type.
    seen: BTreeSet<u64>,
    draft: Draft,
}

impl Fetch {
    /// Reads the item types; `app_token` is GLPI's token of the client, if the server wants one.
    pub fn new(base: Url, types: Vec<String>, app_token: Option<String>) -> Self {
        let are_required = !types.is_empty();
        let mut types = if are_required {
            types
        } else {
            ITEM_TYPES.map(str::to_owned).to_vec()
        };
        if !types.iter().any(|one| one == "ImpactRelation") {
            types.push("ImpactRelation".to_owned());
        }
        Self {
            base,
            types,
            are_required,
            app_token,
            state: State::Opening,
            current: 0,
            start: 0,
            requests: 0,
            seen: BTreeSet::new(),
            draft: Draft::default(),
        }
    }

    fn request(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
        session: Option<&str>,
    ) -> Result<Step, String> {
        self.requests = self.requests.saturating_add(1);
        if self.requests > REQUESTS_MAX {
            return Err(format!("it has no end after {REQUESTS_MAX} ranges"));
        }
        let base = self.base.path().trim_end_matches('/');
        // People write either the base of GLPI or the service itself.
        let path = if base.ends_with("apirest.php") || base.ends_with("/v1") {
            path.to_owned()
        } else {
            format!("apirest.php/{path}")
        };
        let mut request = Request::get(below(&self.base, &path, query)?);
        if let Some(token) = &self.app_token {
            request.headers.push(("app-token", token.clone()));
        }
        if let Some(session) = session {
            request.headers.push(("session-token", session.to_owned()));
            request.is_authenticated = false;
        }
        Ok(Step::Fetch(request))
    }

    fn range(&mut self, session: &str) -> Result<Step, String> {
        let Some(itemtype) = self.types.get(self.current).cloned() else {
            let picture = std::mem::take(&mut self.draft).finish();
            let step = self.request("killSession", &[], Some(session));
            self.state = State::Closing(Box::new(picture));
            return step;
        };
        let last = self.start.saturating_add(RANGE_ROWS).saturating_sub(1);
        let range = format!("{}-{last}", self.start);
        let query = [("range", range.as_str()), ("expand_dropdowns", "true")];
        // The ends of relations are numbers, and must stay so.
        let query = if itemtype == "ImpactRelation" {
            query.get(..1).unwrap_or_default()
        } else {
            &query
        };
        self.request(&itemtype, query, Some(session))
    }

    fn read(&mut self, session: &str, answer: &Answer) -> Result<Step, String> {
        let itemtype = self.types.get(self.current).cloned().unwrap_or_default();
        let is_missing = matches!(answer.status, 400 | 404) && self.start == 0;
        let is_unknown_type = is_missing
            && answer
                .shown()
                .contains("ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM");
        if is_unknown_type && !self.are_required {
            return self.next_type(session);
        }
        if answer.shown().contains("ERROR_RANGE_EXCEED_TOTAL") && self.start == 0 {
            // The list is empty.
            return self.next_type(session);
        }
        let body = answer.json()?;
        let list = body.as_array().ok_or("the answer is not a list")?;
        read_list(&mut self.draft, &itemtype, list)?;
        let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
        self.start = self.start.saturating_add(count);
        let ids = list
            .iter()
            .filter_map(|row| row.get("id").and_then(Value::as_u64));
        self.seen.extend(ids);
        let total = answer
            .header("content-range")
            .and_then(|range| range.rsplit('/').next()?.trim().parse::<u64>().ok());
        let has_more = match total {
            Some(total) if self.start < total && count == 0 => {
                return Err(format!(
                    "{total} rows are announced, and an empty range comes at {}",
                    self.start
                ));
            }
            Some(total) => self.start < total,
            None => answer.status == 206 && count > 0,
        };
        let read = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        if !has_more && total.is_some_and(|total| read < total) {
            return Err(format!(
                "it has {} rows, but its ranges had only {read} different ones; it changed while it was read. Nothing was changed, the next import tries again",
                total.unwrap_or_default()
            ));
        }
        if has_more {
            self.range(session)
        } else {
            self.next_type(session)
        }
    }

    fn next_type(&mut self, session: &str) -> Result<Step, String> {
        self.current = self.current.saturating_add(1);
        self.start = 0;
        self.seen.clear();
        self.range(session)
    }
}

impl Conversation for Fetch {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let state = std::mem::replace(&mut self.state, State::Opening);
        let place = self.types.get(self.current).cloned().unwrap_or_default();
        let step = match (state, answer) {
            (State::Opening, None) => self.request("initSession", &[], None),
            (State::Opening, Some(answer)) => session(answer).and_then(|session| {
                self.state = State::Reading {
                    session: session.clone(),
                };
                self.range(&session)
            }),
            (State::Reading { session }, Some(answer)) => {
                self.state = State::Reading {
                    session: session.clone(),
                };
                self.read(&session, answer)
                    .map_err(|error| format!("{place}: {error}"))
            }
            (State::Closing(picture), _) => Ok(Step::Done(*picture)),
            (State::Reading { .. }, None) => Err("the conversation has no answer".to_owned()),
        };
        step.unwrap_or_else(Step::Failed)
    }

    fn progress(&self) -> String {
        let itemtype = self.types.get(self.current).map_or("", String::as_str);
        format!("{itemtype}, row {}", self.start)
    }
}

fn session(answer: &Answer) -> Result<String, String> {
    let body = answer.json().map_err(|error| format!("login: {error}"))?;
    let token = body.get("session_token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| {
        "login: the answer has no session_token; check that url is the base of GLPI and its API is enabled".to_owned()
    })
}
