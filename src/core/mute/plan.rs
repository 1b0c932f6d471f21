//! What becomes of maintenance windows: made, changed, cancelled, planned, over.
//!
//! One occurrence is planned ahead; when it begins, the next is. A change of a window that is under way takes its
//! alerts along, so that nobody is told between the old and the new. Must not match alerts and must not do more than
//! a bounded part at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::{IdFeed, SilenceId, WindowId};
use crate::core::limits;
use crate::core::mute::window::{Origin, WINDOWS_MAX, Window, WindowChange, WindowWanted};
use crate::core::reason::Reason;
use crate::core::silence::{self, Silence, SilenceChange, SilenceState, SilenceUuid};
use crate::core::time::Timestamp;

/// Windows that one decision plans or brings in step with the configuration; the rest follows at once.
const WINDOWS_PER_DECISION: usize = 100;

/// The windows that the configuration asks for, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredWindows(Arc<BTreeMap<SmolStr, Arc<WindowWanted>>>);

impl FromIterator<WindowWanted> for ConfiguredWindows {
    fn from_iter<T: IntoIterator<Item = WindowWanted>>(all: T) -> Self {
        let all = all.into_iter();
        Self(Arc::new(
            all.map(|wanted| (wanted.name.clone(), Arc::new(wanted)))
                .collect(),
        ))
    }
}

/// An order about maintenance windows with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowGiven {
    /// What is wanted.
    pub order: WindowOrder,
    /// Who wants it: the token's name.
    pub actor: SmolStr,
}

/// What people can do about maintenance windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum WindowOrder {
    /// Make one.
    Make {
        /// What it shall be.
        wanted: WindowWanted,
        /// Where it comes from.
        origin: Origin,
    },
    /// Change one.
    Change {
        /// Which.
        window: WindowId,
        /// What it shall be.
        wanted: WindowWanted,
    },
    /// Cancel one; what still fires is told at once.
    Cancel {
        /// Which.
        window: WindowId,
    },
}

impl WindowOrder {
    /// The word of it in the audit.
    pub(in crate::core) const fn word(&self) -> &'static str {
        match self {
            Self::Make { .. } => "maintenance.make",
            Self::Change { .. } => "maintenance.change",
            Self::Cancel { .. } => "maintenance.cancel",
        }
    }

    /// Why, as far as it says so.
    pub(in crate::core) fn why(&self) -> Option<&str> {
        match self {
            Self::Make { wanted, .. } | Self::Change { wanted, .. } => Some(&wanted.reason),
            Self::Cancel { .. } => None,
        }
    }
}

/// Decides an order.
pub(in crate::core) fn decide_window(
    world: World<'_>,
    given: &WindowGiven,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let windows = world.state.windows();
    let (reason, window) = match &given.order {
        WindowOrder::Make { .. } if windows.len() >= WINDOWS_MAX => {
            return Decision::refused(Reason::TooManyWindows);
        }
        WindowOrder::Make { wanted, origin } => {
            if wanted.plan.next(None, now).is_none() {
                return Decision::refused(Reason::WindowIsPast);
            }
            let window = new(ids.window(), Arc::new(wanted.clone()), origin.clone(), now);
            (Reason::WindowMade, window)
        }
        WindowOrder::Change { window, wanted } => {
            let Some(before) = windows.get(*window) else {
                return Decision::refused(Reason::UnknownWindow);
            };
            if before.origin == Origin::Config {
                return Decision::refused(Reason::WindowIsConfigured);
            }
            if wanted.plan.next(None, now).is_none() {
                return Decision::refused(Reason::WindowIsPast);
            }
            let mut window = (**before).clone();
            window.wanted = Arc::new(wanted.clone());
            window.updated_at = now;
            (Reason::WindowChanged, window)
        }
        WindowOrder::Cancel { window } => {
            let Some(before) = windows.get(*window) else {
                return Decision::refused(Reason::UnknownWindow);
            };
            if before.origin == Origin::Config {
                return Decision::refused(Reason::WindowIsConfigured);
            }
            let mut draft = Draft::new(world, now, ids, Reason::WindowCancelled);
            draft.decision.window = Some(*window);
            cancel(&mut draft, before);
            return draft.finish();
        }
    };
    let mut draft = Draft::new(world, now, ids, reason);
    draft.decision.window = Some(window.id);
    replan(&mut draft, window);
    draft.finish()
}

/// Whether the windows are not those that the policy asks for, or one is to be planned.
pub fn is_outdated(world: World<'_>) -> bool {
    let (held, wanted) = (world.state.windows(), &world.rules.maintenance.0);
    held.configured_len() != wanted.len()
        || held.configured().any(|(name, window)| {
            wanted
                .get(name)
                .is_none_or(|wanted| *wanted != window.wanted)
        })
}

/// Brings the windows in step with the configuration, and plans what is due.
pub(in crate::core) fn decide_due(draft: &mut Draft<'_>) {
    let (windows, now) = (draft.world.state.windows(), draft.now);
    let wanted = Arc::clone(&draft.world.rules.maintenance.0);
    let mut left = WINDOWS_PER_DECISION;
    if is_outdated(draft.world) {
        for (name, window) in windows.configured() {
            if left > 0 && !wanted.contains_key(name) {
                cancel(draft, window);
                left = left.saturating_sub(1);
            }
        }
        for (name, wanted) in wanted.iter() {
            let held = windows.of_config(name);
            let is_same = held.is_some_and(|held| held.wanted == *wanted);
            if left == 0 || is_same {
                continue;
            }
            left = left.saturating_sub(1);
            let window = match held {
                Some(held) => Window {
                    wanted: Arc::clone(wanted),
                    updated_at: now,
                    ..(**held).clone()
                },
                None => new(draft.ids.window(), Arc::clone(wanted), Origin::Config, now),
            };
            replan(draft, window);
        }
        return;
    }
    for window in windows.due(now).take(left) {
        let mut window = (**window).clone();
        plan_next(draft, &mut window);
        put(draft, window);
    }
}

