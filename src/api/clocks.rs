//! Service level clocks on the wire, and how their due times were computed.
//!
//! What has counted by now depends on the calendar, which is in the rules, and on the time; so both come in when a
//! response is made. Must not change a clock.

use serde::Serialize;
use utoipa::ToSchema;

use super::time::Time;
use crate::core::calendar::Calendar;
use crate::core::priority::Given;
use crate::core::rules::Rules;
use crate::core::sla::{Clock, ClockKind, ClockState, Clocks, words};
use crate::core::time::{Span, Timestamp};

/// A clock of a service level agreement.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlaClock {
    /// `response` or `resolution`.
    clock: &'static str,
    /// The agreed time.
    target_s: i64,
    /// The time that counts so far.
    elapsed_s: i64,
    /// When it is over; null while paused.
    due_at: Option<Time>,
    /// `running`, `paused`, `met` or `breached`.
    state: &'static str,
    /// The rule that applies.
    #[schema(example = "sla[0]")]
    rule: String,
    /// The calendar; null when all time counts.
    calendar: Option<String>,
    /// When it began to count.
    started_at: Time,
    /// When what it counts for was done.
    stopped_at: Option<Time>,
    /// When the target was missed.
    breached_at: Option<Time>,
    /// Who had the incident then.
    breached_by: Option<Breacher>,
    /// How the due time comes about.
    computed: Computed,
}

/// Who had an incident when a target was missed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Breacher {
    /// The team.
    team: Option<String>,
    /// The person.
    assignee: Option<String>,
}

/// How the due time of a clock comes about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Computed {
    /// In one sentence.
    text: String,
    /// The zone of the calendar.
    #[schema(example = "Europe/Berlin")]
    zone: String,
    /// What had counted before `counting_since`.
    counted_s: i64,
    /// Since when it counts without a break; null while it does not.
    counting_since: Option<Time>,
    /// What is left.
    remaining_s: i64,
    /// The share of the target, in percent, of which was warned last.
    warned_percent: Option<u16>,
    /// When it is warned of next.
    warn_at: Option<Time>,
}

/// A priority that a person has set.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriorityOverride {
    /// Which.
    #[schema(value_type = super::words::Priority)]
    priority: &'static str,
    /// Who set it.
    actor: String,
    /// Why.
    reason: String,
    /// When.
    at: Time,
}

impl From<&Given> for PriorityOverride {
    fn from(given: &Given) -> Self {
        Self {
            priority: given.priority.word(),
            actor: given.by.to_string(),
            reason: given.reason.to_string(),
            at: given.at.into(),
        }
    }
}

/// The clocks as they stand at that time.
pub(super) fn shown(clocks: &Clocks, rules: &Rules, now: Timestamp) -> Vec<SlaClock> {
    let clocks = clocks.iter();
    let clocks = clocks.filter_map(|(kind, clock)| {
        let name = clock.target.as_ref().and_then(|it| it.calendar.as_ref());
        let calendar = rules.sla.calendar(name);
        Some(SlaClock::of(kind, clock, clock.state()?, calendar, now))
    });
    clocks.collect()
}

/// How the due time of each clock came about, in sentences.
pub(super) fn sentences(clocks: &Clocks, rules: &Rules, now: Timestamp) -> Vec<String> {
    let clocks = shown(clocks, rules, now).into_iter();
    clocks.map(|clock| clock.computed.text).collect()
}

impl SlaClock {
    fn of(
        kind: ClockKind,
        clock: &Clock,
        state: ClockState,
        calendar: Option<&Calendar>,
        now: Timestamp,
    ) -> Self {
        let seconds = |span: Span| span.as_millis() / 1_000;
        let target = clock.target.as_ref();
        let span = target.map_or(Span::ZERO, |target| target.span);
        let elapsed = clock.elapsed(calendar, now);
        let zone = calendar.and_then(|calendar| calendar.zone.iana_name());
        Self {
            clock: kind.word(),
            target_s: seconds(span),
            elapsed_s: seconds(elapsed),
            due_at: clock.due_at.map(Time),
            state: state.word(),
            rule: target.map_or_else(String::new, |target| target.rule.to_string()),
            calendar: target
                .and_then(|target| target.calendar.as_ref())
                .map(ToString::to_string),
            started_at: clock.started_at.into(),
            stopped_at: clock.stopped_at.map(Time),
            breached_at: clock.breached_at.map(Time),
            breached_by: clock.owner.as_deref().map(|owner| Breacher {
                team: owner.team.as_ref().map(ToString::to_string),
                assignee: owner.assignee.as_ref().map(ToString::to_string),
            }),
            computed: Computed {
                text: words::computed(kind, clock, calendar, now),
                zone: zone.unwrap_or("UTC").to_owned(),
                counted_s: seconds(clock.counted),
                counting_since: clock.since.map(Time),
                remaining_s: seconds(span.minus(elapsed)).max(0),
                warned_percent: (clock.warned > 0).then_some(clock.warned / 10),
                warn_at: clock.warn_at.map(Time),
            },
        }
    }
}
