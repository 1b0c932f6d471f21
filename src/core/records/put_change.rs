//! What an order makes of a change: a new one, or the one of its number or key with what is said taken over.
//!
//! Must not decide what a change has to do with incidents; `suspect` does.

use std::sync::Arc;

use smol_str::SmolStr;

use super::change::ChangeWanted;
use super::given::{RecordGiven, held};
use super::{CIS_MAX, ChangeState, ItChange, Kind, Record, RecordChange};
use crate::core::bind::{Subject, bind};
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::IdFeed;
use crate::core::reason::Reason;
use crate::core::state::State;
use crate::core::time::Timestamp;

/// Makes a change, or changes the one that is there.
pub(super) fn put_change(
    world: World<'_>,
    given: &RecordGiven,
    wanted: &ChangeWanted,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let records = world.state.records();
    let before = match (wanted.id, &wanted.key) {
        (Some(id), _) => match held(world, id, given) {
            Some(record) => Some(record),
            None => return Decision::refused(Reason::UnknownRecord),
        },
        (None, Some(key)) => records.find(Kind::Change, key).cloned(),
        (None, None) => None,
    };
    if let (Some(start), Some(end)) = (wanted.starts_at, wanted.ends_at)
        && end < start
    {
        return Decision::refused(Reason::ChangeEndsTooEarly);
    }
    let before = before.as_deref().and_then(Record::as_change);
    let mut after = match before {
        Some(before) => before.clone(),
        None => new_change(ids, wanted, now),
    };
    merge(&mut after, wanted, world, now);
    let mut draft = Draft::new(world, now, ids, Reason::ChangeRecorded);
    draft.decision.record = Some(after.id);
    if Some(&after) == before {
        return draft.finish();
    }
    after.updated_at = now;
    if before.is_none()
        && let Some(oldest) = records.surplus(Kind::Change)
    {
        draft.record(RecordChange::Forgotten(oldest));
    }
    draft.begin_change(&mut after);
    draft.suspect_change(&after);
    draft.plan_window_of(&after);
    draft.record(RecordChange::Put(Arc::new(Record::Change(after))));
    draft.finish()
}

fn new_change(ids: &mut IdFeed, wanted: &ChangeWanted, now: Timestamp) -> ItChange {
    let begins_later = wanted.starts_at.is_some_and(|at| at > now);
    let ends_later = wanted.ends_at.is_some_and(|at| at > now);
    let state = match (begins_later, ends_later) {
        (true, _) => ChangeState::Planned,
        (false, true) => ChangeState::InProgress,
        (false, false) => ChangeState::Successful,
    };
    let name = wanted.external_id.clone();
    ItChange {
        id: ids.record(Kind::Change),
        key: wanted.key.clone(),
        external_id: wanted.external_id.clone(),
        source: wanted.source.clone(),
        summary: name.unwrap_or_else(|| SmolStr::new_static("change")),
        description: SmolStr::default(),
        kind: SmolStr::new_static("normal"),
        state,
        risk: None,
        approval: None,
        cis: Vec::new(),
        by: None,
        url: SmolStr::default(),
        starts_at: None,
        ends_at: None,
        recorded_at: now,
        updated_at: now,
        noted_at: None,
        opens_maintenance: false,
        caused: Vec::new(),
    }
}

/// Takes over what is said; what is not said stays.
fn merge(change: &mut ItChange, wanted: &ChangeWanted, world: World<'_>, now: Timestamp) {
    let set = |to: &mut SmolStr, from: &Option<SmolStr>| {
        if let Some(from) = from.as_ref().filter(|text| !text.is_empty()) {
            *to = from.clone();
        }
    };
    set(&mut change.summary, &wanted.summary);
    set(&mut change.description, &wanted.description);
    set(&mut change.kind, &wanted.kind);
    set(&mut change.url, &wanted.url);
    for (to, from) in [
        (&mut change.risk, &wanted.risk),
        (&mut change.approval, &wanted.approval),
        (&mut change.by, &wanted.by),
        (&mut change.external_id, &wanted.external_id),
    ] {
        if from.is_some() {
            to.clone_from(from);
        }
    }
    if let Some(cis) = &wanted.cis {
        change.cis = resolve(world.state, cis);
    }
    change.starts_at = wanted.starts_at.or(change.starts_at);
    change.ends_at = wanted.ends_at.or(change.ends_at);
    change.opens_maintenance = wanted.opens_maintenance.unwrap_or(change.opens_maintenance);
    let Some(state) = wanted.state else {
        return;
    };
    let was_over = change.state.is_over();
    change.state = state;
    if state == ChangeState::InProgress && change.starts_at.is_none_or(|at| at > now) {
        change.starts_at = Some(now);
    }
    if state.is_over() && !was_over && wanted.ends_at.is_none() {
        // What was planned as its end is not when it ended.
        change.ends_at = Some(now);
    }
}

