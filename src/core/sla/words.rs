//! How clocks are told to people, and how a due time was computed.
//!
//! Must not compute anything but texts.

use crate::core::calendar::Calendar;
use crate::core::incident::Owner;
use crate::core::sla::ClockKind;
use crate::core::sla::clock::{Clock, ClockState, Event, Target};
use crate::core::time::{Span, Timestamp};

/// A length of time in its largest units: `1 d 2 h`, `8 h`, `1 h 30 min`, `45 s`.
pub fn length(span: Span) -> String {
    let seconds = span.as_millis().max(0) / 1_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        let count = left / size;
        left %= size;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {unit}"));
        }
    }
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.join(" ")
}

/// A warning or breach as a note of the timeline.
pub(super) fn event(
    kind: ClockKind,
    target: &Target,
    event: Event,
    owner: Option<&Owner>,
) -> String {
    let (kind, span, rule) = (kind.word(), length(target.span), &target.rule);
    match event {
        Event::Warned(share) => {
            let percent = share / 10;
            format!("{kind}: {percent} % of {span} ({rule}) have gone by")
        }
        Event::Breached => {
            let owner = owner.map(|owner| {
                let names = [&owner.team, &owner.assignee].into_iter().flatten();
                names.map(|name| name.as_str()).collect::<Vec<_>>()
            });
            let owner = owner.filter(|names| !names.is_empty());
            let owner = owner.map_or_else(|| "nobody had it".to_owned(), |it| it.join(", "));
            format!("{kind}: {span} ({rule}) have gone by; {owner}")
        }
    }
}

/// A new target as a note of the timeline.
pub(super) fn aimed(kind: ClockKind, target: Option<&Target>) -> String {
    let kind = kind.word();
    match target {
        Some(target) => format!("{kind}: {} ({})", length(target.span), target.rule),
        None => format!("{kind}: none"),
    }
}

/// How the due time of a clock comes about, in one sentence.
pub fn computed(
    kind: ClockKind,
    clock: &Clock,
    calendar: Option<&Calendar>,
    now: Timestamp,
) -> String {
    let Some(target) = &clock.target else {
        return "No rule applies.".to_owned();
    };
    let zone = calendar.map_or(jiff::tz::TimeZone::UTC, |calendar| calendar.zone.clone());
    let shown = |at: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        zone.to_datetime(at)
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    };
    let counting = match (calendar, &target.calendar) {
        (Some(calendar), _) => {
            let name = calendar.zone.iana_name().unwrap_or("UTC");
            format!("in the hours of calendar {} ({name})", calendar.name)
        }
        (None, Some(gone)) => format!("around the clock, since calendar {gone} is gone (UTC)"),
        (None, None) => "around the clock (UTC)".to_owned(),
    };
    let mut text = format!(
        "{} within {} {counting}, by rule {}; counted from {}",
        match kind {
            ClockKind::Response => "Response",
            ClockKind::Resolution => "Resolution",
        },
        length(target.span),
        target.rule,
        shown(clock.started_at),
    );
    let elapsed = clock.elapsed(calendar, now);
    text.push_str(&format!(", {} have counted", length(elapsed)));
    let since = clock.since.filter(|since| *since != clock.started_at);
    if let Some(since) = since {
        let before = length(clock.counted);
        text.push_str(&format!(" ({before} of them before {})", shown(since)));
    }
    let end = match (clock.state(), clock.due_at, clock.breached_at) {
        (Some(ClockState::Breached), _, Some(at)) => format!("missed at {}", shown(at)),
        (Some(ClockState::Met), _, _) => clock
            .stopped_at
            .map_or_else(String::new, |at| format!("met at {}", shown(at))),
        (Some(ClockState::Paused), _, _) => {
            let left = length(target.span.minus(elapsed));
            format!("paused with {left} left")
        }
        (_, Some(due), _) => {
            let left = length(target.span.minus(elapsed));
            format!("so the {left} left end at {}", shown(due))
        }
        (_, None, _) => "the calendar has no such time in twenty years".to_owned(),
    };
    text.push_str(&format!("; {end}."));
    text
}
