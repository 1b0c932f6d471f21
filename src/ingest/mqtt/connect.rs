//! A connection to a broker, encrypted or not.
//!
//! TLS is ours, in front of the codec: rumqttc's brings a certificate checker with open advisories. Must not retry.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::BrokerSetup;
use super::line::Stream;
use crate::runtime::tls::encrypt;

/// Time for a connection, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects; the error says what failed and what to look at.
pub(super) async fn connect(setup: &BrokerSetup) -> Result<Box<dyn Stream>, String> {
    match timeout(CONNECT_TIMEOUT, connected(setup)).await {
        Ok(connected) => connected,
        Err(_) => Err(format!(
            "does not answer in {} s",
            CONNECT_TIMEOUT.as_secs()
        )),
    }
}

async fn connected(setup: &BrokerSetup) -> Result<Box<dyn Stream>, String> {
    let address = (setup.host.as_str(), setup.port);
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|error| format!("cannot be reached: {error}"))?;
    // Acknowledgements are small and wait for nothing.
    drop(tcp.set_nodelay(true));
    let Some(paths) = &setup.tls else {
        return Ok(Box::new(tcp));
    };
    let tls = encrypt(tcp, &setup.host, paths.clone(), "tls.ca").await?;
    Ok(Box::new(tls))
}
