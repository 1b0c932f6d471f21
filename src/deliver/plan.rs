//! Whether what waits for one listener still makes sense: the state of the incident decides, not the time of queuing.
//!
//! Nobody is paged for what somebody has taken or what is over; nobody hears of the end of what they were never told of;
//! what comes to the same is told once. Must not know how anything is sent.

use crate::core::tell::event::Event;

/// A message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) id: i64,
    pub(super) event: Event,
    /// Whether it may have arrived already.
    pub(super) may_have_arrived: bool,
}

/// How the incident stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// Whether it still needs people.
    pub(super) is_open: bool,
    /// Whether nobody has taken notice.
    pub(super) is_new: bool,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// The incident is over.
    Over,
    /// Somebody has taken notice.
    Taken,
    /// The incident is open again before anybody was told that it is over.
    OpenAgain,
    /// The listener was never told that it is open.
    NeverTold,
    /// The listener knows already.
    Known,
    /// Another message says the same.
    Coalesced,
    /// What it is about is no longer kept.
    Gone,
}

impl Skip {
    /// The stable word of the API.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Over => "resolved_meanwhile",
            Self::Taken => "acknowledged_meanwhile",
            Self::OpenAgain => "open_again",
            Self::NeverTold => "never_told_open",
            Self::Known => "known_already",
            Self::Coalesced => "coalesced",
            Self::Gone => "incident_gone",
        }
    }
}

/// What is to be done about what waits for one listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The message to send now, if any.
    pub(super) send: Option<i64>,
    /// Those that are not sent.
    pub(super) skips: Vec<(i64, Skip)>,
}

/// What was told last, from the events that arrived, newest first: whether the listener takes the incident to be open.
pub(super) fn believes_open(heard: &[Event]) -> bool {
    let last = heard
        .iter()
        .find(|event| event.is_page() || **event == Event::Resolved);
    last.is_some_and(|event| event.is_page())
}

/// Looks through what waits, in order of deciding.
pub(super) fn plan(waiting: &[Waiting], now: Now, believes_open: bool) -> Plan {
    let mut plan = Plan::default();
    let mut believes = believes_open;
    let mut pages = Vec::new();
    let mut others = Vec::new();
    for row in waiting {
        match judge(row, now, believes) {
            Some(skip) => {
                plan.skips.push((row.id, skip));
                // Whoever may have got it has to hear the end.
                believes |= row.event.is_page() && row.may_have_arrived;
            }
            None if row.event.is_page() => pages.push(*row),
            None => others.push(*row),
        }
    }
    let page = foremost(&pages, believes);
    for row in &pages {
        if Some(row.id) != page {
            plan.skips.push((row.id, Skip::Coalesced));
        }
    }
    let others = others.first().map(|row| row.id);
    plan.send = match (page, others) {
        (Some(page), Some(other)) => Some(page.min(other)),
        (page, other) => page.or(other),
    };
    plan
}

/// Why one message is not sent, if so.
fn judge(row: &Waiting, now: Now, believes: bool) -> Option<Skip> {
    match row.event {
        Event::Opened | Event::Escalated | Event::PriorityRaised if !now.is_open => {
            Some(Skip::Over)
        }
        Event::Opened | Event::Escalated if !now.is_new => Some(Skip::Taken),
        Event::Opened if believes => Some(Skip::Known),
        Event::Resolved if now.is_open => Some(Skip::OpenAgain),
        Event::Resolved if !believes => Some(Skip::NeverTold),
        Event::Opened
        | Event::Escalated
        | Event::PriorityRaised
        | Event::Resolved
        | Event::Acknowledged
        | Event::Closed
        | Event::SlaWarning
        | Event::SlaBreached
        | Event::FlappingStarted
        | Event::FlappingEnded
        | Event::Update
        | Event::Trouble
        | Event::Test => None,
    }
}

/// The page that stands for all of them.
fn foremost(pages: &[Waiting], believes: bool) -> Option<i64> {
    let of = |event: Event| pages.iter().find(|row| row.event == event);
    let opening = of(Event::Opened).filter(|_| !believes);
    let page = opening.or_else(|| of(Event::Escalated)).or(pages.last());
    page.map(|row| row.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Now = Now {
        is_open: true,
        is_new: true,
    };
    const TAKEN: Now = Now {
        is_open: true,
        is_new: false,
    };
    const OVER: Now = Now {
        is_open: false,
        is_new: false,
    };

    fn rows(events: &[Event]) -> Vec<Waiting> {
        let row = |(id, event): (i64, &Event)| Waiting {
            id,
            event: *event,
            may_have_arrived: false,
        };
        (1..).zip(events).map(row).collect()
    }

    #[track_caller]
    fn check(events: &[Event], now: Now, believes: bool, send: Option<i64>, skips: &[(i64, Skip)]) {
        let mut plan = plan(&rows(events), now, believes);
        plan.skips.sort_by_key(|(id, _)| *id);
        assert_eq!((plan.send, plan.skips.as_slice()), (send, skips));
    }

    #[test]
    fn page_is_sent_only_while_nobody_has_the_incident() {
        check(&[Event::Opened], OPEN, false, Some(1), &[]);
        check(&[Event::Opened], TAKEN, false, None, &[(1, Skip::Taken)]);
        check(&[Event::Opened], OVER, false, None, &[(1, Skip::Over)]);
        check(&[Event::PriorityRaised], TAKEN, true, Some(1), &[]);
    }

    #[test]
    fn end_is_told_to_whoever_knows_the_beginning() {
        check(&[Event::Resolved], OVER, true, Some(1), &[]);
        check(
            &[Event::Resolved],
            OVER,
            false,
            None,
            &[(1, Skip::NeverTold)],
        );
        let both = [Event::Opened, Event::Resolved];
        let skips = [(1, Skip::Over), (2, Skip::NeverTold)];
        check(&both, OVER, false, None, &skips);
        let mut lost = rows(&both);
        lost[0].may_have_arrived = true;
        assert_eq!(plan(&lost, OVER, false).send, Some(2));
    }

    #[test]
    fn many_pages_become_one_and_a_reopening_unseen_is_silent() {
        let three = [Event::Opened, Event::PriorityRaised, Event::PriorityRaised];
        let skips = [(2, Skip::Coalesced), (3, Skip::Coalesced)];
        check(&three, OPEN, false, Some(1), &skips);
        let unseen = [Event::Resolved, Event::Opened];
        let skips = [(1, Skip::OpenAgain), (2, Skip::Known)];
        check(&unseen, OPEN, true, None, &skips);
        let seen = [Event::Opened];
        check(&seen, OPEN, false, Some(1), &[]);
    }

    #[test]
    fn last_word_that_arrived_is_what_is_believed() {
        assert!(!believes_open(&[]));
        assert!(believes_open(&[Event::Acknowledged, Event::Opened]));
        assert!(!believes_open(&[
            Event::Closed,
            Event::Resolved,
            Event::Opened
        ]));
    }
}
