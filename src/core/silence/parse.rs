//! Reading matchers as Alertmanager reads them (`pkg/labels/parse.go`, `matcher/parse`).
//!
//! There are two ways: the classic one, in which names are those of Prometheus and values may stand without quotes,
//! and the UTF-8 one. Both are tried; where they disagree, the classic one counts, as in Alertmanager. Must not
//! accept what neither accepts.

use std::iter::Peekable;
use std::str::Chars;

use super::matcher::{BadMatcher, Matcher, Operator, shown};

/// Reads one matcher, like `alertname=Foo`.
///
/// # Errors
/// Neither way can read it, or its expression cannot be used.
pub fn parse_matcher(text: &str) -> Result<Matcher, BadMatcher> {
    let parts = classic(text).or_else(|| utf8(text));
    let Some((name, operator, value)) = parts else {
        return Err(BadMatcher::Syntax(shown(text)));
    };
    Matcher::new(&name, operator, &value)
}

/// Reads a list of matchers between commas, with or without braces around it: `{a="b",c=~"d|e"}`.
///
/// # Errors
/// As [`parse_matcher`]; the list as a whole is refused.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, BadMatcher> {
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.ends_with('}')) {
        (Some(rest), true) => rest.strip_suffix('}').unwrap_or(rest),
        (None, false) => trimmed,
        (Some(_), false) | (None, true) => return Err(BadMatcher::Syntax(shown(text))),
    };
    let mut parts = split(inner);
    if parts.last().is_some_and(|last| last.trim().is_empty()) {
        parts.pop();
    }
    parts.into_iter().map(parse_matcher).collect()
}

/// Reads what a person gives as one word: a matcher, or a list of them when there are braces around it.
///
/// # Errors
/// As [`parse_matcher`].
pub fn parse_word(text: &str) -> Result<Vec<Matcher>, BadMatcher> {
    if text.trim_start().starts_with('{') {
        parse_matchers(text)
    } else {
        parse_matcher(text).map(|matcher| vec![matcher])
    }
}

/// Cuts at commas that do not stand between quotes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            ',' if !is_quoted => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at.saturating_add(1);
            }
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

type Parts = (String, Operator, String);

/// The operator at the beginning, and what follows it.
fn operator(text: &str) -> Option<(Operator, &str)> {
    [
        Operator::Regex,
        Operator::NotEqual,
        Operator::NotRegex,
        Operator::Equal,
    ]
    .into_iter()
    .find_map(|operator| Some((operator, text.strip_prefix(operator.sign())?)))
}

fn classic(text: &str) -> Option<Parts> {
    let text = text.trim();
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_inner(c))?;
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (operator, rest) = operator(rest.trim_start())?;
    Some((name.to_owned(), operator, classic_value(rest.trim_start())?))
}

/// A value with or without quotes; of the escapes only those of `"`, `\` and newline are known, others are literal.
fn classic_value(raw: &str) -> Option<String> {
    let (raw, mut is_open) = match raw.strip_prefix('"') {
        Some(rest) => (rest, true),
        None => (raw, false),
    };
    let mut value = String::with_capacity(raw.len());
    let mut letters = raw.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => value.push('\n'),
                Some(next @ ('"' | '\\')) => value.push(next),
                Some(next) => value.extend(['\\', next]),
                None => value.push('\\'),
            },
            '"' if is_open && letters.peek().is_none() => is_open = false,
            '"' => return None,
            letter => value.push(letter),
        }
    }
    (!is_open).then_some(value)
}

fn utf8(text: &str) -> Option<Parts> {
    let mut letters = text.trim().chars().peekable();
    let name = word(&mut letters)?;
    let rest: String = letters.collect();
    let (operator, rest) = operator(rest.trim_start())?;
    let mut letters = rest.trim_start().chars().peekable();
    let value = word(&mut letters)?;
    letters.next().is_none().then_some((name, operator, value))
}

