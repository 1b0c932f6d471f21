//! Query parameters as Alertmanager reads them: unknown ones are ignored, truth has many words.

use axum::http::StatusCode;

use super::{Fault, plain};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{Operator, parse_matcher};

/// Matchers in one request; each is compared with every alert.
const FILTERS_MAX: usize = 100;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn new(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// A truth that is true when not given (go-openapi `swag`, `ConvertBool`).
    pub(super) fn is_wanted(&self, name: &str) -> bool {
        let value = self.all(name).find(|value| !value.is_empty());
        value.is_none_or(|value| {
            let value = value.to_ascii_lowercase();
            let words = [
                "true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled",
            ];
            words.contains(&value.as_str())
        })
    }

    /// The matchers of `filter`.
    pub(super) fn filters(&self) -> Result<Vec<Matcher>, Fault> {
        let texts: Vec<_> = self.all("filter").collect();
        if texts.len() > FILTERS_MAX {
            let text = format!("more than {FILTERS_MAX} filters");
            return Err(plain(StatusCode::BAD_REQUEST, &text));
        }
        let parsed: Result<Vec<_>, _> = texts.into_iter().map(parse_matcher).collect();
        parsed.map_err(|bad| plain(StatusCode::BAD_REQUEST, &bad.to_string()))
    }

    /// Whether the receiver of that name is wanted.
    pub(super) fn is_receiver(&self, name: &str) -> Result<bool, Fault> {
        let Some(pattern) = self.all("receiver").find(|value| !value.is_empty()) else {
            return Ok(true);
        };
        // As large as any other expression may be.
        let matcher = Matcher::new("receiver", Operator::Regex, pattern);
        let matcher = matcher.map_err(|bad| {
            let text = format!("failed to parse receiver param: {bad}");
            plain(StatusCode::BAD_REQUEST, &text)
        })?;
        Ok(matcher.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_has_many_words_and_is_the_default() {
        let query = Query::new("a=true&b=YES&c=0&d=&e=maybe&filter=x%3D1&filter=y");
        for (name, expected) in [
            ("a", true),
            ("b", true),
            ("c", false),
            ("d", true),
            ("e", false),
            ("z", true),
        ] {
            assert_eq!(query.is_wanted(name), expected, "{name}");
        }
        assert!(query.filters().is_err(), "y is no matcher");
        assert!(
            !Query::new("receiver=ops.*")
                .is_receiver("watchbell")
                .unwrap()
        );
        assert!(Query::new("receiver=").is_receiver("watchbell").unwrap());
        assert!(Query::new("receiver=(").is_receiver("watchbell").is_err());
    }
}
