//! Shifts as iCalendar text (RFC 5545), for calendars that subscribe to a schedule.
//!
//! Written by hand: one component with six properties needs no crate. Lines are folded at 75 bytes and end with CR LF,
//! as every reader expects. Must not show gaps: an event that says that nobody is there helps nobody.

use crate::core::oncall::Shift;
use crate::core::time::Timestamp;

/// Bytes of one line before it is folded.
const LINE_BYTES_MAX: usize = 75;

/// Writes the shifts that somebody has.
pub(super) fn write(name: &str, shifts: &[Shift], now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |content: &str| fold(&mut text, content);
    line("BEGIN:VCALENDAR");
    line("VERSION:2.0");
    line("PRODID:-//Watchbell//on-call//EN");
    line("CALSCALE:GREGORIAN");
    line(&format!("X-WR-CALNAME:{}", escape(name)));
    line("REFRESH-INTERVAL;VALUE=DURATION:PT1H");
    for shift in shifts {
        for person in &shift.people {
            let (from, to) = (stamp(shift.from), stamp(shift.to));
            line("BEGIN:VEVENT");
            line(&format!(
                "UID:{}",
                escape(&format!("{from}-{person}-{name}@watchbell"))
            ));
            line(&format!("DTSTAMP:{}", stamp(now)));
            line(&format!("DTSTART:{from}"));
            line(&format!("DTEND:{to}"));
            line(&format!(
                "SUMMARY:{}",
                escape(&format!("{person} on call: {name}"))
            ));
            line("TRANSP:TRANSPARENT");
            line("END:VEVENT");
        }
    }
    line("END:VCALENDAR");
    text
}

fn stamp(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | ';' | ',' => escaped.extend(['\\', letter]),
            '\n' => escaped.push_str("\\n"),
            _ if letter.is_control() => {}
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Adds a line, broken after 75 bytes at a character; what follows begins with a space.
fn fold(text: &mut String, content: &str) {
    let mut rest = content;
    let mut room = LINE_BYTES_MAX;
    while rest.len() > room {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(room));
        text.push_str(head);
        text.push_str("\r\n ");
        rest = tail;
        room = LINE_BYTES_MAX.saturating_sub(1);
    }
    text.push_str(rest);
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::oncall::Ground;

    #[test]
    fn shifts_are_events_and_long_lines_are_folded() {
        let at = |text: &str| {
            Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
        };
        let shift = |people: &[&str]| Shift {
            from: at("2026-11-30T08:00:00Z"),
            to: at("2026-12-07T08:00:00Z"),
            people: people.iter().copied().map(Into::into).collect(),
            ground: Ground::Nobody,
        };
        let name = "réseau, ".repeat(12);
        let text = write(
            &name,
            &[shift(&["ana; the first"]), shift(&[])],
            at("2026-11-30T08:00:00Z"),
        );
        assert_eq!(
            text.matches("BEGIN:VEVENT").count(),
            1,
            "no event for a gap"
        );
        assert!(text.contains("DTSTART:20261130T080000Z\r\n"), "{text}");
        assert!(
            text.lines().all(|line| line.len() <= LINE_BYTES_MAX),
            "{text}"
        );
        let unfolded = text.replace("\r\n ", "");
        assert!(
            unfolded.contains("SUMMARY:ana\\; the first on call: réseau\\, "),
            "{text}"
        );
    }
}