/// A silence is over: its window is too when it was the last one, unless the configuration holds on to it.
pub(in crate::core) fn occurrence_is_over(draft: &mut Draft<'_>, silence: &Silence) {
    let state = draft.world.state;
    let Some(window) = silence.window.and_then(|id| state.windows().get(id)) else {
        return;
    };
    let mut others = state.silences().of_window(window.id);
    let goes_on = others.any(|it| it.state(draft.now) != SilenceState::Expired);
    let is_last = window.plan_at.is_none() && window.origin != Origin::Config && !goes_on;
    if is_last || window.cancelled_at.is_some() {
        let over = WindowChange::Over(window.id);
        draft.decision.change(Change::Window(over));
    }
}

pub(super) fn new(
    id: WindowId,
    wanted: Arc<WindowWanted>,
    origin: Origin,
    now: Timestamp,
) -> Window {
    Window {
        id,
        wanted,
        origin,
        updated_at: now,
        planned: None,
        plan_at: None,
        cancelled_at: None,
    }
}

fn put(draft: &mut Draft<'_>, window: Window) {
    let change = WindowChange::Changed(Arc::new(window));
    draft.decision.change(Change::Window(change));
}

/// Ends what a window holds now and takes it off the plan.
pub(super) fn cancel(draft: &mut Draft<'_>, window: &Window) {
    for silence in draft.world.state.silences().of_window(window.id) {
        draft.decision.change(silence::ended(silence, draft.now));
    }
    let window = Window {
        cancelled_at: Some(draft.now),
        plan_at: None,
        ..window.clone()
    };
    let id = window.id;
    put(draft, window);
    let over = WindowChange::Over(id);
    draft.decision.change(Change::Window(over));
}

/// Plans a new or changed window from now on.
pub(super) fn replan(draft: &mut Draft<'_>, mut window: Window) {
    let (state, now) = (draft.world.state, draft.now);
    window.planned = None;
    window.plan_at = None;
    let before: Vec<Arc<Silence>> = state.silences().of_window(window.id).cloned().collect();
    let running = before
        .iter()
        .find(|it| it.state(now) == SilenceState::Active);
    let kept = running.filter(|it| has_same_extent(it, &window.wanted));
    for silence in before
        .iter()
        .filter(|it| kept.is_none_or(|kept| kept.id != it.id))
    {
        draft.decision.change(silence::ended(silence, now));
    }
    let next = window.wanted.plan.next(None, now);
    match (kept, next.filter(|next| next.starts_at <= now)) {
        // The same alerts: only begin, end and words are others.
        (Some(kept), Some(next)) => {
            let mut silence = (**kept).clone();
            silence.ends_at = next.ends_at;
            silence.comment = window.wanted.reason.clone();
            silence.created_by = window.wanted.created_by.clone();
            silence.updated_at = now;
            window.planned = Some(next.starts_at);
            window.plan_at = Some(now);
            let change = SilenceChange::Changed(Arc::new(silence));
            draft.decision.change(Change::Silence(change));
            plan_next(draft, &mut window);
        }
        (kept, _) => {
            if let Some(kept) = kept {
                draft.decision.change(silence::ended(kept, now));
            }
            let made = plan_next(draft, &mut window);
            if let (Some(made), Some(running)) = (made, running) {
                take_along(draft, running.id, made);
            }
        }
    }
    put(draft, window);
}

fn has_same_extent(silence: &Silence, wanted: &WindowWanted) -> bool {
    *silence.matchers == *wanted.matchers && *silence.scope == wanted.scope
}

/// Makes the silence of the next occurrence, unless there is none; returns one that holds already.
fn plan_next(draft: &mut Draft<'_>, window: &mut Window) -> Option<SilenceId> {
    let now = draft.now;
    let wanted = &window.wanted;
    let Some(next) = wanted.plan.next(window.planned, now) else {
        window.plan_at = None;
        return None;
    };
    let id = draft.ids.silence();
    let is_started = next.starts_at <= now;
    let silence = Silence {
        id,
        uuid: SilenceUuid::derive(id, now),
        matchers: wanted.matchers.clone().into(),
        starts_at: next.starts_at,
        ends_at: next.ends_at,
        created_by: wanted.created_by.clone(),
        comment: wanted.reason.clone(),
        updated_at: now,
        is_started,
        is_swept: false,
        once: None,
        scope: Arc::new(wanted.scope.clone()),
        window: Some(window.id),
    };
    let change = SilenceChange::Changed(Arc::new(silence));
    draft.decision.change(Change::Silence(change));
    window.planned = Some(next.starts_at);
    // Once it has begun; of one that has already, at the next look.
    window.plan_at = Some(next.starts_at.max(now));
    is_started.then_some(id)
}

/// Lets a new silence hold what the old one held, until a reader has compared them with it.
fn take_along(draft: &mut Draft<'_>, from: SilenceId, to: SilenceId) {
    let held = draft.world.state.silences().alerts_of(from);
    let held: Vec<_> = held.take(limits::DEADLINES_PER_DECISION).collect();
    for alert in held {
        let change = SilenceChange::Silenced(alert, to);
        draft.decision.change(Change::Silence(change));
    }
}
