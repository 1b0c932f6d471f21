//! What a CI's failure reaches: a bounded walk over its dependents, with redundancy.
//!
//! A dependent is reached when it cannot do without what failed. Relations of one dependent that share a group stand in
//! for each other, as do replicas, dual feeds and the members of a service: as long as enough of them are left the dependent is only at
//! risk. Every answer carries the path that leads to it. Must not walk further than its limits, and must end on cycles.

use std::collections::VecDeque;
use std::num::NonZeroU8;

use hashbrown::HashMap;

use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::{Edge, Graph};
use crate::core::cmdb::relation::{RelationKind, Role};

/// How far a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Relations on one path.
    pub depth: usize,
    /// CIs in all.
    pub visited: usize,
    /// Dependents of one CI that are followed.
    pub breadth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 12,
            visited: 10_000,
            breadth: 5_000,
        }
    }
}

/// How sure it is that a CI is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It has a firing alert of its own.
    Confirmed,
    /// It cannot do without what failed.
    Predicted,
    /// It has lost some of its redundancy, or depends on something that has.
    AtRisk,
}

impl Reach {
    /// The word used in API and store.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Predicted => "predicted",
            Self::AtRisk => "at_risk",
        }
    }
}

/// A CI that is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Which.
    pub ci: CiNumber,
    /// How sure.
    pub state: Reach,
    /// How it is reached: from the root to it, a shortest path.
    pub path: Vec<CiNumber>,
}

/// The blast radius of a CI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// What is reached, nearest first, the root itself left out.
    pub reached: Vec<Reached>,
    /// Whether a limit cut the walk short.
    pub is_truncated: bool,
}

/// What the walk knows of a CI.
#[derive(Clone, Copy)]
struct Mark {
    ci: CiNumber,
    is_down: bool,
    /// Whether its dependents were told that it is down.
    is_told: bool,
    /// Which of its redundancies the provider that reached it was a part of, if that was down.
    lowered: Option<Standing>,
    /// The mark of what reached it.
    from: usize,
    depth: usize,
}

/// Walks from a CI over its dependents; `has_alert` says which CIs have a firing alert of their own.
pub fn impact(
    graph: &Graph,
    root: CiNumber,
    has_alert: &dyn Fn(CiNumber) -> bool,
    limits: Limits,
) -> Impact {
    let mut walk = Walk {
        graph,
        limits,
        places: vec![0; graph.number_bound()],
        marks: Vec::new(),
        left: HashMap::default(),
        is_truncated: false,
    };
    walk.run(root);
    let reached = walk.marks.iter().enumerate().skip(1);
    let reached = reached.map(|(place, mark)| {
        let state = match (has_alert(mark.ci), mark.is_down) {
            (true, _) => Reach::Confirmed,
            (false, true) => Reach::Predicted,
            (false, false) => Reach::AtRisk,
        };
        let path = walk.path(place);
        Reached {
            ci: mark.ci,
            state,
            path,
        }
    });
    Impact {
        reached: reached.collect(),
        is_truncated: walk.is_truncated,
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    limits: Limits,
    /// By number: one more than the place in `marks`, or 0. Most of it is never touched.
    places: Vec<u32>,
    /// The root, and then what is reached, nearest first.
    marks: Vec<Mark>,
    /// How many of those that stand in for each other a dependent has left, and how many it needs. Counted once and
    /// then only lowered: a dependent of thousands is not gone through for each of them. Never iterated.
    left: HashMap<(CiNumber, Standing), (usize, usize), foldhash::fast::FixedState>,
    is_truncated: bool,
}

impl Walk<'_> {
    /// Level by level; a CI that turns from at risk to down is looked at once more.
    fn run(&mut self, root: CiNumber) {
        self.mark(root, 0, 0, (true, None));
        let mut queue = VecDeque::from([0_usize]);
        while let Some(place) = queue.pop_front() {
            let Some(mark) = self.marks.get_mut(place) else {
                continue;
            };
            let is_news = mark.is_down && !mark.is_told;
            mark.is_told = mark.is_down;
            let mark = *mark;
            let dependents = self.graph.dependents(mark.ci);
            if mark.depth >= self.limits.depth && !dependents.is_empty() {
                self.is_truncated = true;
                continue;
            }
            self.is_truncated |= dependents.len() > self.limits.breadth;
            let dependents = dependents.get(..self.limits.breadth).unwrap_or(dependents);
            for edges in dependents.chunk_by(|left, right| left.ci == right.ci) {
                let Some(ci) = edges.first().map(|edge| edge.ci) else {
                    continue;
                };
                if ci == root || edges.iter().all(|edge| edge.role == Role::Monitor) {
                    continue;
                }
                let news = if is_news {
                    self.is_lost(ci, edges)
                } else {
                    (false, None)
                };
                let depth = mark.depth.saturating_add(1);
                match self.place(ci) {
                    Some(known) => {
                        if self.turn_down(known, place, depth, news) {
                            queue.push_back(known);
                        }
                    }
                    // The root is a mark, too.
                    None if self.marks.len() > self.limits.visited => {
                        self.is_truncated = true;
                        return;
                    }
                    None => queue.push_back(self.mark(ci, place, depth, news)),
                }
            }
        }
    }

    fn place(&self, ci: CiNumber) -> Option<usize> {
        let place = *self.places.get(ci.index())?;
        usize::try_from(place.checked_sub(1)?).ok()
    }

    /// Notes that a CI which was at risk is down now; `false` when it is not, or was before.
    fn turn_down(
        &mut self,
        known: usize,
        from: usize,
        depth: usize,
        (is_down, lowered): (bool, Option<Standing>),
    ) -> bool {
        let Some(mark) = self.marks.get_mut(known) else {
            return false;
        };
        if !is_down || mark.is_down {
            return false;
        }
        mark.is_down = true;
        // The path must lead over what brought it down: the first of those that stand in for each other, or this one.
        // Depth must not shrink a path to a loop.
        if lowered.is_none() || mark.lowered != lowered {
            mark.from = from;
            mark.depth = depth;
        }
        true
    }

    fn mark(
        &mut self,
        ci: CiNumber,
        from: usize,
        depth: usize,
        (is_down, lowered): (bool, Option<Standing>),
    ) -> usize {
        let place = self.marks.len();
        self.marks.push(Mark {
            ci,
            is_down,
            is_told: false,
            lowered,
            from,
            depth,
        });
        if let Some(slot) = self.places.get_mut(ci.index()) {
            *slot = u32::try_from(self.marks.len()).unwrap_or(0);
        }
        place
    }

    /// Whether a dependent is lost now that a provider is down, and which of its redundancies that lowers; told once for
    /// each provider, with all edges to it.
    fn is_lost(&mut self, dependent: CiNumber, edges: &[Edge]) -> (bool, Option<Standing>) {
        let (mut is_lost, mut lowered) = (false, None);
        for (index, edge) in edges.iter().enumerate() {
            let standing = stands_in(edge);
            let before = edges.get(..index).unwrap_or_default();
            match standing {
                Standing::Alone => is_lost = true,
                Standing::Never => {}
                // Two edges to one CI are one member.
                Standing::Group(_) | Standing::Alike(..)
                    if before.iter().any(|other| stands_in(other) == standing) => {}
                Standing::Group(_) | Standing::Alike(..) => {
                    let graph = self.graph;
                    let counted = self
                        .left
                        .entry((dependent, standing))
                        .or_insert_with(|| alike(graph.providers(dependent), standing));
                    counted.0 = counted.0.saturating_sub(1);
                    lowered = Some(standing);
                    is_lost |= counted.0 < counted.1;
                }
            }
        }
        (is_lost, lowered)
    }

    fn path(&self, place: usize) -> Vec<CiNumber> {
        let mut path = Vec::with_capacity(8);
        let mut at = place;
        while let Some(mark) = self.marks.get(at) {
            path.push(mark.ci);
            if at == 0 || path.len() > self.marks.len() {
                break;
            }
            at = mark.from;
        }
        path.reverse();
        path
    }
}

