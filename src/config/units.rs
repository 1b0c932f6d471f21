//! Durations and sizes as people write them: `90s`, `15m`, `1h30m`, `30d`, `16MiB`.
//!
//! Must not accept a bare number: it would leave the unit to guessing.

use crate::config::error::Complaint;
use crate::core::time::Span;

/// Units of a duration with their milliseconds, longest first; a year is 365 days.
const DURATION_UNITS: [(&str, i64); 7] = [
    ("y", 365 * DAY_MS),
    ("w", 7 * DAY_MS),
    ("d", DAY_MS),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const DAY_MS: i64 = 86_400_000;

/// Units of a size with their bytes, largest first.
const SIZE_UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// The hint that goes with every bad duration.
pub(super) const DURATION_HINT: &str =
    "write a number and a unit (ms, s, m, h, d, w, y), like 90s, 15m, 9h or 30d";
/// The hint that goes with every bad size.
pub(super) const SIZE_HINT: &str = "write a number and a unit (B, KiB, MiB, GiB, TiB), like 16MiB";

/// Reads a duration; several parts go from long to short units, each once.
pub(super) fn parse_duration(text: &str) -> Result<Span, Complaint> {
    let malformed = || Complaint::new(format!("{text:?} is not a duration")).hint(DURATION_HINT);
    let mut rest = text;
    let mut units = DURATION_UNITS.as_slice();
    let mut total_ms: i64 = 0;
    loop {
        let (digits, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, next) = split_where(after, |c| c.is_ascii_digit());
        let place = units.iter().position(|(name, _)| *name == unit);
        let (Some(place), false) = (place, digits.is_empty()) else {
            return Err(malformed());
        };
        let (head, tail) = units.split_at(place.saturating_add(1));
        let unit_ms = head.last().map_or(1, |(_, ms)| *ms);
        let part = digits
            .parse::<i64>()
            .ok()
            .and_then(|n| n.checked_mul(unit_ms));
        total_ms = part
            .and_then(|ms| ms.checked_add(total_ms))
            .ok_or_else(|| {
                Complaint::new(format!("{text:?} is too long a time")).hint(DURATION_HINT)
            })?;
        (units, rest) = (tail, next);
        if rest.is_empty() {
            return Ok(Span::from_millis(total_ms));
        }
    }
}

/// Reads a size in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, Complaint> {
    let malformed = || Complaint::new(format!("{text:?} is not a size")).hint(SIZE_HINT);
    let (digits, unit) = split_where(text, |c| !c.is_ascii_digit());
    let unit_bytes = SIZE_UNITS.iter().find(|(name, _)| *name == unit);
    let (Some((_, unit_bytes)), false) = (unit_bytes, digits.is_empty()) else {
        return Err(malformed());
    };
    let bytes = digits.parse::<u64>().ok();
    bytes
        .and_then(|n| n.checked_mul(*unit_bytes))
        .ok_or_else(|| Complaint::new(format!("{text:?} is too large a size")).hint(SIZE_HINT))
}

/// Writes a duration in the largest unit that divides it.
pub(super) fn show_duration(span: Span) -> String {
    let ms = span.as_millis();
    let unit = DURATION_UNITS
        .iter()
        .find(|(_, unit_ms)| ms != 0 && ms % unit_ms == 0);
    match unit {
        Some((name, unit_ms)) => format!("{}{name}", ms / unit_ms),
        None => "0s".to_owned(),
    }
}

/// Writes a size in the largest unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS
        .iter()
        .find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => "0B".to_owned(),
    }
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit_or_several_from_long_to_short() {
        let ms = |text| parse_duration(text).ok().map(Span::as_millis);
        assert_eq!(ms("90s"), Some(90_000));
        assert_eq!(ms("15m"), Some(900_000));
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("3y"), Some(3 * 365 * 86_400_000));
        assert_eq!(ms("0s"), Some(0));
        for bad in [
            "", "9", "h", "9 hours", "-5m", "1.5h", "30m1h", "1m1m", "5M", " 5m", "5mm", "٣s",
        ] {
            assert_eq!(ms(bad), None, "{bad:?}");
        }
        for long in [
            "99999999999999999999s",
            "9223372036854775807y",
            "292471208y52w",
        ] {
            let complaint = parse_duration(long).expect_err(long);
            assert!(complaint.message.contains("too long"), "{long}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_binary_unit() {
        assert_eq!(parse_size("16MiB").ok(), Some(16 << 20));
        assert_eq!(parse_size("0B").ok(), Some(0));
        for bad in [
            "",
            "16",
            "16MB",
            "16 MiB",
            "MiB",
            "-1B",
            "1.5GiB",
            "99999999TiB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_are_shown_as_they_would_be_written() {
        for text in ["90s", "15m", "9h", "1d", "2w", "3y", "1500ms", "0s"] {
            assert_eq!(show_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["16MiB", "20GiB", "1023B", "0B"] {
            assert_eq!(show_size(parse_size(text).expect(text)), text);
        }
    }
}
