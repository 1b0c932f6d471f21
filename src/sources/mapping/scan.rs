//! A look at an expression before it is compiled: what it calls, and how often it can grow a text.
//!
//! The language itself finds unknown filters only when they run and bounds no concatenation; here both are found at
//! load. Must not judge anything else: syntax is the compiler's.

use crate::sources::mapping::engine::{ExprError, SOURCE_BYTES_MAX};

/// Names, texts and signs in one expression. The language's compiler and evaluator call themselves for each that
/// builds on another, so a longer one could exhaust the stack and end the process.
const TOKENS_MAX: usize = 300;
/// Brackets inside brackets, for the same reason.
const DEPTH_MAX: usize = 20;
/// Places in one expression that join texts.
const JOINS_MAX: usize = 32;

/// Every filter that can be called.
pub(super) const FILTERS: [&str; 30] = [
    "after",
    "before",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "fromjson",
    "int",
    "join",
    "known",
    "last",
    "length",
    "lower",
    "map",
    "pairs",
    "pick",
    "rejectattr",
    "replace",
    "selectattr",
    "sort",
    "split",
    "string",
    "times",
    "tojson",
    "trim",
    "unique",
    "upper",
];
/// Every test that can stand after `is`.
pub(super) const TESTS: [&str; 19] = [
    "boolean",
    "defined",
    "endingwith",
    "eq",
    "false",
    "ge",
    "gt",
    "in",
    "le",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];

/// Checks length, calls and growth.
///
/// # Errors
/// Says what is not allowed and what to write instead.
pub(super) fn check(source: &str) -> Result<(), ExprError> {
    let refuse = |message: String, hint: &str| {
        Err(ExprError {
            message,
            hint: hint.to_owned(),
        })
    };
    if source.trim().is_empty() {
        return refuse(
            "is empty".to_owned(),
            "write an expression, or leave the key out",
        );
    }
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("is longer than {SOURCE_BYTES_MAX} bytes");
        return refuse(message, "let the sender compute more, or split the source");
    }
    if source.trim_start().starts_with("{{") || source.trim_start().starts_with("{%") {
        let message = "is a template, not an expression".to_owned();
        return refuse(
            message,
            "write it without {{ }}; join texts with ~, like item.host ~ ' is down'",
        );
    }
    let tokens = tokens(source);
    if tokens.len() > TOKENS_MAX || depth(&tokens) > DEPTH_MAX {
        let message = format!(
            "is too complex: more than {TOKENS_MAX} names and signs, or more than {DEPTH_MAX} brackets inside each other"
        );
        return refuse(
            message,
            "let the sender compute more, or use a table like {'a': 'b'}[item.x]",
        );
    }
    let mut joins = 0_usize;
    let mut before = ["", ""];
    for (index, &token) in tokens.iter().enumerate() {
        let next = tokens.get(index.saturating_add(1)).copied().unwrap_or("");
        if let Some((message, hint)) = wrong_call(before, token, next) {
            return refuse(message, &hint);
        }
        if token == "*" {
            return refuse(
                "`*` is not available, since it can make texts and lists without bound".to_owned(),
                "multiply with the filter times, like item.seconds|times(1000)",
            );
        }
        joins = joins.saturating_add(usize::from(matches!(token, "~" | "+")));
        before = [before[1], token];
    }
    if joins > JOINS_MAX {
        let message = format!("joins texts in more than {JOINS_MAX} places");
        return refuse(message, "use join, like [item.a, item.b]|join('/')");
    }
    Ok(())
}

/// A call of something that is not there: what, and what there is.
fn wrong_call(before: [&str; 2], token: &str, next: &str) -> Option<(String, String)> {
    const HINT: &str = "use a filter, like item.name|lower";
    if !is_name(token) {
        return None;
    }
    let known = |names: &[&str]| format!("known: {}", names.join(", "));
    match before {
        [_, "|"] => (!FILTERS.contains(&token))
            .then(|| (format!("there is no filter `{token}`"), known(&FILTERS))),
        [_, "is"] if token == "not" => None,
        [_, "is"] | ["is", "not"] => (!TESTS.contains(&token))
            .then(|| (format!("there is no test `{token}`"), known(&TESTS))),
        [_, "."] => {
            (next == "(").then(|| (format!("there is no method `{token}`"), HINT.to_owned()))
        }
        _ => (next == "(" && !KEYWORDS.contains(&token))
            .then(|| (format!("there is no function `{token}`"), HINT.to_owned())),
    }
}

fn depth(tokens: &[&str]) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for token in tokens {
        match *token {
            "(" | "[" | "{" => open = open.saturating_add(1),
            ")" | "]" | "}" => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = open.max(deepest);
    }
    deepest
}

/// Words before a bracket that are no calls.
const KEYWORDS: [&str; 7] = ["and", "or", "not", "in", "if", "else", "is"];

fn is_name(token: &str) -> bool {
    token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// Names and signs outside of quoted texts.
fn tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let len = match letter {
            '"' | '\'' => quoted_len(rest, letter),
            _ if letter.is_alphanumeric() || letter == '_' => rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len()),
            _ => letter.len_utf8(),
        };
        let (token, after) = rest.split_at(len);
        if !letter.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (offset, letter) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if letter == '\\' {
            is_escaped = true;
        } else if letter == quote {
            return offset.saturating_add(1);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(source: &str) -> String {
        check(source).unwrap_err().message
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(message("item.a|indent(9)"), "there is no filter `indent`");
        assert_eq!(message("item.a | lowr"), "there is no filter `lowr`");
        assert_eq!(
            message("item.a is divisibleby 3"),
            "there is no test `divisibleby`"
        );
        assert_eq!(message("item.a is not odd"), "there is no test `odd`");
        assert_eq!(message("item.a.upper()"), "there is no method `upper`");
        assert_eq!(message("range(9)"), "there is no function `range`");
        assert_eq!(message(" "), "is empty");
        assert_eq!(message(" {{ item.a }}"), "is a template, not an expression");
    }

    #[test]
    fn growth_is_refused() {
        assert!(message("'x' * 9").contains("`*`"));
        assert!(message("2 ** 9").contains("`*`"));
        assert!(message(&"~a".repeat(JOINS_MAX + 1)).contains("joins"));
        assert!(message(&format!("a{}", ".a".repeat(TOKENS_MAX))).contains("complex"));
        assert!(message(&format!("{}1", "a[".repeat(DEPTH_MAX + 1))).contains("complex"));
        assert!(message(&"a".repeat(SOURCE_BYTES_MAX + 1)).contains("longer"));
    }

    #[test]
    fn ordinary_expressions_pass_and_quoted_texts_do_not_count() {
        for source in [
            "item.host ~ '/' ~ item.check",
            "'resolved' if item.value == 0 else 'firing'",
            "item.a|default('a * b | nothing is odd')|upper",
            "item.a is defined and not (item.b is not none) and (item.c in ('x', \"it's\"))",
            "item.tags|selectattr('tag', 'eq', 'scope')|map(attribute='value')|first",
        ] {
            assert_eq!(check(source), Ok(()), "{source}");
        }
    }
}
