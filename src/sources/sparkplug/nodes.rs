//! What is remembered of edge nodes between messages: the `bdSeq` of the last birth, and what aliases stand for.
//!
//! What a message needs of it is written into its envelope before it is stored, so that the stored message decodes the
//! same again by itself. Must not grow without bound, and must not read a clock.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smol_str::{SmolStr, format_smolstr};

use super::wire::{Metric, Payload, Value};
use super::{Kind, Topic};

/// Edge nodes remembered per source; births of further ones are not.
pub const NODES_MAX: usize = 10_000;
/// Aliases remembered per source; further ones are unknown when they are used.
pub const ALIASES_MAX: usize = 200_000;
/// The pair of an envelope that marks the death of an older connection.
pub(super) const STALE: &str = "sparkplug-stale";
/// The metric by which births and deaths find each other.
const BD_SEQ: &str = "bdSeq";

/// The edge nodes of one source.
#[derive(Debug, Default)]
pub struct Nodes {
    nodes: BTreeMap<(SmolStr, SmolStr), Node>,
    aliases: usize,
}

#[derive(Debug, Default)]
struct Node {
    bd_seq: Option<u64>,
    aliases: BTreeMap<u64, (SmolStr, u32)>,
}

/// What a message was found to need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Pairs for the envelope.
    pub pairs: Vec<(SmolStr, SmolStr)>,
    /// Metrics whose alias no birth has named.
    pub unknown: usize,
    /// Whether the node has to be born again to be understood.
    pub is_unborn: bool,
}

impl Nodes {
    /// Learns from a message, and says what has to be kept with it; `is_mapped` says whether metrics matter.
    pub fn note(&mut self, topic: &Topic, payload: &Payload, is_mapped: bool) -> Noted {
        let mut noted = Noted::default();
        let id = (topic.group.clone(), topic.node.clone());
        match topic.kind {
            Kind::NodeBirth => {
                let bd_seq = bd_seq(payload);
                if let Some(node) = self.open(id) {
                    node.bd_seq = bd_seq;
                    let gone = std::mem::take(&mut node.aliases).len();
                    self.aliases = self.aliases.saturating_sub(gone);
                }
                self.learn(topic, payload, is_mapped);
            }
            Kind::DeviceBirth => self.learn(topic, payload, is_mapped),
            Kind::NodeDeath => {
                let born = self.nodes.get(&id).and_then(|node| node.bd_seq);
                if let (Some(born), Some(died)) = (born, bd_seq(payload))
                    && born != died
                {
                    let text = format_smolstr!("bdSeq {died}, born with {born}");
                    noted.pairs.push((SmolStr::new_static(STALE), text));
                }
            }
            Kind::NodeData | Kind::DeviceData if is_mapped => {
                let node = self.nodes.get(&id);
                noted.is_unborn = node.is_none();
                for alias in payload.metrics.iter().filter_map(alias_only) {
                    match node.and_then(|node| node.aliases.get(&alias)) {
                        Some((name, datatype)) => {
                            let text = format_smolstr!("{datatype} {name}");
                            noted.pairs.push((alias_name(alias), text));
                        }
                        None => noted.unknown = noted.unknown.saturating_add(1),
                    }
                }
                noted.is_unborn |= noted.unknown > 0;
            }
            Kind::NodeData | Kind::DeviceData | Kind::DeviceDeath | Kind::Other => {}
        }
        noted
    }

    fn open(&mut self, id: (SmolStr, SmolStr)) -> Option<&mut Node> {
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&id) {
            return None;
        }
        Some(self.nodes.entry(id).or_default())
    }

    fn learn(&mut self, topic: &Topic, payload: &Payload, is_mapped: bool) {
        if !is_mapped {
            return;
        }
        let mut room = ALIASES_MAX.saturating_sub(self.aliases);
        let Some(node) = self.open((topic.group.clone(), topic.node.clone())) else {
            return;
        };
        let mut learned = 0_usize;
        for metric in &payload.metrics {
            let (Some(alias), Some(name)) = (metric.alias, &metric.name) else {
                continue;
            };
            let entry = (SmolStr::new(name), metric.datatype.unwrap_or_default());
            match node.aliases.entry(alias) {
                Entry::Occupied(mut known) => {
                    known.insert(entry);
                }
                Entry::Vacant(free) if room > 0 => {
                    free.insert(entry);
                    room = room.saturating_sub(1);
                    learned = learned.saturating_add(1);
                }
                Entry::Vacant(_) => {}
            }
        }
        self.aliases = self.aliases.saturating_add(learned);
    }
}

/// The name of an alias' pair in an envelope.
pub(super) fn alias_name(alias: u64) -> SmolStr {
    format_smolstr!("alias.{alias}")
}

fn alias_only(metric: &Metric) -> Option<u64> {
    metric.alias.filter(|_| metric.name.is_none())
}

fn bd_seq(payload: &Payload) -> Option<u64> {
    let is_it = |metric: &&Metric| metric.name.as_deref() == Some(BD_SEQ);
    match payload.metrics.iter().find(is_it)?.value.as_ref()? {
        Value::Int(number) => Some(u64::from(*number)),
        Value::Long(number) => Some(*number),
        Value::Float(_) | Value::Double(_) | Value::Boolean(_) | Value::Text(_) => None,
    }
}
