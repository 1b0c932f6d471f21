//! Every number of the engine's judgement, in 1/10,000 and integer: what depends how strongly on what, what explains
//! what, and how time weakens it.
//!
//! The tables are starting values from published propagation figures; measurement may change them. Must not hold
//! anything about a single CI or alert.

use crate::core::cmdb::graph::Edge;
use crate::core::cmdb::relation::{RelationKind, Role};
use crate::core::correlate::family::Family;
use crate::core::time::Span;

/// All of something.
pub const ONE: u32 = 10_000;

/// A product of two shares.
pub const fn times(one: u32, other: u32) -> u32 {
    one.saturating_mul(other) / ONE
}

/// The share that at least one of two independent ways holds.
pub const fn either(one: u32, other: u32) -> u32 {
    let (one, other) = (clamp(one), clamp(other));
    ONE - times(ONE - one, ONE - other)
}

const fn clamp(share: u32) -> u32 {
    if share > ONE { ONE } else { share }
}

/// How surely a dependent suffers when the provider at the end of `edge` fails; `edges` are all of the dependent's.
pub fn of_edge(edge: &Edge, edges: &[Edge]) -> u32 {
    let base = match (edge.role, edge.kind) {
        (Role::Net | Role::Host | Role::Single, _) => 9_500,
        (Role::Storage | Role::Database | Role::Part, _) => 8_500,
        (Role::Cert | Role::Primary, _) => 9_000,
        (Role::Call, _) => 7_500,
        (Role::Dns | Role::Auth, _) => 6_000,
        (Role::Dual | Role::Replica, _) => 2_500,
        (Role::Monitor, _) => return 0,
        (Role::Member, _) => member(edges, |other| other.role == Role::Member),
        (Role::Other, RelationKind::ConnectsTo | RelationKind::RunsOn | RelationKind::HostedOn) => {
            9_500
        }
        (Role::Other, RelationKind::PoweredBy) => {
            let feeds = edges.iter().filter(|other| other.kind == edge.kind);
            if feeds.count() > 1 { 2_500 } else { 9_500 }
        }
        (Role::Other, RelationKind::Uses | RelationKind::DependsOn) => 7_500,
        (Role::Other, RelationKind::MemberOf) => {
            member(edges, |other| other.kind == RelationKind::MemberOf)
        }
        (Role::Other, RelationKind::Other) => 6_000,
    };
    let base = match edge.group {
        Some(group) => {
            let alike = edges.iter().filter(|other| other.group == Some(group));
            match alike.count() {
                0 | 1 => base,
                // One of two alike: the other one carries on.
                2 if is_hard_edge(edge) => base / 4,
                2 => base / 2,
                _ => base.min(member(edges, |other| other.group == Some(group))),
            }
        }
        None => base,
    };
    // Of two feeds the CMDB lacks the other one, which carries on all the same.
    let is_lone_half = edge.role == Role::Dual && spares(edge, edges).next().is_none();
    let base = if is_lone_half { base / 4 } else { base };
    times(base, u32::from(edge.confidence))
}

/// Relations that stand in for this one when its provider fails, of the same dependent; members of a service are counted
/// otherwise.
pub fn spares<'a>(edge: &'a Edge, edges: &'a [Edge]) -> impl Iterator<Item = &'a Edge> {
    let is_member = edge.role == Role::Member || edge.kind == RelationKind::MemberOf;
    edges.iter().filter(move |other| {
        let is_alike = match edge.group {
            Some(group) => other.group == Some(group),
            None => is_power_edge(edge) && edge.role != Role::Single && is_power_edge(other),
        };
        is_alike && !is_member && other.ci != edge.ci
    })
}

/// How surely a dependent suffers when everything that stands in for the provider has failed, too.
pub fn of_last_edge(edge: &Edge) -> u32 {
    let base = match edge.role {
        Role::Dns | Role::Auth => 8_000,
        Role::Net
        | Role::Host
        | Role::Storage
        | Role::Database
        | Role::Call
        | Role::Cert
        | Role::Part
        | Role::Single
        | Role::Dual
        | Role::Primary
        | Role::Replica
        | Role::Member
        | Role::Other => 9_500,
        Role::Monitor => 0,
    };
    times(base, u32::from(edge.confidence))
}

