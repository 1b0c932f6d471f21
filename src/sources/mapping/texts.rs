//! The texts of an alert: summary, labels, annotations, link.
//!
//! Must not refuse anything: what is too long is cut and flagged, what cannot be computed is left empty with a note.

use minijinja::value::Value;
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use super::Pairs;
use super::engine::{Expr, Scope};
use super::filters::pair_of;
use super::observe::{Observer, Place};
use super::value::{self, Form, SHOWN_BYTES_MAX, shown};
use crate::core::identity::AlertKey;
use crate::core::limits;
use crate::core::observation::{AlertText, clean, clean_pairs};

impl Observer<'_> {
    pub(super) fn alert_text(
        &mut self,
        scope: &Scope,
        place: &Place<'_>,
        key: &AlertKey,
    ) -> AlertText {
        let fields = &self.mapping.fields;
        let whole = self.text(fields.summary.as_ref(), "summary", scope, place);
        let mut text = AlertText {
            summary: SmolStr::new(whole.trim().lines().next().unwrap_or_default().trim_end()),
            generator_url: self.text(fields.url.as_ref(), "url", scope, place),
            labels: self.message.envelope.captures.clone(),
            ..AlertText::default()
        };
        self.pairs(&fields.labels, "labels", (scope, place), &mut text.labels);
        self.pairs(
            &fields.annotations,
            "annotations",
            (scope, place),
            &mut text.annotations,
        );
        let hints = self.hints(scope, place);
        text.hint(hints);
        text.is_cut |= clean_pairs(&mut text.labels, limits::LABEL_BYTES_MAX);
        text.is_cut |= clean_pairs(&mut text.annotations, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean(&mut text.generator_url, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean(&mut text.summary, limits::TEXT_BYTES_MAX);
        if text.summary.is_empty() {
            text.summary = key.text().clone();
        }
        text
    }

    fn pairs(
        &mut self,
        pairs: &Pairs,
        field: &str,
        (scope, place): (&Scope, &Place<'_>),
        into: &mut Vec<(SmolStr, SmolStr)>,
    ) {
        let mut push = |name: &str, text: SmolStr| {
            if !text.is_empty() {
                into.push((SmolStr::new(name), text));
            }
        };
        if let Some(expr) = &pairs.spread {
            let value = self.value(expr, field, scope, place);
            let items = value.try_iter().into_iter().flatten();
            match value::form(&value) {
                Form::Map => {
                    for name in items {
                        let text = value.get_item(&name).unwrap_or_default();
                        push(&shown(&name, limits::NAME_BYTES_MAX), text_of(&text));
                    }
                }
                Form::List => {
                    for (name, text) in items.filter_map(|item| pair_of(&item)) {
                        push(&shown(&name, limits::NAME_BYTES_MAX), text_of(&text));
                    }
                }
                Form::Missing => {}
                form @ (Form::Flag | Form::Text) => self.note(
                    &place.field(field),
                    format!(
                        "`{}` gives {}, not an object or a list of pairs; left empty",
                        expr.source(),
                        form.word()
                    ),
                ),
            }
        }
        for (name, expr) in &pairs.each {
            let value = self.value(expr, &format!("{field}.{name}"), scope, place);
            push(name, text_of(&value));
        }
    }

    /// What tells which CI it is about, the best first; nothing from where there is nothing.
    fn hints(&mut self, scope: &Scope, place: &Place<'_>) -> Option<SmolStr> {
        let mapping = self.mapping;
        mapping.fields.ci.iter().find_map(|hint| {
            let found = self.text(Some(&hint.expr), "ci", scope, place);
            (!found.trim().is_empty()).then_some(found)
        })
    }

    pub(super) fn text(
        &mut self,
        expr: Option<&Expr>,
        field: &str,
        scope: &Scope,
        place: &Place<'_>,
    ) -> SmolStr {
        expr.map_or_else(SmolStr::default, |expr| {
            text_of(&self.value(expr, field, scope, place))
        })
    }

    fn value(&mut self, expr: &Expr, field: &str, scope: &Scope, place: &Place<'_>) -> Value {
        expr.eval(scope).unwrap_or_else(|cause| {
            self.note(
                &place.field(field),
                format!(
                    "`{}` cannot be computed: {cause}; left empty",
                    expr.source()
                ),
            );
            Value::UNDEFINED
        })
    }
}

fn text_of(value: &Value) -> SmolStr {
    match value.as_str() {
        Some(text) => SmolStr::new(text),
        None => SmolStr::from(shown(value, SHOWN_BYTES_MAX)),
    }
}

/// Hash of what people read, without times and status, so that a mere repeat hashes equal. The marks between the
/// parts are bytes that no UTF-8 text holds.
pub(super) fn hash_of(text: &AlertText, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    for pairs in [&text.labels, &text.annotations] {
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            scratch.extend_from_slice(part.as_bytes());
            scratch.push(0xff);
        }
        scratch.push(0xfe);
    }
    scratch.extend_from_slice(text.summary.as_bytes());
    scratch.push(0xff);
    scratch.extend_from_slice(text.generator_url.as_bytes());
    if let Some(hint) = &text.ci_hint {
        scratch.push(0xfd);
        scratch.extend_from_slice(hint.as_bytes());
    }
    xxh3_64(scratch)
}
