//! Which services an incident reaches: those with a condition of their own, and those that probably suffer from the
//! root. Must not visit more than [`VISITS_MAX`] CIs.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::core::cmdb::ci::{Ci, CiNumber};
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::weight::{ONE, either, of_edge, times};

/// CIs visited by one walk.
const VISITS_MAX: usize = 1_500;
/// Alerting CIs from which a walk starts besides the root.
const SEEDS_MAX: usize = 500;
/// Less probable effects are not named.
const PROBABLE: u32 = 5_000;
/// Relations of one CI that a walk looks at.
const EDGES_MAX: usize = 512;

/// The services with conditions, and those that the root probably reaches, by number.
pub(crate) fn services_reached(
    graph: &Graph,
    root: Option<CiNumber>,
    alerting: &BTreeSet<CiNumber>,
) -> Vec<CiNumber> {
    let is_service = |ci: &CiNumber| graph.ci(*ci).is_some_and(Ci::is_service);
    let mut services: BTreeSet<CiNumber> = alerting.iter().copied().filter(is_service).collect();
    let mut settled: BTreeMap<CiNumber, u32> = BTreeMap::new();
    let mut joined: BTreeMap<CiNumber, u32> = BTreeMap::new();
    let mut heap = BinaryHeap::new();
    let seeds = root
        .into_iter()
        .chain(alerting.iter().copied().take(SEEDS_MAX));
    heap.extend(seeds.map(|seed| (ONE, std::cmp::Reverse(seed))));
    while let Some((weight, std::cmp::Reverse(ci))) = heap.pop() {
        if settled.contains_key(&ci) {
            continue;
        }
        settled.insert(ci, weight);
        if settled.len() > VISITS_MAX {
            break;
        }
        if is_service(&ci) {
            services.insert(ci);
        }
        for edge in graph.dependents(ci).iter().take(EDGES_MAX) {
            let edges = graph.providers(edge.ci);
            let back = edges.iter().filter(|back| back.ci == ci);
            let share = back.map(|back| of_edge(back, edges)).max().unwrap_or(0);
            let further = joined.entry(edge.ci).or_insert(0);
            *further = either(*further, times(weight, share));
            if *further >= PROBABLE && !settled.contains_key(&edge.ci) {
                heap.push((*further, std::cmp::Reverse(edge.ci)));
            }
        }
    }
    services.into_iter().collect()
}
