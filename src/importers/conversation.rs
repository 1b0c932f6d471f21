//! In which order a product's API is asked: answers in, the next request or a whole picture out.
//!
//! A conversation fails as a whole: a page that is missing must never look like items that are gone. Secrets are put
//! in by the wire, and only into requests to the configured place. Must not do I/O or see a secret.

use std::collections::BTreeSet;

use url::Url;

use crate::core::cmdb::record::Picture;

/// Requests of one conversation; a server that always names a next page is left after this many.
pub const REQUESTS_MAX: usize = 20_000;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// Where; always below the configured URL's host.
    pub url: Url,
    /// Headers besides the configured secret.
    pub headers: Vec<(&'static str, String)>,
    /// Form fields of a POST.
    pub form: Vec<(&'static str, String)>,
    /// Whether the configured secret belongs into it.
    pub is_authenticated: bool,
}

/// How to send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET without a body.
    Get,
    /// POST of a form.
    Post,
}

impl Request {
    /// A GET with the configured secret.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: vec![("accept", "application/json".to_owned())],
            form: Vec::new(),
            is_authenticated: true,
        }
    }

    /// The path and query, for messages: the host is known, and user names in URLs are nobody's business.
    pub fn place(&self) -> String {
        let query = self.url.query().map(|query| format!("?{query}"));
        format!("{}{}", self.url.path(), query.unwrap_or_default())
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header with this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the status is one of success.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The start of the body as one line, for messages.
    pub fn shown(&self) -> String {
        let start = self
            .body
            .get(..self.body.len().min(300))
            .unwrap_or_default();
        let text = String::from_utf8_lossy(start);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The status is not one of success, or the body is not JSON; says what to do.
    pub fn json(&self) -> Result<serde_json::Value, String> {
        if !self.is_success() {
            return Err(self.refusal());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            format!(
                "the answer is not JSON ({error}): {}; check that url is the base of the API",
                self.shown()
            )
        })
    }

    /// What a status that is not one of success means, and what to do.
    pub fn refusal(&self) -> String {
        let advice = match self.status {
            300..=399 => {
                let target = self.header("location").unwrap_or("nowhere");
                return format!("the server redirects to {target}; write the final address as url");
            }
            401 | 403 => "check token or user and password, and that it may read these objects",
            404 => "check that url is the base of the API",
            429 => "the server asks to slow down; import less often",
            _ => "look at the server's log",
        };
        format!(
            "the server answered {}: {}; {advice}",
            self.status,
            self.shown()
        )
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this and come back with the answer.
    Fetch(Request),
    /// Everything is there.
    Done(Picture),
    /// It came to nothing; what is wrong and what to do.
    Failed(String),
}

/// One conversation with a product's API.
pub trait Conversation: Send {
    /// The next step; `answer` is the one to the last request, `None` at the start.
    fn next(&mut self, answer: Option<&Answer>) -> Step;

    /// What was read so far, for people who wait.
    fn progress(&self) -> String {
        String::new()
    }

    /// What this server has and others may lack; given to the next conversation with it, for which the absence of one
    /// of these is a failure.
    fn answered(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// Whether two addresses are the same server; `http` and `https` on their usual ports are, since a server behind a
/// proxy often does not know which one it is.
pub fn is_same_server(one: &Url, other: &Url) -> bool {
    let default = |url: &Url| url.port().is_none();
    one.host_str() == other.host_str()
        && (one.port_or_known_default() == other.port_or_known_default()
            || (default(one) && default(other)))
}

/// The address of a page that an answer names, moved to the configured scheme and port.
///
/// # Errors
/// It is no address, or one on another server, which must not get our secret.
pub fn page_url(base: &Url, named: &str) -> Result<Url, String> {
    let next = base
        .join(named)
        .map_err(|error| format!("the answer names {named:?} as its next page: {error}"))?;
    if !is_same_server(base, &next) {
        let (host, own) = (
            next.host_str().unwrap_or("another host"),
            base.host_str().unwrap_or_default(),
        );
        return Err(format!(
            "the answer names a next page on {host}, which is not {own}; it was not asked. Give the server its public name (Host and X-Forwarded-Proto of its proxy), or write that name as url"
        ));
    }
    let mut url = base.clone();
    url.set_path(next.path());
    url.set_query(next.query());
    Ok(url)
}

/// An address below the configured one.
///
/// # Errors
/// The configured one cannot have a path.
pub fn below(base: &Url, path: &str, query: &[(&str, &str)]) -> Result<Url, String> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    {
        let mut segments = url
            .path_segments_mut()
            .map_err(|()| format!("{base} cannot have a path; write url like https://host"))?;
        segments.pop_if_empty();
        segments.extend(path.split('/').filter(|part| !part.is_empty()));
        if path.ends_with('/') {
            segments.push("");
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_on_other_servers_are_refused_and_other_schemes_are_moved() {
        let base = Url::parse("https://netbox.example/sub/").unwrap();
        let next = page_url(&base, "http://netbox.example/sub/api/x/?offset=50").unwrap();
        assert_eq!(next.as_str(), "https://netbox.example/sub/api/x/?offset=50");
        for foreign in [
            "https://evil.example/api/",
            "https://netbox.example:8443/x",
            "//evil/x",
        ] {
            assert!(
                page_url(&base, foreign).unwrap_err().contains("not asked"),
                "{foreign}"
            );
        }
    }

    #[test]
    fn paths_are_put_below_the_configured_one() {
        let base = Url::parse("http://h/sub/").unwrap();
        let url = below(&base, "/api/dcim/sites/", &[("limit", "5")]).unwrap();
        assert_eq!(url.as_str(), "http://h/sub/api/dcim/sites/?limit=5");
    }
}
