//! Settling: an incident is announced when it has stood for a while, not at its first alert.
//!
//! The wait is by priority and is over at once for one that needs people now. While alerts keep joining it goes on, so
//! that people read of the whole storm and its cause once, but only for so long. What recovers while it settles is
//! never announced, nor what is held ([`crate::core::mute`]) until the last hold ends. Announcing tells nobody by itself; it says that from now on people may be told.
//!
//! Must not hold back the record: an incident that settles is shown everywhere.

use crate::core::incident::Incident;
use crate::core::limits;
use crate::core::rules::SettleRules;
use crate::core::time::Timestamp;

/// What has become of an incident's announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing new.
    Same,
    /// It would be announced now, but is held.
    Held,
    /// It is announced from now on.
    Announced,
}

/// Looks whether the wait of an incident begins, ends, or goes on.
pub(super) fn look(
    incident: &mut Incident,
    rules: &SettleRules,
    is_held: bool,
    now: Timestamp,
) -> Outcome {
    if incident.announced_at.is_some() || !incident.state.is_open() {
        incident.announce_at = None;
        return Outcome::Same;
    }
    let wait = rules.of(incident.priority);
    let begun = incident.settles_since.unwrap_or(now);
    let settled_at = begun.plus(wait);
    let quiet_at = incident
        .joined_at
        .filter(|_| incident.total > 1)
        .map_or(settled_at, |at| at.plus(limits::STORM_QUIET));
    let latest = settled_at.plus(limits::STORM_WAIT_MAX);
    let due = if wait.as_millis() == 0 {
        settled_at
    } else {
        settled_at.max(quiet_at).min(latest)
    };
    let is_recovering = incident.firing == 0 && incident.recovers_at.is_some();
    if due <= now && (is_held || is_recovering) {
        let is_known = incident.is_waiting();
        incident.settles_since = Some(begun);
        incident.announce_at = None;
        return if is_held && !is_known {
            Outcome::Held
        } else {
            Outcome::Same
        };
    }
    if due <= now {
        incident.announced_at = Some(now);
        incident.announce_at = None;
        incident.settles_since = None;
        return Outcome::Announced;
    }
    incident.settles_since = Some(begun);
    incident.announce_at = Some(due);
    Outcome::Same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::IncidentId;
    use crate::core::incident::IncidentState;
    use crate::core::severity::{Priority, Severity};
    use crate::core::time::Span;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn at(seconds: i64) -> Timestamp {
        START.plus(Span::from_secs(seconds))
    }

    fn incident(severity: Severity) -> Incident {
        let mut incident = Incident::open(IncidentId::new(1).unwrap(), severity, START);
        incident.total = 1;
        incident
    }

    #[test]
    fn lone_alert_is_announced_after_the_wait_of_its_priority() {
        let rules = SettleRules::default();
        let mut incident = incident(Severity::High);
        assert_eq!(look(&mut incident, &rules, false, START), Outcome::Same);
        assert_eq!(incident.announce_at, Some(at(30)));
        assert_eq!(look(&mut incident, &rules, false, at(29)), Outcome::Same);
        assert_eq!(
            look(&mut incident, &rules, false, at(30)),
            Outcome::Announced
        );
        assert_eq!(
            (incident.announced_at, incident.announce_at),
            (Some(at(30)), None)
        );
        assert_eq!(look(&mut incident, &rules, false, at(31)), Outcome::Same);
    }

    #[test]
    fn rise_to_the_top_is_announced_at_once_and_a_rise_sooner() {
        let rules = SettleRules::default();
        let mut incident = incident(Severity::Warning);
        look(&mut incident, &rules, false, START);
        assert_eq!(incident.announce_at, Some(at(120)));
        incident.priority = Priority::P2;
        look(&mut incident, &rules, false, at(5));
        assert_eq!(incident.announce_at, Some(at(10)));
        incident.priority = Priority::P1;
        assert_eq!(
            look(&mut incident, &rules, false, at(6)),
            Outcome::Announced
        );
    }

    #[test]
    fn storm_is_waited_for_but_not_for_ever() {
        let rules = SettleRules::default();
        let mut incident = incident(Severity::High);
        look(&mut incident, &rules, false, START);
        for second in 1..120 {
            incident.total += 1;
            incident.joined_at = Some(at(second));
            assert_eq!(
                look(&mut incident, &rules, false, at(second)),
                Outcome::Same
            );
        }
        assert_eq!(
            look(&mut incident, &rules, false, at(120)),
            Outcome::Announced
        );
    }

    #[test]
    fn what_recovers_while_it_settles_is_not_announced() {
        let rules = SettleRules::default();
        let mut incident = incident(Severity::High);
        look(&mut incident, &rules, false, START);
        incident.enter(IncidentState::Resolved { close_at: at(99) }, at(10));
        assert_eq!(look(&mut incident, &rules, false, at(40)), Outcome::Same);
        assert_eq!((incident.announced_at, incident.announce_at), (None, None));
        incident.enter(IncidentState::New, at(50));
        look(&mut incident, &rules, false, at(50));
        assert_eq!(incident.announce_at, Some(at(80)), "it settles anew");
    }
}
