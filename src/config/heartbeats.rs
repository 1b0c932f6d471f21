//! Reads `[[heartbeat]]` into checked settings.
//!
//! Must not accept a heartbeat that everybody on the network may feed, unless the operator wrote so: who can ping can
//! hide that something is down.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, expected};
use crate::config::secret::Secret;
use crate::config::settings::SourceSettings;
use crate::config::tree::Value;
use crate::config::values;
use crate::core::limits;
use crate::core::severity::Severity;
use crate::core::time::Span;

/// Bytes of a name, which is part of a path and of an alert's key.
const NAME_BYTES_MAX: usize = 64;
const SECOND: Span = Span::from_secs(1);
const YEAR: Span = Span::from_days(366);
const DEFAULT_SEVERITY: Severity = Severity::Critical;
const SEVERITIES: &[(&str, Severity)] = &[
    ("critical", Severity::Critical),
    ("high", Severity::High),
    ("warning", Severity::Warning),
    ("low", Severity::Low),
    ("info", Severity::Info),
];

/// `[[heartbeat]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatSettings {
    /// Unique; part of the path `/heartbeat/{name}` and of the key of its alert.
    pub name: String,
    /// Time between two pings.
    pub every: Span,
    /// How much later than that a ping may come.
    pub grace: Span,
    /// How long a run may take that said when it began.
    pub max_run: Span,
    /// How bad it is when none comes.
    pub severity: Severity,
    /// One line for people; made of the name when there is none.
    pub summary: Option<String>,
    /// Labels of the alert, by name.
    pub labels: Vec<(String, String)>,
    /// What tells which configuration item it is about, the best first.
    pub ci: Vec<String>,
    /// What a ping carries as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// Whether everybody may ping, written down by the operator.
    pub is_open: bool,
    /// The alert that feeds it.
    pub watchdog: Option<WatchdogSettings>,
}

impl HeartbeatSettings {
    /// Whether pings are taken over HTTP.
    pub fn is_pinged(&self) -> bool {
        self.watchdog.is_none() || self.token.is_some() || self.is_open
    }

    /// Whether not everybody who reaches the listener can feed it.
    pub fn is_guarded(&self) -> bool {
        self.token.is_some() || self.is_open || self.watchdog.is_some()
    }
}

/// `heartbeat.watchdog`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogSettings {
    /// The source of the alert.
    pub source: String,
    /// Labels that the alert has, by name.
    pub labels: Vec<(String, String)>,
}

/// Reads all heartbeats; `exposed` is a listener that other machines reach, if there is one.
pub(super) fn read(
    tables: Vec<TableReader<'_>>,
    sources: &[SourceSettings],
    exposed: Option<SocketAddr>,
) -> Vec<HeartbeatSettings> {
    let mut heartbeats: Vec<HeartbeatSettings> = Vec::with_capacity(tables.len());
    let mut places = BTreeMap::new();
    for mut table in tables {
        let Some(heartbeat) = heartbeat(&mut table) else {
            table.finish();
            continue;
        };
        if let Some(place) = places.insert(heartbeat.name.clone(), table.place()) {
            let message = format!("the name {:?} is used at {place} already", heartbeat.name);
            let hint = "every heartbeat needs a name of its own";
            table.refuse(Some("name"), Complaint::new(message).hint(hint));
        }
        check_source(&table, &heartbeat, sources);
        check_open(&table, &heartbeat, exposed);
        if heartbeats.len() == limits::HEARTBEATS_MAX {
            let message = format!("there are more than {} heartbeats", limits::HEARTBEATS_MAX);
            table.refuse(None, Complaint::new(message).hint("remove some"));
        }
        table.finish();
        heartbeats.push(heartbeat);
    }
    heartbeats
}

