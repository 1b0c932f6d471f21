//! What can be told, as a closed list of words.
//!
//! Four of them are told to everybody who does not say otherwise; the others only to targets that ask. Must not hold
//! what happened; that is the incident's.

/// What happened to an incident that people are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// It is open and people may be told; also when it is open again after it was told over.
    Opened,
    /// Nobody has taken notice in time.
    Escalated,
    /// It has become more urgent than anybody was told.
    PriorityRaised,
    /// It is over.
    Resolved,
    /// Somebody has taken notice.
    Acknowledged,
    /// It was closed.
    Closed,
    /// An SLA clock has used up a share of its time.
    SlaWarning,
    /// An SLA clock ran out.
    SlaBreached,
    /// It began to change too often.
    FlappingStarted,
    /// It no longer changes too often.
    FlappingEnded,
    /// Somebody wrote to those who are concerned.
    Update,
    /// The daemon speaks of itself.
    Trouble,
    /// A try, asked for by a person.
    Test,
}

impl Event {
    /// Every event, in the order of the list.
    pub const ALL: [Self; 13] = [
        Self::Opened,
        Self::Escalated,
        Self::PriorityRaised,
        Self::Resolved,
        Self::Acknowledged,
        Self::Closed,
        Self::SlaWarning,
        Self::SlaBreached,
        Self::FlappingStarted,
        Self::FlappingEnded,
        Self::Update,
        Self::Trouble,
        Self::Test,
    ];

    /// The word used in messages, API, store and configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "incident.opened",
            Self::Escalated => "incident.escalated",
            Self::PriorityRaised => "incident.priority_raised",
            Self::Resolved => "incident.resolved",
            Self::Acknowledged => "incident.acknowledged",
            Self::Closed => "incident.closed",
            Self::SlaWarning => "incident.sla_warning",
            Self::SlaBreached => "incident.sla_breached",
            Self::FlappingStarted => "incident.flapping_started",
            Self::FlappingEnded => "incident.flapping_ended",
            Self::Update => "incident.update",
            Self::Trouble => "watchbell.trouble",
            Self::Test => "watchbell.test",
        }
    }

    /// Reads an event's word; the part before the dot may be left out.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| {
            let whole = event.word();
            whole == word || whole.split_once('.').is_some_and(|(_, last)| last == word)
        })
    }

    /// Whether it asks somebody to do something; such a message is only sent while the incident needs people.
    pub const fn is_page(self) -> bool {
        match self {
            Self::Opened | Self::Escalated | Self::PriorityRaised => true,
            Self::Resolved
            | Self::Acknowledged
            | Self::Closed
            | Self::SlaWarning
            | Self::SlaBreached
            | Self::FlappingStarted
            | Self::FlappingEnded
            | Self::Update
            | Self::Trouble
            | Self::Test => false,
        }
    }

    /// Whether it is about changing too often.
    pub const fn is_of_flapping(self) -> bool {
        matches!(self, Self::FlappingStarted | Self::FlappingEnded)
    }

    /// Whether it can be asked for under `events`.
    pub const fn is_configurable(self) -> bool {
        !matches!(self, Self::Trouble | Self::Test)
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Opened => 1,
            Self::Escalated => 1 << 1,
            Self::PriorityRaised => 1 << 2,
            Self::Resolved => 1 << 3,
            Self::Acknowledged => 1 << 4,
            Self::Closed => 1 << 5,
            Self::SlaWarning => 1 << 6,
            Self::SlaBreached => 1 << 7,
            Self::FlappingStarted => 1 << 8,
            Self::FlappingEnded => 1 << 9,
            Self::Update => 1 << 10,
            Self::Trouble => 1 << 11,
            Self::Test => 1 << 12,
        }
    }
}

/// A set of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSet(u16);

impl EventSet {
    /// None.
    pub const NONE: Self = Self(0);

    /// With one more.
    #[must_use]
    pub const fn with(self, event: Event) -> Self {
        Self(self.0 | event.bit())
    }

    /// Whether an event is in it.
    pub const fn has(self, event: Event) -> bool {
        self.0 & event.bit() != 0
    }
}

impl Default for EventSet {
    /// What is told to everybody who does not say otherwise.
    fn default() -> Self {
        Self::NONE
            .with(Event::Opened)
            .with(Event::Escalated)
            .with(Event::PriorityRaised)
            .with(Event::Resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_read_in_both_forms() {
        for event in Event::ALL {
            assert_eq!(Event::from_word(event.word()), Some(event));
            let (_, short) = event.word().split_once('.').unwrap();
            assert_eq!(Event::from_word(short), Some(event));
            assert!(EventSet::NONE.with(event).has(event));
        }
        assert!(!EventSet::default().has(Event::Acknowledged));
    }
}
