//! What an answer means: done, refused, to be asked later, or not known.
//!
//! A good status proves nothing by itself: a request says what its answer must hold. A write whose answer proves neither
//! that it was done nor that it was not is doubtful.

use std::cell::OnceCell;

use minijinja::Value;
use minijinja::value::merge_maps;
use serde_json::{Map, Value as Json, json};
use smol_str::SmolStr;

use super::call::Call;
use super::profile::Profile;
use super::text::{Rule, show, value_of};
use super::vars::TicketVars;
use super::{Answer, Failure};
use crate::core::ticket::{Record, TEXT_BYTES_MAX};

/// Bytes of an answer that is not understood which are shown.
const SHOWN_BYTES_MAX: usize = 200;

/// An answer, read.
pub(super) struct Reply {
    status: u16,
    /// The body as JSON; null when it is none.
    pub(super) body: Json,
    is_json: bool,
    text: String,
    headers: Map<String, Json>,
    /// All of it as expressions see it, made once: a page has hundreds of tickets.
    seen: OnceCell<Value>,
}

impl Reply {
    pub(super) fn read(answer: &Answer) -> Self {
        let body: Result<Json, _> = serde_json::from_slice(&answer.body);
        let text = String::from_utf8_lossy(&answer.body);
        let headers = answer.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), json!(value)));
        Self {
            status: answer.status,
            is_json: body.is_ok(),
            body: body.unwrap_or(Json::Null),
            text: text.chars().take(4_096).collect(),
            headers: headers.collect(),
            seen: OnceCell::new(),
        }
    }

    /// The values that expressions about this answer see, with some more over them.
    pub(super) fn with(&self, vars: &TicketVars, more: &Map<String, Json>) -> Value {
        let seen = self.seen.get_or_init(|| {
            value_of(json!({"status": self.status, "body": self.body, "headers": self.headers, "text": self.text}))
        });
        merge_maps([value_of(more), seen.clone(), value_of(vars.values())])
    }

    /// The values that expressions about one item of this answer see.
    pub(super) fn of_item(&self, vars: &TicketVars, item: &Json) -> Value {
        let mut more = Map::new();
        more.insert("item".to_owned(), item.clone());
        self.with(vars, &more)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Json::as_str)
    }

    /// How long the platform asks to wait, in seconds.
    fn wait_s(&self, profile: &Profile, values: &Value) -> Option<u64> {
        let own = profile.retry_after.as_ref();
        let own = own.and_then(|rule| rule.text(values).ok().flatten());
        let text = own
            .as_deref()
            .or_else(|| self.header("retry-after"))?
            .trim();
        if let Ok(seconds) = text.parse::<f64>() {
            let whole = seconds.clamp(0.0, 86_400.0).ceil();
            return format!("{whole:.0}").parse().ok();
        }
        // A date of HTTP; how far it lies ahead is measured on the platform's own clock.
        let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        let now = self.header("date")?;
        let now = jiff::fmt::rfc2822::parse(now).ok()?.timestamp();
        let wait = until.as_second().saturating_sub(now.as_second());
        u64::try_from(wait).ok()
    }

    /// Whether it is a page for people.
    fn is_page(&self) -> bool {
        !self.is_json && self.text.trim_start().starts_with('<')
    }

    /// What was wrong, in the platform's words.
    fn complaint(&self, profile: &Profile, values: &Value) -> String {
        let said = profile.errors.iter();
        let mut said = said.filter_map(|rule| rule.text(values).ok().flatten());
        if let Some(said) = said.find(|text| !text.trim().is_empty()) {
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let short: String = said.chars().take(500).collect();
            return format!("HTTP {}: {short}", self.status);
        }
        if self.is_json {
            let short: String = self.text.chars().take(SHOWN_BYTES_MAX).collect();
            return format!("HTTP {}: {short}", self.status);
        }
        let kind = if self.is_page() {
            "a page for people, not the API; check url, or what stands between"
        } else if self.text.trim().is_empty() {
            "an empty answer"
        } else {
            "an answer that is no JSON"
        };
        format!("HTTP {}: {kind}", self.status)
    }
}

