//! How good the CMDB is: what makes binding fail and explanations wrong, found by looking at the whole graph.
//!
//! Costs some tens of milliseconds at 100,000 CIs; ask rarely. Must not change anything.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;

/// Findings of one kind that are listed.
pub const LISTED_MAX: usize = 50;
/// A CI with so many dependents is worth a look: it explains everything and so nothing.
pub const HUB_DEPENDENTS: usize = 1_000;

/// Findings of one kind: the first ones, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings<T> {
    /// The first [`LISTED_MAX`].
    pub items: Vec<T>,
    /// How many there are.
    pub count: usize,
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            count: 0,
        }
    }
}

impl<T> Findings<T> {
    fn add(&mut self, item: impl FnOnce() -> T) {
        self.count = self.count.saturating_add(1);
        if self.items.len() < LISTED_MAX {
            self.items.push(item());
        }
    }
}

/// What is wrong with the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Names and identifiers that several CIs share: alerts that name them stay unbound.
    pub ambiguous: Findings<(SmolStr, Vec<CiNumber>)>,
    /// CIs that nothing is related to.
    pub orphans: Findings<CiNumber>,
    /// Services of which nobody knows what they depend on.
    pub bare_services: Findings<CiNumber>,
    /// CIs with suspiciously many dependents, and how many.
    pub hubs: Findings<(CiNumber, usize)>,
    /// CIs that depend on each other in a circle.
    pub cycles: Findings<Vec<CiNumber>>,
    /// Retired CIs that others still depend on.
    pub retired_providers: Findings<CiNumber>,
}

/// Looks at the whole graph.
pub fn quality(graph: &Graph) -> Quality {
    let mut quality = Quality::default();
    let mut shared: Vec<(&SmolStr, Vec<CiNumber>)> = graph.shared_texts().collect();
    shared.sort_unstable();
    for (text, cis) in shared {
        quality.ambiguous.add(|| (text.clone(), cis));
    }
    for ci in graph.cis() {
        let (providers, dependents) = (graph.providers(ci.number), graph.dependents(ci.number));
        if ci.is_retired {
            if !dependents.is_empty() {
                quality.retired_providers.add(|| ci.number);
            }
            continue;
        }
        if ci.is_service() && providers.is_empty() {
            quality.bare_services.add(|| ci.number);
        } else if providers.is_empty() && dependents.is_empty() {
            quality.orphans.add(|| ci.number);
        }
        if dependents.len() >= HUB_DEPENDENTS {
            quality.hubs.add(|| (ci.number, dependents.len()));
        }
    }
    for cycle in cycles(graph) {
        quality.cycles.add(|| cycle);
    }
    quality
}

/// Where a walk for circles stands.
struct Visit {
    ci: CiNumber,
    next: usize,
}

/// Groups of CIs that reach each other (Tarjan), without recursion: a chain may be as long as the CMDB.
fn cycles(graph: &Graph) -> Vec<Vec<CiNumber>> {
    let mut marks: BTreeMap<CiNumber, (usize, usize)> = BTreeMap::new();
    let mut is_open: BTreeMap<CiNumber, bool> = BTreeMap::new();
    let mut open: Vec<CiNumber> = Vec::new();
    let mut found = Vec::new();
    for root in graph.cis().map(|ci| ci.number) {
        if marks.contains_key(&root) {
            continue;
        }
        let mut visits = vec![Visit { ci: root, next: 0 }];
        while let Some(visit) = visits.last_mut() {
            let ci = visit.ci;
            if visit.next == 0 && !marks.contains_key(&ci) {
                let order = marks.len();
                marks.insert(ci, (order, order));
                is_open.insert(ci, true);
                open.push(ci);
            }
            let edge = graph.providers(ci).get(visit.next).map(|edge| edge.ci);
            visit.next = visit.next.saturating_add(1);
            match edge {
                Some(next) => match marks.get(&next).copied() {
                    None => visits.push(Visit { ci: next, next: 0 }),
                    Some((order, _)) if is_open.get(&next) == Some(&true) => {
                        lower(&mut marks, ci, order);
                    }
                    Some(_) => {}
                },
                None => {
                    visits.pop();
                    let (order, low) = marks.get(&ci).copied().unwrap_or_default();
                    if let Some(parent) = visits.last() {
                        lower(&mut marks, parent.ci, low);
                    }
                    if low == order {
                        let mut group = Vec::new();
                        while let Some(last) = open.pop() {
                            is_open.insert(last, false);
                            group.push(last);
                            if last == ci {
                                break;
                            }
                        }
                        if group.len() > 1 {
                            group.sort_unstable();
                            group.truncate(LISTED_MAX);
                            found.push(group);
                        }
                    }
                }
            }
        }
    }
    found
}

fn lower(marks: &mut BTreeMap<CiNumber, (usize, usize)>, ci: CiNumber, low: usize) {
    if let Some((_, known)) = marks.get_mut(&ci) {
        *known = low.min(*known);
    }
}
