//! A maintenance window as people write it, in configuration and API, made into one that holds together.
//!
//! Must not look up a zone or read a clock; both come in as values.

use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;
use smol_str::SmolStr;

use crate::core::mute::scope::{NAMES_MAX, Scope};
use crate::core::mute::window::{Once, Plan, WindowWanted};
use crate::core::recurrence::{BadRecurrence, Recurrence, instant_of};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{COMMENT_BYTES_MAX, CREATED_BY_BYTES_MAX, MATCHERS_MAX};
use crate::core::time::{Span, Timestamp};

/// What a rule is counted from when nothing is said: a Monday.
const USUAL_START: DateTime = civil::date(2024, 1, 1).at(0, 0, 0, 0);
/// The longest occurrence; a longer one is a mistake, or hides for good what should be retired.
const LONGEST: Span = Span::from_days(366);
/// Local times at which a recurring window does not happen; more are refused.
const EXCEPT_MAX: usize = 500;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowParts {
    /// What people call it; the reason when nothing is said.
    pub name: Option<String>,
    /// Why people are not told.
    pub reason: Option<String>,
    /// Who wants it.
    pub created_by: String,
    /// A time with an offset, or a local time of the zone.
    pub starts_at: Option<String>,
    /// Likewise.
    pub ends_at: Option<String>,
    /// How long it, or each occurrence, lasts.
    pub duration: Option<Span>,
    /// When it recurs: `FREQ=...`, with lines `DTSTART` and `EXDATE` if need be.
    pub rrule: Option<String>,
    /// Whose clocks; UTC when nothing is said.
    pub zone: Option<TimeZone>,
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// Which CIs.
    pub scope: Scope,
}

/// Why a window does not hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadWindow {
    /// The field that is to blame.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: &'static str,
}

fn bad(field: &'static str, message: impl Into<String>, hint: &'static str) -> BadWindow {
    BadWindow {
        field,
        message: message.into(),
        hint,
    }
}

/// What a rule's text may hold besides the rule.
#[derive(Default)]
struct RuleText {
    rule: String,
    start: Option<String>,
    except: Vec<String>,
}

impl WindowParts {
    /// The window; `now` is its begin when none is written and it does not recur.
    ///
    /// # Errors
    /// What is wrong with it, by field.
    pub fn into_wanted(self, now: Option<Timestamp>) -> Result<WindowWanted, BadWindow> {
        let reason = self.reason.clone().unwrap_or_default();
        if reason.trim().is_empty() {
            let hint = "say why people must not be told, like reason = \"switch firmware\"";
            return Err(bad("reason", "a maintenance window needs a reason", hint));
        }
        let name = self.name.clone().filter(|name| !name.trim().is_empty());
        let name = name.unwrap_or_else(|| reason.chars().take(100).collect());
        for (field, text, bytes_max) in [
            ("name", &name, CREATED_BY_BYTES_MAX),
            ("reason", &reason, COMMENT_BYTES_MAX),
            ("created_by", &self.created_by, CREATED_BY_BYTES_MAX),
        ] {
            if text.len() > bytes_max || text.contains('\0') {
                let message = format!("{field} is longer than {bytes_max} bytes or holds NUL");
                return Err(bad(field, message, "write less"));
            }
        }
        self.check_extent()?;
        let plan = match &self.rrule {
            Some(rrule) => self.recurring(rrule)?,
            None => self.once(now)?,
        };
        Ok(WindowWanted {
            name: SmolStr::new(name),
            reason: SmolStr::new(reason),
            created_by: SmolStr::new(&self.created_by),
            plan,
            matchers: self.matchers,
            scope: self.scope,
        })
    }

    fn check_extent(&self) -> Result<(), BadWindow> {
        let is_any = self.matchers.iter().all(|matcher| matcher.is_match(""));
        if is_any && self.scope.is_everything() {
            let message = "the window would hide everything";
            let hint = "name what it is about: ci, class, site, service or matchers";
            return Err(bad("ci", message, hint));
        }
        if self.scope.is_downstream && self.scope.ci.is_empty() {
            let hint = "name the CI whose dependents are meant, like ci = \"sw1\"";
            return Err(bad("downstream", "downstream of what is not said", hint));
        }
        if self.scope.len() > NAMES_MAX || self.matchers.len() > MATCHERS_MAX {
            let message =
                format!("a window has at most {NAMES_MAX} names and {MATCHERS_MAX} matchers");
            return Err(bad("ci", message, "use a class, a site or several windows"));
        }
        Ok(())
    }

    fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }

    fn once(&self, now: Option<Timestamp>) -> Result<Plan, BadWindow> {
        let zone = self.zone();
        let hint = "write a begin and an end, like 2026-12-01T01:00:00Z or, on the clocks of zone, 2026-12-01T01:00";
        let starts_at = match &self.starts_at {
            Some(text) => instant("starts_at", text, &zone)?,
            None => now.ok_or_else(|| bad("starts_at", "the window has no begin", hint))?,
        };
        let ends_at = match (&self.ends_at, self.duration) {
            (Some(_), Some(_)) => {
                let message = "the window has an end and a duration";
                return Err(bad("duration", message, "give either ends_at or duration"));
            }
            (Some(text), None) => instant("ends_at", text, &zone)?,
            (None, Some(duration)) => starts_at.plus(duration),
            (None, None) => return Err(bad("ends_at", "the window has no end", hint)),
        };
        if ends_at <= starts_at {
            let message = "the window ends before it starts";
            return Err(bad("ends_at", message, "the end must lie after the begin"));
        }
        Ok(Plan::Once(Once { starts_at, ends_at }))
    }

    fn recurring(&self, rrule: &str) -> Result<Plan, BadWindow> {
        let zone = self.zone();
        let read = rule_text(rrule);
        let counts = ["INTERVAL=", "COUNT="];
        let upper = read.rule.to_ascii_uppercase();
        let is_counted = counts.iter().any(|part| upper.contains(part));
        let start = match self.starts_at.as_ref().or(read.start.as_ref()) {
            Some(text) => local("starts_at", text, &zone)?,
            None if is_counted => {
                let message = "a rule with INTERVAL or COUNT needs a begin to count from";
                let hint = "write starts_at, like 2026-01-05T02:00";
                return Err(bad("starts_at", message, hint));
            }
            None => USUAL_START,
        };
        let duration = match (self.duration, &self.ends_at) {
            (Some(duration), None) => duration,
            (None, Some(ends_at)) if self.starts_at.is_some() => {
                let end = instant("ends_at", ends_at, &zone)?;
                let begin = instant_of(start, &zone).unwrap_or(end);
                end.since(begin)
            }
            (Some(_), Some(_)) => {
                let message = "the window has an end and a duration";
                return Err(bad(
                    "ends_at",
                    message,
                    "of a recurring window give the duration",
                ));
            }
            (None, _) => {
                let message = "a recurring window needs a duration";
                return Err(bad("duration", message, "write duration = \"2h\""));
            }
        };
        if duration.as_millis() <= 0 {
            let message = "the window ends before it starts";
            return Err(bad("ends_at", message, "the end must lie after the begin"));
        }
        if duration > LONGEST {
            let message = "an occurrence lasts longer than a year";
            return Err(bad("duration", message, "write a shorter duration"));
        }
        if read.except.len() > EXCEPT_MAX {
            let message = format!("there are more than {EXCEPT_MAX} exceptions");
            return Err(bad("rrule", message, "write another rule"));
        }
        let except = read.except.iter().map(|text| local("rrule", text, &zone));
        let except: Result<Vec<_>, _> = except.collect();
        let recurrence = Recurrence::new(&read.rule, start, zone, duration, except?);
        recurrence.map(Plan::Recurring).map_err(|error| {
            let hint = match error {
                BadRecurrence::NeverOccurs(_) => {
                    "no date fits it: look at BYMONTH, BYMONTHDAY, COUNT and UNTIL"
                }
                BadRecurrence::TooOften(_) => "use HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY",
                BadRecurrence::Unreadable(..) | BadRecurrence::NoDuration => {
                    "write it like FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30"
                }
            };
            bad("rrule", error.to_string(), hint)
        })
    }
}

