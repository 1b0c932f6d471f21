//! Sparkplug B: nodes and devices that die and are born, and metrics by a mapping.
//!
//! A death fires one alert for its node or device, the next birth resolves it. With a mapping each metric of births and
//! data is an `item`. What a message cannot say by itself (what an alias stands for, whether a death is of an older
//! connection) stands in its envelope, put there by [`Nodes`]. Source: eclipse-sparkplug/sparkplug specification.
//! Must not keep anything between messages.

mod nodes;
pub mod wire;

use std::sync::Arc;

use minijinja::value::Value;
use prost::Message as _;
use smol_str::{SmolStr, format_smolstr};
use xxhash_rust::xxh3::xxh3_64;

pub use self::nodes::{ALIASES_MAX, NODES_MAX, Nodes, Noted};
use self::wire::{Metric, Payload};
use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation, clean, clean_pairs};
use crate::core::severity::Severity;
use crate::core::time::Timestamp;
use crate::sources::mapping::value::{self, Budget};
use crate::sources::mapping::{ITEMS_MAX, Mapping, Observer, Origin};
use crate::sources::tried::{Tried, TriedItem};
use crate::sources::{DecodeError, Decoded, Envelope, Message, Note, Source};

/// How bad it is that a node or device is offline.
const SEVERITY: Severity = Severity::High;
/// Index of the data type Boolean.
const BOOLEAN: u32 = 11;
const HINT: &str =
    "subscribe to Sparkplug B topics only, spBv1.0/GROUP/TYPE/NODE with or without /DEVICE";

/// What a message is, as its topic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `NBIRTH`
    NodeBirth,
    /// `NDEATH`
    NodeDeath,
    /// `NDATA`
    NodeData,
    /// `DBIRTH`
    DeviceBirth,
    /// `DDEATH`
    DeviceDeath,
    /// `DDATA`
    DeviceData,
    /// Commands, and the state of hosts.
    Other,
}

/// A topic of Sparkplug B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The group of the node.
    pub group: SmolStr,
    /// What the message is.
    pub kind: Kind,
    /// The edge node.
    pub node: SmolStr,
    /// The device, if it is about one.
    pub device: Option<SmolStr>,
}

impl Topic {
    /// Reads a topic; `None` when it is none of Sparkplug B.
    pub fn parse(topic: &str) -> Option<Self> {
        let mut levels = topic.strip_prefix("spBv1.0/")?.split('/');
        let group = levels.next()?;
        let kind = match (group, levels.next()?) {
            ("STATE", _) => Kind::Other,
            (_, "NBIRTH") => Kind::NodeBirth,
            (_, "NDEATH") => Kind::NodeDeath,
            (_, "NDATA") => Kind::NodeData,
            (_, "DBIRTH") => Kind::DeviceBirth,
            (_, "DDEATH") => Kind::DeviceDeath,
            (_, "DDATA") => Kind::DeviceData,
            (_, "NCMD" | "DCMD") => Kind::Other,
            (_, _) => return None,
        };
        let node = levels.next().unwrap_or_default();
        let device = levels.next();
        let has_device = matches!(
            kind,
            Kind::DeviceBirth | Kind::DeviceDeath | Kind::DeviceData
        );
        let fits = kind == Kind::Other || (device.is_some() == has_device && !node.is_empty());
        (fits && levels.next().is_none()).then(|| Self {
            group: SmolStr::new(group),
            kind,
            node: SmolStr::new(node),
            device: device.map(SmolStr::new),
        })
    }

    /// Where the node takes commands.
    pub fn command(&self) -> String {
        format!("spBv1.0/{}/NCMD/{}", self.group, self.node)
    }

    fn captures(&self) -> Vec<(SmolStr, SmolStr)> {
        let pair = |name, text: &SmolStr| (SmolStr::new_static(name), text.clone());
        let device = self.device.iter().map(|device| pair("device", device));
        [pair("group", &self.group), pair("node", &self.node)]
            .into_iter()
            .chain(device)
            .collect()
    }
}

/// The command that asks a node to be born again, as a payload.
pub fn rebirth(now: Timestamp) -> Vec<u8> {
    let timestamp = u64::try_from(now.as_millis()).ok();
    let metric = Metric {
        name: Some("Node Control/Rebirth".to_owned()),
        timestamp,
        datatype: Some(BOOLEAN),
        value: Some(wire::Value::Boolean(true)),
        ..Metric::default()
    };
    let payload = Payload {
        timestamp,
        metrics: vec![metric],
        seq: None,
    };
    payload.encode_to_vec()
}

