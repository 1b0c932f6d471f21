//! Where the daemon listens: sockets of systemd, or its own.
//!
//! Must not serve anything.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::config::Settings;
use crate::runtime::listen::Listener;
use crate::runtime::tls::TlsHolder;

/// The sockets handed over by systemd, else the configured addresses, bound.
///
/// # Errors
/// An address cannot be listened on, or must not be.
pub(super) async fn open(
    settings: &Settings,
    inherited: Vec<TcpListener>,
    tls: Option<&TlsHolder>,
) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    if inherited.is_empty() {
        for address in &settings.server.listen {
            let bound = Listener::bind(*address, tls.cloned()).await;
            listeners.push(bound.map_err(|error| {
                let next = after_refused_bind(error.kind());
                anyhow::anyhow!("{error}; {next}")
            })?);
        }
    }
    for socket in inherited {
        if let Some(refusal) = settings.refusal_to_listen(socket.local_addr()?) {
            anyhow::bail!("the socket handed over by systemd is refused: {refusal}");
        }
        listeners.push(Listener::from_std(socket, tls.cloned())?);
    }
    for listener in &listeners {
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        log::info!(address:% = address; "listening on {scheme}://{address}");
    }
    Ok(listeners)
}

/// Where they listen.
pub(super) fn addresses(listeners: &[Listener]) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses = listeners.iter().map(Listener::local_addr);
    Ok(addresses.collect::<Result<_, _>>()?)
}

/// What to do when an address cannot be listened on.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the standard library adds kinds"
)]
fn after_refused_bind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "stop the program that listens there, or set [server] listen to another address"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; set [server] listen to one that it has"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; set [server] listen to a higher port, or use a systemd socket"
        }
        _ => "set [server] listen to an address of this machine",
    }
}
