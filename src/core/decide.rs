//! The front door of the core: one match over [`Input`], each arm one call.
//!
//! Must not do anything by itself.

use crate::core::decision::{Change, Decision};
use crate::core::ids::IdFeed;
use crate::core::input::Input;
use crate::core::reason::Reason;
use crate::core::rules::Rules;
use crate::core::state::State;
use crate::core::time::Timestamp;
use crate::core::{
    audit, command, correlate, deadline, episode, heartbeat, mute, oncall, rebind, reconcile,
    records, silence, tell, ticket,
};

/// What a decision may look at.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// What is open now.
    pub state: &'a State,
    /// The operator's policy.
    pub rules: &'a Rules,
}

/// Decides what an input comes to.
///
/// `now` is the recorded time of the input and never decreases from call to call. The caller applies the decision
/// before the next call. Calling with [`Input::DeadlineReached`] too early or again changes nothing.
pub fn decide(world: World<'_>, input: &Input, now: Timestamp, ids: &mut IdFeed) -> Decision {
    let mut decision = decide_input(world, input, now, ids);
    audit::note(world, input, &mut decision);
    decision
}

fn decide_input(world: World<'_>, input: &Input, now: Timestamp, ids: &mut IdFeed) -> Decision {
    match input {
        Input::ObservationReceived {
            source,
            observation,
        } => heartbeat::decide_ping(world, source, observation, now, ids)
            .unwrap_or_else(|| episode::observe(world, source, observation, now, ids)),
        Input::SourceHeard { source } => heartbeat::decide_heard(world, source, now, ids),
        Input::SourcePolled(difference) => {
            reconcile::decide_difference(world, difference, now, ids)
        }
        Input::CommandGiven(given) => command::decide_command(world, given, now, ids),
        Input::SilenceGiven(given) => silence::decide_given(world, given, now, ids),
        Input::WindowGiven(given) => mute::plan::decide_window(world, given, now, ids),
        Input::OverrideGiven(given) => oncall::overrides::decide_given(world, given, now),
        Input::RecordGiven(given) => records::decide_given(world, given, now, ids),
        Input::SilencesSwept(sweep) => silence::decide_sweep(world, sweep, now, ids),
        Input::ChangeRecorded(record) => correlate::record_change(world, record, now),
        Input::CmdbImported(imported) => rebind::import(world, imported),
        Input::AlertsRebound(alerts) => rebind::compare(world, alerts, now, ids),
        Input::TicketReported(report) => ticket::decide_report(world, report, now, ids),
        Input::TicketOrdered(order) => ticket::decide_order(world, order, now, ids),
        Input::MessageLost(lost) => tell::undelivered::decide_undelivered(world, lost, ids),
        Input::DeadlineReached => deadline::decide_due(world, now, ids),
        Input::Started => {
            let mut decision = Decision::because(Reason::Started);
            decision.change(Change::Started(now));
            decision
        }
    }
}
