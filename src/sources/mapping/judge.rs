//! What one item means: nothing, or a claim about an alert with key, status, severity and times.
//!
//! A field that cannot be computed costs the field, with a note; only the key, the status and the conditions cost the
//! item. Must not look at a field that the mapping does not name.

use std::sync::Arc;

use smol_str::SmolStr;

use super::engine::{Expr, Scope};
use super::observe::{Observer, Outcome, Place};
use super::texts::hash_of;
use super::value::{self, Form, SHOWN_BYTES_MAX, shown};
use crate::core::identity::AlertKey;
use crate::core::observation::{Claim, Observation};
use crate::core::severity::Severity;
use crate::core::time::Timestamp;
use crate::sources::status_words::{Status, status_of};
use crate::sources::{Problem, severity_words, time_text};

impl Observer<'_> {
    /// What an item is that makes no claim about an alert; `None` when it makes one.
    pub(super) fn entrance(
        &self,
        scope: &Scope,
        place: &Place<'_>,
    ) -> Result<Option<Outcome>, Problem> {
        let fields = &self.mapping.fields;
        if flag(fields.test.as_ref(), "test", scope, place)? == Some(true) {
            return Ok(Some(Outcome::Test));
        }
        if flag(fields.when.as_ref(), "when", scope, place)? == Some(false) {
            return Ok(Some(Outcome::Skipped));
        }
        Ok(None)
    }

    pub(super) fn outcome(&mut self, scope: &Scope, place: &Place<'_>) -> Result<Outcome, Problem> {
        if let Some(outcome) = self.entrance(scope, place)? {
            return Ok(outcome);
        }
        let key = |this: &Self| Ok(own_id(&this.key(scope, place)?));
        if let Some(change) = self.change(scope, place, key)? {
            return Ok(Outcome::Changed(Box::new(change)));
        }
        let fields = &self.mapping.fields;
        let acknowledge = fields.acknowledge.as_ref();
        let status = match flag(acknowledge, "acknowledge", scope, place)? {
            Some(true) => Status::Acknowledged,
            Some(false) | None => self.status(scope, place)?,
        };
        let key = self.key(scope, place)?;
        let claim = match status {
            Status::Firing => Claim::Firing,
            Status::Resolved => Claim::Resolved,
            Status::Acknowledged => return Ok(Outcome::Acknowledged(key)),
        };
        let starts_at = self.time(fields.starts_at.as_ref(), "starts_at", scope, place);
        let ends_at = self.time(fields.ends_at.as_ref(), "ends_at", scope, place);
        let text = self.alert_text(scope, place, &key);
        let severity = self.severity(scope, place, text.label("severity"));
        let observation = Observation {
            key,
            claim,
            starts_at,
            ends_at: match claim {
                Claim::Resolved => ends_at,
                // An end that has passed does not go with a firing alert; only one to come bounds its validity.
                Claim::Firing => ends_at.filter(|&end| end > self.message.received_at),
            },
            severity,
            text_hash: hash_of(&text, &mut self.scratch),
            text: Arc::new(text),
            undelivered: 0,
            is_retained: self.message.envelope.is_retained,
        };
        Ok(Outcome::Observed(Box::new(observation)))
    }

    fn status(&self, scope: &Scope, place: &Place<'_>) -> Result<Status, Problem> {
        let Some(expr) = &self.mapping.fields.status else {
            return Ok(Status::Firing);
        };
        let value = expr.eval(scope).map_err(|cause| {
            place.problem(
                "status",
                format!("cannot be computed: {cause}{}", inputs(expr, scope)),
            )
        })?;
        match value::form(&value) {
            Form::Flag if value.is_true() => Ok(Status::Firing),
            Form::Flag => Ok(Status::Resolved),
            Form::Missing | Form::Text | Form::List | Form::Map => {
                let word = shown(&value, 64);
                let what = if word.is_empty() {
                    "gives nothing".to_owned()
                } else {
                    format!("gives {word:?}, which is no status")
                };
                let advice = "map what this sender says to 'firing' or 'resolved', or leave such items out with `when`";
                status_of(&word).ok_or_else(|| {
                    place.problem("status", format!("{what}{}; {advice}", inputs(expr, scope)))
                })
            }
        }
    }

    fn key(&self, scope: &Scope, place: &Place<'_>) -> Result<AlertKey, Problem> {
        let expr = &self.mapping.fields.key;
        let wrong = |cause: &str| {
            let advice = "map the key to something that every message of this sender has";
            place.problem("key", format!("{cause}{}; {advice}", inputs(expr, scope)))
        };
        let value = expr
            .eval(scope)
            .map_err(|cause| wrong(&format!("gives no key: {cause}")))?;
        let key = shown(&value, SHOWN_BYTES_MAX);
        let key = key.trim();
        if key.is_empty() {
            return Err(wrong("gives nothing"));
        }
        Ok(AlertKey::new(self.message.source, key))
    }

    fn severity(&mut self, scope: &Scope, place: &Place<'_>, label: Option<&str>) -> Severity {
        let Some(map) = &self.mapping.fields.severity else {
            return severity_words::severity_of(label.unwrap_or_default());
        };
        let word = self.text(Some(&map.from), "severity", scope, place);
        let word = word.trim();
        let listed = map
            .table
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|&(_, severity)| severity);
        if let Some(severity) = listed.or_else(|| severity_words::known(word)) {
            return severity;
        }
        let severity = map.default.unwrap_or(severity_words::DEFAULT);
        if map.default.is_none() && !word.is_empty() {
            let word = word.to_owned();
            self.note(
                &place.field("severity"),
                format!("{word:?} is in no table; taken as {}", severity.word()),
            );
        }
        severity
    }

    fn time(
        &mut self,
        expr: Option<&Expr>,
        field: &str,
        scope: &Scope,
        place: &Place<'_>,
    ) -> Option<Timestamp> {
        let text = self.text(expr, field, scope, place);
        time_text::read(&text).unwrap_or_else(|_| {
            self.note(
                &place.field(field),
                "is not a time that can be read; taken as not set".to_owned(),
            );
            None
        })
    }
}

/// The sender's part of a key.
fn own_id(key: &AlertKey) -> SmolStr {
    let text = key.text();
    SmolStr::new(text.splitn(3, ':').last().unwrap_or(text))
}

fn flag(
    expr: Option<&Expr>,
    field: &str,
    scope: &Scope,
    place: &Place<'_>,
) -> Result<Option<bool>, Problem> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    match expr.eval(scope) {
        Ok(value) => Ok(Some(value.is_true())),
        Err(cause) => Err(place.problem(
            field,
            format!("`{}` cannot be computed: {cause}", expr.source()),
        )),
    }
}

/// What an expression had to work with, for people.
fn inputs(expr: &Expr, scope: &Scope) -> String {
    let paths = expr.inputs();
    let told = paths.iter().map(|path| match scope.show(path, 100) {
        None => format!("`{path}` is missing"),
        Some(value) => format!("`{path}` is {value:?}"),
    });
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() {
        told
    } else {
        format!(" ({told})")
    }
}
