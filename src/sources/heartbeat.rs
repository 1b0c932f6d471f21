//! Pings of heartbeats as they are stored: `{"heartbeat":"backup"}`, or with `"signal":"fail","text":"disk full"`.
//!
//! A ping claims that nothing is missing, that a job begins, or that it failed; what that means is decided in `core::heartbeat`. Must not know how a ping
//! came: by HTTP, through another service's API or over MQTT.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::core::heartbeat::{self, Signal};
use crate::core::limits;
use crate::core::observation::{Observation, clean};
use crate::sources::{DecodeError, Decoded, Message, Source, json};

/// The source kind `heartbeat`.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat;

/// A ping: whose, and what it says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ping {
    /// The name of the heartbeat.
    pub heartbeat: String,
    /// The word of a [`Signal`]; "success" when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// What the job said with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
}

impl Ping {
    /// The ping that a job is done, or alive.
    pub fn done(name: &str) -> Self {
        Self {
            heartbeat: name.to_owned(),
            ..Self::default()
        }
    }

    /// A signal with what the job said; only a failure keeps it.
    pub fn signal(name: &str, signal: Signal, text: &str) -> Self {
        Self {
            heartbeat: name.to_owned(),
            signal: (signal != Signal::Done).then(|| signal.word().to_owned()),
            text: text.to_owned(),
        }
    }

    /// What is stored of it.
    pub fn stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What it claims.
    pub fn claim(&self) -> Observation {
        let word = self.signal.as_deref();
        let mut signals = Signal::ALL.into_iter();
        let signal = signals
            .find(|signal| Some(signal.word()) == word)
            .unwrap_or(Signal::Done);
        let mut said = SmolStr::new(self.text.trim());
        clean(&mut said, limits::LABEL_BYTES_MAX);
        heartbeat::signal(&self.heartbeat, signal, said)
    }
}

impl Source for Heartbeat {
    fn kind(&self) -> &'static str {
        heartbeat::SOURCE
    }

    fn example(&self) -> &'static str {
        r#"{"heartbeat":"backup"}"#
    }

    fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        let ping: Ping = serde_json::from_str(json::text(message.body)?).map_err(|error| {
            DecodeError::WrongShape {
                path: "heartbeat".to_owned(),
                problem: error.to_string(),
                hint: "a stored ping names its heartbeat",
            }
        })?;
        Ok(Decoded {
            observations: vec![ping.claim()],
            ..Decoded::default()
        })
    }
}
