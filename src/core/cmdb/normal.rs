//! Texts that identify a CI, brought into the form in which they are compared.
//!
//! One form for every kind of text, used by reconciliation and binding alike. Must not guess: a text that is not of
//! the asked kind is `None`.

use std::str::FromStr as _;

use smol_str::{SmolStr, StrExt as _};

/// Bytes of an identifier that are looked at; longer texts are no identifiers.
const BYTES_MAX: usize = 253;

/// A name or id: trimmed, in lower case, without a dot at its end; `None` when empty or too long.
pub fn name(text: &str) -> Option<SmolStr> {
    let text = text.trim().trim_end_matches('.');
    if text.is_empty() || text.len() > BYTES_MAX {
        return None;
    }
    Some(text.to_lowercase_smolstr())
}

/// An IP address in its canonical form, without brackets, zone or prefix length.
pub fn ip(text: &str) -> Option<SmolStr> {
    let text = text.trim();
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    let text = text.strip_prefix('[').map_or(text, |inner| {
        inner.split_once(']').map_or(inner, |(address, _)| address)
    });
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    let address = ::core::net::IpAddr::from_str(text).ok()?;
    let address = address.to_canonical();
    Some(SmolStr::new(address.to_string()))
}

/// A hardware address of 6 or 8 bytes as lower-case digits without separators.
pub fn mac(text: &str) -> Option<SmolStr> {
    let text = text.trim();
    let mut digits = String::with_capacity(16);
    let mut separators = 0_usize;
    for letter in text.chars() {
        match letter {
            ':' | '-' | '.' => separators = separators.saturating_add(1),
            _ if letter.is_ascii_hexdigit() && digits.len() < 17 => {
                digits.push(letter.to_ascii_lowercase());
            }
            _ => return None,
        }
    }
    let is_long_enough = matches!(digits.len(), 12 | 16);
    // Twelve hexadecimal digits without separators may as well be an id.
    (is_long_enough && separators >= 2).then(|| digits.into())
}

/// The first part of a domain name: `vm07` of `vm07.corp.example`; `None` when there is no dot, or it is an address.
pub fn short(text: &str) -> Option<&str> {
    if ip(text).is_some() {
        return None;
    }
    let (first, rest) = text.split_once('.')?;
    (!first.is_empty() && !rest.is_empty()).then_some(first)
}

/// A text without `:port`; `None` when there is no port.
pub fn without_port(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    (is_port && !host.is_empty() && (is_bracketed || !host.contains(':'))).then_some(host)
}

/// The host of a URL: without scheme, user, port and path; `None` when it has neither scheme nor path.
pub fn url_host(text: &str) -> Option<&str> {
    let rest = match text.split_once("://") {
        Some((_, rest)) => rest,
        None if text.contains('/') && ip(text).is_none() => text,
        None => return None,
    };
    let host = rest.split(['/', '?', '#']).next()?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = without_port(host).unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

/// What owns a pod, without the suffixes that Kubernetes adds: `checkout` of `checkout-5d8f7c9b4-x2x9z` and of
/// `checkout-0`; `None` when there is no such suffix.
pub fn pod_owner(text: &str) -> Option<&str> {
    // Suffixes are drawn from letters without vowels and from digits that cannot be mistaken.
    let is_drawn = |part: &str| {
        part.bytes()
            .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
    };
    let is_hash = |part: &str| {
        (6..=10).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() && !b.is_ascii_uppercase())
            && part.bytes().any(|byte| byte.is_ascii_digit())
    };
    let (head, last) = text.rsplit_once('-')?;
    if last.len() == 5 && is_drawn(last) {
        return match head.rsplit_once('-') {
            Some((owner, hash)) if is_hash(hash) && !owner.is_empty() => Some(owner),
            Some(_) | None => (!head.is_empty()).then_some(head),
        };
    }
    let is_ordinal =
        (1..=3).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_digit());
    (is_ordinal && !head.is_empty()).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_text_has_one_form() {
        assert_eq!(name(" VM07.Corp.Example. ").unwrap(), "vm07.corp.example");
        assert_eq!(ip("[2001:DB8::1]:443").unwrap(), "2001:db8::1");
        assert_eq!(ip("10.0.0.7/24").unwrap(), "10.0.0.7");
        assert_eq!(ip("::ffff:10.0.0.7").unwrap(), "10.0.0.7");
        assert_eq!(ip("10.0.0"), None);
        assert_eq!(mac("AA-BB-CC-00-11-22").unwrap(), "aabbcc001122");
        assert_eq!(mac("aabb.cc00.1122").unwrap(), "aabbcc001122");
        assert_eq!(mac("aabbcc001122"), None);
        assert_eq!(short("vm07.corp"), Some("vm07"));
        assert_eq!(short("10.0.0.7"), None);
        assert_eq!(without_port("vm07:9100"), Some("vm07"));
        assert_eq!(without_port("[::1]:9100"), Some("[::1]"));
        assert_eq!(without_port("::1"), None);
        assert_eq!(
            url_host("https://u@shop.example:8443/x?y"),
            Some("shop.example")
        );
        assert_eq!(url_host("shop.example/x"), Some("shop.example"));
        assert_eq!(pod_owner("checkout-5d8f7c9b4-x2x9z"), Some("checkout"));
        assert_eq!(pod_owner("node-exporter-x2x9z"), Some("node-exporter"));
        assert_eq!(pod_owner("kafka-0"), Some("kafka"));
        assert_eq!(pod_owner("checkout"), None);
    }
}
