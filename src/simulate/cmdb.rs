//! The native CMDB format as one difference from nothing.
//!
//! Must not check more than a graph needs; `cmdb import --dry-run` is for that.

use serde::Deserialize;
use smol_str::SmolStr;

use crate::core::cmdb::ci::{Ci, CiNumber, Identifier, IdentifierKind};
use crate::core::cmdb::graph::Difference;
use crate::core::cmdb::relation::{Relation, RelationKind, Role};

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    cis: Vec<CiRow>,
    #[serde(default)]
    relations: Vec<RelationRow>,
}

#[derive(Deserialize)]
struct CiRow {
    id: SmolStr,
    #[serde(default)]
    class: SmolStr,
    name: Option<SmolStr>,
    #[serde(default)]
    aliases: Vec<SmolStr>,
    #[serde(default)]
    addresses: Vec<SmolStr>,
    site: Option<SmolStr>,
    rack: Option<SmolStr>,
    environment: Option<SmolStr>,
    criticality: Option<u8>,
}

#[derive(Deserialize)]
struct RelationRow {
    from: SmolStr,
    to: SmolStr,
    #[serde(default, rename = "type")]
    kind: SmolStr,
    #[serde(default)]
    role: SmolStr,
    group: Option<SmolStr>,
}

/// Reads a file.
///
/// # Errors
/// It is not JSON, or not of this form.
pub fn read(bytes: &[u8]) -> Result<Difference, String> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut numbers = hashbrown::HashMap::new();
    let mut put = Vec::new();
    for (row, number) in file.cis.into_iter().zip(1..) {
        let number = CiNumber::new(number).ok_or("too many CIs")?;
        if numbers.insert(row.id.clone(), number).is_none() {
            put.push(ci(row, number));
        }
    }
    let linked = file.relations.iter().filter_map(|row| {
        Some(Relation {
            from: *numbers.get(&row.from)?,
            to: *numbers.get(&row.to)?,
            kind: RelationKind::from_word(&row.kind),
            role: Role::from_word(&row.role),
            group: row.group.as_ref().map(|group| {
                let hash = xxhash_rust::xxh3::xxh3_64(group.as_bytes());
                u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
            }),
            confidence: Relation::SURE,
        })
    });
    Ok(Difference {
        linked: linked.collect(),
        put,
        ..Difference::default()
    })
}

fn ci(row: CiRow, number: CiNumber) -> Ci {
    let identifiers = |texts: Vec<SmolStr>, kind| {
        let texts = texts.into_iter();
        texts.map(move |text| Identifier { kind, text })
    };
    Ci {
        number,
        name: row.name.unwrap_or_else(|| row.id.clone()),
        id: row.id,
        class: row.class,
        site: row.site,
        rack: row.rack,
        environment: row.environment,
        criticality: row.criticality,
        owner: None,
        is_retired: false,
        identifiers: identifiers(row.aliases, IdentifierKind::Alias)
            .chain(identifiers(row.addresses, IdentifierKind::Ip))
            .collect(),
    }
}
