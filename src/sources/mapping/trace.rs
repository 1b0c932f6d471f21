//! Tells what a mapping made of an item, and what it looked for in vain.
//!
//! Must not decide anything: the outcome is handed in.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::{Expr, Scope};
use super::observe::Outcome;
use super::value::{is_missing, shown};
use super::{Fields, Mapping};
use crate::core::records::change::ChangeState;
use crate::sources::Problem;
use crate::sources::tried::{Tried, TriedHint, TriedInput, TriedItem, TriedMissing};

/// Bytes of a value that is shown.
const VALUE_BYTES_MAX: usize = 300;

impl Mapping {
    pub(super) fn traced(
        &self,
        index: usize,
        scope: &Scope,
        outcome: Result<&Outcome, &Problem>,
    ) -> TriedItem {
        let mut item = match outcome {
            Ok(Outcome::Observed(observation)) => TriedItem::observed(index, observation),
            Ok(Outcome::Skipped) => bare(index, "skipped"),
            Ok(Outcome::Acknowledged(key)) => TriedItem {
                key: Some(key.text().to_string()),
                ..bare(index, "acknowledged")
            },
            Ok(Outcome::Test) => bare(index, "test"),
            Ok(Outcome::Changed(change)) => TriedItem {
                key: change.key.as_ref().map(ToString::to_string),
                status: change.state.map(ChangeState::word),
                summary: change.summary.as_ref().map(ToString::to_string),
                ..bare(index, "change")
            },
            Err(problem) => TriedItem::rejected(index, problem),
        };
        let input = |path: String| TriedInput {
            value: scope.show(&path, VALUE_BYTES_MAX),
            path,
        };
        item.key_inputs = self.fields.key.inputs().into_iter().map(input).collect();
        item.ci_hints = self.hints(scope);
        item.missing = self.fields.missing(scope);
        item
    }

    /// What tells which CI an item is about, the best first.
    fn hints(&self, scope: &Scope) -> Vec<TriedHint> {
        let hint = |hint: &super::Hint| {
            let found = hint
                .expr
                .eval(scope)
                .ok()
                .filter(|value| !is_missing(value));
            TriedHint {
                name: hint.name.as_ref().map(ToString::to_string),
                expression: hint.expr.source().to_owned(),
                value: found.map(|value| shown(&value, VALUE_BYTES_MAX)),
            }
        };
        self.fields.ci.iter().map(hint).collect()
    }

    /// Adds what would make more of the message.
    pub(in crate::sources) fn advise(&self, tried: &mut Tried) {
        let fields = &self.fields;
        if fields.change.is_some() {
            return;
        }
        let gaps = [
            (
                fields.status.is_none(),
                "status is not mapped: nothing of this source says that an alert has ended, so alerts end when they \
                 are not repeated for expire_after",
            ),
            (
                fields.severity.is_none(),
                "severity is not mapped: the label `severity` decides, and without it every alert is a warning",
            ),
            (
                fields.summary.is_none(),
                "summary is not mapped: people see the key in its place",
            ),
            (
                fields.ci.is_empty(),
                "ci is not mapped: alerts are bound to configuration items by their labels only",
            ),
        ];
        let gaps = gaps.into_iter().filter(|(is_gap, _)| *is_gap);
        tried.advice.extend(gaps.map(|(_, text)| text.to_owned()));
        let mut first = BTreeMap::new();
        for item in &tried.items {
            let Some(key) = &item.key else { continue };
            let earlier = *first.entry(key.as_str()).or_insert(item.index);
            if earlier != item.index {
                tried.advice.push(format!(
                    "items {earlier} and {} have the same key {key}: is the key fine enough?",
                    item.index
                ));
            }
        }
    }
}

fn bare(index: usize, outcome: &'static str) -> TriedItem {
    TriedItem {
        index,
        outcome,
        ..TriedItem::default()
    }
}

impl Fields {
    /// Every expression with the name of its field.
    fn all(&self) -> Vec<(String, &Expr)> {
        let single = [
            ("status", self.status.as_ref()),
            ("severity", self.severity.as_ref().map(|map| &map.from)),
            ("summary", self.summary.as_ref()),
            ("starts_at", self.starts_at.as_ref()),
            ("ends_at", self.ends_at.as_ref()),
            ("url", self.url.as_ref()),
            ("labels", self.labels.spread.as_ref()),
            ("annotations", self.annotations.spread.as_ref()),
        ];
        let single = single.into_iter();
        let mut all: Vec<_> = single
            .filter_map(|(name, expr)| Some((name.to_owned(), expr?)))
            .collect();
        for (field, pairs) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let each = pairs.each.iter();
            all.extend(each.map(|(name, expr)| (format!("{field}.{name}"), expr)));
        }
        all.extend(self.ci.iter().map(|hint| ("ci".to_owned(), &hint.expr)));
        let change = self.change.iter().flat_map(|map| &map.0);
        all.extend(change.map(|(name, expr)| (format!("change.{name}"), expr)));
        all
    }

    /// The variables that any field reads.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        let gates = [&self.alerts, &self.when, &self.test, &self.acknowledge];
        let gates = gates.into_iter().flatten().chain([&self.key]);
        let fields = self.all().into_iter().map(|(_, expr)| expr);
        let set = self.set.iter().map(|(_, expr)| expr);
        let paths = gates.chain(fields).chain(set).flat_map(Expr::inputs);
        paths
            .map(|path| path.split('.').next().unwrap_or_default().to_owned())
            .collect()
    }

    fn missing(&self, scope: &Scope) -> Vec<TriedMissing> {
        let absent = |(field, expr): (String, &Expr)| {
            let paths = expr.inputs().into_iter();
            let absent = paths.filter(|path| scope.show(path, 1).is_none());
            absent
                .map(|path| TriedMissing {
                    field: field.clone(),
                    path,
                })
                .collect::<Vec<_>>()
        };
        self.all().into_iter().flat_map(absent).collect()
    }
}
