//! Reads `[[connector]]` into checked settings, its profile included.
//!
//! A file `connectors/NAME.toml` beside the main configuration file takes the place of the profile of that name, or adds
//! one. Must not hold a fact about a platform; those are in the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::config::conditions;
use crate::config::connector_auth::{Auth, auth_of};
use crate::config::connector_changes::{self, ChangePollSettings};
use crate::config::error::Complaint;
use crate::config::files;
use crate::config::reader::{Spot, TableReader, expected};
use crate::config::secret::Secret;
use crate::config::settings::RateSettings;
use crate::config::sources;
use crate::config::tree::{Node, Value};
use crate::config::values;
use crate::connectors::login::{Credential, Login};
use crate::connectors::profile::Own;
use crate::connectors::{PROFILES, Profile};
use crate::core::condition::{Condition, Section};
use crate::core::records::Kind as RecordKind;
use crate::core::ticket::rules::{Extras, Owner, Owners, ReopenPolicy};
use crate::core::time::Span;

/// Bytes of a name, which is a part of a path.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a profile.
const FILE_BYTES_MAX: u64 = 1 << 20;
const SECOND: Span = Span::from_secs(1);
const POLL_EVERY: Span = Span::from_secs(30);
const TIMEOUT: Span = Span::from_secs(15);
/// Tickets that are worked on at once.
const WIDTH: u32 = 4;
const OWNERS: &[(&str, Owner)] = &[
    ("both", Owner::Both),
    ("watchbell", Owner::Watchbell),
    ("remote", Owner::Remote),
    ("none", Owner::Neither),
];
const REOPEN: &[(&str, ReopenPolicy)] = &[
    ("reopen", ReopenPolicy::Reopen),
    ("new", ReopenPolicy::New),
    ("never", ReopenPolicy::Never),
];

/// `[[connector]]`
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectorSettings {
    /// Unique; shown with every ticket.
    pub name: String,
    /// The platform.
    pub profile: Compiled,
    /// Where its API is, without a slash at the end.
    pub url: String,
    /// Secrets by the names that profiles use.
    pub secrets: BTreeMap<String, Secret>,
    /// What one logs in with.
    pub credential: Credential,
    /// Where a token of OAuth is given, when that is not below `url`.
    pub token_url: Option<String>,
    /// Which incidents get a ticket.
    pub when: Condition,
    /// Time between two looks at what changed there.
    pub poll_every: Span,
    /// Whether private and loopback addresses may be reached.
    pub allow_private: bool,
    /// Authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// How long one answer may take.
    pub timeout: Span,
    /// Requests per second, if there is a limit.
    pub rate: Option<RateSettings>,
    /// Tickets that are worked on at once.
    pub width: u32,
    /// Whose word counts, by field.
    pub owners: Owners,
    /// What happens to the ticket of an incident that is open again.
    pub reopen: ReopenPolicy,
    /// Names of our people there.
    pub people: BTreeMap<String, String>,
    /// Groups there that have what a team of ours has.
    pub groups: BTreeMap<String, String>,
    /// Which change records are read there, if any are.
    pub changes: Option<ChangePollSettings>,
    /// With which webhooks are signed; none are taken without it.
    pub hook_secret: Option<Secret>,
    /// What of the timeline is told there besides.
    pub extras: Extras,
    /// The profile for each kind of records that are kept there besides.
    pub records: Vec<(RecordKind, Compiled)>,
    /// Whether nothing is written there; requests are logged instead.
    pub is_dry_run: bool,
}

/// A profile with what it was made of, by which two are compared.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The profile.
    pub profile: Arc<Profile>,
    source: String,
    own: Own,
}

impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
            && self.own == other.own
            && self.profile.name == other.profile.name
    }
}

