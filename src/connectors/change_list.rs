//! The conversation that reads change records: what ServiceNow keeps in `change_request`, and Jira as issues.
//!
//! Read only: approvals stay where they are given and are taken over as a word. Pages may shift while they are read, so
//! what was seen on an earlier page is left out. Must not decide what a change becomes here, or read a clock.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use smol_str::SmolStr;

use super::talk::Talk;
use super::{Answer, Body, Failure, Request, Step};
use crate::core::records::ChangeState;
use crate::core::records::change::ChangeWanted;
use crate::core::time::Timestamp;

/// Pages of one look; what lies behind them is read at the next one.
const PAGES_MAX: usize = 10;
/// Records of a page.
const PAGE: usize = 200;
/// Characters of a text that is taken over.
const TEXT_MAX: usize = 1_000;
/// Fields of a ServiceNow change that are read.
const SNOW_FIELDS: &str = "sys_id,number,short_description,description,type,state,close_code,approval,risk,cmdb_ci,\
     assigned_to,requested_by,start_date,end_date,work_start,work_end,sys_updated_on";

/// Whose records they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangePlatform {
    /// ServiceNow.
    ServiceNow,
    /// Jira.
    Jira,
}

impl ChangePlatform {
    /// The platform of a profile whose change records can be read.
    pub fn of_profile(name: &str) -> Option<Self> {
        match name {
            "servicenow" => Some(Self::ServiceNow),
            "jira" => Some(Self::Jira),
            _ => None,
        }
    }
}

/// Which records are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeQuery {
    /// Whose.
    pub platform: ChangePlatform,
    /// A condition besides the time, in the platform's words; may be empty on ServiceNow.
    pub query: String,
    /// The table of ServiceNow.
    pub table: String,
    /// Where fields of ours stand there, as far as that differs per installation.
    pub fields: BTreeMap<String, String>,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesRead {
    /// The changes, without source and key.
    pub changes: Vec<ChangeWanted>,
    /// The latest time of a change there.
    pub latest: Option<Timestamp>,
    /// Whether there was more than is read at once.
    pub is_cut: bool,
}

/// Reads the change records that changed since a time.
#[derive(Debug)]
pub struct ChangeList {
    wanted: ChangeQuery,
    base: String,
    since: Timestamp,
    page: usize,
    offset: usize,
    token: Option<String>,
    seen: BTreeSet<String>,
    read: ChangesRead,
}

impl ChangeList {
    /// Since this time, on the platform's clock; `base` is the address of the platform.
    pub fn new(wanted: ChangeQuery, base: &str, since: Timestamp) -> Self {
        Self {
            wanted,
            base: base.to_owned(),
            since,
            page: 0,
            offset: 0,
            token: None,
            seen: BTreeSet::new(),
            read: ChangesRead::default(),
        }
    }

    fn ask(&self) -> Request {
        match self.wanted.platform {
            ChangePlatform::ServiceNow => self.ask_servicenow(),
            ChangePlatform::Jira => self.ask_jira(),
        }
    }

    fn ask_servicenow(&self) -> Request {
        let since = at(self.since).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let mut query = format!("sys_updated_on>={since}");
        if !self.wanted.query.is_empty() {
            query.push('^');
            query.push_str(&self.wanted.query);
        }
        query.push_str("^ORDERBYsys_updated_on^ORDERBYsys_id");
        let extra = self.wanted.fields.values().map(String::as_str);
        let fields: Vec<_> = std::iter::once(SNOW_FIELDS).chain(extra).collect();
        let query = [
            ("sysparm_query", query),
            ("sysparm_limit", PAGE.to_string()),
            ("sysparm_offset", self.offset.to_string()),
            ("sysparm_display_value", "all".to_owned()),
            ("sysparm_exclude_reference_link", "true".to_owned()),
            ("sysparm_fields", fields.join(",")),
        ];
        Request {
            step: SmolStr::new_static("changes"),
            method: SmolStr::new_static("GET"),
            path: format!("/api/now/table/{}", self.wanted.table),
            query: pairs(query),
            headers: accept(),
            body: Body::Empty,
            is_write: false,
        }
    }