/// Whether a change is held just as it is wanted, so that an order to put it would come to nothing.
pub fn is_recorded(state: &State, wanted: &ChangeWanted) -> bool {
    let held = wanted.key.as_ref();
    let held = held.and_then(|key| state.records().find(Kind::Change, key));
    let Some(held) = held.and_then(|record| record.as_change()) else {
        return false;
    };
    let is_same = |wanted: &Option<SmolStr>, held: &SmolStr| {
        wanted.as_ref().is_none_or(|wanted| wanted == held)
    };
    let is_same_if =
        |wanted: &Option<SmolStr>, held: &Option<SmolStr>| wanted.is_none() || wanted == held;
    let texts = is_same(&wanted.summary, &held.summary)
        && is_same(&wanted.description, &held.description)
        && is_same(&wanted.kind, &held.kind)
        && is_same(&wanted.url, &held.url)
        && is_same_if(&wanted.risk, &held.risk)
        && is_same_if(&wanted.approval, &held.approval)
        && is_same_if(&wanted.by, &held.by);
    let cis = wanted.cis.as_ref();
    texts
        && cis.is_none_or(|cis| resolve(state, cis) == held.cis)
        && wanted.state.is_none_or(|state| state == held.state)
        && wanted.starts_at.is_none_or(|at| held.starts_at == Some(at))
        && wanted.ends_at.is_none_or(|at| held.ends_at == Some(at))
        && wanted
            .opens_maintenance
            .is_none_or(|opens| opens == held.opens_maintenance)
}

/// The CIs by their ids in the CMDB; a name that it does not know stays as it is.
pub(super) fn resolve(state: &State, names: &[SmolStr]) -> Vec<SmolStr> {
    let graph = state.graph();
    let mut cis: Vec<SmolStr> = Vec::new();
    for name in names.iter().take(CIS_MAX) {
        let by_name = || {
            let subject = Subject {
                source: "",
                labels: &[],
                annotations: &[],
                hint: Some(name.as_str()),
                rules: &[],
            };
            bind(graph, &subject).ci
        };
        let number = graph.find(name).or_else(by_name);
        let id = number.and_then(|number| graph.ci(number));
        let id = id.map_or_else(|| name.clone(), |ci| ci.id.clone());
        if !cis.contains(&id) {
            cis.push(id);
        }
    }
    cis
}

impl Draft<'_> {
    /// Takes a change as evidence once it touches the estate.
    pub(super) fn begin_change(&mut self, change: &mut ItChange) {
        let is_due = change.state == ChangeState::Planned
            && change.starts_at.is_some_and(|at| at <= self.now);
        if !change.state.has_begun() && !is_due {
            return;
        }
        let began = change.starts_at.filter(|at| *at <= self.now);
        let began = began.or(change.ends_at.filter(|at| *at <= self.now));
        change.noted_at = Some(change.noted_at.or(began).unwrap_or(self.now));
        if let Some(began) = began {
            change.noted_at = Some(began);
        }
        let at = change.noted_at.unwrap_or(self.now);
        let graph = self.world.state.graph();
        for ci in change.cis.iter().filter_map(|ci| graph.find(ci)) {
            self.decision.change(Change::ChangeNoted {
                ci,
                change: crate::core::correlate::forest::RecentChange {
                    at,
                    id: SmolStr::new(change.id.to_string()),
                },
                summary: change.summary.clone(),
            });
        }
    }
}
