//! Words for people: text that is safe on a terminal and fits, times and how long ago they were.
//!
//! Alert texts come from strangers, so everything shown goes through [`clean`]. Must not print.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::core::time::{Span, Timestamp};

/// Makes a text one line that cannot steer a terminal: control characters and changes of writing direction become
/// spaces.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_steering(c) { ' ' } else { c })
        .collect()
}

/// The same for a text of several lines, whose line breaks and tabs stay.
pub fn clean_lines(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            _ if is_steering(c) => ' ',
            _ => c,
        })
        .collect()
}

/// Unicode's control characters, line separators, and the marks that reorder text ("Trojan Source").
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to a number of columns; a cut one ends in an ellipsis.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left = left.saturating_sub(wide);
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}

/// Breaks a text into lines of at most so many columns, at spaces where possible.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let space = usize::from(!line.is_empty());
        let wanted = width(&line)
            .saturating_add(space)
            .saturating_add(width(word));
        if wanted > columns && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            let wanted = width(&line).saturating_add(c.width().unwrap_or(0));
            if wanted > columns && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A length of time in its two largest units, like `2h05m`; a negative one counts as none.
pub fn span(span: Span) -> String {
    let seconds = span.as_millis().max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// How long before `now` a time was, like `5m10s ago`, or how far it is ahead, like `in 2h00m`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let past = now.since(at);
    if past < Span::ZERO {
        format!("in {}", span(past.abs()))
    } else {
        format!("{} ago", span(past))
    }
}

/// A time in UTC to the second, like `2026-01-31 08:05:00Z`.
pub fn utc(at: Timestamp) -> String {
    stamp(at).strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A time as RFC 3339 with milliseconds, as the API takes it.
pub fn rfc3339(at: Timestamp) -> String {
    format!("{:.3}", stamp(at))
}

fn stamp(at: Timestamp) -> jiff::Timestamp {
    // jiff ends a day before the year 10000 does, so that every zone can show what it holds.
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(if at.as_millis() < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    })
}

/// Bytes in the unit that fits, like `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let Some((index, unit)) = units
        .iter()
        .enumerate()
        .rev()
        .find(|(index, _)| count >> ((index + 1) * 10) > 0)
    else {
        return format!("{count} B");
    };
    let unit_bytes = 1_u64 << ((index + 1) * 10);
    let (whole, rest) = (count / unit_bytes, count % unit_bytes);
    let tenths = u128::from(rest).saturating_mul(10) / u128::from(unit_bytes);
    format!("{whole}.{tenths} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_strangers_cannot_steer_the_terminal() {
        let hostile = "a\x1b[2Jb\u{202e}c\nd\u{9b}31m";
        assert_eq!(clean(hostile), "a [2Jb c d 31m");
        assert_eq!(clean_lines(hostile), "a [2Jb c\nd 31m");
    }

    #[test]
    fn texts_are_cut_by_columns_not_by_characters() {
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("too long", 5), "too…");
        assert_eq!(fit("電源障害発生", 7), "電源障…");
        assert_eq!(width(&fit("電源障害発生", 6)), 5);
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh i", 5), ["abcde", "fgh i"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn times_are_shown_in_two_units() {
        let shown = |secs| span(Span::from_secs(secs));
        assert_eq!(shown(5), "5s");
        assert_eq!(shown(310), "5m10s");
        assert_eq!(shown(7_500), "2h05m");
        assert_eq!(shown(90_000), "1d01h");
        assert_eq!(shown(-5), "0s");
        let now = Timestamp::from_millis(1_767_225_600_500);
        assert_eq!(utc(now), "2026-01-01 00:00:00Z");
        assert_eq!(rfc3339(now), "2026-01-01T00:00:00.500Z");
        assert!(rfc3339(Timestamp::MAX).starts_with("9999-12-30T"));
        assert_eq!(relative(now.minus(Span::from_secs(61)), now), "1m01s ago");
        assert_eq!(relative(now.plus(Span::from_secs(61)), now), "in 1m01s");
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
    }
}
