//! How a fault spreads over the true estate: who gets worse, and when.
//!
//! Probabilities and mean delays are those of the benchmark's design. Members count: all down is down, some are a chance
//! of doing badly. Must not know monitoring.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::lab::estate::{Estate, Link, Via};
use crate::lab::random::Random;
use crate::lab::story::fault::{Fault, Health, Kind};

/// A CI got worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Impact {
    /// When.
    pub at: i64,
    /// Which.
    pub ci: usize,
    /// How bad it is now.
    pub health: Health,
}

/// CIs that one fault reaches at most.
const IMPACTS_MAX: usize = 60_000;

/// Everything that gets worse by a fault, in order of time.
pub fn spread(estate: &Estate, fault: &Fault, random: &mut Random) -> Vec<Impact> {
    let mut impacts = Vec::new();
    let mut health: BTreeMap<usize, Health> = BTreeMap::new();
    let mut open = BinaryHeap::from([Reverse(Impact {
        at: fault.onset,
        ci: fault.root,
        health: fault.health,
    })]);
    while let Some(Reverse(impact)) = open.pop() {
        let known = health.get(&impact.ci).copied();
        let is_over = impact.at >= fault.end || impacts.len() >= IMPACTS_MAX;
        if is_over || known.is_some_and(|known| known >= impact.health) {
            continue;
        }
        health.insert(impact.ci, impact.health);
        impacts.push(impact);
        // A monitoring server takes nothing down with it.
        if fault.kind == Kind::Monitoring || impact.health == Health::LessRedundant {
            continue;
        }
        for link in estate.dependents(impact.ci) {
            if let Some((worse, delay)) = pass_on(estate, link, impact.health, &health, random) {
                open.push(Reverse(Impact {
                    at: impact.at + delay,
                    ci: link.from,
                    health: worse,
                }));
            }
        }
    }
    impacts
}

/// What a provider's health does to a dependent, and after how long.
fn pass_on(
    estate: &Estate,
    link: Link,
    provider: Health,
    health: &BTreeMap<usize, Health>,
    random: &mut Random,
) -> Option<(Health, i64)> {
    use Health::{Degraded, Down, LessRedundant};
    let is_down = provider == Down;
    let (worse, probability, mean) = match (link.via, is_down) {
        (Via::Net, true) | (Via::Host, true) => (Down, 1.0, 5.0),
        (Via::Net, false) => (Degraded, 0.5, 20.0),
        (Via::Site, true) | (Via::PowerSingle, true) => (Down, 1.0, 2.0),
        (Via::Host, false) => (Degraded, 0.8, 40.0),
        (Via::Storage, true) => (Down, 0.95, 30.0),
        (Via::Storage, false) => (Degraded, 0.6, 40.0),
        (Via::Database, true) => (Degraded, 0.95, 30.0),
        (Via::Database, false) => (Degraded, 0.75, 60.0),
        (Via::Call | Via::Path, true) => (Degraded, 0.8, 40.0),
        (Via::Call | Via::Path, false) => (Degraded, 0.55, 60.0),
        (Via::Dns, true) => (Degraded, 0.7, 60.0),
        (Via::Directory, true) => (Degraded, 0.8, 60.0),
        (Via::Dns | Via::Directory, false) => (Degraded, 0.35, 90.0),
        (Via::Certificate, true) => (Degraded, 1.0, 10.0),
        (Via::Part, true) => (Degraded, 0.95, 60.0),
        (Via::Part, false) => (Degraded, 0.7, 90.0),
        (Via::PowerDual, true) if all_down(estate, link, health, &[Via::PowerDual]) => {
            (Down, 1.0, 2.0)
        }
        (Via::PowerDual, true) => (LessRedundant, 0.7, 2.0),
        (Via::Member | Via::Primary | Via::Replica, true)
            if all_down(
                estate,
                link,
                health,
                &[Via::Member, Via::Primary, Via::Replica],
            ) =>
        {
            (Down, 1.0, 10.0)
        }
        (Via::Primary, true) => (Degraded, 1.0, 30.0),
        (Via::Primary, false) => (Degraded, 0.85, 60.0),
        (Via::Member | Via::Replica, true) => (Degraded, member_share(estate, link), 30.0),
        (Via::Member | Via::Replica, false) => (Degraded, 0.35, 90.0),
        (Via::PowerSingle | Via::PowerDual | Via::Certificate | Via::Site, false) => return None,
    };
    random
        .chance(probability)
        .then(|| (worse, random.delay(mean)))
}

/// The chance that one more member down is felt.
fn member_share(estate: &Estate, link: Link) -> f64 {
    let members = estate
        .providers(link.from)
        .filter(|other| other.via == link.via);
    let members = u32::try_from(members.count()).unwrap_or(u32::MAX);
    (1.3 / f64::from(members.max(1))).min(1.0)
}

/// Whether all providers of these kinds are down.
fn all_down(estate: &Estate, link: Link, health: &BTreeMap<usize, Health>, of: &[Via]) -> bool {
    let mut of = estate
        .providers(link.from)
        .filter(|other| of.contains(&other.via));
    of.all(|other| health.get(&other.to) == Some(&Health::Down))
}

/// How the root's own class speaks of it; used to see whether a place can be told apart.
pub fn reach(estate: &Estate, root: usize, most: usize) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::from([root]);
    let mut open = vec![root];
    let mut reached = vec![root];
    while let Some(ci) = open.pop() {
        for link in estate.dependents(ci) {
            if reached.len() < most && seen.insert(link.from) {
                reached.push(link.from);
                open.push(link.from);
            }
        }
    }
    debug_assert!(
        reached.iter().all(|&ci| ci < estate.cis.len()),
        "{}",
        estate.cis[root].id
    );
    reached
}
