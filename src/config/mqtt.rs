//! Reads the keys of a broker: kinds `mqtt` and `sparkplug`.
//!
//! Must not connect anywhere.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, expected};
use crate::config::secret::Secret;
use crate::config::settings::SourceKind;
use crate::config::tree::Value;
use crate::config::values;
use crate::core::time::Span;
use crate::sources::topic::{Filter, Subscription};

/// Keys that only kinds with a broker have.
const KEYS: [&str; 13] = [
    "url",
    "version",
    "subscribe",
    "shared_group",
    "client_id",
    "user",
    "password",
    "tls",
    "keep_alive",
    "session_expiry",
    "packet_max",
    "retained",
    "rebirth",
];
/// Keys of senders that come to us.
const OTHERS: [&str; 5] = ["token", "basic", "header", "open", "reconcile"];
const URL_HINT: &str = "write it like mqtt://host:1883, or mqtts://host:8883 for TLS";
const SUBSCRIBE_HINT: &str = "write subscribe = [{ filter = \"site/+site/alarm\", qos = 1 }]; +name captures a level as a label";
const SECOND: Span = Span::from_secs(1);
/// The longest session that MQTT 5 can name in seconds without meaning for ever.
const EXPIRY_MAX: Span = Span::from_days(36_500);
/// What is subscribed of Sparkplug: births and deaths, and data only where a map says what to make of it.
const SPARKPLUG: [&str; 4] = [
    "spBv1.0/+/NBIRTH/+",
    "spBv1.0/+/NDEATH/+",
    "spBv1.0/+/DBIRTH/+/+",
    "spBv1.0/+/DDEATH/+/+",
];
const SPARKPLUG_DATA: [&str; 2] = ["spBv1.0/+/NDATA/+", "spBv1.0/+/DDATA/+/+"];

/// The revision of MQTT that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MqttVersion {
    /// 3.1.1, which names itself 4 on the wire.
    V3,
    /// 5.0.
    #[default]
    V5,
}

/// What is done with messages that the broker kept and sends again to each new subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retained {
    /// They are taken, and never begin again what had ended.
    #[default]
    Use,
    /// They are acknowledged and passed over.
    Ignore,
}

/// A broker and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSettings {
    /// Name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The revision of the protocol.
    pub version: MqttVersion,
    /// What is subscribed; never empty.
    pub subscribe: Vec<Subscription>,
    /// The group among whose members the broker divides messages.
    pub shared_group: Option<String>,
    /// The client id, if the operator chose one.
    pub client_id: Option<String>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Certificate authorities of the broker, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Certificate and key that we show.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Longest time without a packet.
    pub keep_alive: Span,
    /// How long the broker keeps our session while we are away (MQTT 5).
    pub session_expiry: Span,
    /// Bytes of a packet; larger ones are put aside without their content.
    pub packet_max: u64,
    /// What is done with retained messages.
    pub retained: Retained,
    /// Whether Sparkplug nodes are asked for a new birth when they cannot be understood.
    pub rebirth: bool,
}