    fn ask_jira(&self) -> Request {
        // Jira reads times of a query by the minute.
        let since = at(self.since).strftime("%Y-%m-%d %H:%M").to_string();
        let condition = self.wanted.query.trim();
        let jql = format!("({condition}) AND updated >= \"{since}\" ORDER BY updated ASC");
        let mut fields = vec![
            "summary",
            "description",
            "status",
            "issuetype",
            "priority",
            "assignee",
            "resolution",
            "components",
            "updated",
            "created",
            "duedate",
            "resolutiondate",
        ];
        fields.extend(self.wanted.fields.values().map(String::as_str));
        let mut body = json!({"jql": jql, "fields": fields, "maxResults": 100});
        if let (Some(token), Some(object)) = (&self.token, body.as_object_mut()) {
            object.insert("nextPageToken".to_owned(), json!(token));
        }
        Request {
            step: SmolStr::new_static("changes"),
            method: SmolStr::new_static("POST"),
            path: "/rest/api/2/search/jql".to_owned(),
            query: Vec::new(),
            headers: accept(),
            body: Body::Json(body),
            is_write: false,
        }
    }

    fn heard(&mut self, answer: &Answer) -> Result<bool, Failure> {
        check(answer)?;
        let body: Json = serde_json::from_slice(&answer.body)
            .map_err(|_| Failure::Broken("the answer with changes is no JSON".to_owned()))?;
        let key = match self.wanted.platform {
            ChangePlatform::ServiceNow => "result",
            ChangePlatform::Jira => "issues",
        };
        let items = body.get(key).and_then(Json::as_array);
        let items = items.ok_or_else(|| Failure::Broken(format!("the answer has no {key:?}")))?;
        let mut is_new = false;
        for item in items {
            let (id, change, updated) = match self.wanted.platform {
                ChangePlatform::ServiceNow => self.of_servicenow(item),
                ChangePlatform::Jira => self.of_jira(item),
            };
            if id.is_empty() || !self.seen.insert(id) {
                continue;
            }
            is_new = true;
            self.read.latest = self.read.latest.max(updated);
            self.read.changes.push(change);
        }
        self.page = self.page.saturating_add(1);
        self.offset = self.offset.saturating_add(PAGE);
        self.token = body
            .get("nextPageToken")
            .and_then(Json::as_str)
            .map(str::to_owned);
        let has_more = match self.wanted.platform {
            ChangePlatform::ServiceNow => items.len() >= PAGE,
            ChangePlatform::Jira => self.token.is_some(),
        };
        let goes_on = has_more && is_new;
        self.read.is_cut = goes_on && self.page >= PAGES_MAX;
        Ok(goes_on && !self.read.is_cut)
    }

