//! Reads `[[target]]` into checked settings.
//!
//! Must not reach the network, and must not show an address that holds a key.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use url::Url;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, nearest};
use crate::config::routes::zone;
use crate::config::secret::Secret;
use crate::config::settings::{Basic, RateSettings};
use crate::config::target_profiles::{self, TargetProfile};
use crate::config::tree::Value;
use crate::config::{schedules, sources, values};
use crate::core::tell::event::{Event, EventSet};
use crate::core::time::Span;

/// Bytes of a name, which is a label of metrics.
const NAME_BYTES_MAX: usize = 64;
const SECOND: Span = Span::from_secs(1);
const TIMEOUT: Span = Span::from_secs(10);
const RETRY_FOR: Span = Span::from_hours(24);
const WIDTH: u32 = 8;
/// Steps of a text when it is tried at load.
const FUEL: u64 = 50_000;

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// The incident as JSON, signed.
    #[default]
    Webhook,
    /// E-mail.
    Email,
    /// A publish to an MQTT broker.
    Mqtt,
    /// A program.
    Command,
    /// Something that is only HTTP, by its profile.
    Profile(&'static str),
}

impl TargetKind {
    /// The word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::Mqtt => "mqtt",
            Self::Command => "command",
            Self::Profile(kind) => kind,
        }
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
    /// Whom it is for: addresses, channels, chats, numbers, as the kind has it.
    pub to: Vec<String>,
    /// Whom it is from.
    pub from: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The operator's own headline.
    pub title: Option<String>,
    /// The operator's own text.
    pub text: Option<String>,
    /// The reader's time zone.
    pub zone: Option<TimeZone>,
    /// The key of signatures.
    pub secret: Option<Secret>,
    /// What is sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// User and password.
    pub basic: Option<Basic>,
    /// Certificate authorities of a mail server or broker.
    pub ca: Option<PathBuf>,
    /// Whether a broker keeps the last message of a topic.
    pub retain: bool,
    /// Whether a command may gain privileges.
    pub new_privileges: bool,
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

/// The names that keys have where people know them from.
fn also(table: &mut TableReader<'_>) {
    table.also("kind", &["type"]);
    table.also(
        "url",
        &["webhook_url", "server", "homeserver", "smtp", "broker"],
    );
    table.also(
        "token",
        &[
            "api_key",
            "api_token",
            "access_token",
            "bot_token",
            "app_token",
            "bearer_token",
            "routing_key",
            "integration_key",
            "key",
        ],
    );
    table.also("user", &["username", "account_sid", "account"]);
    table.also("password", &["auth_token", "pass"]);
    table.also("from", &["sender"]);
    table.also("zone", schedules::ZONE);
    table.also("title", &["subject", "headline"]);
    table.also("text", &["template", "message", "body"]);
    table.also("secret", &["signing_secret"]);
    table.also("retry_for", &["give_up_after"]);
    table.skip("description");
}