/// Reads all connectors.
pub(super) fn read(tables: Vec<TableReader<'_>>) -> Vec<ConnectorSettings> {
    let mut connectors = Vec::with_capacity(tables.len());
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for (at, mut table) in tables.into_iter().enumerate() {
        let connector = connector(&mut table, at);
        let name = connector.as_ref().map(|it| it.name.clone());
        if let Some(name) = name
            && let Some(place) = places.insert(name.clone(), table.place())
        {
            let message = format!("the name {name:?} is used at {place} already");
            let hint = "every connector needs a name of its own";
            table.refuse(Some("name"), Complaint::new(message).hint(hint));
        }
        table.finish();
        connectors.extend(connector);
    }
    connectors
}

fn connector(table: &mut TableReader<'_>, at: usize) -> Option<ConnectorSettings> {
    let name = table.required("name", name);
    let own = Own {
        set: table.optional("set", object).unwrap_or_default(),
        fields: table.optional("fields", object).unwrap_or_default(),
        on: table.optional("on", by_state).unwrap_or_default(),
        status: table.optional("status", texts).unwrap_or_default(),
    };
    let profile = profile(table, own);
    let auth = table.table("auth");
    let takes_token = profile
        .as_ref()
        .is_some_and(|it| it.profile.ways.token_is_password);
    let auth = auth.map(|auth| auth_of(auth, takes_token));
    let Auth {
        secrets,
        credential,
        token_url,
    } = auth.unwrap_or_default();
    if let Some(profile) = &profile
        && let Err(why) = Login::new(&profile.profile, credential)
    {
        table.refuse(Some("auth"), Complaint::new(why));
    }
    let rule = format!("connector[{at}]");
    let url = table.required("url", values::http_url);
    let (extras, kinds) = table.table("send").map(extras).unwrap_or_default();
    let connector = ConnectorSettings {
        when: conditions::when(table, Section::Connector, &rule)
            .unwrap_or_else(|| Condition::always(Section::Connector, &rule)),
        poll_every: table
            .optional("poll_every", values::duration(SECOND..=Span::from_days(1)))
            .unwrap_or(POLL_EVERY),
        allow_private: table
            .optional("allow_private", values::flag)
            .unwrap_or_default(),
        ca: table.optional("ca", values::pem_file),
        timeout: table
            .optional("timeout", values::duration(SECOND..=Span::from_mins(10)))
            .unwrap_or(TIMEOUT),
        rate: table.table("rate").and_then(sources::rate),
        width: table
            .optional("width", values::count(1..=64))
            .unwrap_or(WIDTH),
        owners: owners(table),
        reopen: table
            .optional("reopen", values::word(REOPEN))
            .unwrap_or_default(),
        people: table.optional("people", texts).unwrap_or_default(),
        groups: table.optional("groups", texts).unwrap_or_default(),
        changes: connector_changes::read(
            table,
            profile.as_ref().map(|it| it.profile.name.as_str()),
        ),
        hook_secret: hook_secret(table),
        extras,
        records: profile
            .as_ref()
            .map(|profile| records(table, &kinds, profile))
            .unwrap_or_default(),
        is_dry_run: table.optional("dry_run", values::flag).unwrap_or_default(),
        secrets,
        credential,
        token_url,
        profile: profile?,
        name: name?,
        url: url?,
    };
    check(table, &connector);
    Some(connector)
}

fn hook_secret(table: &mut TableReader<'_>) -> Option<Secret> {
    table.also("hook_secret", &["secret"]);
    table.optional("hook_secret", values::remote_secret)
}

fn check(table: &TableReader<'_>, connector: &ConnectorSettings) {
    let is_plain = connector.url.starts_with("http://");
    if is_plain && !connector.secrets.is_empty() && !connector.allow_private {
        let message = "the secret would cross the network in clear text";
        let hint =
            "use https, or write allow_private = true if the server stands in your own network";
        table.refuse(Some("url"), Complaint::new(message).hint(hint));
    }
}