/// How many providers stand in for each other, and how many of them must be left: one by default.
fn alike(providers: &[Edge], standing: Standing) -> (usize, usize) {
    let (mut count, mut needed, mut last) = (0_usize, 1_u8, None);
    for edge in providers.iter().filter(|edge| stands_in(edge) == standing) {
        needed = needed.max(edge.min.map_or(1, NonZeroU8::get));
        if last.replace(edge.ci) != Some(edge.ci) {
            count = count.saturating_add(1);
        }
    }
    (count, usize::from(needed))
}

/// Which other relations of the same dependent stand in for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Standing {
    /// None.
    Alone,
    /// Those of the same group.
    Group(u32),
    /// Those of the same kind and role.
    Alike(RelationKind, Role),
    /// The dependent goes on without it.
    Never,
}

fn stands_in(edge: &Edge) -> Standing {
    if let Some(group) = edge.group {
        return Standing::Group(group);
    }
    match (edge.kind, edge.role) {
        (_, Role::Dual | Role::Member) | (RelationKind::MemberOf, _) => {
            Standing::Alike(edge.kind, edge.role)
        }
        (_, Role::Replica | Role::Monitor) => Standing::Never,
        (
            RelationKind::ConnectsTo
            | RelationKind::RunsOn
            | RelationKind::HostedOn
            | RelationKind::PoweredBy
            | RelationKind::Uses
            | RelationKind::DependsOn
            | RelationKind::Other,
            Role::Net
            | Role::Host
            | Role::Storage
            | Role::Database
            | Role::Call
            | Role::Dns
            | Role::Auth
            | Role::Cert
            | Role::Part
            | Role::Single
            | Role::Primary
            | Role::Other,
        ) => Standing::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cmdb::reconcile::first_difference;
    use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};

    /// A graph of `from to type role group min`, separated by spaces.
    fn graph(relations: &[&str]) -> Graph {
        let mut picture = Picture::default();
        for line in relations {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap_or("");
            let relation = RelationRecord {
                from: next().into(),
                to: next().into(),
                kind: next().into(),
                role: Some(next().into()),
                group: Some(next())
                    .filter(|group| !group.is_empty())
                    .map(Into::into),
                min: next().parse().ok(),
                confidence: None,
            };
            for id in [&relation.from, &relation.to] {
                if !picture.cis.iter().any(|ci| ci.id == *id) {
                    picture.cis.push(CiRecord {
                        id: id.clone(),
                        ..CiRecord::default()
                    });
                }
            }
            picture.relations.push(relation);
        }
        let mut graph = Graph::default();
        graph.apply(&first_difference(&picture));
        graph
    }

    /// `id state path` of everything reached.
    fn reach(relations: &[&str], root: &str, limits: Limits) -> Vec<String> {
        let graph = graph(relations);
        let root = graph.find(root).unwrap();
        let id = |ci: &CiNumber| graph.ci(*ci).unwrap().id.to_string();
        let impact = impact(&graph, root, &|ci| id(&ci) == "alerting", limits);
        let mut lines: Vec<_> = impact
            .reached
            .iter()
            .map(|it| {
                let path: Vec<_> = it.path.iter().map(id).collect();
                format!("{} {} {}", id(&it.ci), it.state.word(), path.join("<"))
            })
            .collect();
        lines.sort();
        if impact.is_truncated {
            lines.push("truncated".to_owned());
        }
        lines
    }

    #[test]
    fn redundancy_decides_between_predicted_and_at_risk() {
        let limits = Limits::default();
        let feeds = [
            "srv pdu1 powered_by dual",
            "srv pdu2 powered_by dual",
            "app srv runs_on",
        ];
        assert_eq!(
            reach(&feeds, "pdu1", limits),
            ["app at_risk pdu1<srv<app", "srv at_risk pdu1<srv"]
        );
        let one_source = [
            "pdu1 ups powered_by",
            "pdu2 ups powered_by",
            feeds[0],
            feeds[1],
        ];
        assert!(
            reach(&one_source, "ups", limits).contains(&"srv predicted ups<pdu1<srv".to_owned())
        );
        let grouped = ["svc a uses call g", "svc b uses call g", "svc c uses call"];
        assert_eq!(reach(&grouped, "a", limits), ["svc at_risk a<svc"]);
        assert_eq!(reach(&grouped, "c", limits), ["svc predicted c<svc"]);
        let members = [
            "svc a member_of",
            "svc b member_of",
            "a host runs_on",
            "b host runs_on",
        ];
        assert_eq!(reach(&members, "a", limits), ["svc at_risk a<svc"]);
        assert!(reach(&members, "host", limits).contains(&"svc predicted host<a<svc".to_owned()));
        let copies = ["svc db1 uses primary", "svc db2 uses replica"];
        assert_eq!(reach(&copies, "db2", limits), ["svc at_risk db2<svc"]);
        assert_eq!(reach(&copies, "db1", limits), ["svc predicted db1<svc"]);
    }

    #[test]
    fn a_group_is_lost_when_fewer_are_left_than_it_needs() {
        let limits = Limits::default();
        let three = |needed: &str| {
            let members = ["a", "b", "c"].map(|it| format!("svc {it} uses call g {needed}"));
            [
                &members[..],
                &["a", "b"].map(|it| format!("{it} host runs_on")),
            ]
            .concat()
        };
        let state = |needed: &str, root: &str| {
            let relations = three(needed);
            let relations: Vec<_> = relations.iter().map(String::as_str).collect();
            let lines = reach(&relations, root, limits);
            let line = lines.iter().find(|line| line.starts_with("svc "));
            line.and_then(|line| line.split(' ').nth(1))
                .unwrap()
                .to_owned()
        };
        for (needed, one_lost, two_lost) in [
            ("", "at_risk", "at_risk"),
            ("1", "at_risk", "at_risk"),
            ("2", "at_risk", "predicted"),
            ("3", "predicted", "predicted"),
            ("9", "predicted", "predicted"),
        ] {
            assert_eq!(state(needed, "a"), one_lost, "one of three, {needed}");
            assert_eq!(state(needed, "host"), two_lost, "two of three, {needed}");
        }
        // The strictest of a group counts, and two relations to one CI are one member.
        let mixed = [
            "svc a uses call g 2",
            "svc b uses call g",
            "svc b runs_on call g",
        ];
        assert!(reach(&mixed, "a", limits)[0].contains("predicted"));
    }

    #[test]
    fn walks_end_on_circles_and_at_their_limits() {
        let circle = ["a b uses", "b c uses", "c a uses", "alerting a uses"];
        let all = reach(&circle, "c", Limits::default());
        assert_eq!(
            all,
            [
                "a predicted c<b<a",
                "alerting confirmed c<b<a<alerting",
                "b predicted c<b"
            ]
        );
        for limits in [
            Limits {
                depth: 1,
                ..Limits::default()
            },
            Limits {
                visited: 1,
                ..Limits::default()
            },
        ] {
            assert_eq!(
                reach(&circle, "c", limits),
                ["b predicted c<b", "truncated"]
            );
        }
    }
}
