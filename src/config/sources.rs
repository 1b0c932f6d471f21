//! Reads `[[source]]` into checked settings.
//!
//! A new kind becomes available by one entry in [`KINDS`] and a variant of [`SourceKind`]. Must not accept a source
//! that everybody on the network may feed, unless the operator wrote so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use crate::config::error::Complaint;
use crate::config::keys::Keys;
use crate::config::mapping;
use crate::config::mqtt;
use crate::config::reader::{Spot, TableReader};
use crate::config::secret::Secret;
use crate::config::settings::{
    Basic, HeaderToken, RateSettings, Reconcile, ReconcileAuth, SnsSettings, SourceKind,
    SourceSettings,
};
use crate::config::signature;
use crate::config::values::{self, FOREVER};
use crate::core::heartbeat;
use crate::core::rules::SourceRules;
use crate::core::time::Span;

/// The closed list of kinds; what has none here has a section of its own.
const KINDS: &[(&str, Option<SourceKind>)] = &[
    ("alertmanager", Some(SourceKind::Alertmanager)),
    ("json", Some(SourceKind::Json)),
    ("mqtt", Some(SourceKind::Mqtt)),
    ("pagerduty", Some(SourceKind::PagerDuty)),
    ("opsgenie", Some(SourceKind::Opsgenie)),
    ("cloudevents", Some(SourceKind::CloudEvents)),
    ("sns", Some(SourceKind::Sns)),
    ("heartbeat", None),
    ("sparkplug", Some(SourceKind::Sparkplug)),
];
/// Bytes of a source name, which is part of every alert key.
const NAME_BYTES_MAX: usize = 64;
const RECONCILE_EVERY: Span = Span::from_mins(1);
/// When a firing alert of a sender that never repeats itself expires.
const EXPIRE_AFTER_UNREPEATED: Span = Span::from_days(7);
const SECOND: Span = Span::from_secs(1);
const DAY: Span = Span::from_days(1);

/// Reads all sources; `exposed` is a listener that other machines reach, if there is one.
pub(super) fn read(
    tables: Vec<TableReader<'_>>,
    exposed: Option<SocketAddr>,
) -> Vec<SourceSettings> {
    let mut sources = Vec::with_capacity(tables.len());
    let mut places = BTreeMap::new();
    let mut owner = Owner::default();
    let mut keys = Keys::default();
    for mut table in tables {
        let kind = table.required("kind", values::word(KINDS));
        if kind == Some(None) {
            refuse_kind(&mut table);
            continue;
        }
        let kind = kind.flatten().unwrap_or_default();
        let source = SourceSettings {
            keys: keys.read(&mut table, kind, exposed.is_some()),
            ..source(&mut table, kind)
        };
        check_name(&table, &source.name, &mut places);
        check_open(&table, &source, exposed);
        owner.note(&mut table, kind, sources.len());
        table.finish();
        sources.push(source);
    }
    if let Some(source) = owner.index().and_then(|index| sources.get_mut(index)) {
        source.api = true;
    }
    sources
}

/// What is no source of its own, though its name is in the list.
fn refuse_kind(table: &mut TableReader<'_>) {
    let name = table.optional("name", source_name);
    let name = name.filter(|name| name != heartbeat::SOURCE);
    let name = name.unwrap_or_else(|| "backup".to_owned());
    let complaint = Complaint::new("a heartbeat has a section of its own, since it needs a time");
    let hint = format!(
        "write [[heartbeat]] with name = \"{name}\" and every = \"5m\" instead of this [[source]]; \
         it is pinged at /heartbeat/{name}, or fed by an alert of a source with watchdog = {{ source = \"...\", match = {{ ... }} }}"
    );
    table.refuse(Some("kind"), complaint.hint(hint));
}

