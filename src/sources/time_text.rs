//! The ways senders write a point in time.
//!
//! Accepted: RFC 3339 with any offset form and 0 to 9 fraction digits, the same without a zone (then UTC), without
//! seconds or without a time of day, with a blank instead of `T`, Go's own printing of a time, and epoch seconds,
//! milliseconds, microseconds or nanoseconds. Year 1 and the empty text mean "not set".
//! Must not guess: a text that is none of these is an error, and what then happens is the source's decision.

use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;

use crate::core::time::Timestamp;

/// A text that is no point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableTime;

/// How Go writes a time that was never set.
const GO_ZERO: &str = "0001-01-01T00:00:00Z";
/// The start of year 2, in milliseconds since the epoch: what is earlier was never set.
const YEAR_2_MS: i64 = -62_104_060_800_000;

static PARSER: DateTimeParser = DateTimeParser::new();

/// Reads a time; `None` when the text says that there is none.
///
/// # Errors
/// Fails when the text is in none of the accepted forms.
pub fn read(text: &str) -> Result<Option<Timestamp>, UnreadableTime> {
    let text = text.trim();
    if text.is_empty() || text == GO_ZERO {
        return Ok(None);
    }
    // A calendar text has its first hyphen there; without this check the parser would take bare digits as a date.
    let ms = if text.as_bytes().get(4) == Some(&b'-') {
        calendar_ms(text)
    } else {
        epoch_ms(text)
    };
    let ms = ms.ok_or(UnreadableTime)?;
    Ok((ms >= YEAR_2_MS && ms != 0).then(|| Timestamp::from_millis(ms)))
}

fn calendar_ms(text: &str) -> Option<i64> {
    if let Ok(instant) = PARSER.parse_timestamp(text) {
        return Some(instant.as_millisecond());
    }
    if let Ok(civil) = PARSER.parse_datetime(text) {
        let instant = Offset::UTC.to_timestamp(civil).ok()?;
        return Some(instant.as_millisecond());
    }
    // Go prints `2026-01-01 00:00:05.123 +0000 UTC`, which a template writes when it names a time bare.
    let mut words = text.split_ascii_whitespace();
    let (date, time, offset) = (words.next()?, words.next()?, words.next()?);
    let joined = if offset == "UTC" {
        format!("{date}T{time}Z")
    } else {
        format!("{date}T{time}{offset}")
    };
    let instant = PARSER.parse_timestamp(&joined).ok()?;
    Some(instant.as_millisecond())
}

/// Takes the unit from the size: seconds reach 11 digits in the year 5138, milliseconds had 12 in 1973.
fn epoch_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        0..=11 => {
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            let ms: i64 = thousandths.parse().ok()?;
            number.checked_mul(1000)?.checked_add(ms)
        }
        12..=14 => Some(number),
        15..=17 => Some(number / 1000),
        _ => Some(number / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_767_225_605_000;

    fn ms(text: &str) -> i64 {
        read(text).unwrap().unwrap().as_millis()
    }

    #[test]
    fn every_form_of_one_instant_reads_the_same() {
        for text in [
            "2026-01-01T00:00:05Z",
            "2026-01-01t00:00:05z",
            "2026-01-01T01:00:05+01:00",
            "2026-01-01T00:00:05+0000",
            "2025-12-31T19:00:05-0500",
            "2026-01-01T00:00:05",
            "2026-01-01 00:00:05",
            "2026-01-01 00:00:05 +0000 UTC",
            "2026-01-01 01:00:05 +0100 CET",
            "2026-01-01 00:00:05 UTC",
            " 2026-01-01T00:00:05.000000000Z ",
            "1767225605",
            "1767225605.0",
            "1767225605000",
            "1767225605000000",
            "1767225605000000000",
        ] {
            assert_eq!(ms(text), AT, "{text}");
        }
    }

    #[test]
    fn fractions_keep_milliseconds_with_any_number_of_digits() {
        for (text, fraction) in [
            (".1", 100),
            (".12", 120),
            (".123", 123),
            (".1234567", 123),
            (".123456789", 123),
        ] {
            assert_eq!(ms(&format!("2026-01-01T00:00:05{text}Z")), AT + fraction);
            assert_eq!(
                ms(&format!("2026-01-01T00:00:05{text}+0000")),
                AT + fraction
            );
            assert_eq!(ms(&format!("1767225605{text}")), AT + fraction);
        }
    }

    #[test]
    fn seconds_and_time_of_day_may_be_missing() {
        for text in ["2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00Z"] {
            assert_eq!(ms(text), AT - 5_000, "{text}");
        }
    }

    #[test]
    fn year_1_and_nothing_mean_not_set() {
        for text in [
            "",
            "  ",
            "0",
            GO_ZERO,
            "0001-01-01T00:00:00+0000",
            "0001-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00+01:00",
            "0001-01-01 00:00:00 +0000 UTC",
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn other_texts_are_errors() {
        for text in [
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "-5",
            "1.2.3",
            "1e9",
            "99999999999999999999999",
            "{}",
            "2026-01-01T00:00:05 somewhere",
        ] {
            assert_eq!(read(text), Err(UnreadableTime), "{text}");
        }
    }
}
