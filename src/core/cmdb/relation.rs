//! Typed, directed relations: the dependent points at its provider.
//!
//! Words that nobody knows are kept by the store and become `Other` here, which means a plain dependency. Must not
//! hold weights; correlation has those.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::core::cmdb::ci::CiNumber;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$member_doc])* $member,)+
            /// A word that has no meaning of its own here, or none.
            #[default]
            Other,
        }

        impl $name {
            /// The word of the contract; `other` for words without a meaning of their own.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$member => $word,)+ Self::Other => "other" }
            }

            /// Reads a word, in any case; what is unknown is `Other`.
            pub fn from_word(word: &str) -> Self {
                $(if word.eq_ignore_ascii_case($word) { return Self::$member; })+
                Self::Other
            }
        }
    };
}

words! {
    /// How one CI depends on another.
    RelationKind {
        /// Network.
        ConnectsTo = "connects_to",
        /// Software on a machine.
        RunsOn = "runs_on",
        /// A machine on a machine.
        HostedOn = "hosted_on",
        /// Power.
        PoweredBy = "powered_by",
        /// A service of another.
        Uses = "uses",
        /// The whole points at its member: a service at its instances, a cluster at its nodes.
        MemberOf = "member_of",
        /// Anything else.
        DependsOn = "depends_on",
    }
}

words! {
    /// What a relation carries, in more detail than its kind.
    Role {
        /// Network uplink.
        Net = "net",
        /// Machine under a machine or program.
        Host = "host",
        /// Storage.
        Storage = "storage",
        /// Database.
        Database = "database",
        /// Request to another service.
        Call = "call",
        /// Name resolution.
        Dns = "dns",
        /// Directory or login.
        Auth = "auth",
        /// Certificate.
        Cert = "cert",
        /// A part of a whole.
        Part = "part",
        /// The only feed.
        Single = "single",
        /// One of two feeds.
        Dual = "dual",
        /// The one that writes.
        Primary = "primary",
        /// One that stands by.
        Replica = "replica",
        /// One of many alike.
        Member = "member",
        /// Who watches whom; nothing fails by it but the sight.
        Monitor = "monitor",
    }
}

impl Role {
    /// What type and role of a relation say together; whatever monitors, polls or scrapes is no dependency.
    pub fn of_words(kind: &str, role: Option<&str>) -> Self {
        let known = role.map_or(Self::Other, Self::from_word);
        let is_watching = |text: &str| {
            let text = text.to_ascii_lowercase();
            ["monitor", "scrape", "polls", "polled", "watch"]
                .iter()
                .any(|word| text.contains(word))
        };
        let watches = known == Self::Other && (is_watching(kind) || role.is_some_and(is_watching));
        if watches { Self::Monitor } else { known }
    }
}

/// One relation of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Relation {
    /// The dependent.
    pub from: CiNumber,
    /// The provider.
    pub to: CiNumber,
    /// How.
    pub kind: RelationKind,
    /// In more detail.
    pub role: Role,
    /// Relations of one `from` with the same group are redundant to each other; a hash of the imported text.
    pub group: Option<u32>,
    /// How many of those must be left for `from` to go on; one when the import does not say.
    #[serde(default)]
    pub min: Option<NonZeroU8>,
    /// How sure the CMDB is, in 1/10,000.
    pub confidence: u16,
}

/// As a list in the order of the fields: an import has hundreds of thousands, and names would be most of its input. Both
/// forms are read.
impl Serialize for Relation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            from,
            to,
            kind,
            role,
            group,
            min,
            confidence,
        } = self;
        (from, to, kind, role, group, min, confidence).serialize(serializer)
    }
}

impl Relation {
    /// Full confidence.
    pub const SURE: u16 = 10_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_written_as_lists_and_read_in_both_forms() {
        let relation = Relation {
            from: CiNumber::new(1).unwrap(),
            to: CiNumber::new(2).unwrap(),
            kind: RelationKind::RunsOn,
            role: Role::Other,
            group: Some(7),
            min: NonZeroU8::new(2),
            confidence: Relation::SURE,
        };
        let json = serde_json::to_string(&relation).unwrap();
        assert_eq!(json, r#"[1,2,"runs_on","other",7,2,10000]"#);
        assert_eq!(serde_json::from_str::<Relation>(&json).unwrap(), relation);
        let named =
            r#"{"from":1,"to":2,"kind":"runs_on","role":"other","group":7,"confidence":10000}"#;
        let earlier = Relation {
            min: None,
            ..relation
        };
        assert_eq!(serde_json::from_str::<Relation>(named).unwrap(), earlier);
    }

    #[test]
    fn words_are_read_in_any_case_and_unknown_ones_are_kept_apart() {
        assert_eq!(RelationKind::from_word("Runs_On"), RelationKind::RunsOn);
        assert_eq!(RelationKind::from_word("sits next to"), RelationKind::Other);
        assert_eq!(Role::from_word("DNS"), Role::Dns);
        assert_eq!(Role::from_word(Role::Primary.word()), Role::Primary);
        assert_eq!(
            Role::of_words("depends_on", Some("monitored_by")),
            Role::Monitor
        );
        assert_eq!(Role::of_words("Monitors", None), Role::Monitor);
        assert_eq!(Role::of_words("uses", Some("dns")), Role::Dns);
    }
}
