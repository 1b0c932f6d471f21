//! Maintenance windows: planned times in which people are not told of some CIs or alerts, once or again and again.
//!
//! Each occurrence of a window is a silence of its own kind, made when the one before begins, so that the edges, the
//! restart and the explanation are those of silences, and an alert meets only the occurrences of now. Must not match
//! alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::ids::WindowId;
use crate::core::mute::Scope;
use crate::core::recurrence::{Occurrence, Recurrence};
use crate::core::silence::matcher::Matcher;
use crate::core::time::Timestamp;

/// Windows that are not over; more are refused.
pub const WINDOWS_MAX: usize = 1_000;

/// When a window holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Plan {
    /// Once.
    Once(Once),
    /// Again and again.
    Recurring(Recurrence),
}

/// From one time to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// From then on.
    pub starts_at: Timestamp,
    /// Until then.
    pub ends_at: Timestamp,
}

impl Plan {
    /// The first occurrence that begins after `after` and is not over at `now`.
    pub fn next(&self, after: Option<Timestamp>, now: Timestamp) -> Option<Occurrence> {
        match self {
            Self::Once(Once { starts_at, ends_at }) => {
                let is_left = *ends_at > now && after.is_none_or(|after| *starts_at > after);
                is_left.then_some(Occurrence {
                    starts_at: *starts_at,
                    ends_at: *ends_at,
                })
            }
            Self::Recurring(recurrence) => recurrence.next(after, now),
        }
    }
}

/// Where a window comes from; only those that were made over the API are changed there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Made over the API or the command line.
    Api,
    /// Written in the configuration, under its name.
    Config,
    /// A change record, by its id.
    Change(SmolStr),
}

impl Origin {
    /// The word used in API and store.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Config => "config",
            Self::Change(_) => "change",
        }
    }
}

/// What a window shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowWanted {
    /// What people call it.
    pub name: SmolStr,
    /// Why people are not told.
    pub reason: SmolStr,
    /// Who wants it, in their own words.
    pub created_by: SmolStr,
    /// When.
    pub plan: Plan,
    /// All of them must match; none means every alert of the scope.
    #[serde(default)]
    pub matchers: Vec<Matcher>,
    /// Which CIs.
    #[serde(default)]
    pub scope: Scope,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its number.
    pub id: WindowId,
    /// What it is.
    pub wanted: Arc<WindowWanted>,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was made or changed last.
    pub updated_at: Timestamp,
    /// The begin of the last occurrence for which there is a silence.
    pub planned: Option<Timestamp>,
    /// When the occurrence after that is planned; `None` when there is none.
    pub plan_at: Option<Timestamp>,
    /// When somebody cancelled it.
    pub cancelled_at: Option<Timestamp>,
}

impl Window {
    /// What it is, as names and values for the audit.
    pub(in crate::core) fn values(&self) -> Vec<(SmolStr, SmolStr)> {
        let wanted = &self.wanted;
        let when = match &wanted.plan {
            Plan::Once(Once { starts_at, ends_at }) => {
                let shown = |at: &Timestamp| {
                    let at = jiff::Timestamp::from_millisecond(at.as_millis());
                    at.unwrap_or_default()
                };
                format!("{:.3} to {:.3}", shown(starts_at), shown(ends_at))
            }
            Plan::Recurring(recurrence) => {
                let seconds = recurrence.duration().as_millis().div_euclid(1_000);
                format!("{} for {seconds} s", recurrence.rule())
            }
        };
        let scope = &wanted.scope;
        let lists = [&scope.ci, &scope.class, &scope.site, &scope.service];
        let names: Vec<&str> = lists.into_iter().flatten().map(SmolStr::as_str).collect();
        let matchers: Vec<String> = wanted.matchers.iter().map(ToString::to_string).collect();
        let mut values = vec![
            ("name".into(), wanted.name.clone()),
            ("when".into(), when.into()),
            ("reason".into(), wanted.reason.clone()),
        ];
        if !names.is_empty() {
            values.push(("scope".into(), names.join(", ").into()));
        }
        if !matchers.is_empty() {
            values.push(("matchers".into(), matchers.join(", ").into()));
        }
        if self.cancelled_at.is_some() {
            values.push(("state".into(), "cancelled".into()));
        }
        values
    }
}

/// One change of maintenance windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowChange {
    /// A window was made, changed, planned or cancelled.
    Changed(Arc<Window>),
    /// A window is over, or cancelled, and is no longer held in memory.
    Over(WindowId),
}

/// The windows that are not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    by_id: BTreeMap<WindowId, Arc<Window>>,
    configured: BTreeMap<SmolStr, WindowId>,
    due: BTreeSet<(Timestamp, WindowId)>,
}

impl Windows {
    /// The window with that number.
    pub fn get(&self, id: WindowId) -> Option<&Arc<Window>> {
        self.by_id.get(&id)
    }

    /// Every window, in order of making.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Window>> {
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

    /// Those that are written in the configuration, by name.
    pub fn configured(&self) -> impl Iterator<Item = (&SmolStr, &Arc<Window>)> {
        let all = self.configured.iter();
        all.filter_map(|(name, id)| Some((name, self.get(*id)?)))
    }

    /// How many of those there are.
    pub fn configured_len(&self) -> usize {
        self.configured.len()
    }

    /// The one that is written in the configuration under that name.
    pub fn of_config(&self, name: &str) -> Option<&Arc<Window>> {
        self.get(*self.configured.get(name)?)
    }

    /// The one that belongs to a change record.
    pub fn of_change(&self, change: &str) -> Option<&Arc<Window>> {
        self.iter()
            .find(|it| matches!(&it.origin, Origin::Change(id) if id == change))
    }

    /// When the next occurrence is to be planned.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Those of which the next occurrence is to be planned by now.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Window>> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.get(*id))
    }

    /// Makes a change true; also used to load.
    pub(in crate::core) fn apply(&mut self, change: &WindowChange) {
        match change {
            WindowChange::Changed(window) => {
                self.remove(window.id);
                if window.origin == Origin::Config {
                    let name = window.wanted.name.clone();
                    self.configured.insert(name, window.id);
                }
                if let Some(at) = window.plan_at {
                    self.due.insert((at, window.id));
                }
                self.by_id.insert(window.id, Arc::clone(window));
            }
            WindowChange::Over(id) => self.remove(*id),
        }
    }

    fn remove(&mut self, id: WindowId) {
        let Some(before) = self.by_id.remove(&id) else {
            return;
        };
        if before.origin == Origin::Config {
            self.configured.remove(&before.wanted.name);
        }
        if let Some(at) = before.plan_at {
            self.due.remove(&(at, id));
        }
    }
}
