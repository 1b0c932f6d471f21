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
        (Role::Dual, _) => 4_000,
        (Role::Replica, _) => 2_500,
        (Role::Member, _) => member(edges, |other| other.role == Role::Member),
        (Role::Other, RelationKind::ConnectsTo | RelationKind::RunsOn | RelationKind::HostedOn) => {
            9_500
        }
        (Role::Other, RelationKind::PoweredBy) => {
            let feeds = edges.iter().filter(|other| other.kind == edge.kind);
            if feeds.count() > 1 { 4_000 } else { 9_500 }
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
                2 => base / 2,
                _ => base.min(member(edges, |other| other.group == Some(group))),
            }
        }
        None => base,
    };
    times(base, u32::from(edge.confidence))
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
        Family::NoData => 3_000,
        Family::Silent => 8_000,
    }
}

/// How well a condition of the family `parent` explains one of the family `child` somewhere downstream.
pub const fn of_families(child: Family, parent: Family) -> u32 {
    match (child, parent) {
        (Family::Config | Family::Silent, Family::Config) => 0,
        (Family::Config, _) => 0,
        (Family::Reach | Family::Link | Family::Silent, parent) => match parent {
            Family::Reach | Family::Link | Family::Silent => 10_000,
            Family::Resource => 1_500,
            Family::Symptom => 1_000,
            Family::Config => 500,
            Family::NoData => 0,
        },
        (Family::Resource, parent) => match parent {
            Family::Reach | Family::Link => 3_500,
            Family::Resource => 4_500,
            Family::Symptom => 1_500,
            Family::Silent => 2_500,
            Family::Config | Family::NoData => 0,
        },
        (Family::Symptom, parent) => match parent {
            Family::Reach | Family::Link | Family::Config => 10_000,
            Family::Resource => 9_500,
            Family::Symptom | Family::Silent => 9_000,
            Family::NoData => 1_000,
        },
        (Family::NoData, parent) => match parent {
            Family::Reach | Family::Link | Family::Silent => 9_000,
            Family::Resource | Family::Symptom => 1_000,
            Family::Config | Family::NoData => 0,
        },
    }
}

/// As [`of_families`], for two conditions of one CI.
pub const fn of_families_at_home(child: Family, parent: Family) -> u32 {
    match (child, parent) {
        (Family::Config | Family::Silent, _) | (_, Family::Config | Family::Silent) => 0,
        (Family::Link, Family::Reach) | (Family::NoData, Family::Reach | Family::Link) => 9_500,
        (Family::Symptom, Family::Reach | Family::Link | Family::Resource) => 9_500,
        (Family::Resource, Family::Reach | Family::Link) => 6_000,
        (Family::Reach, Family::Resource) => 4_000,
        (Family::Reach, Family::Link) => 6_000,
        (Family::Resource, Family::Symptom) => 6_000,
        (Family::Link, Family::Resource) => 2_000,
        (Family::Reach | Family::Link, Family::Symptom | Family::NoData) => 0,
        (Family::Symptom | Family::Resource, Family::NoData) => 0,
        (Family::NoData, Family::Resource | Family::Symptom) => 5_000,
        (Family::Reach, Family::Reach)
        | (Family::Link, Family::Link)
        | (Family::Resource, Family::Resource)
        | (Family::Symptom, Family::Symptom)
        | (Family::NoData, Family::NoData) => 9_500,
    }
}

/// Seconds from the explaining to the explained condition, and what is left of the explanation; straight lines in
/// between. Monitors notice up to five minutes late, so a cause may well be seen after its effect.
const TIME: [(i64, u32); 8] = [
    (-900, 0),
    (-420, 3_000),
    (-300, 10_000),
    (300, 10_000),
    (600, 6_500),
    (1_200, 2_000),
    (3_600, 500),
    (7_200, 0),
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

    #[test]
    fn delay_table_is_read_with_straight_lines() {
        let at = |seconds| of_delay(Span::from_secs(seconds));
        assert_eq!([at(-901), at(-900), at(0), at(300)], [0, 0, 10_000, 10_000]);
        assert_eq!([at(450), at(7_200), at(100_000)], [8_250, 0, 0]);
        assert!(at(-360) > 3_000 && at(-360) < 10_000);
    }

    #[test]
    fn logarithm_is_near_enough() {
        for number in [1_u32, 2, 3, 10, 999, 10_000, u32::MAX] {
            let exact = (f64::from(number).log2() * 1_024.0).floor();
            assert!((f64::from(log2(number)) - exact).abs() <= 1.0, "{number}");
        }
    }
}
