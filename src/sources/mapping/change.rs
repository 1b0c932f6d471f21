//! Changes: what an item means that tells of a change instead of an alert.
//!
//! The fields of the mapping have the same meaning: `key` is the change's id where it comes from, `summary`, `url`, `ci`,
//! `starts_at` and `ends_at` are the change's; `change` holds what only a change has. Must not decide what a change has
//! to do with an alert.

use minijinja::value::Value;
use smol_str::{SmolStr, format_smolstr};

use super::engine::{Expr, Scope};
use super::observe::{Observer, Place};
use super::value::{self, Form, SHOWN_BYTES_MAX, shown};
use crate::core::limits;
use crate::core::observation::clean;
use crate::core::records::change::{ChangeState, ChangeWanted};
use crate::sources::{Problem, time_text};

/// What `change` can hold: whether the item is a change at all, and what only a change has.
pub(super) const NAMES: [&str; 8] = [
    "when",
    "state",
    "type",
    "risk",
    "approval",
    "by",
    "description",
    "cis",
];

/// The compiled expressions of `change`, by name.
#[derive(Debug)]
pub(super) struct ChangeMap(pub(super) Vec<(String, Expr)>);

impl ChangeMap {
    fn get(&self, name: &str) -> Option<&Expr> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, expr)| expr)
    }
}

impl Observer<'_> {
    /// What the item says of a change; `None` when it speaks of an alert.
    pub(super) fn change(
        &mut self,
        scope: &Scope,
        place: &Place<'_>,
        key: impl FnOnce(&Self) -> Result<SmolStr, Problem>,
    ) -> Result<Option<ChangeWanted>, Problem> {
        let mapping = self.mapping;
        let fields = &mapping.fields;
        let Some(map) = &fields.change else {
            return Ok(None);
        };
        if let Some(when) = map.get("when") {
            let truth = when.eval(scope).map_err(|cause| {
                let problem = format!("`{}` cannot be computed: {cause}", when.source());
                place.problem("change.when", problem)
            })?;
            if !truth.is_true() {
                return Ok(None);
            }
        }
        let id = key(self)?;
        let word = self.text(map.get("state"), "change.state", scope, place);
        let state = match word.trim() {
            "" => None,
            word => Some(ChangeState::from_any_word(word).ok_or_else(|| {
                let words = ChangeState::ALL.map(ChangeState::word).join(", ");
                let problem = format!(
                    "gives {word:?}, which is no state of a change; map it to one of {words}, or leave such items out \
                     with `when`"
                );
                place.problem("change.state", problem)
            })?),
        };
        let line = |this: &mut Self, expr, field| {
            let mut text = this.text(expr, field, scope, place);
            clean(&mut text, limits::LABEL_BYTES_MAX);
            Some(text).filter(|text| !text.trim().is_empty())
        };
        Ok(Some(ChangeWanted {
            id: None,
            key: Some(format_smolstr!("{}:{id}", self.message.source)),
            external_id: Some(id),
            source: SmolStr::new(self.message.source),
            summary: line(self, fields.summary.as_ref(), "summary"),
            description: line(self, map.get("description"), "change.description"),
            kind: line(self, map.get("type"), "change.type"),
            state,
            risk: line(self, map.get("risk"), "change.risk"),
            approval: line(self, map.get("approval"), "change.approval"),
            cis: self.cis(map, scope),
            by: line(self, map.get("by"), "change.by"),
            url: line(self, fields.url.as_ref(), "url"),
            starts_at: self.when(fields.starts_at.as_ref(), "starts_at", scope, place),
            ends_at: self.when(fields.ends_at.as_ref(), "ends_at", scope, place),
            opens_maintenance: None,
        }))
    }

    fn when(
        &mut self,
        expr: Option<&Expr>,
        field: &str,
        scope: &Scope,
        place: &Place<'_>,
    ) -> Option<crate::core::time::Timestamp> {
        let text = self.text(expr, field, scope, place);
        time_text::read(&text).unwrap_or_else(|_| {
            let problem = "is not a time that can be read; taken as not set".to_owned();
            self.note(&place.field(field), problem);
            None
        })
    }

    /// The first hint that says something, and all that the list of `change` holds.
    fn cis(&self, map: &ChangeMap, scope: &Scope) -> Option<Vec<SmolStr>> {
        let mut cis = Vec::new();
        let hints = self.mapping.fields.ci.iter();
        let mut hints = hints.filter_map(|hint| hint.expr.eval(scope).ok());
        if let Some(found) =
            hints.find(|value| !value::is_missing(value) && !shown(value, 1).is_empty())
        {
            add(&found, &mut cis);
        }
        if let Some(list) = map.get("cis").and_then(|expr| expr.eval(scope).ok()) {
            add(&list, &mut cis);
        }
        (!cis.is_empty()).then_some(cis)
    }
}

fn add(value: &Value, to: &mut Vec<SmolStr>) {
    match value::form(value) {
        Form::List => {
            for item in value
                .try_iter()
                .into_iter()
                .flatten()
                .take(limits::LABELS_MAX)
            {
                add(&item, to);
            }
        }
        Form::Text => {
            let text = SmolStr::new(shown(value, SHOWN_BYTES_MAX).trim());
            if !text.is_empty() && !to.contains(&text) {
                to.push(text);
            }
        }
        Form::Missing | Form::Flag | Form::Map => {}
    }
}
