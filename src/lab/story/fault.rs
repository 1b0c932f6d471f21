//! What can break: the catalogue of faults, where each starts, and how often.
//!
//! Must not spread anything; that is `spread`'s.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

use crate::lab::estate::{Class, Estate, Via};
use crate::lab::random::Random;

/// How badly a CI does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// One of two power feeds is gone.
    LessRedundant,
    /// It works badly.
    Degraded,
    /// It does not work.
    Down,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A rack's switch dies.
    Switch,
    /// A machine dies.
    Machine,
    /// Shared storage is slow.
    Storage,
    /// A resolver fails.
    Dns,
    /// A certificate expires.
    Certificate,
    /// A deployment breaks a service.
    Deploy,
    /// A database loses its primary for minutes.
    Database,
    /// A power feed fails.
    Power,
    /// A link between sites flaps.
    Wan,
    /// A whole site is cut off.
    Partition,
    /// A neighbour takes all the processors.
    Neighbour,
    /// Monitoring itself fails; nothing is broken.
    Monitoring,
}

impl Kind {
    /// Every kind with its weight in a data centre.
    pub const WEIGHTS: [(Self, f64); 12] = [
        (Self::Switch, 10.0),
        (Self::Machine, 14.0),
        (Self::Storage, 9.0),
        (Self::Dns, 4.0),
        (Self::Certificate, 7.0),
        (Self::Deploy, 22.0),
        (Self::Database, 9.0),
        (Self::Power, 3.0),
        (Self::Wan, 6.0),
        (Self::Partition, 2.0),
        (Self::Neighbour, 8.0),
        (Self::Monitoring, 6.0),
    ];

    /// The weights among containers that are deployed all day.
    pub const CLOUD: [(Self, f64); 11] = [
        (Self::Switch, 3.0),
        (Self::Machine, 6.0),
        (Self::Dns, 4.0),
        (Self::Certificate, 7.0),
        (Self::Deploy, 55.0),
        (Self::Database, 6.0),
        (Self::Power, 1.0),
        (Self::Wan, 3.0),
        (Self::Partition, 1.0),
        (Self::Neighbour, 7.0),
        (Self::Monitoring, 3.0),
    ];

    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Machine => "machine",
            Self::Storage => "storage",
            Self::Dns => "dns",
            Self::Certificate => "certificate",
            Self::Deploy => "deploy",
            Self::Database => "database",
            Self::Power => "power",
            Self::Wan => "wan",
            Self::Partition => "partition",
            Self::Neighbour => "neighbour",
            Self::Monitoring => "monitoring",
        }
    }

    /// Where it can start.
    fn places(self, estate: &Estate, random: &mut Random) -> Vec<usize> {
        let class = match self {
            Self::Switch => Class::Tor,
            Self::Machine => Class::Hypervisor,
            Self::Storage => Class::Array,
            Self::Dns => Class::Dns,
            Self::Certificate => Class::Certificate,
            Self::Deploy => Class::Application,
            Self::Database => Class::Database,
            Self::Power => Class::Feed,
            Self::Wan => Class::Wan,
            Self::Partition => Class::Site,
            Self::Neighbour if random.chance(0.5) => Class::Hypervisor,
            Self::Neighbour => Class::Vm,
            Self::Monitoring => Class::Monitor,
        };
        estate.of(class).to_vec()
    }

    /// Minutes that it lasts.
    fn minutes(self) -> (f64, f64) {
        match self {
            Self::Database => (3.0, 7.0),
            Self::Wan => (8.0, 20.0),
            Self::Switch
            | Self::Machine
            | Self::Storage
            | Self::Dns
            | Self::Certificate
            | Self::Deploy
            | Self::Power
            | Self::Partition
            | Self::Neighbour
            | Self::Monitoring => (12.0, 40.0),
        }
    }
}

/// One fault.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What kind.
    pub kind: Kind,
    /// The CI that breaks.
    pub root: usize,
    /// Others of the same failure unit that are as good an answer.
    pub acceptable: Vec<usize>,
    /// How badly.
    pub health: Health,
    /// When, in milliseconds of the story.
    pub onset: i64,
    /// When it is repaired.
    pub end: i64,
}

/// Makes a fault of a kind somewhere; `None` when the estate has no place for it.
pub fn strike(estate: &Estate, kind: Kind, onset: i64, random: &mut Random) -> Option<Fault> {
    let places = kind.places(estate, random);
    let place = *random.pick(&places)?;
    Some(strike_at(estate, kind, place, onset, random))
}

/// Makes a fault of a kind at a place.
pub fn strike_at(
    estate: &Estate,
    kind: Kind,
    place: usize,
    onset: i64,
    random: &mut Random,
) -> Fault {
    let (low, high) = kind.minutes();
    let mut root = place;
    let mut acceptable = Vec::new();
    let health = match kind {
        Kind::Storage if random.chance(0.75) => Health::Degraded,
        Kind::Dns if random.chance(0.5) => Health::Degraded,
        Kind::Deploy if random.chance(0.8) => Health::Degraded,
        Kind::Wan if random.chance(0.4) => Health::Degraded,
        Kind::Neighbour => Health::Degraded,
        Kind::Storage
        | Kind::Dns
        | Kind::Deploy
        | Kind::Wan
        | Kind::Switch
        | Kind::Machine
        | Kind::Certificate
        | Kind::Database
        | Kind::Power
        | Kind::Partition
        | Kind::Monitoring => Health::Down,
    };
    if kind == Kind::Database {
        // It starts at the primary where there is one.
        let primary = estate
            .providers(place)
            .find(|link| link.via == Via::Primary);
        if let Some(primary) = primary {
            root = primary.to;
            acceptable.push(place);
        }
    }
    if kind == Kind::Partition {
        let site = estate.cis[place].site;
        acceptable.extend(estate.at(site, Class::Core));
    }
    Fault {
        kind,
        root,
        acceptable,
        health,
        onset,
        end: onset + random.seconds(low * 60.0, high * 60.0),
    }
}
