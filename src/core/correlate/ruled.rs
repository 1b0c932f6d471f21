//! The operator's rules at work: alerts that belong together by a rule meet, those that never do are kept apart.
//!
//! Must not be stronger than what a person has placed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::alert::Alert;
use crate::core::correlate::node::{Link, Mark, Node, NodeId};
use crate::core::correlate::rule::{Bond, Look, values};
use crate::core::correlate::words;
use crate::core::decision::Change;
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::observation::AlertText;

/// Conditions of one rule and text that are looked at for one that is still there, the latest.
const BONDED_MAX: usize = 64;
/// What a rule says is certain, in 1/10,000.
const SCORE: u16 = 10_000;

impl Draft<'_> {
    /// What the rules make of an alert.
    pub(crate) fn marks(&self, alert: &Alert, text: Option<&AlertText>) -> Vec<Mark> {
        let rules = &self.world.rules.correlation.rules;
        let Some(text) = text.filter(|_| !rules.is_empty()) else {
            return Vec::new();
        };
        let added = self.decision.changes.iter().find_map(|change| {
            if let Change::SourceAdded { id, name } = change
                && *id == alert.source
            {
                return Some(name.as_str());
            }
            None
        });
        let graph = self.grove.graph();
        let values = values(&Look {
            text,
            source: added.unwrap_or_else(|| self.world.state.source_name(alert.source)),
            severity: alert.severity,
            ci: alert.ci.and_then(|ci| graph.ci(ci)),
        });
        rules.iter().filter_map(|rule| rule.mark(&values)).collect()
    }

    /// Hangs a condition below one that a rule brings it together with; says whether there was one.
    pub(crate) fn join_bonded(&mut self, id: NodeId) -> bool {
        let Some(node) = self.grove.node(id).cloned() else {
            return false;
        };
        for mark in &node.marks {
            let Bond::Together(within) = mark.bond else {
                continue;
            };
            let others = self.grove.bonded(mark.text, BONDED_MAX);
            let fits = |other: &&Node| {
                other.id != id
                    && other.onset.since(node.onset).abs() <= within
                    && self.is_open(other.incident)
                    && !self.grove.is_at_or_above(id, other.id)
            };
            let others = others.iter().filter_map(|&other| self.grove.node(other));
            let Some(parent) = others.filter(fits).map(|other| other.id).min() else {
                continue;
            };
            let why = self.why_bonded(&node, mark, parent);
            self.hang_by(
                id,
                Link {
                    parent,
                    score: SCORE,
                    why,
                },
            );
            if self.grove.node(id).is_some_and(|node| node.link.is_some()) {
                return true;
            }
        }
        false
    }

    fn why_bonded(&self, node: &Node, mark: &Mark, parent: NodeId) -> Arc<str> {
        let graph = self.grove.graph();
        let rules = self.world.rules.correlation.rules.iter();
        let mut rules = rules.filter(|rule| rule.hash() == mark.rule);
        let rule = rules.next().map_or("?", |rule| rule.name.as_str());
        let text = format!(
            "{} belongs together with {} by the rule {rule:?}.",
            words::of_node(graph, node),
            words::of_id(&self.grove, parent),
        );
        Arc::from(text)
    }

    /// Whether these conditions must not come to an incident, because of what is in there.
    pub(crate) fn is_barred(&self, tree: &[NodeId], to: IncidentId) -> bool {
        let nodes = tree.iter().filter_map(|&id| self.grove.node(id));
        let own: BTreeSet<(u64, u64)> = nodes.flat_map(Node::bars).collect();
        own.iter()
            .any(|&(rule, text)| self.grove.is_barred(to, rule, text))
    }
}
