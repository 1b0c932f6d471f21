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
    is_down: bool,
    from: CiNumber,
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
        marks: HashMap::default(),
        order: Vec::new(),
        is_truncated: false,
    };
    let start = Mark {
        is_down: true,
        from: root,
        depth: 0,
    };
    walk.marks.insert(root, start);
    walk.run(root);
    let reached = walk.order.iter().map(|&ci| {
        let is_down = walk.marks.get(&ci).is_some_and(|mark| mark.is_down);
        let state = match (has_alert(ci), is_down) {
            (true, _) => Reach::Confirmed,
            (false, true) => Reach::Predicted,
            (false, false) => Reach::AtRisk,
        };
        let path = walk.path(root, ci);
        Reached { ci, state, path }
    });
    Impact {
        reached: reached.collect(),
        is_truncated: walk.is_truncated,
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    limits: Limits,
    /// Never walked through, so that no order of hashes shows.
    marks: HashMap<CiNumber, Mark, foldhash::fast::FixedState>,
    order: Vec<CiNumber>,
    is_truncated: bool,
}

impl Walk<'_> {
    /// Level by level; a CI that turns from at risk to down is looked at once more.
    fn run(&mut self, root: CiNumber) {
        let mut queue = VecDeque::from([root]);
        while let Some(ci) = queue.pop_front() {
            let Some(&mark) = self.marks.get(&ci) else {
                continue;
            };
            let dependents = self.graph.dependents(ci);
            if mark.depth >= self.limits.depth && !dependents.is_empty() {
                self.is_truncated = true;
                continue;
            }
            self.is_truncated |= dependents.len() > self.limits.breadth;
            for edge in dependents.iter().take(self.limits.breadth) {
                if edge.ci == root {
                    continue;
                }
                let is_down = mark.is_down && self.is_lost(edge.ci, ci);
                match self.marks.get_mut(&edge.ci) {
                    Some(known) if known.is_down || !is_down => {}
                    Some(known) => {
                        // The path must lead over what brought it down, and depth must not shrink a path to a loop.
                        known.is_down = true;
                        known.from = ci;
                        known.depth = mark.depth.saturating_add(1);
                        queue.push_back(edge.ci);
                    }
                    None if self.order.len() >= self.limits.visited => {
                        self.is_truncated = true;
                        return;
                    }
                    None => {
                        let depth = mark.depth.saturating_add(1);
                        let from = ci;
                        self.marks.insert(
                            edge.ci,
                            Mark {
                                is_down,
                                from,
                                depth,
                            },
                        );
                        self.order.push(edge.ci);
                        queue.push_back(edge.ci);
                    }
                }
            }
        }
    }

    /// Whether a dependent is lost now that one of its providers is down.
    fn is_lost(&self, dependent: CiNumber, provider: CiNumber) -> bool {
        let providers = self.graph.providers(dependent);
        let own = providers.iter().filter(|edge| edge.ci == provider);
        own.into_iter().any(|edge| match stands_in(edge) {
            Standing::Alone => true,
            Standing::Group(group) => {
                self.are_too_few(providers, |other| other.group == Some(group))
            }
            Standing::Alike(kind, role) => self.are_too_few(providers, |other| {
                other.group.is_none() && other.kind == kind && other.role == role
            }),
            Standing::Never => false,
        })
    }

    /// Whether fewer of those alike are left than must be: all but as many as the relations say, one by default.
    fn are_too_few(&self, providers: &[Edge], is_alike: impl Fn(&Edge) -> bool) -> bool {
        let (mut left, mut needed, mut last) = (0_u8, 1_u8, None);
        for edge in providers.iter().filter(|edge| is_alike(edge)) {
            needed = needed.max(edge.min.map_or(1, NonZeroU8::get));
            let is_down = || self.marks.get(&edge.ci).is_some_and(|mark| mark.is_down);
            // Edges are in the order of their CIs, and two to one CI are one member.
            if last.replace(edge.ci) != Some(edge.ci) && !is_down() {
                left = left.saturating_add(1);
            }
        }
        left < needed
    }

    fn path(&self, root: CiNumber, ci: CiNumber) -> Vec<CiNumber> {
        let mut path = Vec::with_capacity(8);
        path.push(ci);
        let mut at = ci;
        while at != root
            && let Some(mark) = self.marks.get(&at)
            && path.len() <= self.marks.len()
        {
            at = mark.from;
            path.push(at);
        }
        path.reverse();
        path
    }
}

/// Which other relations of the same dependent stand in for one.
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
        (_, Role::Replica) => Standing::Never,
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
