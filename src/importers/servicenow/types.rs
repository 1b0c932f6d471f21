//! What relation types of ServiceNow say about dependence.
//!
//! A type is written `parent's words::child's words`, like `Depends on::Used by`. Must not depend on the language of
//! the instance more than the words below do; unknown ones are kept as the type.

use crate::core::cmdb::record::RelationRecord;
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::importers::draft::{relation, relation_as};

enum Way {
    /// The parent depends on the child.
    Down,
    /// The child depends on the parent.
    Up,
    /// Each on the other, as far as anybody knows.
    Both,
    /// The parent is the whole.
    Whole,
    /// The parent is a part.
    Part,
}

/// The relations that one row stands for.
pub fn relations(parent: &str, child: &str, name: &str) -> Vec<RelationRecord> {
    let word = name
        .split("::")
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let (way, kind, role) = meaning(&word);
    let make = |from: &str, to: &str| match role {
        Some(role) => relation_as(from, to, kind, role),
        None => relation(from, to, kind),
    };
    let mut made = match way {
        Way::Down | Way::Whole => vec![make(parent, child)],
        Way::Up | Way::Part => vec![make(child, parent)],
        Way::Both => [make(parent, child), make(child, parent)]
            .map(|one| RelationRecord {
                confidence: Some(5_000),
                ..one
            })
            .to_vec(),
    };
    for one in &mut made {
        if matches!(
            word.as_str(),
            "members" | "member of" | "cluster of" | "cluster"
        ) {
            one.group = Some("members".into());
        }
        if matches!(kind, RelationKind::Other) {
            // Kept as the words of the type, so that the operator finds them again.
            one.kind = if word.is_empty() {
                RelationKind::DependsOn.word().into()
            } else {
                word.as_str().into()
            };
        }
    }
    made
}

fn meaning(word: &str) -> (Way, RelationKind, Option<Role>) {
    use RelationKind::{ConnectsTo, DependsOn, HostedOn, MemberOf, PoweredBy, RunsOn, Uses};
    match word {
        "depends on" | "requires" | "supported by" => (Way::Down, DependsOn, None),
        "used by" | "required by" | "supports" => (Way::Up, Uses, None),
        "uses" | "consumes" | "receives data from" | "use end point to" | "applicative flow to" => {
            (Way::Down, Uses, None)
        }
        "consumed by"
        | "sends data to"
        | "provides"
        | "use end point from"
        | "applicative flow from" => (Way::Up, Uses, None),
        "provided by" | "virtualized by" | "instantiated by" | "hosted on" | "defined on" => {
            (Way::Down, HostedOn, Some(Role::Host))
        }
        "hosts" | "virtualizes" | "instantiates" => (Way::Up, HostedOn, Some(Role::Host)),
        "runs on" | "registered on" | "implement end point from" => {
            (Way::Down, RunsOn, Some(Role::Host))
        }
        "runs" | "has registered" | "implement end point to" => (Way::Up, RunsOn, Some(Role::Host)),
        "powered by" => (Way::Down, PoweredBy, None),
        "powers" => (Way::Up, PoweredBy, None),
        "contains" | "owns" | "has member" => (Way::Whole, MemberOf, Some(Role::Part)),
        "contained by" | "owned by" => (Way::Part, MemberOf, Some(Role::Part)),
        "members" | "cluster of" => (Way::Whole, MemberOf, Some(Role::Member)),
        "member of" | "cluster" => (Way::Part, MemberOf, Some(Role::Member)),
        "connects to" | "connected by" | "ip connection" | "exchanges data with" => {
            (Way::Both, ConnectsTo, Some(Role::Net))
        }
        _ => (Way::Down, RelationKind::Other, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_points_from_the_dependent_to_the_provider() {
        let cases = [
            ("Depends on::Used by", "p>c depends_on"),
            ("Runs on::Runs", "p>c runs_on"),
            ("Runs::Runs on", "c>p runs_on"),
            ("Hosted on::Hosts", "p>c hosted_on"),
            ("Hosts::Hosted on", "c>p hosted_on"),
            ("Contains::Contained by", "p>c member_of"),
            ("Members::Member of", "p>c member_of"),
            ("Powers::Powered by", "c>p powered_by"),
            ("Virtualized by::Virtualizes", "p>c hosted_on"),
            (
                "Connects to::Connected by",
                "p>c connects_to, c>p connects_to",
            ),
            ("Is admired by::Admires", "p>c is admired by"),
            ("", "p>c depends_on"),
        ];
        for (name, wanted) in cases {
            let found = relations("p", "c", name);
            let shown: Vec<_> = found
                .iter()
                .map(|one| format!("{}>{} {}", one.from, one.to, one.kind))
                .collect();
            assert_eq!(shown.join(", "), wanted, "{name}");
        }
    }
}