/// Whether a dependent is surely down, not only slow, when the provider is.
pub fn is_hard_edge(edge: &Edge) -> bool {
    match (edge.role, edge.kind) {
        (Role::Net | Role::Host | Role::Single, _)
        | (Role::Other, RelationKind::ConnectsTo | RelationKind::RunsOn | RelationKind::HostedOn) => {
            true
        }
        (
            Role::Storage
            | Role::Database
            | Role::Call
            | Role::Dns
            | Role::Auth
            | Role::Cert
            | Role::Part
            | Role::Dual
            | Role::Primary
            | Role::Replica
            | Role::Member
            | Role::Monitor
            | Role::Other,
            _,
        ) => false,
    }
}

/// Whether a relation carries power and nothing else.
pub fn is_power_edge(edge: &Edge) -> bool {
    edge.kind == RelationKind::PoweredBy || edge.role == Role::Dual
}

/// Whether a relation leads to storage: down passes on as down, but slow as slow, too.
pub fn is_storage_edge(edge: &Edge) -> bool {
    edge.role == Role::Storage
}

/// One of many members: the fewer, the more it hurts.
fn member(edges: &[Edge], is_alike: impl Fn(&Edge) -> bool) -> u32 {
    let count = edges.iter().filter(|edge| is_alike(edge)).count().max(1);
    (17_000 / u32::try_from(count).unwrap_or(u32::MAX)).min(8_500)
}

/// How much a condition's own alert says that the CI really is broken.
pub const fn of_evidence(family: Family) -> u32 {
    match family {
        Family::Reach => 10_000,
        Family::Link => 8_500,
        Family::Resource => 7_000,
        Family::Symptom => 5_500,
        Family::Config => 6_000,
        Family::NoData | Family::Redundancy => 3_000,
        Family::Silent => 8_000,
    }
}

/// How well a condition of the family `parent` explains one of the family `child` somewhere downstream.
pub const fn of_families(child: Family, parent: Family) -> u32 {
    use Family::{Config, Link, NoData, Reach, Redundancy, Resource, Silent, Symptom};
    match (child, parent) {
        (Config, _) | (_, Redundancy) => 0,
        (Reach | Link | Silent, Reach | Link | Silent) => 10_000,
        (Reach | Link | Silent, Resource) => 1_500,
        (Reach | Link | Silent, Symptom) => 1_000,
        (Reach | Link | Silent, Config | NoData) => 0,
        (Redundancy, Reach | Link | Silent) => 10_000,
        (Redundancy, Resource | Symptom | Config | NoData) => 0,
        (Resource, Reach | Link) => 1_500,
        (Resource, Resource) => 7_000,
        (Resource, Symptom) => 6_500,
        (Resource, Silent) => 6_500,
        (Resource, Config | NoData) => 0,
        (Symptom, Reach | Link | Config) => 10_000,
        (Symptom, Resource) => 9_500,
        (Symptom, Symptom | Silent) => 9_000,
        (Symptom, NoData) => 1_000,
        (NoData, Reach | Link | Silent) => 9_000,
        (NoData, Resource | Symptom) => 1_000,
        (NoData, Config | NoData) => 0,
    }
}

/// As [`of_families`], for two conditions of one CI.
pub const fn of_families_at_home(child: Family, parent: Family) -> u32 {
    use Family::{Config, Link, NoData, Reach, Redundancy, Resource, Silent, Symptom};
    match (child, parent) {
        (Config | Silent, _) | (_, Config | Silent | Redundancy) => 0,
        (Link, Reach) | (NoData, Reach | Link) => 9_500,
        (Symptom, Reach | Link | Resource) => 9_500,
        (Resource | Redundancy, Reach | Link) => 6_000,
        (Reach, Resource) => 4_000,
        (Reach, Link) => 6_000,
        (Resource, Symptom) => 6_000,
        (Link, Resource) => 2_000,
        (Reach | Link | Redundancy, Symptom | NoData) | (Redundancy, Resource) => 0,
        (Symptom | Resource, NoData) => 0,
        (NoData, Resource | Symptom) => 5_000,
        (Reach, Reach)
        | (Link, Link)
        | (Resource, Resource)
        | (Symptom, Symptom)
        | (NoData, NoData) => 9_500,
    }
}

