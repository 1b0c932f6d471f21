//! When something happens again and again: an RRULE of RFC 5545 on the clocks of a zone, with a duration.
//!
//! The rule is worked out in local time by the `rrule` crate, and each local time becomes one instant: of one that
//! comes twice (clocks set back) the first, of one that is skipped (clocks set forward) the next valid instant. So each
//! occurrence happens exactly once. Must not read a clock or the zone database; the zone comes in as a value.

use jiff::civil::{self, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use rrule::{Frequency, RRule, RRuleSet, Unvalidated};
use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use crate::core::time::{Span, Timestamp};

/// Bytes of a rule; longer ones are refused.
const RULE_BYTES_MAX: usize = 1_024;
/// Occurrences that are looked through for one that fits.
const LOOKED_AT_MAX: usize = 20_000;
/// Days that local time and UTC differ at most, twice over.
const MARGIN_DAYS: i64 = 2;

/// One occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// From then on.
    pub starts_at: Timestamp,
    /// Until then.
    pub ends_at: Timestamp,
}

/// Something that happens again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// The rule, as `FREQ=...`; its `UNTIL` is in local time.
    rule: SmolStr,
    /// Local time from which it is counted; the first occurrence unless the rule says otherwise.
    start: DateTime,
    /// Whose clocks.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    zone: TimeZone,
    /// How long each occurrence lasts, in real time.
    duration: Span,
    /// Local times at which it does not happen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<DateTime>,
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecurrence {
    /// It cannot be read.
    #[error("the recurrence rule {0:?} cannot be read: {1}")]
    Unreadable(String, String),
    /// It happens too often.
    #[error("the recurrence rule {0:?} happens oftener than every hour")]
    TooOften(String),
    /// It never happens.
    #[error("the recurrence rule {0:?} never occurs")]
    NeverOccurs(String),
    /// What happens lasts no time.
    #[error("an occurrence must last longer than no time at all")]
    NoDuration,
}

impl Recurrence {
    /// Something that happens as the rule says, counted from a local time.
    ///
    /// The rule may begin with `RRULE:`.
    ///
    /// # Errors
    /// The rule cannot be read, happens oftener than hourly, or never.
    pub fn new(
        rule: &str,
        start: DateTime,
        zone: TimeZone,
        duration: Span,
        except: Vec<DateTime>,
    ) -> Result<Self, BadRecurrence> {
        let shown = || rule.chars().take(100).collect::<String>();
        let text = rule.trim();
        let text = text.strip_prefix("RRULE:").unwrap_or(text);
        if text.len() > RULE_BYTES_MAX || text.contains(['\n', '\r', '\0']) {
            let problem = "it must be one line of at most 1,024 bytes";
            return Err(BadRecurrence::Unreadable(shown(), problem.to_owned()));
        }
        let unreadable =
            |error: rrule::RRuleError| BadRecurrence::Unreadable(shown(), error.to_string());
        let text = in_local_time(text, &zone);
        let read: RRule<Unvalidated> = as_utc(&text).parse().map_err(unreadable)?;
        if let Frequency::Minutely | Frequency::Secondly = read.get_freq() {
            return Err(BadRecurrence::TooOften(shown()));
        }
        if duration.as_millis() <= 0 {
            return Err(BadRecurrence::NoDuration);
        }
        let recurrence = Self {
            rule: text,
            start,
            zone,
            duration,
            except,
        };
        let set = recurrence.set(start).map_err(|error| match error {
            // The last day lies before the first.
            rrule::RRuleError::ValidationError(rrule::ValidationError::UntilBeforeStart {
                ..
            }) => BadRecurrence::NeverOccurs(shown()),
            error @ (rrule::RRuleError::ParserError(_)
            | rrule::RRuleError::ValidationError(_)
            | rrule::RRuleError::IterError(_)) => unreadable(error),
        })?;
        let first = set.limit().into_iter().next();
        if first.is_none() {
            return Err(BadRecurrence::NeverOccurs(shown()));
        }
        Ok(recurrence)
    }