fn target(table: &mut TableReader<'_>) -> TargetSettings {
    also(table);
    let kind = table.required("kind", kind).unwrap_or_default();
    let profile = profile_of(kind);
    match kind {
        TargetKind::Profile("pushover") => table.also("to", &["user"]),
        TargetKind::Profile("sms" | "voice") => table.also("password", &["token"]),
        TargetKind::Profile(_)
        | TargetKind::Webhook
        | TargetKind::Email
        | TargetKind::Mqtt
        | TargetKind::Command => {}
    }
    let (url, to) = place(table, kind);
    TargetSettings {
        name: table.required("name", name).unwrap_or_default(),
        kind,
        url,
        to,
        from: table.optional("from", values::text),
        command: command(table),
        title: table.optional("title", template),
        text: table.optional("text", template),
        zone: table.optional("zone", zone),
        secret: table.optional("secret", values::remote_secret),
        token: table.optional("token", values::remote_secret),
        basic: if kind == TargetKind::Profile("pushover") {
            None
        } else {
            basic(table)
        },
        ca: table.optional("ca", values::pem_file),
        retain: retain(table, kind),
        new_privileges: matches!(table.optional("new_privileges", values::flag), Some(true)),
        headers: table.optional("headers", headers).unwrap_or_default(),
        allow_private: table
            .optional("allow_private", values::flag)
            .unwrap_or_default(),
        events: events(table, profile),
        width: table
            .optional("width", values::count(1..=256))
            .unwrap_or(WIDTH),
        rate: table
            .table("rate")
            .and_then(sources::rate)
            .or_else(|| usual_rate(profile)),
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

fn profile_of(kind: TargetKind) -> Option<&'static TargetProfile> {
    match kind {
        TargetKind::Profile(word) => target_profiles::find(word).map(|(_, profile)| profile),
        TargetKind::Webhook | TargetKind::Email | TargetKind::Mqtt | TargetKind::Command => None,
    }
}

fn kind(spot: &Spot<'_>) -> Result<TargetKind, Complaint> {
    let word = spot.text("a kind of target")?;
    let kind = match word {
        "webhook" => Some(TargetKind::Webhook),
        "email" | "mail" | "smtp" => Some(TargetKind::Email),
        "mqtt" => Some(TargetKind::Mqtt),
        "command" | "exec" => Some(TargetKind::Command),
        word => target_profiles::find(word).map(|(kind, _)| TargetKind::Profile(kind)),
    };
    if let Some(kind) = kind {
        return Ok(kind);
    }
    let ours = ["webhook", "email", "mqtt", "command"];
    let names: Vec<&str> = ours.into_iter().chain(target_profiles::kinds()).collect();
    let hint = match nearest(word, &names.iter().copied().collect()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("write one of {}", names.join(", ")),
    };
    Err(Complaint::new(format!("{word:?} is not known here")).hint(hint))
}

/// `to`, or what it is called where the kind has a word of its own.
fn addressees(table: &mut TableReader<'_>) -> Vec<String> {
    table.also(
        "to",
        &[
            "chat_id",
            "chat",
            "room",
            "room_id",
            "user_key",
            "recipients",
            "recipient",
            "number",
        ],
    );
    let mut to = table.list("to", addressee);
    for key in ["channel", "topic"] {
        to.extend(table.list(key, values::text));
    }
    to
}

/// Where it is and whom it is for, whichever way that is written.
fn place(table: &mut TableReader<'_>, kind: TargetKind) -> (Option<Secret>, Vec<String>) {
    let url = table.optional("url", address);
    let mut to = addressees(table);
    let url = url.or_else(|| match kind {
        TargetKind::Email => of_host(table, ["smtp", "smtp+starttls", "smtps"]),
        TargetKind::Mqtt => of_host(table, ["mqtt", "mqtts", "mqtts"]),
        TargetKind::Webhook | TargetKind::Command | TargetKind::Profile(_) => None,
    });
    let is_ntfy = kind == TargetKind::Profile("ntfy");
    let parsed = url.as_ref().and_then(|url| Url::parse(url.expose()).ok());
    if let Some(mut base) = parsed.filter(|_| is_ntfy && to.is_empty()) {
        // The topic as part of the address, as the product itself shows it.
        let topic = base.path().trim_matches('/').to_owned();
        if !topic.is_empty() && !topic.contains('/') {
            to.push(topic);
            base.set_path("");
            return (Some(Secret::new(base.as_str())), to);
        }
    }
    (url, to)
}

/// An address of its parts: `host`, `port`, and whether TLS begins at once (`tls`) or later (`starttls`).
fn of_host(table: &mut TableReader<'_>, schemes: [&str; 3]) -> Option<Secret> {
    let is_set = |value: Option<&Value>| matches!(value, Some(Value::Flag(true)));
    let port = match table.plain("port") {
        Some(Value::Integer(Some(port))) => format!(":{port}"),
        Some(_) | None => String::new(),
    };
    let (starttls, tls) = (is_set(table.plain("starttls")), is_set(table.plain("tls")));
    let [plain, later, wrapped] = schemes;
    let scheme = match (starttls, tls) {
        (true, _) => later,
        (false, true) => wrapped,
        (false, false) => plain,
    };
    let Some(Value::Text(host)) = table.plain("host") else {
        return None;
    };
    let url = format!("{scheme}://{}{port}", host.as_str());
    Url::parse(&url).is_ok().then(|| Secret::new(&url))
}

/// `retain` of MQTT; `qos` may be written there too, as what it is.
fn retain(table: &mut TableReader<'_>, kind: TargetKind) -> bool {
    if kind != TargetKind::Mqtt {
        return false;
    }
    if let Some(qos) = table.plain("qos")
        && !matches!(qos, Value::Integer(Some(1)))
    {
        let complaint = Complaint::new("messages are published with quality of service 1");
        table.refuse(Some("qos"), complaint.hint("remove it, or write qos = 1"));
    }
    table.optional("retain", values::flag).unwrap_or_default()
}

/// A name, or the number of a chat.
fn addressee(spot: &Spot<'_>) -> Result<String, Complaint> {
    match spot.node.value {
        Value::Integer(Some(number)) => Ok(number.to_string()),
        Value::Text(_)
        | Value::Integer(None)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => values::text(spot),
    }
}

/// A program and its arguments; of a text, the words between blanks. No shell reads it.
fn command(table: &mut TableReader<'_>) -> Vec<String> {
    table.also("command", &["cmd", "exec", "argv"]);
    match table.peek("command") {
        Some(Value::Text(text)) => {
            let words = text.split_whitespace().map(str::to_owned).collect();
            table.optional("command", |spot| values::text(spot).map(|_| words))
        }
        Some(_) => Some(table.list("command", values::text)),
        None => table.optional("command", |_| Ok(Vec::new())),
    }
    .unwrap_or_default()
}

fn usual_rate(profile: Option<&TargetProfile>) -> Option<RateSettings> {
    let per_second = NonZeroU32::new(profile?.per_second?)?;
    let burst = per_second.saturating_add(9);
    Some(RateSettings { per_second, burst })
}

/// A text with places, in Jinja.
fn template(spot: &Spot<'_>) -> Result<String, Complaint> {
    let text = spot.text("a text")?;
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    // Filters are only looked for when they are used; what else goes wrong without an incident says nothing.
    let tried = |template: minijinja::Template<'_, '_>| match template.render(()) {
        Err(error) if is_unknown(error.kind()) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    };
    match environment.template_from_str(text).and_then(tried) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => {
            let complaint = Complaint::new(format!("is not a Jinja template: {error}"));
            Err(complaint.hint("write it like \"{{ incident.number }}: {{ incident.title }}\""))
        }
    }
}

