//! What people order about connectors: pause, go on, bring everything in step again.
//!
//! Must not know who may do what.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Block, Link, TicketChange};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::reason::Reason;
use crate::core::time::Timestamp;

/// Tickets that one order brings in step; who wants more asks again.
const RESYNC_MAX: usize = 10_000;

/// An order with who gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketOrder {
    /// The connector.
    pub connector: SmolStr,
    /// What is wanted.
    pub wanted: Wanted,
    /// Who wants it: the token's name.
    pub actor: SmolStr,
}

/// What people can want of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Wanted {
    /// Nothing is sent or read until it goes on.
    Pause,
    /// It goes on.
    Resume,
    /// Tickets are read and compared anew, and refused ones tried again; of one incident if it is named, and then one
    /// that was detached gets another ticket.
    Resync {
        /// The incident.
        #[serde(default)]
        incident: Option<IncidentId>,
    },
}

impl Wanted {
    /// The word used in the audit.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "connector.pause",
            Self::Resume => "connector.resume",
            Self::Resync { .. } => "connector.resync",
        }
    }
}

/// Decides an order.
pub(in crate::core) fn decide_order(
    world: World<'_>,
    order: &TicketOrder,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let mut rules = world.rules.connectors.iter();
    if !rules.any(|rule| rule.name == order.connector) {
        return Decision::refused(Reason::UnknownConnector);
    }
    let tickets = world.state.tickets();
    match order.wanted {
        Wanted::Pause | Wanted::Resume => {
            let is_pause = order.wanted == Wanted::Pause;
            let mut decision = Decision::because(if is_pause {
                Reason::ConnectorPaused
            } else {
                Reason::ConnectorResumed
            });
            if tickets.is_paused(&order.connector) != is_pause {
                let change = TicketChange::Paused(order.connector.clone(), is_pause);
                decision.change(Change::Ticket(change));
                say(&mut decision, order, ids);
            }
            decision
        }
        Wanted::Resync { incident } => {
            let mut decision = Decision::because(Reason::ConnectorResynced);
            let links = tickets.all_of(&order.connector);
            let links = links.filter(|link| incident.is_none_or(|id| id == link.incident));
            for link in links.take(RESYNC_MAX) {
                let link = resynced(world, link, incident.is_some(), now);
                let change = TicketChange::Changed(Arc::new(link));
                decision.change(Change::Ticket(change));
            }
            say(&mut decision, order, ids);
            decision
        }
    }
}

fn say(decision: &mut Decision, order: &TicketOrder, ids: &mut IdFeed) {
    let reason = decision.reason;
    let entry = decision.entry(ids, None, None, reason);
    entry.actor = Some(order.actor.clone());
    entry.note = Some(Arc::from(order.connector.as_str()));
}

fn resynced(world: World<'_>, link: &Link, is_named: bool, now: Timestamp) -> Link {
    let mut link = link.clone();
    link.changed_at = now;
    match link.block {
        Some(Block::Failed(_)) => link.block = None,
        Some(Block::Detached(_)) if is_named => {
            let incident = world.state.incident(link.incident);
            let opened_at = incident.map_or(link.made_at, |incident| incident.opened_at);
            link.renew(opened_at, now);
        }
        Some(Block::Detached(_) | Block::Closed(_)) | None => {}
    }
    if link.block.is_none() {
        link.sent = None;
    }
    link
}
