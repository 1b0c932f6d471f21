//! The core on virtual time: inputs happen at written times, deadlines are reached exactly when they are due.
//!
//! The same `decide` and `apply` as in the daemon, with memory instead of a store. Time never runs backwards: an event
//! that is written earlier than the one before it happens together with it, as with the daemon's clock. Must not decide
//! anything.

use crate::core::cmdb::graph::Difference;
use crate::core::decide::{World, decide};
use crate::core::decision::Decision;
use crate::core::ids::IdFeed;
use crate::core::input::Input;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::Timestamp;
use crate::lab::event::{Event, Said};
use crate::lab::instant::put_in_order;

/// Somebody who wants to see every decision.
pub trait Watch {
    /// A decision was made about `before` and is about to be applied.
    fn decided(&mut self, before: &State, decision: &Decision);
    /// The decision was applied; `event` is what it was about, if it was no deadline.
    fn applied(&mut self, after: &State, event: Option<&Event>);
}

/// Watches nothing.
impl Watch for () {
    fn decided(&mut self, _: &State, _: &Decision) {}
    fn applied(&mut self, _: &State, _: Option<&Event>) {}
}

/// A core with a clock of its own.
#[derive(Clone, Debug)]
pub struct Play {
    state: State,
    rules: Rules,
    ids: IdFeed,
    now: Option<Timestamp>,
}

impl Play {
    /// Starts with an empty state but for the CMDB.
    pub fn new(rules: Rules, cmdb: &Difference) -> Self {
        let mut state = State::default();
        state.change_graph(cmdb);
        Self {
            state,
            rules,
            ids: IdFeed::default(),
            now: None,
        }
    }

    /// What is open now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The policy.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Lets time pass until the first of some events that happen together, and lets them happen in the order of
    /// [`put_in_order`].
    pub fn hear_together(&mut self, events: &mut [Event], watch: &mut dyn Watch) {
        put_in_order(events);
        for event in events.iter() {
            self.hear(event, watch);
        }
    }

    /// Lets time pass until an event and lets it happen; says whether it was written later than it could happen.
    pub fn hear(&mut self, event: &Event, watch: &mut dyn Watch) -> bool {
        let at = self.now.map_or(event.at, |now| now.max(event.at));
        if self.now.is_none() {
            self.now = Some(at);
            self.happen(&Input::Started, None, watch);
        }
        self.pass_until(at, watch);
        self.happen(&input(&event.said), Some(event), watch);
        at > event.at
    }

    /// Lets time pass; deadlines on the way are reached when they are due.
    pub fn pass_until(&mut self, until: Timestamp, watch: &mut dyn Watch) {
        while let Some((due, _)) = self.state.next_deadline()
            && due <= until
        {
            self.advance(due);
            self.happen(&Input::DeadlineReached, None, watch);
        }
        self.advance(until);
    }

    /// The time of the last event or deadline.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    fn advance(&mut self, to: Timestamp) {
        self.now = Some(self.now.map_or(to, |now| now.max(to)));
    }

    fn happen(&mut self, input: &Input, event: Option<&Event>, watch: &mut dyn Watch) {
        let Some(now) = self.now else {
            return;
        };
        let world = World {
            state: &self.state,
            rules: &self.rules,
        };
        let decision = decide(world, input, now, &mut self.ids);
        watch.decided(&self.state, &decision);
        self.state.apply(&decision);
        watch.applied(&self.state, event);
    }
}

/// What the core hears of it.
fn input(said: &Said) -> Input {
    match said {
        Said::Alert(alert) => Input::ObservationReceived {
            source: alert.source.clone(),
            observation: alert.observation(),
        },
        Said::Change(change) => Input::ChangeRecorded(change.clone()),
    }
}
