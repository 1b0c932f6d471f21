//! A publish to an MQTT broker, taken for arrived when the broker acknowledges it (quality of service 1).
//!
//! A connection per message: they are rare, and a kept one would have to be watched. Must not subscribe.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::json;

use crate::deliver::text::TextSetup;
use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace, rfc3339};
use crate::wire::resolve;

/// What an MQTT target is made of.
#[derive(Clone)]
pub struct MqttSetup {
    /// The broker's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub login: Option<(String, String)>,
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
        let setup = &self.setup;
        let failed = |error: String, may_have_arrived: bool| Failure {
            error,
            may_have_arrived,
            ..Failure::default()
        };
        let address = resolve(&setup.host, setup.port, setup.allow_private).await;
        let address = address.map_err(|error| failed(error, false))?;
        let client_id = format!("watchbell-tell-{}", parcel.id);
        let mut options = MqttOptions::new(client_id, address.ip().to_string(), setup.port);
        if let Some((user, password)) = &setup.login {
            options.set_credentials(user, password);
        }
        let (client, mut events) = AsyncClient::new(options, 4);
        let queued = client.publish(topic, QoS::AtLeastOnce, false, body).await;
        queued.map_err(|error| failed(error.to_string(), false))?;
        let mut is_sent = false;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(_))) => break,
                Ok(Event::Outgoing(rumqttc::Outgoing::Publish(_))) => is_sent = true,
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
                Err(error) => return Err(failed(error.to_string(), is_sent)),
            }
        }
        // It is there; how the connection ends does not matter.
        drop(client.disconnect().await);
        drop(events.poll().await);
        Ok(())
    }
}
