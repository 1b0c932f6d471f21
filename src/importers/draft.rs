//! A picture in the making: each id once, each relation once, problems counted and bounded.
//!
//! Must not know any format.

use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::ci::{Identifier, IdentifierKind};
use crate::core::cmdb::record::{CiRecord, Picture, Problem, RelationRecord};
use crate::core::cmdb::relation::{RelationKind, Role};

/// Problems listed; what comes beyond is only counted, so that a hostile file stays cheap.
pub const PROBLEMS_MAX: usize = 1_000;
/// Configuration items of one picture; ten times what the product is measured for.
pub const CIS_MAX: usize = 1_000_000;
/// Relations of one picture.
pub const RELATIONS_MAX: usize = 5_000_000;
/// Attributes of one CI; more are a mistake in the export.
pub const ATTRIBUTES_MAX: usize = 256;
/// Bytes of an attribute; longer ones are cut at a character.
pub const ATTRIBUTE_BYTES_MAX: usize = 4 * 1024;
/// Bytes of an id, a name or an identifier; longer ones are cut at a character, an id that long is refused.
pub const NAME_BYTES_MAX: usize = 512;
/// Identifiers of one CI.
const IDENTIFIERS_MAX: usize = 1_024;
/// How sure an import is of what it only concludes from where something stands, in 1/10,000.
pub const BY_PLACE: u16 = 3_000;
/// How sure an import is of a link whose direction it concludes, in 1/10,000.
pub const BY_RANK: u16 = 8_000;

/// A picture in the making.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    picture: Picture,
    places: hashbrown::HashMap<SmolStr, usize, foldhash::fast::FixedState>,
    more_problems: usize,
}

impl Draft {
    /// Takes a CI; a second one with the same id is a problem and is left out. Says whether it was taken.
    pub fn ci(&mut self, place: &str, mut record: CiRecord) -> bool {
        if record.id.is_empty() {
            self.problem(place, "it has no id; give each item one");
            return false;
        }
        if record.id.len() > NAME_BYTES_MAX {
            self.problem(place, "its id is longer than 512 bytes; use a shorter one");
            return false;
        }
        if self.picture.cis.len() >= CIS_MAX {
            self.problem(place, "there are more than 1000000 items; split the import");
            return false;
        }
        if self.places.contains_key(&record.id) {
            let text = format!(
                "the id {} stands here for the second time; the first one is used",
                record.id
            );
            self.problem(place, &text);
            return false;
        }
        tidy(&mut record);
        self.places
            .insert(record.id.clone(), self.picture.cis.len());
        self.picture.cis.push(record);
        true
    }

    /// The CI with an id, to add to it.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut CiRecord> {
        let place = *self.places.get(id)?;
        self.picture.cis.get_mut(place)
    }

    /// Whether there is a CI with this id.
    pub fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// How many CIs there are.
    pub fn len(&self) -> usize {
        self.picture.cis.len()
    }

    /// Whether there is no CI.
    pub fn is_empty(&self) -> bool {
        self.picture.cis.is_empty()
    }

    /// Takes a relation; one of a CI to itself is a problem and is left out.
    pub fn relation(&mut self, place: &str, relation: RelationRecord) {
        if relation.from.is_empty() || relation.to.is_empty() {
            self.problem(place, "the relation lacks one of its ends");
        } else if relation.from == relation.to {
            let text = format!(
                "{} is related to itself; remove the relation",
                relation.from
            );
            self.problem(place, &text);
        } else if self.picture.relations.len() >= RELATIONS_MAX {
            self.problem(
                place,
                "there are more than 5000000 relations; split the import",
            );
        } else {
            self.picture.relations.push(relation);
        }
    }

    /// Notes what is wrong at a place.
    pub fn problem(&mut self, place: &str, text: &str) {
        if self.picture.problems.len() >= PROBLEMS_MAX {
            self.more_problems = self.more_problems.saturating_add(1);
            return;
        }
        self.picture.problems.push(Problem {
            place: cut(place, NAME_BYTES_MAX),
            text: cut(text, ATTRIBUTE_BYTES_MAX),
        });
    }

    /// The picture: relations in order, each once.
    pub fn finish(mut self) -> Picture {
        self.picture.relations.sort_unstable();
        self.picture.relations.dedup();
        if self.more_problems > 0 {
            self.picture.problems.push(Problem {
                place: SmolStr::default(),
                text: format_smolstr!("{} more problems are not listed", self.more_problems),
            });
        }
        self.picture
    }
}

