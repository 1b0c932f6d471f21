//! Which configuration items a silence or a maintenance window is about.
//!
//! What a scope names is looked up in the CMDB when it is made and again whenever the CMDB changes, by bounded walks; an
//! alert that comes is then looked up by its CI, never compared with every window. Must not walk for an alert.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::bind::labels;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::cmdb::normal;
use crate::core::impact::{self, Limits};

/// Names of one scope; more are refused.
pub const NAMES_MAX: usize = 256;
/// CIs that one scope reaches at most; a walk that would find more is cut, which hides less, never more.
const REACHED_MAX: usize = 10_000;

/// What a silence or window is about, besides its matchers: everything that is named must hold, of several values one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Ids or names of CIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ci: Vec<SmolStr>,
    /// Whether everything that depends on those CIs is meant too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_downstream: bool,
    /// Classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<SmolStr>,
    /// Sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<SmolStr>,
    /// Ids or names of services: they and what serves nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<SmolStr>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Scope {
    /// Whether it names nothing, so that every CI is meant.
    pub fn is_everything(&self) -> bool {
        let lists = [&self.ci, &self.class, &self.site, &self.service];
        lists.iter().all(|list| list.is_empty())
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        let lists = [&self.ci, &self.class, &self.site, &self.service];
        lists.iter().map(|list| list.len()).sum()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks up what is named.
    pub(in crate::core) fn cover(&self, graph: &Graph) -> Cover {
        Cover {
            cis: self.cis(graph),
            texts: self.ci.iter().map(|name| lower(name)).collect(),
            classes: self.class.iter().map(|name| lower(name)).collect(),
            sites: self.site.iter().map(|name| lower(name)).collect(),
        }
    }

    /// The CIs that are named or reached; `None` when none is named.
    fn cis(&self, graph: &Graph) -> Option<BTreeSet<CiNumber>> {
        let mut named = (!self.ci.is_empty()).then(|| find(graph, &self.ci));
        if self.is_downstream
            && let Some(named) = &mut named
        {
            let limits = Limits {
                visited: REACHED_MAX,
                ..Limits::default()
            };
            for root in named.clone() {
                let impact = impact::impact(graph, root, &|_| false, limits);
                named.extend(impact.reached.iter().map(|reached| reached.ci));
            }
        }
        let served = (!self.service.is_empty()).then(|| serving(graph, &self.service));
        match (named, served) {
            (Some(named), Some(served)) => Some(&named & &served),
            (named, served) => named.or(served),
        }
    }
}

/// What a scope comes to in the CMDB as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::core) struct Cover {
    /// The CIs; `None` when any.
    pub(in crate::core) cis: Option<BTreeSet<CiNumber>>,
    /// What alerts that the CMDB does not know may call those CIs.
    pub(in crate::core) texts: BTreeSet<SmolStr>,
    pub(in crate::core) classes: BTreeSet<SmolStr>,
    pub(in crate::core) sites: BTreeSet<SmolStr>,
}

impl Cover {
    /// Whether an alert with this CI and these labels is meant.
    pub(in crate::core) fn is_match<'a>(
        &self,
        graph: &'a Graph,
        ci: Option<CiNumber>,
        label: &impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        let is_named = match (&self.cis, ci) {
            (None, _) => true,
            (Some(cis), Some(ci)) => cis.contains(&ci),
            (Some(_), None) => texts_of(label).any(|text| self.texts.contains(&lower(text))),
        };
        let class = class_of(graph, ci);
        let site = site_of(graph, ci, label);
        is_named && is_one_of(&self.classes, class) && is_one_of(&self.sites, site)
    }
}

pub(in crate::core) fn class_of(graph: &Graph, ci: Option<CiNumber>) -> Option<&str> {
    let ci = ci.and_then(|ci| graph.ci(ci))?;
    Some(&ci.class)
}

/// The site of the CI; of an alert that the CMDB does not know, what its labels say.
pub(in crate::core) fn site_of<'a>(
    graph: &'a Graph,
    ci: Option<CiNumber>,
    label: &impl Fn(&str) -> Option<&'a str>,
) -> Option<&'a str> {
    let site = ci.and_then(|ci| graph.ci(ci)).map(|ci| ci.site.as_deref());
    match site {
        Some(Some(site)) => Some(site),
        Some(None) | None => labels::SITES.iter().find_map(|name| label(name)),
    }
}

/// What an alert that is bound to no CI calls what it is about.
pub(in crate::core) fn texts_of<'a>(
    label: &impl Fn(&str) -> Option<&'a str>,
) -> impl Iterator<Item = &'a str> {
    labels::LABELS.iter().filter_map(|name| label(name))
}

pub(in crate::core) fn lower(text: &str) -> SmolStr {
    SmolStr::new(text.trim().to_lowercase())
}

fn is_one_of(wanted: &BTreeSet<SmolStr>, value: Option<&str>) -> bool {
    wanted.is_empty() || value.is_some_and(|value| wanted.contains(&lower(value)))
}

/// The CIs with these ids; of a text that is no id those that are called so.
fn find(graph: &Graph, names: &[SmolStr]) -> BTreeSet<CiNumber> {
    let mut found = BTreeSet::new();
    for name in names {
        if let Some(ci) = graph.find(name) {
            found.insert(ci);
            continue;
        }
        let text = normal::name(name).unwrap_or_default();
        let meanings = graph.meanings(&text);
        let best = meanings.first().map(|meaning| meaning.by);
        let meant = meanings.iter().filter(|meaning| Some(meaning.by) == best);
        found.extend(meant.map(|meaning| meaning.ci));
    }
    found
}

/// The services and what serves nothing but them: something shared still has to be told of for the others.
fn serving(graph: &Graph, services: &[SmolStr]) -> BTreeSet<CiNumber> {
    let mut covered = find(graph, services);
    let mut left: BTreeMap<CiNumber, usize> = BTreeMap::new();
    let mut queue: Vec<CiNumber> = covered.iter().copied().collect();
    while let Some(ci) = queue.pop() {
        if covered.len() >= REACHED_MAX {
            break;
        }
        for provider in graph.providers(ci) {
            let dependents = || graph.dependents(provider.ci).len();
            let left = left.entry(provider.ci).or_insert_with(dependents);
            *left = left.saturating_sub(1);
            if *left == 0 && covered.insert(provider.ci) {
                queue.push(provider.ci);
            }
        }
    }
    covered
}
