//! The sets of the benchmark: which worlds each one consists of, and how hard they are.
//!
//! Seeds 1 to 99 are for development; those from 1000 on are for reports and must not be used for tuning. Must not
//! change once figures were published under these names.

use std::str::FromStr;

use crate::core::cmdb::record::Picture;
use crate::lab::estate::record::{Damage, record};
use crate::lab::estate::{Estate, boutique, datacentre};
use crate::lab::story::fault::Kind;
use crate::lab::story::{Faithfulness, Plot, Story, write};

/// A set of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// A CMDB without errors, hardly a lost alert.
    S0,
    /// The standard: a fifth of all relations is missing.
    S1,
    /// Harder in every respect.
    S2,
    /// A site of 100,000 CIs is cut off.
    S3,
    /// Noise only.
    S4,
    /// Pairs of outages.
    S5,
    /// Everything resolves for a minute, and fires again.
    S6,
}

impl Set {
    /// Every set.
    pub const ALL: [Self; 7] = [
        Self::S0,
        Self::S1,
        Self::S2,
        Self::S3,
        Self::S4,
        Self::S5,
        Self::S6,
    ];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::S4 => "S4",
            Self::S5 => "S5",
            Self::S6 => "S6",
        }
    }

    /// The estates that it plays on; the standard set also on a dense one and on one of another kind.
    pub const fn grounds(self) -> &'static [Ground] {
        match self {
            Self::S1 => &[Ground::Small, Ground::Dense, Ground::Boutique],
            Self::S3 => &[Ground::Large],
            Self::S0 | Self::S2 | Self::S4 | Self::S5 | Self::S6 => &[Ground::Small],
        }
    }
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|set| set.word().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("there is no set {text:?}: S0 to S6"))
    }
}

/// An estate to play on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ground {
    /// About a thousand CIs.
    Small,
    /// 4,400 CIs and four times the outages of a day.
    Dense,
    /// 100,000 CIs, for one hour.
    Large,
    /// A thousand CIs of another kind.
    Boutique,
}

impl Ground {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Small => "1k",
            Self::Dense => "dense",
            Self::Large => "100k",
            Self::Boutique => "shops",
        }
    }

    fn build(self, seed: u64) -> Estate {
        match self {
            Self::Small => datacentre::build(&datacentre::Scale::SMALL, seed),
            Self::Dense => datacentre::build(&datacentre::Scale::DENSE, seed),
            Self::Large => datacentre::build(&datacentre::Scale::LARGE, seed),
            Self::Boutique => boutique::build(28, seed),
        }
    }
}

/// One world: an estate, its CMDB, and a day in it.
#[derive(Clone, Debug)]
pub struct World {
    /// The set.
    pub set: Set,
    /// The estate's name.
    pub ground: Ground,
    /// The seed.
    pub seed: u64,
    /// What there truly is.
    pub estate: Estate,
    /// What the CMDB says.
    pub cmdb: Picture,
    /// What happens.
    pub story: Story,
}

/// Makes the world of a set, ground and seed.
pub fn world(set: Set, ground: Ground, seed: u64) -> World {
    let estate = ground.build(seed);
    let (damage, how) = hardness(set, seed);
    let story = write(&estate, &plot(set, ground, how), seed);
    World {
        set,
        ground,
        seed,
        cmdb: record(&estate, damage, seed),
        story,
        estate,
    }
}

fn hardness(set: Set, seed: u64) -> (Damage, Faithfulness) {
    let (missing, wrong, lost, unbindable) = match set {
        Set::S0 => (0.0, 0.0, 0.05, 0.0),
        Set::S1 | Set::S3 | Set::S4 | Set::S5 | Set::S6 => (0.2, 0.04, 0.15, 0.05),
        Set::S2 => (0.3, 0.1, 0.3, 0.15),
    };
    let how = Faithfulness {
        lost,
        unbindable,
        seed,
    };
    (Damage { missing, wrong }, how)
}

fn plot(set: Set, ground: Ground, how: Faithfulness) -> Plot {
    let (hours, outages) = match (set, ground) {
        (Set::S4, _) => (24.0, 0),
        (Set::S5, _) => (30.0, 30),
        (Set::S3, _) | (_, Ground::Large) => (1.0, 6),
        (_, Ground::Dense) => (24.0, 120),
        (Set::S0 | Set::S1 | Set::S2 | Set::S6, Ground::Small | Ground::Boutique) => (24.0, 30),
    };
    Plot {
        hours,
        outages,
        overlap: match set {
            Set::S0 => 0.1,
            Set::S2 => 0.5,
            Set::S1 | Set::S3 | Set::S4 | Set::S5 | Set::S6 => 0.35,
        },
        kinds: if ground == Ground::Boutique {
            Kind::CLOUD.to_vec()
        } else {
            Kind::WEIGHTS.to_vec()
        },
        noise: 0.27,
        has_partition: set == Set::S3,
        is_twins: set == Set::S5,
        has_lulls: set == Set::S6,
        how,
    }
}
