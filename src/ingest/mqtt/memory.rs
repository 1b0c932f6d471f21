//! What is remembered of a broker from one connection to the next.
//!
//! Must not be used to acknowledge anything: packet ids of an earlier connection only help to know a message again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::packets::Publish;
use super::window::Entry;
use crate::sources::Envelope;
use crate::sources::sparkplug::{self, Nodes, Topic};

/// How often a node is asked for its birth at most.
const REBIRTH_EVERY: Duration = Duration::from_secs(60);
/// Nodes for which the last question is remembered.
const ASKED_MAX: usize = 10_000;

/// What is remembered of one broker.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last message that was committed under each packet id.
    committed: BTreeMap<u16, u128>,
    nodes: Nodes,
    asked: BTreeMap<String, Instant>,
}

/// A node that cannot be understood without a new birth.
pub(super) struct Rebirth {
    /// Where it takes commands.
    pub(super) topic: String,
    /// Whether it was not asked a short while ago.
    pub(super) is_due: bool,
}

impl Memory {
    /// The broker has no session of ours: packet ids begin anew.
    pub(super) fn forget_packets(&mut self) {
        self.committed.clear();
    }

    /// Notes that a message is committed.
    pub(super) fn answered(&mut self, entry: &Entry) {
        if entry.qos > 0 {
            self.committed.insert(entry.pkid, entry.hash);
        }
    }

    /// The sender of a message of quality 2 lets go of its packet id.
    pub(super) fn released(&mut self, pkid: u16) {
        self.committed.remove(&pkid);
    }

    /// Whether a message is one that was committed already and comes again, since its acknowledgement was lost.
    pub(super) fn is_known(&self, publish: &Publish, hash: u128) -> bool {
        publish.is_again && publish.qos > 0 && self.committed.get(&publish.pkid) == Some(&hash)
    }

    /// Learns from a message of Sparkplug, and puts into its envelope what it needs to be understood.
    pub(super) fn note_sparkplug(
        &mut self,
        publish: &Publish,
        envelope: &mut Envelope,
        is_mapped: bool,
    ) -> Option<Rebirth> {
        let topic = Topic::parse(&publish.topic)?;
        // What cannot be read is told by the decoder.
        let payload = sparkplug::payload(&publish.payload).ok()?;
        let noted = self.nodes.note(&topic, &payload, is_mapped);
        envelope.headers.extend(noted.pairs);
        if !noted.is_unborn {
            return None;
        }
        let topic = topic.command();
        let asked = self.asked.get(&topic);
        let is_due = asked.is_none_or(|at| at.elapsed() >= REBIRTH_EVERY);
        if is_due {
            if self.asked.len() >= ASKED_MAX {
                self.asked.clear();
            }
            self.asked.insert(topic.clone(), Instant::now());
        }
        Some(Rebirth { topic, is_due })
    }
}