/// Reads a payload.
///
/// # Errors
/// It is no payload of Sparkplug B.
pub fn payload(body: &[u8]) -> Result<Payload, DecodeError> {
    Payload::decode(body).map_err(|cause| DecodeError::WrongShape {
        path: "body".to_owned(),
        problem: format!("is no payload of Sparkplug B: {cause}"),
        hint: HINT,
    })
}

/// The kind `sparkplug`.
#[derive(Clone, Debug, Default)]
pub struct Sparkplug {
    mapping: Option<Arc<Mapping>>,
}

impl Sparkplug {
    /// A source with or without a mapping of metrics.
    pub fn new(mapping: Option<Arc<Mapping>>) -> Self {
        Self { mapping }
    }

    fn run(
        &self,
        message: &Message<'_>,
        is_traced: bool,
    ) -> Result<(Decoded, Vec<TriedItem>), DecodeError> {
        let named = &message.envelope.topic;
        let topic = Topic::parse(named).ok_or_else(|| DecodeError::WrongShape {
            path: "topic".to_owned(),
            problem: format!("{named:?} is no topic of Sparkplug B"),
            hint: HINT,
        })?;
        if topic.kind == Kind::Other {
            let mut decoded = Decoded {
                skip_count: 1,
                ..Decoded::default()
            };
            note(&mut decoded, "topic", "commands and hosts are no alerts");
            return Ok((decoded, Vec::new()));
        }
        let payload = payload(message.body)?;
        let (mut decoded, trace) = match (&self.mapping, topic.kind) {
            (
                Some(mapping),
                Kind::NodeBirth | Kind::DeviceBirth | Kind::NodeData | Kind::DeviceData,
            ) => metrics(mapping, message, (&topic, &payload), is_traced)?,
            (Some(_) | None, _) => (Decoded::default(), Vec::new()),
        };
        presence(message, &topic, &payload, &mut decoded);
        if decoded == Decoded::default() {
            decoded.skip_count = 1;
        }
        Ok((decoded, trace))
    }
}

impl Source for Sparkplug {
    fn kind(&self) -> &'static str {
        "sparkplug"
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn reads_envelope(&self) -> bool {
        true
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        self.run(message, false).map(|(decoded, _)| decoded)
    }

    fn explain(&self, message: &Message<'_>) -> Result<Tried, DecodeError> {
        let (decoded, items) = self.run(message, true)?;
        Ok(if items.is_empty() {
            Tried::from(decoded)
        } else {
            Tried::new(&decoded, items)
        })
    }
}

/// What a birth or a death says of its node or device.
fn presence(message: &Message<'_>, topic: &Topic, payload: &Payload, decoded: &mut Decoded) {
    let claim = match topic.kind {
        Kind::NodeBirth | Kind::DeviceBirth => Claim::Resolved,
        Kind::NodeDeath | Kind::DeviceDeath => Claim::Firing,
        Kind::NodeData | Kind::DeviceData | Kind::Other => return,
    };
    if let Some(why) = message.envelope.header(nodes::STALE) {
        decoded.skip_count = decoded.skip_count.saturating_add(1);
        let text = format!("is the death of an older connection ({why}); the node lives");
        return note(decoded, "topic", &text);
    }
    let (group, node) = (&topic.group, &topic.node);
    let (key, summary) = match &topic.device {
        None => (
            format_smolstr!("offline/{group}/{node}"),
            format_smolstr!("Edge node {group}/{node} is offline"),
        ),
        Some(device) => (
            format_smolstr!("offline/{group}/{node}/{device}"),
            format_smolstr!("Device {device} of edge node {group}/{node} is offline"),
        ),
    };
    let mut text = AlertText {
        summary,
        labels: topic.captures(),
        ..AlertText::default()
    };
    text.hint([topic.device.clone().unwrap_or_default(), node.clone()]);
    text.is_cut |= clean_pairs(&mut text.labels, limits::LABEL_BYTES_MAX);
    text.is_cut |= clean(&mut text.summary, limits::TEXT_BYTES_MAX);
    decoded.observations.push(Observation {
        key: AlertKey::new(message.source, &key),
        claim,
        // The will of a node is written when it connects, so its time says nothing about the death.
        starts_at: time(payload.timestamp).filter(|_| topic.kind == Kind::DeviceDeath),
        ends_at: None,
        severity: SEVERITY,
        text_hash: xxh3_64(key.as_bytes()),
        text: Arc::new(text),
        undelivered: 0,
        is_retained: message.envelope.is_retained,
    });
}

