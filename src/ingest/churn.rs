//! Labels that never stay the same: one lasting trouble that comes as ever new alerts, one after the other.
//!
//! A rule whose alerts follow each other without a gap, each with an end before or soon after the next begins, and each
//! with another value of some label, is told once with the names of these labels. Many alerts of one rule at the same
//! time are breadth, not churn. Memory is bounded: rules per source, variants per rule, labels per variant. Must not
//! change what is decided about the alerts.

use std::collections::{BTreeMap, VecDeque};

use smol_str::SmolStr;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::identity::KeyHash;
use crate::core::observation::{AlertText, Claim, Observation};
use crate::core::time::{Span, Timestamp};

/// Variants in a row from which a label counts as volatile; as many are remembered per rule.
pub const VARIANTS: usize = 8;
/// The next variant begins at most so long after the end of the one before, or it is another trouble.
pub const GAP_MAX: Span = Span::from_mins(15);
/// Variants that may fire at the same time, when the old one ends after the new one began.
const OVERLAP_MAX: usize = 2;
/// Rules watched per source; the one that was quiet for longest is forgotten first.
const RULES_MAX: usize = 32;
/// Labels watched per rule.
const LABELS_MAX: usize = 32;
/// Observations watched per message: a message with more is breadth.
const OBSERVATIONS_MAX: usize = 500;
/// A finding is shown for so long after its last variant.
const SHOWN: Span = Span::from_hours(24);
/// Labels that name the rule of an alert, the best first.
const RULE_LABELS: [&str; 4] = ["alertname", "rule", "check", "trigger"];

/// A rule whose alerts differ by labels that never stay the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volatile {
    /// The rule.
    pub alertname: String,
    /// The labels, by name.
    pub labels: Vec<String>,
    /// How many variants came so far.
    pub variants: u32,
}

impl Volatile {
    /// What is told to people.
    pub fn warning(&self) -> String {
        let (name, variants) = (&self.alertname, self.variants);
        let (labels, are) = match self.labels.as_slice() {
            [one] => (format!("the label {one}"), "is"),
            many => (format!("the labels {}", many.join(", ")), "are"),
        };
        format!(
            "{name} came as {variants} alerts one after the other because {labels} never stayed the same; \
             leave out of the alert, or of its key, what {are} volatile"
        )
    }
}

/// What was seen of the rules of one source.
#[derive(Debug, Default)]
pub struct Churn {
    rules: BTreeMap<SmolStr, Rule>,
}

#[derive(Debug, Default)]
struct Rule {
    /// Names of labels, of the first variant.
    names: Vec<SmolStr>,
    /// The last ones, in order of their begin.
    variants: VecDeque<Variant>,
    changed_at: Option<Timestamp>,
    found: Option<Volatile>,
}

#[derive(Debug)]
struct Variant {
    key: KeyHash,
    ended_at: Option<Timestamp>,
    /// Hashes of the values of the rule's labels.
    values: Vec<u64>,
}

impl Churn {
    /// Takes the claims of a message; returns what was found by them for the first time.
    pub fn note(&mut self, observations: &[Observation], now: Timestamp) -> Vec<Volatile> {
        let watched = observations.iter().take(OBSERVATIONS_MAX);
        watched
            .filter_map(|observation| {
                let text = &observation.text;
                let name = RULE_LABELS.iter().find_map(|name| text.label(name))?;
                match observation.claim {
                    Claim::Firing => self.firing(name, observation, now),
                    Claim::Resolved => {
                        self.resolved(name, observation.key.hash(), now);
                        None
                    }
                }
            })
            .collect()
    }

    /// What was found and is still going on.
    pub fn found(&self, now: Timestamp) -> Vec<Volatile> {
        let is_shown = |rule: &&Rule| rule.changed_at.is_some_and(|at| now.since(at) <= SHOWN);
        let rules = self.rules.values().filter(is_shown);
        rules.filter_map(|rule| rule.found.clone()).collect()
    }

    fn resolved(&mut self, name: &str, key: KeyHash, now: Timestamp) {
        let Some(rule) = self.rules.get_mut(name) else {
            return;
        };
        let mut variants = rule.variants.iter_mut();
        if let Some(variant) = variants.find(|variant| variant.key == key) {
            variant.ended_at.get_or_insert(now);
        }
    }

    fn firing(
        &mut self,
        name: &str,
        observation: &Observation,
        now: Timestamp,
    ) -> Option<Volatile> {
        let key = observation.key.hash();
        if let Some(rule) = self.rules.get_mut(name) {
            let mut variants = rule.variants.iter_mut();
            if let Some(variant) = variants.find(|variant| variant.key == key) {
                variant.ended_at = None;
                return None;
            }
        } else if self.rules.len() >= RULES_MAX {
            let quiet = self.rules.iter().min_by_key(|(_, rule)| rule.changed_at);
            let quiet = quiet.map(|(name, _)| name.clone());
            quiet.map(|name| self.rules.remove(&name));
        }
        let rule = self.rules.entry(SmolStr::new(name)).or_default();
        rule.begin(name, key, &observation.text, now)
    }
}