fn source(table: &mut TableReader<'_>, kind: SourceKind) -> SourceSettings {
    let mut defaults = SourceRules::default();
    if kind.is_unrepeated() {
        defaults.expire_after = EXPIRE_AFTER_UNREPEATED;
    }
    let (preset, mapping) = mapping::read(table, kind);
    SourceSettings {
        name: table.required("name", source_name).unwrap_or_default(),
        kind,
        token: table.optional("token", values::remote_secret),
        basic: table
            .table("basic")
            .and_then(|table| basic(table, values::remote_secret)),
        header: table.table("header").and_then(header),
        signature: table
            .table("signature")
            .and_then(|table| signature::read(table, header_name)),
        sns: sns(table, kind),
        rate: table.table("rate").and_then(rate),
        keys: Vec::new(),
        is_open: table.optional("open", values::flag).unwrap_or_default(),
        expire_after: table
            .optional("expire_after", values::duration(SECOND..=FOREVER))
            .unwrap_or(defaults.expire_after),
        reorder_window: table
            .optional("reorder_window", values::duration(Span::ZERO..=DAY))
            .unwrap_or(defaults.reorder_window),
        silent_after: table.optional("silent_after", values::duration(SECOND..=FOREVER)),
        reconcile: table.table("reconcile").and_then(reconcile),
        api: false,
        mqtt: mqtt::read(table, kind, mapping.is_some()),
        preset,
        mapping,
    }
}

/// Which source owns `/api/v2`: the one that says so, else the first Alertmanager that does not decline.
#[derive(Default)]
struct Owner {
    claimed: Option<(usize, String)>,
    first: Option<usize>,
}

impl Owner {
    fn note(&mut self, table: &mut TableReader<'_>, kind: SourceKind, index: usize) {
        match (table.optional("api", values::flag), &self.claimed) {
            (Some(true), Some((_, place))) => {
                let message = format!("the source at {place} owns /api/v2 already");
                let hint = "write api = true at one source only";
                table.refuse(Some("api"), Complaint::new(message).hint(hint));
            }
            (Some(true), None) => self.claimed = Some((index, table.place())),
            (None, _) if kind == SourceKind::Alertmanager => {
                self.first = self.first.or(Some(index));
            }
            (None | Some(false), _) => {}
        }
    }

    fn index(&self) -> Option<usize> {
        self.claimed
            .as_ref()
            .map(|(index, _)| *index)
            .or(self.first)
    }
}

fn source_name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let hint = "write a lower-case letter or digit, then also _ . and -, at most 64 in all";
    let name = spot
        .text("a name")
        .map_err(|complaint| complaint.hint(hint))?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed = name.starts_with(is_plain)
        && name
            .chars()
            .all(|c| is_plain(c) || matches!(c, '_' | '.' | '-'));
    if well_formed && name.len() <= NAME_BYTES_MAX {
        Ok(name.to_owned())
    } else {
        Err(Complaint::new(format!("{name:?} is not a source name")).hint(hint))
    }
}

fn check_name(table: &TableReader<'_>, name: &str, places: &mut BTreeMap<String, String>) {
    if name.is_empty() {
        return;
    }
    if name == heartbeat::SOURCE {
        let complaint = Complaint::new(format!(
            "the name {name:?} is that of the alerts about heartbeats"
        ));
        table.refuse(Some("name"), complaint.hint("give the source another name"));
    }
    if let Some(place) = places.get(name) {
        let complaint = Complaint::new(format!("the name {name:?} is used at {place} already"));
        table.refuse(
            Some("name"),
            complaint.hint("every source needs a name of its own"),
        );
    } else {
        places.insert(name.to_owned(), table.place());
    }
}

