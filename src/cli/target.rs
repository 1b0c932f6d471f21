//! Which daemon a command talks to: the one named, else the first listener of the configuration.
//!
//! Must not open a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use url::{Host, Url};

use crate::cli::failure::Failure;
use crate::cli::options::DaemonArgs;
use crate::cli::settings::request;
use crate::config::settings::ServerSettings;
use crate::config::{ConfigErrors, Env, Settings, load_partly};

/// A daemon's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Base URL without a slash at its end.
    pub url: String,
    /// A name in the URL that must not be looked up, and where it is.
    pub pinned: Option<(String, SocketAddr)>,
}

/// The daemon that the options name, else the one that the configuration describes.
///
/// # Errors
/// The URL is bad, or the configuration tells no listener.
pub fn find(args: &DaemonArgs, config: Option<&Path>, env: &Env) -> Result<Target, Failure> {
    if let Some(url) = args.url.as_deref().filter(|url| !url.is_empty()) {
        return of_url(url);
    }
    let (settings, mut errors) = load_partly(&request(config, env))?;
    // A person often may not read the key of the listener; that it is there tells enough.
    let has_tls = settings.server.tls.is_some()
        || errors
            .iter()
            .any(|error| error.key.starts_with("server.tls"));
    if let Some(target) = of_server(&settings.server, has_tls) {
        return Ok(target);
    }
    errors.retain(|error| error.key.is_empty() || error.key.starts_with("server"));
    if errors.is_empty() {
        return Err(Failure::usage(
            "the configuration leaves the port of the listener to the system",
        )
        .next("say where the daemon is with --url or WATCHBELL_URL"));
    }
    Err(Failure::from(ConfigErrors(errors))
        .next("or say where the daemon is with --url or WATCHBELL_URL"))
}

/// The daemon that valid settings describe; `None` when its port is chosen at its start.
pub fn of_settings(settings: &Settings) -> Option<Target> {
    of_server(&settings.server, settings.server.tls.is_some())
}

/// `http` or `https`.
pub fn scheme(settings: &Settings) -> &'static str {
    if settings.server.tls.is_some() {
        "https"
    } else {
        "http"
    }
}

fn of_url(text: &str) -> Result<Target, Failure> {
    let bad = |why: &str| {
        Failure::usage(format!("--url {text:?} cannot be used: {why}"))
            .next("write it like http://127.0.0.1:8080")
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("--url holds a user or password")
            .next("pass a token with --token or WATCHBELL_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a query or fragment"));
    }
    Ok(Target {
        url: text.trim_end_matches('/').to_owned(),
        pinned: None,
    })
}

fn of_server(server: &ServerSettings, has_tls: bool) -> Option<Target> {
    let listen = server.listen.first().filter(|listen| listen.port() != 0)?;
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    if !has_tls {
        return Some(Target {
            url: format!("http://{address}"),
            pinned: None,
        });
    }
    // The certificate is for the name that people use, so that name is asked for, at the listener's address.
    let name = server
        .external_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
        .and_then(|url| match url.host() {
            Some(Host::Domain(name)) => Some(name.to_owned()),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => None,
        });
    Some(match name {
        Some(name) => Target {
            url: format!("https://{name}:{}", address.port()),
            pinned: Some((name, address)),
        },
        None => Target {
            url: format!("https://{address}"),
            pinned: None,
        },
    })
}

/// A listener on every address is reached on this machine.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(listen: &str, external_url: Option<&str>) -> ServerSettings {
        ServerSettings {
            listen: vec![listen.parse().expect("address")],
            external_url: external_url.map(str::to_owned),
            ..ServerSettings::default()
        }
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("192.0.2.7:9000", "http://192.0.2.7:9000"),
        ] {
            let target = of_server(&server(listen, Some("https://w.example")), false);
            assert_eq!(target.map(|target| target.url).as_deref(), Some(url));
        }
        assert_eq!(of_server(&server("127.0.0.1:0", None), false), None);
    }

    #[test]
    fn with_tls_the_name_in_the_certificate_is_asked_for_at_the_listener() {
        let named = of_server(&server("0.0.0.0:8443", Some("https://w.example/x")), true);
        let address = "127.0.0.1:8443".parse().expect("address");
        assert_eq!(
            named,
            Some(Target {
                url: "https://w.example:8443".to_owned(),
                pinned: Some(("w.example".to_owned(), address)),
            })
        );
        let plain = of_server(&server("0.0.0.0:8443", None), true);
        assert_eq!(
            plain.map(|target| target.url).as_deref(),
            Some("https://127.0.0.1:8443")
        );
    }
}
