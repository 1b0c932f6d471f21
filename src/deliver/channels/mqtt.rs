//! A publish to an MQTT broker, taken for arrived when the broker acknowledges it (quality of service 1).
//!
//! A connection per message: they are rare, and a kept one would have to be watched. Only the codec of rumqttc is used:
//! TLS is ours, in front of it. Must not subscribe.

use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Disconnect, Packet, Publish};
use rumqttc::mqttbytes::{Error, QoS};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::deliver::text::TextSetup;
use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace, rfc3339};
use crate::runtime::tls::{ClientTlsPaths, encrypt};
use crate::wire::resolve;

/// Bytes of an answer; a broker has nothing long to say to a publisher.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Anything that carries bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What an MQTT target is made of.
#[derive(Clone)]
pub struct MqttSetup {
    /// The broker's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// Certificate authorities of the broker, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Whether the broker keeps the last message of a topic.
    pub retain: bool,
    /// Where messages are published.
    pub topic: String,
    /// Texts.
    pub text: TextSetup,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Whether the broker may stand at a private or loopback address.
    pub allow_private: bool,
}

impl std::fmt::Debug for MqttSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MqttSetup")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// A publisher.
#[derive(Clone, Debug)]
pub struct Publisher {
    setup: MqttSetup,
}

impl Publisher {
    /// A publisher.
    pub fn new(setup: MqttSetup) -> Self {
        Self { setup }
    }

    pub(in crate::deliver) async fn send(&self, parcel: &Parcel) -> Attempt {
        let words = self.setup.text.words(parcel);
        let body = json!({
            "type": parcel.event.word(),
            "timestamp": rfc3339(parcel.at),
            "id": parcel.id,
            "headline": words.headline,
            "link": words.link,
            "answer_url": parcel.answer_url,
            "repeat": parcel.is_repeat,
            "data": words.values.get("incident"),
        })
        .to_string();
        let topic = if parcel.recipient.is_empty() {
            &self.setup.topic
        } else {
            &parcel.recipient
        };
        let request = format!(
            "mqtt {}:{} {topic}\n\n{body}",
            self.setup.host, self.setup.port
        );
        let sent =
            tokio::time::timeout(self.setup.timeout, self.publish(parcel, topic, body)).await;
        let (outcome, response) = match sent {
            Ok(Ok(())) => (Outcome::Arrived, "acknowledged by the broker".to_owned()),
            Ok(Err(failure)) => {
                let said = failure.error.clone();
                (Outcome::Failed(failure), said)
            }
            Err(_) => {
                let error = format!(
                    "no acknowledgement within {} s",
                    self.setup.timeout.as_secs()
                );
                let failure = Failure {
                    error: error.clone(),
                    may_have_arrived: true,
                    ..Failure::default()
                };
                (Outcome::Failed(failure), error)
            }
        };
        Attempt {
            outcome,
            status: None,
            trace: Trace { request, response },
        }
    }

    async fn publish(&self, parcel: &Parcel, topic: &str, body: String) -> Result<(), Failure> {
        let unsent = |error: String| Failure {
            error,
            ..Failure::default()
        };
        let mut stream = self.connect().await.map_err(unsent)?;
        let mut hello = Connect::new(format!("watchbell-tell-{}", parcel.id));
        hello.keep_alive = 60;
        if let Some((user, password)) = &self.setup.login {
            hello.set_login(user, password);
        }
        let mut out = BytesMut::new();
        let written = hello.write(&mut out);
        written.map_err(|error| unsent(error.to_string()))?;
        let greeted = async {
            stream
                .write_all(&out)
                .await
                .map_err(|error| error.to_string())?;
            stream.flush().await.map_err(|error| error.to_string())?;
            let Packet::ConnAck(answer) = answer(&mut *stream).await? else {
                return Err("the broker answers a connect with something else".to_owned());
            };
            if answer.code == ConnectReturnCode::Success {
                Ok(())
            } else {
                Err(format!("the broker refuses: {:?}", answer.code))
            }
        };
        greeted.await.map_err(unsent)?;
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, body);
        publish.pkid = 1;
        publish.retain = self.setup.retain;
        out.clear();
        let written = publish.write(&mut out);
        written.map_err(|error| unsent(error.to_string()))?;
        // From here on it may be there, whatever happens.
        let sent = async {
            stream
                .write_all(&out)
                .await
                .map_err(|error| error.to_string())?;
            stream.flush().await.map_err(|error| error.to_string())?;
            loop {
                if let Packet::PubAck(_) = answer(&mut *stream).await? {
                    return Ok(());
                }
            }
        };
        sent.await.map_err(|error: String| Failure {
            error,
            may_have_arrived: true,
            ..Failure::default()
        })?;
        // It is there; how the connection ends does not matter.
        out.clear();
        if Disconnect.write(&mut out).is_ok() {
            drop(stream.write_all(&out).await);
            drop(stream.shutdown().await);
        }
        Ok(())
    }

    /// A connection to the address that was checked.
    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let setup = &self.setup;
        let address = resolve(&setup.host, setup.port, setup.allow_private).await?;
        let tcp = TcpStream::connect(address)
            .await
            .map_err(|error| format!("cannot be reached: {error}"))?;
        if !setup.is_tls {
            return Ok(Box::new(tcp));
        }
        let paths = ClientTlsPaths {
            ca: setup.ca.clone(),
            identity: None,
        };
        let tls = encrypt(tcp, &setup.host, paths, "ca").await?;
        Ok(Box::new(tls))
    }
}

/// The next packet of the broker.
async fn answer(stream: &mut dyn Stream) -> Result<Packet, String> {
    let mut buffer = BytesMut::new();
    loop {
        match Packet::read(&mut buffer, ANSWER_BYTES_MAX) {
            Ok(packet) => return Ok(packet),
            Err(Error::InsufficientBytes(_)) => {}
            Err(error) => return Err(format!("the broker says something strange: {error}")),
        }
        // Byte by byte at the end of a packet would be slow for more; a broker says a few bytes at a time.
        let mut byte = [0_u8; 1];
        let read = stream.read(&mut byte).await;
        match read.map_err(|error| format!("the connection broke: {error}"))? {
            0 => return Err("the broker has closed the connection".to_owned()),
            _ => buffer.extend_from_slice(&byte),
        }
    }
}
