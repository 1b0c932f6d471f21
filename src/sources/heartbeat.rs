//! Pings of heartbeats as they are stored: `{"heartbeat":"backup"}`.
//!
//! A ping claims that nothing is missing; what that means is decided in `core::heartbeat`. Must not know how a ping
//! came: by HTTP, through another service's API or over MQTT.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::heartbeat;
use crate::core::observation::{Claim, Observation};
use crate::core::severity::Severity;
use crate::sources::{DecodeError, Decoded, Message, Source, json};

/// The source kind `heartbeat`.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat;

#[derive(Serialize, Deserialize)]
struct Ping<'a> {
    #[serde(borrow)]
    heartbeat: std::borrow::Cow<'a, str>,
}

/// What is stored of a ping.
pub fn store(name: &str) -> Vec<u8> {
    let ping = Ping {
        heartbeat: name.into(),
    };
    serde_json::to_vec(&ping).unwrap_or_default()
}

/// What a ping claims.
pub fn claim(name: &str) -> Observation {
    heartbeat::observation(name, Claim::Resolved, Severity::Info, Arc::default())
}

impl Source for Heartbeat {
    fn kind(&self) -> &'static str {
        heartbeat::SOURCE
    }

    fn example(&self) -> &'static str {
        r#"{"heartbeat":"backup"}"#
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        let ping: Ping<'_> = serde_json::from_str(json::text(message.body)?).map_err(|error| {
            DecodeError::WrongShape {
                path: "heartbeat".to_owned(),
                problem: error.to_string(),
                hint: "a stored ping names its heartbeat",
            }
        })?;
        Ok(Decoded {
            observations: vec![claim(&ping.heartbeat)],
            ..Decoded::default()
        })
    }
}