impl Rule {
    /// Another variant begins.
    fn begin(
        &mut self,
        name: &str,
        key: KeyHash,
        text: &AlertText,
        now: Timestamp,
    ) -> Option<Volatile> {
        if !self.follows(now) {
            self.variants.clear();
            self.found = None;
        }
        if self.variants.is_empty() {
            let names = text.labels.iter().map(|(name, _)| name.clone());
            self.names = names.take(LABELS_MAX).collect();
        }
        if self.variants.len() >= VARIANTS {
            self.variants.pop_front();
        }
        let value = |name: &SmolStr| xxh3_64(text.label(name).unwrap_or_default().as_bytes());
        self.variants.push_back(Variant {
            key,
            ended_at: None,
            values: self.names.iter().map(value).collect(),
        });
        self.changed_at = Some(now);
        if let Some(found) = &mut self.found {
            found.variants = found.variants.saturating_add(1);
            return None;
        }
        let labels = self.volatile();
        if labels.is_empty() {
            return None;
        }
        self.found = Some(Volatile {
            alertname: name.to_owned(),
            labels,
            variants: u32::try_from(self.variants.len()).unwrap_or(u32::MAX),
        });
        self.found.clone()
    }

    /// Whether what begins now may be the same trouble: the last one still fires, or ended a short while ago.
    fn follows(&self, now: Timestamp) -> bool {
        let firing = self.variants.iter().filter(|it| it.ended_at.is_none());
        let is_narrow = firing.count() < OVERLAP_MAX;
        let last = self.variants.iter().map(|it| it.ended_at.unwrap_or(now));
        is_narrow && last.max().is_some_and(|at| now.since(at) <= GAP_MAX)
    }

    /// The labels that were never the same, once there are enough variants.
    fn volatile(&self) -> Vec<String> {
        if self.variants.len() < VARIANTS {
            return Vec::new();
        }
        let is_volatile = |index: &usize| {
            let values = self.variants.iter().map(|it| it.values.get(*index));
            let mut values: Vec<_> = values.collect();
            values.sort_unstable();
            values.dedup();
            values.len() == self.variants.len()
        };
        let indexes = (0..self.names.len()).filter(is_volatile);
        let names = indexes.filter_map(|index| self.names.get(index));
        names.map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::AlertKey;
    use crate::core::severity::Severity;
    use std::sync::Arc;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(0).plus(Span::from_mins(minute))
    }

    fn observation(pod: usize, host: &str, claim: Claim) -> Observation {
        let pod = format!("web-{pod}");
        Observation {
            key: AlertKey::new("am", &pod),
            claim,
            starts_at: None,
            ends_at: None,
            severity: Severity::High,
            text_hash: 0,
            text: Arc::new(AlertText {
                labels: [("alertname", "Down"), ("host", host), ("pod", &pod)]
                    .map(|(name, value)| (name.into(), value.into()))
                    .to_vec(),
                ..AlertText::default()
            }),
            undelivered: 0,
            is_retained: false,
        }
    }

    /// Every variant ends after ten minutes, and the next begins `gap` minutes later.
    fn outage(churn: &mut Churn, variants: usize, gap: i64) -> Vec<Volatile> {
        let mut found = Vec::new();
        let mut minute = 0;
        for pod in 0..variants {
            found.extend(churn.note(&[observation(pod, "a", Claim::Firing)], at(minute)));
            minute += 10;
            churn.note(&[observation(pod, "a", Claim::Resolved)], at(minute));
            minute += gap;
        }
        found
    }

    #[test]
    fn a_row_of_variants_names_the_label_once() {
        let mut churn = Churn::default();
        assert_eq!(outage(&mut churn, VARIANTS - 1, 10), []);
        let mut churn = Churn::default();
        let found = outage(&mut churn, 30, 10);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels, ["pod"]);
        let shown = churn.found(at(30 * 20));
        assert_eq!((shown[0].variants, shown.len()), (30, 1));
        assert!(shown[0].warning().contains("the label pod never stayed"));
        assert_eq!(churn.found(at(30 * 20).plus(SHOWN)), []);
    }

    #[test]
    fn the_next_may_begin_before_the_last_one_ends() {
        let mut churn = Churn::default();
        let mut found = Vec::new();
        for pod in 0..VARIANTS {
            let minute = i64::try_from(pod).unwrap() * 10;
            found.extend(churn.note(&[observation(pod, "a", Claim::Firing)], at(minute)));
            if let Some(before) = pod.checked_sub(1) {
                churn.note(&[observation(before, "a", Claim::Resolved)], at(minute + 1));
            }
        }
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn breadth_repeats_and_rare_alerts_are_no_churn() {
        let mut churn = Churn::default();
        let many: Vec<_> = (0..100)
            .map(|pod| observation(pod, "a", Claim::Firing))
            .collect();
        let ends: Vec<_> = (0..100)
            .map(|pod| observation(pod, "a", Claim::Resolved))
            .collect();
        for minute in 0..10 {
            assert_eq!(churn.note(&many, at(minute * 10)), [], "at the same time");
            churn.note(&ends, at(minute * 10 + 5));
        }
        let mut churn = Churn::default();
        assert_eq!(outage(&mut churn, 30, 16), [], "with gaps between");
        for minute in 0..100 {
            let pod = usize::try_from(minute % 2).unwrap();
            assert_eq!(
                churn.note(&[observation(pod, "a", Claim::Firing)], at(1000 + minute)),
                []
            );
            churn.note(&[observation(pod, "a", Claim::Resolved)], at(1000 + minute));
        }
    }

    #[test]
    fn rules_are_bounded() {
        let mut churn = Churn::default();
        for rule in 0..1000 {
            let mut observation = observation(0, "a", Claim::Firing);
            observation.text = Arc::new(AlertText {
                labels: vec![("alertname".into(), format!("rule-{rule}").into())],
                ..AlertText::default()
            });
            churn.note(&[observation], at(rule));
        }
        assert_eq!(churn.rules.len(), RULES_MAX);
    }
}