    fn own<'a>(&self, item: &'a Json, name: &str) -> Option<&'a Json> {
        item.get(self.wanted.fields.get(name)?)
    }

    fn of_servicenow(&self, item: &Json) -> (String, ChangeWanted, Option<Timestamp>) {
        let shown = |name: &str| display(item.get(name));
        let value = |name: &str| raw(item.get(name));
        let time = |names: [&str; 2]| {
            let mut found = names.iter().filter_map(|name| value(name));
            found.find_map(|text| read_time(&text))
        };
        let id = value("sys_id").or_else(|| value("number"));
        let (state, close) = (value("state"), value("close_code"));
        let cis: Vec<SmolStr> = match self.own(item, "ci") {
            Some(own) => names(own),
            None => shown("cmdb_ci").into_iter().collect(),
        };
        let change = ChangeWanted {
            external_id: value("number").or_else(|| id.clone()),
            summary: shown("short_description"),
            description: shown("description"),
            kind: value("type").map(|kind| SmolStr::new(kind.to_lowercase())),
            state: snow_state(
                state.as_deref(),
                close.as_deref(),
                shown("state").as_deref(),
            ),
            risk: shown("risk"),
            approval: shown("approval"),
            cis: (!cis.is_empty()).then_some(cis),
            by: shown("assigned_to").or_else(|| shown("requested_by")),
            url: id.as_ref().map(|id| {
                let table = &self.wanted.table;
                SmolStr::new(format!(
                    "{}/nav_to.do?uri={table}.do?sys_id={id}",
                    self.base
                ))
            }),
            starts_at: time(["work_start", "start_date"]),
            ends_at: time(["work_end", "end_date"]),
            ..ChangeWanted::default()
        };
        let updated = value("sys_updated_on").and_then(|text| read_time(&text));
        (id.unwrap_or_default().to_string(), change, updated)
    }

    fn of_jira(&self, item: &Json) -> (String, ChangeWanted, Option<Timestamp>) {
        let nothing = Json::Null;
        let fields = item.get("fields").unwrap_or(&nothing);
        let text = |name: &str| display(fields.get(name));
        let time = |value: Option<&Json>| raw(value).and_then(|text| read_time(&text));
        let key = raw(item.get("key")).or_else(|| raw(item.get("id")));
        let status = fields.get("status");
        let category = status.and_then(|status| status.get("statusCategory")?.get("key"));
        let resolution = text("resolution");
        let cis = self
            .own(fields, "ci")
            .or_else(|| fields.get("components"))
            .map(names)
            .filter(|cis| !cis.is_empty());
        let own_time = |name: &str| time(self.own(fields, name));
        let change = ChangeWanted {
            external_id: key.clone(),
            summary: text("summary"),
            description: text("description"),
            kind: display(self.own(fields, "type")).or_else(|| text("issuetype")),
            state: jira_state(
                display(status).as_deref(),
                raw(category).as_deref(),
                resolution.as_deref(),
            ),
            risk: display(self.own(fields, "risk")),
            approval: display(self.own(fields, "approval")),
            cis,
            by: text("assignee"),
            url: key
                .as_ref()
                .map(|key| SmolStr::new(format!("{}/browse/{key}", self.base))),
            starts_at: own_time("starts_at"),
            ends_at: own_time("ends_at").or_else(|| time(fields.get("resolutiondate"))),
            ..ChangeWanted::default()
        };
        let id = raw(item.get("id")).or(key).unwrap_or_default();
        (id.to_string(), change, time(fields.get("updated")))
    }
}

impl Talk for ChangeList {
    type Outcome = ChangesRead;

    fn next(&mut self, answer: Option<&Answer>) -> Step<ChangesRead> {
        match answer.map(|answer| self.heard(answer)) {
            None | Some(Ok(true)) => Step::Send(Box::new(self.ask())),
            Some(Ok(false)) => Step::Done(std::mem::take(&mut self.read)),
            Some(Err(failure)) => Step::Failed(failure),
        }
    }
}

fn check(answer: &Answer) -> Result<(), Failure> {
    let said = || {
        let text = String::from_utf8_lossy(&answer.body);
        let short: String = text.chars().take(200).collect();
        format!("HTTP {}: {short}", answer.status)
    };
    let wait = answer
        .headers
        .iter()
        .find(|(name, _)| name == "retry-after");
    match answer.status {
        200 => Ok(()),
        401 | 403 => Err(Failure::Login(said())),
        429 => Err(Failure::Limited {
            after_s: wait.and_then(|(_, text)| text.trim().parse().ok()),
        }),
        500.. => Err(Failure::Away(said())),
        _ => Err(Failure::Refused(said())),
    }
}

fn accept() -> Vec<(String, String)> {
    vec![("Accept".to_owned(), "application/json".to_owned())]
}

