//! Which addresses may be reached: not those of this machine and of private networks, unless the operator says so.
//!
//! Names are looked up here and nowhere else, so that a name cannot mean one address when it is checked and another
//! when it is used. Must not let a single private address of a name through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Looks names up and refuses private addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    pub(super) allow_private: bool,
}

/// What to say about a refused address.
const ADVICE: &str =
    "it is private and allow_private is false; set it to true if the address is meant";

impl Guard {
    /// Checks an address that needs no look-up.
    ///
    /// # Errors
    /// The host is a private address.
    pub(super) fn check(self, url: &Url) -> Result<(), String> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            // Looked up when it is used.
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err("the address has no host".to_owned()),
        };
        if self.allow_private || is_public(address) {
            Ok(())
        } else {
            Err(format!("{address} is not reached: {ADVICE}"))
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            let private = found.iter().find(|one| !is_public(one.ip()));
            if let (Some(private), false) = (private, allow_private) {
                let (name, address) = (name.as_str(), private.ip());
                return Err(format!(
                    "{name} has the address {address}, which is not reached: {ADVICE}"
                )
                .into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// Looks up the address of a server that is not spoken to over HTTP; one address of a name that is private makes all so.
///
/// # Errors
/// There is none, or it is private and must not be reached.
pub async fn resolve(host: &str, port: u16, allow_private: bool) -> Result<SocketAddr, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| format!("{host}: {error}"))?.collect();
    let private = found.iter().find(|one| !is_public(one.ip()));
    if let (Some(private), false) = (private, allow_private) {
        return Err(format!(
            "{host} has the address {}, which is not reached: {ADVICE}",
            private.ip()
        ));
    }
    // Where there are both, IPv4 is the one that works more often.
    let first = found.iter().find(|one| one.is_ipv4()).or(found.first());
    first
        .copied()
        .ok_or_else(|| format!("{host} has no address"))
}

/// Whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 127 | 240..=255, _, _)
            // Carriers' own addresses.
            | (100, 64..=127, _)
            // Protocol assignments, and benchmarks.
            | (192, 0, 0)
            | (198, 18..=19, _)
    );
    !(is_special || address.is_private() || address.is_link_local() || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [a, b, _, _, _, _, g, h] = address.segments();
    if a == 0x64 && b == 0xff9b {
        // An IPv4 address behind a translator.
        let [high, low] = [g.to_be_bytes(), h.to_be_bytes()];
        return is_public_v4(Ipv4Addr::new(high[0], high[1], low[0], low[1]));
    }
    if a == 0x2002 {
        // 6to4 carries one too.
        let [_, b, c, ..] = address.segments();
        let [high, low] = [b.to_be_bytes(), c.to_be_bytes()];
        return is_public_v4(Ipv4Addr::new(high[0], high[1], low[0], low[1]));
    }
    // Only 2000::/3 is given to anybody.
    (0x2000..0x4000).contains(&a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_dress() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "ff02::1",
            "2002:7f00:1::",
            "::127.0.0.1",
        ];
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "203.0.113.1",
            "172.32.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "100.128.0.1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn addresses_in_urls_are_checked_however_they_are_written() {
        let guard = Guard {
            allow_private: false,
        };
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]:80/",
        ] {
            assert!(guard.check(&Url::parse(text).unwrap()).is_err(), "{text}");
        }
        assert!(
            guard
                .check(&Url::parse("https://netbox.example/").unwrap())
                .is_ok()
        );
        let open = Guard {
            allow_private: true,
        };
        assert!(
            open.check(&Url::parse("http://127.0.0.1/").unwrap())
                .is_ok()
        );
    }
}
