//! Which CIs a text may mean: every normalised id, name and identifier, kept in step with the graph.
//!
//! Must not decide which of several is meant; binding does.

use hashbrown::HashMap;
use smol_str::SmolStr;

use crate::core::cmdb::ci::{Ci, CiNumber, IdentifierKind};
use crate::core::cmdb::normal;

/// As what a text stands in the CMDB, most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The id.
    Id,
    /// The name.
    Name,
    /// A domain name, address, serial, alias.
    Identifier(IdentifierKind),
    /// A name without its domain.
    Short,
}

impl By {
    /// For people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Identifier(IdentifierKind::Alias) => "alias",
            Self::Identifier(IdentifierKind::Fqdn) => "domain name",
            Self::Identifier(IdentifierKind::Ip) => "address",
            Self::Identifier(IdentifierKind::Mac) => "hardware address",
            Self::Identifier(IdentifierKind::Serial) => "serial",
            Self::Short => "name without its domain",
        }
    }
}

/// A CI that a text may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meaning {
    /// As what.
    pub by: By,
    /// Which.
    pub ci: CiNumber,
}

/// Texts and what they may mean; most mean one CI.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    texts: HashMap<SmolStr, Meanings, foldhash::fast::FixedState>,
}

#[derive(Clone, Debug)]
enum Meanings {
    One(Meaning),
    Many(Vec<Meaning>),
}

impl Index {
    /// What a normalised text may mean, most telling first.
    pub(super) fn find(&self, text: &str) -> &[Meaning] {
        match self.texts.get(text) {
            Some(Meanings::One(one)) => std::slice::from_ref(one),
            Some(Meanings::Many(many)) => many,
            None => &[],
        }
    }

    /// Texts with several meanings, and the CIs that they may mean.
    pub(super) fn shared(&self) -> impl Iterator<Item = (&SmolStr, Vec<CiNumber>)> {
        self.texts.iter().filter_map(|(text, meanings)| {
            let Meanings::Many(many) = meanings else {
                return None;
            };
            let told = many.iter().filter(|meaning| meaning.by != By::Short);
            let mut cis: Vec<CiNumber> = told.map(|meaning| meaning.ci).collect();
            cis.sort_unstable();
            cis.dedup();
            (cis.len() > 1).then_some((text, cis))
        })
    }

    pub(super) fn add(&mut self, ci: &Ci) {
        each(ci, |text, by| {
            let meaning = Meaning { by, ci: ci.number };
            let Some(known) = self.texts.get_mut(&text) else {
                self.texts.insert(text, Meanings::One(meaning));
                return;
            };
            match known {
                Meanings::One(one) if *one == meaning => {}
                Meanings::One(one) => {
                    let mut many = vec![*one, meaning];
                    many.sort_unstable();
                    *known = Meanings::Many(many);
                }
                Meanings::Many(many) => {
                    if let Err(place) = many.binary_search(&meaning) {
                        many.insert(place, meaning);
                    }
                }
            }
        });
    }

    pub(super) fn remove(&mut self, ci: &Ci) {
        each(ci, |text, _| {
            let is_empty = match self.texts.get_mut(&text) {
                Some(Meanings::One(one)) => one.ci == ci.number,
                Some(Meanings::Many(many)) => {
                    many.retain(|meaning| meaning.ci != ci.number);
                    many.is_empty()
                }
                None => false,
            };
            if is_empty {
                self.texts.remove(&text);
            }
        });
    }
}

/// Calls for every text of a CI.
fn each(ci: &Ci, mut call: impl FnMut(SmolStr, By)) {
    let mut name = |text: &str, by: By| {
        if let Some(text) = normal::name(text) {
            if let Some(short) = normal::short(&text) {
                call(short.into(), By::Short);
            }
            call(text, by);
        }
    };
    name(&ci.id, By::Id);
    name(&ci.name, By::Name);
    for identifier in &ci.identifiers {
        let by = By::Identifier(identifier.kind);
        match identifier.kind {
            IdentifierKind::Alias | IdentifierKind::Fqdn => name(&identifier.text, by),
            IdentifierKind::Serial | IdentifierKind::Ip | IdentifierKind::Mac => {}
        }
    }
    for identifier in &ci.identifiers {
        let by = By::Identifier(identifier.kind);
        let text = match identifier.kind {
            IdentifierKind::Alias => {
                normal::ip(&identifier.text).or_else(|| normal::mac(&identifier.text))
            }
            IdentifierKind::Ip => normal::ip(&identifier.text),
            IdentifierKind::Mac => normal::mac(&identifier.text),
            IdentifierKind::Serial => normal::name(&identifier.text),
            IdentifierKind::Fqdn => None,
        };
        if let Some(text) = text {
            call(text, by);
        }
    }
}
