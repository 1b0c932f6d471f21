//! The estate as its CMDB records it: with relations missing, and some that lead elsewhere.
//!
//! How much is missing differs by kind of relation: people forget who calls whom sooner than where a machine runs. Must
//! not touch the estate itself.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::{Identifier, IdentifierKind};
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::lab::estate::{Ci, Class, Estate, Link, Via};
use crate::lab::random::Random;

/// How wrong a CMDB is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damage {
    /// Share of relations that are missing, on average.
    pub missing: f64,
    /// Share of relations that lead to another CI of the same class.
    pub wrong: f64,
}

impl Damage {
    /// A CMDB without errors.
    pub const NONE: Self = Self {
        missing: 0.0,
        wrong: 0.0,
    };
}

/// The CMDB of an estate.
pub fn record(estate: &Estate, damage: Damage, seed: u64) -> Picture {
    let mut random = Random::new(seed, "cmdb");
    let mut picture = Picture {
        cis: estate.cis.iter().map(|ci| ci_record(estate, ci)).collect(),
        ..Picture::default()
    };
    for &link in &estate.links {
        let (is_missing, is_wrong, other) = (
            random.chance((damage.missing * forgotten(link.via)).min(0.95)),
            random.chance(damage.wrong),
            random.bits(),
        );
        if is_missing || link.via == Via::Path {
            continue;
        }
        let mut link = link;
        if is_wrong {
            let alike = estate.of(estate.cis[link.to].class);
            let place = usize::try_from(other % 1_000_003).unwrap_or(0) % alike.len();
            link.to = alike[place];
        }
        if link.from != link.to {
            picture.relations.push(relation_record(estate, link));
        }
    }
    picture
}

/// How much likelier than others a relation is missing.
fn forgotten(via: Via) -> f64 {
    match via {
        Via::Call | Via::Database => 1.5,
        Via::Storage => 1.2,
        Via::Member | Via::Primary | Via::Replica => 0.8,
        Via::Net => 0.7,
        Via::Host => 0.5,
        Via::PowerSingle
        | Via::PowerDual
        | Via::Dns
        | Via::Directory
        | Via::Certificate
        | Via::Part
        | Via::Path
        | Via::Site => 1.0,
    }
}

fn ci_record(estate: &Estate, ci: &Ci) -> CiRecord {
    let mut identifiers = vec![Identifier {
        kind: IdentifierKind::Fqdn,
        text: fqdn(estate, ci),
    }];
    if has_address(ci.class) {
        identifiers.push(Identifier {
            kind: IdentifierKind::Ip,
            text: ci.address.clone(),
        });
    }
    CiRecord {
        id: ci.id.clone(),
        class: ci.class.word().into(),
        name: ci.id.clone(),
        identifiers,
        site: is_placed(ci.class).then(|| estate.sites[ci.site].clone()),
        rack: ci.rack.clone(),
        criticality: ci.criticality,
        ..CiRecord::default()
    }
}

/// The full name of a CI in the domain of its site.
pub fn fqdn(estate: &Estate, ci: &Ci) -> SmolStr {
    if is_placed(ci.class) {
        format_smolstr!("{}.{}.example.net", ci.id, estate.sites[ci.site])
    } else {
        format_smolstr!("{}.example.net", ci.id)
    }
}

/// Whether it stands somewhere.
fn is_placed(class: Class) -> bool {
    !matches!(
        class,
        Class::Application | Class::Business | Class::Certificate
    )
}

fn has_address(class: Class) -> bool {
    is_placed(class)
        && !matches!(
            class,
            Class::Site | Class::Feed | Class::Wan | Class::Database
        )
}

fn relation_record(estate: &Estate, link: Link) -> RelationRecord {
    let (kind, role, group) = match link.via {
        Via::Net => ("connects_to", "net", None),
        Via::PowerSingle => ("powered_by", "single", None),
        Via::PowerDual => ("powered_by", "dual", Some("power")),
        Via::Host => ("hosted_on", "host", None),
        Via::Storage => ("uses", "storage", None),
        Via::Database => ("uses", "database", None),
        Via::Call => ("uses", "call", None),
        Via::Dns => ("uses", "dns", None),
        Via::Directory => ("uses", "auth", None),
        Via::Certificate => ("uses", "cert", None),
        Via::Member => ("member_of", "member", Some("members")),
        Via::Primary => ("member_of", "primary", None),
        Via::Replica => ("member_of", "replica", Some("members")),
        Via::Part => ("depends_on", "part", None),
        Via::Path => ("depends_on", "path", None),
        Via::Site => ("depends_on", "site", None),
    };
    RelationRecord {
        from: estate.cis[link.from].id.clone(),
        to: estate.cis[link.to].id.clone(),
        kind: kind.into(),
        role: Some(role.into()),
        group: group.map(SmolStr::from),
        ..RelationRecord::default()
    }
}
