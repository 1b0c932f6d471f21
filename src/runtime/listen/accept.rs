//! Taking connections: the cap, and what to do when the system gives none.
//!
//! Must not wait for a client: everything that depends on one happens in the connection's own task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::connection::Connection;
use super::{Listener, Shared};

/// Pause after an error that will not go away by trying again at once, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// One warning in so many errors in a row: half a minute apart.
const WARN_EVERY: u64 = 60;

/// Accepts until the stop token is cancelled; the listening socket closes when it returns.
pub(super) async fn accept_until_stopped(listener: Listener, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let mut errors_in_row = 0;
    while let Some(next) = stop
        .run_until_cancelled(next_connection(&listener, &shared))
        .await
    {
        match next {
            Ok((slot, stream, peer)) => {
                errors_in_row = 0;
                serve(&listener, &shared, slot, stream, peer);
            }
            Err(error) => {
                if let Some(pause) = pause_after(&error) {
                    if errors_in_row % WARN_EVERY == 0 {
                        log::warn!("no connection can be accepted: {error}; trying again");
                    }
                    errors_in_row += 1;
                    stop.run_until_cancelled(sleep(pause))
                        .await
                        .unwrap_or_default();
                }
            }
        }
    }
}

/// Waits for a free slot first, so that clients beyond the cap wait in the system's queue and not in our memory.
async fn next_connection(
    listener: &Listener,
    shared: &Shared,
) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let slot = Arc::clone(&shared.slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.socket.accept().await?;
    Ok((slot, stream, peer))
}

fn serve(
    listener: &Listener,
    shared: &Arc<Shared>,
    slot: OwnedSemaphorePermit,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Answers are written whole; waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("connection of {peer} is gone already: {error}");
        return;
    }
    // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d; rules and logs want a.b.c.d.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let connection = Connection {
        shared: Arc::clone(shared),
        peer,
    };
    let tls = listener.tls.as_ref().map(|holder| holder.acceptor());
    let cut = shared.cut.clone();
    shared.tasks.spawn(async move {
        let ended = cut.run_until_cancelled(connection.serve(stream, tls)).await;
        if let Some(Err(error)) = ended {
            log::debug!("connection of {peer} ended: {error}");
        }
        drop(slot);
    });
}

/// How long to wait before accepting again; `None` when only one client's connection failed.
fn pause_after(error: &io::Error) -> Option<Duration> {
    let of_one_client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    (!of_one_client).then_some(ACCEPT_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_files_pause_and_a_lost_client_does_not() {
        for code in [23, 24, 105] {
            // ENFILE, EMFILE, ENOBUFS
            assert_eq!(
                pause_after(&io::Error::from_raw_os_error(code)),
                Some(ACCEPT_PAUSE)
            );
        }
        assert_eq!(pause_after(&io::ErrorKind::ConnectionAborted.into()), None);
    }
}
