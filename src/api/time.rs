//! Times as texts: RFC 3339, UTC, always three digits of a second. Must not read a clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::core::time::{Span, Timestamp};

/// A point in time on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-20T12:30:00.000Z")]
pub struct Time(pub Timestamp);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Every value of ours lies inside jiff's range.
        let time = jiff::Timestamp::from_millisecond(self.0.as_millis()).unwrap_or_default();
        write!(f, "{time:.3}")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        read(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

/// Reads an RFC 3339 time; finer than a millisecond is cut.
///
/// # Errors
/// What is expected, in words.
pub fn read(text: &str) -> Result<Timestamp, String> {
    let looks_right = text.as_bytes().get(4) == Some(&b'-') && text.is_ascii();
    let parsed = text.parse::<jiff::Timestamp>().ok().filter(|_| looks_right);
    parsed
        .map(|time| Timestamp::from_millis(time.as_millisecond()))
        .ok_or_else(|| format!("{text:?} is not a time; write it like 2026-11-20T12:30:00Z"))
}

/// Reads a length of time like `90s`, `15m`, `9h`, `30d` or `1h30m`.
pub fn read_span(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let count: i64 = rest.strip_suffix(digits)?.parse().ok()?;
        let seconds: i64 = match digits.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        sum = sum.checked_add(count.checked_mul(seconds)?)?;
        rest = digits.get(1..)?;
    }
    (!text.is_empty()).then(|| Span::from_secs(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_whatever_they_are() {
        for (text, printed) in [
            ("2026-11-20T12:30:00Z", "2026-11-20T12:30:00.000Z"),
            ("2026-11-20T12:30:00.5+01:00", "2026-11-20T11:30:00.500Z"),
            ("2026-11-20T12:30:00.123456789Z", "2026-11-20T12:30:00.123Z"),
        ] {
            assert_eq!(Time(read(text).unwrap()).to_string(), printed);
        }
        assert_eq!(Time(Timestamp::MAX).to_string(), "9999-12-30T22:00:00.000Z");
        for bad in [
            "",
            "2h",
            "tomorrow",
            "2026-11-20",
            "2026-11-20T12:30:00",
            "1732105800",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn spans_have_one_number_and_one_unit() {
        assert_eq!(read_span("30d"), Some(Span::from_days(30)));
        assert_eq!(read_span("1h30m"), Some(Span::from_mins(90)));
        assert_eq!(read_span("90s"), Some(Span::from_secs(90)));
        for bad in [
            "",
            "d",
            "1",
            "-1d",
            "1.5h",
            "1ms",
            "1 h",
            "99999999999999999d",
        ] {
            assert_eq!(read_span(bad), None, "{bad:?}");
        }
    }
}