fn pairs<const N: usize>(query: [(&str, String); N]) -> Vec<(String, String)> {
    let query = query.into_iter();
    query
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn at(time: Timestamp) -> jiff::Zoned {
    jiff::Timestamp::from_millisecond(time.as_millis())
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
}

/// A field as people read it: text, the shown value, or the name of what it refers to.
fn display(value: Option<&Json>) -> Option<SmolStr> {
    named(value?, &["display_value", "displayName", "name", "value"])
}

/// A field as programs read it.
fn raw(value: Option<&Json>) -> Option<SmolStr> {
    named(value?, &["value", "id", "key", "name", "display_value"])
}

fn named(value: &Json, keys: &[&str]) -> Option<SmolStr> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        Json::Object(object) => {
            let mut found = keys.iter().filter_map(|key| object.get(*key));
            return found.find_map(|value| match value {
                Json::String(_) | Json::Number(_) => named(value, keys),
                Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
            });
        }
        Json::Null | Json::Bool(_) | Json::Array(_) => return None,
    };
    let text = text.trim().replace('\0', "");
    let short: String = text.chars().take(TEXT_MAX).collect();
    (!short.is_empty()).then(|| SmolStr::new(short))
}

/// The names in a field that may hold several.
fn names(value: &Json) -> Vec<SmolStr> {
    match value {
        Json::Array(items) => items
            .iter()
            .filter_map(|item| display(Some(item)))
            .collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            display(Some(value)).into_iter().collect()
        }
    }
}

/// A time of either platform; one without an offset is UTC.
fn read_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let with_offset = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f%:z"];
    let of_offset = with_offset.iter().find_map(|format| {
        let time = jiff::fmt::strtime::parse(format, text).ok()?;
        time.to_timestamp().ok()
    });
    let plain = || {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(zoned.timestamp())
    };
    let at = of_offset.or_else(|| text.parse().ok()).or_else(plain)?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// The states of the usual change process, by number; another process is read by the words of its states.
fn snow_state(
    state: Option<&str>,
    close: Option<&str>,
    shown: Option<&str>,
) -> Option<ChangeState> {
    let has_failed = close.is_some_and(|code| {
        let code = code.to_lowercase();
        code.starts_with("unsuccessful") || code.contains("backed_out") || code.contains("fail")
    });
    let known = match state? {
        "-5" | "-4" | "-3" | "-2" => Some(ChangeState::Planned),
        "-1" => Some(ChangeState::InProgress),
        "0" | "3" => Some(ChangeState::Successful),
        "4" => Some(ChangeState::Cancelled),
        word => ChangeState::from_any_word(word),
    };
    let known = known.or_else(|| ChangeState::from_any_word(shown?))?;
    let is_made = known == ChangeState::Successful;
    Some(if is_made && has_failed {
        ChangeState::Failed
    } else {
        known
    })
}

