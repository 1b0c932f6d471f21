//! Reads `[[target]]` into checked settings.
//!
//! Must not reach the network, and must not show an address that holds a key.

use std::collections::BTreeMap;

use url::Url;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, nearest};
use crate::config::secret::Secret;
use crate::config::settings::{Basic, RateSettings};
use crate::config::tree::Value;
use crate::config::{sources, values};
use crate::core::tell::event::{Event, EventSet};
use crate::core::time::Span;

/// Kinds of targets.
const KINDS: &[(&str, TargetKind)] = &[("webhook", TargetKind::Webhook)];
/// Bytes of a name, which is a label of metrics.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a secret that signs.
const SECRET_BYTES_MIN: usize = 8;
const SECOND: Span = Span::from_secs(1);
const TIMEOUT: Span = Span::from_secs(10);
const RETRY_FOR: Span = Span::from_hours(24);
const WIDTH: u32 = 8;

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// The incident as JSON, signed.
    #[default]
    Webhook,
}

impl TargetKind {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("webhook", |(word, _)| *word)
    }
}

/// `[[target]]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetSettings {
    /// Unique.
    pub name: String,
    /// How it is spoken to.
    pub kind: TargetKind,
    /// Where it is; may hold a key.
    pub url: Option<Secret>,
    /// The key of signatures.
    pub secret: Option<Secret>,
    /// What is sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// User and password.
    pub basic: Option<Basic>,
    /// Headers besides.
    pub headers: Vec<(String, Secret)>,
    /// Whether it may stand at a private or loopback address.
    pub allow_private: bool,
    /// What it is told of.
    pub events: EventSet,
    /// Messages on their way at once.
    pub width: u32,
    /// Messages each second, and at once.
    pub rate: Option<RateSettings>,
    /// How long one attempt may take.
    pub timeout: Span,
    /// How long a message is tried.
    pub retry_for: Span,
}

/// Reads all targets.
pub(super) fn read(tables: Vec<TableReader<'_>>) -> Vec<TargetSettings> {
    let mut targets: Vec<TargetSettings> = Vec::with_capacity(tables.len());
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for mut table in tables {
        let target = target(&mut table);
        check(&table, &target);
        if !target.name.is_empty()
            && let Some(place) = places.insert(target.name.clone(), table.place())
        {
            let message = format!("the name {:?} is used at {place} already", target.name);
            let hint = "every target needs a name of its own";
            table.refuse(Some("name"), Complaint::new(message).hint(hint));
        }
        table.finish();
        targets.push(target);
    }
    targets
}

fn target(table: &mut TableReader<'_>) -> TargetSettings {
    TargetSettings {
        name: table.required("name", name).unwrap_or_default(),
        kind: table
            .required("kind", values::word(KINDS))
            .unwrap_or_default(),
        url: table.optional("url", address),
        secret: table.optional("secret", signing_secret),
        token: table.optional("token", values::remote_secret),
        basic: basic(table),
        headers: table.optional("headers", headers).unwrap_or_default(),
        allow_private: table
            .optional("allow_private", values::flag)
            .unwrap_or_default(),
        events: events(table),
        width: table
            .optional("width", values::count(1..=256))
            .unwrap_or(WIDTH),
        rate: table.table("rate").and_then(sources::rate),
        timeout: table
            .optional("timeout", values::duration(SECOND..=Span::from_mins(2)))
            .unwrap_or(TIMEOUT),
        retry_for: table
            .optional(
                "retry_for",
                values::duration(Span::ZERO..=Span::from_days(30)),
            )
            .unwrap_or(RETRY_FOR),
    }
}

fn check(table: &TableReader<'_>, target: &TargetSettings) {
    if !table.has("url") {
        let complaint = Complaint::new("it is not said where the target is");
        let hint = "write url = \"https://...\", or url = { env = \"NAME\" } when it holds a key";
        table.refuse(None, complaint.hint(hint));
    }
    if target.token.is_some() && target.basic.is_some() {
        let complaint = Complaint::new("only one of token and user can be sent");
        table.refuse(Some("user"), complaint.hint("remove one of the two"));
    }
}

/// A name that stands in paths and metrics.
pub(super) fn name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let name = spot.text("a name")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    let hint = "write letters, digits, and _ . -, at most 64 in all";
    Err(Complaint::new(format!("{name:?} cannot be a name")).hint(hint))
}

/// An address that may hold a key; it is never shown.
fn address(spot: &Spot<'_>) -> Result<Secret, Complaint> {
    let hint = "write it like https://host/path, or { env = \"NAME\" } when it holds a key";
    let secret = values::remote_secret(spot)?;
    let url = Url::parse(secret.expose())
        .map_err(|error| Complaint::new(format!("is not a URL: {error}")).hint(hint))?;
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("{:?} is not a scheme for this URL", url.scheme());
        return Err(Complaint::new(message).hint(hint));
    }
    Ok(secret)
}

fn signing_secret(spot: &Spot<'_>) -> Result<Secret, Complaint> {
    let secret = values::remote_secret(spot)?;
    if secret.expose().len() < SECRET_BYTES_MIN {
        let message = format!("is shorter than {SECRET_BYTES_MIN} bytes, which can be guessed");
        return Err(Complaint::new(message)
            .hint("make a long random one, for example with `openssl rand -hex 24`"));
    }
    Ok(secret)
}

fn basic(table: &mut TableReader<'_>) -> Option<Basic> {
    let user = table.optional("user", values::user_name);
    let password = table.optional("password", values::remote_secret);
    for (key, other) in [("user", "password"), ("password", "user")] {
        if table.has(key) && !table.has(other) {
            let message = format!("`{other}` is required beside `{key}`");
            table.refuse(Some(key), Complaint::new(message));
        }
    }
    Some(Basic {
        user: user?,
        password: password?,
    })
}

fn headers(spot: &Spot<'_>) -> Result<Vec<(String, Secret)>, Complaint> {
    let hint = "write it like { X-Scope = \"ops\" }";
    let Value::Table(table) = &spot.node.value else {
        return Err(Complaint::new("must be a table of headers").hint(hint));
    };
    let mut headers = Vec::new();
    for (name, (_, node)) in table {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(Complaint::new(format!("{name:?} is not the name of a header")).hint(hint));
        }
        let value = values::remote_secret(&Spot {
            reading: spot.reading,
            node,
        })?;
        headers.push((name.to_ascii_lowercase(), value));
    }
    Ok(headers)
}

/// The events that a target wants: those that are listed, or the usual ones.
fn events(table: &mut TableReader<'_>) -> EventSet {
    if !table.has("events") {
        return EventSet::default();
    }
    let wanted = table.list("events", event);
    wanted.into_iter().fold(EventSet::NONE, EventSet::with)
}

fn event(spot: &Spot<'_>) -> Result<Event, Complaint> {
    let word = spot.text("an event")?;
    let known = Event::ALL
        .into_iter()
        .filter(|event| event.is_configurable());
    if let Some(event) = Event::from_word(word).filter(|event| event.is_configurable()) {
        return Ok(event);
    }
    let names: Vec<&str> = known.map(Event::word).collect();
    let hint = match nearest(word, &names.iter().copied().collect()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("write some of {}", names.join(", ")),
    };
    Err(Complaint::new(format!("{word:?} is not an event")).hint(hint))
}
