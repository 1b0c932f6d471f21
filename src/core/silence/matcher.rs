//! One condition on a label, with the four operators of Alertmanager (`pkg/labels/matcher.go`).
//!
//! A label that is absent is empty. Regular expressions are anchored on both sides and run in time linear in the
//! text; their size is bounded when they are read. Must not look at anything but names and values of labels.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Bytes of a matcher's name or value; beyond it the matcher is refused. Label values are cut at the same length.
pub const MATCHER_BYTES_MAX: usize = 4 * 1024;
/// Bytes that a compiled expression may take; a larger one is refused, since a thousand silences are held in memory.
const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Groups in groups in an expression; deeper ones are refused.
const REGEX_NEST_MAX: u32 = 64;

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl Operator {
    /// The operator with these two properties, which is how Alertmanager writes it in JSON.
    pub const fn new(is_regex: bool, is_equal: bool) -> Self {
        match (is_regex, is_equal) {
            (false, true) => Self::Equal,
            (false, false) => Self::NotEqual,
            (true, true) => Self::Regex,
            (true, false) => Self::NotRegex,
        }
    }

    /// Whether the value is an expression.
    pub const fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::NotRegex)
    }

    /// Whether a match is wanted, not its absence.
    pub const fn is_equal(self) -> bool {
        matches!(self, Self::Equal | Self::Regex)
    }

    /// As written between name and value.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Matcher {
    name: SmolStr,
    value: SmolStr,
    operator: Operator,
    regex: Option<Regex>,
}

/// A matcher as it is stored.
#[derive(Serialize, Deserialize)]
struct Written {
    name: SmolStr,
    value: SmolStr,
    is_regex: bool,
    is_equal: bool,
}

/// Why a matcher cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMatcher {
    /// There is no label without a name.
    #[error("the name of a label is empty")]
    NoName,
    /// A text is too long.
    #[error("the matcher of {0:?} is longer than {MATCHER_BYTES_MAX} bytes")]
    TooLong(String),
    /// A text holds a character that cannot be stored.
    #[error("the matcher of {0:?} holds a NUL character")]
    Nul(String),
    /// The expression cannot be read or is too large.
    #[error("the regular expression {value:?} cannot be used: {problem}")]
    Regex {
        /// The expression, cut.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The text is no matcher.
    #[error(
        "bad matcher format: {0:?}; write it like alertname=Foo, instance=~\"web.*\", severity!=info or team!~\"a|b\""
    )]
    Syntax(String),
}

impl Matcher {
    /// A condition on the label `name`.
    ///
    /// # Errors
    /// The name is empty, a text is too long or holds NUL, or the expression cannot be used.
    pub fn new(name: &str, operator: Operator, value: &str) -> Result<Self, BadMatcher> {
        if name.is_empty() {
            return Err(BadMatcher::NoName);
        }
        if name.len() > MATCHER_BYTES_MAX || value.len() > MATCHER_BYTES_MAX {
            return Err(BadMatcher::TooLong(shown(name)));
        }
        if name.contains('\0') || value.contains('\0') {
            return Err(BadMatcher::Nul(shown(name)));
        }
        let regex = if operator.is_regex() {
            Some(compile(value)?)
        } else {
            None
        };
        Ok(Self {
            name: SmolStr::new(name),
            value: SmolStr::new(value),
            operator,
            regex,
        })
    }

    /// The label's name.
    pub fn name(&self) -> &SmolStr {
        &self.name
    }

    /// The value or expression.
    pub fn value(&self) -> &SmolStr {
        &self.value
    }

    /// How they are compared.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Whether a label with that value matches; absent labels are empty.
    pub fn is_match(&self, value: &str) -> bool {
        let is_same = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        is_same == self.operator.is_equal()
    }

    /// The value that the label must have exactly, if it must.
    pub fn exactly(&self) -> Option<&SmolStr> {
        (self.operator == Operator::Equal).then_some(&self.value)
    }
}

