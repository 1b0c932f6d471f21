//! One configuration item, as held in memory: what binding, correlation and impact need, and nothing else.
//!
//! Must not hold attributes that only people read; those live in the store.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A CI's number in order of first arrival; stable for ever, never given to another CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CiNumber(NonZeroU32);

impl CiNumber {
    /// Takes a positive number.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Its place in a table by number.
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0.get()).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for CiNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What kind of text identifies a CI besides its id and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// Another name, or the id that another system uses.
    Alias,
    /// A fully qualified domain name.
    Fqdn,
    /// An IP address.
    Ip,
    /// A hardware address.
    Mac,
    /// A serial number or asset tag.
    Serial,
}

impl IdentifierKind {
    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alias => "alias",
            Self::Fqdn => "fqdn",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Serial => "serial",
        }
    }
}

/// A text that identifies a CI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// What kind.
    pub kind: IdentifierKind,
    /// The text as imported.
    pub text: SmolStr,
}

/// One configuration item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ci {
    /// Its number.
    pub number: CiNumber,
    /// The id given by the import.
    pub id: SmolStr,
    /// Its name for people.
    pub name: SmolStr,
    /// Its class in lower case: `switch`, `host`, `vm`, `service`, ...; empty when the import says none.
    pub class: SmolStr,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SmolStr>,
    /// The rack within the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<SmolStr>,
    /// Production, test, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<SmolStr>,
    /// 1 (most critical) to 5; `None` when the import says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<u8>,
    /// The team that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<SmolStr>,
    /// Retired CIs are kept and shown, and never bound.
    #[serde(default)]
    pub is_retired: bool,
    /// Texts that identify it besides id and name.
    #[serde(default)]
    pub identifiers: Vec<Identifier>,
}

impl Ci {
    /// Whether it is a business service.
    pub fn is_service(&self) -> bool {
        matches!(
            self.class.as_str(),
            "service" | "business_service" | "business-service" | "business service"
        )
    }
}
