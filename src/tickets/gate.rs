//! When a platform may be asked again: its own wish, our rate, and a pause after failures.
//!
//! A pure value with the time passed in, so that every rule can be tested on driven time. Must not read a clock.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that are borne without a pause: one lost answer says nothing about the platform.
const BORNE: u32 = 2;
/// The first pause after failures; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The pause when a platform asks to wait and does not say how long.
const LIMITED: Duration = Duration::from_secs(30);
/// The longest wait that a platform may ask for.
const LIMITED_MAX: Duration = Duration::from_secs(24 * 3_600);

/// When a platform may be asked again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    limited_until: Option<Instant>,
    broken_until: Option<Instant>,
    failures: u32,
}

impl Gate {
    /// The time from which it may be asked, if that is not yet.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        let until = self.limited_until.max(self.broken_until)?;
        (until > now).then_some(until)
    }

    /// Whether it has to show first that it works again; one at a time, then.
    pub(super) const fn is_on_trial(&self) -> bool {
        self.failures > BORNE
    }

    /// It answered as it should.
    pub(super) const fn went_well(&mut self) {
        self.failures = 0;
        self.broken_until = None;
    }

    /// It asks to wait.
    pub(super) fn limited(&mut self, after_s: Option<u64>, now: Instant) {
        let wait = after_s
            .map_or(LIMITED, Duration::from_secs)
            .min(LIMITED_MAX);
        self.limited_until = self.limited_until.max(Some(now + wait));
    }

    /// One request failed.
    pub(super) fn failed(&mut self, now: Instant) {
        // What was under way together fails together.
        if self.broken_until.is_some_and(|until| until > now) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(BORNE + 1) {
            let pause = PAUSE.saturating_mul(2_u32.saturating_pow(more.min(16)));
            self.broken_until = Some(now + pause.min(PAUSE_MAX));
        }
    }

    /// It does not let us in, or does not do what it should: the same would happen again.
    pub(super) fn refused(&mut self, now: Instant) {
        self.failures = self.failures.max(BORNE);
        self.failed(now);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use tokio::time::sleep_until;

    use super::*;
    use crate::core::ids::IncidentId;
    use crate::core::ticket::{Face, Link, Record, TicketChange, Tickets};
    use crate::core::time::Timestamp;
    use crate::runtime::pace::Pace;

    #[tokio::test(start_paused = true)]
    async fn a_wish_to_wait_holds_for_all_and_pauses_grow() {
        let now = Instant::now();
        let mut gate = Gate::default();
        assert_eq!(gate.closed_until(now), None);
        gate.limited(Some(120), now);
        gate.limited(Some(5), now);
        assert_eq!(gate.closed_until(now), Some(now + Duration::from_secs(120)));
        assert_eq!(gate.closed_until(now + Duration::from_secs(121)), None);
        let mut gate = Gate::default();
        let mut at = now;
        for _ in 0..BORNE {
            gate.failed(at);
            assert_eq!(gate.closed_until(at), None);
        }
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            gate.failed(at);
            gate.failed(at);
            let until = gate.closed_until(at).unwrap();
            assert_eq!(until - at, Duration::from_secs(expected));
            at = until;
        }
        assert!(gate.is_on_trial());
        gate.went_well();
        assert_eq!(gate.closed_until(at), None);
    }

    /// What a platform that is away for six hours is asked: once a minute after the first ones, and it is found back
    /// within a minute.
    #[tokio::test(start_paused = true)]
    async fn six_hours_of_silence_cost_a_try_a_minute() {
        let begun = Instant::now();
        let back = begun + Duration::from_secs(6 * 3_600);
        let (mut gate, mut at, mut tries) = (Gate::default(), begun, 0);
        while at < back {
            tries += 1;
            gate.failed(at);
            at = gate.closed_until(at).unwrap_or(at);
        }
        assert!(tries <= 6 * 60 + 10, "{tries}");
        assert!(at - back <= PAUSE_MAX);
        assert!(gate.is_on_trial(), "one at a time until it answered");
    }

    const AT: Timestamp = Timestamp::from_millis(0);

    /// A ticket to be made, or one that is there and was changed so often.
    fn link(number: i64, changes: u32) -> Link {
        let mut link = Link::new(IncidentId::new(number).unwrap(), AT, "snow", AT);
        if changes > 0 {
            link.record = Some(Record {
                id: number.to_string().into(),
                ..Record::default()
            });
            link.sent = Some(Face::default());
            link.wanted.title = changes;
        }
        link
    }

    /// Three hundred tickets to be made and two hundred that changed twenty times each while a platform was away for six
    /// hours, with five requests a second.
    #[tokio::test(start_paused = true)]
    async fn what_an_outage_left_is_worked_off_within_the_budget_and_creates_first() {
        let (rate, back) = (5, Instant::now() + Duration::from_secs(6 * 3_600));
        let number = NonZeroU32::new(rate).unwrap();
        let (pace, mut gate) = (Pace::new((number, number)), Gate::default());
        let mut tickets = Tickets::default();
        let change = |tickets: &mut Tickets, link: Link| {
            tickets.apply(&TicketChange::Changed(Arc::new(link)));
        };
        for number in 1..=500 {
            let changes = if number > 300 { 1..=20 } else { 0..=0 };
            for so_many in changes {
                change(&mut tickets, link(number, so_many));
            }
        }
        let (mut asked, mut done) = (Vec::new(), Vec::new());
        let first = |tickets: &Tickets| tickets.waiting("snow").next().cloned();
        while let Some(next) = first(&tickets) {
            if let Some(until) = gate.closed_until(Instant::now()) {
                sleep_until(until).await;
                continue;
            }
            pace.turn().await;
            let now = Instant::now();
            asked.push(now);
            if now < back {
                gate.failed(now);
                continue;
            }
            gate.went_well();
            done.push(next.record.is_none());
            let mut link = (*next).clone();
            link.record.get_or_insert_with(|| Record {
                id: link.incident.get().to_string().into(),
                ..Record::default()
            });
            link.sent = Some(link.wanted.clone());
            change(&mut tickets, link);
        }
        assert_eq!(
            done.len(),
            500,
            "one request each, however often it changed"
        );
        assert!(
            done.is_sorted_by(|one, other| one >= other),
            "creates first"
        );
        let during = asked.iter().filter(|at| **at < back).count();
        assert!(during <= 6 * 60 + 10, "{during}");
        for (at, first) in asked.iter().enumerate() {
            let within = asked[at..]
                .iter()
                .take_while(|turn| turn.duration_since(*first) < Duration::from_secs(1));
            assert!(within.count() <= 10, "five a second and five at once");
        }
        let took = Instant::now() - back;
        assert!(took <= Duration::from_secs(60 + 101), "{took:?}");
    }
}
