//! Keeps one log record on one line, whatever a sender put into it.
//!
//! Alert texts, names and errors of remote systems end up in logs. Control characters could end a line and forge the
//! next record, drive a terminal, or reorder what a person sees. Must not change any other character.

use std::fmt::Write;

/// Whether `c` could break a line, drive a terminal or change the visible order of text.
///
/// These are the C0 and C1 controls with DEL, the line and paragraph separators, and the bidirectional marks
/// (Unicode Standard Annex 9).
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends `text` to `out` with every unsafe character written as `\n`, `\r`, `\t` or `\u{..}`.
pub fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}

/// Returns `text` with every unsafe character escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

/// Rewrites a finished JSON text so that it holds no unsafe character, without changing its meaning.
///
/// A JSON writer escapes only the C0 controls; the rest can occur inside strings only, where `\uXXXX` means the same.
pub fn push_json_escaped(out: &mut String, json: &str) {
    for c in json.chars() {
        if is_unsafe(c) {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                write!(out, "\\u{unit:04x}").unwrap_or_default();
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_stays_one_line() {
        assert_eq!(
            escaped("a\r\nb\tc\u{1b}[31m\u{0}\u{7f}\u{85}\u{9b}"),
            r"a\r\nb\tc\u{1b}[31m\u{0}\u{7f}\u{85}\u{9b}"
        );
        assert_eq!(
            escaped("\u{202e}gnp\u{2066}\u{200f}\u{2028}"),
            r"\u{202e}gnp\u{2066}\u{200f}\u{2028}"
        );
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text = r#"Schalter „Süd" – 温度 C:\new 👍"#;
        assert_eq!(escaped(text), text);
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = "x\u{202e}\u{7f}\u{9b}\u{2029}\n";
        let json = serde_json::to_string(value).unwrap();
        let mut line = String::new();
        push_json_escaped(&mut line, &json);
        assert!(line.is_ascii());
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), value);
    }
}