/// Whether what was asked was done.
///
/// # Errors
/// It was not, or it is not known.
pub(super) fn judge(
    profile: &Profile,
    call: &Call,
    is_write: bool,
    reply: &Reply,
    vars: &TicketVars,
) -> Result<(), Failure> {
    let values = reply.with(vars, &Map::new());
    let holds = |rule: &Option<Rule>| {
        let held = rule.as_ref().map(|rule| rule.is_true(&values));
        matches!(held, Some(Ok(true)))
    };
    let status = reply.status;
    if status == 429 || holds(&profile.limited) {
        return Err(Failure::Limited {
            after_s: reply.wait_s(profile, &values),
        });
    }
    let complaint = || reply.complaint(profile, &values);
    if matches!(status, 301 | 302 | 303 | 307 | 308 | 401) || holds(&profile.unauthorized) {
        return Err(Failure::Login(complaint()));
    }
    if status == 503
        && let Some(after_s) = reply.wait_s(profile, &values)
        && !is_write
    {
        return Err(Failure::Limited {
            after_s: Some(after_s),
        });
    }
    if matches!(status, 408 | 425 | 500..) {
        return Err(if is_write {
            Failure::Doubtful(complaint())
        } else {
            Failure::Away(complaint())
        });
    }
    let is_good = (200..300).contains(&status);
    let ok = match &call.ok {
        Some(rule) => rule.is_true(&values).map_err(Failure::Broken)?,
        None => is_good,
    };
    let reads = call.ok.is_some() || call.items.is_some();
    // Who is not logged in gets a page in place of the API: it proves nothing, whatever its status.
    let is_bare = !reply.is_page() && (!reads || call.is_empty);
    if ok && (reply.is_json || status == 204 || is_bare || !is_good) {
        return Ok(());
    }
    match status {
        404 | 410 => Err(Failure::Gone(complaint())),
        409 | 412 => Err(Failure::Conflict),
        _ if is_good && !reply.is_json && (!call.is_empty || reply.is_page()) => Err(if is_write {
            Failure::Doubtful(complaint())
        } else {
            Failure::Away(complaint())
        }),
        _ => Err(Failure::Refused(complaint())),
    }
}

/// The items of an answer.
///
/// # Errors
/// They cannot be found in it.
pub(super) fn items(call: &Call, reply: &Reply, vars: &TicketVars) -> Result<Vec<Json>, Failure> {
    let Some(rule) = &call.items else {
        return Ok(vec![reply.body.clone()]);
    };
    let values = reply.with(vars, &Map::new());
    let found = rule.json(&values).map_err(Failure::Broken)?;
    Ok(match found {
        Some(Json::Array(items)) => items.into_iter().filter(|item| !item.is_null()).collect(),
        Some(Json::Object(table)) => vec![Json::Object(table)],
        Some(_) | None => Vec::new(),
    })
}

/// One item read as a ticket; nothing when it has no id.
///
/// # Errors
/// An expression cannot be evaluated.
pub(super) fn record(
    profile: &Profile,
    item: &Json,
    (reply, vars): (&Reply, &TicketVars),
    base: &str,
) -> Result<Option<Record>, Failure> {
    let reading = &profile.ticket;
    let mut values = Map::new();
    values.insert("item".to_owned(), item.clone());
    values.insert("base".to_owned(), json!(base));
    let first = reply.with(vars, &values);
    let text = |rule: &Option<Rule>, vars: &Value| -> Result<Option<String>, Failure> {
        match rule {
            Some(rule) => rule.text(vars).map_err(Failure::Broken),
            None => Ok(None),
        }
    };
    let Some(id) = reading.id.text(&first).map_err(Failure::Broken)? else {
        return Ok(None);
    };
    values.insert("id".to_owned(), json!(id));
    let number = text(&reading.number, &first)?.unwrap_or_else(|| id.clone());
    values.insert("number".to_owned(), json!(number));
    let vars = reply.with(vars, &values);
    let status = reading.status.text(&vars).map_err(Failure::Broken)?;
    let status = status.unwrap_or_default();
    let truth = |rule: &Option<Rule>| -> Result<bool, Failure> {
        match rule {
            Some(rule) => rule.is_true(&vars).map_err(Failure::Broken),
            None => Ok(false),
        }
    };
    if truth(&reading.gone)? {
        return Err(Failure::Gone(format!(
            "{number} was deleted or merged there"
        )));
    }
    let priority = text(&reading.priority, &vars)?;
    let priority = priority.and_then(|code| profile.priority_in.get(&code).copied());
    let url = match &reading.url {
        Some(url) => url.text(&vars).map_err(Failure::Broken)?,
        None => None,
    };
    Ok(Some(Record {
        state: profile.state_of(&status),
        status: short(&status),
        priority,
        assignee: text(&reading.assignee, &vars)?.map(|text| short(&text)),
        resolution: text(&reading.resolution, &vars)?.map(|text| short(&text)),
        is_refused: truth(&reading.refused)?,
        updated: short(&text(&reading.updated, &vars)?.unwrap_or_default()),
        author: text(&reading.author, &vars)?.map(|text| short(&text)),
        url: url.map(|url| short(&url)).unwrap_or_default(),
        number: short(&number),
        id: short(&id),
    }))
}

/// Whether an item carries this key; `None` when the profile cannot tell.
///
/// # Errors
/// The expression cannot be evaluated.
pub(super) fn has_key(
    profile: &Profile,
    item: &Json,
    (reply, vars): (&Reply, &TicketVars),
    key: &str,
) -> Result<Option<bool>, Failure> {
    let Some(rule) = &profile.ticket.key else {
        return Ok(None);
    };
    let found = rule.json(&reply.of_item(vars, item));
    let found = found.map_err(Failure::Broken)?;
    let is_in = |value: &Json| show(value).contains(key);
    Ok(Some(match &found {
        Some(Json::Array(items)) => items.iter().any(is_in),
        Some(value) => is_in(value),
        None => false,
    }))
}

/// A text of the other side, cut at a character.
pub(super) fn short(text: &str) -> SmolStr {
    let text = text.replace('\0', "");
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    SmolStr::new(text.get(..end).unwrap_or_default())
}
