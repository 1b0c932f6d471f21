//! How well one condition explains another.
//!
//! A product of shares, each with a meaning of its own, so that it can be told in a sentence. Must not look further
//! than at the two conditions, the graph around them and the policy.

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::correlate::family::Family;
use crate::core::correlate::grove::Grove;
use crate::core::correlate::node::{FLAP_WINDOW, Node};
use crate::core::correlate::upstream::Reach;
use crate::core::correlate::weight::{
    ONE, for_family, of_delay, of_families, of_families_at_home, spares, times,
};
use crate::core::time::Span;

/// A CI on which so many others depend must earn its children.
const HUB_FROM: usize = 25;
/// What is left for missing data when something else than its monitoring server is down.
const NOT_THE_WATCHER: u32 = 5_000;
/// Providers that stand in for another which are looked at.
const SPARES_MAX: usize = 8;
/// A silent cause must be depended on so strongly to explain a condition of hard evidence.
const SURE_OF_HARD: u32 = 5_500;
/// What is left of an explanation by something that had ended clearly before.
const ENDED_BEFORE: u32 = 2_500;
/// What is left of an explanation for something that was itself changed shortly before ...
const CHANGED_ITSELF: u32 = 2_500;
/// ... if it would be gone with what it stands on.
const CHANGED_BELOW: u32 = 5_500;
/// ... and that began before the other did.
const CHANGED_BEFORE_IT: u32 = 4_000;

/// A judgement with its parts, all in 1/10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) score: u32,
    pub(crate) weight: u32,
    pub(crate) evidence: u32,
    pub(crate) time: u32,
    pub(crate) kind: u32,
    pub(crate) rest: u32,
}

/// Judges how well `parent` explains `child`, whose CI depends on the parent's by `weight`.
pub(crate) fn judge(grove: &Grove<'_>, child: &Node, parent: &Node, weight: u32) -> Judgement {
    let is_home = child.ci.is_some() && child.ci == parent.ci;
    let kind = if is_home {
        of_families_at_home(child.family, parent.family)
    } else {
        times(
            of_families(child.family, parent.family),
            softness(grove, child, (parent.ci, parent.family)),
        )
    };
    let is_silent_place =
        parent.is_silent() && !is_home && is_soft_by_place(grove, child, parent.ci);
    if kind == 0 || is_silent_place || is_apart(child, parent) || is_mere_upkeep(grove, parent) {
        return Judgement::default();
    }
    let reach = child.ci.zip(parent.ci);
    let reach = reach.and_then(|(own, other)| grove.reach_of(own, other));
    let is_power = reach.is_some_and(|reach| reach.is_power);
    let weight = if is_home {
        weight
    } else {
        let weight = reach.map_or(weight, |reach| by_spares(grove, child, reach, weight));
        for_family(child.family, weight, is_power)
    };
    if parent.is_silent() && parent.is_slow && is_dead(child) {
        return Judgement::default();
    }
    // Whoever knows which server misses the data has a better explanation than what else is down.
    let kind = match child.watcher {
        Some(watcher) if parent.ci != Some(watcher) => times(kind, NOT_THE_WATCHER),
        Some(_) | None => kind,
    };
    let time = of_delay(child.onset.since(parent.onset));
    let mut rest = hub(grove.graph(), grove, parent);
    if parent
        .ended_at
        .is_some_and(|at| at.plus(Span::from_mins(2)) < child.onset)
    {
        rest = times(rest, ENDED_BEFORE);
    }
    if child.change.is_some() && !is_home {
        let is_below = reach.is_some_and(|reach| reach.is_hard) && parent.family.is_hard();
        rest = times(
            rest,
            if is_below {
                CHANGED_BELOW
            } else {
                CHANGED_ITSELF
            },
        );
        if child.onset.plus(Span::from_secs(30)) < parent.onset {
            rest = times(rest, CHANGED_BEFORE_IT);
        }
    }
    // At home the question is only whether both are one condition, not whether the CI is really broken.
    let evidence = if is_home {
        ONE
    } else {
        u32::from(parent.evidence)
    };
    // What is surely broken itself needs more than a guess above it.
    if parent.is_silent() && child.family.is_hard() && weight < SURE_OF_HARD {
        return Judgement::default();
    }
    let score = [evidence, time, kind, rest].into_iter().fold(weight, times);
    Judgement {
        score: score.min(ONE),
        weight,
        evidence,
        time,
        kind,
        rest,
    }
}

/// How strongly a condition depends on a provider for which others stand in: hardly, as long as they do; wholly, when
/// they have failed, too.
fn by_spares(grove: &Grove<'_>, child: &Node, reach: Reach, weight: u32) -> u32 {
    let Some((dependent, provider)) = reach.spare.filter(|_| child.family != Family::Redundancy)
    else {
        return weight;
    };
    let edges = grove.graph().providers(dependent);
    let Some(edge) = edges.iter().find(|edge| edge.ci == provider) else {
        return weight;
    };
    let least = edge.min.map_or(1, |min| usize::from(min.get()));
    let is_gone = |ci: CiNumber| {
        let nodes = grove.nodes_at(ci).into_iter();
        let mut nodes = nodes.filter_map(|id| grove.node(id));
        nodes.any(|node| is_dead(node) && !node.has_ended())
    };
    let others = spares(edge, edges).take(SPARES_MAX);
    let left = others.filter(|other| !is_gone(other.ci)).count();
    if left < least {
        weight.max(u32::from(reach.full))
    } else if is_dead(child) {
        weight / 2
    } else {
        weight
    }
}