fn jira_state(
    status: Option<&str>,
    category: Option<&str>,
    resolution: Option<&str>,
) -> Option<ChangeState> {
    let by_word = status.and_then(ChangeState::from_any_word);
    let by_category = category.and_then(|category| match category {
        "new" => Some(ChangeState::Planned),
        "indeterminate" => Some(ChangeState::InProgress),
        "done" => Some(ChangeState::Successful),
        _ => None,
    });
    let state = by_word.or(by_category)?;
    let verdict = resolution.and_then(|word| match &*word.to_lowercase() {
        "won't do" | "won't fix" | "declined" | "rejected" => Some(ChangeState::Cancelled),
        _ => ChangeState::from_any_word(word),
    });
    Some(match (state, verdict) {
        (ChangeState::Successful, Some(said)) if said.is_over() => said,
        _ => state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(platform: ChangePlatform) -> ChangeQuery {
        ChangeQuery {
            platform,
            query: "project = CHG".to_owned(),
            table: "change_request".to_owned(),
            fields: BTreeMap::from([("starts_at".to_owned(), "customfield_1".to_owned())]),
        }
    }

    fn answer(body: &Json) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn records_of_servicenow_are_read_with_approval_and_outcome() {
        let mut list = ChangeList::new(
            query(ChangePlatform::ServiceNow),
            "https://snow.example",
            Timestamp::from_millis(0),
        );
        let Step::Send(request) = list.next(None) else {
            panic!("nothing is asked");
        };
        assert_eq!(request.path, "/api/now/table/change_request");
        let asked = &request.query[0].1;
        assert!(asked.starts_with("sys_updated_on>=1970-01-01 00:00:00^project = CHG^ORDERBY"));
        let field = |value: &str, shown: &str| json!({"value": value, "display_value": shown});
        let body = json!({"result": [{
            "sys_id": field("abc", "abc"), "number": field("CHG0001", "CHG0001"),
            "short_description": "New firmware", "type": field("emergency", "Emergency"),
            "state": field("3", "Closed"), "close_code": field("unsuccessful", "Unsuccessful"),
            "approval": field("approved", "Approved"), "cmdb_ci": field("0f", "sw1"),
            "start_date": field("2026-11-30 10:00:00", "30/11/2026 11:00"),
            "sys_updated_on": field("2026-11-30 12:00:00", "x"),
        }]});
        let Step::Done(read) = list.next(Some(&answer(&body))) else {
            panic!("it goes on");
        };
        let [change] = read.changes.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(change.external_id.as_deref(), Some("CHG0001"));
        assert_eq!(change.state, Some(ChangeState::Failed));
        assert_eq!(change.approval.as_deref(), Some("Approved"));
        assert_eq!(change.kind.as_deref(), Some("emergency"));
        assert_eq!(change.cis.as_deref(), Some(&[SmolStr::new("sw1")][..]));
        let ten = Timestamp::from_millis(1_796_032_800_000);
        assert_eq!(change.starts_at, Some(ten));
        assert_eq!(
            read.latest,
            Some(ten.plus(crate::core::time::Span::from_hours(2)))
        );
    }

    #[test]
    fn issues_of_jira_are_read_page_by_page() {
        let mut list = ChangeList::new(
            query(ChangePlatform::Jira),
            "https://jira.example",
            Timestamp::from_millis(0),
        );
        assert!(matches!(list.next(None), Step::Send(_)));
        let issue = |id: &str, status: &str, category: &str| {
            json!({"id": id, "key": format!("CHG-{id}"), "fields": {"summary": "Deploy",
                "status": {"name": status, "statusCategory": {"key": category}},
                "components": [{"name": "shop"}], "customfield_1": "2026-11-30T11:00:00.000+0100",
                "updated": "2026-11-30T12:00:00.000+0000"}})
        };
        let first =
            json!({"issues": [issue("1", "Deploying it", "indeterminate")], "nextPageToken": "t"});
        let Step::Send(second) = list.next(Some(&answer(&first))) else {
            panic!("the second page is not asked for");
        };
        let Body::Json(body) = &second.body else {
            panic!("{second:?}");
        };
        assert_eq!(body["nextPageToken"], "t");
        let last = json!({"issues": [issue("1", "Done", "done"), issue("2", "Done", "done")]});
        let Step::Done(read) = list.next(Some(&answer(&last))) else {
            panic!("it goes on");
        };
        let states: Vec<_> = read.changes.iter().map(|it| it.state).collect();
        let expected = [Some(ChangeState::InProgress), Some(ChangeState::Successful)];
        assert_eq!(states, expected, "one that was seen is not read twice");
        assert_eq!(
            read.changes[0].starts_at,
            Some(Timestamp::from_millis(1_796_032_800_000))
        );
        assert_eq!(
            read.changes[1].cis.as_deref(),
            Some(&[SmolStr::new("shop")][..])
        );
    }

    #[test]
    fn what_is_no_list_is_a_failure() {
        let mut list = ChangeList::new(
            query(ChangePlatform::ServiceNow),
            "https://snow.example",
            Timestamp::from_millis(0),
        );
        let wrong = list.next(Some(&answer(&json!({"error": "no"}))));
        assert!(matches!(wrong, Step::Failed(Failure::Broken(_))));
        let busy = Answer {
            status: 429,
            headers: vec![("retry-after".to_owned(), "7".to_owned())],
            body: Vec::new(),
        };
        let busy = list.next(Some(&busy));
        assert!(matches!(
            busy,
            Step::Failed(Failure::Limited { after_s: Some(7) })
        ));
    }
}
