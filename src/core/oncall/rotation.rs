//! Turns that follow one another on the wall of a zone.
//!
//! A turn is so many hours on the wall, so that handovers stay at their local time when clocks change. Must not know
//! who else is on call.

use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::oncall::zone::{Local, first, local};
use crate::core::time::{Span, Timestamp};

/// Shortest turn; shorter ones are refused at load.
pub const TURN_MIN: Span = Span::from_hours(1);
/// Longest turn; longer ones are refused at load.
pub const TURN_MAX: Span = Span::from_days(366);

/// People who have one turn together.
pub type Turn = Vec<SmolStr>;

/// Turns that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When the first turn begins.
    pub start: Local,
    /// How long each turn is.
    pub length: Span,
    /// Who has them, in this order, again and again.
    pub turns: Vec<Turn>,
}

/// One turn with its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stint<'a> {
    /// Who has it.
    pub people: &'a [SmolStr],
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
}

impl Rotation {
    /// The turn of that time; none before the first.
    pub fn at(&self, zone: &TimeZone, at: Timestamp) -> Option<Stint<'_>> {
        let length = self.length.max(TURN_MIN).as_millis();
        let passed = local(zone, at)
            .as_millis()
            .saturating_sub(self.start.as_millis());
        let mut number = passed.div_euclid(length);
        // While clocks repeat an hour they show less than they have shown.
        while self.begin(zone, number.saturating_add(1)) <= at {
            number = number.saturating_add(1);
        }
        // Cannot be, since what clocks show is never more than what they have shown; but costs nothing.
        while number > 0 && self.begin(zone, number) > at {
            number = number.saturating_sub(1);
        }
        if number < 0 {
            return None;
        }
        let turns = i64::try_from(self.turns.len()).ok()?;
        let index = usize::try_from(number.checked_rem(turns)?).ok()?;
        Some(Stint {
            people: self.turns.get(index)?,
            from: self.begin(zone, number),
            to: self.begin(zone, number.saturating_add(1)),
        })
    }

    /// The next handover after `at`.
    pub fn next_edge(&self, zone: &TimeZone, at: Timestamp) -> Timestamp {
        match self.at(zone, at) {
            Some(stint) => stint.to,
            None => self.begin(zone, 0),
        }
    }

    fn begin(&self, zone: &TimeZone, number: i64) -> Timestamp {
        let length = self.length.max(TURN_MIN);
        first(zone, self.start.plus(length.times(number)))
    }
}