/// Whether all of them match; `label` gives the value of a label.
pub fn all_match<'a>(matchers: &[Matcher], label: impl Fn(&str) -> Option<&'a str>) -> bool {
    matchers
        .iter()
        .all(|matcher| matcher.is_match(label(&matcher.name).unwrap_or_default()))
}

fn compile(value: &str) -> Result<Regex, BadMatcher> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .nest_limit(REGEX_NEST_MAX)
            .build()
    };
    // By itself first: `a)|(b` would only be sound between the anchors, and get around them.
    build(value)
        .and_then(|_| build(&format!("^(?:{value})$")))
        .map_err(|error| BadMatcher::Regex {
            value: shown(value),
            problem: match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                regex::Error::Syntax(text) => last_line(&text),
                _ => "it cannot be read".to_owned(),
            },
        })
}

/// The parser draws the place on several lines; the last one says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.trim_start_matches("error: ").to_owned()
}

pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.operator, &self.value) == (&other.name, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if self.name.chars().all(is_plain) {
            f.write_str(&self.name)?;
        } else {
            write!(f, "{}", Quoted(&self.name))?;
        }
        write!(f, "{}{}", self.operator.sign(), Quoted(&self.value))
    }
}

/// A text between quotes, as both ways of reading matchers understand it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for letter in self.0.chars() {
            match letter {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                letter => write!(f, "{letter}")?,
            }
        }
        f.write_str("\"")
    }
}

impl TryFrom<Written> for Matcher {
    type Error = BadMatcher;

    fn try_from(written: Written) -> Result<Self, BadMatcher> {
        let operator = Operator::new(written.is_regex, written.is_equal);
        Self::new(&written.name, operator, &written.value)
    }
}

impl From<Matcher> for Written {
    fn from(matcher: Matcher) -> Self {
        Self {
            is_regex: matcher.operator.is_regex(),
            is_equal: matcher.operator.is_equal(),
            name: matcher.name,
            value: matcher.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(operator: Operator, pattern: &str, value: &str) -> bool {
        Matcher::new("a", operator, pattern)
            .unwrap()
            .is_match(value)
    }

    #[test]
    fn the_four_operators_hold() {
        use Operator::{Equal, NotEqual, NotRegex, Regex};
        for (operator, pattern, value, expected) in [
            (Equal, "b", "b", true),
            (Equal, "b", "bb", false),
            (Equal, "", "", true),
            (NotEqual, "", "", false),
            (NotEqual, "", "x", true),
            (Regex, "web.*", "web-1", true),
            (Regex, "web.*", "a web-1", false),
            (Regex, "a|b", "b", true),
            (Regex, "a|b", "ab", false),
            (NotRegex, "a|b", "ab", true),
            (Regex, "", "", true),
            (Regex, ".+", "two\nlines", false),
        ] {
            assert_eq!(
                is_match(operator, pattern, value),
                expected,
                "{operator:?} {pattern:?} {value:?}"
            );
        }
    }

    #[test]
    fn an_expression_cannot_leave_its_anchors_nor_grow_without_bound() {
        let refused = |value: &str| Matcher::new("a", Operator::Regex, value).unwrap_err();
        assert!(matches!(refused("a)|(b"), BadMatcher::Regex { .. }));
        assert!(refused("(").to_string().contains("unclosed group"));
        assert!(
            refused("((a{500}){500}){500}")
                .to_string()
                .contains("too large")
        );
        assert!(matches!(
            refused(&"a".repeat(5_000)),
            BadMatcher::TooLong(_)
        ));
        assert!(matches!(
            refused(&"(".repeat(200)),
            BadMatcher::Regex { .. }
        ));
        assert!(matches!(refused("a\0"), BadMatcher::Nul(_)));
        assert_eq!(
            Matcher::new("", Operator::Equal, "x").unwrap_err(),
            BadMatcher::NoName
        );
    }
}