/// The rule, with what other lines say.
fn rule_text(text: &str) -> RuleText {
    let mut read = RuleText::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or(("RRULE", line));
        let name = name.split(';').next().unwrap_or_default();
        match name.to_ascii_uppercase().as_str() {
            "DTSTART" => read.start = Some(value.to_owned()),
            "EXDATE" => read.except.extend(value.split(',').map(str::to_owned)),
            _ => read.rule = value.to_owned(),
        }
    }
    read
}

const TIME_HINT: &str =
    "write it like 2026-12-01T01:00:00Z, or 2026-12-01T01:00 on the clocks of the zone";

/// An instant: with an offset, or on the clocks of the zone.
fn instant(field: &'static str, text: &str, zone: &TimeZone) -> Result<Timestamp, BadWindow> {
    if let Ok(time) = text.trim().parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_millis(time.as_millisecond()));
    }
    let local = local(field, text, zone)?;
    instant_of(local, zone)
        .ok_or_else(|| bad(field, format!("{text:?} is out of range"), TIME_HINT))
}

/// A local time of the zone.
fn local(field: &'static str, text: &str, zone: &TimeZone) -> Result<DateTime, BadWindow> {
    let text = text.trim();
    let in_zone = |time: jiff::Timestamp| time.to_zoned(zone.clone()).datetime();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(in_zone(time));
    }
    if let Some(utc) = text.strip_suffix('Z')
        && let Ok(time) = utc.parse::<DateTime>()
        && let Ok(zoned) = time.to_zoned(TimeZone::UTC)
    {
        return Ok(in_zone(zoned.timestamp()));
    }
    text.parse::<DateTime>()
        .map_err(|_| bad(field, format!("{text:?} is not a time"), TIME_HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> WindowParts {
        WindowParts {
            reason: Some("firmware".to_owned()),
            zone: Some(TimeZone::get("Europe/Paris").unwrap()),
            scope: Scope {
                ci: vec!["sw1".into()],
                ..Scope::default()
            },
            ..WindowParts::default()
        }
    }

    fn field(parts: WindowParts) -> &'static str {
        parts.into_wanted(None).unwrap_err().field
    }

    #[test]
    fn what_does_not_hold_together_is_refused_by_its_field() {
        let text = |text: &str| Some(text.to_owned());
        let hour = Some(Span::from_hours(1));
        assert_eq!(field(parts()), "starts_at");
        let backwards = WindowParts {
            starts_at: text("2026-12-01T02:00"),
            ends_at: text("2026-12-01T01:00"),
            ..parts()
        };
        assert_eq!(field(backwards), "ends_at");
        let never = WindowParts {
            rrule: text("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
            duration: hour,
            ..parts()
        };
        let refused = never.clone().into_wanted(None).unwrap_err();
        assert!(refused.message.contains("never occurs"), "{refused:?}");
        let counted = WindowParts {
            rrule: text("FREQ=WEEKLY;INTERVAL=2"),
            ..never.clone()
        };
        assert_eq!(field(counted), "starts_at");
        let endless = WindowParts {
            rrule: text("FREQ=DAILY"),
            duration: None,
            ..never.clone()
        };
        assert_eq!(field(endless), "duration");
        let everything = WindowParts {
            scope: Scope::default(),
            ..never.clone()
        };
        assert_eq!(field(everything), "ci");
        let mute = WindowParts {
            reason: text(" "),
            ..never
        };
        assert_eq!(field(mute), "reason");
    }

    #[test]
    fn a_whole_rule_of_a_calendar_is_read() {
        let rule =
            "DTSTART;TZID=Europe/Paris:20260104T023000\nRRULE:FREQ=WEEKLY\nEXDATE:20260111T023000";
        let wanted = WindowParts {
            rrule: Some(rule.to_owned()),
            duration: Some(Span::from_hours(1)),
            ..parts()
        };
        let wanted = wanted.into_wanted(None).unwrap();
        let from = Timestamp::from_millis(1_767_700_000_000);
        let next = wanted.plan.next(None, from).unwrap();
        let shown = jiff::Timestamp::from_millisecond(next.starts_at.as_millis()).unwrap();
        assert_eq!(shown.to_string(), "2026-01-18T01:30:00Z");
    }
}
