//! Relations that no CMDB row says but that follow from where something stands: what is in a rack hangs on its switch,
//! and what hangs on nothing hangs on the routers of its site.
//!
//! Only where the CMDB says nothing better. Must not look further than at one CI and its relations.

use crate::core::cmdb::ci::{Ci, CiNumber};
use crate::core::cmdb::gear::{is_router, is_switch};
use crate::core::cmdb::graph::{Edge, Graph};
use crate::core::cmdb::relation::Role;
use crate::core::correlate::weight::{is_hard_edge, is_power_edge};

/// How strongly something depends on the only switch of its rack, in 1/10,000 ...
const RACK: u32 = 7_000;
/// ... and on the only router of its site.
const SITE: u32 = 5_500;
/// Words in the classes of what is never plugged in itself.
const SOFT: [&str; 14] = [
    "service", "app", "database", "cert", "process", "site", "power", "feed", "pdu", "ups", "link",
    "circuit", "wan", "rack",
];

/// The gear that a CI most probably depends on without the CMDB saying so, and how strongly on each.
pub(crate) fn implied(graph: &Graph, ci: CiNumber) -> (&[CiNumber], u32) {
    let Some(it) = graph.ci(ci).filter(|it| is_plugged_in(it)) else {
        return (&[], 0);
    };
    let edges = graph.providers(ci);
    if edges.iter().any(|edge| is_way(graph, edge)) || is_router(&it.class) {
        return (&[], 0);
    }
    let of_rack = graph.gear().of_rack(it);
    let (gear, share) = if of_rack.is_empty() || is_switch(&it.class) {
        let is_bare = edges.iter().all(is_power_edge);
        let of_site = graph.gear().of_site(it);
        (if is_bare { of_site } else { &[] }, SITE)
    } else {
        (of_rack, RACK)
    };
    match gear.len() {
        0 | 1 => (gear, share),
        // One of several, or all of them: nobody knows.
        2 => (gear, share / 2),
        _ => (gear, share / 3),
    }
}

fn is_plugged_in(ci: &Ci) -> bool {
    !ci.is_retired && !SOFT.iter().any(|word| ci.class.contains(word))
}

/// Whether a relation tells what a CI hangs on.
fn is_way(graph: &Graph, edge: &Edge) -> bool {
    if is_power_edge(edge) || edge.role == Role::Single {
        return false;
    }
    let class = graph.ci(edge.ci).map_or("", |ci| ci.class.as_str());
    is_hard_edge(edge) || is_switch(class) || is_router(class)
}