/// How strongly a condition of that family depends on a provider: of two feeds the loss of one means little, but it
/// is just what an alert about lost redundancy speaks of.
pub fn for_family(child: Family, weight: u32, is_power: bool) -> u32 {
    match child {
        // Whoever tells that its link is down has power.
        Family::Link if is_power => 0,
        Family::Redundancy if is_power => weight.saturating_mul(4).min(9_500),
        Family::Redundancy => 0,
        Family::Reach
        | Family::Link
        | Family::Resource
        | Family::Symptom
        | Family::NoData
        | Family::Config
        | Family::Silent => weight,
    }
}

/// Seconds from the explaining to the explained condition, and what is left of the explanation; straight lines in
/// between. Monitors notice up to five minutes late, so a cause may well be seen after its effect.
const TIME: [(i64, u32); 9] = [
    (-900, 0),
    (-420, 3_000),
    (-300, 10_000),
    (270, 10_000),
    (420, 7_000),
    (600, 3_500),
    (900, 1_500),
    (1_800, 400),
    (5_400, 0),
];

/// What time leaves of an explanation when the explained condition began so much later than the explaining one.
pub fn of_delay(delay: Span) -> u32 {
    let seconds = delay.as_millis() / 1_000;
    let mut before = TIME[0];
    if seconds <= before.0 {
        return 0;
    }
    for &(at, share) in &TIME {
        if seconds <= at {
            let (length, part) = (at - before.0, seconds - before.0);
            let (low, high) = (i64::from(before.1), i64::from(share));
            let value = low + (high - low) * part / length.max(1);
            return u32::try_from(value).unwrap_or(0);
        }
        before = (at, share);
    }
    0
}

/// Binary logarithm of a positive whole number, in 1/1,024.
pub fn log2(number: u32) -> i32 {
    let number = number.max(1);
    let whole = 31_u32.saturating_sub(number.leading_zeros());
    let mut rest = u64::from(number) << (31_u32.saturating_sub(whole));
    let mut fraction = 0_i32;
    for _ in 0..10 {
        rest = (rest * rest) >> 31;
        fraction <<= 1;
        if rest >= 1 << 32 {
            rest >>= 1;
            fraction |= 1;
        }
    }
    i32::try_from(whole).unwrap_or(31) * 1_024 + fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cmdb::ci::CiNumber;

    #[test]
    fn delay_table_is_read_with_straight_lines() {
        let at = |seconds| of_delay(Span::from_secs(seconds));
        assert_eq!([at(-901), at(-900), at(0), at(270)], [0, 0, 10_000, 10_000]);
        assert_eq!([at(510), at(5_400), at(100_000)], [5_250, 0, 0]);
        assert!(at(-360) > 3_000 && at(-360) < 10_000);
    }

    #[test]
    fn half_of_a_dual_feed_means_less_when_the_other_half_is_not_known() {
        let feed = |ci| Edge {
            ci: CiNumber::new(ci).unwrap(),
            kind: RelationKind::PoweredBy,
            role: Role::Dual,
            group: None,
            min: None,
            confidence: 10_000,
        };
        let (one, other) = (feed(1), feed(2));
        let alone = of_edge(&one, std::slice::from_ref(&one));
        assert!(alone < of_edge(&one, &[one, other]));
    }

    #[test]
    fn logarithm_is_near_enough() {
        for number in [1_u32, 2, 3, 10, 999, 10_000, u32::MAX] {
            let exact = (f64::from(number).log2() * 1_024.0).floor();
            assert!((f64::from(log2(number)) - exact).abs() <= 1.0, "{number}");
        }
    }
}