    /// The rule, as `FREQ=...`.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The rule and its exceptions, as they are read.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for except in &self.except {
            text.push_str(&format!("EXDATE:{}\n", basic(*except)));
        }
        text.push_str("RRULE:");
        text.push_str(&self.rule);
        text
    }

    /// The local time from which it is counted.
    pub fn start(&self) -> DateTime {
        self.start
    }

    /// Whose clocks.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How long each occurrence lasts.
    pub fn duration(&self) -> Span {
        self.duration
    }

    /// The first occurrence that begins after `after` and is not over at `now`.
    pub fn next(&self, after: Option<Timestamp>, now: Timestamp) -> Option<Occurrence> {
        let from = now.minus(self.duration);
        let from = after.map_or(from, |after| after.max(from));
        let set = self.set(self.nearer_start(from)).ok()?;
        let occurrences = set.limit().into_iter().take(LOOKED_AT_MAX);
        let starts = occurrences.filter_map(|date| self.instant(date.timestamp()));
        let mut all = starts.map(|starts_at| Occurrence {
            starts_at,
            ends_at: starts_at.plus(self.duration),
        });
        all.find(|it| it.ends_at > now && after.is_none_or(|after| it.starts_at > after))
    }

    /// Its first occurrences, so many at most.
    pub fn occurrences(&self, at_most: usize) -> Vec<Occurrence> {
        let Ok(set) = self.set(self.start) else {
            return Vec::new();
        };
        let starts = set.limit().into_iter().take(at_most);
        let starts = starts.filter_map(|date| self.instant(date.timestamp()));
        starts
            .map(|starts_at| Occurrence {
                starts_at,
                ends_at: starts_at.plus(self.duration),
            })
            .collect()
    }

    /// A local time not after those that are wanted, from which the rule gives the same occurrences: so that old rules
    /// cost no more than new ones.
    fn nearer_start(&self, from: Timestamp) -> DateTime {
        let hours = as_utc(&self.rule).parse::<RRule<Unvalidated>>().ok();
        let hours = hours.filter(|rule| rule.get_count().is_none());
        let period = hours.and_then(|rule| {
            let interval = i64::from(rule.get_interval().max(1));
            match rule.get_freq() {
                Frequency::Hourly => Some(interval),
                Frequency::Daily => Some(interval.saturating_mul(24)),
                Frequency::Weekly => Some(interval.saturating_mul(24 * 7)),
                Frequency::Yearly
                | Frequency::Monthly
                | Frequency::Minutely
                | Frequency::Secondly => None,
            }
        });
        let Some(period) = period else {
            return self.start;
        };
        let target = seconds_of(from).saturating_sub(MARGIN_DAYS.saturating_mul(86_400));
        let passed = target.saturating_sub(floating(self.start));
        let periods = passed.div_euclid(period.saturating_mul(3_600)).max(0);
        let hours = jiff::Span::new().try_hours(periods.saturating_mul(period));
        let moved = hours.and_then(|hours| self.start.checked_add(hours));
        moved.unwrap_or(self.start)
    }

    /// The rule as the crate works it out, with local time written as if it were UTC.
    fn set(&self, start: DateTime) -> Result<RRuleSet, rrule::RRuleError> {
        let mut text = format!("DTSTART:{}Z\nRRULE:{}", basic(start), as_utc(&self.rule));
        for except in &self.except {
            text.push_str(&format!("\nEXDATE:{}Z", basic(*except)));
        }
        text.parse()
    }

    /// The instant of a local time, given as if it were UTC.
    fn instant(&self, floating: i64) -> Option<Timestamp> {
        let local = jiff::Timestamp::from_second(floating).ok()?;
        instant_of(local.to_zoned(TimeZone::UTC).datetime(), &self.zone)
    }
}

/// The instant of a local time: of two the first, of none the next valid one.
pub fn instant_of(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let time = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok()?,
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the later offset it lies before the jump, and the jump is where clocks go on.
            let before_jump = after.to_timestamp(local).ok()?;
            zone.following(before_jump).next()?.timestamp()
        }
    };
    Some(Timestamp::from_millis(time.as_millisecond()))
}

/// A rule with its local times written as if they were UTC.
fn as_utc(rule: &str) -> String {
    let parts = rule.split(';').map(|part| {
        let mark = if part.starts_with("UNTIL=") { "Z" } else { "" };
        format!("{part}{mark}")
    });
    parts.collect::<Vec<_>>().join(";")
}

/// Local time as the rule's text has it, for `UNTIL`.
fn in_local_time(rule: &str, zone: &TimeZone) -> SmolStr {
    let parts = rule.split(';').map(|part| {
        let until = part
            .split_once('=')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("UNTIL"));
        match until {
            None => SmolStr::new(part.trim()),
            Some((_, value)) => format_smolstr!("UNTIL={}", until_in(value.trim(), zone)),
        }
    });
    let parts: Vec<SmolStr> = parts.filter(|part| !part.is_empty()).collect();
    SmolStr::new(parts.join(";"))
}

fn until_in(value: &str, zone: &TimeZone) -> String {
    if let Ok(date) = civil::Date::strptime("%Y%m%d", value) {
        return basic(date.at(23, 59, 59, 0));
    }
    let is_utc = value.ends_with(['Z', 'z']);
    match DateTime::strptime("%Y%m%dT%H%M%S", value.trim_end_matches(['Z', 'z'])) {
        Ok(time) if is_utc => {
            let zoned = time.to_zoned(TimeZone::UTC);
            let local = zoned.map(|zoned| zoned.with_time_zone(zone.clone()).datetime());
            basic(local.unwrap_or(time))
        }
        Ok(time) => basic(time),
        Err(_) => value.to_owned(),
    }
}

