//! What the state holds about windows, flapping and variants. Must not decide.

use crate::core::flap::{FlapChange, Flaps};
use crate::core::mute::window::{WindowChange, Windows};
use crate::core::state::State;
use crate::core::variant::{VariantChange, Variants};

impl State {
    /// The maintenance windows that are not over.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Changes maintenance windows, as [`State::apply`] does; also used to load.
    pub fn put_window(&mut self, change: &WindowChange) {
        self.windows.apply(change);
    }

    /// The last alert of each trouble that has variants.
    pub fn variants(&self) -> &Variants {
        &self.variants
    }

    /// Changes what is known of them, as [`State::apply`] does; also used to load.
    pub fn put_variant(&mut self, change: &VariantChange) {
        self.variants.apply(change);
    }

    /// The alerts that came back not long ago.
    pub fn flaps(&self) -> &Flaps {
        &self.flaps
    }

    /// Changes what is remembered of them, as [`State::apply`] does; also used to load.
    pub fn put_flap(&mut self, change: &FlapChange) {
        self.flaps.apply(change);
    }
}
