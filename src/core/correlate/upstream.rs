//! What a CI depends on, directly and further on, and how strongly: a bounded walk over the graph.
//!
//! Best paths first by product of weights; then, nearest first, what several paths carry is joined as by chance
//! ("at least one of them"), so a service with three of five machines on one array depends on that array. The result
//! holds for one version of the graph. Must not visit more than [`REACH_MAX`] CIs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::implied::implied;
use crate::core::correlate::ways::{WAY_WEIGHT, Ways};
use crate::core::correlate::weight::{
    either, is_hard_edge, is_power_edge, is_storage_edge, of_edge, of_last_edge, spares, times,
};

/// CIs in one upstream set.
pub const REACH_MAX: usize = 96;
/// Relations of one CI that a walk looks at, the lowest numbers first.
const EDGES_MAX: usize = 64;
/// Steps from the CI.
const DEPTH_MAX: u8 = 6;
/// Weaker paths are not followed.
const WEIGHT_MIN: u32 = 350;

/// One CI that another depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The provider.
    pub ci: CiNumber,
    /// How strongly, over all ways, in 1/10,000.
    pub weight: u16,
    /// How many steps away.
    pub depth: u8,
    /// The CI before it on the best way from the dependent; the dependent itself at depth 1.
    pub via: CiNumber,
    /// Whether the best way is one on which "down" passes on as "down": network, machine, only power.
    pub is_hard: bool,
    /// Whether the best way is one of power only.
    pub is_power: bool,
    /// The first relation on the best way for which another one stands in: dependent and provider ...
    pub spare: Option<(CiNumber, CiNumber)>,
    /// ... and how strongly the CI depends on this one when nothing stands in any more.
    pub full: u16,
}

/// Everything that one CI depends on, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    reaches: Vec<Reach>,
}

impl Upstream {
    /// Walks.
    pub fn of(graph: &Graph, start: CiNumber) -> Self {
        let settled = walk(graph, start);
        let mut order: Vec<(u8, u32, CiNumber)> = Vec::with_capacity(settled.len());
        for (&ci, step) in &settled {
            order.push((step.depth, step.weight, ci));
        }
        order.sort_by(|one, other| (one.0, other.1, one.2).cmp(&(other.0, one.1, other.2)));
        let mut joined: BTreeMap<CiNumber, u32> = BTreeMap::new();
        joined.insert(start, crate::core::correlate::weight::ONE);
        for &(depth, _, ci) in &order {
            let Some(&weight) = joined.get(&ci) else {
                continue;
            };
            let edges = graph.providers(ci);
            for edge in edges.iter().take(EDGES_MAX) {
                let is_further = settled.get(&edge.ci).is_some_and(|step| step.depth > depth);
                if is_further {
                    let share = times(weight, of_edge(edge, edges));
                    let held = joined.entry(edge.ci).or_insert(0);
                    *held = either(*held, share);
                }
            }
        }
        let reaches = settled.iter().filter(|&(&ci, _)| ci != start);
        let reaches = reaches.map(|(&ci, step)| Reach {
            ci,
            weight: u16::try_from(joined.get(&ci).copied().unwrap_or(step.weight))
                .unwrap_or(u16::MAX),
            depth: step.depth,
            via: step.via,
            is_hard: step.is_hard && !(step.depth == 1 && step.is_storage),
            is_power: step.is_power,
            spare: step.spare,
            full: u16::try_from(step.full).unwrap_or(u16::MAX),
        });
        Self {
            reaches: reaches.collect(),
        }
    }

    /// Every provider, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Reach> {
        self.reaches.iter()
    }

    /// How a provider is reached.
    pub fn get(&self, ci: CiNumber) -> Option<&Reach> {
        let place = self
            .reaches
            .binary_search_by_key(&ci, |reach| reach.ci)
            .ok()?;
        self.reaches.get(place)
    }

    /// The CIs on the best way to a provider, without the dependent, the provider last.
    pub fn path(&self, to: CiNumber) -> Vec<CiNumber> {
        let mut path = Vec::new();
        let mut at = to;
        while let Some(reach) = self
            .get(at)
            .filter(|_| path.len() <= usize::from(DEPTH_MAX))
        {
            path.push(at);
            at = reach.via;
        }
        path.reverse();
        path
    }
}

#[derive(Clone, Copy, Debug)]
struct Step {
    weight: u32,
    depth: u8,
    via: CiNumber,
    is_hard: bool,
    is_power: bool,
    is_storage: bool,
    spare: Option<(CiNumber, CiNumber)>,
    full: u32,
}

/// Best-first by product; of equal products the lower number first.
fn walk(graph: &Graph, start: CiNumber) -> BTreeMap<CiNumber, Step> {
    let mut settled: BTreeMap<CiNumber, Step> = BTreeMap::new();
    let mut heap = BinaryHeap::new();
    let mut ways = Ways::new(graph);
    let one = crate::core::correlate::weight::ONE;
    let start = Reverse((0_u8, start, start));
    heap.push((one, [true, true, false], start, (one, None)));
    while let Some((weight, how, Reverse((depth, ci, via)), (full, spare))) = heap.pop() {
        if settled.contains_key(&ci) {
            continue;
        }
        let [is_hard, is_power, is_storage] = how;
        let step = Step {
            weight,
            depth,
            via,
            is_hard,
            is_power,
            is_storage,
            spare,
            full,
        };
        settled.insert(ci, step);
        if settled.len() > REACH_MAX {
            break;
        }
        if depth == DEPTH_MAX {
            continue;
        }
        let edges = graph.providers(ci);
        let (gear, share) = implied(graph, ci);
        let gear = gear.iter().map(|&gear| (gear, share, is_hard));
        let links = ways.links(ci, depth).into_iter();
        let links = links.map(|link| (link, WAY_WEIGHT, false));
        for (other, share, is_hard) in links.chain(gear) {
            let further = times(weight, share);
            if further >= WEIGHT_MIN && !settled.contains_key(&other) {
                let next = Reverse((depth.saturating_add(1), other, ci));
                let rest = (times(full, share), spare);
                heap.push((further, [is_hard, false, false], next, rest));
            }
        }
        for edge in edges.iter().take(EDGES_MAX) {
            let further = times(weight, of_edge(edge, edges));
            if further >= WEIGHT_MIN && !settled.contains_key(&edge.ci) {
                let passes =
                    is_hard_edge(edge) || is_storage_edge(edge) || is_place(graph, edge.ci);
                let how = [
                    is_hard && passes,
                    is_power && is_power_edge(edge),
                    is_storage_edge(edge),
                ];
                let next = Reverse((depth.saturating_add(1), edge.ci, ci));
                let has_spare = spares(edge, edges).next().is_some();
                let rest = if has_spare {
                    let full = times(full, of_last_edge(edge));
                    (full, spare.or(Some((ci, edge.ci))))
                } else {
                    (times(full, of_edge(edge, edges)), spare)
                };
                heap.push((further, how, next, rest));
            }
        }
    }
    settled
}

/// Whether a CI is a place: what stands there is gone when the place is.
fn is_place(graph: &Graph, ci: CiNumber) -> bool {
    let class = graph.ci(ci).map_or("", |ci| ci.class.as_str());
    [
        "site",
        "location",
        "building",
        "room",
        "rack",
        "datacenter",
        "region",
    ]
    .contains(&class)
}