/// Whether a text uses something that does not exist.
fn is_unknown(kind: minijinja::ErrorKind) -> bool {
    matches!(
        kind,
        minijinja::ErrorKind::UnknownFilter
            | minijinja::ErrorKind::UnknownTest
            | minijinja::ErrorKind::UnknownFunction
    )
}

fn check(table: &TableReader<'_>, target: &TargetSettings) {
    if target.token.is_some() && target.basic.is_some() && target.kind == TargetKind::Webhook {
        let complaint = Complaint::new("only one of token and user can be sent");
        table.refuse(Some("user"), complaint.hint("remove one of the two"));
    }
    let lacks = |key: &'static str, hint: &str| {
        if !table.has(key) {
            let complaint = Complaint::new(format!("`{key}` is required for this kind"));
            table.refuse(None, complaint.hint(hint));
        }
    };
    match target.kind {
        TargetKind::Webhook => {
            let hint =
                "write url = \"https://...\", or url = { env = \"NAME\" } when it holds a key";
            lacks("url", hint);
        }
        TargetKind::Email => {
            if target.url.is_none() {
                lacks(
                    "url",
                    "write url = \"smtp://mail.example:25\", smtps:// or smtp+starttls://",
                );
            }
            lacks("from", "write from = \"Watchbell <watchbell@example.org>\"");
        }
        TargetKind::Mqtt => {
            if target.url.is_none() {
                lacks("url", "write url = \"mqtt://broker.example:1883\"");
            }
            if target.to.is_empty() {
                lacks("topic", "write topic = \"ops/incidents\"");
            }
        }
        TargetKind::Command => lacks("command", "write command = [\"/usr/local/bin/page\"]"),
        TargetKind::Profile(_) => check_profile(table, target),
    }
    check_scheme(table, target);
}

