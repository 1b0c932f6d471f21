//! The silences that are pending or active, and which firing alerts they silence.
//!
//! Held per alert only where there is a silence. Must not decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Silence, SilenceChange, SilenceState};
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::ids::{AlertId, SilenceId, WindowId};
use crate::core::mute::scope::{self, Cover, lower, texts_of};
use crate::core::time::Timestamp;

/// The label by which silences are found first; nearly every one names it.
const ALERTNAME: &str = "alertname";

/// Silences by id, with their indexes.
#[derive(Clone, Debug, Default)]
pub struct Silences {
    by_id: BTreeMap<SilenceId, Arc<Silence>>,
    by_name: BTreeMap<SmolStr, BTreeSet<SilenceId>>,
    nameless: BTreeSet<SilenceId>,
    covers: BTreeMap<SilenceId, Cover>,
    by_ci: BTreeSet<(CiNumber, SilenceId)>,
    by_text: BTreeSet<(SmolStr, SilenceId)>,
    by_class: BTreeSet<(SmolStr, SilenceId)>,
    by_site: BTreeSet<(SmolStr, SilenceId)>,
    due: BTreeSet<(Timestamp, SilenceId)>,
    of_silence: BTreeSet<(SilenceId, AlertId)>,
    of_alert: BTreeSet<(AlertId, SilenceId)>,
}

/// Two are equal when they hold the same silences and alerts; the indexes follow from those.
impl PartialEq for Silences {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id && self.of_alert == other.of_alert && self.covers == other.covers
    }
}

/// What silences are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a, L> {
    /// The CMDB.
    pub graph: &'a Graph,
    /// The CI that the alert is about.
    pub ci: Option<CiNumber>,
    /// The value of a label.
    pub label: L,
}

impl Silences {
    /// The silence with that number, unless it is over.
    pub fn get(&self, id: SilenceId) -> Option<&Arc<Silence>> {
        self.by_id.get(&id)
    }

    /// Every silence that is not over, in order of making.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The silence that was made by an order with that key.
    pub fn made_once(&self, once: u64) -> Option<&Arc<Silence>> {
        self.iter().find(|silence| silence.once == Some(once))
    }

    /// The silences that keep people from being told of an alert, in order of making.
    pub fn of(&self, alert: AlertId) -> impl Iterator<Item = &Arc<Silence>> {
        let (first, last) = (SilenceId::FIRST, SilenceId::LAST);
        let range = self.of_alert.range((alert, first)..=(alert, last));
        range.filter_map(|(_, id)| self.get(*id))
    }

    /// Whether any silence does.
    pub fn is_silenced(&self, alert: AlertId) -> bool {
        self.of(alert).next().is_some()
    }

    /// Whether this silence does.
    pub fn has(&self, alert: AlertId, silence: SilenceId) -> bool {
        self.of_alert.contains(&(alert, silence))
    }

    /// The alerts that a silence keeps people from being told of.
    pub fn alerts_of(&self, silence: SilenceId) -> impl Iterator<Item = AlertId> {
        let (first, last) = (AlertId::FIRST, AlertId::LAST);
        let range = self.of_silence.range((silence, first)..=(silence, last));
        range.map(|(_, alert)| *alert)
    }

    /// The silences that are active and match an alert. Looks only at those that name its `alertname`, CI, class or
    /// site, and at those that name none of these.
    pub fn matching<'a, L: Fn(&str) -> Option<&'a str>>(
        &self,
        now: Timestamp,
        subject: &Subject<'a, L>,
    ) -> Vec<SilenceId> {
        let Subject { graph, ci, label } = subject;
        let named = label(ALERTNAME).and_then(|name| self.by_name.get(name));
        let mut candidates: BTreeSet<SilenceId> = named
            .into_iter()
            .flatten()
            .chain(&self.nameless)
            .copied()
            .collect();
        match ci {
            Some(ci) => candidates.extend(of(&self.by_ci, *ci)),
            None if self.by_text.is_empty() => {}
            None => {
                for text in texts_of(label) {
                    candidates.extend(of(&self.by_text, lower(text)));
                }
            }
        }
        if let Some(class) = scope::class_of(graph, *ci).filter(|_| !self.by_class.is_empty()) {
            candidates.extend(of(&self.by_class, lower(class)));
        }
        if !self.by_site.is_empty()
            && let Some(site) = scope::site_of(graph, *ci, label)
        {
            candidates.extend(of(&self.by_site, lower(site)));
        }
        let silences = candidates.iter().filter_map(|id| self.get(*id));
        silences
            .filter(|it| it.state(now) == SilenceState::Active && self.is_match(it, subject))
            .map(|silence| silence.id)
            .collect()
    }

    /// Whether a silence matches an alert: its matchers and its scope.
    pub fn is_match<'a, L: Fn(&str) -> Option<&'a str>>(
        &self,
        silence: &Silence,
        subject: &Subject<'a, L>,
    ) -> bool {
        let Subject { graph, ci, label } = subject;
        let is_meant = |cover: &Cover| cover.is_match(graph, *ci, label);
        silence.is_match(label) && self.covers.get(&silence.id).is_none_or(is_meant)
    }