/// What a mapping makes of the metrics.
fn metrics(
    mapping: &Mapping,
    message: &Message<'_>,
    (topic, payload): (&Topic, &Payload),
    is_traced: bool,
) -> Result<(Decoded, Vec<TriedItem>), DecodeError> {
    let budget = Budget::of_body(message.body.len());
    let envelope = Envelope {
        captures: topic.captures(),
        headers: Vec::new(),
        ..message.envelope.clone()
    };
    let around = Message {
        envelope: &envelope,
        ..*message
    };
    let mut observer = Observer::new(mapping, &around, Arc::clone(&budget));
    if is_traced {
        observer = observer.with_trace();
    }
    let mut items = Vec::new();
    for metric in payload.metrics.iter().take(ITEMS_MAX) {
        // What is of the past must not speak for the present.
        if metric.is_historical == Some(true) {
            observer.skip();
            continue;
        }
        match item(metric, message.envelope, &budget) {
            Some(item) => items.push(item),
            None => {
                observer.skip();
                let alias = metric.alias.unwrap_or_default();
                let problem =
                    "no birth has named this alias since the start; rebirth = true asks for one";
                observer.note(&format!("metrics.alias {alias}"), problem.to_owned());
            }
        }
    }
    if !items.is_empty() {
        let entries = vec![
            (Value::from("metrics"), value::list(items, Some(&budget))),
            (Value::from("timestamp"), Value::from(payload.timestamp)),
            (Value::from("seq"), Value::from(payload.seq)),
            (Value::from("group"), value::text(&topic.group)),
            (Value::from("node"), value::text(&topic.node)),
            (
                Value::from("device"),
                Value::from(topic.device.as_deref().map(value::text)),
            ),
        ];
        observer.payload(&value::map(entries, Some(&budget)), &Origin::default())?;
    }
    Ok(observer.finish())
}

/// A metric as mappings see it; `None` when its name is not known.
fn item(metric: &Metric, envelope: &Envelope, budget: &Arc<Budget>) -> Option<Value> {
    let birth = metric.alias.and_then(|alias| {
        let text = envelope.header(&nodes::alias_name(alias))?;
        text.split_once(' ')
    });
    let name = metric.name.as_deref().or(birth.map(|(_, name)| name))?;
    let born = birth.and_then(|(datatype, _)| datatype.parse().ok());
    let datatype = metric.datatype.or(born).unwrap_or_default();
    let entries = vec![
        (Value::from("name"), value::text(name)),
        (Value::from("alias"), Value::from(metric.alias)),
        (Value::from("timestamp"), Value::from(metric.timestamp)),
        (Value::from("datatype"), Value::from(datatype)),
        (Value::from("value"), value_of(metric, datatype)),
    ];
    Some(value::map(entries, Some(budget)))
}

/// The value of a metric; signed numbers come as two's complement of their width.
fn value_of(metric: &Metric, datatype: u32) -> Value {
    let Some(given) = metric
        .value
        .as_ref()
        .filter(|_| metric.is_null != Some(true))
    else {
        return Value::from(());
    };
    match (given, datatype) {
        (wire::Value::Int(number), 1) => {
            let [byte, ..] = number.to_le_bytes();
            Value::from(i8::from_le_bytes([byte]))
        }
        (wire::Value::Int(number), 2) => {
            let [low, high, ..] = number.to_le_bytes();
            Value::from(i16::from_le_bytes([low, high]))
        }
        (wire::Value::Int(number), 3) => Value::from(number.cast_signed()),
        (wire::Value::Int(number), _) => Value::from(*number),
        (wire::Value::Long(number), 4) => Value::from(number.cast_signed()),
        (wire::Value::Long(number), _) => Value::from(*number),
        (wire::Value::Float(number), _) => Value::from(*number),
        (wire::Value::Double(number), _) => Value::from(*number),
        (wire::Value::Boolean(truth), _) => Value::from(*truth),
        (wire::Value::Text(text), _) => value::text(text),
    }
}

fn time(millis: Option<u64>) -> Option<Timestamp> {
    let millis = i64::try_from(millis?).ok()?;
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

fn note(decoded: &mut Decoded, path: &str, problem: &str) {
    decoded.note(|| Note {
        path: path.to_owned(),
        problem: problem.to_owned(),
    });
}

#[cfg(test)]
mod tests;