/// Whether a condition says that something is gone.
fn is_dead(node: &Node) -> bool {
    node.family.is_hard() || (node.is_silent() && !node.is_slow)
}

/// What is left when something only does badly that should be down if the other were: behind a dead switch nothing is
/// slow, it is gone.
fn softness(grove: &Grove<'_>, child: &Node, (other, family): (Option<CiNumber>, Family)) -> u32 {
    let is_soft = match child.family {
        Family::Symptom | Family::Resource => true,
        Family::Reach
        | Family::Link
        | Family::Redundancy
        | Family::NoData
        | Family::Config
        | Family::Silent => false,
    };
    let reach = child.ci.zip(other);
    let reach = reach.and_then(|(own, other)| grove.reach_of(own, other));
    match family {
        _ if !is_soft || !reach.is_some_and(|reach| reach.is_hard) => ONE,
        Family::Silent => 1_500,
        Family::Reach => 5_000,
        Family::Link
        | Family::Resource
        | Family::Redundancy
        | Family::Symptom
        | Family::NoData
        | Family::Config => ONE,
    }
}

/// Whether it speaks of upkeep of something whose failure takes nothing down; a certificate is another matter.
fn is_mere_upkeep(grove: &Grove<'_>, parent: &Node) -> bool {
    let ci = parent.ci.and_then(|ci| grove.graph().ci(ci));
    parent.family == Family::Config && !ci.is_some_and(|ci| ci.class.starts_with("cert"))
}

/// How well a silent cause would explain a condition by its kind.
pub(crate) fn kind_of_silent(grove: &Grove<'_>, child: &Node, cause: CiNumber) -> u32 {
    if is_soft_by_place(grove, child, Some(cause)) {
        return 0;
    }
    let soft = softness(grove, child, (Some(cause), Family::Silent));
    times(of_families(child.family, Family::Silent), soft)
}

/// How strongly a condition depends on a provider, by what it speaks of.
pub(crate) fn weight_for(grove: &Grove<'_>, child: &Node, cause: CiNumber, weight: u16) -> u32 {
    let reach = child.ci.and_then(|own| grove.reach_of(own, cause));
    let is_power = reach.is_some_and(|reach| reach.is_power);
    for_family(child.family, u32::from(weight), is_power)
}

/// Words in the classes of places and power.
const PLACES: [&str; 12] = [
    "site",
    "location",
    "building",
    "room",
    "rack",
    "region",
    "datacenter",
    "zone",
    "power",
    "pdu",
    "ups",
    "feed",
];

/// Whether a silent place or feed would have to make something slow: what stands there is there, or it is gone.
fn is_soft_by_place(grove: &Grove<'_>, child: &Node, cause: Option<CiNumber>) -> bool {
    let is_soft = child.family == Family::Symptom || child.family == Family::Resource;
    let ci = cause.and_then(|ci| grove.graph().ci(ci));
    is_soft && ci.is_some_and(|ci| PLACES.iter().any(|word| ci.class.contains(word)))
}

/// Whether the policy keeps both apart.
pub(crate) fn is_apart(one: &Node, other: &Node) -> bool {
    let differs = |(rule, text): (u64, u64)| {
        other
            .bars()
            .any(|(also, else_text)| also == rule && else_text != text)
    };
    one.is_alone() || other.is_alone() || one.bars().any(differs)
}

/// A shared hub must earn its children by breadth; small providers are believed at once.
fn hub(graph: &Graph, grove: &Grove<'_>, parent: &Node) -> u32 {
    let Some(ci) = parent.ci else {
        return ONE;
    };
    let fan_in = graph.dependents(ci).len();
    if fan_in < HUB_FROM {
        return ONE;
    }
    let alerting = usize::try_from(grove.unexplained(ci)).unwrap_or(0);
    let breadth = grove.child_count(parent.id).saturating_add(alerting);
    let coverage = breadth.saturating_mul(10_000) / fan_in.max(1);
    let coverage = u32::try_from(coverage.min(5_000)).unwrap_or(5_000);
    (6_000 + times(14_000, coverage)).min(ONE)
}

/// The change of a CI that may have caused a condition which began then.
pub(crate) fn recent_change(
    grove: &Grove<'_>,
    ci: CiNumber,
    onset: crate::core::time::Timestamp,
) -> Option<smol_str::SmolStr> {
    let changes = grove.changes(ci).iter().rev();
    let mut fits = changes.filter(|change| {
        let before = onset.since(change.at);
        before <= FLAP_WINDOW && before >= Span::from_mins(-5)
    });
    fits.next().map(|change| change.id.clone())
}