fn extras(mut table: TableReader<'_>) -> (Extras, Vec<RecordKind>) {
    let mut flag = |key| table.optional(key, values::flag).unwrap_or_default();
    let extras = Extras {
        worklogs: flag("worklogs"),
        changes: flag("changes"),
    };
    let kinds = [
        (RecordKind::Problem, flag("problems")),
        (RecordKind::Request, flag("requests")),
    ];
    table.finish();
    let kinds = kinds.into_iter().filter(|(_, is_wanted)| *is_wanted);
    (extras, kinds.map(|(kind, _)| kind).collect())
}

/// The profiles of the records that are kept there besides tickets of incidents.
fn records(
    table: &TableReader<'_>,
    kinds: &[RecordKind],
    compiled: &Compiled,
) -> Vec<(RecordKind, Compiled)> {
    let mut profiles = Vec::new();
    for kind in kinds {
        let (name, word) = (&compiled.profile.name, kind.word());
        match Profile::parse_for(word, name, &compiled.source, &compiled.own) {
            Ok(Some(profile)) => profiles.push((
                *kind,
                Compiled {
                    profile: Arc::new(profile),
                    ..compiled.clone()
                },
            )),
            Ok(None) => {
                let message = format!("profile {name:?} keeps no {word}s");
                let hint =
                    format!("remove {word}s, or write [records.{word}] in a profile of your own");
                table.refuse(Some("send"), Complaint::new(message).hint(hint));
            }
            Err(why) => table.refuse(Some("send"), Complaint::new(format!("{name}: {why}"))),
        }
    }
    profiles
}

fn owners(table: &mut TableReader<'_>) -> Owners {
    let mut owners = Owners::default();
    let has_people = table.has("people");
    if has_people {
        owners.assignee = Owner::Both;
    }
    let Some(mut own) = table.table("own") else {
        return owners;
    };
    let mut read =
        |key: &'static str, default| own.optional(key, values::word(OWNERS)).unwrap_or(default);
    owners = Owners {
        state: read("state", owners.state),
        priority: read("priority", owners.priority),
        assignee: read("assignee", owners.assignee),
        title: read("title", owners.title),
        notes: read("notes", owners.notes),
    };
    own.finish();
    owners
}

/// Other names of the profiles that come with Watchbell.
const ALIASES: [(&str, &str); 20] = [
    ("snow", "servicenow"),
    ("service-now", "servicenow"),
    ("servicenow-event-management", "servicenow-events"),
    ("jira-service-management", "jira"),
    ("jsm", "jira"),
    ("jsm-ops", "opsgenie"),
    ("jsm-operations", "opsgenie"),
    ("manageengine", "servicedesk-plus"),
    ("servicedeskplus", "servicedesk-plus"),
    ("servicedesk_plus", "servicedesk-plus"),
    ("sdp", "servicedesk-plus"),
    ("ibm-control-desk", "maximo"),
    ("control-desk", "maximo"),
    ("ninja", "ninjaone"),
    ("monday-service", "monday"),
    ("infraon-itsm", "infraon"),
    ("rt", "request-tracker"),
    ("request_tracker", "request-tracker"),
    ("otrs", "znuny"),
    ("servicenow_events", "servicenow-events"),
];