/// A quoted text, or one without any character that has a meaning.
fn word(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    if letters.next_if_eq(&'"').is_some() {
        return quoted(letters);
    }
    let is_plain = |c: &char| {
        !c.is_whitespace()
            && !matches!(
                c,
                '{' | '}' | '!' | '=' | '~' | ',' | '\\' | '"' | '\'' | '`'
            )
    };
    let mut word = String::new();
    while let Some(letter) = letters.next_if(is_plain) {
        word.push(letter);
    }
    (!word.is_empty()).then_some(word)
}

/// The rest of a text between quotes, with the escapes of Go.
fn quoted(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\n' => return None,
            '\\' => text.push(match letters.next()? {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                '\\' => '\\',
                '"' => '"',
                'x' => ascii(code(letters, 2)?)?,
                'u' => char::from_u32(code(letters, 4)?)?,
                'U' => char::from_u32(code(letters, 8)?)?,
                _ => return None,
            }),
            letter => text.push(letter),
        }
    }
}

fn code(letters: &mut Peekable<Chars<'_>>, digits: usize) -> Option<u32> {
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code
            .checked_mul(16)?
            .checked_add(letters.next()?.to_digit(16)?)?;
    }
    Some(code)
}

/// Bytes above ASCII would have to be joined to characters; nobody writes them so.
fn ascii(code: u32) -> Option<char> {
    char::from_u32(code).filter(char::is_ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;
    use crate::core::silence::matcher::Operator::{Equal, NotEqual, NotRegex, Regex};

    #[test]
    fn examples_are_read_as_alertmanager_reads_them() {
        for (text, name, operator, value) in [
            ("foo=bar", "foo", Equal, "bar"),
            ("foo=\"bar\"", "foo", Equal, "bar"),
            ("foo=~\"a|b\"", "foo", Regex, "a|b"),
            ("foo!~a", "foo", NotRegex, "a"),
            ("foo!=", "foo", NotEqual, ""),
            ("foo=", "foo", Equal, ""),
            (" foo = bar ", "foo", Equal, "bar"),
            ("foo=two words", "foo", Equal, "two words"),
            ("\"a.b\"=c", "a.b", Equal, "c"),
            ("a.b=c", "a.b", Equal, "c"),
            ("Ünï=\"\\u00fc\"", "Ünï", Equal, "ü"),
            ("foo=b\\ar", "foo", Equal, "b\\ar"),
            ("foo=\"b\\nr\"", "foo", Equal, "b\nr"),
            ("foo=\"a\\\"b\"", "foo", Equal, "a\"b"),
            ("foo=b}", "foo", Equal, "b}"),
            ("foo=bar=baz", "foo", Equal, "bar=baz"),
        ] {
            let matcher = parse_matcher(text).unwrap();
            let got = (
                matcher.name().as_str(),
                matcher.operator(),
                matcher.value().as_str(),
            );
            assert_eq!(got, (name, operator, value), "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in [
            "",
            "foo",
            "=bar",
            "{foo=bar}",
            "foo=\"bar",
            "foo=b\"ar",
            "1=\"a\" b",
            "foo=~(",
            "foo bar=baz",
            "a.b=c d",
            "\"\"=x",
            "!foo=bar",
            "a.b=",
        ] {
            assert!(parse_matcher(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lists_have_both_braces_or_none_and_may_end_with_a_comma() {
        for text in [
            "a=\"b,c\",d=~\"e|f\"",
            "{a=\"b,c\",d=~\"e|f\"}",
            "{a=\"b,c\", d=~\"e|f\",}",
        ] {
            let matchers = parse_matchers(text).unwrap();
            assert_eq!(matchers.len(), 2, "{text}");
            assert_eq!(matchers[0].value(), "b,c");
        }
        assert!(parse_matchers("").unwrap().is_empty());
        for text in ["{a=b", "a=b,,c=d", "a=b,c"] {
            assert!(parse_matchers(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(name in "\\PC{1,12}", value in any::<String>(), kind in 0..2_u8) {
            let operator = if kind == 0 { Equal } else { NotEqual };
            if let Ok(matcher) = Matcher::new(&name, operator, &value) {
                prop_assert_eq!(parse_matcher(&matcher.to_string()).unwrap(), matcher);
            }
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            drop(parse_matcher(&text));
            drop(parse_matchers(&text));
        }
    }
}
