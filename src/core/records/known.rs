//! Known errors: what is known about something that may come back, matched to incidents as they open.
//!
//! By signature, by CI, by the labels and the summary of an alert, or by a condition on it. Must not judge whether it fits; people do.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use super::{Kind, Link, Record, RecordChange, RecordId, Role};
use crate::core::alert::Alert;
use crate::core::alert_facts::ALERT_VARIABLES;
use crate::core::condition::{Condition, Facts, Section};
use crate::core::draft::Draft;
use crate::core::ids::IncidentId;
use crate::core::observation::AlertText;
use crate::core::reason::Reason;
use crate::core::silence::all_match;
use crate::core::silence::matcher::Matcher;
use crate::core::time::Timestamp;

/// A condition on an alert, kept as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SmolStr", into = "SmolStr")]
pub struct When {
    text: SmolStr,
    /// Nothing when the text is none by now; then it holds of nothing.
    condition: Option<Condition>,
}

impl When {
    /// Reads a condition.
    ///
    /// # Errors
    /// It is none, in words.
    pub fn compile(text: &str) -> Result<Self, String> {
        let condition =
            Condition::compile_with(Section::Other, "known error", text, &ALERT_VARIABLES)?;
        Ok(Self {
            text: SmolStr::new(text),
            condition: Some(condition),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &SmolStr {
        &self.text
    }

    fn holds(&self, facts: &Facts) -> bool {
        let condition = self.condition.as_ref();
        condition.is_some_and(|condition| condition.holds(facts).unwrap_or(false))
    }
}

impl From<SmolStr> for When {
    fn from(text: SmolStr) -> Self {
        let condition = None;
        Self::compile(&text).unwrap_or(Self { text, condition })
    }
}

impl From<When> for SmolStr {
    fn from(when: When) -> Self {
        when.text
    }
}

/// What is known about something that may come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownError {
    /// Its id.
    pub id: RecordId,
    /// One line for people.
    pub title: SmolStr,
    /// Whether it is matched to incidents.
    pub is_active: bool,
    /// The signature of an incident.
    #[serde(default)]
    pub signature: Option<SmolStr>,
    /// The CIs of an incident, any of them.
    #[serde(default)]
    pub cis: Vec<SmolStr>,
    /// Matchers on the labels of an alert, all of them.
    #[serde(default)]
    pub matchers: Vec<Matcher>,
    /// What an alert's summary holds, in any letter case.
    #[serde(default)]
    pub text: SmolStr,
    /// What is true of an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What is wrong.
    #[serde(default)]
    pub cause: SmolStr,
    /// How to live with it.
    #[serde(default)]
    pub workaround: SmolStr,
    /// Link to what to do.
    #[serde(default)]
    pub runbook_url: SmolStr,
    /// The problem that it is of.
    #[serde(default)]
    pub problem: Option<RecordId>,
    /// How many incidents it was matched to.
    #[serde(default)]
    pub matched: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What a known error shall be; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownErrorWanted {
    /// The known error; a new one without it.
    pub id: Option<RecordId>,
    /// One line for people.
    pub title: Option<SmolStr>,
    /// Whether it is matched.
    pub is_active: Option<bool>,
    /// The signature.
    pub signature: Option<SmolStr>,
    /// The CIs.
    pub cis: Option<Vec<SmolStr>>,
    /// The matchers.
    pub matchers: Option<Vec<Matcher>>,
    /// What a summary holds.
    pub text: Option<SmolStr>,
    /// What is true of an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What is wrong.
    pub cause: Option<SmolStr>,
    /// How to live with it.
    pub workaround: Option<SmolStr>,
    /// Link to what to do.
    pub runbook_url: Option<SmolStr>,
    /// The problem.
    pub problem: Option<RecordId>,
}

impl KnownError {
    /// Whether an alert is as it says; something must be said of alerts.
    fn is_of_alert(&self, text: &AlertText) -> bool {
        if self.is_of_incidents() {
            return false;
        }
        let is_matched = all_match(&self.matchers, |name| text.label(name));
        let holds = text
            .summary
            .to_lowercase()
            .contains(&self.text.to_lowercase());
        is_matched && holds
    }

    /// Whether nothing is said of alerts, so that signature or CI are enough.
    fn is_of_incidents(&self) -> bool {
        self.matchers.is_empty() && self.text.is_empty() && self.when.is_none()
    }
}

impl Draft<'_> {
    pub(super) fn match_by_signature(&mut self, incident: IncidentId, signature: &SmolStr) {
        let records = self.world.state.records();
        let ci = signature.strip_prefix("ci:");
        let fits = |known: &&KnownError| {
            let by_ci = ci.is_some_and(|ci| known.cis.iter().any(|it| it == ci));
            known.is_active
                && known.is_of_incidents()
                && (known.signature.as_ref() == Some(signature) || by_ci)
        };
        let known = records.of_kind(Kind::KnownError);
        let known = known.filter_map(|record| record.as_known_error());
        let known: Vec<_> = known.filter(fits).cloned().collect();
        for known in known {
            self.apply_known_error(incident, &known);
        }
    }

    /// Matches known errors to the alert that an incident was opened for, or that joined it.
    pub(in crate::core) fn match_known_errors(
        &mut self,
        incident: IncidentId,
        alert: &Alert,
        text: Option<&AlertText>,
    ) {
        let Some(text) = text.filter(|text| !text.is_blank()) else {
            return;
        };
        let state = self.world.state;
        let ci = alert.ci.and_then(|ci| state.graph().ci(ci));
        let facts = OnceCell::new();
        let holds = |when: &When| {
            when.holds(facts.get_or_init(|| Facts::of_alert(state, alert, text, self.now)))
        };
        let fits = |known: &&KnownError| {
            let is_there = known.cis.is_empty() || ci.is_some_and(|ci| known.cis.contains(&ci.id));
            known.is_active
                && is_there
                && known.is_of_alert(text)
                && known.when.as_ref().is_none_or(holds)
        };
        let known = state.records().of_kind(Kind::KnownError);
        let known = known.filter_map(|record| record.as_known_error());
        let known: Vec<_> = known.filter(fits).cloned().collect();
        for known in known {
            self.apply_known_error(incident, &known);
        }
    }

    fn apply_known_error(&mut self, incident: IncidentId, known: &KnownError) {
        let id = known.id;
        let is_there = self.world.state.records().link(incident, id).is_some()
            || self.is_linked_now(incident, id);
        if is_there {
            return;
        }
        let mut after = known.clone();
        after.matched = after.matched.saturating_add(1);
        self.record(RecordChange::Put(Arc::new(Record::KnownError(after))));
        self.touch(incident);
        let why = format!("{}: {}", known.title, known.workaround);
        let link = Link {
            role: Role::Related,
            score: 10_000,
            why: why.as_str().into(),
            by: None,
            at: self.now,
        };
        self.record(RecordChange::Linked(incident, id, link));
        self.say(Some(incident), None, Reason::KnownErrorMatched)
            .note = Some(format!("{id} {why}").into());
    }

    /// What people order about a known error; it is matched to what is open at once, as far as labels are not asked.
    pub(super) fn put_known_error(
        &mut self,
        before: Option<&KnownError>,
        wanted: &KnownErrorWanted,
    ) -> RecordId {
        let now = self.now;
        let mut known = match before {
            Some(before) => before.clone(),
            None => KnownError {
                id: self.ids.record(Kind::KnownError),
                title: SmolStr::new_static("known error"),
                is_active: true,
                signature: None,
                cis: Vec::new(),
                matchers: Vec::new(),
                text: SmolStr::default(),
                when: None,
                cause: SmolStr::default(),
                workaround: SmolStr::default(),
                runbook_url: SmolStr::default(),
                problem: None,
                matched: 0,
                made_at: now,
                updated_at: now,
            },
        };
        for (to, from) in [
            (&mut known.title, &wanted.title),
            (&mut known.text, &wanted.text),
            (&mut known.cause, &wanted.cause),
            (&mut known.workaround, &wanted.workaround),
            (&mut known.runbook_url, &wanted.runbook_url),
        ] {
            if let Some(from) = from {
                *to = from.clone();
            }
        }
        known.is_active = wanted.is_active.unwrap_or(known.is_active);
        known.signature = wanted.signature.clone().or(known.signature);
        known.when = wanted.when.clone().or(known.when);
        known.problem = wanted.problem.or(known.problem);
        if let Some(cis) = &wanted.cis {
            known.cis = super::put_change::resolve(self.world.state, cis);
        }
        if let Some(matchers) = &wanted.matchers {
            known.matchers.clone_from(matchers);
        }
        known.updated_at = now;
        let id = known.id;
        self.record(RecordChange::Put(Arc::new(Record::KnownError(
            known.clone(),
        ))));
        if known.is_active && known.is_of_incidents() {
            let state = self.world.state;
            let cis = known.cis.iter().map(|ci| format_smolstr!("ci:{ci}"));
            let signatures: BTreeSet<SmolStr> = cis.chain(known.signature.clone()).collect();
            let occurrences = state.records().occurrences();
            let met = signatures.iter().flat_map(|signature| {
                occurrences.since(signature, Timestamp::from_millis(i64::MIN))
            });
            let is_open =
                |id: &IncidentId| state.incident(*id).is_some_and(|it| it.state.is_open());
            let open: BTreeSet<IncidentId> = met.filter(is_open).collect();
            for incident in open {
                self.apply_known_error(incident, &known);
            }
        }
        id
    }
}
