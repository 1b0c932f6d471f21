//! Keeps strange web pages out of a daemon that asks nobody for a token.
//!
//! Such a daemon listens on loopback only, but a browser on the same machine reaches it for any page it shows: by a
//! form or a script of another site, or by a host name that its owner has pointed at 127.0.0.1. Must not get in the
//! way of anything that is not a browser.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use super::problem::{Kind, Problem};

/// Refuses what a page of another site makes a browser ask for.
pub(super) fn refuse_strangers(headers: &HeaderMap, is_read: bool) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
    };
    let host = text(HOST);
    if host.is_some_and(|host| !is_local(host)) {
        let detail = "without authentication the daemon answers only under localhost or an IP address; \
                      use that, or set required = true under [auth]";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    if is_read {
        return Ok(());
    }
    let site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    let is_strange = match site {
        Some(site) => site != "same-origin" && site != "none",
        None => text(ORIGIN).is_some_and(|origin| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_none() || authority != host
        }),
    };
    if is_strange {
        let detail = "this request was made by a page of another site; commands are taken from our own pages and \
                      from programs";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    Ok(())
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            return rest
                .split_once(']')
                .is_some_and(|(ip, _)| ip.parse::<std::net::Ipv6Addr>().is_ok());
        }
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &'static str)], is_read: bool) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refuse_strangers(&headers, is_read).is_ok()
    }

    #[test]
    fn programs_and_own_pages_pass() {
        assert!(check(&[], false));
        assert!(check(&[("host", "127.0.0.1:8080")], false));
        assert!(check(
            &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
            false
        ));
        assert!(check(
            &[
                ("host", "localhost:8080"),
                ("sec-fetch-site", "same-origin")
            ],
            false
        ));
        assert!(check(
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            true
        ));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        assert!(
            !check(&[("host", "evil.example:8080")], true),
            "a name pointed at loopback"
        );
        assert!(!check(
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            false
        ));
        assert!(!check(
            &[("host", "localhost"), ("sec-fetch-site", "same-site")],
            false
        ));
        assert!(!check(
            &[("host", "localhost"), ("origin", "https://evil.example")],
            false
        ));
        assert!(!check(&[("host", "localhost"), ("origin", "null")], false));
    }
}