/// As iCalendar writes it.
fn basic(time: DateTime) -> String {
    time.strftime("%Y%m%dT%H%M%S").to_string()
}

/// Seconds of a local time as if it were UTC.
fn floating(time: DateTime) -> i64 {
    let zoned = time.to_zoned(TimeZone::UTC);
    zoned.map_or(0, |zoned| zoned.timestamp().as_second())
}

fn seconds_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_millis(time.as_millisecond())
    }

    fn local(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    fn rule(text: &str, start: &str, zone_name: &str) -> Result<Recurrence, BadRecurrence> {
        Recurrence::new(
            text,
            local(start),
            zone(zone_name),
            Span::from_hours(1),
            Vec::new(),
        )
    }

    fn starts(recurrence: &Recurrence, from: &str, count: usize) -> Vec<String> {
        let mut after = None;
        let mut starts = Vec::new();
        while starts.len() < count
            && let Some(next) = recurrence.next(after, at(from))
        {
            let time = jiff::Timestamp::from_millisecond(next.starts_at.as_millis()).unwrap();
            starts.push(time.to_string());
            after = Some(next.starts_at);
        }
        starts
    }

    #[test]
    fn each_occurrence_happens_once_when_clocks_are_set() {
        let text = "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30";
        let paris = rule(text, "2024-01-01T00:00", "Europe/Paris").unwrap();
        // 2026-03-29 02:30 is skipped: 03:00 summer time is the next valid instant.
        let expected = [
            "2026-03-22T01:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-04-05T00:30:00Z",
        ];
        assert_eq!(starts(&paris, "2026-03-20T00:00:00Z", 3), expected);
        // 2026-10-25 02:30 comes twice: the first counts.
        let expected = [
            "2026-10-18T00:30:00Z",
            "2026-10-25T00:30:00Z",
            "2026-11-01T01:30:00Z",
        ];
        assert_eq!(starts(&paris, "2026-10-17T00:00:00Z", 3), expected);
        let york = rule(text, "2024-01-01T00:00", "America/New_York").unwrap();
        let expected = ["2026-03-08T07:00:00Z", "2026-03-15T06:30:00Z"];
        assert_eq!(starts(&york, "2026-03-02T00:00:00Z", 2), expected);
    }

    #[test]
    fn months_leap_days_counts_and_ends_are_kept() {
        let utc = |text| rule(text, "2024-02-29T01:00", "UTC").unwrap();
        let yearly = utc("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29");
        let expected = ["2028-02-29T01:00:00Z", "2032-02-29T01:00:00Z"];
        assert_eq!(starts(&yearly, "2024-03-01T00:00:00Z", 2), expected);
        let last = utc("FREQ=MONTHLY;BYDAY=-1SU;COUNT=2");
        assert_eq!(
            starts(&last, "2024-01-01T00:00:00Z", 9),
            ["2024-03-31T01:00:00Z", "2024-04-28T01:00:00Z"]
        );
        let until = utc("RRULE:FREQ=DAILY;UNTIL=20240301T010000Z");
        assert_eq!(starts(&until, "2024-01-01T00:00:00Z", 9).len(), 2);
        let by_weeks = rule("FREQ=WEEKLY;INTERVAL=2", "2024-01-03T22:00", "Asia/Tokyo").unwrap();
        let found = starts(&by_weeks, "2026-11-30T00:00:00Z", 2);
        let expected = ["2026-12-02T13:00:00Z", "2026-12-16T13:00:00Z"];
        assert_eq!(found, expected, "the same as counted from the start");
    }

    #[test]
    fn the_one_that_runs_now_is_found_and_rules_that_make_no_sense_are_refused() {
        let daily = rule("FREQ=DAILY", "2026-01-01T01:00", "UTC").unwrap();
        let running = daily.next(None, at("2026-05-05T01:59:59Z")).unwrap();
        assert_eq!(running.starts_at, at("2026-05-05T01:00:00Z"));
        let later = daily.next(None, at("2026-05-05T02:00:00Z")).unwrap();
        assert_eq!(later.starts_at, at("2026-05-06T01:00:00Z"));
        let refused = |text| rule(text, "2026-01-01T01:00", "UTC").unwrap_err();
        for never in [
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=DAILY;UNTIL=20200101",
        ] {
            assert!(
                matches!(refused(never), BadRecurrence::NeverOccurs(_)),
                "{never}: {:?}",
                refused(never)
            );
        }
        assert!(matches!(
            refused("FREQ=SECONDLY"),
            BadRecurrence::TooOften(_)
        ));
        for bad in [
            "",
            "FREQ=FORTNIGHTLY",
            "every sunday",
            "FREQ=WEEKLY;BYDAY=XX",
        ] {
            assert!(
                matches!(refused(bad), BadRecurrence::Unreadable(..)),
                "{bad}"
            );
        }
    }
}