impl MqttSettings {
    /// The broker's address for people, without secrets.
    pub fn shown(&self) -> String {
        let scheme = if self.is_tls { "mqtts" } else { "mqtt" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// Reads the keys of a broker; `None` for other kinds, and (with an error) when there is none to connect to.
pub(super) fn read(
    table: &mut TableReader<'_>,
    kind: SourceKind,
    is_mapped: bool,
) -> Option<Arc<MqttSettings>> {
    refuse_others(table, kind);
    if !kind.has_broker() {
        return None;
    }
    read_broker(table, kind, is_mapped)
}

/// Reads the keys of a broker.
pub(super) fn read_broker(
    table: &mut TableReader<'_>,
    kind: SourceKind,
    is_mapped: bool,
) -> Option<Arc<MqttSettings>> {
    let url = table.required("url", broker_url);
    let subscribe = subscriptions(table, kind, is_mapped);
    let shared_group = table.optional("shared_group", group);
    if kind == SourceKind::Sparkplug && shared_group.is_some() {
        let complaint = Complaint::new("kind \"sparkplug\" cannot share a subscription");
        let hint = "remove it: births and data of one node must come to the same reader";
        table.refuse(Some("shared_group"), complaint.hint(hint));
    }
    let user = table.optional("user", values::text);
    let password = table.optional("password", values::remote_secret);
    if table.has("password") && !table.has("user") {
        let complaint = Complaint::new("a password needs a user");
        table.refuse(
            Some("password"),
            complaint.hint("write user = \"...\" beside it"),
        );
    }
    let tls = table.table("tls").map(tls).unwrap_or_default();
    if table.has("tls") && url.as_ref().is_some_and(|(_, _, is_tls)| !is_tls) {
        let complaint = Complaint::new("tls is set, but the url begins with mqtt://");
        table.refuse(
            Some("tls"),
            complaint.hint("write mqtts:// in the url, or remove tls"),
        );
    }
    let mut settings = MqttSettings {
        host: String::new(),
        port: 0,
        is_tls: false,
        version: table.optional("version", version).unwrap_or_default(),
        subscribe,
        shared_group,
        client_id: table.optional("client_id", client_id),
        user,
        password,
        ca: tls.0,
        identity: tls.1,
        keep_alive: table
            .optional(
                "keep_alive",
                values::duration(Span::from_secs(5)..=Span::from_hours(18)),
            )
            .unwrap_or(Span::from_secs(30)),
        session_expiry: table
            .optional("session_expiry", values::duration(SECOND..=EXPIRY_MAX))
            .unwrap_or(Span::from_days(30)),
        packet_max: table
            .optional("packet_max", values::size(1 << 10..=64 << 20))
            .unwrap_or(1 << 20),
        retained: table
            .optional(
                "retained",
                values::word(&[("use", Retained::Use), ("ignore", Retained::Ignore)]),
            )
            .unwrap_or_default(),
        rebirth: table.optional("rebirth", values::flag).unwrap_or_default(),
    };
    (settings.host, settings.port, settings.is_tls) = url?;
    Some(Arc::new(settings))
}

/// Complains about keys of a broker where there is none, and about those of senders that come to us where there is one.
fn refuse_others(table: &mut TableReader<'_>, kind: SourceKind) {
    if !kind.has_broker() {
        // Asked for, so that the complaint is about the kind and not about an unknown key.
        for key in KEYS {
            if !table.has(key) {
                continue;
            }
            table.skip(key);
            let message = format!("kind {:?} has no {key}", kind.word());
            let hint = "remove it, or write kind = \"mqtt\"";
            table.refuse(Some(key), Complaint::new(message).hint(hint));
        }
        return;
    }
    for key in OTHERS.into_iter().filter(|key| table.has(key)) {
        let message = format!("kind {:?} does not take {key}", kind.word());
        let hint = "remove it; the broker decides who may publish";
        table.refuse(Some(key), Complaint::new(message).hint(hint));
    }
}

fn subscriptions(
    table: &mut TableReader<'_>,
    kind: SourceKind,
    is_mapped: bool,
) -> Vec<Subscription> {
    let subscribe = table.list("subscribe", subscription);
    if table.has("subscribe") {
        if table.is_empty_list("subscribe") {
            let complaint = Complaint::new("subscribes to nothing").hint(SUBSCRIBE_HINT);
            table.refuse(Some("subscribe"), complaint);
        }
        return subscribe;
    }
    if kind != SourceKind::Sparkplug {
        let message = format!("kind {:?} needs subscribe", kind.word());
        table.refuse(None, Complaint::new(message).hint(SUBSCRIBE_HINT));
        return Vec::new();
    }
    let data = SPARKPLUG_DATA.iter().filter(|_| is_mapped);
    let filters = SPARKPLUG.iter().chain(data);
    filters
        .filter_map(|filter| Filter::parse(filter).ok())
        .map(|filter| Subscription { filter, qos: 1 })
        .collect()
}

fn subscription(spot: &Spot<'_>) -> Result<Subscription, Complaint> {
    let parse = |text: &str| {
        Filter::parse(text).map_err(|problem| {
            Complaint::new(format!("the filter {text:?} {problem}")).hint(SUBSCRIBE_HINT)
        })
    };
    let table = match &spot.node.value {
        Value::Text(text) => {
            let filter = parse(text)?;
            return Ok(Subscription { filter, qos: 1 });
        }
        Value::Table(table) => table,
        other @ (Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)) => {
            return Err(
                expected("a filter, or a table with filter and qos", other).hint(SUBSCRIBE_HINT)
            );
        }
    };
    let (mut filter, mut qos) = (None, 1);
    for (key, (_, node)) in table {
        match (key.as_str(), &node.value) {
            ("filter", Value::Text(text)) => filter = Some(parse(text)?),
            ("qos", Value::Integer(Some(number))) => {
                qos = u8::try_from(*number)
                    .ok()
                    .filter(|qos| *qos <= 2)
                    .ok_or_else(|| {
                        Complaint::new(format!("qos {number} is out of range"))
                            .hint("write 0, 1 or 2")
                    })?;
            }
            ("filter" | "qos", other) => {
                return Err(
                    expected(if key == "qos" { "0, 1 or 2" } else { "text" }, other)
                        .hint(SUBSCRIBE_HINT),
                );
            }
            _ => return Err(Complaint::new(format!("unknown key `{key}`")).hint(SUBSCRIBE_HINT)),
        }
    }
    let filter =
        filter.ok_or_else(|| Complaint::new("`filter` is required here").hint(SUBSCRIBE_HINT))?;
    Ok(Subscription { filter, qos })
}

fn broker_url(spot: &Spot<'_>) -> Result<(String, u16, bool), Complaint> {
    let text = spot
        .text("a URL")
        .map_err(|complaint| complaint.hint(URL_HINT))?;
    // The text itself is not shown: it may hold a password.
    let wrong = |message: String| Complaint::new(message).hint(URL_HINT);
    let url = Url::parse(text).map_err(|error| wrong(format!("is not a URL: {error}")))?;
    let is_tls = match url.scheme() {
        "mqtt" | "tcp" => false,
        "mqtts" | "ssl" | "tls" => true,
        other => return Err(wrong(format!("{other:?} is not a scheme for this URL"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new("the URL holds a user or password")
            .hint("write them as `user` and `password` next to it, where they are kept secret"));
    }
    let is_bare =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let Some(host) = url.host_str().filter(|host| !host.is_empty() && is_bare) else {
        return Err(wrong("has more or less than a host and a port".to_owned()));
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = url.port().unwrap_or(if is_tls { 8883 } else { 1883 });
    Ok((host, port, is_tls))
}

fn version(spot: &Spot<'_>) -> Result<MqttVersion, Complaint> {
    let hint = "write 5, or 3 for MQTT 3.1.1";
    match &spot.node.value {
        // 4 is what 3.1.1 calls itself on the wire.
        Value::Integer(Some(3 | 4)) => Ok(MqttVersion::V3),
        Value::Integer(Some(5)) => Ok(MqttVersion::V5),
        Value::Text(text) if text.as_str() == "3.1.1" => Ok(MqttVersion::V3),
        Value::Text(text) if matches!(text.as_str(), "5" | "5.0") => Ok(MqttVersion::V5),
        other @ (Value::Text(_)
        | Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_)) => Err(expected("a version of MQTT, 3 or 5", other).hint(hint)),
    }
}

fn group(spot: &Spot<'_>) -> Result<String, Complaint> {
    let text = values::text(spot)?;
    if text.contains(['/', '+', '#']) {
        let hint = "write a plain word, like \"watchbell\"";
        return Err(Complaint::new("a group has no / + and #").hint(hint));
    }
    Ok(text)
}

fn client_id(spot: &Spot<'_>) -> Result<String, Complaint> {
    let text = values::text(spot)?;
    if text.len() > 1024 {
        return Err(Complaint::new("is longer than 1024 bytes"));
    }
    Ok(text)
}

type Tls = (Option<PathBuf>, Option<(PathBuf, PathBuf)>);

fn tls(mut table: TableReader<'_>) -> Tls {
    let ca = table.optional("ca", values::pem_file);
    let cert = table.optional("cert", values::pem_file);
    let key = table.optional("key", values::pem_file);
    if table.has("cert") != table.has("key") {
        let complaint = Complaint::new("cert and key go together");
        table.refuse(None, complaint.hint("write both, or neither"));
    }
    table.finish();
    (ca, cert.zip(key))
}
