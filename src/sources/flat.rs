//! Nested JSON of others as flat names and texts, and the text of an alert made of them.
//!
//! Shared by the receivers of PagerDuty and Opsgenie, whose senders attach free-form details. Must not know their
//! fields.

use serde_json::value::RawValue;
use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::limits;
use crate::core::observation::{AlertText, clean, clean_pairs};
use crate::sources::json::{self, Fields};

/// Details of one alert; leaves room for the labels that the protocol itself has.
const DETAILS_MAX: usize = 100;
/// Levels of objects that become dotted names; what is deeper stays JSON.
const LEVELS_MAX: usize = 8;
/// Bytes of a detail that is a label; a longer one, or one of several lines, is prose and becomes an annotation.
const LABEL_BYTES_MAX: usize = 512;

/// The text of an alert in the making.
#[derive(Debug, Default)]
pub struct TextDraft {
    text: AlertText,
    details: usize,
}

impl TextDraft {
    /// Adds a label; an empty one is left out. A later one replaces an earlier one of the same name.
    pub fn label(&mut self, name: &str, value: &str) {
        if !value.trim().is_empty() {
            self.text.labels.push((name.into(), value.trim().into()));
        }
    }

    /// Adds an annotation; an empty one is left out.
    pub fn annotation(&mut self, name: &str, value: &str) {
        if !value.trim().is_empty() {
            self.text
                .annotations
                .push((name.into(), value.trim().into()));
        }
    }

    /// Adds free-form details: what is short is a label, prose is an annotation. `name` is for details without names.
    pub fn details(&mut self, name: &str, raw: &str) {
        self.flatten(name, "", raw, 0);
    }

    fn flatten(&mut self, name: &str, prefix: &str, raw: &str, level: usize) {
        let fields = (json::kind_of(raw) == "an object" && level < LEVELS_MAX)
            .then(|| serde_json::from_str::<Fields<'_>>(raw).ok())
            .flatten();
        let Some(fields) = fields else {
            return self.detail(name, &scalar_or_json(raw));
        };
        for (field, value) in &fields.0 {
            if self.details >= DETAILS_MAX {
                self.text.is_cut = true;
                return;
            }
            let dotted = format!("{prefix}{field}");
            self.flatten(&dotted, &format!("{dotted}."), value.get(), level + 1);
        }
    }

    fn detail(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() || name.is_empty() {
            return;
        }
        self.details += 1;
        if value.len() > LABEL_BYTES_MAX || value.contains('\n') {
            self.annotation(name, value);
        } else {
            self.label(name, value);
        }
    }

    /// Sets the link for people, if it is one that a browser may follow and none is set yet.
    pub fn link(&mut self, url: &str) {
        let is_web = url.starts_with("http://") || url.starts_with("https://");
        if is_web && self.text.generator_url.is_empty() {
            self.text.generator_url = SmolStr::new(url.trim());
        }
    }

    /// Sets what tells which CI it is about.
    pub fn hint(&mut self, hint: &str) {
        self.text.hint([SmolStr::new(hint)]);
    }

    /// The text, with the hash by which a repeat is told from a change. `time` is kept but not part of the hash.
    pub fn finish(self, summary: &str, time: &str) -> (AlertText, u64) {
        let Self { mut text, .. } = self;
        text.summary = SmolStr::new(summary.trim().lines().next().unwrap_or_default().trim_end());
        text.is_cut |= clean(&mut text.summary, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean(&mut text.generator_url, limits::TEXT_BYTES_MAX);
        text.is_cut |= clean_pairs(&mut text.labels, limits::LABEL_BYTES_MAX);
        text.is_cut |= clean_pairs(&mut text.annotations, limits::TEXT_BYTES_MAX);
        let hash = hash_of(&text);
        if !time.is_empty() {
            text.annotations.push(("timestamp".into(), time.into()));
            text.is_cut |= clean_pairs(&mut text.annotations, limits::TEXT_BYTES_MAX);
        }
        (text, hash)
    }
}

/// A text or number as it is; a list of such with commas between; anything else as JSON.
pub fn scalar_or_json(raw: &str) -> String {
    if let Ok(text) = json::scalar(raw) {
        return text.into_owned();
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let items: Result<Vec<_>, _> = items.iter().map(|item| json::scalar(item.get())).collect();
    match items {
        Ok(items) if !items.is_empty() => items.join(", "),
        Ok(_) if json::kind_of(raw) == "a list" => String::new(),
        Ok(_) | Err(_) => raw.to_owned(),
    }
}

/// The marks between the parts are bytes that no UTF-8 text holds.
fn hash_of(text: &AlertText) -> u64 {
    let mut parts = Vec::new();
    for pairs in [&text.labels, &text.annotations] {
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            parts.extend_from_slice(part.as_bytes());
            parts.push(0xff);
        }
        parts.push(0xfe);
    }
    parts.extend_from_slice(text.summary.as_bytes());
    parts.push(0xff);
    parts.extend_from_slice(text.generator_url.as_bytes());
    if let Some(hint) = &text.ci_hint {
        parts.push(0xfd);
        parts.extend_from_slice(hint.as_bytes());
    }
    xxh3_64(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(raw: &str) -> AlertText {
        let mut draft = TextDraft::default();
        draft.details("details", raw);
        draft.finish("s", "").0
    }

    #[test]
    fn nested_details_become_dotted_labels_and_prose_becomes_annotations() {
        let text = text_of(
            r#"{"host":"db1","n":1.50,"big":1e999,"a":{"b":{"c":true}},"tags":["x",2],"log":"1\n2","none":null,"e":[],
            "deep":[{"x":1}]}"#,
        );
        for (name, value) in [
            ("host", "db1"),
            ("n", "1.50"),
            ("big", "1e999"),
            ("a.b.c", "true"),
            ("tags", "x, 2"),
            ("deep", "[{\"x\":1}]"),
        ] {
            assert_eq!(text.label(name), Some(value), "{name}");
        }
        assert_eq!(text.labels.len(), 6);
        assert_eq!(text.annotations, [("log".into(), "1\n2".into())]);
        assert_eq!(text_of("\"plain\"").label("details"), Some("plain"));
    }

    #[test]
    fn details_are_bounded_in_number_and_depth() {
        let many: Vec<String> = (0..500).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = text_of(&format!("{{{}}}", many.join(",")));
        assert_eq!((text.labels.len(), text.is_cut), (DETAILS_MAX, true));
        let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
        assert_eq!(text_of(&deep).labels.len(), 1);
    }

    #[test]
    fn the_time_of_a_repeat_is_no_change_of_text() {
        let hash = |time| TextDraft::default().finish("s", time).1;
        assert_eq!(hash("2026-01-01"), hash("2026-01-02"));
        assert_ne!(hash(""), TextDraft::default().finish("t", "").1);
    }
}