    /// Those that are about some CIs only.
    pub fn scoped(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.covers.keys().filter_map(|id| self.get(*id))
    }

    /// Those that are occurrences of a maintenance window, in order of making.
    pub fn of_window(&self, window: WindowId) -> impl Iterator<Item = &Arc<Silence>> {
        self.iter().filter(move |it| it.window == Some(window))
    }

    /// Whether any is active.
    pub fn is_any_active(&self, now: Timestamp) -> bool {
        self.iter().any(|it| it.state(now) == SilenceState::Active)
    }

    /// When the next begins or ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Those that began or ended by now, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Silence>> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.get(*id))
    }

    /// Makes a change true; also used to load.
    pub fn apply(&mut self, change: &SilenceChange, graph: &Graph) {
        match change {
            SilenceChange::Changed(silence) => self.put(silence, graph),
            SilenceChange::Over(id) => self.remove(*id),
            SilenceChange::Silenced(alert, silence) => {
                self.of_alert.insert((*alert, *silence));
                self.of_silence.insert((*silence, *alert));
            }
            SilenceChange::Unsilenced(alert, silence) => {
                self.of_alert.remove(&(*alert, *silence));
                self.of_silence.remove(&(*silence, *alert));
            }
            // The store keeps the list; a reader works it off.
            SilenceChange::Unchecked(_) | SilenceChange::Checked(_) => {}
        }
    }

    /// Looks up again what every scope names; the CMDB has changed.
    pub(in crate::core) fn regraph(&mut self, graph: &Graph) {
        let scoped: Vec<_> = self.scoped().cloned().collect();
        for silence in scoped {
            self.displace(&silence);
            self.place(&silence, graph);
        }
    }

    fn put(&mut self, silence: &Arc<Silence>, graph: &Graph) {
        let before = self.by_id.insert(silence.id, Arc::clone(silence));
        if let Some(before) = &before {
            self.due.remove(&(before.due_at(), before.id));
        }
        self.due.insert((silence.due_at(), silence.id));
        // Matchers and scope of a silence never change.
        if before.is_none() {
            self.place(silence, graph);
        }
    }

    /// Puts a silence where alerts find it, in one of the indexes.
    fn place(&mut self, silence: &Silence, graph: &Graph) {
        let id = silence.id;
        let cover = (!silence.scope.is_everything()).then(|| silence.scope.cover(graph));
        match (exact_name(silence), &cover) {
            (Some(name), _) => {
                self.by_name.entry(name.clone()).or_default().insert(id);
            }
            (None, Some(cover)) => match &cover.cis {
                Some(cis) => {
                    self.by_ci.extend(cis.iter().map(|ci| (*ci, id)));
                    let texts = cover.texts.iter().cloned();
                    self.by_text.extend(texts.map(|text| (text, id)));
                }
                None if cover.classes.is_empty() => {
                    let sites = cover.sites.iter().cloned();
                    self.by_site.extend(sites.map(|site| (site, id)));
                }
                None => {
                    let classes = cover.classes.iter().cloned();
                    self.by_class.extend(classes.map(|class| (class, id)));
                }
            },
            (None, None) => {
                self.nameless.insert(id);
            }
        }
        if let Some(cover) = cover {
            self.covers.insert(id, cover);
        }
    }

    fn displace(&mut self, silence: &Silence) {
        let id = silence.id;
        self.nameless.remove(&id);
        if let Some(cover) = self.covers.remove(&id) {
            for ci in cover.cis.into_iter().flatten() {
                self.by_ci.remove(&(ci, id));
            }
            for text in cover.texts {
                self.by_text.remove(&(text, id));
            }
            for class in cover.classes {
                self.by_class.remove(&(class, id));
            }
            for site in cover.sites {
                self.by_site.remove(&(site, id));
            }
        }
        if let Some(name) = exact_name(silence)
            && let Some(ids) = self.by_name.get_mut(name)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    fn remove(&mut self, id: SilenceId) {
        let Some(silence) = self.by_id.remove(&id) else {
            return;
        };
        self.due.remove(&(silence.due_at(), id));
        self.displace(&silence);
    }
}

/// The silences under one word of an index.
fn of<K: Ord + Clone>(
    index: &BTreeSet<(K, SilenceId)>,
    word: K,
) -> impl Iterator<Item = SilenceId> {
    let range = (word.clone(), SilenceId::FIRST)..=(word, SilenceId::LAST);
    index.range(range).map(|(_, id)| *id)
}

fn exact_name(silence: &Silence) -> Option<&SmolStr> {
    let named = silence.matchers.iter().filter(|it| it.name() == ALERTNAME);
    // `alertname=""` also means alerts without that label, which are not found by their name.
    named
        .filter_map(|matcher| matcher.exactly())
        .find(|name| !name.is_empty())
}