fn heartbeat(table: &mut TableReader<'_>) -> Option<HeartbeatSettings> {
    let name = table.required("name", name);
    let every = table.optional("every", values::duration(SECOND..=YEAR));
    let interval = table.optional("interval", values::duration(SECOND..=YEAR));
    if table.has("every") == table.has("interval") {
        let message = "a heartbeat has the time between two pings as `every`";
        let hint = "write every = \"5m\" (interval means the same; one of the two is needed)";
        table.refuse(None, Complaint::new(message).hint(hint));
    }
    let every = every.or(interval);
    let grace = table
        .optional("grace", values::duration(Span::ZERO..=YEAR))
        .unwrap_or_default();
    let max_run = table.optional("max_run", values::duration(SECOND..=YEAR));
    // As elsewhere: what a job takes is the grace that it is given, if it is given one.
    let usual = Some(grace).filter(|grace| *grace > Span::ZERO).or(every);
    Some(HeartbeatSettings {
        grace,
        max_run: max_run.or(usual).unwrap_or_default(),
        severity: table
            .optional("severity", values::word(SEVERITIES))
            .unwrap_or(DEFAULT_SEVERITY),
        summary: table.optional("summary", values::text),
        labels: table.optional("labels", labels).unwrap_or_default(),
        ci: table.list("ci", values::text),
        token: table.optional("token", values::remote_secret),
        is_open: table.optional("open", values::flag).unwrap_or_default(),
        watchdog: table.table("watchdog").and_then(watchdog),
        name: name?,
        every: every?,
    })
}

fn name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let name = spot.text("a name")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let is_dots = name.chars().all(|c| c == '.');
    if name.chars().all(is_plain) && !is_dots && name.len() <= NAME_BYTES_MAX {
        return Ok(name.to_owned());
    }
    let hint = "write letters, digits, _ . and -, at most 64 in all: it is a part of a path";
    Err(Complaint::new(format!("{name:?} is not a heartbeat's name")).hint(hint))
}

fn watchdog(mut table: TableReader<'_>) -> Option<WatchdogSettings> {
    let source = table.required("source", values::text);
    let labels = table.required("match", labels);
    if labels.as_ref().is_some_and(Vec::is_empty) {
        let complaint = Complaint::new("every alert of the source would be a ping");
        table.refuse(
            Some("match"),
            complaint.hint("name a label, like match = { alertname = \"Watchdog\" }"),
        );
    }
    table.finish();
    Some(WatchdogSettings {
        source: source?,
        labels: labels?,
    })
}

/// Names and values of labels, by name.
fn labels(spot: &Spot<'_>) -> Result<Vec<(String, String)>, Complaint> {
    let hint = "write it like { team = \"infra\" }";
    let Value::Table(table) = &spot.node.value else {
        return Err(expected("a table of labels", &spot.node.value).hint(hint));
    };
    let pairs = table.iter().map(|(name, (_, node))| match &node.value {
        Value::Text(value) => Ok((name.clone(), value.to_string())),
        Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => Err(Complaint::new(format!("`{name}` must be text")).hint(hint)),
    });
    pairs.collect()
}

fn check_source(
    table: &TableReader<'_>,
    heartbeat: &HeartbeatSettings,
    sources: &[SourceSettings],
) {
    let Some(watchdog) = &heartbeat.watchdog else {
        return;
    };
    if !sources.iter().any(|source| source.name == watchdog.source) {
        let message = format!("there is no source {:?}", watchdog.source);
        let hint = "write the name of the [[source]] that the alert comes from";
        table.refuse(Some("watchdog"), Complaint::new(message).hint(hint));
    }
}

fn check_open(table: &TableReader<'_>, heartbeat: &HeartbeatSettings, exposed: Option<SocketAddr>) {
    if heartbeat.is_open && table.has("token") {
        let complaint = Complaint::new("the heartbeat is open to everybody and has a token");
        table.refuse(Some("open"), complaint.hint("remove one of the two"));
    }
    let has_secret = table.has("token") || heartbeat.is_open || heartbeat.watchdog.is_some();
    if let (Some(address), false) = (exposed, has_secret) {
        let name = &heartbeat.name;
        let message = format!(
            "heartbeat {name:?} has no token, but {address} is reachable from other machines"
        );
        let hint = "give it a token, or write open = true if everybody may ping";
        table.refuse(None, Complaint::new(message).hint(hint));
    }
}