fn check_open(table: &TableReader<'_>, source: &SourceSettings, exposed: Option<SocketAddr>) {
    // A secret that is written but wrong has its own error; do not complain twice.
    let has_secret = ["token", "basic", "header", "signature"]
        .iter()
        .any(|key| table.has(key));
    let has_secret = has_secret || source.sns.is_verified;
    if source.is_open && has_secret {
        let complaint = Complaint::new("the source is open to everybody and has a secret");
        table.refuse(Some("open"), complaint.hint("remove one of the two"));
    }
    let has_secret = has_secret || source.kind.keys_word().is_some() || source.kind.has_broker();
    let (Some(address), false, false) = (exposed, has_secret, source.is_open) else {
        return;
    };
    let name = &source.name;
    let message =
        format!("source {name:?} has no token, but {address} is reachable from other machines");
    let hint = "give the source token, basic, header or signature, or write open = true if everybody may send; \
                a [[source]] in your file replaces the built-in one";
    table.refuse(None, Complaint::new(message).hint(hint));
}

/// What is done with the messages of Amazon SNS.
fn sns(table: &mut TableReader<'_>, kind: SourceKind) -> SnsSettings {
    let sns = SnsSettings {
        is_verified: table.optional("verify", values::flag).unwrap_or_default(),
        confirmed_topics: table.list("confirm_topics", values::text),
    };
    for key in ["verify", "confirm_topics"] {
        if kind != SourceKind::Sns && table.has(key) {
            let complaint = Complaint::new(format!("kind {:?} has no {key}", kind.word()));
            table.refuse(Some(key), complaint.hint("remove it"));
        }
    }
    if kind == SourceKind::Sns && !sns.confirmed_topics.is_empty() && !sns.is_verified {
        let complaint = Complaint::new("subscriptions are only confirmed for signed messages");
        table.refuse(Some("confirm_topics"), complaint.hint("add verify = true"));
    }
    sns
}

/// How much may be sent.
pub(super) fn rate(mut table: TableReader<'_>) -> Option<RateSettings> {
    let mut number = |key, is_needed: bool| {
        let read = values::count(1..=1_000_000);
        let number = if is_needed {
            table.required(key, read)
        } else {
            table.optional(key, read)
        };
        number.and_then(NonZeroU32::new)
    };
    let per_second = number("per_second", true);
    let burst = number("burst", false);
    table.finish();
    Some(RateSettings {
        per_second: per_second?,
        burst: burst.or(per_second)?,
    })
}

fn basic(
    mut table: TableReader<'_>,
    password: fn(&Spot<'_>) -> Result<Secret, Complaint>,
) -> Option<Basic> {
    let user = table.required("user", values::user_name);
    let password = table.required("password", password);
    table.finish();
    Some(Basic {
        user: user?,
        password: password?,
    })
}

fn header(mut table: TableReader<'_>) -> Option<HeaderToken> {
    let name = table.required("name", header_name);
    let value = table.required("value", values::remote_secret);
    table.finish();
    Some(HeaderToken {
        name: name?,
        value: value?,
    })
}

fn header_name(spot: &Spot<'_>) -> Result<String, Complaint> {
    let name = values::text(spot)?.to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.chars().all(is_plain) {
        let complaint = Complaint::new(format!("{name:?} is not a header name"));
        return Err(complaint.hint("write it like X-Auth-Token"));
    }
    if name == "authorization" {
        return Err(Complaint::new("this header has keys of its own").hint("use token or basic"));
    }
    Ok(name)
}

fn reconcile(mut table: TableReader<'_>) -> Option<Reconcile> {
    let url = table.required("url", values::http_url);
    let every = table.optional("every", values::duration(SECOND..=DAY));
    let token = table
        .optional("token", values::remote_secret)
        .map(ReconcileAuth::Token);
    let user = table
        .table("basic")
        .and_then(|table| basic(table, values::remote_secret));
    if table.has("token") && table.has("basic") {
        let complaint = Complaint::new("only one of token and basic can be sent");
        table.refuse(Some("basic"), complaint.hint("remove one of the two"));
    }
    table.finish();
    Some(Reconcile {
        url: url?,
        every: every.unwrap_or(RECONCILE_EVERY),
        auth: token.or(user.map(ReconcileAuth::Basic)),
    })
}
