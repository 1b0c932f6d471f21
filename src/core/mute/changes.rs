//! The maintenance window of a change record that asks for one: its CIs and everything that depends on them, from its
//! planned begin to its end.
//!
//! Follows the record: moved with it, cancelled when it is over. Must not judge the change.

use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

use crate::core::draft::Draft;
use crate::core::mute::plan;
use crate::core::mute::scope::{NAMES_MAX, Scope};
use crate::core::mute::window::{Once, Origin, Plan, WINDOWS_MAX, WindowWanted};
use crate::core::records::ItChange;
use crate::core::time::Span;

/// Characters of a summary that the window's name takes.
const NAME_CHARS_MAX: usize = 60;
/// A change whose end nobody has planned hides its CIs no longer than this.
const LONGEST_UNPLANNED: Span = Span::from_hours(24);

impl Draft<'_> {
    /// Opens, moves or cancels the window of a change.
    pub(in crate::core) fn plan_window_of(&mut self, change: &ItChange) {
        let key = SmolStr::new(change.id.to_string());
        let state = self.world.state;
        let held = state.windows().of_change(&key).cloned();
        let wanted = wanted(change).filter(|it| it.plan.next(None, self.now).is_some());
        match (held, wanted) {
            (Some(held), Some(wanted)) if *held.wanted != wanted => {
                let mut window = (*held).clone();
                window.wanted = Arc::new(wanted);
                window.updated_at = self.now;
                plan::replan(self, window);
            }
            (Some(held), None) => plan::cancel(self, &held),
            (None, Some(wanted)) if state.windows().len() < WINDOWS_MAX => {
                let origin = Origin::Change(key);
                let window = plan::new(self.ids.window(), Arc::new(wanted), origin, self.now);
                plan::replan(self, window);
            }
            (None | Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// The window that a change asks for.
fn wanted(change: &ItChange) -> Option<WindowWanted> {
    let is_asked = change.opens_maintenance && !change.state.is_over() && !change.cis.is_empty();
    let starts_at = change.starts_at.filter(|_| is_asked)?;
    let unplanned = || starts_at.plus(LONGEST_UNPLANNED);
    let ends_at = change.ends_at.unwrap_or_else(unplanned);
    if ends_at <= starts_at {
        return None;
    }
    let summary: String = change.summary.chars().take(NAME_CHARS_MAX).collect();
    let by = change.by.clone().unwrap_or_else(|| change.source.clone());
    Some(WindowWanted {
        name: format_smolstr!("{}: {summary}", change.id),
        reason: change.summary.clone(),
        created_by: by,
        plan: Plan::Once(Once { starts_at, ends_at }),
        matchers: Vec::new(),
        scope: Scope {
            ci: change.cis.iter().take(NAMES_MAX).cloned().collect(),
            is_downstream: true,
            ..Scope::default()
        },
    })
}
