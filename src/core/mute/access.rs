//! What the state holds about windows, flapping, variants and inhibition. Must not decide.

use crate::core::flap::{FlapChange, Flaps};
use crate::core::fold::{FoldChange, Folds};
use crate::core::mute::inhibit::{InhibitChange, Inhibitions};
use crate::core::mute::window::{WindowChange, Windows};
use crate::core::review::Review;
use crate::core::state::State;
use crate::core::time::Timestamp;
use crate::core::variant::{VariantChange, Variants};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutes {
    pub(in crate::core) windows: Windows,
    pub(in crate::core) flaps: Flaps,
    pub(in crate::core) variants: Variants,
    pub(in crate::core) inhibitions: Inhibitions,
    pub(in crate::core) folds: Folds,
    pub(in crate::core) review: Review,
}

impl Mutes {
    /// When time alone has something to do here.
    pub fn next_due(&self) -> Option<Timestamp> {
        let dues = [self.windows.next_due(), self.flaps.next_due()];
        dues.into_iter().flatten().min()
    }
}

impl State {
    /// The maintenance windows that are not over.
    pub fn windows(&self) -> &Windows {
        &self.mutes.windows
    }

    /// Changes maintenance windows, as [`State::apply`] does; also used to load.
    pub fn put_window(&mut self, change: &WindowChange) {
        self.mutes.windows.apply(change);
    }

    /// The last alert of each trouble that has variants.
    pub fn variants(&self) -> &Variants {
        &self.mutes.variants
    }

    /// Changes what is known of them, as [`State::apply`] does; also used to load.
    pub fn put_variant(&mut self, change: &VariantChange) {
        self.mutes.variants.apply(change);
    }

    /// The alerts that came back not long ago.
    pub fn flaps(&self) -> &Flaps {
        &self.mutes.flaps
    }

    /// Changes what is remembered of them, as [`State::apply`] does; also used to load.
    pub fn put_flap(&mut self, change: &FlapChange) {
        self.mutes.flaps.apply(change);
    }

    /// The incidents that are held by others.
    pub fn inhibitions(&self) -> &Inhibitions {
        &self.mutes.inhibitions
    }

    /// Changes which are, as [`State::apply`] does; also used to load.
    pub fn put_inhibition(&mut self, change: &InhibitChange) {
        self.mutes.inhibitions.apply(change);
    }

    /// The troubles that come with labels that name events.
    pub fn folds(&self) -> &Folds {
        &self.mutes.folds
    }

    /// Changes what is known of them, as [`State::apply`] does; also used to load.
    pub fn put_fold(&mut self, change: &FoldChange) {
        self.mutes.folds.apply(change);
    }

    /// How far the rules in force have reached.
    pub fn review(&self) -> Review {
        self.mutes.review
    }

    /// Notes it, as [`State::apply`] does; also used to load.
    pub fn put_review(&mut self, review: Review) {
        self.mutes.review = review;
    }
}
