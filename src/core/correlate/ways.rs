//! The links between sites that calls take: no CMDB says so, but it follows from where caller and called stand.
//!
//! A service stands where most of its members do. Must not look further than at the links and the CIs around one CI.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::cmdb::relation::{RelationKind, Role};

/// How strongly a call to another site depends on a link on the way there, in 1/10,000.
pub(crate) const WAY_WEIGHT: u32 = 6_500;
/// Calls further away than this are not asked for their way.
const DEPTH_MAX: u8 = 2;
/// Links between sites that are looked at; of more the first.
const LINKS_MAX: usize = 256;
/// Links on one way at most.
const HOPS_MAX: usize = 16;
/// Relations of one CI that are looked at.
const EDGES_MAX: usize = 16;

/// The ways of one graph, found when they are needed.
#[derive(Debug)]
pub(crate) struct Ways<'a> {
    graph: &'a Graph,
    ends: Option<Vec<(CiNumber, BTreeSet<&'a str>)>>,
    from: BTreeMap<&'a str, BTreeMap<&'a str, (CiNumber, &'a str)>>,
}

impl<'a> Ways<'a> {
    pub(crate) const fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            ends: None,
            from: BTreeMap::new(),
        }
    }

    /// The links that the calls of a CI take, which is so many steps away.
    pub(crate) fn links(&mut self, ci: CiNumber, depth: u8) -> BTreeSet<CiNumber> {
        let mut links = BTreeSet::new();
        if depth >= DEPTH_MAX || self.graph.links().next().is_none() {
            return links;
        }
        let edges = self.graph.providers(ci).iter().take(EDGES_MAX);
        let calls = edges.filter(|edge| matches!(edge.role, Role::Call | Role::Database));
        let called: Vec<CiNumber> = calls.map(|edge| edge.ci).collect();
        let Some(own) = home(self.graph, ci).filter(|_| !called.is_empty()) else {
            return links;
        };
        let others: BTreeSet<&str> = called
            .iter()
            .filter_map(|&ci| home(self.graph, ci))
            .collect();
        for site in others.into_iter().filter(|&site| site != own) {
            let came_by = self.routes(own);
            let mut at = site;
            for _ in 0..HOPS_MAX {
                let Some(&(link, before)) = came_by.get(at) else {
                    break;
                };
                links.insert(link);
                at = before;
            }
        }
        links
    }

    /// For each site that can be reached from one, by which link and from which site it is reached first.
    fn routes(&mut self, home: &'a str) -> &BTreeMap<&'a str, (CiNumber, &'a str)> {
        let graph = self.graph;
        let ends = self.ends.get_or_insert_with(|| {
            let links = graph.links().take(LINKS_MAX);
            let sites = links.map(|link| {
                let providers = graph.providers(link).iter();
                let sites = providers.filter_map(|edge| graph.ci(edge.ci)?.site.as_deref());
                (link, sites.collect())
            });
            sites.collect()
        });
        self.from
            .entry(home)
            .or_insert_with(|| routes_from(ends, home))
    }
}

/// Where a CI stands; of a service, where most of its members do.
pub(crate) fn home(graph: &Graph, ci: CiNumber) -> Option<&str> {
    let site = |ci: CiNumber| graph.ci(ci).and_then(|ci| ci.site.as_deref());
    if let Some(site) = site(ci) {
        return Some(site);
    }
    let mut votes: BTreeMap<&str, u32> = BTreeMap::new();
    let edges = graph.providers(ci).iter().take(EDGES_MAX);
    for edge in edges.filter(|edge| edge.kind == RelationKind::MemberOf) {
        if let Some(site) = site(edge.ci) {
            let vote = votes.entry(site).or_default();
            *vote = vote.saturating_add(1);
        }
    }
    let most = votes
        .into_iter()
        .max_by_key(|&(site, votes)| (votes, Reverse(site)));
    most.map(|(site, _)| site)
}

fn routes_from<'a>(
    ends: &[(CiNumber, BTreeSet<&'a str>)],
    home: &'a str,
) -> BTreeMap<&'a str, (CiNumber, &'a str)> {
    let mut came_by = BTreeMap::new();
    let mut open = VecDeque::from([home]);
    while let Some(at) = open.pop_front() {
        for (link, sites) in ends.iter().filter(|(_, sites)| sites.contains(at)) {
            for &site in sites {
                if site != home && !came_by.contains_key(site) {
                    came_by.insert(site, (*link, at));
                    open.push_back(site);
                }
            }
        }
    }
    came_by
}