fn check_profile(table: &TableReader<'_>, target: &TargetSettings) {
    let Some(profile) = profile_of(target.kind) else {
        return;
    };
    let has = |key: &str| match key {
        "url" => target.url.is_some() || table.has("url"),
        "token" => target.token.is_some() || table.has("token"),
        "user" | "password" => target.basic.is_some() || table.has("user"),
        "from" => target.from.is_some(),
        _ => true,
    };
    for key in profile.needs.iter().filter(|key| !has(key)) {
        table.refuse(
            None,
            Complaint::new(format!("`{key}` is required for this kind")),
        );
    }
    if !profile.needs_any.is_empty() && !profile.needs_any.iter().any(|key| has(key)) {
        let keys = profile.needs_any.join(" or ");
        table.refuse(
            None,
            Complaint::new(format!("{keys} is required for this kind")),
        );
    }
}

/// Whether the address is of a kind that can be spoken to.
fn check_scheme(table: &TableReader<'_>, target: &TargetSettings) {
    let Some(url) = target
        .url
        .as_ref()
        .and_then(|url| Url::parse(url.expose()).ok())
    else {
        return;
    };
    let known: &[&str] = match target.kind {
        TargetKind::Email => &["smtp", "smtps", "smtp+starttls"],
        TargetKind::Mqtt => &["mqtt", "tcp", "mqtts", "ssl"],
        TargetKind::Webhook | TargetKind::Command | TargetKind::Profile(_) => &["http", "https"],
    };
    if !known.contains(&url.scheme()) {
        let message = format!("{:?} is not a scheme for this URL", url.scheme());
        let hint = format!("write one of {}", known.join(", "));
        table.refuse(Some("url"), Complaint::new(message).hint(hint));
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
pub(super) fn address(spot: &Spot<'_>) -> Result<Secret, Complaint> {
    let hint = "write it like https://host/path, or { env = \"NAME\" } when it holds a key";
    let secret = values::remote_secret(spot)?;
    Url::parse(secret.expose())
        .map_err(|error| Complaint::new(format!("is not a URL: {error}")).hint(hint))?;
    Ok(secret)
}

fn basic(table: &mut TableReader<'_>) -> Option<Basic> {
    for key in ["auth", "basic", "basic_auth"] {
        if matches!(table.peek(key), Some(Value::Table(_)))
            && let Some(mut below) = table.table_unlisted(key)
        {
            below.also("user", &["username"]);
            let basic = basic(&mut below);
            below.finish();
            return basic;
        }
    }
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
        })
        .map_err(|complaint| complaint.about(name))?;
        headers.push((name.to_ascii_lowercase(), value));
    }
    Ok(headers)
}

/// The events that a target wants: the usual ones, or those that are listed. A list of nothing but unusual ones asks for
/// them besides: nobody who wants to hear of acknowledgements wants to hear of nothing else.
fn events(table: &mut TableReader<'_>, profile: Option<&TargetProfile>) -> EventSet {
    let usual = profile.map_or(&[][..], |profile| profile.events.as_slice());
    let usual = usual.iter().filter_map(|word| Event::from_word(word));
    let usual = usual.fold(EventSet::NONE, EventSet::with);
    let usual = if usual == EventSet::NONE {
        EventSet::default()
    } else {
        usual
    };
    let wanted = table.list("events", event);
    let is_only = table
        .optional("events_only", values::flag)
        .unwrap_or_else(|| wanted.iter().any(|event| EventSet::default().has(*event)));
    if !table.has("events") {
        return usual;
    }
    let start = if is_only { EventSet::NONE } else { usual };
    wanted.into_iter().fold(start, EventSet::with)
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
