//! What an importer says: neutral records, by the ids of the import, before they are merged and numbered.
//!
//! Must not interpret any format; each importer does that for its own.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::attributes::Attributes;
use crate::core::cmdb::ci::Identifier;

/// Problems that are kept in full.
const PROBLEMS_MAX: usize = 1_000;

/// One CI as one import describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiRecord {
    /// The id within the import; also the id that people and API use.
    pub id: SmolStr,
    /// Class in lower case, or empty.
    #[serde(default)]
    pub class: SmolStr,
    /// Name for people; the id when the import has none.
    #[serde(default)]
    pub name: SmolStr,
    /// Aliases, names, addresses and serials.
    #[serde(default)]
    pub identifiers: Vec<Identifier>,
    /// Where it stands.
    #[serde(default)]
    pub site: Option<SmolStr>,
    /// The rack within the site.
    #[serde(default)]
    pub rack: Option<SmolStr>,
    /// Production, test, ...
    #[serde(default)]
    pub environment: Option<SmolStr>,
    /// 1 (most critical) to 5.
    #[serde(default)]
    pub criticality: Option<u8>,
    /// The team that owns it.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// Whether the import says that it is out of use.
    #[serde(default)]
    pub is_retired: bool,
    /// Everything else, as text; what is not a text in the import is its JSON.
    #[serde(default)]
    pub attributes: Attributes,
}

/// One relation as one import describes it: `from` depends on `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelationRecord {
    /// Id of the dependent.
    pub from: SmolStr,
    /// Id of the provider.
    pub to: SmolStr,
    /// The type's word as imported.
    #[serde(rename = "type")]
    pub kind: SmolStr,
    /// The role's word as imported.
    #[serde(default)]
    pub role: Option<SmolStr>,
    /// Relations of one `from` with the same group are redundant to each other.
    #[serde(default)]
    pub group: Option<SmolStr>,
    /// How many of those must be left for the dependent to go on; one when the import does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<NonZeroU8>,
    /// How sure the import is, in 1/10,000; `None` is full confidence.
    #[serde(default)]
    pub confidence: Option<u16>,
}

/// Everything that one import says at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// CIs, each id once.
    pub cis: Vec<CiRecord>,
    /// Relations; their ends may lie in another import.
    pub relations: Vec<RelationRecord>,
    /// What was wrong with single rows, which were left out.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

impl Picture {
    /// Takes out what no text of an inventory holds: control characters, which would disturb terminals, logs and
    /// stores. An id with one is no id, and its record is left out.
    pub fn clean(&mut self) {
        let problems = &mut self.problems;
        let mut refuse = |place: &str, what: &str| {
            if problems.len() < PROBLEMS_MAX {
                problems.push(Problem {
                    place: plain(place),
                    text: format_smolstr!("{what} holds control characters; left out"),
                });
            }
        };
        self.cis.retain_mut(|ci| {
            if has_control(&ci.id) {
                refuse(&ci.id, "the id");
                return false;
            }
            ci.clean();
            true
        });
        self.relations.retain_mut(|relation| {
            if has_control(&relation.from) || has_control(&relation.to) {
                refuse(&relation.from, "an end of the relation");
                return false;
            }
            tidy(&mut relation.kind);
            for text in [&mut relation.role, &mut relation.group] {
                text.iter_mut().for_each(tidy);
            }
            true
        });
    }
}

impl CiRecord {
    fn clean(&mut self) {
        tidy(&mut self.name);
        tidy(&mut self.class);
        let places = [
            &mut self.site,
            &mut self.rack,
            &mut self.environment,
            &mut self.owner,
        ];
        places.into_iter().flatten().for_each(tidy);
        for identifier in &mut self.identifiers {
            tidy(&mut identifier.text);
        }
        self.identifiers
            .retain(|identifier| !identifier.text.is_empty());
        let is_wrong = |(name, value): (&SmolStr, &SmolStr)| {
            has_control(name) || value.contains(|letter: char| is_wrong_in_text(letter))
        };
        if self.attributes.iter().any(is_wrong) {
            let attributes = std::mem::take(&mut self.attributes).into_iter();
            let cleaned = attributes.map(|(name, value)| {
                let value = value.replace(is_wrong_in_text, " ");
                (plain(&name), SmolStr::new(value))
            });
            self.attributes = cleaned.collect();
        }
    }
}

/// Texts of several lines are normal in attributes.
fn is_wrong_in_text(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn plain(text: &str) -> SmolStr {
    SmolStr::new(text.replace(char::is_control, " ").trim())
}

fn tidy(text: &mut SmolStr) {
    if has_control(text) {
        *text = plain(text);
    }
}

/// One thing that is wrong with an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: line, path or id.
    pub place: SmolStr,
    /// What is wrong and what to do about it.
    pub text: SmolStr,
}