/// The operator's profile of that name, else the one that comes with Watchbell, compiled.
fn profile(table: &mut TableReader<'_>, own: Own) -> Option<Compiled> {
    let name = table.required("profile", values::text)?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let relative = Path::new("connectors").join(format!("{name}.toml"));
    let beside = if name.chars().all(is_plain) {
        table.reading().files.beside_main(&relative)
    } else {
        None
    };
    let beside = beside.filter(|path| fs::exists(path).unwrap_or(true));
    let (beside, name) = match ALIASES.iter().find(|(other, _)| *other == name) {
        Some((_, known)) if beside.is_none() => (None, (*known).to_owned()),
        _ => (beside, name),
    };
    let built_in = PROFILES.iter().find(|(known, _)| *known == name);
    let (shown, source) = match (beside, built_in) {
        (Some(path), _) => match files::read_text(&path, FILE_BYTES_MAX) {
            Ok(text) => (path.display().to_string(), text.to_string()),
            Err(cause) => {
                let message = format!("cannot read {}: {cause}", path.display());
                table.refuse(Some("profile"), Complaint::new(message));
                return None;
            }
        },
        (None, Some((_, text))) => (format!("<built-in profile {name}>"), (*text).to_owned()),
        (None, None) => {
            let known: Vec<_> = PROFILES.iter().map(|(name, _)| *name).collect();
            let message = format!("there is no profile {name:?}");
            let hint = format!(
                "write one of {}, or put your own into connectors/{name}.toml beside the configuration",
                known.join(", ")
            );
            table.refuse(Some("profile"), Complaint::new(message).hint(hint));
            return None;
        }
    };
    match Profile::parse(&name, &source, &own) {
        Ok(profile) => Some(Compiled {
            profile: Arc::new(profile),
            source,
            own,
        }),
        Err(why) => {
            // What the operator wrote here is told at its own key.
            let first = why.split(['.', ':', '[']).next().unwrap_or_default();
            let key = ["set", "on", "fields", "status"]
                .into_iter()
                .find(|key| *key == first && table.has(key));
            let message = match key {
                Some(_) => why,
                None => format!("{shown}: {why}"),
            };
            table.refuse(Some(key.unwrap_or("profile")), Complaint::new(message));
            None
        }
    }
}

fn name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let name = spot.text("a name")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let is_dots = name.chars().all(|c| c == '.');
    if name.chars().all(is_plain) && !is_dots && name.len() <= NAME_BYTES_MAX {
        return Ok(name.to_owned());
    }
    let hint = "write letters, digits, _ . and -, at most 64 in all: it is a part of a path";
    Err(Complaint::new(format!("{name:?} is not a connector's name")).hint(hint))
}

/// A table as JSON.
fn object(spot: &Spot<'_>) -> Result<Map<String, Json>, Complaint> {
    match json(spot.node)? {
        Json::Object(fields) => Ok(fields),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err(expected("a table", &spot.node.value))
        }
    }
}

fn by_state(spot: &Spot<'_>) -> Result<BTreeMap<String, Map<String, Json>>, Complaint> {
    let hint = "write it like { resolved = { close_code = \"...\" } }";
    let wrong = || Complaint::new("expected a table of fields by state").hint(hint);
    let fields = object(spot)?.into_iter();
    let fields = fields.map(|(state, fields)| match fields {
        Json::Object(fields) => Ok((state, fields)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Err(
            Complaint::new(format!("`{state}` must be a table of fields")),
        ),
    });
    fields.collect::<Result<_, _>>().map_err(|_| wrong())
}

pub(super) fn texts(spot: &Spot<'_>) -> Result<BTreeMap<String, String>, Complaint> {
    let Value::Table(table) = &spot.node.value else {
        return Err(expected("a table of texts", &spot.node.value));
    };
    let pairs = table.iter().map(|(name, (_, node))| match &node.value {
        Value::Text(value) => Ok((name.clone(), value.to_string())),
        Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => Err(Complaint::new(format!("`{name}` must be text"))),
    });
    pairs.collect()
}

fn json(node: &Node) -> Result<Json, Complaint> {
    Ok(match &node.value {
        Value::Text(text) => Json::String(text.to_string()),
        Value::Integer(Some(number)) => Json::from(*number),
        Value::Flag(flag) => Json::Bool(*flag),
        Value::List(items) => Json::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Value::Table(table) => {
            let fields = table.iter();
            let fields = fields.map(|(name, (_, node))| Ok((name.clone(), json(node)?)));
            Json::Object(fields.collect::<Result<_, Complaint>>()?)
        }
        Value::Integer(None) | Value::Float | Value::Date => {
            return Err(Complaint::new(
                "a field is text, a whole number, true or false, a list or a table",
            ));
        }
    })
}