fn tidy(record: &mut CiRecord) {
    if record.name.is_empty() {
        record.name = record.id.clone();
    }
    record.name = cut(&record.name, NAME_BYTES_MAX);
    record.class = cut(&record.class.to_lowercase(), NAME_BYTES_MAX);
    let mut seen = std::collections::BTreeSet::new();
    record.identifiers.retain(|one| {
        !one.text.is_empty() && seen.len() < IDENTIFIERS_MAX && seen.insert(one.clone())
    });
    record.attributes.truncate(ATTRIBUTES_MAX);
    for text in record.attributes.values_mut() {
        if text.len() > ATTRIBUTE_BYTES_MAX {
            *text = cut(text, ATTRIBUTE_BYTES_MAX);
        }
    }
}

/// The text up to a number of bytes, cut at a character, without NUL.
pub fn cut(text: &str, max: usize) -> SmolStr {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let text = text.get(..end).unwrap_or_default();
    if text.contains('\0') {
        text.replace('\0', "").into()
    } else {
        text.into()
    }
}

/// A relation with full confidence, without role and group.
pub fn relation(from: &str, to: &str, kind: RelationKind) -> RelationRecord {
    RelationRecord {
        from: from.into(),
        to: to.into(),
        kind: kind.word().into(),
        ..RelationRecord::default()
    }
}

/// A relation with a role.
pub fn relation_as(from: &str, to: &str, kind: RelationKind, role: Role) -> RelationRecord {
    RelationRecord {
        role: Some(role.word().into()),
        ..relation(from, to, kind)
    }
}

/// Adds an identifier unless the text is empty.
pub fn identify(record: &mut CiRecord, kind: IdentifierKind, text: &str) {
    let text = text.trim();
    if !text.is_empty() {
        record.identifiers.push(Identifier {
            kind,
            text: cut(text, NAME_BYTES_MAX),
        });
    }
}

/// Adds an address, which may have a prefix length behind it; what is no address is an alias.
pub fn identify_address(record: &mut CiRecord, text: &str) {
    let text = text.trim();
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    match bare.parse::<core::net::IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_loopback() => {
            identify(record, IdentifierKind::Ip, &address.to_string());
        }
        Ok(_) => {}
        Err(_) => identify_name(record, bare),
    }
}

/// Adds a host name: a domain name when it has a dot, else an alias; addresses are recognised.
pub fn identify_name(record: &mut CiRecord, text: &str) {
    let text = text.trim().trim_end_matches('.');
    if text.parse::<core::net::IpAddr>().is_ok() {
        identify_address(record, text);
    } else if text.contains('.') && !text.contains([' ', '/', ':']) {
        identify(record, IdentifierKind::Fqdn, text);
    } else if text != "localhost" {
        identify(record, IdentifierKind::Alias, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_taken_once_and_the_second_is_a_problem() {
        let mut draft = Draft::default();
        let one = CiRecord {
            id: "a".into(),
            ..CiRecord::default()
        };
        assert!(draft.ci("line 1", one.clone()));
        assert!(!draft.ci("line 2", one));
        draft.relation("line 3", relation("a", "a", RelationKind::Uses));
        let picture = draft.finish();
        assert_eq!(picture.cis.len(), 1);
        assert_eq!(picture.cis[0].name, "a");
        let places: Vec<_> = picture.problems.iter().map(|one| &one.place).collect();
        assert_eq!(places, ["line 2", "line 3"]);
        assert!(picture.relations.is_empty());
    }

    #[test]
    fn problems_are_bounded_and_the_rest_is_counted() {
        let mut draft = Draft::default();
        for _ in 0..PROBLEMS_MAX + 7 {
            draft.problem("x", "y");
        }
        let picture = draft.finish();
        assert_eq!(picture.problems.len(), PROBLEMS_MAX + 1);
        assert!(picture.problems[PROBLEMS_MAX].text.starts_with("7 more"));
    }

    #[test]
    fn names_and_addresses_are_told_apart() {
        let mut record = CiRecord::default();
        for text in [
            "10.0.0.1/24",
            "db1.example.org.",
            "db1",
            "::1",
            "0.0.0.0",
            "2001:db8::1/64",
        ] {
            identify_address(&mut record, text);
        }
        let found: Vec<_> = record
            .identifiers
            .iter()
            .map(|one| (one.kind, one.text.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (IdentifierKind::Ip, "10.0.0.1"),
                (IdentifierKind::Fqdn, "db1.example.org"),
                (IdentifierKind::Alias, "db1"),
                (IdentifierKind::Ip, "2001:db8::1"),
            ]
        );
    }
}
